#include "store/control.h"

#include <string.h>

#include "pg/params.h"
#include "store/run.h"

/* ---- read ---- */

static const char SQL_READ[] =
    "SELECT j.state, j.reason, CASE WHEN u.stop_requested IS NOT NULL THEN u.stop_by END,\n"
    "       s.key, s.value, s.who,\n"
    "       pg_catalog.date_trunc('second', s.at),\n"
    "       s.at > u.started\n"
    "  FROM pghaul.job j\n"
    "  LEFT JOIN pghaul.run u ON u.id = $2::pg_catalog.int8\n"
    "  LEFT JOIN pghaul.setting s ON s.job = j.id\n"
    " WHERE j.id = $1::pg_catalog.int8\n"
    " ORDER BY s.key DESC";

bool
control_read(PgConn *conn, int64_t job, int64_t run, Arena *arena, Control *control, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    params_int(&params, run);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_READ, &params, &result, err)) {
        return err_wrap(err, "read control");
    }
    int rows = result_rows(result);
    if (rows == 0 || !jobstate_parse(result_text(result, 0, 0), &control->state)) {
        return err_set(err, ERR_DRIFT, "the job's row in pghaul.job is gone");
    }
    control->reason = result_dup(result, 0, 1, arena);
    control->stop_by = result_dup(result, 0, 2, arena);
    control->setting_count = result_is_null(result, 0, 3) ? 0 : rows;
    control->settings = arena_alloc(arena, (size_t)rows * sizeof(*control->settings));
    for (int i = 0; i < control->setting_count; i++) {
        control->settings[i] = (ControlSetting){
            .key = result_dup(result, i, 3, arena),
            .value = result_dup(result, i, 4, arena),
            .who = result_dup(result, i, 5, arena),
            .at = result_dup(result, i, 6, arena),
            .is_newer = result_bool(result, i, 7),
        };
    }
    return true;
}

static const char SQL_RECORD_WORKERS[] =
    "UPDATE pghaul.run AS u SET workers = $2::pg_catalog.int4 WHERE u.id = $1::pg_catalog.int8";

bool
control_record_workers(PgConn *conn, int64_t run, int workers, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, run);
    params_int(&params, workers);
    return query_with(conn, SQL_RECORD_WORKERS, &params, NULL, err) ||
           err_wrap(err, "record workers");
}

/* ---- call ---- */

static const char SQL_PAUSE[] = "SELECT pghaul.pause($1::pg_catalog.text, $2::pg_catalog.text)";
static const char SQL_RESUME[] = "SELECT pghaul.resume($1::pg_catalog.text)";
static const char SQL_STOP[] = "SELECT pghaul.stop($1::pg_catalog.text)";
static const char SQL_SET[] =
    "SELECT pghaul.set($1::pg_catalog.text, $2::pg_catalog.text, $3::pg_catalog.text)";

static bool
call(PgConn *conn, const char *sql, const Params *params, Arena *arena, const char **answer,
    Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, sql, params, &result, err)) {
        return false;
    }
    *answer = result_dup(result, 0, 0, arena);
    return true;
}

bool
control_pause(
    PgConn *conn, const char *job, const char *reason, Arena *arena, const char **answer, Err *err)
{
    Params params = PARAMS_INIT;
    params_text(&params, job);
    params_text(&params, reason);
    return call(conn, SQL_PAUSE, &params, arena, answer, err);
}

bool
control_resume(PgConn *conn, const char *job, Arena *arena, const char **answer, Err *err)
{
    Params params = PARAMS_INIT;
    params_text(&params, job);
    return call(conn, SQL_RESUME, &params, arena, answer, err);
}

bool
control_stop(PgConn *conn, const char *job, Arena *arena, const char **answer, Err *err)
{
    Params params = PARAMS_INIT;
    params_text(&params, job);
    return call(conn, SQL_STOP, &params, arena, answer, err);
}

bool
control_set(PgConn *conn, const char *job, const ControlChange *change, Arena *arena,
    const char **answer, Err *err)
{
    Params params = PARAMS_INIT;
    params_text(&params, job);
    params_text(&params, change->key);
    params_text(&params, change->value);
    return call(conn, SQL_SET, &params, arena, answer, err);
}

/* ---- lists ---- */

static const char *const SQL_JOBS[] = {
    [CONTROL_AT_WORK] = "SELECT j.name FROM pghaul.job j\n"
                        " WHERE j.cleaned IS NULL AND j.state IN ('ready', 'running',\n"
                        "           'synced') ORDER BY j.id",
    [CONTROL_PAUSED] = "SELECT j.name FROM pghaul.job j\n"
                       " WHERE j.cleaned IS NULL AND j.state = 'paused' ORDER BY j.id",
    [CONTROL_WITH_RUNS] = "SELECT j.name FROM pghaul.job j\n"
                          " WHERE j.cleaned IS NULL AND EXISTS (\n"
                          "       SELECT FROM pghaul.run u\n"
                          "        WHERE u.job = j.id AND " SQL_RUN_IS_ALIVE ")\n"
                          " ORDER BY j.id",
};

bool
control_jobs(
    PgConn *conn, ControlScope scope, Arena *arena, const char ***names, int *count, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!query_run(conn, SQL_JOBS[scope], &result, err)) {
        return err_wrap(err, "list jobs");
    }
    *count = result_rows(result);
    *names = arena_alloc(arena, (size_t)*count * sizeof(**names));
    for (int i = 0; i < *count; i++) {
        (*names)[i] = result_dup(result, i, 0, arena);
    }
    return true;
}

static const char SQL_RUNS[] = "SELECT u.id, u.host, u.pid, u.workers, u.workers_option\n"
                               "  FROM pghaul.run u\n"
                               " WHERE u.job = $1::pg_catalog.int8 AND " SQL_RUN_IS_ALIVE "\n"
                               " ORDER BY u.id";

bool
control_runs(PgConn *conn, int64_t job, Arena *arena, ControlRun **runs, int *count, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_RUNS, &params, &result, err)) {
        return err_wrap(err, "list runs");
    }
    *count = result_rows(result);
    *runs = arena_alloc(arena, (size_t)*count * sizeof(**runs));
    for (int i = 0; i < *count; i++) {
        (*runs)[i] = (ControlRun){
            .id = result_int(result, i, 0),
            .host = result_dup(result, i, 1, arena),
            .pid = (int)result_int(result, i, 2),
            .workers = (int)result_int(result, i, 3),
            .workers_option = (int)result_int(result, i, 4),
        };
    }
    return true;
}
