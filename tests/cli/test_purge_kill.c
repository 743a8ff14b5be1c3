/*
 * test_purge_kill.c - an application that inserts, deletes, changes rows and their keys, a purge
 * into another table, and kills of either side: every row is in one of the two tables.
 *
 * PGHAUL_SOAK=1 asks for the full counts.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "harness/harness.h"
#include "harness/job.h"
#include "harness/session.h"
#include "harness/workload.h"

#define ROWS          20000
#define KILLS         6
#define KILLS_SOAK    250
#define CRASHES       1
#define CRASHES_SOAK  10
#define RUN_ON_MAX_US 150000

#define MATCHES "amount_text::int < 30000"
#define PURGE                                                                                      \
    "into: kept\nwhere: slowly(amount_text)::int < 30000\nworkers: 2\nbatch: {time: 20ms}\n"

static int64_t
wanted(int64_t usual, int64_t soak)
{
    return harness_env("PGHAUL_SOAK", NULL) == NULL ? usual : soak;
}

static void
open_tables(JobTest *test, PgCluster *cluster, const char *more)
{
    char job[200];
    (void)snprintf(job, sizeof(job), PURGE "%s", more);
    job_open(test, cluster, ROWS, 200);
    pg_exec(test->conn, "UPDATE app SET amount_text = (random() * 99999)::int::text;"
                        "CREATE TABLE kept (LIKE app)");
    job_write_purge(test, job);
}

/* What the application has put in and not taken out, is there once. */
static void
expect_conserved(const JobTest *test, const WorkloadSpec *spec)
{
    int64_t put = pg_int(test->conn, "SELECT count(*) FILTER (WHERE op = 'I')"
                                     " - count(*) FILTER (WHERE op = 'D') FROM oracle.oplog");
    cr_expect(eq(i64, put,
        pg_int(test->conn, "SELECT (SELECT count(*) FROM app)"
                           " + (SELECT count(*) FROM kept)")));
    workload_expect(test->conn, spec);
    cr_expect(eq(i64, 0,
        pg_int(test->conn, "SELECT count(*) FROM (TABLE oracle.expected EXCEPT"
                           " (SELECT id, amount_text, note FROM app UNION ALL"
                           "  SELECT id, amount_text, note FROM kept)) s")));
    cr_expect(eq(i64, 0,
        pg_int(test->conn, "SELECT count(*) FROM (SELECT id, amount_text, note FROM app"
                           " EXCEPT TABLE oracle.expected) s")));
    cr_expect(eq(i64, 0, /* each as it was last committed at its key */
        pg_int(test->conn, "SELECT count(*) FROM kept k WHERE NOT EXISTS ("
                           "SELECT FROM oracle.oplog o WHERE o.new_key = k.id"
                           "  AND o.payload = ARRAY[k.amount_text, k.note])")));
    cr_expect(eq(i64, 0, pg_int(test->conn, "SELECT count(*) FROM kept WHERE NOT " MATCHES)));
    cr_expect(eq(i64, 0, pg_int(test->conn, "SELECT count(*) FROM app WHERE " MATCHES)));
    cr_expect(lt(i64, 0, pg_int(test->conn, "SELECT count(*) FROM kept")));
}

/* The application has ended: one more run takes what is left. */
static void
finish(const JobTest *test, Workload *workload, const WorkloadSpec *spec)
{
    job_set_slow(test, 0);
    WorkloadStats stats = workload_finish(workload);
    cr_expect(eq(i64, 0, workload_unexpected_errors(&stats)), "%s", stats.first_unexpected);
    cr_expect(lt(i64, 0, stats.deletes));
    job_expect_run(test, 0);
    cr_expect(job_is_state(test, "complete"));
    expect_conserved(test, spec);
}

/* True when it was killed before its end. */
static bool
run_and_kill(const JobTest *test, Prng *prng)
{
    Proc *proc = job_start(test);
    bool ended = !job_wait_batches(test, proc, job_batches(test), 1) ||
                 proc_wait(proc, prng_between(prng, 0, RUN_ON_MAX_US));
    if (ended) {
        job_expect_exit(proc, 0);
        return false;
    }
    proc_signal(proc, SIGKILL);
    int code = proc_finish(proc, HARNESS_TIMEOUT_US);
    proc_free(proc);
    cr_expect(code == 0 || code == 128 + SIGKILL, "exit code %d", code);
    return code != 0;
}

Test(purge_kill, killed_runs_neither_lose_nor_double_a_row, .timeout = 3600)
{
    JobTest test;
    open_tables(&test, cluster_shared(), "");
    WorkloadSpec spec = job_application(&test, 1, ROWS + ROWS / 10);
    workload_prepare(test.conn, &spec);
    Workload *workload = workload_start(&spec);
    Prng prng;
    prng_init(&prng, harness_seed());
    for (int64_t killed = 0; killed < wanted(KILLS, KILLS_SOAK);) {
        killed += run_and_kill(&test, &prng) ? 1 : 0;
    }
    finish(&test, workload, &spec);
    (void)fprintf(stderr, "figures: purge: %lld kills, %lld rows kept, none lost or doubled\n",
        (long long)wanted(KILLS, KILLS_SOAK),
        (long long)pg_int(test.conn, "SELECT count(*) FROM kept"));
    job_close_cluster(&test);
}

/* WAL is written late, so that a crash loses commits that nobody waited for. */
#define LATE_WAL "wal_writer_delay = 10s\nwal_writer_flush_after = 1GB\n"

Test(purge_kill, crash_of_the_server_loses_rows_and_checkpoints_together, .timeout = 3600)
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.config = LATE_WAL});
    JobTest test;
    open_tables(&test, cluster, "synchronous_commit: off\nthrottle: {standbys: none}\n");
    WorkloadSpec spec = job_application(&test, 1, ROWS + ROWS / 10);
    workload_prepare(test.conn, &spec);
    Proc *proc = job_start(&test);
    for (int64_t crashes = 0; crashes < wanted(CRASHES, CRASHES_SOAK);) {
        if (!job_wait_batches(&test, proc, job_batches(&test), 10)) {
            job_expect_exit(proc, 0);
            pg_exec(test.conn, "UPDATE app SET amount_text = '1' WHERE id % 3 = 0");
            pg_exec(test.conn, "INSERT INTO oracle.oplog SELECT nextval('oracle.seq'), 'U', id, id,"
                               " ARRAY[amount_text, note] FROM app WHERE id % 3 = 0");
            proc = job_start(&test);
            continue;
        }
        pg_close(test.conn);
        cluster_stop_immediate(cluster);
        cluster_restart(cluster);
        test.conn = pg_open(test.uri);
        crashes++;
    }
    job_set_slow(&test, 0);
    job_expect_exit(proc, 0);
    job_expect_run(&test, 0);
    expect_conserved(&test, &spec);
    job_close_cluster(&test);
}
