/*
 * test_archive_verbs.c - `pghaul archive list` and `verify` say what the files hold, and find what
 * is wrong with them.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "cli/restore_case.h"
#include "harness/harness.h"
#include "harness/session.h"

#define NUMBERS                                                                                    \
    "CREATE TABLE s (id int PRIMARY KEY, note text);"                                              \
    "INSERT INTO s SELECT i, md5(i::text) FROM generate_series(1, 200) AS i"

static RestoreCase
purged(void)
{
    RestoreCase test = restore_case_new(NUMBERS);
    restore_case_purge(&test, "s", "true", "workers: 1\n");
    return test;
}

Test(archive_verbs, list_needs_no_database_and_says_what_is_there)
{
    RestoreCase test = purged();
    char *text = ARCHIVE_RUN(&test, "list", 0, NULL);
    char *file = restore_case_file(&test);
    cr_expect(cli_has(text, strrchr(file, '/') + 1), "%s", text);
    cr_expect(cli_has(text, "closed"), "%s", text);
    cr_expect(cli_has(text, "public.s, run 1: 200 rows in 20 frames"), "%s", text);
    free(text);
    ARCHIVE_EXPECT(&test, "list", 0, "frame 20 at ", "-v");
    ARCHIVE_EXPECT(&test, "list", 0, "\"rows\":200", "--json");
    ARCHIVE_EXPECT(&test, "list", 0, "0 files", "--run=77");
    ARCHIVE_EXPECT(&test, "list", 0, "0 files", "--table=other");
    ARCHIVE_EXPECT(&test, "list", 0, "1 file,", "--table=public.s");
    free(file);
    restore_case_free(&test);
}

Test(archive_verbs, verify_says_with_what_it_compared)
{
    RestoreCase test = purged();
    ARCHIVE_EXPECT(&test, "verify", 0, "by themselves alone; with -d", NULL);
    ARCHIVE_EXPECT(
        &test, "verify", 0, "compared with what the database knows", "-d", test.base.uri);
    ARCHIVE_EXPECT(&test, "verify", 0, "\"compared\":true", "-d", test.base.uri, "--json");
    ARCHIVE_EXPECT(&test, "verify", 3, "alone: no connection", "-d", "host=/nowhere dbname=none");
    pg_exec(test.base.conn, "DROP SCHEMA pghaul CASCADE");
    ARCHIVE_EXPECT(&test, "verify", 0, "this database did not write them", "-d", test.base.uri);
    restore_case_free(&test);
}

Test(archive_verbs, changed_byte_and_cut_end_are_found_without_a_database)
{
    RestoreCase test = purged();
    char *file = restore_case_file(&test);
    STRBUF_AUTO damage = STRBUF_INIT;
    int64_t at = pg_int(test.base.conn, "SELECT at FROM pghaul.archive_frame WHERE no = 7");
    strbuf_printf(&damage, "damage: %s at %lld", strrchr(file, '/') + 1, (long long)at);
    restore_case_flip(file, (long)at + 200);
    ARCHIVE_EXPECT(&test, "verify", 6, strbuf_text(&damage), NULL);
    restore_case_flip(file, (long)at + 200);
    ARCHIVE_EXPECT(&test, "verify", 0, "200", NULL);
    cr_assert(truncate(file, (long)at + 300) == 0);
    ARCHIVE_EXPECT(&test, "verify", 6, "a torn end", NULL);
    ARCHIVE_EXPECT(&test, "verify", 6, "its end is not there", "-d", test.base.uri);
    ARCHIVE_EXPECT(&test, "verify", 6, "14 frames of deleted rows, from number 7 on, are missing",
        "-d", test.base.uri);
    free(file);
    restore_case_free(&test);
}

Test(archive_verbs, missing_file_is_found_by_the_database)
{
    RestoreCase test = purged();
    char *file = restore_case_file(&test);
    cr_assert(unlink(file) == 0);
    ARCHIVE_EXPECT(&test, "verify", 0, "0 files", NULL);
    ARCHIVE_EXPECT(
        &test, "verify", 6, "the file is missing; it had 20 frames", "-d", test.base.uri);
    ARCHIVE_EXPECT(&test, "verify", 6, "\"compared\":true", "-d", test.base.uri, "--json");
    free(file);
    restore_case_free(&test);
}

/* As the run that misses it tells its operator to say so. */
Test(archive_verbs, file_that_was_moved_elsewhere_on_purpose_is_not_missing)
{
    RestoreCase test = purged();
    char *file = restore_case_file(&test);
    char away[200];
    (void)snprintf(away, sizeof(away), "%s.away", test.path);
    cr_assert(rename(file, away) == 0);
    pg_exec(test.base.conn, "UPDATE pghaul.archive_file SET bytes = NULL WHERE no = 1");
    ARCHIVE_EXPECT(
        &test, "verify", 0, "moved elsewhere on purpose, with 20 frames", "-d", test.base.uri);
    ARCHIVE_EXPECT(&test, "verify", 0, "compared with what", "-d", test.base.uri);
    cr_assert(rename(away, file) == 0);
    ARCHIVE_EXPECT(&test, "verify", 0, "1 file, 20 frames, 200 deleted rows", "-d", test.base.uri);
    free(file);
    restore_case_free(&test);
}

Test(archive_verbs, totals_are_those_of_the_files)
{
    RestoreCase test = purged();
    char *file = restore_case_file(&test);
    struct stat found;
    char total[100];
    cr_assert(stat(file, &found) == 0);
    (void)snprintf(total, sizeof(total), "\"files\":1,\"frames\":20,\"rows\":200,\"bytes\":%lld,",
        (long long)found.st_size);
    ARCHIVE_EXPECT(&test, "list", 0, total, "--json");
    ARCHIVE_EXPECT(&test, "verify", 0, total, "--json");
    ARCHIVE_EXPECT(
        &test, "restore", 2, "has no deleted rows of run 77", "--run=77", "-d", test.base.uri);
    free(file);
    restore_case_free(&test);
}

/* What the database noted down and what the file says, changed one by one. */
Test(archive_verbs, every_difference_from_the_database_is_found)
{
    static const char *const CHANGES[][2] = {
        {"rows = rows + 1", "is not the one that the database noted down"},
        {"at = at + 1", "is not the one that the database noted down"},
        {"raw_bytes = 1", "is not the one that the database noted down"},
        {"hash = repeat('0', 32)", "is not the one that the database noted down"},
    };
    RestoreCase test = purged();
    for (size_t i = 0; i < sizeof(CHANGES) / sizeof(CHANGES[0]); i++) {
        pg_exec(test.base.conn, "CREATE TABLE held AS TABLE pghaul.archive_frame");
        pg_execf(test.base.conn, "UPDATE pghaul.archive_frame SET %s WHERE no = 5", CHANGES[i][0]);
        ARCHIVE_EXPECT(&test, "verify", 6, CHANGES[i][1], "-d", test.base.uri);
        pg_exec(test.base.conn,
            "TRUNCATE pghaul.archive_frame; INSERT INTO pghaul.archive_frame TABLE held;"
            "DROP TABLE held");
    }
    pg_exec(test.base.conn, "DELETE FROM pghaul.archive_frame WHERE no = 5");
    ARCHIVE_EXPECT(&test, "verify", 6, "the database does not know", "-d", test.base.uri);
    pg_exec(test.base.conn, "UPDATE pghaul.job SET uuid = gen_random_uuid()");
    ARCHIVE_EXPECT(&test, "verify", 6, "the database has a job old-rows", "-d", test.base.uri);
    restore_case_free(&test);
}

Test(archive_verbs, usage_is_explained)
{
    RestoreCase test = restore_case_new("SELECT 1");
    ARCHIVE_EXPECT(&test, "list", 2, "cannot open", NULL);
    CliResult result = CLI("archive", "lst", "/tmp");
    cr_expect(eq(int, 2, result.code));
    cr_expect(cli_has(result.err, "Did you mean list?"), "%s", result.err);
    cli_free(&result);
    result = CLI("archive", "list", "/tmp", "--into=t");
    cr_expect(eq(int, 2, result.code));
    cr_expect(cli_has(result.err, "are for restore"), "%s", result.err);
    cli_free(&result);
    result = CLI("archive", "list", "/tmp", "--run=x");
    cr_expect(eq(int, 2, result.code));
    cli_free(&result);
    restore_case_free(&test);
}

/* What is written meanwhile is neither missing nor torn. */
Test(archive_verbs, verify_beside_a_run_that_writes_finds_nothing_wrong)
{
    RestoreCase test =
        restore_case_new("CREATE TABLE s (id int PRIMARY KEY, note text);"
                         "INSERT INTO s SELECT i, md5(i::text) FROM generate_series(1, 4000) AS i");
    STRBUF_AUTO job = STRBUF_INIT;
    strbuf_printf(&job,
        "job: old-rows\npurge: s\nwhere: id > 0\narchive: %s\nbatch: {rows: 10}\n"
        "throttle: {standbys: none}\n",
        test.path);
    cli_base_write_job(&test.base, strbuf_text(&job));
    const char *args[] = {"run", test.base.job_file, "-d", test.base.uri, "--yes", "-q", NULL};
    Proc *proc = proc_start_pghaul(args);
    pg_wait_true(test.base.conn, "SELECT to_regclass('pghaul.archive_frame') IS NOT NULL",
        HARNESS_TIMEOUT_US);
    pg_wait_true(
        test.base.conn, "SELECT count(*) > 10 FROM pghaul.archive_frame", HARNESS_TIMEOUT_US);
    int looks = 0;
    while (!proc_wait(proc, 1000)) {
        ARCHIVE_EXPECT(&test, "verify", 0, "compared with", "-d", test.base.uri);
        looks++;
    }
    cr_expect(lt(int, 0, looks));
    cr_expect(eq(int, 0, proc_exit_code(proc)));
    proc_free(proc);
    ARCHIVE_EXPECT(&test, "verify", 0, "4.00 k deleted rows", "-d", test.base.uri);
    restore_case_free(&test);
}
