#include "store/status.h"

#include <string.h>

#include "pg/params.h"
#include "store/run.h"

enum {
    COL_JOB_ID,
    COL_JOB,
    COL_TABLE,
    COL_STATE,
    COL_REASON,
    COL_PASS,
    COL_PASS_KIND,
    COL_DONE_RATIO,
    COL_ROWS,
    COL_EST_ROWS,
    COL_RANGES,
    COL_RANGES_DONE,
    COL_CARVED,
    COL_DIFFERING,
    COL_LEFTOVER,
    COL_QUARANTINED,
    COL_RATE,
    COL_ETA,
    COL_ELAPSED,
    COL_RUNS,
    COL_THROTTLE,
    COL_BATCH_AGE,
    COL_HEARTBEAT_AGE,
    COL_IDLE,
    COL_VAIN,
    COL_SESSIONS,
    COL_PAUSED_BY,
    COL_BACKLOG_ROWS,
    COL_BACKLOG_S,
    COL_KIND
};

static const char SQL_JOBS[] =
    "SELECT p.job_id, p.job, p.table_name, p.state, p.reason, p.pass, p.pass_kind,\n"
    "       p.done_ratio, p.pass_rows, p.estimated_rows, p.ranges, p.ranges_done,\n"
    "       p.ranges_are_all, p.differing_rows, p.leftover_rows, p.quarantined_rows,\n"
    "       p.rows_per_s, p.eta_s, p.elapsed_s, p.runs_alive, p.throttle_reason,\n"
    "       p.last_batch_age_s, p.heartbeat_age_s, p.idle_s, p.vain_visits, p.sessions,\n"
    "       p.paused_by, p.backlog_rows, p.backlog_s, p.kind\n"
    "  FROM pghaul.progress p\n"
    " WHERE p.job = $1::pg_catalog.text OR $1 IS NULL\n"
    " ORDER BY p.job_id";

/* -1 for NULL, which is not known. */
static double
known(const PgResult *result, int row, int column)
{
    return result_is_null(result, row, column) ? -1 : result_float(result, row, column);
}

static bool
take_facts(const PgResult *result, int row, Arena *arena, HealthFacts *facts, Err *err)
{
    *facts = (HealthFacts){
        .job = result_dup(result, row, COL_JOB, arena),
        .pass_kind = passkind_parse(result_text(result, row, COL_PASS_KIND)),
        .reason = result_dup(result, row, COL_REASON, arena),
        .runs_alive = (int)result_int(result, row, COL_RUNS),
        .sessions = (int)result_int(result, row, COL_SESSIONS),
        .heartbeat_age_s = known(result, row, COL_HEARTBEAT_AGE),
        .idle_s = known(result, row, COL_IDLE),
        .throttle = result_dup(result, row, COL_THROTTLE, arena),
        .vain_visits = result_int(result, row, COL_VAIN),
        .quarantined_rows = result_int(result, row, COL_QUARANTINED),
        .differing_rows = result_int(result, row, COL_DIFFERING),
        .paused_by = result_dup(result, row, COL_PAUSED_BY, arena),
        .kind = jobspec_kind_of(result_text(result, row, COL_KIND)),
        .backlog_rows = result_is_null(result, row, COL_BACKLOG_ROWS)
                            ? -1
                            : result_int(result, row, COL_BACKLOG_ROWS),
        .backlog_s = result_float(result, row, COL_BACKLOG_S),
    };
    facts->pass_is_done =
        result_bool(result, row, COL_CARVED) &&
        result_int(result, row, COL_RANGES) == result_int(result, row, COL_RANGES_DONE);
    const char *state = result_text(result, row, COL_STATE);
    return jobstate_parse(state, &facts->state) ||
           err_set(err, ERR_FATAL, "unknown job state \"%s\"", state);
}

static bool
take_row(const PgResult *result, int row, Arena *arena, StatusRow *status, Err *err)
{
    *status = (StatusRow){
        .id = result_int(result, row, COL_JOB_ID),
        .table_name = result_dup(result, row, COL_TABLE, arena),
        .pass = (int)result_int(result, row, COL_PASS),
        .done_ratio = result_float(result, row, COL_DONE_RATIO),
        .ranges = result_int(result, row, COL_RANGES),
        .ranges_done = result_int(result, row, COL_RANGES_DONE),
        .carved = result_bool(result, row, COL_CARVED),
        .rows = result_int(result, row, COL_ROWS),
        .est_rows = result_int(result, row, COL_EST_ROWS),
        .leftover = result_int(result, row, COL_LEFTOVER),
        .rows_per_s = known(result, row, COL_RATE),
        .eta_s = known(result, row, COL_ETA),
        .elapsed_s = known(result, row, COL_ELAPSED),
        .last_batch_age_s = known(result, row, COL_BATCH_AGE),
    };
    if (!take_facts(result, row, arena, &status->facts, err)) {
        return false;
    }
    status->verdict = health_judge(&status->facts, arena);
    return true;
}

bool
status_jobs(PgConn *conn, const char *name, Arena *arena, StatusRow **rows, int *count, Err *err)
{
    Params params = PARAMS_INIT;
    params_text(&params, name);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_JOBS, &params, &result, err)) {
        return err_wrap(err, "read progress");
    }
    *count = result_rows(result);
    *rows = arena_alloc(arena, (size_t)*count * sizeof(**rows));
    for (int i = 0; i < *count; i++) {
        if (!take_row(result, i, arena, &(*rows)[i], err)) {
            return false;
        }
    }
    return true;
}

static const char SQL_TABLE[] = "SELECT pg_catalog.to_regclass(j.table_name)::pg_catalog.oid\n"
                                "  FROM pghaul.job j WHERE j.id = $1::pg_catalog.int8";

bool
status_table_oid(PgConn *conn, int64_t job, uint32_t *oid, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_TABLE, &params, &result, err)) {
        return err_wrap(err, "look for the table");
    }
    *oid = (uint32_t)result_int(result, 0, 0);
    return true;
}

static const char SQL_RUNS[] =
    "SELECT u.id, u.host, u.pid, u.workers, u.rows,\n"
    "       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - u.heartbeat), u.reason\n"
    "  FROM pghaul.run u\n"
    " WHERE u.job = $1::pg_catalog.int8 AND " SQL_RUN_IS_ALIVE "\n"
    " ORDER BY u.id";

bool
status_runs(PgConn *conn, int64_t job, Arena *arena, StatusRun **runs, int *count, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_RUNS, &params, &result, err)) {
        return err_wrap(err, "read runs");
    }
    *count = result_rows(result);
    *runs = arena_alloc(arena, (size_t)*count * sizeof(**runs));
    for (int i = 0; i < *count; i++) {
        (*runs)[i] = (StatusRun){
            .id = result_int(result, i, 0),
            .host = result_dup(result, i, 1, arena),
            .pid = (int)result_int(result, i, 2),
            .workers = (int)result_int(result, i, 3),
            .rows = result_int(result, i, 4),
            .heartbeat_age_s = result_float(result, i, 5),
            .throttle = result_dup(result, i, 6, arena),
        };
    }
    return true;
}
