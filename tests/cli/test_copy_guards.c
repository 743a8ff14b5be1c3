/*
 * test_copy_guards.c - the source of a copy is on another server, and its columns change places
 * while the copy is about to read them: what is read then is never written.
 *
 * The reader is made to wait for the table's lock, so all of its checks before that are over.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "cli/remote_case.h"
#include "harness/harness.h"
#include "harness/session.h"

#define SOURCE                                                                                     \
    "CREATE TABLE src (id int PRIMARY KEY, a text, b text);"                                       \
    "INSERT INTO src SELECT i, 'a' || i, 'b' || i FROM generate_series(1, 2000) AS i;"             \
    "CREATE FUNCTION slowly(t text) RETURNS text LANGUAGE plpgsql AS"                              \
    " 'BEGIN PERFORM pg_sleep(0.0005); RETURN t; END'; ANALYZE src"
#define TARGET "CREATE TABLE dst (id int PRIMARY KEY, a text, b text)"
#define SWAP                                                                                       \
    "BEGIN; ALTER TABLE src RENAME a TO x; ALTER TABLE src RENAME b TO a;"                         \
    "ALTER TABLE src RENAME x TO b"

#define LINES "map: {a: slowly(a)}\nbatch: {rows: 50}\nworkers: 1\nallow: [volatile]\n"

/* What was sent to `source` is held open until a reader waits for its lock. */
static void
commit_before_a_reader(const RemoteCase *test)
{
    PGconn *look = pg_open(test->from);
    pg_wait_true(look,
        "SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
        " WHERE NOT l.granted AND a.datname = current_database()"
        "   AND a.application_name LIKE 'pghaul/%'",
        HARNESS_TIMEOUT_US);
    pg_exec(test->source, "COMMIT");
    pg_close(look);
}

static void
expect_told(const RemoteCase *test, Proc *proc)
{
    cr_assert(proc_wait(proc, HARNESS_TIMEOUT_US));
    char *text = proc_stderr(proc);
    cr_expect(eq(int, 1, proc_exit_code(proc)), "%s", text);
    cr_expect(cli_has(text, "the source: column"), "%s", text);
    free(text);
    proc_free(proc);
    cr_expect(eq(i64, 0,
        pg_int(test->target, "SELECT count(*) FROM dst WHERE a NOT LIKE 'a%' OR b NOT LIKE 'b%'")));
}

Test(copy_guards, columns_that_change_places_before_a_batch_are_noticed_before_it_is_written)
{
    RemoteCase test;
    remote_open(&test, SOURCE, TARGET);
    remote_write(&test, NULL, NULL, LINES);
    Proc *proc = remote_start(&test);
    cr_assert(remote_wait_batches(&test, proc, 0, 1));
    pg_exec(test.source, SWAP);
    commit_before_a_reader(&test);
    expect_told(&test, proc);
    remote_close(&test);
}

Test(copy_guards, columns_that_change_places_before_a_change_is_drained_are_noticed)
{
    RemoteCase test;
    remote_open(&test, SOURCE, TARGET);
    remote_write_job(&test, NULL, NULL, "throttle: {standbys: none}\n");
    remote_run(&test, 0);
    Proc *proc = proc_start_pghaul(
        (const char *const[]){"run", test.job_file, "--yes", "--quiet", "--follow", NULL});
    pg_wait_true(test.target,
        "SELECT count(*) = 1 FROM pghaul.run WHERE ended IS NULL AND heartbeat > now() - interval"
        " '5 s'",
        HARNESS_TIMEOUT_US);
    char *log = pg_text(test.source, "SELECT oid::regclass FROM pg_class WHERE relname ~ '^log_'"
                                     " AND relkind = 'r'");
    PGconn *other = pg_open(test.from);
    pg_exec(test.source, SWAP);
    pg_execf(other, "INSERT INTO %s (k1) SELECT generate_series(1, 100)", log);
    commit_before_a_reader(&test);
    expect_told(&test, proc);
    cr_expect(eq(i64, 100, pg_intf(other, "SELECT count(*) FROM %s", log)));
    free(log);
    pg_close(other);
    remote_close(&test);
}

/* ---- kept entries ---- */

/* 1.0 and 1.00 are one key; the log has it as it was, the row as it is now. */
Test(copy_guards, rows_that_are_kept_out_are_known_by_their_keys_however_those_are_written)
{
    RemoteCase test;
    remote_open(&test,
        "CREATE TABLE src (id numeric, c char(4), u int UNIQUE DEFERRABLE, PRIMARY KEY (id, c));"
        "INSERT INTO src SELECT i + 0.0, 'k', i FROM generate_series(1, 50) AS i; ANALYZE src",
        "CREATE TABLE dst (id numeric, c char(4), u int UNIQUE, PRIMARY KEY (id, c))");
    remote_write_job(&test, NULL, NULL, "throttle: {standbys: none}\n");
    remote_run(&test, 0);
    pg_exec(test.source, "UPDATE src SET u = u % 50 + 1");
    char *log = pg_text(test.source, "SELECT oid::regclass FROM pg_class WHERE relname ~ '^log_'"
                                     " AND relkind = 'r'");
    pg_execf(test.source, "UPDATE %s SET k1 = k1 + 0.00", log);
    free(log);
    remote_run(&test, 0);
    remote_expect_equal(&test, "SELECT * FROM src", "SELECT * FROM dst");
    remote_close(&test);
}
