/*
 * test_archive_kill.c - kill -9 and crashes of the server while rows go to files, beside an
 * application: never a delete without a durable frame, never a row lost or archived twice.
 *
 * PGHAUL_SOAK=1 asks for the full count, PGHAUL_KILLS=N for N kills.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "cli/archive_case.h"
#include "harness/harness.h"

#define ROWS          12000
#define RUN_ON_MAX_US 250000
#define KILLS         10
#define KILLS_SOAK    250
#define CHECK_EVERY   50

static int64_t
kills_wanted(void)
{
    const char *count = harness_env("PGHAUL_KILLS", NULL);
    if (count != NULL) {
        return strtoll(count, NULL, 10);
    }
    return harness_env("PGHAUL_SOAK", NULL) == NULL ? KILLS : KILLS_SOAK;
}

static void
refill(ArchiveCase *c)
{
    int64_t old = pg_int(c->test.conn, "SELECT count(*) FROM item WHERE old");
    if (old < ROWS / 2) {
        archive_case_fill(c, ROWS - old);
    }
}

/* False when the run came to its end before it was killed. */
static bool
run_and_kill(ArchiveCase *c, Prng *prng)
{
    int64_t before = job_batches(&c->test);
    Proc *proc = job_start(&c->test);
    bool ended = !job_wait_batches(&c->test, proc, before, 1) ||
                 proc_wait(proc, prng_between(prng, 0, RUN_ON_MAX_US));
    if (ended) {
        job_expect_exit(proc, 0);
        return false;
    }
    proc_signal(proc, SIGKILL);
    int code = proc_finish(proc, HARNESS_TIMEOUT_US);
    proc_free(proc);
    return code == 128 + SIGKILL;
}

Test(archive_kill, no_row_is_lost_or_archived_twice)
{
    ArchiveCase c;
    archive_case_open(&c, cluster_shared(), "workers: 2\nbatch: {rows: 100}\n");
    archive_case_fill(&c, ROWS);
    archive_case_start_clients(&c);
    Prng prng;
    prng_init(&prng, harness_seed());
    int64_t killed = 0;
    int64_t checked = 0;
    for (int64_t wanted = kills_wanted(); killed < wanted;) {
        killed += run_and_kill(&c, &prng) ? 1 : 0;
        refill(&c);
        if (killed >= checked + CHECK_EVERY) {
            archive_case_stop_clients(&c);
            archive_case_check(&c, false, "between kills");
            archive_case_start_clients(&c);
            checked = killed;
        }
    }
    archive_case_stop_clients(&c);
    job_expect_run(&c.test, 0);
    archive_case_check(&c, true, "at the end");
    cr_expect(eq(i64, 0, archive_case_open_files(&c)));
    (void)fprintf(stderr,
        "figures: kill -9 of a purge with an archive: %lld kills, %lld rows in %lld committed "
        "frames, %lld void ones\n",
        (long long)killed, (long long)pg_int(c.test.conn, "SELECT count(*) FROM archived"),
        (long long)pg_int(
            c.test.conn, "SELECT count(*) FROM pghaul.archive_frame WHERE fate = 'committed'"),
        (long long)pg_int(
            c.test.conn, "SELECT count(*) FROM pghaul.archive_frame WHERE fate = 'void'"));
    archive_case_close(&c);
}

/* The delete takes a while, so its session outlives the run that is killed, and the next run comes
 * while nobody knows yet whether it will commit. */
Test(archive_kill, a_session_that_outlives_its_run_is_not_archived_twice)
{
    ArchiveCase c;
    archive_case_open(
        &c, cluster_shared(), "workers: 2\nbatch: {rows: 500}\nallow: [user-triggers]\n");
    pg_exec(c.test.conn,
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END';"
        "CREATE TRIGGER slow AFTER DELETE ON item FOR EACH STATEMENT EXECUTE FUNCTION slow()");
    for (int i = 0; i < 3; i++) {
        archive_case_fill(&c, ROWS / 6);
        Proc *proc = job_start(&c.test);
        int64_t deadline_us = clock_mono_us() + HARNESS_TIMEOUT_US;
        while (!job_is_in_batch(&c.test)) {
            if (clock_mono_us() > deadline_us || proc_wait(proc, 0)) {
                job_expect_exit(proc, -1);
            }
            harness_nap_us(1000);
        }
        proc_signal(proc, SIGKILL);
        (void)proc_finish(proc, HARNESS_TIMEOUT_US);
        proc_free(proc);
        job_expect_run(&c.test, 0);
        archive_case_check(&c, true, "after a zombie");
        cr_expect(eq(i64, 0, archive_case_open_files(&c)));
    }
    archive_case_close(&c);
}

Test(archive_kill, the_server_crashes_and_the_run_goes_on)
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.with_standby = false});
    ArchiveCase c;
    archive_case_open(&c, cluster, "workers: 2\nbatch: {rows: 50}\nsynchronous_commit: off\n");
    archive_case_fill(&c, ROWS);
    Proc *proc = job_start(&c.test);
    if (!job_wait_batches(&c.test, proc, 0, 5)) {
        job_expect_exit(proc, -1);
    }
    cluster_stop_immediate(cluster);
    cluster_restart(cluster);
    pg_close(c.test.conn);
    c.test.conn = pg_open(c.test.uri);
    job_expect_exit(proc, 0);
    archive_case_check(&c, true, "after the crash");
    cr_expect(eq(i64, 0, archive_case_open_files(&c)));
    archive_case_close(&c);
}

Test(archive_kill, server_and_run_die_together)
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.with_standby = false});
    ArchiveCase c;
    archive_case_open(&c, cluster, "workers: 2\nbatch: {rows: 50}\nsynchronous_commit: off\n");
    archive_case_fill(&c, ROWS);
    Proc *proc = job_start(&c.test);
    if (!job_wait_batches(&c.test, proc, 0, 5)) {
        job_expect_exit(proc, -1);
    }
    proc_signal(proc, SIGKILL);
    cluster_stop_immediate(cluster);
    (void)proc_finish(proc, HARNESS_TIMEOUT_US);
    proc_free(proc);
    cluster_restart(cluster);
    pg_close(c.test.conn);
    c.test.conn = pg_open(c.test.uri);
    job_expect_run(&c.test, 0);
    archive_case_check(&c, true, "after the crash");
    cr_expect(eq(i64, 0, archive_case_open_files(&c)));
    archive_case_close(&c);
}
