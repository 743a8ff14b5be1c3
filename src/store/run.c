#include "store/run.h"

#include "pg/params.h"
#include "store/job.h"

/* FOR SHARE: whoever cleans the job sees the run, or the run sees that it is cleaned. */
static const char SQL_REGISTER[] =
    "INSERT INTO pghaul.run (job, host, pid, backend_pid, backend_start, version, workers,\n"
    "                        workers_option)\n"
    "SELECT j.id, $2::pg_catalog.text, $3::pg_catalog.int4, $4::pg_catalog.int4,\n"
    "       $5::pg_catalog.timestamptz, $6::pg_catalog.text, $7::pg_catalog.int4,\n"
    "       NULLIF($8::pg_catalog.int4, 0)\n"
    "  FROM pghaul.job j WHERE j.id = $1::pg_catalog.int8 AND j.cleaned IS NULL FOR SHARE\n"
    "RETURNING id";

bool
run_register(PgConn *conn, const RunNew *run, int64_t *id, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, run->job);
    params_text(&params, run->host);
    params_int(&params, run->pid);
    params_int(&params, conn_backend_pid(conn));
    params_text(&params, conn_backend_start(conn));
    params_text(&params, run->version);
    params_int(&params, run->workers);
    params_int(&params, run->workers_option);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_REGISTER, &params, &result, err)) {
        return err_wrap(err, "register the run");
    }
    if (result_rows(result) == 0) {
        return job_is_cleaned(err);
    }
    *id = result_int(result, 0, 0);
    return true;
}

/* Two parameters, NULL for a run that is no copy's. */
static void
put_backlog(Params *params, int64_t rows, double seconds)
{
    if (rows < 0) {
        params_text(params, NULL);
        params_text(params, NULL);
    } else {
        params_int(params, rows);
        params_float(params, seconds);
    }
}

/* The session that sends it stands for the run: after a restart of the server it is another. */
static const char SQL_HEARTBEAT[] =
    "UPDATE pghaul.run AS u\n"
    "   SET heartbeat = pg_catalog.clock_timestamp(), rows_per_s = $2::pg_catalog.float8,\n"
    "       reason = $3::pg_catalog.text, backend_pid = $4::pg_catalog.int4,\n"
    "       backend_start = $5::pg_catalog.timestamptz, rows = $6::pg_catalog.int8,\n"
    "       backlog_rows = $8::pg_catalog.int8, backlog_s = $9::pg_catalog.float8,\n"
    "       last_batch = CASE WHEN $7::pg_catalog.int8 >= 0 THEN pg_catalog.clock_timestamp()\n"
    "           - $7 * '1 us'::pg_catalog.interval END\n"
    " WHERE u.id = $1::pg_catalog.int8";

bool
run_heartbeat(PgConn *conn, const RunBeat *beat, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, beat->run);
    params_float(&params, beat->rows_per_s);
    params_text(&params, beat->reason);
    params_int(&params, conn_backend_pid(conn));
    params_text(&params, conn_backend_start(conn));
    params_int(&params, beat->rows);
    params_int(&params, beat->batch_age_us);
    put_backlog(&params, beat->backlog_rows, beat->backlog_s);
    return query_with(conn, SQL_HEARTBEAT, &params, NULL, err) || err_wrap(err, "heartbeat");
}

static const char SQL_END[] =
    "UPDATE pghaul.run AS u\n"
    "   SET ended = pg_catalog.clock_timestamp(), exit_code = $2::pg_catalog.int4,\n"
    "       reason = NULL\n"
    " WHERE u.id = $1::pg_catalog.int8\n"
    "RETURNING u.job";

static const char SQL_COUNT_ALIVE[] = "SELECT pg_catalog.count(*) FROM pghaul.run u\n"
                                      " WHERE u.job = $1::pg_catalog.int8 AND " SQL_RUN_IS_ALIVE;

bool
run_count_alive(PgConn *conn, int64_t job, int *alive, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_COUNT_ALIVE, &params, &result, err)) {
        return err_wrap(err, "count runs");
    }
    *alive = (int)result_int(result, 0, 0);
    return true;
}

bool
run_end(PgConn *conn, int64_t id, int exit_code, int *others, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, id);
    params_int(&params, exit_code);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_END, &params, &result, err)) {
        return err_wrap(err, "end the run");
    }
    return run_count_alive(conn, result_int(result, 0, 0), others, err);
}

bool
run_hold_off(PgConn *conn, Err *err)
{
    return query_run(conn, "LOCK TABLE pghaul.run IN EXCLUSIVE MODE", NULL, err) ||
           err_wrap(err, "hold off runs");
}

static const char SQL_SAMPLE[] =
    "INSERT INTO pghaul.sample (job, run, rows, rows_per_s, batch_ms, workers, lag_s,\n"
    "                           throttled_s, hot_ratio, backlog_rows, backlog_s)\n"
    "VALUES ($1::pg_catalog.int8, $2::pg_catalog.int8, $3::pg_catalog.int8,\n"
    "        $4::pg_catalog.float8, $5::pg_catalog.float8, $6::pg_catalog.int4,\n"
    "        NULLIF($7::pg_catalog.float8, -1), $8::pg_catalog.float8,\n"
    "        NULLIF($9::pg_catalog.float8, -1), $10::pg_catalog.int8, $11::pg_catalog.float8)";

bool
run_sample(PgConn *conn, const RunSample *sample, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, sample->job);
    params_int(&params, sample->run);
    params_int(&params, sample->rows);
    params_float(&params, sample->rows_per_s);
    params_float(&params, sample->batch_ms);
    params_int(&params, sample->workers);
    params_float(&params, sample->lag_s < 0 ? -1 : sample->lag_s);
    params_float(&params, sample->throttled_s);
    params_float(&params, sample->hot_ratio < 0 ? -1 : sample->hot_ratio);
    put_backlog(&params, sample->backlog_rows, sample->backlog_s);
    return query_with(conn, SQL_SAMPLE, &params, NULL, err) || err_wrap(err, "sample");
}
