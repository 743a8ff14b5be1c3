/*
 * engine_run.c - the real binary, built with the thread sanitizer, doing a real job in all the ways
 * that make its threads meet: four workers, rows and tables held by others, batches cancelled for
 * the application, a paused standby, first and second signals, a lost connection, a resume, and
 * settings that change: workers that come and go while all of this is watched.  Then a copy whose
 * change log is drained while the application writes.
 *
 * A report of the sanitizer ends the binary with status 66, which no run may end with.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/harness.h"
#include "harness/job.h"
#include "harness/session.h"

#define ROWS    100000 /* ranges for four workers */
#define SLOW_US 100
#define ROUNDS  3

static const char JOB_TEXT[] =
    JOB_SET_AMOUNT "workers: 4\nbatch: {time: 20ms}\npath: key\nthrottle: {lag: 200ms}\n";

static void
expect_exit(Proc *proc, int wanted)
{
    int code = proc_finish(proc, HARNESS_TIMEOUT_US);
    if (code != wanted) {
        char *out = proc_stdout(proc);
        char *err = proc_stderr(proc);
        harness_fail("exit code %d instead of %d:\n%s\n%s", code, wanted, out, err);
    }
    proc_free(proc);
}

static Proc *
start(const JobTest *test, const char *form)
{
    const char *const more[] = {"--yes", form, NULL};
    Proc *proc = job_start_verb(test, "run", NULL, more);
    if (!job_wait_batches(test, proc, job_batches(test), 3)) {
        expect_exit(proc, -1);
    }
    return proc;
}

/* A row held by somebody, DDL that waits for our batches and has them cancelled. */
static void
disturb(const JobTest *test, Proc *proc)
{
    Session *holder = session_open(test->uri);
    Session *ddl = session_open(test->uri);
    session_lock_rows(holder, "app", "id % 1000 = 500");
    (void)job_wait_batches(test, proc, job_batches(test), 5);
    session_release(holder);
    for (int i = 0; i < 5; i++) {
        session_send(ddl, "BEGIN; LOCK TABLE app IN ACCESS EXCLUSIVE MODE; COMMIT");
        session_expect_ok(ddl, HARNESS_TIMEOUT_US);
        harness_nap_us(20000);
    }
    session_close(holder);
    session_close(ddl);
}

static void
lose_sessions(const JobTest *test)
{
    (void)pg_int(test->conn, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                             " WHERE application_name LIKE 'pghaul/fill/%'");
}

static void
stop_and_resume(const JobTest *test)
{
    Proc *proc = start(test, "--json");
    disturb(test, proc);
    proc_signal(proc, SIGTERM);
    expect_exit(proc, 7);

    proc = start(test, "--json");
    proc_signal(proc, SIGINT);
    harness_nap_us(1000);
    proc_signal(proc, SIGTERM); /* another signal, since two of one kind may arrive as one */
    int code = proc_finish(proc, HARNESS_TIMEOUT_US);
    if (code != 130 && code != 7) { /* 7: it had ended before the second came */
        expect_exit(proc, 130);
    } else {
        proc_free(proc);
    }
}

static void
steer(const JobTest *test, Proc *proc)
{
    static const char *const CHANGES[] = {
        "set('" JOB_NAME "', 'workers', '9')",
        "set('" JOB_NAME "', 'batch.rows', '20')",
        "set('" JOB_NAME "', 'workers', '1')",
        "set('" JOB_NAME "', 'throttle.lock_waiters', '50')",
        "pause('" JOB_NAME "', 'stress')",
        "set('" JOB_NAME "', 'workers', '6')",
        "resume('" JOB_NAME "')",
        "set('" JOB_NAME "', 'batch.rows', 'default')",
        "set('" JOB_NAME "', 'workers', 'default')",
    };
    for (size_t i = 0; i < sizeof(CHANGES) / sizeof(CHANGES[0]); i++) {
        pg_execf(test->conn, "SELECT pghaul.%s", CHANGES[i]);
        pg_wait_true(test->conn,
            "SELECT EXISTS (SELECT FROM pghaul.event e WHERE e.run IS NOT NULL AND e.id > ("
            "SELECT max(c.id) FROM pghaul.event c WHERE c.what IN ('set', 'pause', 'resume')))",
            HARNESS_TIMEOUT_US);
        if (i != 4 && i != 5) { /* paused */
            (void)job_wait_batches(test, proc, job_batches(test), 3);
        }
    }
}

static void
pause_and_finish(const JobTest *test)
{
    Proc *proc = start(test, "-v");
    steer(test, proc);
    cluster_pause_replay(test->cluster);
    pg_wait_true(test->conn, "SELECT EXISTS (SELECT FROM pghaul.event WHERE what = 'throttled')",
        HARNESS_TIMEOUT_US);
    cluster_resume_replay(test->cluster);
    lose_sessions(test);
    job_set_slow(test, 0);
    expect_exit(proc, 0);
}

static void
run_round(PgCluster *cluster)
{
    JobTest test;
    job_open(&test, cluster, ROWS, SLOW_US);
    job_write(&test, JOB_TEXT);
    stop_and_resume(&test);
    pause_and_finish(&test);
    int64_t wrong = job_count_wrong(&test, JOB_AMOUNT_RIGHT);
    int64_t moved = job_moved_rows(&test);
    (void)printf("%" PRId64 " rows moved, %" PRId64 " wrong\n", moved, wrong);
    if (wrong != 0) {
        harness_fail("rows are wrong");
    }
    job_close(&test);
}

/* ---- copies ---- */

#define COPY_ROWS 20000

static const char COPY_TARGET[] =
    "CREATE TABLE copied (id bigint PRIMARY KEY, amount numeric, note text, hits bigint)";
static const char COPY_SQL[] = "SELECT id, amount_text::numeric, note, hits FROM app";

/* Sessions are lost, the run is stopped, and the next one catches up with the
 * application, which writes all the time. */
static void
disturb_copy(const JobTest *test)
{
    WorkloadSpec app = job_application(test, 1, COPY_ROWS);
    workload_prepare(test->conn, &app);
    Workload *workload = workload_start(&app);
    Proc *proc = start(test, "--json");
    lose_sessions(test);
    (void)job_wait_batches(test, proc, job_batches(test), 5);
    proc_signal(proc, SIGTERM);
    expect_exit(proc, 7);
    proc = start(test, "-v");
    job_set_slow(test, 0);
    expect_exit(proc, 0);
    WorkloadStats stats = workload_finish(workload);
    if (workload_unexpected_errors(&stats) != 0) {
        harness_fail("the application: %s", stats.first_unexpected);
    }
}

static void
run_copy(PgCluster *cluster)
{
    JobTest test;
    job_open(&test, cluster, COPY_ROWS, SLOW_US);
    pg_exec(test.conn, COPY_TARGET);
    harness_write_file(test.path, "job: " JOB_NAME "\ncopy: app\ninto: copied\n"
                                  "map: {amount: 'slowly(amount_text)::numeric'}\n"
                                  "workers: 4\nbatch: {time: 20ms}\nthrottle: {standbys: none}\n");
    disturb_copy(&test);
    const char *const more[] = {"--yes", NULL};
    expect_exit(job_start_verb(&test, "run", NULL, more), 0);
    char *message = NULL;
    if (pg_compare(test.conn, COPY_SQL, "SELECT id, amount, note, hits FROM copied", &message)) {
        harness_fail("the copy differs: %s", message);
    }
    job_close(&test);
}

int
main(void)
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.with_standby = true});
    for (int i = 0; i < ROUNDS; i++) {
        run_round(cluster);
    }
    run_copy(cluster);
    cluster_stop(cluster);
    return 0;
}
