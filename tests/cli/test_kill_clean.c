/*
 * test_kill_clean.c - clean leaves nothing behind, however the job ended.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "harness/harness.h"
#include "harness/job.h"
#include "harness/session.h"

#define ROWS      10000
#define SLOW_US   1000 /* none is done before it is killed */
#define BLOCK_JOB JOB_SET_AMOUNT "path: block\nbatch: {time: 20ms}\n"

typedef struct Catalog {
    char *text;
    char *counts;
} Catalog;

static Catalog
catalog_of(const JobTest *test)
{
    return (Catalog){.text = job_catalog(test), .counts = job_catalog_counts(test)};
}

/* Takes `after`. */
static void
expect_same_text(char *before, char *after)
{
    cr_expect(eq(str, before, after));
    free(after);
}

static void
clean_all(const JobTest *test)
{
    const char *args[] = {"clean", "--all", "-d", test->uri, NULL};
    job_expect_exit(proc_start_pghaul(args), 0);
}

/* Remove the job, then everything: the catalog is as it was, and at last schema pghaul is gone. */
static void
expect_clean(const JobTest *test, Catalog before)
{
    job_expect_verb(test, "clean", NULL, 0);
    expect_same_text(before.text, job_catalog(test));
    cr_expect(eq(i64, 0, job_count_functions(test)));
    cr_expect(lt(i64, 0, pg_int(test->conn, "SELECT count(*) FROM pghaul.run")));

    clean_all(test);
    expect_same_text(before.text, job_catalog(test));
    expect_same_text(before.counts, job_catalog_counts(test));
    cr_expect(eq(i64, 0,
        pg_int(test->conn, "SELECT count(*) FROM pg_namespace"
                           " WHERE nspname = 'pghaul'")));
    free(before.text);
    free(before.counts);
}

Test(kill_clean, after_success)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 0);
    job_write(&test, BLOCK_JOB);
    Catalog before = catalog_of(&test);
    job_expect_run(&test, 0);
    expect_clean(&test, before);
    cr_expect(eq(i64, 0, job_count_wrong(&test, JOB_AMOUNT_RIGHT)));
    job_close_cluster(&test);
}

Test(kill_clean, after_failure)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 0);
    pg_exec(test.conn, "UPDATE app SET amount_text = 'n/a' WHERE id = 777");
    job_write(&test, BLOCK_JOB);
    Catalog before = catalog_of(&test);
    job_expect_run(&test, 1);
    expect_clean(&test, before);
    job_close_cluster(&test);
}

static void
expect_clean_after_kill(const char *job)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, SLOW_US);
    job_write(&test, job);
    Catalog before = catalog_of(&test);
    Proc *proc = job_start(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 3));
    proc_signal(proc, SIGKILL);
    job_expect_exit(proc, 128 + SIGKILL);
    expect_clean(&test, before);
    job_close_cluster(&test);
}

Test(kill_clean, after_kill_9_with_a_trigger)
{
    expect_clean_after_kill(BLOCK_JOB);
}

Test(kill_clean, after_kill_9_without_a_trigger)
{
    expect_clean_after_kill(JOB_SET_HITS "batch: {time: 20ms}\n");
}

/* Wherever the kill falls: before the schema, amid the functions, before the first batch. */
Test(kill_clean, after_kill_9_while_the_job_is_made)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 100);
    job_write(&test, BLOCK_JOB);
    Catalog before = catalog_of(&test);
    Prng prng;
    prng_init(&prng, harness_seed());
    for (int i = 0; i < 8; i++) {
        Proc *proc = job_start(&test);
        harness_nap_us(prng_between(&prng, 0, 80000));
        proc_signal(proc, SIGKILL);
        proc_free(proc);
        /* the backend of a killed run ends a moment later */
        pg_wait_true(test.conn,
            "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'pghaul/%'"
            " AND datname = current_database()",
            HARNESS_TIMEOUT_US);
        clean_all(&test);
        expect_same_text(before.text, job_catalog(&test));
        expect_same_text(before.counts, job_catalog_counts(&test));
    }
    job_set_slow(&test, 0);
    job_expect_run(&test, 0);
    expect_clean(&test, before);
    job_close_cluster(&test);
}

/* What another pghaul made need not have the columns that this one reads. */
static void
expect_clean_version(int version)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 0);
    job_write(&test, BLOCK_JOB);
    Catalog before = catalog_of(&test);
    job_expect_run(&test, 0);
    pg_execf(test.conn, "UPDATE pghaul.meta SET version = %d", version);
    pg_exec(test.conn, "ALTER TABLE pghaul.job RENAME last_pass_kind TO other_name;"
                       "ALTER TABLE pghaul.job RENAME tail_oid TO another_name;"
                       "ALTER TABLE pghaul.run RENAME stop_requested TO other_name");
    job_expect_verb(&test, "clean", NULL, 4);
    job_expect_verb(&test, "status", NULL, 4);
    clean_all(&test);
    expect_same_text(before.text, job_catalog(&test));
    expect_same_text(before.counts, job_catalog_counts(&test));
    free(before.text);
    free(before.counts);
    job_close_cluster(&test);
}

Test(kill_clean, clean_all_removes_a_schema_of_an_older_or_newer_version)
{
    expect_clean_version(1);
    expect_clean_version(99);
}

Test(kill_clean, job_that_is_worked_on_is_not_cleaned)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, SLOW_US);
    job_write(&test, BLOCK_JOB);
    Proc *proc = job_start(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 3));
    job_expect_verb(&test, "clean", NULL, 8);
    job_set_slow(&test, 0);
    job_expect_exit(proc, 0);
    job_expect_verb(&test, "clean", NULL, 0);
    job_close_cluster(&test);
}

/* Nobody had heard of it for longer than the lease. */
Test(kill_clean, run_that_slept_while_its_job_was_cleaned_says_so_and_leaves_nothing)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, SLOW_US);
    job_write(&test, BLOCK_JOB "workers: 2\n");
    Proc *proc = job_start(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 3));
    proc_signal(proc, SIGSTOP);
    pg_exec(test.conn, "UPDATE pghaul.run SET heartbeat = heartbeat - interval '1 hour'");
    job_expect_verb(&test, "clean", NULL, 0);
    int64_t moved = pg_int(test.conn, "SELECT count(amount) FROM app");
    proc_signal(proc, SIGCONT);
    cr_expect(eq(int, 8, proc_finish(proc, HARNESS_TIMEOUT_US)));
    char *text = proc_stderr(proc);
    cr_expect(strstr(text, "the job was cleaned meanwhile") != NULL, "%s", text);
    free(text);
    proc_free(proc);
    cr_expect(eq(i64, moved, pg_int(test.conn, "SELECT count(amount) FROM app")));
    cr_expect(eq(i64, 0, job_count_functions(&test)));
    cr_expect(eq(i64, 0,
        pg_int(test.conn, "SELECT count(*) FROM pg_trigger"
                          " WHERE NOT tgisinternal")));
    cr_expect(eq(i64, 0, pg_int(test.conn, "SELECT count(*) FROM pghaul.ranges")));
    cr_expect(eq(i64, 1, pg_int(test.conn, "SELECT state = 'running' FROM pghaul.job")));
    job_close_cluster(&test);
}
