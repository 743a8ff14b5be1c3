#include "store/status.h"

#include <stdio.h>
#include <string.h>

#include "pg/params.h"

/* Each run reports the pace of all, so the mean of their reports is it. */
static const char SQL_JOBS[] =
    "SELECT p.job, p.name, p.table_name, p.state, p.reason, p.pass, p.pass_kind, p.ranges,\n"
    "       p.ranges_done, p.carved, p.rows, p.est_done, p.est_rows, p.differing, p.leftover,\n"
    "       p.runs, COALESCE(p.rows_per_s / NULLIF(p.runs, 0), -1), p.run_reason,\n"
    "       COALESCE(EXTRACT(epoch FROM COALESCE(p.finished, pg_catalog.clock_timestamp())\n"
    "                    - p.started), -1)\n"
    "  FROM pghaul.progress p\n"
    " WHERE p.name = $1::pg_catalog.text OR $1 IS NULL\n"
    " ORDER BY p.job";

static bool
take_row(const PgResult *result, int row, Arena *arena, StatusRow *status, Err *err)
{
    *status = (StatusRow){
        .id = result_int(result, row, 0),
        .name = result_dup(result, row, 1, arena),
        .table_name = result_dup(result, row, 2, arena),
        .reason = result_dup(result, row, 4, arena),
        .pass = (int)result_int(result, row, 5),
        .pass_kind = passkind_parse(result_text(result, row, 6)),
        .ranges = result_int(result, row, 7),
        .ranges_done = result_int(result, row, 8),
        .carved = result_bool(result, row, 9),
        .rows = result_int(result, row, 10),
        .est_done = result_int(result, row, 11),
        .est_rows = result_int(result, row, 12),
        .differing = result_int(result, row, 13),
        .leftover = result_int(result, row, 14),
        .runs = (int)result_int(result, row, 15),
        .rows_per_s = result_float(result, row, 16),
        .throttle = result_dup(result, row, 17, arena),
        .elapsed_s = result_float(result, row, 18),
    };
    if (!jobstate_parse(result_text(result, row, 3), &status->state)) {
        return err_set(err, ERR_FATAL, "unknown job state \"%s\"", result_text(result, row, 3));
    }
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

static const char SQL_RUNS[] =
    "SELECT u.id, u.host, u.pid, u.workers,\n"
    "       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - u.heartbeat), u.reason\n"
    "  FROM pghaul.run u\n"
    " WHERE u.job = $1::pg_catalog.int8 AND u.ended IS NULL\n"
    "   AND u.heartbeat > pg_catalog.clock_timestamp() - '30 s'::pg_catalog.interval\n"
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
            .heartbeat_age_s = result_float(result, i, 4),
            .throttle = result_dup(result, i, 5, arena),
        };
    }
    return true;
}

double
status_share(const StatusRow *row)
{
    if (row->state == JOB_COMPLETE) {
        return 1.0;
    }
    if (row->est_rows <= 0) {
        return 0.0;
    }
    double share = (double)row->est_done / (double)row->est_rows;
    return share > 0.999 ? 0.999 : share;
}

int64_t
status_eta_s(const StatusRow *row)
{
    int64_t left = row->est_rows - row->est_done;
    if (row->runs == 0 || row->rows_per_s < 0.5 || left <= 0) {
        return -1;
    }
    return (int64_t)((double)left / row->rows_per_s);
}
