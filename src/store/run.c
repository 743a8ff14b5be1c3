#include "store/run.h"

#include <stdio.h>

#include "pg/query.h"

#define NUMBER_SIZE 32

static const char *
number(char *buf, int64_t value)
{
    (void)snprintf(buf, NUMBER_SIZE, "%lld", (long long)value);
    return buf;
}

static const char *
fraction(char *buf, double value)
{
    (void)snprintf(buf, NUMBER_SIZE, "%.3f", value);
    return buf;
}

static const char SQL_REGISTER[] =
    "INSERT INTO pghaul.run (job, host, pid, backend_pid, backend_start, version, workers)\n"
    "VALUES ($1::pg_catalog.int8, $2::pg_catalog.text, $3::pg_catalog.int4,\n"
    "        $4::pg_catalog.int4, $5::pg_catalog.timestamptz, $6::pg_catalog.text,\n"
    "        $7::pg_catalog.int4)\n"
    "RETURNING id";

bool
run_register(PgConn *conn, const RunNew *run, int64_t *id, Err *err)
{
    char job[NUMBER_SIZE];
    char pid[NUMBER_SIZE];
    char backend[NUMBER_SIZE];
    char workers[NUMBER_SIZE];
    const char *params[] = {number(job, run->job), run->host, number(pid, run->pid),
        number(backend, conn_backend_pid(conn)), conn_backend_start(conn), run->version,
        number(workers, run->workers)};
    PGRESULT_AUTO *result = NULL;
    if (!query_one(conn, SQL_REGISTER, 7, params, &result, err)) {
        return err_wrap(err, "register the run");
    }
    *id = result_int(result, 0, 0);
    return true;
}

static const char SQL_HEARTBEAT[] =
    "UPDATE pghaul.run AS u\n"
    "   SET heartbeat = pg_catalog.clock_timestamp(), rows_per_s = $2::pg_catalog.float8,\n"
    "       reason = $3::pg_catalog.text\n"
    " WHERE u.id = $1::pg_catalog.int8";

bool
run_heartbeat(PgConn *conn, int64_t id, double rows_per_s, const char *reason, Err *err)
{
    char id_text[NUMBER_SIZE];
    char rate[NUMBER_SIZE];
    const char *params[] = {number(id_text, id), fraction(rate, rows_per_s), reason};
    return query_params(conn, SQL_HEARTBEAT, 3, params, QUERY_TIMEOUT_US, NULL, err) ||
           err_wrap(err, "heartbeat");
}

/* Alive: not ended, its backend still there, and a heartbeat within the default lease. */
#define SQL_ALIVE                                                                                  \
    "u.ended IS NULL\n"                                                                            \
    "   AND u.heartbeat > pg_catalog.clock_timestamp() - '30 s'::pg_catalog.interval\n"            \
    "   AND EXISTS (SELECT FROM pg_catalog.pg_stat_get_activity(u.backend_pid) a\n"                \
    "                WHERE a.pid = u.backend_pid\n"                                                \
    "                  AND COALESCE(a.backend_start = u.backend_start, true))"

static const char SQL_END[] =
    "UPDATE pghaul.run AS u\n"
    "   SET ended = pg_catalog.clock_timestamp(), exit_code = $2::pg_catalog.int4,\n"
    "       reason = NULL\n"
    " WHERE u.id = $1::pg_catalog.int8\n"
    "RETURNING u.job";

static const char SQL_COUNT_ALIVE[] = "SELECT pg_catalog.count(*) FROM pghaul.run u\n"
                                      " WHERE u.job = $1::pg_catalog.int8 AND " SQL_ALIVE;

bool
run_count_alive(PgConn *conn, int64_t job, int *alive, Err *err)
{
    char job_text[NUMBER_SIZE];
    const char *params[] = {number(job_text, job)};
    PGRESULT_AUTO *result = NULL;
    if (!query_one(conn, SQL_COUNT_ALIVE, 1, params, &result, err)) {
        return err_wrap(err, "count runs");
    }
    *alive = (int)result_int(result, 0, 0);
    return true;
}

bool
run_end(PgConn *conn, int64_t id, int exit_code, int *others, Err *err)
{
    char id_text[NUMBER_SIZE];
    char code[NUMBER_SIZE];
    const char *params[] = {number(id_text, id), number(code, exit_code)};
    PGRESULT_AUTO *result = NULL;
    if (!query_one(conn, SQL_END, 2, params, &result, err)) {
        return err_wrap(err, "end the run");
    }
    return run_count_alive(conn, result_int(result, 0, 0), others, err);
}

static const char SQL_SAMPLE[] =
    "INSERT INTO pghaul.sample (job, run, rows, rows_per_s, batch_ms, workers, lag_s,\n"
    "                           throttled_s, hot_ratio)\n"
    "VALUES ($1::pg_catalog.int8, $2::pg_catalog.int8, $3::pg_catalog.int8,\n"
    "        $4::pg_catalog.float8, $5::pg_catalog.float8, $6::pg_catalog.int4,\n"
    "        NULLIF($7::pg_catalog.float8, -1), $8::pg_catalog.float8,\n"
    "        NULLIF($9::pg_catalog.float8, -1))";

bool
run_sample(PgConn *conn, const RunSample *sample, Err *err)
{
    char job[NUMBER_SIZE];
    char run[NUMBER_SIZE];
    char rows[NUMBER_SIZE];
    char rate[NUMBER_SIZE];
    char batch[NUMBER_SIZE];
    char workers[NUMBER_SIZE];
    char lag[NUMBER_SIZE];
    char throttled[NUMBER_SIZE];
    char hot[NUMBER_SIZE];
    const char *params[] = {number(job, sample->job), number(run, sample->run),
        number(rows, sample->rows), fraction(rate, sample->rows_per_s),
        fraction(batch, sample->batch_ms), number(workers, sample->workers),
        fraction(lag, sample->lag_s < 0 ? -1 : sample->lag_s),
        fraction(throttled, sample->throttled_s),
        fraction(hot, sample->hot_ratio < 0 ? -1 : sample->hot_ratio)};
    return query_params(conn, SQL_SAMPLE, 9, params, QUERY_TIMEOUT_US, NULL, err) ||
           err_wrap(err, "sample");
}
