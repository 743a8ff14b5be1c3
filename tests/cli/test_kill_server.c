/*
 * test_kill_server.c - the server's side fails: backends ended, a crash, a COMMIT without answer.
 *
 * The expression refers to its own column, so a batch that is lost or repeated shows in its rows.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "harness/harness.h"
#include "harness/job.h"
#include "harness/proxy.h"
#include "harness/session.h"

#define ROWS 40000

/* Under the address sanitizer the counts are smaller; the promises are the same. */
#ifdef __SANITIZE_ADDRESS__
#define FAULTS  6
#define CRASHES 1
#else
#define FAULTS  20
#define CRASHES 2
#endif
#define FAULTS_SOAK  200
#define CRASHES_SOAK 10

static int64_t
faults_wanted(int64_t usual, int64_t soak)
{
    return harness_env("PGHAUL_SOAK", NULL) == NULL ? usual : soak;
}

/* The job is complete and every row was changed once. */
static void
expect_exactly_once(const JobTest *test)
{
    cr_expect(job_is_state(test, "complete"));
    cr_expect(eq(i64, 0, job_count_wrong(test, JOB_HITS_RIGHT)));
    cr_expect(eq(i64, pg_int(test->conn, "SELECT count(*) FROM app"), job_moved_rows(test)));
}

/* The job ended before all faults were had: begin another. */
static Proc *
begin_again(const JobTest *test)
{
    expect_exactly_once(test);
    job_expect_verb(test, "clean", NULL, 0);
    job_reset_table(test);
    return job_start(test);
}

/* ---- backends ---- */

static const char SQL_TERMINATE[] =
    "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name LIKE 'pghaul/%%/%s'"
    " ORDER BY random() LIMIT 1) s";

Test(kill_server, run_survives_that_its_backends_are_terminated)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 100);
    job_write(&test, JOB_SET_HITS "workers: 2\nbatch: {time: 20ms}\n");
    int64_t wanted = faults_wanted(FAULTS, FAULTS_SOAK);
    int64_t terminated = 0;
    Proc *proc = job_start(&test);
    while (terminated < wanted) {
        if (!job_wait_batches(&test, proc, job_batches(&test), 1)) {
            job_expect_exit(proc, 0);
            proc = begin_again(&test);
            continue;
        }
        const char *whose = terminated % 5 == 4 ? "%" : "w%"; /* the monitor's now and then */
        terminated += pg_intf(test.conn, SQL_TERMINATE, whose);
    }
    job_set_slow(&test, 0);
    job_expect_exit(proc, 0);
    expect_exactly_once(&test);
    (void)fprintf(
        stderr, "figures: backends terminated: %lld, 0 wrong rows\n", (long long)terminated);
    job_close_cluster(&test);
}

/* ---- crash ---- */

/* The observer's session dies with the server. */
static void
crash(JobTest *test)
{
    pg_close(test->conn);
    cluster_stop_immediate(test->cluster);
    cluster_restart(test->cluster);
    test->conn = pg_open(test->uri);
}

/* WAL is written late, so that a crash loses commits that nobody waited for. */
#define LATE_WAL "wal_writer_delay = 10s\nwal_writer_flush_after = 1GB\n"

static void
expect_crash_survival(const char *mode, bool may_lose)
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.config = LATE_WAL});
    JobTest test;
    job_open(&test, cluster, ROWS, 300);
    char job[160];
    (void)snprintf(job, sizeof(job),
        JOB_SET_HITS "workers: 2\nbatch: {time: 20ms}\nsynchronous_commit: %s\n", mode);
    job_write(&test, job);
    Proc *proc = job_start(&test);
    int64_t lost_rows = 0;
    int64_t wanted = faults_wanted(CRASHES, CRASHES_SOAK);
    int64_t crashes = 0;
    while (crashes < wanted) {
        if (!job_wait_batches(&test, proc, job_batches(&test), 20)) {
            job_expect_exit(proc, 0);
            proc = begin_again(&test);
            continue;
        }
        int64_t before = job_moved_rows(&test);
        crash(&test);
        int64_t after = job_moved_rows(&test);
        lost_rows += after < before ? before - after : 0;
        crashes++;
    }
    job_set_slow(&test, 0);
    job_expect_exit(proc, 0);
    expect_exactly_once(&test);
    cr_expect(eq(int, may_lose, lost_rows > 0), "%lld rows lost by crashes", (long long)lost_rows);
    (void)fprintf(stderr,
        "figures: server crashes, synchronous_commit %s: %lld, which undid commits of %lld rows; 0"
        " wrong rows\n",
        mode, (long long)crashes, (long long)lost_rows);
    job_close_cluster(&test);
}

Test(kill_server, crash_that_loses_commits_loses_their_checkpoints_too)
{
    expect_crash_survival("off", true);
}

Test(kill_server, run_survives_a_crash_with_local_commits)
{
    expect_crash_survival("local", false);
}

/* The standby may not have replayed the last commits: rows and checkpoints are missing together. */
Test(kill_server, failover_to_a_standby_neither_repeats_nor_loses_a_batch)
{
    static const char *const ACCEPTED[] = {"--yes", NULL};
    PgCluster *cluster = cluster_start(&(ClusterOptions){.with_standby = true});
    JobTest test;
    job_open(&test, cluster, ROWS, 300);
    job_write(&test, JOB_SET_HITS "workers: 2\nbatch: {time: 20ms}\nthrottle: {standbys: none}\n");
    Proc *proc = job_start_verb(&test, "run", cluster_any_uri(cluster, test.dbname), ACCEPTED);
    cr_assert(job_wait_batches(&test, proc, 0, 20));
    pg_close(test.conn);
    cluster_stop_immediate(cluster);
    cluster_promote_standby(cluster);
    test.conn = pg_open(cluster_standby_uri(cluster, test.dbname));
    job_set_slow(&test, 0);
    job_expect_exit(proc, 0);
    expect_exactly_once(&test);
    cr_expect(lt(i64, 0,
        pg_int(test.conn, "SELECT count(*) FROM pghaul.event"
                          " WHERE what = 'failover'")));
    cluster_restart(cluster); /* the old primary, for job_close() */
    job_close_cluster(&test);
}

/* The job's word and its rows must agree, whatever the run had seen; the next run ends it. */
static void
expect_honest_end(const JobTest *test, Proc *proc)
{
    cr_assert(proc_wait(proc, HARNESS_TIMEOUT_US));
    bool complete = proc_exit_code(proc) == 0;
    job_expect_exit(proc, complete ? 0 : 7);
    cr_expect(job_is_state(test, complete ? "complete" : "stopped"));
    cr_expect(eq(int, complete, job_count_wrong(test, JOB_HITS_RIGHT) == 0));
    job_expect_run(test, 0);
    expect_exactly_once(test);
}

/* Between the last batch and the word "complete" the server loses the last batch. */
Test(kill_server, crash_after_the_last_batch_does_not_complete_the_job_without_it)
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.config = LATE_WAL});
    JobTest test;
    job_open(&test, cluster, 3000, 0);
    job_write(&test, JOB_SET_HITS "workers: 1\nstripes: 1\nsynchronous_commit: off\n");
    for (int i = 0; i < 4; i++) {
        Proc *proc = job_start(&test);
        cr_assert(job_wait_batches(&test, proc, 0, 1));
        while (job_is_moving(&test)) {
            harness_nap_us(500);
        }
        harness_nap_us((int64_t)i * 10000);
        crash(&test);
        expect_honest_end(&test, proc);
        job_expect_verb(&test, "clean", NULL, 0);
        job_reset_table(&test);
    }
    job_close_cluster(&test);
}

/* ---- lost answers ---- */

typedef struct Cut {
    ProxyCut when;
    const char *text;
} Cut;

static const Cut CUTS[] = {
    {PROXY_CUT_AFTER, "COMMIT"}, {PROXY_CUT_BEFORE, "COMMIT"}, {PROXY_CUT_AFTER, "COMMIT"},
    {PROXY_CUT_AFTER, "UPDATE pghaul.ranges"}, /* the claim, and the look after a lost COMMIT */
};

static int
cut_many_times(JobTest *test, Proxy *proxy, Prng *prng, Proc **proc)
{
    const char *const more[] = {"--yes", NULL};
    int64_t wanted = faults_wanted(FAULTS, FAULTS_SOAK);
    int cuts = 0;
    const char *uri = proxy_uri(proxy, test->dbname);
    *proc = job_start_verb(test, "run", uri, more);
    while (cuts < wanted) {
        if (!job_wait_batches(test, *proc, job_batches(test), 1)) {
            job_expect_exit(*proc, 0);
            proc_free(begin_again(test)); /* made the job anew; killed at once */
            *proc = job_start_verb(test, "run", uri, more);
            continue;
        }
        const Cut *cut = &CUTS[(size_t)cuts % (sizeof(CUTS) / sizeof(CUTS[0]))];
        bool is_commit = cut->text[0] == 'C';
        proxy_cut(proxy, cut->when, cut->text, is_commit ? (int)prng_between(prng, 1, 4) : 1);
        cuts += proxy_wait_cut(proxy, SECONDS_US(2)) ? 1 : 0;
    }
    return cuts;
}

Test(kill_server, lost_answer_to_a_commit_neither_repeats_nor_loses_the_batch)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 100);
    job_write(&test, JOB_SET_HITS "workers: 2\nbatch: {time: 20ms}\n");
    Proxy *proxy = proxy_start(test.cluster);
    Prng prng;
    prng_init(&prng, harness_seed());
    Proc *proc = NULL;
    int cuts = cut_many_times(&test, proxy, &prng, &proc);
    proxy_pass(proxy);
    job_set_slow(&test, 0);
    job_expect_exit(proc, 0);
    expect_exactly_once(&test);
    (void)fprintf(stderr, "figures: connections cut at COMMIT: %d, 0 wrong rows\n", cuts);
    proxy_stop(proxy);
    job_close_cluster(&test);
}
