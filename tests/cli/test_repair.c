/*
 * test_repair.c - `verify --repair`: rows that differ become right, and the way back from a trigger
 * that was changed.
 *
 * Rows are spoiled in the name of the job's own batches, which the trigger lets through.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "harness/harness.h"
#include "harness/job.h"
#include "harness/session.h"
#include "harness/workload.h"

#define ROWS    10000
#define SLOW_US 1000 /* none is done before the test is through with it */
#define TRIGGER "zzzz_pghaul_1"

#define BLOCK_JOB JOB_SET_AMOUNT "path: block\nworkers: 2\nbatch: {time: 20ms}\n"
#define KEY_JOB   JOB_SET_AMOUNT "path: key\nworkers: 2\nbatch: {time: 20ms}\n"

static const char *const REPAIR[] = {"--repair", NULL};

/* ---- helpers ---- */

static void
spoil(const JobTest *test, const char *where)
{
    pg_execf(test->conn,
        "SET pghaul.batch = '1'; UPDATE app SET amount = -1 WHERE %s; RESET pghaul.batch", where);
}

/* A job that has completed. */
static void
open_complete(JobTest *test, PgCluster *cluster, const char *job)
{
    job_open(test, cluster, ROWS, 0);
    job_write(test, job);
    job_expect_run(test, 0);
}

static void
expect_right(JobTest *test)
{
    cr_expect(job_is_state(test, "complete"));
    cr_expect(eq(i64, 0, job_count_wrong(test, JOB_AMOUNT_RIGHT)));
}

/* verify --json, whose result has these numbers. */
static void
expect_repair(const JobTest *test, const char *repair, int exit_code, int64_t found, int64_t mended)
{
    const char *const more[] = {"--json", repair, NULL};
    Proc *proc = job_start_verb(test, "verify", NULL, more);
    int code = proc_finish(proc, HARNESS_TIMEOUT_US);
    char *out = proc_stdout(proc);
    char *err = proc_stderr(proc);
    cr_expect(eq(int, exit_code, code), "%s", err);
    const char *last = strstr(out, "{\"type\":\"result\"");
    cr_assert(last != NULL, "%s", out);
    json_t *result = json_loads(last, 0, NULL);
    cr_expect(eq(i64, found, json_integer_value(json_object_get(result, "found_rows"))), "%s", out);
    cr_expect(
        eq(i64, mended, json_integer_value(json_object_get(result, "repaired_rows"))), "%s", out);
    json_decref(result);
    free(out);
    free(err);
    proc_free(proc);
}

static void
wait_for_pass(const JobTest *test, const char *kind)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_printf(&sql,
        "SELECT EXISTS (SELECT FROM pghaul.job j JOIN pghaul.ranges r ON r.job = j.id"
        " AND r.pass = j.pass WHERE j.pass_kind = '%s' AND r.batches > 2)",
        kind);
    pg_wait_true(test->conn, strbuf_text(&sql), HARNESS_TIMEOUT_US);
}

/* In the midst of a repair of the whole table that takes its time. */
static Proc *
start_repair(const JobTest *test)
{
    spoil(test, "true");
    job_set_slow_pass(test, "repair", SLOW_US);
    Proc *proc = job_start_verb(test, "verify", NULL, REPAIR);
    wait_for_pass(test, "repair");
    return proc;
}

static int64_t
pass_number(const JobTest *test)
{
    return pg_int(test->conn, "SELECT pass FROM pghaul.job WHERE cleaned IS NULL");
}

/* ---- differences ---- */

static void
check_repair(const char *job)
{
    JobTest test;
    open_complete(&test, cluster_shared(), job);
    spoil(&test, "id % 100 = 7");
    expect_repair(&test, NULL, 6, 100, 0);
    expect_repair(&test, "--repair", 0, 100, 100);
    expect_right(&test);
    int64_t pass = pass_number(&test);
    expect_repair(&test, "--repair", 0, 0, 0); /* nothing to do: only compared */
    cr_expect(eq(i64, pass + 1, pass_number(&test)));
    job_close_cluster(&test);
}

Test(repair, rows_that_differ_become_right_by_block)
{
    check_repair(BLOCK_JOB);
}

Test(repair, rows_that_differ_become_right_by_key)
{
    check_repair(KEY_JOB);
}

Test(repair, rows_of_a_job_without_trigger_become_right)
{
    check_repair(JOB_SET_AMOUNT "sync: none\n");
}

/* The application spoils a row that the move had done. */
Test(repair, next_run_mends_what_the_verify_pass_found)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 0);
    job_set_slow_pass(&test, "verify", SLOW_US);
    job_write(&test, BLOCK_JOB);
    Proc *proc = job_start(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 1));
    wait_for_pass(&test, "verify");
    spoil(&test, "id > 9900");
    job_set_slow(&test, 0);
    job_expect_exit(proc, 6);
    cr_expect(job_is_state(&test, "failed"));
    expect_repair(&test, NULL, 6, 100, 0); /* only compares */
    job_expect_run(&test, 0);
    cr_expect(eq(i64, 1,
        pg_int(test.conn, "SELECT last_pass_kind = 'repair' AND pass_kind = 'verify'"
                          " FROM pghaul.job")));
    expect_right(&test);
    job_close_cluster(&test);
}

Test(repair, rows_that_differ_for_good_are_reported_once_and_not_mended_for_ever)
{
    JobTest test;
    open_complete(&test, cluster_shared(), JOB_SET_AMOUNT "sync: none\nallow: [user-triggers]\n");
    spoil(&test, "id = 5");
    /* A trigger of the application's that insists on its own value. */
    pg_exec(test.conn, "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS"
                       " 'BEGIN NEW.amount := -1; RETURN NEW; END';"
                       "CREATE TRIGGER aaa BEFORE UPDATE ON app FOR EACH ROW"
                       " WHEN (NEW.id = 5) EXECUTE FUNCTION mine()");
    expect_repair(&test, "--repair", 6, 1, 1);
    cr_expect(job_is_state(&test, "complete"));
    job_close_cluster(&test);
}

Test(repair, job_that_cannot_be_verified_is_refused)
{
    JobTest test;
    job_open(&test, cluster_shared(), 100, 0);
    job_write(&test, JOB_SET_HITS);
    job_expect_run(&test, 0);
    job_expect_verb(&test, "verify", REPAIR, 4);
    cr_expect(eq(i64, 0, job_count_wrong(&test, JOB_HITS_RIGHT)));
    job_close_cluster(&test);
}

/* ---- cut off ---- */

static void
kill_repair(JobTest *test, const char *job)
{
    open_complete(test, cluster_shared(), job);
    Proc *proc = start_repair(test);
    proc_signal(proc, SIGKILL);
    proc_free(proc);
    pg_wait_true(test->conn,
        "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'pghaul/%'"
        " AND datname = current_database())",
        HARNESS_TIMEOUT_US);
    pg_exec(test->conn, "UPDATE pghaul.run SET heartbeat = heartbeat - interval '1 hour'");
    cr_expect(lt(i64, 0, job_count_wrong(test, JOB_AMOUNT_RIGHT)), "all was mended before");
    job_set_slow(test, 0);
}

Test(repair, killed_repair_is_gone_on_with_by_the_next_one)
{
    JobTest test;
    kill_repair(&test, BLOCK_JOB);
    int64_t pass = pass_number(&test);
    expect_repair(&test, "--repair", 0, ROWS, ROWS); /* each row once */
    cr_expect(eq(i64, pass + 1, pass_number(&test)), "not begun anew");
    expect_right(&test);
    job_close_cluster(&test);
}

Test(repair, killed_repair_is_gone_on_with_by_run)
{
    JobTest test;
    kill_repair(&test, KEY_JOB);
    int64_t pass = pass_number(&test);
    job_expect_run(&test, 0);
    cr_expect(eq(i64, pass + 1, pass_number(&test)), "not begun anew");
    expect_right(&test);
    job_expect_run(&test, 0); /* complete already */
    cr_expect(eq(i64, pass + 1, pass_number(&test)));
    job_close_cluster(&test);
}

Test(repair, plain_verify_changes_nothing_after_a_killed_repair)
{
    JobTest test;
    kill_repair(&test, BLOCK_JOB);
    int64_t wrong = job_count_wrong(&test, JOB_AMOUNT_RIGHT);
    expect_repair(&test, NULL, 6, ROWS, ROWS - wrong); /* as far as it came */
    char *out = job_verb_output(&test, "verify", NULL, 6);
    cr_expect(eq(ptr, strstr(out, "  repair "), NULL), "%s", out);
    cr_expect(eq(ptr, strstr(out, "HOT"), NULL), "%s", out);
    free(out);
    cr_expect(eq(i64, wrong, job_count_wrong(&test, JOB_AMOUNT_RIGHT)));
    job_close_cluster(&test);
}

Test(repair, repair_that_was_killed_before_it_changed_anything_is_gone_on_with_by_run)
{
    JobTest test;
    open_complete(&test, cluster_shared(), BLOCK_JOB);
    spoil(&test, "true");
    job_set_slow(&test, SLOW_US);
    Proc *proc = job_start_verb(&test, "verify", NULL, REPAIR);
    pg_wait_true(test.conn, "SELECT count(*) > 0 FROM pghaul.ranges WHERE pass = 3 AND batches > 0",
        HARNESS_TIMEOUT_US);
    proc_signal(proc, SIGTERM);
    job_expect_exit(proc, 7);
    cr_expect(job_is_state(&test, "complete"));
    job_set_slow(&test, 0);
    job_expect_run(&test, 0);
    expect_right(&test);
    job_close_cluster(&test);
}

/* ---- company ---- */

Test(repair, application_that_writes_meanwhile_ends_up_right)
{
    JobTest test;
    open_complete(&test, cluster_shared(), BLOCK_JOB);
    WorkloadSpec spec = job_application(&test, 1, ROWS);
    workload_prepare(test.conn, &spec);
    Workload *workload = workload_start(&spec);
    Proc *proc = start_repair(&test);
    int64_t committed = workload_committed(workload);
    while (workload_committed(workload) < committed + 100) {
        harness_nap_us(2000);
    }
    job_set_slow(&test, 0);
    job_expect_exit(proc, 0);
    WorkloadStats stats = workload_finish(workload);
    cr_expect(eq(i64, 0, workload_unexpected_errors(&stats)), "%s", stats.first_unexpected);
    char *message = NULL;
    int64_t differences = workload_check(test.conn, &spec, JOB_AMOUNT_RIGHT, &message);
    cr_expect(eq(i64, 0, differences), "%s", message == NULL ? "" : message);
    free(message);
    expect_right(&test);
    job_close_cluster(&test);
}

/* A failed job is `running` while it is repaired, so runs may join. */
Test(repair, several_runs_share_a_repair)
{
    JobTest test;
    job_open(&test, cluster_shared(), 3 * (int64_t)ROWS, 0);
    job_write(&test, BLOCK_JOB);
    Session *holder = session_open(test.uri);
    session_lock_rows(holder, "app", "id = 1");
    Proc *first = job_start(&test);
    cr_assert(job_wait_batches(&test, first, 0, 1));
    proc_signal(first, SIGTERM);
    job_expect_exit(first, 7);
    session_release(holder);
    session_close(holder);
    pg_exec(test.conn, "ALTER TABLE app DISABLE TRIGGER " TRIGGER);

    job_set_slow(&test, SLOW_US);
    const char *const one[] = {"--repair", "--workers", "1", NULL};
    Proc *repair = job_start_verb(&test, "verify", NULL, one);
    cr_assert(job_wait_batches(&test, repair, job_batches(&test), 2));
    Proc *other = job_start_verb(&test, "run", NULL, &one[1]);
    pg_wait_true(test.conn,
        "SELECT count(DISTINCT run) = 2 FROM pghaul.ranges r JOIN pghaul.job j"
        " ON r.job = j.id AND r.pass = j.pass AND r.state = 'leased'",
        HARNESS_TIMEOUT_US);
    job_set_slow(&test, 0);
    job_expect_exit(repair, 0);
    job_expect_exit(other, 0);
    expect_right(&test);
    job_close_cluster(&test);
}

/* Until no batch has committed for a second. */
static void
wait_still(const JobTest *test)
{
    int64_t deadline_us = clock_mono_us() + HARNESS_TIMEOUT_US;
    int64_t before = -1;
    for (int64_t batches = job_batches(test); batches != before; batches = job_batches(test)) {
        cr_assert(lt(i64, clock_mono_us(), deadline_us), "batches go on committing");
        before = batches;
        harness_nap_us(SECONDS_US(1));
    }
}

Test(repair, lag_of_a_standby_pauses_a_repair, .timeout = 120)
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.with_standby = true});
    JobTest test;
    open_complete(&test, cluster, KEY_JOB "throttle: {lag: 500ms}\n");
    cluster_wait_catch_up(cluster, HARNESS_TIMEOUT_US);
    Proc *proc = start_repair(&test);
    cluster_pause_replay(cluster);
    pg_wait_true(test.conn, "SELECT EXISTS (SELECT FROM pghaul.run WHERE reason LIKE '%lag%')",
        HARNESS_TIMEOUT_US);
    wait_still(&test);
    cr_expect(not(proc_wait(proc, 0)), "it pauses, with work left");
    cluster_resume_replay(cluster);
    job_set_slow(&test, 0);
    job_expect_exit(proc, 0);
    expect_right(&test);
    job_close(&test);
    cluster_stop(cluster);
}

/* ---- the way back from drift ---- */

/* Runs end with drift; the application writes behind the trigger's back; a repair makes all of it
 * right, whatever the run had done before. */
static void
check_way_back(const char *job, const char *change, const char *pass_kind)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 0);
    job_set_slow_pass(&test, pass_kind, SLOW_US);
    job_write(&test, job);
    Proc *proc = job_start(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 1));
    wait_for_pass(&test, pass_kind);
    pg_exec(test.conn, change);
    pg_exec(test.conn, "UPDATE app SET amount_text = '4711' WHERE id % 10 = 0");
    job_set_slow(&test, 0);
    job_expect_exit(proc, 1);
    job_expect_run(&test, 1); /* a plain run refuses, and so does a plain verify */
    job_expect_verb(&test, "verify", NULL, 1);
    cr_expect(job_is_state(&test, "failed"));
    job_expect_verb(&test, "verify", REPAIR, 0);
    expect_right(&test);
    pg_exec(test.conn, "UPDATE app SET amount_text = '4712' WHERE id = 10");
    cr_expect(eq(i64, 4712, pg_int(test.conn, "SELECT amount FROM app WHERE id = 10")));
    job_expect_run(&test, 0);
    job_close_cluster(&test);
}

Test(repair, trigger_that_was_disabled_during_the_move_by_block)
{
    check_way_back(BLOCK_JOB, "ALTER TABLE app DISABLE TRIGGER " TRIGGER, "move");
}

Test(repair, trigger_that_was_dropped_during_the_move_by_key)
{
    check_way_back(KEY_JOB, "DROP TRIGGER " TRIGGER " ON app", "move");
}

Test(repair, trigger_that_was_disabled_during_the_verify_pass)
{
    check_way_back(BLOCK_JOB, "ALTER TABLE app DISABLE TRIGGER " TRIGGER, "verify");
}

Test(repair, trigger_that_was_disabled_for_a_while_and_the_job_was_complete)
{
    JobTest test;
    open_complete(&test, cluster_shared(), BLOCK_JOB);
    pg_exec(test.conn, "ALTER TABLE app DISABLE TRIGGER USER;"
                       "UPDATE app SET amount_text = '4711' WHERE id <= 50;"
                       "ALTER TABLE app ENABLE ALWAYS TRIGGER " TRIGGER);
    expect_repair(&test, "--repair", 0, 50, 50);
    expect_right(&test);
    job_close_cluster(&test);
}

Test(repair, another_trigger_under_the_name_is_refused)
{
    JobTest test;
    open_complete(&test, cluster_shared(), BLOCK_JOB);
    pg_exec(test.conn, "DROP TRIGGER " TRIGGER " ON app;"
                       "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS"
                       " 'BEGIN RETURN NEW; END';"
                       "CREATE TRIGGER " TRIGGER " BEFORE UPDATE ON app FOR EACH ROW"
                       " EXECUTE FUNCTION mine();"
                       "ALTER TABLE app ENABLE ALWAYS TRIGGER " TRIGGER);
    job_expect_verb(&test, "verify", REPAIR, 4);
    pg_exec(test.conn, "DROP TRIGGER " TRIGGER " ON app");
    job_expect_verb(&test, "verify", REPAIR, 0);
    expect_right(&test);
    job_close_cluster(&test);
}

/* It may go on firing where the job file allows it; then the table is taken as it is now, and the
 * sync trigger fires after it for our own batches too. */
Test(repair, trigger_of_the_applications_is_accepted_by_the_job_file)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, SLOW_US);
    job_write(&test, BLOCK_JOB);
    Proc *proc = job_start(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 5));
    pg_exec(test.conn, "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS"
                       " 'BEGIN NEW.amount_text := ''7''; RETURN NEW; END';"
                       "CREATE TRIGGER aaa BEFORE UPDATE ON app FOR EACH ROW"
                       " EXECUTE FUNCTION mine()");
    job_set_slow(&test, 0);
    job_expect_exit(proc, 1);
    job_expect_verb(&test, "verify", REPAIR, 4);
    job_write(&test, BLOCK_JOB "allow: [user-triggers]\n");
    job_expect_verb(&test, "verify", REPAIR, 0);
    cr_expect(lt(i64, 0,
        pg_int(test.conn, "SELECT count(*) FROM app WHERE amount = 7"
                          " AND id % 1000 <> 7")));
    expect_right(&test);
    job_close_cluster(&test);
}

/* A repair mends values; a column that is another one now is beyond it. */
Test(repair, drift_of_a_column_is_not_taken_for_granted)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 0);
    job_set_slow_pass(&test, "verify", SLOW_US);
    job_write(&test, BLOCK_JOB);
    Proc *proc = job_start(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 1));
    wait_for_pass(&test, "verify");
    pg_exec(test.conn, "ALTER TABLE app ALTER amount TYPE numeric(20,1)");
    job_set_slow(&test, 0);
    job_expect_exit(proc, 1);
    job_expect_verb(&test, "verify", REPAIR, 1);
    cr_expect(job_is_state(&test, "failed"));
    job_close_cluster(&test);
}
