/*
 * indexes_build.c - build the recorded indexes one by one, CONCURRENTLY unless that is of no use.
 *
 * What is there decides what is done next: a build that was cut off, here or by a kill, has left an
 * invalid index, which still costs every writer; it is dropped and built again.  A partitioned
 * table cannot have an index built CONCURRENTLY: it gets one of its own (ON ONLY), each partition
 * gets its part, and with the last part attached the whole becomes valid.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "ops/ddl.h"
#include "ops/indexes.h"
#include "pg/catalog_indexes.h"
#include "pg/probe.h"
#include "pg/query.h"
#include "store/index_build.h"
#include "store/job.h"

#define CONNECT_TIMEOUT_US ((int64_t)5 * 1000000)
#define BUILD_TIMEOUT_US   ((int64_t)30 * 24 * 3600 * 1000000)
#define SQLSTATE_UNIQUE    "23505"
#define SQLSTATE_LOCKED    "55P03"
/* An index of a table up to 1 GB takes seconds. */
#define PLAIN_BLOCKS_MAX ((int64_t)131072)
/* No lock_timeout: the lock of a build CONCURRENTLY stops neither readers nor writers while it is
 * waited for, and the timeout would also end its waits for older transactions. */
#define SQL_WAIT_FOREVER "SET lock_timeout = 0"
/* A copy that is caught up is less than a second behind. */
#define UNIQUE_TRIES   4
#define UNIQUE_WAIT_US ((int64_t)1 * 1000000)

/* One index of the list, in progress. */
typedef struct Build {
    IndexBuilder *builder;
    const IndexBuild *index;
    StopToken *stop;
    Arena *arena;
} Build;

/* ---- one table ---- */

static bool
run_long(const Build *b, const char *sql, Err *err)
{
    Statement statement = {.sql = sql, .timeout_us = BUILD_TIMEOUT_US, .stop = b->stop};
    if (query_statement(b->builder->conn, &statement, NULL, err)) {
        return true;
    }
    if (err->cls == ERR_TIMEOUT && stop_level(b->stop) != STOP_NONE) {
        *err = ERR_INIT;
        return err_set(err, ERR_STOPPED, "stopped while index %s was built", b->index->name);
    }
    return false;
}

/* It waits for the transactions that may use the index. */
static bool
drop_invalid(const Build *b, const IndexPlace *at, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_printf(&sql, "DROP INDEX CONCURRENTLY IF EXISTS %s",
        sql_index_qualified(at->schema, at->name, b->arena));
    return run_long(b, strbuf_text(&sql), err) || err_wrap(err, "drop the invalid index");
}

/* An index that is refused would go on refusing rows if it stayed. */
static bool
explain_refusal(const Build *b, const IndexPlace *at, Err *err)
{
    Err ignored = ERR_INIT; /* the next run finds it as well */
    if (strcmp(err->sqlstate, SQLSTATE_UNIQUE) != 0) {
        return err_wrap(err, "build index %s", at->name);
    }
    (void)!drop_invalid(b, at, &ignored);
    *err = ERR_INIT;
    (void)err_set(err, ERR_POISON, "unique index %s cannot be built: rows of %s have equal values",
        at->name, at->table);
    return err_hint(err, "Look for them in its columns (%s), mend them, then run the job again.",
        b->index->definition);
}

/* Rows of a copy that is kept in sync were read at different moments: two may have the same value
 * until the drain has been at both. */
static bool
may_pass(const Build *b, const Err *err, int tries)
{
    return b->builder->plan->sync_trigger && strcmp(err->sqlstate, SQLSTATE_UNIQUE) == 0 &&
           tries < UNIQUE_TRIES;
}

/* Nobody but the drain writes a target that was empty and may not conflict: it can wait a moment,
 * and a plain build takes two thirds of the time. */
static bool
may_be_plain(const Build *b, const IndexPlace *at, bool *plain, Err *err)
{
    int64_t blocks = 0;
    if (!probe_blocks(b->builder->conn, at->table_oid, &blocks, err)) {
        return false;
    }
    *plain = b->builder->plan->spec->on_conflict == ON_CONFLICT_ERROR && blocks <= PLAIN_BLOCKS_MAX;
    return true;
}

/* *locked_out when somebody does write it, for longer than we may wait. */
static bool
create_plain(const Build *b, const IndexPlace *at, bool *locked_out, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    char timeout[64];
    PgConn *conn = b->builder->conn;
    (void)snprintf(timeout, sizeof(timeout), "SET lock_timeout = %lld",
        (long long)(b->builder->plan->spec->throttle.yield_after_us / 1000));
    if (!query_run(conn, timeout, NULL, err)) {
        return false;
    }
    sql_index_create(&sql, b->index, at->name, at->table, INDEX_PLAIN);
    bool built = run_long(b, strbuf_text(&sql), err);
    Err reset = ERR_INIT;
    if (conn_is_idle(conn) && !query_run(conn, SQL_WAIT_FOREVER, NULL, &reset)) {
        *err = reset;
        return false;
    }
    *locked_out = !built && strcmp(err->sqlstate, SQLSTATE_LOCKED) == 0;
    if (*locked_out) {
        *err = ERR_INIT;
    }
    return built;
}

static bool
create_once(const Build *b, const IndexPlace *at, Err *err)
{
    bool plain = false;
    bool locked_out = false;
    if (!may_be_plain(b, at, &plain, err)) {
        return false;
    }
    if (plain && (create_plain(b, at, &locked_out, err) || !locked_out)) {
        return err->cls == ERR_NONE;
    }
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_index_create(&sql, b->index, at->name, at->table, INDEX_CONCURRENTLY);
    return run_long(b, strbuf_text(&sql), err);
}

static bool
create(const Build *b, const IndexPlace *at, Err *err)
{
    for (int tries = 1; !create_once(b, at, err); tries++) {
        if (!may_pass(b, err, tries)) {
            return explain_refusal(b, at, err);
        }
        *err = ERR_INIT;
        log_line(LOG_INFO, "index", "%s finds equal values; trying again", at->name);
        if (!drop_invalid(b, at, err)) {
            return false;
        }
        (void)stop_sleep_us(b->stop, UNIQUE_WAIT_US);
    }
    return true;
}

static bool
find(const Build *b, const IndexPlace *at, IndexState *state, Err *err)
{
    return catalog_indexes_state(b->builder->conn, at, b->index->definition, state, err);
}

/* A valid one of this name may be of somebody who was faster. */
static bool
build_place(const Build *b, const IndexPlace *at, Err *err)
{
    IndexState state;
    if (!find(b, at, &state, err)) {
        return false;
    }
    if (state.exists && !state.on_table) {
        (void)err_set(err, ERR_REFUSED, "index %s cannot be built: its name is taken", at->name);
        return err_hint(err, "Rename or drop what has the name, then run the job again.");
    }
    if (state.valid) {
        if (!state.same || state.unique != b->index->unique) {
            log_line(
                LOG_WARNING, "index", "%s was built by somebody else, and otherwise", at->name);
        }
        return true;
    }
    if (state.exists) {
        log_line(
            LOG_INFO, "index", "%s is invalid: a build was cut off; building it again", at->name);
    }
    return (!state.exists || drop_invalid(b, at, err)) && create(b, at, err);
}

/* ---- a partitioned table ---- */

static bool
run_short(const Build *b, uint32_t table_oid, const char *what, const char *sql, Err *err)
{
    DdlStep step = {.table_oid = table_oid, .what = what, .statements = &sql, .count = 1};
    int64_t yield_after_us = b->builder->plan->spec->throttle.yield_after_us;
    return ddl_run(b->builder->conn, &step, yield_after_us, b->stop, err);
}

/* The index of a partitioned table alone, which takes a moment. */
static bool
create_only(const Build *b, const IndexPlace *at, Err *err)
{
    IndexState state;
    STRBUF_AUTO sql = STRBUF_INIT;
    if (!find(b, at, &state, err)) {
        return false;
    }
    if (state.exists) {
        return state.on_table || build_place(b, at, err);
    }
    sql_index_create(&sql, b->index, at->name, at->table, INDEX_ONLY);
    return run_short(b, at->table_oid, "create an index", strbuf_text(&sql), err);
}

/* The name of a part: one that nothing has, or that this very part has from a build before. */
static bool
choose_name(const Build *b, const IndexPart *part, IndexPlace *at, Err *err)
{
    const char *root = b->builder->plan->copy->into->table.name;
    for (int attempt = 0;; attempt++) {
        IndexState state;
        at->name = sql_index_name(b->index->name, root, part->table, attempt, b->arena);
        if (!find(b, at, &state, err)) {
            return false;
        }
        bool like = state.same && state.unique == b->index->unique;
        if (!state.exists || (state.on_table && (like || !state.valid))) {
            return true;
        }
    }
}

static bool
build_part(const Build *b, const IndexPart *part, Err *err)
{
    IndexPlace at = {
        .table_oid = part->table_oid,
        .schema = part->schema,
        .table = sql_index_qualified(part->schema, part->table, b->arena),
    };
    if (!choose_name(b, part, &at, err) ||
        !(part->leaf ? build_place(b, &at, err) : create_only(b, &at, err))) {
        return false;
    }
    const char *attach = arena_printf(b->arena, "ALTER INDEX %s ATTACH PARTITION %s",
        sql_index_qualified(part->parent_schema, part->parent_index, b->arena),
        sql_index_qualified(at.schema, at.name, b->arena));
    return run_short(b, part->table_oid, "attach an index", attach, err);
}

static bool
check_whole(const Build *b, const IndexPlace *root, Err *err)
{
    IndexState state;
    if (!find(b, root, &state, err) || state.valid) {
        return err->cls == ERR_NONE;
    }
    (void)err_set(
        err, ERR_FATAL, "index %s is not valid, though each partition has its part", root->name);
    return err_hint(err, "One of the parts is invalid, or a partition is a foreign table.");
}

static bool
build_parts(const Build *b, const IndexPlace *root, Err *err)
{
    if (!create_only(b, root, err)) {
        return false;
    }
    for (;;) {
        IndexPart part;
        if (!catalog_indexes_missing(b->builder->conn, root, b->arena, &part, err)) {
            return false;
        }
        if (part.table_oid == 0) {
            return check_whole(b, root, err);
        }
        if (!build_part(b, &part, err)) {
            return false;
        }
    }
}

/* ---- one index of the list ---- */

static bool
set_up(const Build *b, Err *err)
{
    STRBUF_AUTO tablespace = STRBUF_INIT;
    sql_index_tablespace(&tablespace, b->index);
    return query_run(b->builder->conn, strbuf_text(&tablespace), NULL, err);
}

static bool
put_comment(const Build *b, const char *schema, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    if (b->index->comment == NULL) {
        return true;
    }
    sql_index_comment(&sql, b->index, schema);
    return query_run(b->builder->conn, strbuf_text(&sql), NULL, err);
}

static bool
build_index(const Build *b, const IndexBuildRow *row, int count, Err *err)
{
    const TableFacts *table = &b->builder->plan->copy->into->table;
    IndexPlace root = {
        .table_oid = table->oid,
        .schema = table->schema,
        .table = row->table_name,
        .name = b->index->name,
    };
    int64_t begun_us = clock_mono_us();
    log_line(LOG_INFO, "index", "building %s (%d of %d)", root.name, row->no, count);
    bool whole = table->relkind == 'p';
    if (!set_up(b, err) || !(whole ? build_parts(b, &root, err) : build_place(b, &root, err)) ||
        !put_comment(b, root.schema, err) ||
        !index_build_mark_built(b->builder->conn, b->builder->job, row->no, err)) {
        return false;
    }
    log_line(LOG_INFO, "index", "%s is built, in %lld ms", root.name,
        (long long)((clock_mono_us() - begun_us) / 1000));
    return true;
}

/* ---- the builder ---- */

static bool
open_session(IndexBuilder *builder, Err *err)
{
    char label[48];
    (void)snprintf(label, sizeof(label), "%s/index", builder->plan->spec->job);
    return conn_open(
               builder->target, CONN_VACUUM, label, CONNECT_TIMEOUT_US, &builder->conn, err) &&
           query_run(builder->conn, SQL_WAIT_FOREVER, NULL, err);
}

static bool
move_is_done(IndexBuilder *builder, bool *is_done, Err *err)
{
    JobRow job;
    *is_done = false;
    if (!job_read_id(builder->conn, builder->job, &builder->arena, &job, err)) {
        return false;
    }
    if (job.pass == 0 || job.pass_kind != PASS_MOVE) {
        *is_done = job.pass > 0;
        return true;
    }
    return job_pass_is_done(builder->conn, job.id, job.pass, is_done, err);
}

static bool
build_claimed(IndexBuilder *builder, int no, StopToken *stop, Err *err)
{
    const char *job = builder->plan->spec->job;
    IndexBuildRow *rows = NULL;
    int count = 0;
    if (!index_build_list(builder->conn, job, &builder->arena, &rows, &count, err)) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        if (rows[i].no == no) {
            Build b = {
                .builder = builder,
                .index = &rows[i].build,
                .stop = stop,
                .arena = &builder->arena,
            };
            return build_index(&b, &rows[i], count, err);
        }
    }
    return job_is_cleaned(err);
}

static bool
look(IndexBuilder *builder, StopToken *stop, BuildStep *step, Err *err)
{
    bool moved = false;
    IndexClaim claim;
    int64_t lease_us = builder->plan->spec->lease_us;
    if ((builder->conn == NULL && !open_session(builder, err)) ||
        !move_is_done(builder, &moved, err)) {
        return false;
    }
    if (!moved) {
        return true;
    }
    if (!index_build_claim(builder->conn, builder->job, builder->run, lease_us, &claim, err)) {
        return false;
    }
    *step = claim.kind == INDEX_CLAIM_OURS   ? BUILD_MORE
            : claim.kind == INDEX_CLAIM_NONE ? BUILD_DONE
                                             : BUILD_WAIT;
    return claim.kind != INDEX_CLAIM_OURS || build_claimed(builder, claim.no, stop, err);
}

bool
indexes_build_next(void *arg, StopToken *stop, BuildStep *step, Err *err)
{
    IndexBuilder *builder = arg;
    *step = BUILD_WAIT;
    bool ok = look(builder, stop, step, err);
    arena_reset(&builder->arena);
    if (!ok && builder->conn != NULL &&
        (err->cls == ERR_RECONNECT || !conn_is_idle(builder->conn))) {
        indexes_end_builder(builder);
    }
    return ok;
}

void
indexes_end_builder(void *arg)
{
    IndexBuilder *builder = arg;
    conn_close(builder->conn);
    builder->conn = NULL;
}
