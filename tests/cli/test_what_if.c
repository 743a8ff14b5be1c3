/*
 * test_what_if.c - lines of the README's table "What happens if" that no other suite is about.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "harness/harness.h"
#include "harness/job.h"
#include "harness/session.h"

/* The expression's function raises what the server raises, so every batch meets a full disk. */
static void
set_disk_full(const JobTest *test, bool full)
{
    pg_execf(test->conn,
        "CREATE OR REPLACE FUNCTION slowly(anyelement) RETURNS anyelement LANGUAGE plpgsql"
        " IMMUTABLE AS 'BEGIN %s RETURN $1; END'",
        full ? "IF current_setting(''application_name'') LIKE ''pghaul/%%'' THEN"
               " RAISE EXCEPTION USING ERRCODE = ''disk_full'';"
               " END IF;"
             : "");
}

/* The first wait for a resource is 10 s, so this takes that long. */
Test(what_if, full_disk_is_waited_for_and_the_run_goes_on_by_itself, .timeout = 180)
{
    PgCluster *cluster = cluster_shared();
    JobTest test;
    job_open(&test, cluster, 2000, 1100);
    job_write(&test, JOB_SET_AMOUNT "workers: 1\npath: key\nbatch: {rows: 20}\n");
    Proc *proc = job_start(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 3));
    set_disk_full(&test, true);
    cr_expect(proc_wait_output(proc, "disk_full", HARNESS_TIMEOUT_US), "the log should say it");
    int64_t batches = job_batches(&test);
    cr_expect(not(proc_wait(proc, 1500000)), "must wait, not fail");
    cr_expect(eq(i64, job_batches(&test), batches));

    set_disk_full(&test, false);
    job_expect_exit(proc, 0);
    cr_expect(eq(i64, job_count_wrong(&test, JOB_AMOUNT_RIGHT), 0));
    job_close_cluster(&test);
}

/* An old snapshot keeps dead versions from being pruned, so stripes gain nothing; that is judged
 * by windows of 400,000 rows and 4 s.  A locked row keeps the run from ending before it is. */
Test(what_if, old_snapshot_costs_hot_updates_and_is_named, .timeout = 180)
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.with_standby = false});
    JobTest test;
    job_open(&test, cluster, 1, 0);
    pg_exec(test.conn, "ALTER TABLE app SET (fillfactor = 100)");
    pg_exec(test.conn, "INSERT INTO app SELECT i, (i % 1000)::text, NULL, NULL, i % 77, i % 77"
                       " FROM generate_series(2, 600000) i");
    pg_exec(test.conn, "VACUUM ANALYZE app");
    job_write(&test, "set: {amount: 'amount_text::numeric'}\nstripes: 8\nvacuum: off\n");
    Session *reader = session_open(test.uri);
    session_send(reader, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM app LIMIT 1");
    session_expect_ok(reader, HARNESS_TIMEOUT_US);
    Session *locker = session_open(test.uri);

    Proc *proc = job_start(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 1));
    session_send(locker, "BEGIN; SELECT FROM app WHERE id = 600000 FOR UPDATE");
    session_expect_ok(locker, HARNESS_TIMEOUT_US);
    pg_wait_true(test.conn, "SELECT count(*) > 0 FROM pghaul.event WHERE what = 'stripes'",
        HARNESS_TIMEOUT_US);
    session_close(locker);
    job_expect_exit(proc, 0);
    cr_expect(eq(i64, job_count_wrong(&test, JOB_AMOUNT_RIGHT), 0));
    char *said = pg_text(test.conn, "SELECT reason FROM pghaul.event WHERE what = 'stripes'"
                                    " ORDER BY id LIMIT 1");
    cr_expect(ne(ptr, (void *)strstr(said, "1 stripe for new ranges"), NULL), "%s", said);
    cr_expect(ne(ptr, (void *)strstr(said, "oldest snapshot: "), NULL), "%s", said);
    free(said);
    session_close(reader);
    job_close_cluster(&test);
}
