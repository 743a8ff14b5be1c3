/*
 * test_locks.c - manners at locks: goes around rows that others hold, waits where it may not go
 * around, survives table locks, and never makes the application wait for long.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "harness/harness.h"
#include "harness/job.h"
#include "harness/lockwatch.h"
#include "harness/session.h"

/* yield_after (200 ms by default) and the time that giving way takes. */
#define APP_WAIT_MAX_US 300000
#define SMALL_BATCHES                                                                              \
    "verify: none\npath: key\nstripes: 1\nbatch: {rows: 20}\nthrottle: {standbys: none}\n"

static void
report_wait(const char *title, const LockWatchStats *stats)
{
    (void)fprintf(stderr,
        "locks: %s: %" PRId64 " waits of the application for us, longest %" PRId64
        " ms (%s | %s)\n",
        title, stats->waits, stats->longest_us / 1000, stats->longest_query,
        stats->longest_blocker);
}

static void
expect_finished(JobTest *test, Proc *proc, const char *right_sql)
{
    job_expect_exit(proc, 0);
    cr_expect(eq(i64, job_count_wrong(test, right_sql), 0));
}

Test(locks, row_held_by_a_long_transaction_is_gone_around_and_done_after_it, .timeout = 120)
{
    PgCluster *cluster = cluster_shared();
    JobTest test;
    job_open(&test, cluster, 600, 1100);
    job_write(&test, JOB_SET_AMOUNT SMALL_BATCHES);
    Session *holder = session_open(test.uri);
    session_lock_rows(holder, "app", "id = 300");
    int64_t locked_us = clock_mono_us();
    Proc *proc = job_start(&test);
    pg_wait_true(
        test.conn, "SELECT count(*) = 1 FROM app WHERE amount IS NULL", HARNESS_TIMEOUT_US);
    cr_expect(eq(i64, pg_int(test.conn, "SELECT id FROM app WHERE amount IS NULL"), 300));

    char pid[32];
    (void)snprintf(pid, sizeof(pid), "locked by pid %d", session_backend_pid(holder));
    cr_expect(proc_wait_output(proc, pid, HARNESS_TIMEOUT_US), "the log should say: %s", pid);
    int64_t left_us = SECONDS_US(3) - (clock_mono_us() - locked_us);
    harness_nap_us(left_us > 0 ? left_us : 0);
    cr_expect(not(proc_wait(proc, 0)), "must not end while a row is left");

    session_release(holder);
    expect_finished(&test, proc, JOB_AMOUNT_RIGHT);
    cr_expect(eq(i64, job_moved_rows(&test), 600));
    session_close(holder);
    job_close(&test);
    cluster_stop(cluster);
}

/* By block a batch has several rows even when it is as small as can be. */
Test(locks, held_row_is_not_taken_for_the_one_that_is_refused, .timeout = 120)
{
    PgCluster *cluster = cluster_shared();
    JobTest test;
    job_open(&test, cluster, 200, 0);
    job_write(&test, "set: {amount: amount_text::numeric}\npath: block\nstripes: 1\n");
    pg_exec(test.conn, "UPDATE app SET amount_text = 'x' WHERE id = 5");
    Session *holder = session_open(test.uri);
    session_lock_rows(holder, "app", "id = 4");
    Proc *proc = job_start(&test);
    cr_expect(proc_wait_output(proc, "a row is refused: SQLSTATE 22P02", HARNESS_TIMEOUT_US));
    job_expect_exit(proc, 1);
    cr_expect(eq(i64, 1,
        pg_int(test.conn, "SELECT count(*) = 1 AND bool_and(key = '{5}') FROM pghaul.quarantine")));
    session_close(holder);
    job_close(&test);
    cluster_stop(cluster);
}

Test(locks, self_referring_job_waits_at_a_held_row_and_does_it_exactly_once, .timeout = 120)
{
    PgCluster *cluster = cluster_shared();
    JobTest test;
    job_open(&test, cluster, 1000, 1100);
    job_write(&test, JOB_SET_HITS "workers: 1\n" SMALL_BATCHES);
    Session *holder = session_open(test.uri);
    Proc *proc = job_start(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 1)); /* it waits for older transactions first */
    session_lock_rows(holder, "app", "id = 700");
    pg_wait_true(
        test.conn, "SELECT hits <> hits_before FROM app WHERE id = 699", HARNESS_TIMEOUT_US);
    harness_nap_us(SECONDS_US(2));
    cr_expect(eq(i64, job_moved_rows(&test), 699));
    cr_expect(eq(i64, job_count_wrong(&test, "id > 699 OR " JOB_HITS_RIGHT), 0));
    cr_expect(eq(i64, job_count_wrong(&test, "id < 700 OR hits = hits_before"), 0));

    session_release(holder);
    expect_finished(&test, proc, JOB_HITS_RIGHT);
    session_close(holder);
    job_close(&test);
    cluster_stop(cluster);
}

Test(locks, table_locked_for_two_seconds_is_survived, .timeout = 120)
{
    PgCluster *cluster = cluster_shared();
    JobTest test;
    job_open(&test, cluster, 800, 1100);
    job_write(&test, JOB_SET_AMOUNT SMALL_BATCHES);
    Proc *proc = job_start(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 5));
    Session *holder = session_open(test.uri);
    LockWatch *watch = lockwatch_start(test.uri);
    session_lock_table(holder, "app", "ACCESS EXCLUSIVE");
    LockWatchStats stats = lockwatch_finish(watch);
    report_wait("ACCESS EXCLUSIVE during batches", &stats);
    cr_expect(le(i64, stats.longest_us, APP_WAIT_MAX_US));
    int64_t before = job_batches(&test);
    harness_nap_us(SECONDS_US(2));
    cr_expect(eq(i64, job_batches(&test), before));

    session_release(holder);
    expect_finished(&test, proc, JOB_AMOUNT_RIGHT);
    session_close(holder);
    job_close(&test);
    cluster_stop(cluster);
}

Test(locks, ddl_of_the_application_waits_a_moment_only_in_every_pass, .timeout = 120)
{
    PgCluster *cluster = cluster_shared();
    JobTest test;
    job_open(&test, cluster, 700, 1100);
    job_write(&test, JOB_SET_AMOUNT "workers: 1\nthrottle: {standbys: none}\n");
    Proc *proc = job_start(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 2));
    LockWatch *watch = lockwatch_start(test.uri);
    PGconn *app = pg_open(test.uri);
    int64_t count = 0;
    while (!proc_wait(proc, 0)) {
        pg_exec(app, "BEGIN; LOCK TABLE app IN ACCESS EXCLUSIVE MODE; COMMIT");
        count++;
        harness_nap_us(250000);
    }
    LockWatchStats stats = lockwatch_finish(watch);
    report_wait("DDL of the application during move and verify", &stats);
    cr_expect(lt(i64, 5, count));
    cr_expect(lt(i64, 0, stats.waits), "nothing was measured");
    cr_expect(le(i64, stats.longest_us, APP_WAIT_MAX_US));
    expect_finished(&test, proc, JOB_AMOUNT_RIGHT);
    pg_close(app);
    job_close(&test);
    cluster_stop(cluster);
}

/* ---- the manners of our own DDL ---- */

/* Write to the table again and again until the run logs `text` no longer matters: the trigger is
 * there. */
static void
write_until_trigger(const JobTest *test, int64_t release_at_us, Session *holder)
{
    PGconn *app = pg_open(test->uri);
    pg_exec(app, "SET application_name = 'writer'");
    bool is_held = true;
    int64_t deadline_us = clock_mono_us() + HARNESS_TIMEOUT_US;
    while (pg_int(app, "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'app'::regclass") == 0) {
        pg_exec(app, "UPDATE app SET note = 'w' WHERE id = 2");
        if (is_held && clock_mono_us() >= release_at_us) {
            session_release(holder);
            is_held = false;
        }
        if (clock_mono_us() > deadline_us) {
            harness_fail("the trigger was not installed");
        }
    }
    cr_expect(not(is_held), "the trigger cannot be there while the table is held");
    if (is_held) {
        session_release(holder);
    }
    pg_close(app);
}

Test(locks, installing_the_trigger_never_stops_writers_for_long, .timeout = 120)
{
    PgCluster *cluster = cluster_shared();
    JobTest test;
    job_open(&test, cluster, 200, 0);
    job_write(&test, JOB_SET_AMOUNT SMALL_BATCHES);
    Session *holder = session_open(test.uri);
    pg_exec(session_conn(holder), "BEGIN; UPDATE app SET note = 'held' WHERE id = 1");
    LockWatch *watch = lockwatch_start(test.uri);
    Proc *proc = job_start(&test);
    write_until_trigger(&test, clock_mono_us() + SECONDS_US(3), holder);
    LockWatchStats stats = lockwatch_finish(watch);
    report_wait("CREATE TRIGGER behind a long transaction", &stats);
    cr_expect(le(i64, stats.longest_us, APP_WAIT_MAX_US));
    cr_expect(proc_wait_output(proc, "waiting to create the sync trigger", HARNESS_TIMEOUT_US));
    expect_finished(&test, proc, JOB_AMOUNT_RIGHT);
    session_close(holder);
    job_close(&test);
    cluster_stop(cluster);
}

Test(locks, removing_the_trigger_never_stops_readers_for_long, .timeout = 120)
{
    PgCluster *cluster = cluster_shared();
    JobTest test;
    job_open(&test, cluster, 200, 0);
    job_write(&test, JOB_SET_AMOUNT SMALL_BATCHES);
    job_expect_run(&test, 0);
    Session *holder = session_open(test.uri);
    pg_exec(session_conn(holder), "BEGIN; SELECT count(*) FROM app");
    LockWatch *watch = lockwatch_start(test.uri);
    Proc *proc = job_start_verb(&test, "clean", NULL, NULL);
    PGconn *app = pg_open(test.uri);
    int64_t end_us = clock_mono_us() + SECONDS_US(3);
    while (clock_mono_us() < end_us) {
        (void)pg_int(app, "SELECT count(*) FROM app");
        harness_nap_us(1000);
    }
    cr_expect(not(proc_wait(proc, 0)), "must wait for the reader");
    session_release(holder);
    job_expect_exit(proc, 0);
    LockWatchStats stats = lockwatch_finish(watch);
    report_wait("DROP TRIGGER behind a long reader", &stats);
    cr_expect(le(i64, stats.longest_us, APP_WAIT_MAX_US));
    cr_expect(
        eq(i64, 0, pg_int(app, "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'app'::regclass")));
    pg_close(app);
    session_close(holder);
    job_close(&test);
    cluster_stop(cluster);
}

Test(locks, running_vacuum_is_waited_for_and_named, .timeout = 120)
{
    PgCluster *cluster = cluster_shared();
    JobTest test;
    job_open(&test, cluster, 3000, 0);
    job_write(&test, JOB_SET_AMOUNT SMALL_BATCHES);
    pg_exec(test.conn, "UPDATE app SET note = 'dead'");
    Session *vacuum = session_open(test.uri);
    pg_exec(session_conn(vacuum), "SET application_name = 'nightly-vacuum';"
                                  "SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 5");
    session_send(vacuum, "VACUUM (DISABLE_PAGE_SKIPPING) app");
    pg_wait_true(test.conn,
        "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'app'::regclass"
        " AND mode = 'ShareUpdateExclusiveLock' AND granted",
        HARNESS_TIMEOUT_US);
    LockWatch *watch = lockwatch_start(test.uri);
    Proc *proc = job_start(&test);
    PGconn *app = pg_open(test.uri);
    int64_t end_us = clock_mono_us() + SECONDS_US(3);
    while (clock_mono_us() < end_us) {
        pg_exec(app, "UPDATE app SET note = 'w' WHERE id = 2");
        harness_nap_us(1000);
    }
    cr_expect(not(session_wait(vacuum, 0)), "the test needs a VACUUM of more than 3 s");
    cr_expect(
        eq(i64, 0, pg_int(app, "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'app'::regclass")));
    cr_expect(proc_wait_output(proc,
        "waiting to create the sync trigger: the table is in use by"
        " nightly-vacuum (pid ",
        HARNESS_TIMEOUT_US));
    LockWatchStats stats = lockwatch_finish(watch);
    report_wait("CREATE TRIGGER behind a VACUUM", &stats);
    cr_expect(le(i64, stats.longest_us, APP_WAIT_MAX_US));

    pg_execf(app, "SELECT pg_cancel_backend(%d)", session_backend_pid(vacuum));
    session_expect_error(vacuum, "57014", HARNESS_TIMEOUT_US);
    expect_finished(&test, proc, JOB_AMOUNT_RIGHT);
    pg_close(app);
    session_close(vacuum);
    job_close(&test);
    cluster_stop(cluster);
}
