#include "ops/aftercare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/strbuf.h"
#include "core/format.h"
#include "core/sql_parts.h"
#include "ops/ddl.h"
#include "pg/params.h"
#include "store/job.h"

/* Two estimates of the same rows differ by their samples; growth is more than this share. */
#define NOISE_DIVISOR 20

#define RELEASE_LOCK_TIMEOUT_US 200000

/* ---- what is left ---- */

/*
 * Statistics do not see what was deleted since they were made: of runs that began later all of it,
 * of one that was at work then at most as much as has changed since.
 */
static const char SQL_STANDING[] =
    "SELECT j.pinned,\n"
    "       (SELECT pg_catalog.sum(CASE WHEN u.started > a.at THEN u.rows\n"
    "                   ELSE LEAST(u.rows, pg_catalog.pg_stat_get_mod_since_analyze(a.oid)) END)\n"
    "          FROM pghaul.run u\n"
    "         WHERE u.job = j.id AND COALESCE(u.ended, u.heartbeat) > a.at),\n"
    "       (SELECT p.backlog_rows FROM pghaul.run p\n"
    "         WHERE p.job = j.id AND p.id < $3::pg_catalog.int8 AND p.backlog_rows IS NOT NULL\n"
    "         ORDER BY p.id DESC LIMIT 1)\n"
    "  FROM pghaul.job j,\n"
    "       LATERAL (SELECT c.oid, COALESCE(GREATEST(\n"
    "                    pg_catalog.pg_stat_get_last_analyze_time(c.oid),\n"
    "                    pg_catalog.pg_stat_get_last_autoanalyze_time(c.oid)),\n"
    "                    '-infinity'::pg_catalog.timestamptz) AS at\n"
    "                  FROM pg_catalog.pg_class c WHERE c.oid = $2::pg_catalog.oid) a\n"
    " WHERE j.id = $1::pg_catalog.int8";

/* What gives the predicate its meaning until the transaction ends. */
static const char *
search_path(const Plan *plan, Arena *arena)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    const NameList *path = &plan->spec->search_path;
    strbuf_puts(&sql, "SET LOCAL search_path = ");
    for (int i = 0; i < path->count; i++) {
        sql_put_ident(&sql, path->names[i]);
        strbuf_puts(&sql, ", ");
    }
    if (path->count == 0) {
        sql_put_ident(&sql, plan->facts->table.schema);
        strbuf_puts(&sql, ", ");
    }
    strbuf_puts(&sql, "pg_temp");
    return arena_strdup(arena, strbuf_text(&sql));
}

static bool
estimate_matching(PgConn *conn, const Plan *plan, const char *pinned, double *rows, Err *err)
{
    static const char ROWS[] = "\"Plan Rows\": "; /* first of the topmost node */
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_puts(&sql, "EXPLAIN (FORMAT JSON)\nSELECT FROM ");
    sql_put_only_table(&sql, plan);
    strbuf_puts(&sql, "\n WHERE $1::pg_catalog.timestamptz IS NOT NULL");
    sql_put_pinned_where(&sql, plan, "$1::pg_catalog.timestamptz");
    Arena arena = ARENA_INIT;
    const char *begin[] = {
        "BEGIN READ ONLY", "SET LOCAL transform_null_equals = off", search_path(plan, &arena)};
    BatchCall call = {
        .begin = begin,
        .begin_count = 3,
        .sql = strbuf_text(&sql),
        .count = 1,
        .values = &pinned,
        .timeout_us = QUERY_TIMEOUT_US,
    };
    PGRESULT_AUTO *result = NULL;
    bool ok = query_batch(conn, &call, &result, err);
    arena_reset(&arena);
    const char *at =
        ok && result_rows(result) == 1 ? strstr(result_text(result, 0, 0), ROWS) : NULL;
    *rows = at == NULL ? -1 : strtod(at + strlen(ROWS), NULL);
    return ok;
}

static int64_t
freed_bytes(const Plan *plan, int64_t rows)
{
    const TableFacts *table = &plan->facts->table;
    double row = facts_row_bytes(table);
    double all = plan->rows_per_block * (double)table->blocks;
    if (row < 0 && all >= 1) {
        row = (double)(table->total_bytes - table->index_bytes) / all;
    }
    return row < 0 ? -1 : (int64_t)((double)rows * row);
}

static bool
estimate(PgConn *conn, const Plan *plan, int64_t job, Aftercare *care, int64_t *before, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    params_int(&params, plan->facts->table.oid);
    params_int(&params, care->run);
    PGRESULT_AUTO *standing = NULL;
    if (!query_one_with(conn, SQL_STANDING, &params, &standing, err)) {
        return false;
    }
    *before = result_int(standing, 0, 2);
    care->freed_bytes = freed_bytes(plan, care->rows);
    care->backlog_rows = 0;
    if (care->complete) {
        return true;
    }
    double rows = -1;
    if (!estimate_matching(conn, plan, result_text(standing, 0, 0), &rows, err)) {
        return false;
    }
    double rest = rows - result_float(standing, 0, 1);
    care->backlog_rows = rows < 0 ? -1 : rest < 1 ? 1 : (int64_t)rest;
    return true;
}

static const char SQL_RECORD[] = "UPDATE pghaul.run AS u\n"
                                 "   SET backlog_rows = NULLIF($2::pg_catalog.int8, -1),\n"
                                 "       freed_bytes = NULLIF($3::pg_catalog.int8, -1)\n"
                                 " WHERE u.id = $1::pg_catalog.int8";

static bool
record(PgConn *conn, const Aftercare *care, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, care->run);
    params_int(&params, care->backlog_rows);
    params_int(&params, care->freed_bytes);
    return query_with(conn, SQL_RECORD, &params, NULL, err);
}

static bool
warn_of_growth(PgConn *conn, int64_t job, const Aftercare *care, int64_t before, Err *err)
{
    char left[FORMAT_SIZE];
    char was[FORMAT_SIZE];
    char text[160];
    (void)snprintf(text, sizeof(text),
        "the backlog grows: about %s rows are left, after the run before it were %s",
        format_count(care->backlog_rows, left), format_count(before, was));
    log_line(LOG_WARNING, NULL, "%s", text);
    return job_event(conn, job, care->run, "backlog", text, err);
}

bool
aftercare_record(PgConn *conn, const Plan *plan, int64_t job, Aftercare *care, Err *err)
{
    int64_t before = 0;
    if (!estimate(conn, plan, job, care, &before, err) || !record(conn, care, err)) {
        return err_wrap(err, "estimate what is left");
    }
    care->grew = before > 0 && care->backlog_rows > before + before / NOISE_DIVISOR;
    return !care->grew || warn_of_growth(conn, job, care, before, err);
}

/* ---- the tail ---- */

/*
 * The parameters as they are now, those of the TOAST table too.  Where another job has them off
 * already, what it found is what they were.
 */
#define SQL_TAIL_NOW                                                                               \
    "ARRAY(SELECT o FROM pg_catalog.pg_class c\n"                                                  \
    "        CROSS JOIN pg_catalog.unnest(c.reloptions) AS o\n"                                    \
    "       WHERE c.oid = %u AND pg_catalog.starts_with(o, 'vacuum_truncate=')\n"                  \
    "       UNION ALL\n"                                                                           \
    "      SELECT 'toast.' || o FROM pg_catalog.pg_class c\n"                                      \
    "        JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid\n"                              \
    "        CROSS JOIN pg_catalog.unnest(t.reloptions) AS o\n"                                    \
    "       WHERE c.oid = %u AND pg_catalog.starts_with(o, 'vacuum_truncate='))"

static const char SQL_KEPT[] =
    "SELECT j.tail_options IS NOT NULL FROM pghaul.job j WHERE j.id = $1::pg_catalog.int8";

bool
aftercare_keep_tail(PgConn *conn, const Plan *plan, int64_t job, StopToken *stop, Err *err)
{
    uint32_t oid = plan->facts->table.oid;
    Params params = PARAMS_INIT;
    params_int(&params, job);
    PGRESULT_AUTO *kept = NULL;
    if (!plan->spec->keeps_tail) {
        return true;
    }
    if (!query_one_with(conn, SQL_KEPT, &params, &kept, err)) {
        return err_wrap(err, "look for vacuum_truncate");
    }
    if (result_bool(kept, 0, 0)) {
        return true;
    }
    STRBUF_AUTO remember = STRBUF_INIT;
    STRBUF_AUTO alter = STRBUF_INIT;
    strbuf_printf(&remember,
        "UPDATE pghaul.job AS j SET tail_oid = %u, tail_options = COALESCE(\n"
        "    (SELECT k.tail_options FROM pghaul.job k\n"
        "      WHERE k.tail_oid = %u AND k.tail_options IS NOT NULL LIMIT 1),\n" SQL_TAIL_NOW
        ")\n WHERE j.id = %lld AND j.tail_options IS NULL",
        oid, oid, oid, oid, (long long)job);
    sql_keep_tail(&alter, plan);
    const char *statements[] = {strbuf_text(&remember), strbuf_text(&alter)};
    DdlStep step = {
        .table_oid = oid, .what = "set vacuum_truncate", .statements = statements, .count = 2};
    return ddl_run(conn, &step, plan->spec->throttle.yield_after_us, stop, err);
}

/* A schema of another version, which clean --all removes as well, need not have the column. */
static const char SQL_KNOWS_TAILS[] =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute a\n"
    "                WHERE a.attrelid = 'pghaul.job'::pg_catalog.regclass\n"
    "                  AND a.attname = 'tail_oid' AND NOT a.attisdropped)";

/*
 * The statement that puts back what is still as the job has set it; no row when the job set
 * nothing, NULL when nothing is to be put back: the table is gone, somebody has changed it, or
 * another job needs it off.
 */
static const char SQL_RELEASE[] =
    "SELECT j.tail_oid,\n"
    "       (SELECT 'ALTER TABLE ' || pg_catalog.min(c.oid::pg_catalog.regclass::text) || ' '\n"
    "               || pg_catalog.string_agg(\n"
    "                   CASE WHEN w.was IS NULL THEN 'RESET (' || p.name || ')'\n"
    "                        ELSE 'SET (' || w.was || ')' END, ', ')\n"
    "          FROM pg_catalog.pg_class c\n"
    "          LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid\n"
    "         CROSS JOIN (VALUES ('vacuum_truncate', false),\n"
    "                            ('toast.vacuum_truncate', true)) AS p (name, is_toast)\n"
    "         CROSS JOIN LATERAL (SELECT (SELECT o FROM pg_catalog.unnest(j.tail_options) AS o\n"
    "               WHERE pg_catalog.starts_with(o, p.name || '=')) AS was) w\n"
    "         WHERE c.oid = j.tail_oid\n"
    "           AND 'vacuum_truncate=off' = ANY (CASE WHEN p.is_toast THEN t.reloptions\n"
    "                                                 ELSE c.reloptions END)\n"
    "           AND NOT EXISTS (SELECT FROM pghaul.job k WHERE k.tail_oid = j.tail_oid\n"
    "                              AND k.tail_options IS NOT NULL AND k.id <> j.id))\n"
    "  FROM pghaul.job j\n"
    " WHERE j.id = $1::pg_catalog.int8 AND j.tail_options IS NOT NULL";

bool
aftercare_release_tail(PgConn *conn, int64_t job, StopToken *stop, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    PGRESULT_AUTO *knows = NULL;
    PGRESULT_AUTO *found = NULL;
    if (!query_one(conn, SQL_KNOWS_TAILS, 0, NULL, &knows, err)) {
        return err_wrap(err, "look for vacuum_truncate");
    }
    if (!result_bool(knows, 0, 0)) {
        return true;
    }
    if (!query_with(conn, SQL_RELEASE, &params, &found, err)) {
        return err_wrap(err, "look for vacuum_truncate");
    }
    if (result_rows(found) == 0) {
        return true;
    }
    STRBUF_AUTO forget = STRBUF_INIT;
    strbuf_printf(&forget,
        "UPDATE pghaul.job AS j SET tail_oid = NULL, tail_options = NULL WHERE j.id = %lld",
        (long long)job);
    const char *statements[] = {strbuf_text(&forget), result_text(found, 0, 1)};
    bool alters = !result_is_null(found, 0, 1);
    DdlStep step = {
        .table_oid = alters ? (uint32_t)result_int(found, 0, 0) : 0,
        .what = "put vacuum_truncate back",
        .statements = statements,
        .count = alters ? 2 : 1,
    };
    return ddl_run(conn, &step, RELEASE_LOCK_TIMEOUT_US, stop, err);
}
