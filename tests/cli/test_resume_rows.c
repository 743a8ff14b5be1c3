/*
 * test_resume_rows.c - rows that an expression refuses, a table that is rewritten: what the run
 * says, what the application feels, and what the next run does.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "harness/harness.h"
#include "harness/job.h"
#include "harness/session.h"
#include "harness/workload.h"

#define ROWS     20000
#define BAD_KEY  "777"
#define LAST_KEY "20000"
#define FIRST_ID 1000 /* the application leaves the rows before it alone */

#define BLOCK_JOB JOB_SET_AMOUNT "path: block\nworkers: 2\nbatch: {time: 20ms}\n"
#define KEY_JOB   JOB_SET_AMOUNT "path: key\nworkers: 2\nbatch: {time: 20ms}\n"

static void
expect_right(JobTest *test, const WorkloadSpec *spec, Workload *workload)
{
    WorkloadStats stats = workload_finish(workload);
    cr_expect(eq(i64, 0, workload_unexpected_errors(&stats)), "%s", stats.first_unexpected);
    cr_expect(lt(i64, 0, stats.committed));
    char *message = NULL;
    int64_t differences = workload_check(test->conn, spec, JOB_AMOUNT_RIGHT, &message);
    cr_expect(eq(i64, 0, differences), "%s", message == NULL ? "" : message);
    free(message);
}

/* ---- rows that the expression refuses ---- */

/* The run stops at the row of this key and names it where the operator asks, not in its log. */
static void
expect_stop_at(JobTest *test, Proc *proc, const char *key, int attempts)
{
    cr_assert(proc_wait(proc, HARNESS_TIMEOUT_US));
    char *err = proc_stderr(proc);
    cr_expect(strstr(err, "a row is refused: SQLSTATE 22P02") != NULL, "%s", err);
    cr_expect(strstr(err, "pghaul quarantine " JOB_NAME) != NULL, "%s", err);
    cr_expect(strstr(err, "{") == NULL && strstr(err, "n/a") == NULL, "%s", err);
    free(err);
    job_expect_exit(proc, 1);
    cr_expect(eq(i64, 1,
        pg_intf(test->conn,
            "SELECT count(*) FILTER (WHERE key = '{%s}' AND sqlstate = '22P02' AND NOT set_aside"
            " AND message LIKE '%%n/a%%' AND attempts = %d) = 1 AND count(*) = 1"
            " FROM pghaul.quarantine",
            key, attempts)));
    cr_expect(job_is_state(test, "failed"));

    Proc *list = job_start_verb(test, "quarantine", NULL, NULL);
    cr_assert(proc_wait(list, HARNESS_TIMEOUT_US));
    char *out = proc_stdout(list);
    cr_expect(strstr(out, key) != NULL && strstr(out, "n/a") != NULL, "%s", out);
    free(out);
    job_expect_exit(list, 0);
}

static void
expect_stop_at_bad_row(const char *job)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 20);
    pg_exec(test.conn, "UPDATE app SET amount_text = 'n/a' WHERE id = " BAD_KEY);
    job_write(&test, job);
    WorkloadSpec spec = job_application(&test, FIRST_ID, ROWS);
    workload_prepare(test.conn, &spec);
    Workload *workload = workload_start(&spec);

    expect_stop_at(&test, job_start(&test), BAD_KEY, 1);
    int64_t committed = workload_committed(workload);
    while (workload_committed(workload) < committed + 20) { /* with the trigger in place */
        harness_nap_us(2000);
    }
    expect_stop_at(&test, job_start(&test), BAD_KEY, 2); /* not mended: it stops there again */

    WorkloadStats stats = workload_finish(workload);
    cr_expect(eq(i64, 0, workload_unexpected_errors(&stats)), "%s", stats.first_unexpected);
    pg_exec(test.conn, "UPDATE app SET amount_text = '1' WHERE id = " BAD_KEY);
    job_expect_run(&test, 0);
    cr_expect(job_is_state(&test, "complete"));
    cr_expect(eq(i64, 0, job_count_wrong(&test, JOB_AMOUNT_RIGHT)));
    cr_expect(eq(i64, 0, pg_int(test.conn, "SELECT count(*) FROM pghaul.quarantine")));
    job_close_cluster(&test);
}

Test(resume_rows, block_path_stops_at_a_row_that_the_expression_refuses_and_records_it)
{
    expect_stop_at_bad_row(BLOCK_JOB);
}

Test(resume_rows, key_path_stops_at_a_row_that_the_expression_refuses_and_records_it)
{
    expect_stop_at_bad_row(KEY_JOB);
}

/* All is moved when the application spoils the last row; only the verify pass, which takes its time
 * to come there, meets it. */
Test(resume_rows, verify_records_a_row_that_the_application_made_unfit_for_the_expression)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 0);
    job_set_slow_pass(&test, "verify", 500);
    job_write(&test, KEY_JOB);
    Proc *proc = job_start(&test);
    pg_wait_true(
        test.conn, "SELECT to_regclass('pghaul.progress') IS NOT NULL", HARNESS_TIMEOUT_US);
    pg_wait_true(test.conn, "SELECT EXISTS (SELECT FROM pghaul.job WHERE pass_kind = 'verify')",
        HARNESS_TIMEOUT_US);
    pg_exec(test.conn, "UPDATE app SET amount_text = 'n/a' WHERE id = " LAST_KEY);
    cr_expect(eq(i64, 1, pg_int(test.conn, "SELECT amount IS NULL FROM app WHERE id = " LAST_KEY)));
    job_set_slow(&test, 0);
    expect_stop_at(&test, proc, LAST_KEY, 1);

    pg_exec(test.conn, "UPDATE app SET amount_text = '1' WHERE id = " LAST_KEY);
    job_expect_run(&test, 0);
    cr_expect(job_is_state(&test, "complete"));
    cr_expect(eq(i64, 0, job_count_wrong(&test, JOB_AMOUNT_RIGHT)));
    job_close_cluster(&test);
}

/* ---- the table is rewritten ---- */

Test(resume_rows, vacuum_full_during_the_block_path_begins_the_pass_anew)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 500);
    job_write(&test, BLOCK_JOB);
    WorkloadSpec spec = job_application(&test, FIRST_ID, ROWS);
    workload_prepare(test.conn, &spec);
    Workload *workload = workload_start(&spec);
    Proc *proc = job_start(&test);
    for (int i = 0; i < 2; i++) {
        cr_assert(job_wait_batches(&test, proc, job_batches(&test), 5));
        pg_exec(test.conn, "VACUUM FULL app");
    }
    job_set_slow(&test, 0);
    job_expect_exit(proc, 0);
    cr_expect(lt(i64, 0,
        pg_int(test.conn, "SELECT count(*) FROM pghaul.event"
                          " WHERE what = 'restart'")));
    cr_expect(job_is_state(&test, "complete"));
    expect_right(&test, &spec, workload);
    job_close_cluster(&test);
}
