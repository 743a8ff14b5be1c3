/*
 * test_assert_done.c - pghaul.assert_done(): what a migration may rely on.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "cli/cli.h"
#include "harness/harness.h"
#include "harness/job.h"
#include "harness/session.h"

#define LINES             JOB_SET_AMOUNT "throttle: {standbys: none}\n"
#define MIGRATOR          "assert_migrator"
#define ASSERT            "SELECT pghaul.assert_done('" JOB_NAME "')"
#define ASSERT_UNVERIFIED "SELECT pghaul.assert_done('" JOB_NAME "', verified => false)"

static void
expect_not_done(const JobTest *test, const char *sql, const char *part)
{
    char state[6];
    cr_expect(not(pg_try(test->conn, sql, state)), "should not be done: %s", part);
    cr_expect(eq(str, state, "PH010"), "%s", PQerrorMessage(test->conn));
    cr_expect(cli_has(PQerrorMessage(test->conn), part), "%s", PQerrorMessage(test->conn));
}

static void
expect_done(const JobTest *test, const char *sql, const char *answer)
{
    char *text = pg_text(test->conn, sql);
    cr_expect(eq(int, 0, strcmp(text, answer)), "%s", text);
    free(text);
}

static void
open_job(JobTest *test, const char *lines)
{
    job_open(test, cluster_shared(), 2000, 0);
    job_write(test, lines);
}

/* Change a row behind the trigger's back. */
static void
spoil_row(const JobTest *test, const char *amount)
{
    pg_execf(test->conn,
        "BEGIN; SET LOCAL pghaul.batch = '1';"
        " UPDATE app SET amount = %s WHERE id = 7; COMMIT",
        amount);
}

Test(assert_done, holds_only_for_a_job_that_is_complete_and_verified, .timeout = 120)
{
    JobTest test;
    open_job(&test, LINES "limits: {rows: 100}\nbatch: {rows: 50}\nstripes: 1\n");
    job_set_slow(&test, 100);
    job_expect_run(&test, 9);
    job_set_slow(&test, 0);
    expect_not_done(&test, "SELECT pghaul.assert_done('other')", "there is no such job");
    expect_not_done(&test, ASSERT, "it is stopped, limits.rows is reached");
    expect_not_done(&test, ASSERT, "move pass, 0 of 1 ranges done");
    pg_exec(test.conn, "SELECT pghaul.set('" JOB_NAME "', 'limits.rows', '1M')");
    job_expect_run(&test, 0);
    expect_done(&test, ASSERT, "job " JOB_NAME " is done and verified");

    spoil_row(&test, "0.5");
    expect_done(&test, ASSERT, "job " JOB_NAME " is done and verified");
    job_expect_verb(&test, "verify", NULL, 6);
    expect_not_done(&test, ASSERT, "its last verify pass found rows that differ");
    expect_not_done(&test, ASSERT_UNVERIFIED, "its last verify pass found rows that differ");
    job_expect_verb(&test, "clean", NULL, 0);
    expect_not_done(&test, ASSERT, "its last verify pass found rows that differ");
    job_close_cluster(&test);
}

Test(assert_done, cleaned_job_is_done_by_its_history_until_a_new_one_of_that_name, .timeout = 120)
{
    JobTest test;
    open_job(&test, LINES);
    job_expect_run(&test, 0);
    job_expect_verb(&test, "clean", NULL, 0);
    expect_done(&test, ASSERT, "job " JOB_NAME " is done and verified");
    job_expect_verb(&test, "run", NULL, 4); /* begun anew, the plan not accepted */
    expect_not_done(&test, ASSERT, "it is new");
    job_close_cluster(&test);
}

Test(assert_done, job_without_verify_is_done_only_for_who_says_so, .timeout = 120)
{
    JobTest test;
    open_job(&test, LINES "verify: none\n");
    job_expect_run(&test, 0);
    expect_not_done(&test, ASSERT, "its rows were not verified");
    expect_done(&test, ASSERT_UNVERIFIED, "job " JOB_NAME " is done");
    job_expect_verb(&test, "verify", NULL, 0);
    expect_done(&test, ASSERT, "job " JOB_NAME " is done and verified");
    pg_exec(test.conn, "UPDATE pghaul.ranges SET state = 'free'");
    expect_not_done(&test, ASSERT, "its verify pass has not ended");
    job_close_cluster(&test);
}

Test(assert_done, rows_set_aside_and_other_triggers_are_found, .timeout = 120)
{
    JobTest test;
    open_job(&test, LINES);
    job_expect_run(&test, 0);
    pg_exec(test.conn,
        "INSERT INTO pghaul.quarantine (job, key, set_aside, pass, sqlstate, message)"
        " SELECT id, '{7}', true, 1, '22000', 'm' FROM pghaul.job");
    expect_not_done(&test, ASSERT, "1 of its rows are set aside");
    pg_exec(test.conn, "UPDATE pghaul.quarantine SET set_aside = false");
    expect_done(&test, ASSERT, "job " JOB_NAME " is done and verified");

    pg_exec(test.conn, "ALTER TABLE app DISABLE TRIGGER ALL; ALTER TABLE app ENABLE TRIGGER ALL");
    expect_not_done(&test, ASSERT, "is not as it was recorded");
    job_expect_verb(&test, "verify", NULL, 0);
    expect_done(&test, ASSERT, "job " JOB_NAME " is done and verified");
    char *drop = pg_text(test.conn, "SELECT 'DROP TRIGGER ' || trigger_name || ' ON app'"
                                    " FROM pghaul.job");
    pg_exec(test.conn, drop);
    free(drop);
    expect_not_done(&test, ASSERT, "is not as it was recorded");
    job_close_cluster(&test);
}

Test(assert_done, reads_only_and_needs_little_inside_a_migration, .timeout = 120)
{
    JobTest test;
    char state[6];
    open_job(&test, LINES);
    job_expect_run(&test, 0);
    pg_exec(test.conn, "CREATE ROLE " MIGRATOR "; GRANT USAGE ON SCHEMA pghaul TO " MIGRATOR
                       "; GRANT SELECT ON ALL TABLES IN SCHEMA pghaul TO " MIGRATOR);
    cr_expect(not(pg_try(test.conn, "SET ROLE " MIGRATOR "; " ASSERT, state)));
    cr_expect(eq(str, state, "42501"));
    pg_exec(test.conn, "RESET ROLE; GRANT EXECUTE ON FUNCTION pghaul.assert_done TO " MIGRATOR
                       "; SET ROLE " MIGRATOR);
    pg_exec(test.conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    expect_done(&test, ASSERT, "job " JOB_NAME " is done and verified");
    cr_expect(eq(i64, 0,
        pg_int(test.conn, "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()"
                          " AND mode NOT IN ('AccessShareLock', 'ExclusiveLock')")));
    cr_expect(eq(i64, 0,
        pg_int(test.conn, "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()"
                          " AND locktype = 'relation' AND mode <> 'AccessShareLock'")));
    pg_exec(test.conn, "COMMIT; RESET ROLE; DROP OWNED BY " MIGRATOR "; DROP ROLE " MIGRATOR);
    job_close_cluster(&test);
}
