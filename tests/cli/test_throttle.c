/*
 * test_throttle.c - pauses for what the server and its standbys say, with a reason that reads the
 * same everywhere, and goes on by itself.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "harness/harness.h"
#include "harness/job.h"
#include "harness/session.h"

#define LAG_TEXT    "replication lag of standby1 is "
#define GONE_TEXT   "standby standby1 is not connected"
#define BLIND_ROLE  "mover_without_monitor"
#define LIMIT_US    500000
#define REACTION_US 1000000

/* A run that reports in JSON. */
static Proc *
start_json(const JobTest *test)
{
    const char *const more[] = {"--yes", "--json", NULL};
    return job_start_verb(test, "run", NULL, more);
}

static void
wait_throttled(const JobTest *test, const char *reason_like)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_printf(
        &sql, "SELECT EXISTS (SELECT FROM pghaul.run WHERE reason LIKE '%s%%')", reason_like);
    pg_wait_true(test->conn, strbuf_text(&sql), HARNESS_TIMEOUT_US);
}

/* What `pghaul status --json` prints. */
static char *
status_json(const JobTest *test)
{
    const char *const more[] = {"--json", NULL};
    Proc *proc = job_start_verb(test, "status", NULL, more);
    cr_assert(eq(int, proc_finish(proc, HARNESS_TIMEOUT_US), 0));
    char *out = proc_stdout(proc);
    proc_free(proc);
    return out;
}

static void
expect_contains(const char *what, const char *text, const char *part)
{
    cr_expect(ne(ptr, (void *)strstr(text, part), NULL), "%s should contain \"%s\":\n%s", what,
        part, text);
}

/* The log, the JSON lines, the status and the event table say the same. */
static void
expect_reason_everywhere(const JobTest *test, Proc *proc, const char *reason)
{
    cr_expect(proc_wait_output(proc, reason, HARNESS_TIMEOUT_US), "no output says: %s", reason);
    STRBUF_AUTO field = STRBUF_INIT;
    strbuf_printf(&field, "\"throttle_reason\":\"%s", reason);
    cr_expect(proc_wait_output(proc, strbuf_text(&field), HARNESS_TIMEOUT_US), "no JSON says: %s",
        reason);
    char *status = status_json(test);
    expect_contains("status", status, strbuf_text(&field));
    free(status);

    char *event = pg_text(test->conn, "SELECT reason FROM pghaul.event WHERE what = 'throttled'"
                                      " ORDER BY id DESC LIMIT 1");
    cr_expect(eq(int, strncmp(event, reason, strlen(reason)), 0), "event: %s", event);
    char *log = proc_stderr(proc);
    STRBUF_AUTO line = STRBUF_INIT;
    strbuf_printf(&line, "throttled: %s", event);
    expect_contains("log", log, strbuf_text(&line));
    free(log);
    free(event);
}

static void
expect_no_batch_commits(const JobTest *test, int64_t for_us)
{
    int64_t before = job_batches(test);
    harness_nap_us(for_us);
    cr_expect(eq(i64, job_batches(test), before));
    cr_expect(job_is_moving(test), "the job must have work left while it pauses");
}

Test(throttle, lag_of_a_standby_pauses_says_why_and_goes_on_by_itself, .timeout = 120)
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.with_standby = true});
    JobTest test;
    job_open(&test, cluster, 1200, 1100);
    job_write(&test, JOB_SET_AMOUNT
        "verify: none\npath: key\nstripes: 1\nbatch: {rows: 20}\nthrottle: {lag: 500ms}\n");
    cluster_wait_catch_up(cluster, HARNESS_TIMEOUT_US);
    Proc *proc = start_json(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 5));

    cluster_pause_replay(cluster);
    harness_nap_us(LIMIT_US + REACTION_US);
    expect_no_batch_commits(&test, 1500000);
    wait_throttled(&test, LAG_TEXT);
    expect_reason_everywhere(&test, proc, LAG_TEXT);

    cluster_resume_replay(cluster);
    job_expect_exit(proc, 0);
    cr_expect(eq(i64, job_count_wrong(&test, JOB_AMOUNT_RIGHT), 0));
    cr_expect(eq(i64,
        pg_int(test.conn, "SELECT count(*) FROM pghaul.event"
                          " WHERE what = 'going on'"),
        pg_int(test.conn, "SELECT count(*) FROM pghaul.event WHERE what = 'throttled'")));
    job_close(&test);
    cluster_stop(cluster);
}

Test(throttle, vanished_standby_pauses_until_it_is_back, .timeout = 120)
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.with_standby = true});
    JobTest test;
    job_open(&test, cluster, 1000, 1100);
    job_write(&test, JOB_SET_AMOUNT "verify: none\npath: key\nstripes: 1\nbatch: {rows: 20}\n");
    Proc *proc = start_json(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 5));

    cluster_stop_standby(cluster);
    wait_throttled(&test, GONE_TEXT);
    expect_no_batch_commits(&test, 1000000);
    expect_reason_everywhere(&test, proc, GONE_TEXT);

    cluster_restart_standby(cluster);
    job_expect_exit(proc, 0);
    cr_expect(eq(i64, job_count_wrong(&test, JOB_AMOUNT_RIGHT), 0));
    job_close(&test);
    cluster_stop(cluster);
}

Test(throttle, standby_that_is_gone_for_good_is_given_up_in_the_job_file, .timeout = 120)
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.with_standby = true});
    JobTest test;
    job_open(&test, cluster, 1000, 1100);
    job_write(&test, JOB_SET_AMOUNT "path: key\nbatch: {rows: 20}\n");
    Proc *proc = start_json(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 5));
    cluster_stop_standby(cluster);
    wait_throttled(&test, GONE_TEXT);
    proc_signal(proc, SIGTERM);
    job_expect_exit(proc, 7);

    job_write(&test, JOB_SET_AMOUNT "path: key\nbatch: {rows: 20}\nthrottle: {standbys: none}\n");
    job_set_slow(&test, 0);
    job_expect_run(&test, 0);
    cr_expect(eq(i64, job_count_wrong(&test, JOB_AMOUNT_RIGHT), 0));
    cr_expect(eq(i64, 1,
        pg_int(test.conn, "SELECT count(*) FROM pghaul.event WHERE what = 'job file'"
                          " AND reason LIKE '%keep up: none'")));
    cr_expect(eq(i64, 1, pg_int(test.conn, "SELECT spec LIKE '%none%' FROM pghaul.job")));
    job_close_cluster(&test);
}

Test(throttle, idle_cluster_never_shows_lag, .timeout = 120)
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.with_standby = true});
    JobTest test;
    job_open(&test, cluster, 100, 0);
    job_write(&test, JOB_SET_AMOUNT "throttle: {lag: 1s}\n");
    Session *holder = session_open(test.uri);
    session_lock_rows(holder, "app", "true");
    Proc *proc = start_json(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 1));
    int64_t before = job_moved_rows(&test);
    harness_nap_us(SECONDS_US(6));
    cr_expect(eq(i64, job_moved_rows(&test), before));
    cr_expect(eq(i64, before, 0));

    session_release(holder);
    job_expect_exit(proc, 0);
    cr_expect(eq(i64, job_count_wrong(&test, JOB_AMOUNT_RIGHT), 0));
    char *paused = pg_text(test.conn, "SELECT string_agg(reason, '; ') FROM pghaul.event"
                                      " WHERE what = 'throttled'");
    cr_expect(eq(ptr, paused, NULL), "throttled: %s", paused);
    free(paused);
    session_close(holder);
    job_close(&test);
    cluster_stop(cluster);
}

Test(throttle, role_that_cannot_read_lag_is_refused_with_the_grant, .timeout = 60)
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.with_standby = true});
    JobTest test;
    job_open(&test, cluster, 100, 0);
    job_write(&test, JOB_SET_AMOUNT);
    pg_exec(test.conn, "CREATE ROLE " BLIND_ROLE " LOGIN; ALTER TABLE app OWNER TO " BLIND_ROLE);
    pg_execf(test.conn, "GRANT CREATE ON DATABASE %s TO " BLIND_ROLE, test.dbname);
    const char *const more[] = {"--yes", "-U", BLIND_ROLE, NULL};
    Proc *proc = job_start_verb(&test, "run", NULL, more);
    cr_expect(eq(int, proc_finish(proc, HARNESS_TIMEOUT_US), 4));
    char *err = proc_stderr(proc);
    expect_contains("the refusal", err, "GRANT pg_monitor TO \"" BLIND_ROLE "\"");
    free(err);
    proc_free(proc);
    cr_expect(eq(i64, job_count_wrong(&test, "amount IS NULL"), 0));

    pg_exec(test.conn, "GRANT pg_monitor TO \"" BLIND_ROLE "\"");
    job_expect_verb(&test, "run", more, 0);
    cr_expect(eq(i64, job_count_wrong(&test, JOB_AMOUNT_RIGHT), 0));
    job_close(&test);
    cluster_stop(cluster);
}

Test(throttle, lock_waiters_on_the_table_pause_until_they_are_gone, .timeout = 120)
{
    PgCluster *cluster = cluster_shared();
    JobTest test;
    job_open(&test, cluster, 1200, 1100);
    job_write(&test, JOB_SET_AMOUNT "verify: none\npath: key\nstripes: 1\nbatch: {rows: "
                                    "20}\nthrottle: {lock_waiters: 2, standbys: none}\n");
    Proc *proc = start_json(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 5));

    /* Row 1 is done already: the run itself has no business there. */
    Session *holder = session_open(test.uri);
    Session *waiters[2] = {session_open(test.uri), session_open(test.uri)};
    session_lock_rows(holder, "app", "id = 1");
    for (int i = 0; i < 2; i++) {
        session_send(waiters[i], "UPDATE app SET note = 'x' WHERE id = 1");
        session_wait_blocked(waiters[i], test.conn, HARNESS_TIMEOUT_US);
    }
    const char *reason = "2 sessions wait for locks on app (limit 2)";
    wait_throttled(&test, reason);
    harness_nap_us(200000); /* batches in flight */
    expect_no_batch_commits(&test, 1000000);
    expect_reason_everywhere(&test, proc, reason);

    session_release(holder);
    for (int i = 0; i < 2; i++) {
        session_expect_ok(waiters[i], HARNESS_TIMEOUT_US);
        session_close(waiters[i]);
    }
    job_expect_exit(proc, 0);
    cr_expect(eq(i64, job_count_wrong(&test, JOB_AMOUNT_RIGHT), 0));
    session_close(holder);
    job_close(&test);
    cluster_stop(cluster);
}
