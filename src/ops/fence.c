#include "ops/fence.h"

#include "base/arena.h"
#include "base/strbuf.h"
#include "core/sql_cutover.h"
#include "core/sql_parts.h"
#include "ops/ddl.h"
#include "pg/params.h"
#include "pg/sequences.h"

/* ---- put ---- */

bool
fence_put(PgConn *conn, const Plan *plan, int64_t job, StopToken *stop, Err *err)
{
    STRBUF_AUTO function = STRBUF_INIT;
    STRBUF_AUTO table = STRBUF_INIT;
    STRBUF_AUTO text = STRBUF_INIT;
    StrBuf triggers[FENCE_STATEMENTS] = {STRBUF_INIT};
    const char *statements[FENCE_STATEMENTS];
    sql_put_function_name(&function, plan, "fence", job);
    sql_put_table(&table, plan);
    sql_fence_function(&text, strbuf_text(&function), plan->facts->table.name);
    for (int i = 0; i < FENCE_STATEMENTS; i++) {
        sql_fence_trigger(&triggers[i], strbuf_text(&function), strbuf_text(&table), i);
        statements[i] = strbuf_text(&triggers[i]);
    }
    DdlStep step = {
        .table_oid = plan->facts->table.oid,
        .what = "fence the source",
        .statements = statements,
        .count = FENCE_STATEMENTS,
    };
    bool ok = query_script(conn, strbuf_text(&text), err) &&
              ddl_run(conn, &step, plan->spec->throttle.yield_after_us, stop, err);
    for (int i = 0; i < FENCE_STATEMENTS; i++) {
        strbuf_free(&triggers[i]);
    }
    return ok;
}

/* ---- look, remove ---- */

static const char SQL_FENCE[] =
    "SELECT c.oid, pg_catalog.format('DROP TRIGGER IF EXISTS %I ON %I.%I', g.tgname, n.nspname,\n"
    "           c.relname)\n"
    "  FROM pg_catalog.pg_trigger g\n"
    "  JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid\n"
    "  JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace AND pn.nspname = 'pghaul'\n"
    "  JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid\n"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    " WHERE p.proname = 'fence_' || $1::pg_catalog.text || '_' || $2::pg_catalog.text\n"
    "   AND NOT g.tgisinternal";

static bool
find_fence(PgConn *conn, const JobRow *job, PgResult **result, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job->id);
    params_text(&params, job->fingerprint);
    return query_with(conn, SQL_FENCE, &params, result, err) || err_wrap(err, "look for the fence");
}

bool
fence_is_there(PgConn *conn, const JobRow *job, bool *there, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!find_fence(conn, job, &result, err)) {
        return false;
    }
    *there = result_rows(result) > 0;
    return true;
}

bool
fence_remove(PgConn *conn, const JobRow *job, int64_t yield_us, StopToken *stop, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!find_fence(conn, job, &result, err)) {
        return false;
    }
    for (int i = 0; i < result_rows(result); i++) {
        const char *statement = result_text(result, i, 1);
        DdlStep step = {
            .table_oid = (uint32_t)result_int(result, i, 0),
            .what = "remove the fence",
            .statements = &statement,
            .count = 1,
        };
        if (!ddl_run(conn, &step, yield_us, stop, err)) {
            return false;
        }
    }
    return true;
}

/* ---- sequences ---- */

static const SequenceFacts *
of_column(const SequenceFacts *sequences, int count, const ColumnFacts *column)
{
    for (int i = 0; i < count; i++) {
        if (sequences[i].attnum == column->attnum) {
            return &sequences[i];
        }
    }
    return NULL;
}

static bool
carry_sequences(
    PgConn *source, PgConn *target, const Plan *plan, Arena *arena, int *count, Err *err)
{
    SequenceFacts *from = NULL;
    SequenceFacts *to = NULL;
    int from_count = 0;
    int to_count = 0;
    if (!sequences_read(source, plan->facts->table.oid, arena, &from, &from_count, err) ||
        !sequences_read(target, plan->copy->into->table.oid, arena, &to, &to_count, err)) {
        return false;
    }
    for (int i = 0; i < plan->copy->map_count; i++) {
        const MapColumn *map = &plan->copy->map[i];
        const SequenceFacts *here =
            map->source == NULL ? NULL : of_column(from, from_count, map->source);
        const SequenceFacts *there = of_column(to, to_count, map->target);
        if (here == NULL || there == NULL || here->last == NULL) {
            continue;
        }
        if (!sequence_advance(target, there->relation, here->last, err)) {
            return false;
        }
        (*count)++;
    }
    return true;
}

bool
fence_carry_sequences(PgConn *source, PgConn *target, const Plan *plan, int *count, Err *err)
{
    Arena arena = ARENA_INIT;
    *count = 0;
    bool ok = carry_sequences(source, target, plan, &arena, count, err);
    arena_reset(&arena);
    return ok;
}
