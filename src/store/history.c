#include "store/history.h"

#include "pg/params.h"
#include "store/run.h"

/* Times read as "2026-01-31 12:00:00+00": sessions are pinned to UTC. */

/* What a run records when it begins to wait; "going on" is the end of either. */
#define WAITING "'throttled', 'paused'"

#define TEXT_OF(macro)  TEXT_OF_(macro)
#define TEXT_OF_(value) #value
#define LAST            TEXT_OF(HISTORY_MAX)

static const char SQL_RUNS[] =
    "SELECT s.* FROM (\n"
    "    SELECT u.id, u.job, j.cleaned IS NOT NULL, " SQL_RUN_IS_ALIVE ",\n"
    "           u.ended IS NOT NULL, u.host, u.pid, u.workers, u.version,\n"
    "           pg_catalog.date_trunc('second', u.started),\n"
    "           pg_catalog.date_trunc('second', u.ended),\n"
    "           EXTRACT(epoch FROM COALESCE(u.ended, u.heartbeat) - u.started), u.rows,\n"
    "           u.exit_code, u.archived_bytes, u.freed_bytes, u.backlog_rows,\n"
    "           j.kind\n"
    "      FROM pghaul.run u JOIN pghaul.job j ON j.id = u.job\n"
    "     WHERE j.name = $1::pg_catalog.text\n"
    "     ORDER BY u.id DESC LIMIT " LAST ") AS s\n"
    " ORDER BY s.id";

/* Each with the time until the run went on, or else ended or was last heard of. */
static const char SQL_THROTTLES[] =
    "WITH e AS (\n"
    "    SELECT e.run, e.what, e.reason, e.at,\n"
    "           pg_catalog.lead(e.at) OVER (PARTITION BY e.run ORDER BY e.id) AS until\n"
    "      FROM pghaul.event e JOIN pghaul.job j ON j.id = e.job\n"
    "     WHERE j.name = $1::pg_catalog.text AND e.what IN (" WAITING ", 'going on'))\n"
    "SELECT (pg_catalog.array_agg(e.reason ORDER BY e.at DESC))[1], pg_catalog.count(*),\n"
    "       pg_catalog.sum(EXTRACT(epoch FROM\n"
    "           GREATEST(COALESCE(e.until, u.ended, u.heartbeat), e.at) - e.at)) AS total_s,\n"
    "       pg_catalog.date_trunc('second', pg_catalog.max(e.at))\n"
    "  FROM e LEFT JOIN pghaul.run u ON u.id = e.run\n"
    " WHERE e.what IN (" WAITING ")\n"
    " GROUP BY pg_catalog.regexp_replace(e.reason, '(^| )[0-9][0-9.]*', '\\1#', 'g')\n"
    " ORDER BY total_s DESC LIMIT 10";

static const char SQL_EVENTS[] =
    "SELECT s.* FROM (\n"
    "    SELECT e.id, e.job, e.run, pg_catalog.date_trunc('second', e.at), e.who, e.what,\n"
    "           e.reason\n"
    "      FROM pghaul.event e JOIN pghaul.job j ON j.id = e.job\n"
    "     WHERE j.name = $1::pg_catalog.text AND e.what NOT IN (" WAITING ", 'going on')\n"
    "     ORDER BY e.id DESC LIMIT " LAST ") AS s\n"
    " ORDER BY s.id";

static const char SQL_KNOWN[] =
    "SELECT EXISTS (SELECT FROM pghaul.job j WHERE j.name = $1::pg_catalog.text)";

static int64_t
known(const PgResult *result, int row, int column)
{
    return result_is_null(result, row, column) ? -1 : result_int(result, row, column);
}

static bool
read_runs(PgConn *conn, const Params *name, Arena *arena, History *history, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_RUNS, name, &result, err)) {
        return false;
    }
    history->run_count = result_rows(result);
    history->runs = arena_alloc(arena, (size_t)history->run_count * sizeof(*history->runs));
    for (int i = 0; i < history->run_count; i++) {
        history->runs[i] = (HistoryRun){
            .id = result_int(result, i, 0),
            .job = result_int(result, i, 1),
            .is_cleaned = result_bool(result, i, 2),
            .is_alive = result_bool(result, i, 3),
            .has_ended = result_bool(result, i, 4),
            .host = result_dup(result, i, 5, arena),
            .pid = (int)result_int(result, i, 6),
            .workers = (int)result_int(result, i, 7),
            .version = result_dup(result, i, 8, arena),
            .started = result_dup(result, i, 9, arena),
            .ended = result_dup(result, i, 10, arena),
            .duration_s = result_float(result, i, 11),
            .rows = result_int(result, i, 12),
            .exit_code = (int)result_int(result, i, 13),
            .archived_bytes = known(result, i, 14),
            .freed_bytes = known(result, i, 15),
            .backlog_rows = known(result, i, 16),
            .kind = jobspec_kind_of(result_text(result, i, 17)),
        };
    }
    return true;
}

static bool
read_throttles(PgConn *conn, const Params *name, Arena *arena, History *history, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_THROTTLES, name, &result, err)) {
        return false;
    }
    int count = result_rows(result);
    history->throttle_count = count;
    history->throttles = arena_alloc(arena, (size_t)count * sizeof(*history->throttles));
    for (int i = 0; i < count; i++) {
        history->throttles[i] = (HistoryThrottle){
            .reason = result_dup(result, i, 0, arena),
            .count = result_int(result, i, 1),
            .total_s = result_float(result, i, 2),
            .last_at = result_dup(result, i, 3, arena),
        };
    }
    return true;
}

static bool
read_events(PgConn *conn, const Params *name, Arena *arena, History *history, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_EVENTS, name, &result, err)) {
        return false;
    }
    int count = result_rows(result);
    history->event_count = count;
    history->events = arena_alloc(arena, (size_t)count * sizeof(*history->events));
    for (int i = 0; i < count; i++) {
        history->events[i] = (HistoryEvent){
            .job = result_int(result, i, 1),
            .run = result_int(result, i, 2),
            .at = result_dup(result, i, 3, arena),
            .who = result_dup(result, i, 4, arena),
            .what = result_dup(result, i, 5, arena),
            .reason = result_dup(result, i, 6, arena),
        };
    }
    return true;
}

bool
history_read(PgConn *conn, const char *name, Arena *arena, History *history, Err *err)
{
    *history = (History){.runs = NULL};
    Params params = PARAMS_INIT;
    params_text(&params, name);
    PGRESULT_AUTO *known = NULL;
    if (!query_one_with(conn, SQL_KNOWN, &params, &known, err) ||
        !read_runs(conn, &params, arena, history, err) ||
        !read_throttles(conn, &params, arena, history, err) ||
        !read_events(conn, &params, arena, history, err)) {
        return err_wrap(err, "read history");
    }
    history->is_known = result_bool(known, 0, 0);
    return true;
}
