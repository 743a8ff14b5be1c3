/*
 * test_kill_quarantine.c - rows are set aside while an application writes, several runs share the
 * job and kill -9 ends them at random instants: each good row is changed (once, when that can be
 * told), each bad one never, and exactly the bad ones are in quarantine.
 *
 * PGHAUL_SOAK=1 asks for more kills.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/harness.h"
#include "harness/job.h"
#include "harness/session.h"
#include "harness/workload.h"

#define ROWS          24000
#define SLOW_US       100
#define RUN_ON_MAX_US 800000
#define KILLS         8
#define KILLS_SOAK    60

#define IS_BAD "id % 1999 = 0"
/* 0, or a division by it. */
#define SPOILT "0 / (CASE id % 1999 WHEN 0 THEN 0 ELSE 1 END)"
#define ASIDE  "on_error: quarantine\nworkers: 2\nbatch: {time: 20ms}\n"

#define SET_AMOUNT "set: {amount: 'slowly(amount_text)::numeric + " SPOILT "'}\n"
#define SET_HITS   "set: {hits: 'slowly(hits) * 2 + 1 + " SPOILT "'}\n"
#define AMOUNT_RIGHT                                                                               \
    "amount IS NOT DISTINCT FROM CASE WHEN NOT (" IS_BAD ") THEN amount_text::numeric END"
#define HITS_RIGHT "hits = CASE WHEN " IS_BAD " THEN hits_before ELSE hits_before * 2 + 1 END"

/* No row comes, goes or changes its key; locks are held a little longer than others do. */
static WorkloadSpec
application(const JobTest *test)
{
    WorkloadSpec spec = job_application(test, 1, ROWS);
    spec.keys_fixed = true;
    spec.hold_us = 2000;
    spec.think_us = 3000;
    return spec;
}

/* The job is complete, and so is the list of what it left out. */
static void
expect_complete(const JobTest *test, const char *right_sql)
{
    cr_expect(job_is_state(test, "complete"));
    cr_expect(eq(i64, 0, job_count_wrong(test, right_sql)), "%s", right_sql);
    cr_expect(eq(i64, 0,
        pg_int(test->conn, "SELECT count(*) FROM (SELECT id::text FROM app WHERE " IS_BAD ") AS b"
                           " FULL JOIN (SELECT key[1] AS id FROM pghaul.quarantine"
                           "             WHERE set_aside AND sqlstate = '22012') AS q USING (id)"
                           " WHERE b.* IS NULL OR q.* IS NULL")));
}

static void
finish_application(JobTest *test, Workload *workload, const WorkloadSpec *spec, const char *right)
{
    WorkloadStats stats = workload_finish(workload);
    char *message = NULL;
    int64_t differences = workload_check(test->conn, spec, right, &message);
    cr_expect(eq(i64, 0, differences), "%s", message == NULL ? "" : message);
    cr_expect(eq(i64, 0, workload_unexpected_errors(&stats)), "%s", stats.first_unexpected);
    cr_expect(lt(i64, 0, stats.committed));
    free(message);
}

/* ---- kill -9 ---- */

/* True when the run was killed between its first batch and the end of the job. */
static bool
run_and_kill(const JobTest *test, Prng *prng)
{
    Proc *proc = job_start(test);
    bool ended = !job_wait_batches(test, proc, job_batches(test), 1) ||
                 proc_wait(proc, prng_between(prng, 0, RUN_ON_MAX_US));
    if (!ended) {
        proc_signal(proc, SIGKILL);
        int code = proc_finish(proc, HARNESS_TIMEOUT_US);
        proc_free(proc);
        cr_expect(code == 5 || code == 128 + SIGKILL, "exit code %d", code);
        return code != 5;
    }
    job_expect_exit(proc, 5);
    return false;
}

static void
expect_survival(const char *title, const char *job, const char *right_sql)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, SLOW_US);
    job_write(&test, job);
    WorkloadSpec spec = application(&test);
    workload_prepare(test.conn, &spec);
    Workload *workload = workload_start(&spec);
    Prng prng;
    prng_init(&prng, harness_seed());
    int wanted = harness_env("PGHAUL_SOAK", NULL) == NULL ? KILLS : KILLS_SOAK;
    int jobs = 1;
    for (int killed = 0; killed < wanted;) {
        if (run_and_kill(&test, &prng)) {
            killed++;
            continue;
        }
        expect_complete(&test, right_sql);
        jobs++;
        job_expect_verb(&test, "clean", NULL, 0);
        job_reset_table(&test);
    }
    job_set_slow(&test, 0);
    job_expect_run(&test, 5);
    expect_complete(&test, right_sql);
    finish_application(&test, workload, &spec, right_sql);
    (void)fprintf(stderr, "figures: rows set aside, %s: %d kills, %d jobs\n", title, wanted, jobs);
    job_close_cluster(&test);
}

Test(kill_quarantine, block_path_sets_exactly_the_bad_rows_aside)
{
    expect_survival("block path", SET_AMOUNT "path: block\n" ASIDE, AMOUNT_RIGHT);
}

Test(kill_quarantine, key_path_sets_exactly_the_bad_rows_aside)
{
    expect_survival("key path", SET_AMOUNT "path: key\n" ASIDE, AMOUNT_RIGHT);
}

Test(kill_quarantine, self_referring_job_changes_good_rows_once_and_bad_ones_never)
{
    expect_survival("self-referring", SET_HITS ASIDE, HITS_RIGHT);
}

/* ---- several runs ---- */

static void
expect_shared(const char *job, const char *right_sql)
{
    JobTest test;
    job_open(&test, cluster_shared(), 2 * (int64_t)ROWS, (int64_t)5 * SLOW_US); /* several ranges */
    job_write(&test, job);
    WorkloadSpec spec = application(&test);
    spec.key_high = 2 * (int64_t)ROWS;
    workload_prepare(test.conn, &spec);
    Workload *workload = workload_start(&spec);
    const char *const one[] = {"--yes", "--workers", "1", NULL}; /* a range for each */
    Proc *first = job_start_verb(&test, "run", NULL, one);
    cr_assert(job_wait_batches(&test, first, 0, 1));
    Proc *second = job_start_verb(&test, "run", NULL, one);
    pg_wait_true(test.conn, "SELECT count(DISTINCT run) = 2 FROM pghaul.ranges WHERE batches > 0",
        HARNESS_TIMEOUT_US);
    job_set_slow(&test, 0);
    job_expect_exit(first, 5);
    job_expect_exit(second, 5);
    expect_complete(&test, right_sql);
    finish_application(&test, workload, &spec, right_sql);
    job_close_cluster(&test);
}

Test(kill_quarantine, two_runs_at_once_set_exactly_the_bad_rows_aside)
{
    expect_shared(SET_AMOUNT "strict: true\n" ASIDE, AMOUNT_RIGHT);
    expect_shared(SET_HITS ASIDE, HITS_RIGHT);
}

/* ---- rows that the application spoils ---- */

#define LAST_KEY "20000"

Test(kill_quarantine, verify_sets_a_row_aside_that_the_application_made_unfit)
{
    JobTest test;
    job_open(&test, cluster_shared(), 20000, 0);
    job_set_slow_pass(&test, "verify", 500);
    job_write(&test, JOB_SET_AMOUNT "path: key\n" ASIDE);
    Proc *proc = job_start(&test);
    pg_wait_true(
        test.conn, "SELECT to_regclass('pghaul.progress') IS NOT NULL", HARNESS_TIMEOUT_US);
    pg_wait_true(test.conn, "SELECT EXISTS (SELECT FROM pghaul.job WHERE pass_kind = 'verify')",
        HARNESS_TIMEOUT_US);
    pg_exec(test.conn, "UPDATE app SET amount_text = 'n/a' WHERE id = " LAST_KEY);
    job_set_slow(&test, 0);
    job_expect_exit(proc, 5);
    cr_expect(job_is_state(&test, "complete"));
    cr_expect(eq(i64, 1,
        pg_int(test.conn, "SELECT count(*) = 1 AND bool_and(set_aside AND key = '{" LAST_KEY "}'"
                          " AND pass = (SELECT pass FROM pghaul.job)) FROM pghaul.quarantine")));
    const char *const retry[] = {"--retry", NULL};
    job_expect_verb(&test, "quarantine", retry, 5);
    pg_exec(test.conn, "UPDATE app SET amount_text = '1' WHERE id = " LAST_KEY);
    job_expect_verb(&test, "quarantine", retry, 0);
    job_expect_verb(&test, "verify", NULL, 0);
    cr_expect(eq(i64, 0, job_count_wrong(&test, JOB_AMOUNT_RIGHT)));
    job_close_cluster(&test);
}

/* Values that do not parse, all the time: the trigger leaves NULL, verify and move set aside what
 * they meet, and once the application rests, retry and verify agree with what is there. */
Test(kill_quarantine, application_that_keeps_writing_bad_values_is_caught_up_with)
{
    static const WorkloadColumn SPOILING[] = {
        {"amount_text", "CASE WHEN r % 10 = 0 THEN 'n/a' ELSE (r % 100000)::text END"},
        {"note", "md5(r::text)"},
    };
    static const char RIGHT[] = "amount IS NOT DISTINCT FROM"
                                " CASE WHEN amount_text <> 'n/a' THEN amount_text::numeric END";
    JobTest test;
    job_open(&test, cluster_shared(), ROWS / 2, SLOW_US);
    job_write(&test, JOB_SET_AMOUNT ASIDE "limits: {quarantine: 100k}\n");
    WorkloadSpec spec = application(&test);
    spec.columns = SPOILING;
    spec.keys_fixed = false;
    spec.key_high = ROWS / 2;
    workload_prepare(test.conn, &spec);
    Workload *workload = workload_start(&spec);
    int64_t committed = workload_committed(workload);
    while (workload_committed(workload) < committed + 100) {
        harness_nap_us(2000);
    }
    job_expect_run(&test, 5);
    finish_application(&test, workload, &spec, RIGHT);

    const char *const retry[] = {"--retry", NULL};
    job_set_slow(&test, 0);
    job_expect_verb(&test, "quarantine", retry, 5);
    job_expect_verb(&test, "verify", NULL, 5);
    cr_expect(eq(i64, 0,
        pg_int(test.conn,
            "SELECT count(*) FROM (SELECT id::text FROM app WHERE amount_text = 'n/a') AS b"
            " FULL JOIN (SELECT key[1] AS id FROM pghaul.quarantine) AS q USING (id)"
            " WHERE b.* IS NULL OR q.* IS NULL")));
    job_close_cluster(&test);
}
