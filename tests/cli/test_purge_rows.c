/*
 * test_purge_rows.c - a purge and who else has to do with its rows: sessions that hold them, tables
 * that refer to them, triggers, a table that keeps them.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "harness/harness.h"
#include "harness/job.h"
#include "harness/session.h"

#define ROWS    2000
#define MATCHES "hits < 30"
#define PURGE   "where: hits < 30\nworkers: 2\nbatch: {rows: 100}\n"

static int64_t
count(const JobTest *test, const char *of)
{
    return pg_intf(test->conn, "SELECT count(*) FROM %s", of);
}

static void
open_table(JobTest *test, const char *setup, const char *job)
{
    job_open(test, cluster_shared(), ROWS, 0);
    pg_exec(test->conn, setup);
    job_write_purge(test, job);
}

/* Somebody changes a row that matches, and commits when all others are gone. */
static void
expect_after_wait(const char *change, int64_t left_by_run)
{
    JobTest test;
    open_table(&test, "UPDATE app SET hits = 0 WHERE id = 1000", PURGE);
    int64_t others = count(&test, "app WHERE NOT " MATCHES);
    Session *app = session_open(test.uri);
    session_send(app, "BEGIN");
    session_expect_ok(app, HARNESS_TIMEOUT_US);
    session_send(app, change);
    session_expect_ok(app, HARNESS_TIMEOUT_US);
    Proc *proc = job_start(&test);
    pg_wait_true(test.conn, "SELECT count(*) = 1 FROM app WHERE " MATCHES, HARNESS_TIMEOUT_US);
    cr_expect(proc_wait_output(proc, "are locked by", HARNESS_TIMEOUT_US));
    session_send(app, "COMMIT");
    session_expect_ok(app, HARNESS_TIMEOUT_US);
    job_expect_exit(proc, 0);
    cr_expect(eq(i64, others + left_by_run, count(&test, "app")), "%s", change);
    job_expect_run(&test, 0);
    cr_expect(eq(i64, 0, count(&test, "app WHERE " MATCHES)), "%s", change);
    session_close(app);
    job_close_cluster(&test);
}

Test(purge_rows, row_that_stops_matching_while_somebody_holds_it_stays)
{
    expect_after_wait("UPDATE app SET hits = 77 WHERE id = 1000", 1);
}

Test(purge_rows, row_that_was_held_but_still_matches_is_deleted)
{
    expect_after_wait("UPDATE app SET note = 'x' WHERE id = 1000", 0);
}

Test(purge_rows, row_that_gets_a_key_beyond_the_walk_is_left_to_the_next_run)
{
    expect_after_wait("UPDATE app SET id = 100000 WHERE id = 1000", 1);
}

Test(purge_rows, row_that_the_application_deletes_first_is_no_error)
{
    expect_after_wait("DELETE FROM app WHERE id = 1000", 0);
}

/* ---- rows that are refused ---- */

Test(purge_rows, row_that_another_one_refers_to_ends_the_run_and_is_named)
{
    JobTest test;
    open_table(&test,
        "CREATE TABLE child (app bigint REFERENCES app); CREATE INDEX ON child (app);"
        " INSERT INTO child VALUES (777)",
        PURGE "allow: [children]\n");
    char *out = job_verb_output(&test, "run", (const char *const[]){"--yes", NULL}, 1);
    cr_expect(strstr(out, "a row is refused: SQLSTATE 23503") != NULL, "%s", out);
    free(out);
    cr_expect(eq(i64, 1, count(&test, "pghaul.quarantine WHERE key = '{777}' AND NOT set_aside")));
    cr_expect(eq(i64, 1, count(&test, "app WHERE id = 777")));
    cr_expect(job_is_state(&test, "failed"));
    pg_exec(test.conn, "DELETE FROM child");
    job_expect_run(&test, 0);
    cr_expect(eq(i64, 0, count(&test, "app WHERE " MATCHES)));
    cr_expect(eq(i64, 0, count(&test, "pghaul.quarantine")));
    job_close_cluster(&test);
}

Test(purge_rows, trigger_that_keeps_a_row_ends_the_run)
{
    JobTest test;
    open_table(&test,
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RETURN CASE WHEN OLD.id = 777 THEN NULL ELSE OLD END; END';"
        "CREATE TRIGGER keep BEFORE DELETE ON app FOR EACH ROW EXECUTE FUNCTION keep()",
        PURGE "allow: [user-triggers]\n");
    char *out = job_verb_output(&test, "run", (const char *const[]){"--yes", NULL}, 1);
    cr_expect(strstr(out, "rows were kept from being deleted") != NULL, "%s", out);
    cr_expect(strstr(out, "BEFORE DELETE trigger") != NULL, "%s", out);
    free(out);
    cr_expect(eq(i64, 1, count(&test, "app WHERE id = 777")));
    pg_exec(test.conn, "DROP TRIGGER keep ON app");
    job_expect_run(&test, 0); /* another plan by now, which needs no lock of its own */
    cr_expect(eq(i64, 0, count(&test, "app WHERE " MATCHES)));
    job_close_cluster(&test);
}

/* ---- a table that keeps them ---- */

Test(purge_rows, columns_that_both_tables_get_between_two_nights_are_kept)
{
    JobTest test;
    open_table(&test, "CREATE TABLE kept (LIKE app)", PURGE "into: kept\n");
    int64_t old = count(&test, "app WHERE " MATCHES);
    job_expect_run(&test, 0);
    cr_expect(eq(i64, old, count(&test, "kept")));
    pg_exec(test.conn, "ALTER TABLE app ADD extra int; UPDATE app SET hits = 1, extra = id"
                       " WHERE id % 100 = 99");
    int64_t more = count(&test, "app WHERE " MATCHES);
    cr_assert(lt(i64, 0, more));
    char *out = job_verb_output(&test, "run", (const char *const[]){"--yes", NULL}, 4);
    cr_expect(strstr(out, "\"extra\"") != NULL, "%s", out);
    free(out);
    pg_exec(test.conn, "ALTER TABLE kept ADD extra int");
    job_expect_run(&test, 0);
    cr_expect(eq(i64, old + more, count(&test, "kept")));
    cr_expect(eq(i64, more, count(&test, "kept WHERE extra = id")));
    cr_expect(eq(i64, ROWS, count(&test, "(TABLE app UNION TABLE kept) s")));
    job_close_cluster(&test);
}
