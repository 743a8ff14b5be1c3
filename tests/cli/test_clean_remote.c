/*
 * test_clean_remote.c - the way back of a copy between two servers: nothing stays on either, or
 * what stays is said.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "cli/remote_case.h"
#include "harness/harness.h"
#include "harness/session.h"

#define SOURCE                                                                                     \
    "CREATE TABLE src (id int PRIMARY KEY, note text);"                                            \
    "INSERT INTO src SELECT i, 'n' FROM generate_series(1, 100) AS i; ANALYZE src"
#define TARGET "CREATE TABLE dst (id int PRIMARY KEY, note text)"
#define LINES  "throttle: {standbys: none}\n"

/* Triggers, and all that is in schema pghaul; schema itself. */
static void
expect_nothing_at_source(const RemoteCase *test)
{
    cr_expect(eq(i64, 0,
        pg_int(test->source, "SELECT count(*) FROM pg_trigger"
                             " WHERE NOT tgisinternal")));
    cr_expect(eq(i64, 0,
        pg_int(test->source, "SELECT count(*) FROM pg_namespace"
                             " WHERE nspname = 'pghaul'")));
}

static void
open_synced(RemoteCase *test)
{
    remote_open(test, SOURCE, TARGET);
    remote_write_job(test, NULL, NULL, LINES);
    remote_run(test, 0);
}

Test(clean_remote, nothing_stays_on_the_old_server)
{
    RemoteCase test;
    open_synced(&test);
    CliResult clean = CLI("clean", "carry", "-d", test.to);
    cr_expect(eq(int, 0, clean.code), "%s", clean.err);
    cli_free(&clean);
    expect_nothing_at_source(&test);

    pg_exec(test.target, "TRUNCATE dst");
    remote_run(&test, 0);
    clean = CLI("clean", "--all", "-d", test.to);
    cr_expect(eq(int, 0, clean.code), "%s", clean.err);
    cli_free(&clean);
    expect_nothing_at_source(&test);
    cr_expect(eq(i64, 0,
        pg_int(test.target, "SELECT count(*) FROM pg_namespace"
                            " WHERE nspname = 'pghaul'")));
    remote_close(&test);
}

/* The schema at the source has a job of its own. */
Test(clean_remote, job_of_the_old_server_itself_keeps_its_state)
{
    RemoteCase test;
    open_synced(&test);
    pg_exec(test.source,
        "INSERT INTO pghaul.job (name, kind, table_name, spec, fingerprint, system_id,"
        " timeline) VALUES ('own', 'backfill', 't', '', '', '', 1)");
    CliResult clean = CLI("clean", "carry", "-d", test.to);
    cr_expect(eq(int, 0, clean.code), "%s", clean.err);
    cli_free(&clean);
    cr_expect(eq(i64, 1, pg_int(test.source, "SELECT count(*) FROM pghaul.job")));
    cr_expect(eq(i64, 0,
        pg_int(test.source, "SELECT count(*) FROM pg_trigger"
                            " WHERE NOT tgisinternal")));
    remote_close(&test);
}

/* The statements are those between the comment that announces them and the end. */
static void
expect_left_and_remove(const RemoteCase *test, const CliResult *clean)
{
    cr_expect(eq(int, 3, clean->code), "%s%s", clean->out, clean->err);
    cr_expect(cli_has(clean->err, "has not been cleaned"), "%s", clean->err);
    const char *sql = strstr(clean->out, "-- On the old server");
    cr_assert(sql != NULL, "%s", clean->out);
    cr_expect(eq(i64, 2,
        pg_int(test->source, "SELECT count(*) FROM pg_trigger"
                             " WHERE NOT tgisinternal")));
    pg_exec(test->source, sql);
    pg_exec(test->source, "RESET lock_timeout");
    cr_expect(eq(i64, 0,
        pg_int(test->source, "SELECT count(*) FROM pg_trigger"
                             " WHERE NOT tgisinternal")));
    cr_expect(eq(i64, 0,
        pg_int(test->source, "SELECT count(*) FROM pg_class c, pg_namespace n"
                             " WHERE n.oid = relnamespace AND nspname = 'pghaul'"
                             "   AND relname ~ '^(log|overflow)_'")));
}

Test(clean_remote, what_stays_on_a_server_that_is_not_reached_is_said_as_statements)
{
    RemoteCase test;
    open_synced(&test);
    pg_execf(test.target, "UPDATE pghaul.job SET spec = replace(spec, '%s', 'gone_%s')",
        test.from_dbname, test.from_dbname);
    CliResult clean = CLI("clean", "carry", "-d", test.to);
    expect_left_and_remove(&test, &clean);
    cli_free(&clean);
    cr_expect(eq(
        i64, 1, pg_int(test.target, "SELECT count(*) FROM pghaul.job WHERE cleaned IS NOT NULL")));
    remote_close(&test);
}

Test(clean_remote, change_log_that_somebody_dropped_there_is_told_with_the_way_out)
{
    RemoteCase test;
    open_synced(&test);
    pg_exec(test.source, "DO $$ BEGIN EXECUTE (SELECT 'DROP TABLE ' || oid::regclass FROM pg_class"
                         " WHERE relname ~ '^log_' AND relkind = 'r'); END $$;"
                         "UPDATE src SET note = 'lost' WHERE id = 1");
    CliResult run = CLI("run", test.job_file, "--yes", "--quiet");
    cr_expect(eq(int, 1, run.code), "%s", run.err);
    cr_expect(cli_has(run.err, "or was dropped"), "%s", run.err);
    cr_expect(cli_has(run.err, "pghaul verify carry --repair"), "%s", run.err);
    cli_free(&run);
    run = CLI("verify", test.job_file, "--repair", "--quiet");
    cr_expect(eq(int, 0, run.code), "%s", run.err);
    cli_free(&run);
    remote_expect_equal(&test, "SELECT * FROM src", "SELECT * FROM dst");
    CliResult clean = CLI("clean", "carry", "-d", test.to);
    cr_expect(eq(int, 0, clean.code), "%s", clean.err);
    cli_free(&clean);
    expect_nothing_at_source(&test);
    remote_close(&test);
}
