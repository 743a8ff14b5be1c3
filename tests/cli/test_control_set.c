/*
 * test_control_set.c - settings that change while a job runs: what runs make of them, and what
 * wins.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "cli/cli.h"
#include "harness/harness.h"
#include "harness/job.h"
#include "harness/session.h"

#define ROWS      100000 /* ranges for several workers */
#define SLOW_US   1000   /* none is done before the test lets it go */
#define JOB_LINES JOB_SET_HITS "path: key\nworkers: 2\nthrottle: {standbys: none}\n"

static void
open_job(JobTest *test, const char *lines)
{
    job_open(test, cluster_shared(), ROWS, SLOW_US);
    job_write(test, lines);
}

/* `run --yes [--workers N]`, up to its first batches. */
static Proc *
start(const JobTest *test, const char *workers)
{
    const char *const more[] = {"--yes", workers == NULL ? NULL : "--workers", workers, NULL};
    Proc *proc = job_start_verb(test, "run", NULL, more);
    cr_assert(job_wait_batches(test, proc, job_batches(test), 3));
    return proc;
}

static void
finish(const JobTest *test, Proc *proc)
{
    job_set_slow(test, 0);
    job_expect_exit(proc, 0);
    cr_expect(eq(i64, 0, job_count_wrong(test, JOB_HITS_RIGHT)));
    cr_expect(eq(i64, ROWS, job_moved_rows(test)));
}

/* `pghaul set JOB A [B]`; returns what it prints. */
static char *
set(const JobTest *test, const char *a, const char *b, int code)
{
    const char *const more[] = {a, b, NULL};
    return job_verb_output(test, "set", more, code);
}

static void
expect_set(const JobTest *test, const char *a, const char *b, int code, const char *part)
{
    char *out = set(test, a, b, code);
    cr_expect(cli_has(out, part), "set %s should print \"%s\":\n%s", a == NULL ? "" : a, part, out);
    free(out);
}

static void
wait_sql(const JobTest *test, const char *sql)
{
    pg_wait_true(test->conn, sql, HARNESS_TIMEOUT_US);
}

/* So many sessions move rows, and the run's row says so. */
static void
wait_workers(const JobTest *test, int workers)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_printf(&sql,
        "SELECT count(*) = %d AND (SELECT workers = %d FROM pghaul.run ORDER BY id DESC LIMIT 1)"
        " FROM pg_stat_activity WHERE application_name LIKE 'pghaul/" JOB_NAME "/w%%'"
        " AND datname = current_database()",
        workers, workers);
    wait_sql(test, strbuf_text(&sql));
}

Test(control_set, workers_come_and_go_without_a_row_lost_or_twice, .timeout = 120)
{
    JobTest test;
    open_job(&test, JOB_LINES);
    job_set_slow(&test, 5000); /* for 64 workers as well */
    Proc *proc = start(&test, NULL);
    wait_workers(&test, 2);
    static const int COUNTS[] = {7, 1, 4, 64, 3};
    for (size_t i = 0; i < sizeof(COUNTS) / sizeof(COUNTS[0]); i++) {
        char argument[32];
        (void)snprintf(argument, sizeof(argument), "workers=%d", COUNTS[i]);
        expect_set(&test, argument, NULL, 0, "its run takes it up");
        wait_workers(&test, COUNTS[i]);
        cr_assert(job_wait_batches(&test, proc, job_batches(&test), 3));
    }
    wait_sql(&test, "SELECT count(*) <= 3 FROM pghaul.ranges WHERE state = 'leased'");
    cr_assert(job_is_moving(&test));
    finish(&test, proc);
    job_close_cluster(&test);
}

/* Measured: runs alone, as those of test_control.c. */
Test(notice, batches_follow_within_a_second, .timeout = 120)
{
    JobTest test;
    open_job(&test, JOB_LINES "batch: {rows: 50}\n");
    Proc *proc = start(&test, NULL);
    expect_set(&test, "batch.rows=7", "throttle.yield_after=1s", 0, "batch.rows=7; its run");
    wait_sql(&test, "SELECT EXISTS (SELECT FROM pghaul.event s, pghaul.event n"
                    " WHERE s.what = 'set' AND s.reason = 'batch.rows=7' AND n.what = 'settings'"
                    " AND n.run IS NOT NULL AND n.at - s.at < '1 s'"
                    " AND n.reason = 'throttle.yield_after=1s batch.rows=7')");
    harness_nap_us(300000); /* batches in flight */
    int64_t batches = job_batches(&test);
    int64_t rows = job_moved_rows(&test);
    cr_assert(job_wait_batches(&test, proc, batches, 20));
    pg_exec(test.conn, "SELECT pghaul.pause('" JOB_NAME "')");
    wait_sql(&test, "SELECT EXISTS (SELECT FROM pghaul.event WHERE what = 'paused')");
    harness_nap_us(300000);
    batches = job_batches(&test) - batches;
    rows = job_moved_rows(&test) - rows;
    cr_expect(le(i64, rows, 8 * batches), "%lld rows in %lld batches", (long long)rows,
        (long long)batches);
    cr_expect(le(i64, 6 * batches, rows), "%lld rows in %lld batches", (long long)rows,
        (long long)batches);
    pg_exec(test.conn, "SELECT pghaul.set('" JOB_NAME "', 'batch.rows', 'auto');"
                       "SELECT pghaul.resume('" JOB_NAME "')");
    finish(&test, proc);
    job_close_cluster(&test);
}

Test(control_set, throttle_and_limits_follow, .timeout = 120)
{
    JobTest test;
    open_job(&test, JOB_LINES "limits: {rows: 50M}\n");
    Proc *proc = start(&test, NULL);
    expect_set(&test, "throttle.lock_waiters=1", NULL, 0, "lock_waiters=1");
    Session *holder = session_open(test.uri);
    Session *waiter = session_open(test.uri);
    session_lock_rows(holder, "app", "id = 1");
    session_send(waiter, "UPDATE app SET note = 'x' WHERE id = 1");
    wait_sql(&test, "SELECT EXISTS (SELECT FROM pghaul.run WHERE reason LIKE"
                    " '1 session waits for locks on app (limit 1)')");
    expect_set(&test, "throttle.lock_waiters=default", NULL, 0, "lock_waiters=default");
    wait_sql(&test, "SELECT EXISTS (SELECT FROM pghaul.event WHERE what = 'going on')");
    session_release(holder);
    session_expect_ok(waiter, HARNESS_TIMEOUT_US);
    session_close(holder);
    session_close(waiter);

    expect_set(&test, "limits.rows=100", NULL, 0, "limits.rows=100");
    job_expect_exit(proc, 9);
    cr_expect(job_is_moving(&test));
    expect_set(&test, "limits.rows=default", NULL, 0, "no run of it is alive");
    finish(&test, start(&test, NULL));
    job_close_cluster(&test);
}

Test(control_set, later_of_command_line_and_setting_wins, .timeout = 120)
{
    JobTest test;
    open_job(&test, JOB_LINES);
    Proc *proc = start(&test, "1");
    wait_workers(&test, 1);
    expect_set(&test, NULL, NULL, 0, "  workers                2            job file\n");
    expect_set(&test, NULL, NULL, 0, "  limits.rows            no limit     default\n");
    expect_set(&test, NULL, NULL, 0, ": 1 worker, begun with --workers 1\n");
    expect_set(&test, "workers=3", NULL, 0, "workers=3");
    wait_workers(&test, 3);
    expect_set(&test, NULL, NULL, 0, "  workers                3            set by postgres 20");
    pg_exec(test.conn, "SELECT pghaul.stop('" JOB_NAME "')");
    job_expect_exit(proc, 7);

    proc = start(&test, "1");
    wait_workers(&test, 1);
    expect_set(&test, "workers=default", NULL, 0, "workers=default");
    expect_set(&test, "throttle.lag=3s", NULL, 0, "lag=3s");
    wait_sql(&test, "SELECT EXISTS (SELECT FROM pghaul.event WHERE what = 'settings'"
                    " AND reason = 'throttle.lag=3s')");
    wait_workers(&test, 1);
    const char *const json[] = {"--json", NULL};
    char *out = job_verb_output(&test, "set", json, 0);
    cr_expect(cli_has(out, "{\"key\":\"throttle.lag\",\"value\":\"3s\",\"origin\":\"set\","
                           "\"who\":\"postgres\",\"at\":\"20"),
        "%s", out);
    cr_expect(cli_has(out, "\"workers\":1,\"workers_option\":1}"), "%s", out);
    free(out);
    pg_exec(test.conn, "SELECT pghaul.stop('" JOB_NAME "')");
    job_expect_exit(proc, 7);

    expect_set(&test, "workers=auto", NULL, 0, "workers=auto");
    proc = start(&test, NULL);
    wait_workers(&test, 2);
    finish(&test, proc);
    job_close_cluster(&test);
}

Test(control_set, wrong_keys_and_values_are_refused_before_anything_changes, .timeout = 60)
{
    JobTest test;
    char state[6];
    job_open(&test, cluster_shared(), 100, 0);
    job_write(&test, JOB_LINES);
    job_expect_run(&test, 0);
    expect_set(&test, "throttle.lga=5s", NULL, 2, "Did you mean throttle.lag?");
    expect_set(&test, "lag=5s", NULL, 2, "Did you mean throttle.lag?");
    expect_set(&test, "stripes=4", NULL, 2, "stripes cannot change while the job runs");
    expect_set(&test, "colour=red", NULL, 2, "These can be set: workers, batch.time, ");
    expect_set(&test, "workers", NULL, 2, "workers: a value is missing");
    expect_set(&test, "workers=3", "throttle.lag=5", 2, "\"5\" has no unit");
    expect_set(&test, "workers=65", NULL, 2, "out of range");
    expect_set(&test, "workers=3", "batch.time=5s", 2, "batch.time is longer than");
    cr_expect(eq(i64, 0, pg_int(test.conn, "SELECT count(*) FROM pghaul.setting")));
    expect_set(&test, "batch.time=500ms", "throttle.yield_after=2s", 0, "batch.time=500ms");
    expect_set(&test, "throttle.yield_after=default", NULL, 2, "batch.time is longer than");
    cr_expect(eq(i64, 2, pg_int(test.conn, "SELECT count(*) FROM pghaul.setting")));

    static const char *const WRONG[] = {"'stripes', '4'", "'workers', 'many'", "'workers', '4;'",
        "'throttle.lag', '5'", "'throttle.lag', E'5s\\n'", "'on_error', 'ignore'"};
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        STRBUF_AUTO sql = STRBUF_INIT;
        strbuf_printf(&sql, "SELECT pghaul.set('" JOB_NAME "', %s)", WRONG[i]);
        cr_expect(not(pg_try(test.conn, strbuf_text(&sql), state)), "%s", WRONG[i]);
        cr_expect(eq(str, state, "PH011"), "%s", PQerrorMessage(test.conn));
    }
    cr_expect(eq(i64, 2,
        pg_int(test.conn, "SELECT count(*) FROM pghaul.event"
                          " WHERE what = 'set'")));
    job_close_cluster(&test);
}

Test(control_set, run_keeps_the_old_value_when_sql_set_one_out_of_range, .timeout = 120)
{
    JobTest test;
    open_job(&test, JOB_LINES);
    Proc *proc = start(&test, NULL);
    wait_workers(&test, 2);
    pg_exec(test.conn, "SELECT pghaul.set('" JOB_NAME "', 'workers', '3')");
    wait_workers(&test, 3);
    pg_exec(test.conn, "SELECT pghaul.set('" JOB_NAME "', 'workers', '4000')");
    wait_sql(&test, "SELECT EXISTS (SELECT FROM pghaul.event WHERE what = 'set refused'"
                    " AND run IS NOT NULL AND reason = 'workers=4000: \"4000\" is out of range')");
    cr_assert(job_wait_batches(&test, proc, job_batches(&test), 3));
    wait_workers(&test, 3);
    finish(&test, proc);
    job_close_cluster(&test);
}
