/*
 * test_purge.c - rows that match are deleted and no others, night after night.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "harness/harness.h"
#include "harness/job.h"
#include "harness/session.h"

#define ROWS    20000
#define MATCHES "hits < 30"
#define WHERE   "where: 'slowly(hits) < 30'\n"
#define TWO     "workers: 2\nbatch: {time: 20ms}\n"

static int64_t
matching(const JobTest *test)
{
    return pg_int(test->conn, "SELECT count(*) FROM app WHERE " MATCHES);
}

static int64_t
current_pass(const JobTest *test)
{
    return pg_int(test->conn, "SELECT pass FROM pghaul.job");
}

static void
expect_purged(const JobTest *test, int64_t others)
{
    cr_expect(eq(i64, 0, matching(test)));
    cr_expect(eq(i64, others, pg_int(test->conn, "SELECT count(*) FROM app WHERE NOT " MATCHES)));
    cr_expect(job_is_state(test, "complete"));
}

/* ---- nights ---- */

Test(purge, rows_that_match_are_deleted_and_no_others)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 0);
    job_write_purge(&test, WHERE TWO);
    int64_t old = matching(&test);
    char *out = job_verb_output(&test, "run", (const char *const[]){"--yes", NULL}, 0);
    cr_expect(strstr(out, "rows deleted    7.80 k by this run") != NULL, "%s", out);
    cr_expect(strstr(out, "DROP COLUMN") == NULL, "%s", out);
    free(out);
    cr_expect(eq(i64, old, job_moved_rows(&test)));
    expect_purged(&test, ROWS - old);
    pg_exec(test.conn, "SELECT pghaul.assert_done('fill')");
    out = job_verb_output(&test, "verify", NULL, 4);
    cr_expect(strstr(out, "nothing to compare") != NULL, "%s", out);
    free(out);
    out = job_verb_output(&test, "cutover", NULL, 4);
    cr_expect(strstr(out, "is a purge, which has no second table") != NULL, "%s", out);
    cr_expect(strstr(out, "DROP COLUMN") == NULL, "%s", out);
    free(out);
    job_close_cluster(&test);
}

Test(purge, every_run_of_a_complete_purge_is_a_pass_of_its_own)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 0);
    job_write_purge(&test, WHERE TWO);
    for (int night = 1; night <= 4; night++) {
        job_expect_run(&test, 0);
        cr_expect(eq(i64, 0, matching(&test)));
        cr_expect(eq(i64, night, current_pass(&test)));
        pg_exec(test.conn, "UPDATE app SET hits = 0 WHERE hits = (SELECT min(hits) FROM app)");
        cr_expect(lt(i64, 0, matching(&test)));
    }
    cr_expect(le(i64, pg_int(test.conn, "SELECT count(DISTINCT pass) FROM pghaul.ranges"), 2));
    cr_expect(job_is_state(&test, "complete"));
    job_close_cluster(&test);
}

Test(purge, table_that_was_made_anew_is_purged_like_the_one_before)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 0);
    job_write_purge(&test, WHERE TWO);
    pg_exec(test.conn, "CREATE TABLE other AS TABLE app");
    job_expect_run(&test, 0);
    pg_exec(test.conn, "DROP TABLE app; ALTER TABLE other RENAME TO app;"
                       "ALTER TABLE app ALTER id TYPE int, ADD PRIMARY KEY (id)");
    int64_t others = ROWS - matching(&test);
    int64_t functions = job_count_functions(&test);
    job_expect_run(&test, 0);
    cr_expect(eq(i64, 2, current_pass(&test)));
    expect_purged(&test, others);
    cr_expect(eq(i64, functions, job_count_functions(&test)));
    job_expect_verb(&test, "clean", NULL, 0);
    cr_expect(eq(i64, 0, job_count_functions(&test)));
    job_close_cluster(&test);
}

Test(purge, run_that_finds_an_unfinished_pass_adds_one_of_its_own)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 500);
    job_write_purge(&test, WHERE TWO);
    Proc *proc = job_start(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 3));
    proc_signal(proc, SIGKILL);
    (void)proc_finish(proc, HARNESS_TIMEOUT_US);
    proc_free(proc);
    job_set_slow(&test, 0);
    pg_exec(test.conn, "UPDATE app SET hits = 0 WHERE id IN (SELECT id FROM app"
                       " WHERE hits >= 30 ORDER BY id LIMIT 50)"); /* where the walk has been */
    int64_t others = pg_int(test.conn, "SELECT count(*) FROM app WHERE NOT " MATCHES);
    job_expect_run(&test, 0);
    cr_expect(eq(i64, 2, current_pass(&test)));
    expect_purged(&test, others);
    job_close_cluster(&test);
}

Test(purge, second_run_leaves_a_job_alone_that_is_being_worked_on)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 500);
    job_write_purge(&test, WHERE TWO);
    Proc *first = job_start(&test);
    cr_assert(job_wait_batches(&test, first, 0, 1));
    job_expect_run(&test, 8);
    job_set_slow(&test, 0);
    job_expect_exit(first, 0);
    cr_expect(eq(i64, 0, matching(&test)));
    cr_expect(eq(i64, 1, pg_int(test.conn, "SELECT count(*) FROM pghaul.run")));
    job_expect_run(&test, 0);
    job_close_cluster(&test);
}
