/*
 * test_resume.c - several runs at one job, runs that were stopped, and the orderly way out.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "harness/harness.h"
#include "harness/job.h"
#include "harness/session.h"

#define ROWS 60000

static const char *const ONE_WORKER[] = {"--yes", "--workers", "1", NULL};

#define SQL_ALL_SHARE "SELECT count(DISTINCT run) = 3 FROM pghaul.ranges WHERE rows > 0"

/* ---- several runs ---- */

Test(resume, three_runs_share_one_job)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 500); /* three ranges, of ten seconds each */
    job_write(&test, JOB_SET_HITS "batch: {time: 20ms}\n");
    Proc *runs[3];
    for (int i = 0; i < 3; i++) {
        runs[i] = job_start_verb(&test, "run", NULL, ONE_WORKER);
    }
    cr_assert(job_wait_batches(&test, runs[0], 0, 1));
    pg_wait_true(test.conn, SQL_ALL_SHARE, HARNESS_TIMEOUT_US);
    job_set_slow(&test, 0);
    for (int i = 0; i < 3; i++) {
        job_expect_exit(runs[i], 0);
    }
    cr_expect(eq(i64, 0, job_count_wrong(&test, JOB_HITS_RIGHT)));
    cr_expect(eq(i64, ROWS, job_moved_rows(&test)));
    cr_expect(job_is_state(&test, "complete"));
    job_close_cluster(&test);
}

Test(resume, one_of_two_runs_may_be_drained_while_the_other_completes_the_job)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 500);
    job_write(&test, JOB_SET_HITS "batch: {time: 20ms}\n");
    Proc *stays = job_start_verb(&test, "run", NULL, ONE_WORKER);
    cr_assert(job_wait_batches(&test, stays, 0, 3));
    Proc *leaves = job_start_verb(&test, "run", NULL, ONE_WORKER);
    pg_wait_true(test.conn, "SELECT count(DISTINCT run) = 2 FROM pghaul.ranges WHERE batches > 0",
        HARNESS_TIMEOUT_US);
    proc_signal(leaves, SIGTERM);
    job_expect_exit(leaves, 7);
    cr_expect(job_is_state(&test, "running"));
    job_set_slow(&test, 0);
    job_expect_exit(stays, 0);
    cr_expect(eq(i64, 0, job_count_wrong(&test, JOB_HITS_RIGHT)));
    cr_expect(job_is_state(&test, "complete"));
    job_close_cluster(&test);
}

/* ---- a run that stood still ---- */

/* Ranges that a run holds. */
static int64_t
held_by(const JobTest *test, int64_t run)
{
    return pg_intf(test->conn,
        "SELECT count(*) FROM pghaul.ranges WHERE state = 'leased' AND run = %lld", (long long)run);
}

static void
wait_until_taken_over(const JobTest *test, int64_t run)
{
    int64_t deadline_us = clock_mono_us() + HARNESS_TIMEOUT_US;
    while (held_by(test, run) > 0) {
        cr_assert(lt(i64, clock_mono_us(), deadline_us), "nobody took the ranges over");
        harness_nap_us(5000);
    }
}

Test(resume, run_that_was_stopped_beyond_its_lease_repeats_nothing)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 200);
    job_write(&test, JOB_SET_HITS "workers: 2\nlease: 5s\nbatch: {time: 20ms}\n");
    Proc *stopped = job_start(&test);
    cr_assert(job_wait_batches(&test, stopped, 0, 10));
    proc_signal(stopped, SIGSTOP);
    int64_t run = pg_int(test.conn, "SELECT max(id) FROM pghaul.run");
    cr_assert(lt(i64, 0, held_by(&test, run)), "the stopped run holds no range");

    Proc *other = job_start(&test);
    wait_until_taken_over(&test, run);
    int64_t left = pg_int(test.conn, "SELECT count(*) FROM pghaul.ranges WHERE state <> 'done'");
    cr_expect(lt(i64, 0, left), "all was done before the stopped run went on");
    proc_signal(stopped, SIGCONT);
    cr_expect(job_wait_batches(&test, other, job_batches(&test), 10)); /* both work for a while */
    job_set_slow(&test, 0);

    job_expect_exit(stopped, 0);
    job_expect_exit(other, 0);
    cr_expect(eq(i64, 0, job_count_wrong(&test, JOB_HITS_RIGHT)));
    cr_expect(eq(i64, ROWS, job_moved_rows(&test)));
    cr_expect(job_is_state(&test, "complete"));
    job_close_cluster(&test);
}

Test(resume, run_that_slept_through_the_end_of_the_job_ends_well)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS / 2, 500);
    job_write(&test, JOB_SET_HITS "workers: 2\nlease: 5s\nbatch: {time: 20ms}\n");
    Proc *stopped = job_start(&test);
    cr_assert(job_wait_batches(&test, stopped, 0, 3));
    proc_signal(stopped, SIGSTOP);
    job_set_slow(&test, 0);
    job_expect_run(&test, 0);
    cr_expect(job_is_state(&test, "complete"));
    proc_signal(stopped, SIGCONT);
    job_expect_exit(stopped, 0);
    cr_expect(eq(i64, 0, job_count_wrong(&test, JOB_HITS_RIGHT)));
    cr_expect(job_is_state(&test, "complete"));
    job_close_cluster(&test);
}

/* An old session's batch that commits late looks like this to the new one: the range has moved on
 * although it is still in the name of our backend. */
Test(resume, range_that_its_own_worker_lost_is_taken_up_again)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS / 2, 500);
    job_write(&test, JOB_SET_HITS "workers: 2\nbatch: {time: 20ms}\n");
    Proc *proc = job_start(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 3));
    pg_exec(test.conn, "UPDATE pghaul.ranges SET epoch = epoch + 1 WHERE state = 'leased'");
    job_set_slow(&test, 0);
    job_expect_exit(proc, 0);
    cr_expect(eq(i64, 0, job_count_wrong(&test, JOB_HITS_RIGHT)));
    job_close_cluster(&test);
}

/* ---- signals ---- */

static void
expect_in_output(Proc *proc, const char *text)
{
    char *out = proc_stdout(proc);
    char *err = proc_stderr(proc);
    cr_expect(strstr(out, text) != NULL || strstr(err, text) != NULL, "no \"%s\" in:\n%s\n%s", text,
        out, err);
    free(out);
    free(err);
}

static void
expect_drain(int signo)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS / 2, 500);
    job_write(&test, JOB_SET_HITS "workers: 2\nbatch: {time: 20ms}\n");
    Proc *proc = job_start(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 5));
    proc_signal(proc, signo);
    cr_assert(proc_wait(proc, HARNESS_TIMEOUT_US));
    expect_in_output(proc, "pghaul run ");
    job_expect_exit(proc, 7);
    cr_expect(job_is_state(&test, "stopped"));
    /* what was given back needs no lease to run out */
    cr_expect(eq(i64, 0,
        pg_int(test.conn, "SELECT count(*) FROM pghaul.ranges"
                          " WHERE state = 'leased'")));
    job_set_slow(&test, 0);
    job_expect_run(&test, 0);
    cr_expect(eq(i64, 0, job_count_wrong(&test, JOB_HITS_RIGHT)));
    cr_expect(job_is_state(&test, "complete"));
    job_close_cluster(&test);
}

Test(resume, first_sigterm_ends_after_the_batches_in_flight_and_says_how_to_go_on)
{
    expect_drain(SIGTERM);
}

Test(resume, first_ctrl_c_ends_after_the_batches_in_flight_and_says_how_to_go_on)
{
    expect_drain(SIGINT);
}

Test(resume, second_signal_cancels_the_batches_in_flight)
{
    JobTest test;
    job_open(&test, cluster_shared(), 2000, 9000);
    /* batches of nine seconds, so that a batch which is waited for cannot be taken for cancelled */
    job_write(&test, JOB_SET_HITS "workers: 1\nstripes: 1\nbatch: {rows: 1000}\n"
                                  "throttle: {yield_after: 10s}\n");
    Proc *proc = job_start(&test);
    int64_t deadline_us = clock_mono_us() + HARNESS_TIMEOUT_US;
    while (!job_is_in_batch(&test)) {
        cr_assert(lt(i64, clock_mono_us(), deadline_us), "no batch has begun");
        harness_nap_us(5000);
    }
    proc_signal(proc, SIGTERM);
    cr_assert(proc_wait_output(proc, "once more", HARNESS_TIMEOUT_US));
    int64_t begun_us = clock_mono_us();
    proc_signal(proc, SIGTERM);
    job_expect_exit(proc, 130);
    cr_expect(lt(i64, clock_mono_us() - begun_us, SECONDS_US(6)));
    cr_expect(eq(i64, 0, job_moved_rows(&test)));

    job_set_slow(&test, 0);
    job_expect_run(&test, 0);
    cr_expect(eq(i64, 0, job_count_wrong(&test, JOB_HITS_RIGHT)));
    cr_expect(job_is_state(&test, "complete"));
    job_close_cluster(&test);
}
