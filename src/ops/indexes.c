/*
 * indexes.c - decide which indexes are built after the bulk, record them, drop the target's own.
 *
 * Record and drop commit together, so after any kill a list is there that names all that is
 * missing, and whoever finds one has nothing left to prepare.
 */
#include "ops/indexes.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "pg/catalog_indexes.h"
#include "pg/query.h"
#include "store/index_build.h"
#include "store/job.h"

#define PREPARE_AGAIN_US  200000
#define PREPARE_REPORT_US ((int64_t)5 * 1000000)

/* ---- decide ---- */

typedef struct Decision {
    PgConn *target;
    PgConn *source;
    const Plan *plan;
    Arena *arena;
    IndexDefs defs; /* of the target */
    IndexPlan *out;
} Decision;

static const Facts *
into_of(const Plan *plan)
{
    return plan->copy->into;
}

static bool
read_recorded(const Decision *d, Err *err)
{
    IndexBuildRow *rows = NULL;
    int count = 0;
    if (!index_build_list(d->target, d->plan->spec->job, d->arena, &rows, &count, err)) {
        return false;
    }
    d->out->items = arena_alloc(d->arena, ((size_t)count + 1) * sizeof(*d->out->items));
    d->out->count = count;
    d->out->origin = INDEXES_RECORDED;
    for (int i = 0; i < count; i++) {
        d->out->items[i] = rows[i].build;
    }
    return true;
}

static void
take_own(const Decision *d)
{
    IndexPlan *out = d->out;
    out->items = arena_alloc(d->arena, ((size_t)d->defs.count + 1) * sizeof(*out->items));
    out->origin = INDEXES_OF_TARGET;
    for (int i = 0; i < d->defs.count; i++) {
        const IndexDef *def = &d->defs.items[i];
        if (sql_index_is_secondary(def, d->plan->copy) && def->definition != NULL) {
            out->items[out->count++] = (IndexBuild){
                .name = def->name,
                .unique = def->unique,
                .definition = def->definition,
                .tablespace = def->tablespace,
                .comment = def->comment,
            };
        }
    }
}

static bool
has_like(const IndexDefs *defs, const IndexBuild *build)
{
    for (int i = 0; i < defs->count; i++) {
        const IndexDef *def = &defs->items[i];
        if (def->definition != NULL && (def->unique || !build->unique) &&
            strcmp(def->definition, build->definition) == 0) {
            return true;
        }
    }
    return false;
}

static bool
is_picked(const IndexPlan *out, const char *name)
{
    for (int i = 0; i < out->count; i++) {
        if (out->items[i].name != NULL && strcmp(out->items[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* A name that no relation of the target's schema has. */
static bool
choose_name(const Decision *d, IndexBuild *build, Err *err)
{
    const TableFacts *from = &d->plan->facts->table;
    const TableFacts *to = &into_of(d->plan)->table;
    for (int attempt = 0;; attempt++) {
        IndexState state;
        build->name = sql_index_name(build->from, from->name, to->name, attempt, d->arena);
        IndexPlace at = {.schema = to->schema, .name = build->name};
        if (!catalog_indexes_state(d->target, &at, NULL, &state, err)) {
            return false;
        }
        if (!state.exists && !is_picked(d->out, build->name)) {
            return true;
        }
    }
}

/* The index of the job's key has its counterpart, the arbiter. */
static bool
take_one_of_source(const Decision *d, const IndexDef *def, Err *err)
{
    const Plan *plan = d->plan;
    IndexBuild build;
    if (strcmp(def->name, plan->key_index) == 0) {
        return true;
    }
    sql_index_translate(def, &d->defs, plan->copy, d->arena, &build);
    if (build.why_not == NULL &&
        !catalog_indexes_try(d->target, into_of(plan), d->arena, &build, err)) {
        return false;
    }
    if (build.why_not == NULL && has_like(&d->defs, &build)) {
        return true;
    }
    if (build.why_not == NULL && !choose_name(d, &build, err)) {
        return false;
    }
    d->out->items[d->out->count++] = build;
    return true;
}

static bool
take_of_source(const Decision *d, Err *err)
{
    IndexDefs defs;
    if (!catalog_indexes_read(d->source, d->plan->facts->table.oid, d->arena, &defs, err)) {
        return false;
    }
    d->out->origin = INDEXES_OF_SOURCE;
    d->out->items = arena_alloc(d->arena, ((size_t)defs.count + 1) * sizeof(*d->out->items));
    for (int i = 0; i < defs.count; i++) {
        if (!take_one_of_source(d, &defs.items[i], err)) {
            return false;
        }
    }
    return true;
}

static bool
is_used(PgConn *conn, const Plan *plan, bool *used, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_index_table_used(&sql, into_of(plan));
    PGRESULT_AUTO *row = NULL;
    if (!query_one(conn, strbuf_text(&sql), 0, NULL, &row, err)) {
        return err_wrap(err, "look whether the target is empty");
    }
    *used = result_bool(row, 0, 0);
    return true;
}

static bool
decide_anew(Decision *d, Err *err)
{
    bool used = false;
    if (!catalog_indexes_read(d->target, into_of(d->plan)->table.oid, d->arena, &d->defs, err) ||
        !is_used(d->target, d->plan, &used, err)) {
        return false;
    }
    d->out->may_create = d->defs.may_create;
    take_own(d);
    if (d->out->count == 0) {
        return take_of_source(d, err);
    }
    d->out->origin = used ? INDEXES_STAY : INDEXES_OF_TARGET;
    return true;
}

bool
indexes_decide(PgConn *target, PgConn *source, const Plan *plan, Arena *arena,
    const IndexPlan **indexes, Err *err)
{
    *indexes = NULL;
    if (plan->copy == NULL || plan->spec->indexes != INDEXES_AFTER) {
        return true;
    }
    Decision d = {.target = target,
        .source = source,
        .plan = plan,
        .arena = arena,
        .out = arena_alloc(arena, sizeof(*d.out))};
    if (!read_recorded(&d, err) || (d.out->count == 0 && !decide_anew(&d, err))) {
        return err_wrap(err, "indexes");
    }
    *indexes = d.out;
    return true;
}

/* ---- prepare ---- */

static bool
record_all(PgConn *conn, const Plan *plan, int64_t job, Arena *arena, Err *err)
{
    const IndexPlan *indexes = plan->copy->indexes;
    const TableFacts *table = &into_of(plan)->table;
    IndexBuildRow row = {
        .table_name = sql_index_qualified(table->schema, table->name, arena),
        .dropped = indexes->origin == INDEXES_OF_TARGET,
    };
    for (int i = 0; i < indexes->count; i++) {
        if (indexes->items[i].why_not != NULL) {
            continue;
        }
        row.no++;
        row.build = indexes->items[i];
        if (!index_build_record(conn, job, &row, err)) {
            return false;
        }
    }
    return true;
}

/* Under the job's lock: of two first runs one does it, and the other finds the list. */
static bool
record_and_drop(PgConn *conn, const Plan *plan, int64_t job, Arena *arena, Err *err)
{
    IndexBuildRow *rows = NULL;
    int count = 0;
    if (!job_lock(conn, job, err) ||
        !index_build_list(conn, plan->spec->job, arena, &rows, &count, err)) {
        return false;
    }
    if (count > 0) {
        return true;
    }
    if (!record_all(conn, plan, job, arena, err)) {
        return false;
    }
    if (plan->copy->indexes->origin != INDEXES_OF_TARGET) {
        return true;
    }
    STRBUF_AUTO drop = STRBUF_INIT;
    sql_index_drop_all(&drop, plan->copy->indexes, into_of(plan)->table.schema);
    return query_run(conn, strbuf_text(&drop), NULL, err);
}

static bool
try_prepare(PgConn *conn, const Plan *plan, int64_t job, Err *err)
{
    char begin[96];
    (void)snprintf(begin, sizeof(begin), "BEGIN; SET LOCAL lock_timeout = %lld",
        (long long)(plan->spec->throttle.yield_after_us / 1000));
    if (!query_script(conn, begin, err)) {
        return false;
    }
    Arena arena = ARENA_INIT;
    bool ok = record_and_drop(conn, plan, job, &arena, err);
    arena_reset(&arena);
    return query_end(conn, ok, err);
}

bool
indexes_prepare(PgConn *conn, const Plan *plan, int64_t job, StopToken *stop, Err *err)
{
    const IndexPlan *indexes = plan->copy == NULL ? NULL : plan->copy->indexes;
    if (indexes == NULL || indexes->count == 0 || indexes->origin == INDEXES_STAY) {
        return true;
    }
    int64_t reported_us = clock_mono_us();
    while (!try_prepare(conn, plan, job, err)) {
        if (err->cls != ERR_RETRY && err->cls != ERR_TIMEOUT) {
            return err_wrap(err, "drop the target's indexes");
        }
        *err = ERR_INIT;
        if (clock_mono_us() - reported_us > PREPARE_REPORT_US) {
            reported_us = clock_mono_us();
            log_line(LOG_INFO, NULL, "waiting to drop the target's indexes: it is in use");
        }
        if (stop_sleep_us(stop, PREPARE_AGAIN_US) != STOP_NONE) {
            return err_set(err, ERR_STOPPED, "stopped while waiting to drop indexes");
        }
    }
    return true;
}

/* ---- what is left ---- */

/* CONCURRENTLY is not for partitioned tables. */
static bool
put_left(PgConn *conn, const IndexBuildRow *row, StrBuf *out, Err *err)
{
    Arena arena = ARENA_INIT;
    IndexLeft left;
    bool ok = catalog_indexes_left(conn, row->table_name, row->build.name, &arena, &left, err);
    if (ok && left.table_exists && !left.valid) {
        if (row->build.tablespace != NULL) {
            sql_index_tablespace(out, &row->build);
            strbuf_puts(out, ";\n");
        }
        if (left.exists) {
            strbuf_printf(
                out, "DROP INDEX %s;\n", sql_index_qualified(left.schema, row->build.name, &arena));
        }
        sql_index_create(out, &row->build, row->build.name, row->table_name,
            left.partitioned ? INDEX_PLAIN : INDEX_CONCURRENTLY);
        strbuf_puts(out, ";\n");
    }
    arena_reset(&arena);
    return ok;
}

bool
indexes_left_sql(PgConn *conn, const char *job, StrBuf *out, Err *err)
{
    Arena arena = ARENA_INIT;
    IndexBuildRow *rows = NULL;
    int count = 0;
    bool ok = index_build_list(conn, job, &arena, &rows, &count, err);
    for (int i = 0; ok && i < count; i++) {
        ok = rows[i].built || put_left(conn, &rows[i], out, err);
    }
    arena_reset(&arena);
    return ok;
}
