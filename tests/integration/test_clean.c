/*
 * test_clean.c - a job is cleaned at the moment when a run of it begins: one of the two has it.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "harness/harness.h"
#include "integration/job_fixture.h"
#include "ops/clean.h"
#include "ops/prepare.h"
#include "store/run.h"

#define TABLE "CREATE TABLE t (id bigint PRIMARY KEY, src text, c text);"
#define JOB   "job: j\nbackfill: t\nset: {c: upper(src)}\nthrottle: {standbys: none}\n"

#define FUNCTIONS "SELECT count(*) FROM pg_proc WHERE proname ~ '_1_[0-9a-f]{16}$'"

static PgConn *
open_idle_job(JobFixture *f)
{
    job_fixture_open(f, TABLE, JOB);
    pg_exec(f->sql, "UPDATE pghaul.run SET ended = now()");
    return job_fixture_connect(f, CONN_CATALOG);
}

/* What a run does to be known of; the session stands for it. */
static void
begin_to_register(Session *session)
{
    pg_exec(session_conn(session),
        "BEGIN; SELECT FROM pghaul.job FOR SHARE;"
        "INSERT INTO pghaul.run (job, host, pid, backend_pid, backend_start, version, workers)"
        " SELECT 1, 'there', 2, pid, backend_start, '1', 1 FROM pg_stat_activity"
        "  WHERE pid = pg_backend_pid()");
}

Test(clean, a_job_that_was_cleaned_meanwhile_takes_no_run_functions_or_state)
{
    JobFixture f;
    StopToken stop;
    stop_init(&stop);
    PgConn *conn = open_idle_job(&f);
    Err err = ERR_INIT;
    cr_assert(clean_job(conn, &f.job, &stop, &err), "%s", err.message);

    RunNew run = {.job = f.job.id, .host = "here", .version = "1", .workers = 1};
    cr_expect(not(run_register(conn, &run, &f.run, &err)));
    cr_expect(eq(int, ERR_BUSY, err.cls), "%s", err.message);
    err = ERR_INIT;
    cr_expect(not(prepare_functions(conn, &f.survey.plan, f.job.id, &err)));
    cr_expect(eq(int, ERR_BUSY, err.cls), "%s", err.message);
    err = ERR_INIT;
    cr_expect(not(job_set_state(conn, f.job.id, JOB_READY, NULL, &err)));
    cr_expect(eq(int, ERR_BUSY, err.cls), "%s", err.message);
    cr_expect(eq(i64, 0, pg_int(f.sql, FUNCTIONS)));
    cr_expect(eq(i64, 1, pg_int(f.sql, "SELECT count(*) FROM pghaul.run")));
    stop_destroy(&stop);
    conn_close(conn);
    job_fixture_close(&f);
}

Test(clean, a_run_that_registers_at_this_moment_is_seen)
{
    JobFixture f;
    StopToken stop;
    stop_init(&stop);
    PgConn *conn = open_idle_job(&f);
    for (int all = 0; all < 2; all++) {
        Session *run = session_open(f.uri);
        Err err = ERR_INIT;
        begin_to_register(run);
        session_send(run, "SELECT pg_sleep(0.3); COMMIT");
        cr_expect(
            not(all == 1 ? clean_all(conn, &stop, &err) : clean_job(conn, &f.job, &stop, &err)));
        cr_expect(eq(int, ERR_BUSY, err.cls), "%s", err.message);
        session_expect_ok(run, HARNESS_TIMEOUT_US);
        cr_expect(lt(i64, 0, pg_int(f.sql, FUNCTIONS)));
        cr_expect(eq(i64, 1,
            pg_int(f.sql, "SELECT count(*) FROM pghaul.job"
                          " WHERE cleaned IS NULL")));
        session_close(run);
        pg_wait_true(f.sql, "SELECT pghaul.runs_alive(1) = 0", HARNESS_TIMEOUT_US);
    }
    Err err = ERR_INIT;
    cr_expect(clean_all(conn, &stop, &err), "%s", err.message);
    cr_expect(eq(i64, 0, pg_int(f.sql, FUNCTIONS)));
    stop_destroy(&stop);
    conn_close(conn);
    job_fixture_close(&f);
}
