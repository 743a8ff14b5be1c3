/*
 * test_restore.c - what a purge has archived comes back to the last bit, once, and nothing that the
 * files do not prove.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "cli/restore_case.h"
#include "cli/type_case.h"
#include "harness/harness.h"
#include "harness/session.h"

#define NUMBERS                                                                                    \
    "CREATE TABLE s (id int PRIMARY KEY, note text);"                                              \
    "INSERT INTO s SELECT i, md5(i::text) FROM generate_series(1, 200) AS i;"                      \
    "CREATE TABLE kept AS TABLE s"

/* Rows of `table` and `kept` that are not in both. */
static int64_t
different(const RestoreCase *test, const char *table)
{
    return pg_intf(test->base.conn,
        "SELECT count(*) FROM (SELECT * FROM %s EXCEPT ALL TABLE kept) AS a"
        "  FULL JOIN (TABLE kept EXCEPT ALL SELECT * FROM %s) AS b ON false",
        table, table);
}

/* ---- what comes back ---- */

Test(restore, every_type_comes_back_bit_by_bit)
{
    RestoreCase test = restore_case_new("SELECT 1");
    PGconn *conn = test.base.conn;
    type_cases_create_types(conn);
    type_cases_create(conn, "s", "int");
    type_cases_fill(conn, "s");
    char *before = type_cases_digest(conn, "s");
    restore_case_purge(&test, "s", "n > 0", "");
    cr_expect(eq(i64, 0, pg_int(conn, "SELECT count(*) FROM s")));
    ARCHIVE_EXPECT(&test, "restore", 0, "restored", "-d", test.base.uri, "--yes");
    char *after = type_cases_digest(conn, "s");
    cr_expect(eq(str, before, after));
    free(before);
    free(after);
    restore_case_free(&test);
}

Test(restore, second_restore_says_that_it_is_complete_and_clean_permits_another)
{
    RestoreCase test = restore_case_new(NUMBERS);
    restore_case_purge(&test, "s", "true", "");
    ARCHIVE_EXPECT(&test, "restore", 0, "restored", "-d", test.base.uri, "--yes");
    cr_expect(eq(i64, 0, different(&test, "s")));
    ARCHIVE_EXPECT(&test, "restore", 0, "is complete already", "-d", test.base.uri, "--yes");
    cr_expect(eq(i64, 0, different(&test, "s")));

    CliResult clean = CLI("clean", "restore-old-rows", "-d", test.base.uri);
    cr_expect(eq(int, 0, clean.code), "%s", clean.err);
    cli_free(&clean);
    pg_exec(test.base.conn, "TRUNCATE s");
    ARCHIVE_EXPECT(&test, "restore", 0, "restored", "-d", test.base.uri, "--yes");
    cr_expect(eq(i64, 0, different(&test, "s")));
    restore_case_free(&test);
}

Test(restore, hostile_names_come_back)
{
    RestoreCase test = restore_case_new(
        "CREATE SCHEMA \"S \"\"; DROP\";"
        "CREATE TABLE \"S \"\"; DROP\".\"T'$1\\\" (\"select\" int PRIMARY KEY, \"a\"\"b, c\" text,"
        " \"pg\\catalog\" text, twice int GENERATED ALWAYS AS (\"select\" * 2) STORED,"
        " no int GENERATED ALWAYS AS IDENTITY);"
        "INSERT INTO \"S \"\"; DROP\".\"T'$1\\\" (\"select\", \"a\"\"b, c\")"
        "  SELECT i, E'\\\\.' FROM generate_series(1, 50) AS i;"
        "CREATE TABLE kept AS TABLE \"S \"\"; DROP\".\"T'$1\\\"");
    restore_case_purge(&test, "\"S \"\"; DROP\".\"T''$1\\\"", "true", "");
    ARCHIVE_EXPECT(&test, "restore", 0, "restored", "-d", test.base.uri, "--yes");
    cr_expect(eq(i64, 0, different(&test, "\"S \"\"; DROP\".\"T'$1\\\"")));
    restore_case_free(&test);
}

Test(restore, rows_find_their_partitions_in_another_table)
{
    RestoreCase test = restore_case_new(
        NUMBERS ";CREATE TABLE parts (id int, note text, added date DEFAULT '2020-02-02')"
                " PARTITION BY RANGE (id);"
                "CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (100);"
                "CREATE TABLE high PARTITION OF parts FOR VALUES FROM (100) TO (1000)");
    restore_case_purge(&test, "s", "true", "");
    ARCHIVE_EXPECT(&test, "restore", 0, "restored", "-d", test.base.uri, "--yes", "--into=parts");
    cr_expect(
        eq(i64, 99, pg_int(test.base.conn, "SELECT count(*) FROM low WHERE added = '2020-02-02'")));
    cr_expect(eq(i64, 0, different(&test, "(SELECT id, note FROM parts) AS p")));
    cr_expect(eq(i64, 0, pg_int(test.base.conn, "SELECT count(*) FROM s")));
    restore_case_free(&test);
}

Test(restore, one_run_comes_back_alone)
{
    RestoreCase test = restore_case_new(NUMBERS);
    restore_case_purge(
        &test, "s", "id <= (SELECT 50 + count(*) FROM kept WHERE id > 200)", "allow: [stable]\n");
    pg_exec(test.base.conn, "INSERT INTO kept SELECT 200 + i FROM generate_series(1, 50) AS i");
    restore_case_purge(
        &test, "s", "id <= (SELECT 50 + count(*) FROM kept WHERE id > 200)", "allow: [stable]\n");
    cr_expect(eq(i64, 100, pg_int(test.base.conn, "SELECT count(*) FROM s")));
    int64_t run = pg_int(test.base.conn, "SELECT max(run) FROM pghaul.archive_file");
    char option[40];
    (void)snprintf(option, sizeof(option), "--run=%lld", (long long)run);
    ARCHIVE_EXPECT(&test, "restore", 0, "restored", "-d", test.base.uri, "--yes", option);
    cr_expect(eq(i64, 150, pg_int(test.base.conn, "SELECT count(*) FROM s")));
    cr_expect(eq(i64, 50, pg_int(test.base.conn, "SELECT count(*) FROM s WHERE id <= 100")));
    restore_case_free(&test);
}

Test(restore, parents_and_children_of_a_purge_come_back_in_one_command)
{
    RestoreCase test =
        restore_case_new("CREATE TABLE s (id int PRIMARY KEY, note text);"
                         "CREATE TABLE c (no int PRIMARY KEY, s int NOT NULL REFERENCES s);"
                         "CREATE TABLE g (no int PRIMARY KEY, c int NOT NULL REFERENCES c);"
                         "CREATE INDEX ON c (s); CREATE INDEX ON g (c);"
                         "INSERT INTO s SELECT i, 'note ' || i FROM generate_series(1, 60) AS i;"
                         "INSERT INTO c SELECT i, 1 + i % 60 FROM generate_series(1, 180) AS i;"
                         "INSERT INTO g SELECT i, 1 + i % 180 FROM generate_series(1, 360) AS i");
    restore_case_purge(&test, "s", "id <= 40", "children: delete\n");
    cr_expect(eq(i64, 20, pg_int(test.base.conn, "SELECT count(*) FROM s")));
    cr_expect(eq(i64, 120, pg_int(test.base.conn, "SELECT count(*) FROM g")));
    ARCHIVE_EXPECT(&test, "verify", 0, "compared with", "-d", test.base.uri);
    ARCHIVE_EXPECT(&test, "restore", 0, "restored", "-d", test.base.uri, "--yes");
    cr_expect(eq(i64, 60, pg_int(test.base.conn, "SELECT count(*) FROM s")));
    cr_expect(eq(i64, 180, pg_int(test.base.conn, "SELECT count(*) FROM c WHERE s = 1 + no % 60")));
    cr_expect(
        eq(i64, 360, pg_int(test.base.conn, "SELECT count(*) FROM g WHERE c = 1 + no % 180")));
    restore_case_free(&test);
}

/* ---- what does not ---- */

Test(restore, damaged_frame_ends_the_run_before_its_rows)
{
    RestoreCase test = restore_case_new(NUMBERS);
    restore_case_purge(&test, "s", "true", "workers: 1\n");
    int64_t at = pg_int(test.base.conn,
        "SELECT at + bytes - 6 FROM pghaul.archive_frame ORDER BY no OFFSET 10 LIMIT 1");
    char *file = restore_case_file(&test);
    restore_case_flip(file, (long)at);
    STRBUF_AUTO place = STRBUF_INIT;
    strbuf_printf(&place, "%s at %lld", strrchr(file, '/') + 1,
        (long long)pg_int(
            test.base.conn, "SELECT at FROM pghaul.archive_frame ORDER BY no OFFSET 10 LIMIT 1"));
    ARCHIVE_EXPECT(&test, "restore", 1, strbuf_text(&place), "-d", test.base.uri, "--yes", "-w1");
    cr_expect(eq(i64, 100, pg_int(test.base.conn, "SELECT count(*) FROM s")));

    restore_case_flip(file, (long)at); /* mended */
    ARCHIVE_EXPECT(&test, "restore", 0, "restored", "-d", test.base.uri, "--yes", "-w1");
    cr_expect(eq(i64, 0, different(&test, "s")));
    free(file);
    restore_case_free(&test);
}

Test(restore, damaged_head_is_refused_before_any_row)
{
    RestoreCase test = restore_case_new(NUMBERS);
    restore_case_purge(&test, "s", "true", "workers: 1\n");
    char *file = restore_case_file(&test);
    restore_case_flip(file, 100);
    ARCHIVE_EXPECT(
        &test, "restore", 4, "archive is damaged", "-d", test.base.uri, "--yes", "--table=s");
    cr_expect(eq(i64, 0, pg_int(test.base.conn, "SELECT count(*) FROM s")));
    free(file);
    restore_case_free(&test);
}

Test(restore, table_that_does_not_fit_is_refused)
{
    static const char *const TABLES[] = {
        "CREATE TABLE t (id bigint, note text)",
        "CREATE TABLE t (id int, note varchar(40))",
        "CREATE TABLE t (id int)",
        "CREATE TABLE t (id int, note text GENERATED ALWAYS AS ('x') STORED)",
        "CREATE UNLOGGED TABLE t (id int, note text)",
        "CREATE VIEW t AS SELECT 1 AS id, ''::text AS note",
    };
    RestoreCase test = restore_case_new(NUMBERS);
    restore_case_purge(&test, "s", "true", "");
    for (size_t i = 0; i < sizeof(TABLES) / sizeof(TABLES[0]); i++) {
        pg_exec(test.base.conn, TABLES[i]);
        ARCHIVE_EXPECT(
            &test, "restore", 4, "does not start", "-d", test.base.uri, "--yes", "--into=t");
        pg_exec(test.base.conn, i == 5 ? "DROP VIEW t" : "DROP TABLE t");
    }
    ARCHIVE_EXPECT(
        &test, "restore", 2, "there is no table", "-d", test.base.uri, "--yes", "--into=t");
    restore_case_free(&test);
}

Test(restore, rows_that_are_there_end_the_run_and_the_frame_is_named)
{
    RestoreCase test = restore_case_new(NUMBERS);
    restore_case_purge(&test, "s", "true", "workers: 1\n");
    pg_exec(test.base.conn, "INSERT INTO s VALUES (15, 'there')");
    ARCHIVE_EXPECT(&test, "restore", 1, "pghaul quarantine restore-old-rows", "-d", test.base.uri,
        "--yes", "-w1");
    cr_expect(eq(i64, 11, pg_int(test.base.conn, "SELECT count(*) FROM s")));
    CliResult shown = CLI("quarantine", "restore-old-rows", "-d", test.base.uri);
    cr_expect(cli_has(shown.out, "23505"), "%s", shown.out);
    cli_free(&shown);
    pg_exec(test.base.conn, "DELETE FROM s WHERE id = 15");
    ARCHIVE_EXPECT(&test, "restore", 0, "restored", "-d", test.base.uri, "--yes", "-w1");
    cr_expect(eq(i64, 0, different(&test, "s")));
    restore_case_free(&test);
}

Test(restore, without_the_schema_of_the_purge_the_files_decide)
{
    RestoreCase test = restore_case_new(NUMBERS);
    restore_case_purge(&test, "s", "true", "");
    pg_exec(test.base.conn, "DROP SCHEMA pghaul CASCADE");
    ARCHIVE_EXPECT(&test, "restore", 0, "restored", "-d", test.base.uri, "--yes");
    cr_expect(eq(i64, 0, different(&test, "s")));
    restore_case_free(&test);
}

/* Without the end of a file nobody knows what became of its last frame. */
Test(restore, frames_without_a_known_fate_are_left_out)
{
    RestoreCase test = restore_case_new(NUMBERS);
    restore_case_purge(&test, "s", "true", "workers: 1\n");
    int64_t end = pg_int(test.base.conn, "SELECT max(at + bytes) FROM pghaul.archive_frame");
    char *file = restore_case_file(&test);
    cr_assert(truncate(file, (long)end - 20) == 0);
    ARCHIVE_EXPECT(&test, "restore", 4, "its end is not there", "-d", test.base.uri, "--yes");
    pg_exec(test.base.conn, "DROP SCHEMA pghaul CASCADE");
    ARCHIVE_EXPECT(&test, "restore", 0, "180 by this run", "-d", test.base.uri, "--yes");
    CliResult check = CLI("check", "restore-old-rows", "-d", test.base.uri);
    cr_expect(cli_has(check.out, "1 frame with 10 rows is left out"), "%s", check.out);
    cr_expect(cli_has(check.out, "a torn end"), "%s", check.out);
    cli_free(&check);
    cr_expect(eq(i64, 180, pg_int(test.base.conn, "SELECT count(*) FROM s")));
    free(file);
    restore_case_free(&test);
}

Test(restore, two_runs_at_once_restore_each_frame_once)
{
    RestoreCase test = restore_case_new(NUMBERS);
    restore_case_purge(&test, "s", "true", "");
    pg_exec(test.base.conn, "ALTER TABLE s DROP CONSTRAINT s_pkey");
    const char *args[] = {
        "archive", "restore", test.path, "-d", test.base.uri, "--yes", "-q", "-w2", NULL};
    Proc *procs[2];
    for (int i = 0; i < 2; i++) {
        procs[i] = proc_start_pghaul(args);
    }
    for (int i = 0; i < 2; i++) {
        int code = proc_finish(procs[i], HARNESS_TIMEOUT_US);
        char *text = proc_stderr(procs[i]);
        cr_expect(eq(int, 0, code), "%s", text);
        free(text);
        proc_free(procs[i]);
    }
    cr_expect(eq(i64, 0, different(&test, "s")));
    restore_case_free(&test);
}

Test(restore, stopped_run_is_gone_on_with_by_the_name_of_its_job)
{
    RestoreCase test = restore_case_new(NUMBERS);
    restore_case_purge(&test, "s", "true", "");
    pg_exec(test.base.conn, "BEGIN; LOCK TABLE s IN SHARE MODE");
    ARCHIVE_EXPECT(&test, "restore", 7, "To go on: pghaul run restore-old-rows", "-d",
        test.base.uri, "--yes", "--max-runtime=1s");
    pg_exec(test.base.conn, "COMMIT");
    CliResult run = CLI("run", "restore-old-rows", "-d", test.base.uri);
    cr_expect(eq(int, 0, run.code), "%s", run.err);
    cli_free(&run);
    cr_expect(eq(i64, 0, different(&test, "s")));
    restore_case_free(&test);
}
