/*
 * test_cli_plan.c - check and plan on a real table: what they say, and that nothing is left.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "harness/session.h"

/* One text that changes when any object of the database does. */
static char *
catalog_state(PGconn *conn)
{
    return pg_text(conn,
        "SELECT md5(string_agg(o, ',' ORDER BY o)) FROM ("
        " SELECT 'c' || oid || relname || relhastriggers FROM pg_class"
        "  WHERE relpersistence <> 't' AND relnamespace <> 'pg_toast'::regnamespace"
        " UNION ALL SELECT 'p' || oid || proname FROM pg_proc"
        " UNION ALL SELECT 'n' || oid || nspname FROM pg_namespace WHERE nspname !~ '^pg_t'"
        " UNION ALL SELECT 't' || oid || tgname FROM pg_trigger) AS s (o)");
}

Test(cli_plan, check_of_a_good_job_passes)
{
    CliBase base = cli_base_new(100);
    CliResult result = CLI("check", base.job_file, "-d", base.uri);
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cr_expect(cli_has(result.out, "the job may start"));
    cli_free(&result);
    cli_base_free(&base);
}

Test(cli_plan, check_of_a_refused_job_lists_all_findings)
{
    CliBase base = cli_base_new(10);
    pg_exec(base.conn, "CREATE RULE r AS ON UPDATE TO orders DO ALSO NOTHING;"
                       "ALTER TABLE orders SET UNLOGGED");
    CliResult result = CLI("check", base.job_file, "-d", base.uri);
    cr_expect(eq(int, 4, result.code), "%s", result.err);
    cr_expect(cli_has(result.out, "refused (rules)"), "%s", result.out);
    cr_expect(cli_has(result.out, "refused (unlogged)"), "%s", result.out);
    cr_expect(cli_has(result.out, "2 refusals"), "%s", result.out);
    cli_free(&result);

    result = CLI("check", base.job_file, "-d", base.uri, "--json");
    cr_expect(eq(int, 4, result.code));
    json_t *object = json_loads(result.out, 0, NULL);
    cr_assert(ne(ptr, object, NULL), "%s", result.out);
    cr_expect(le(sz, 2, json_array_size(json_object_get(object, "findings"))));
    json_decref(object);
    cli_free(&result);

    result = CLI("run", base.job_file, "-d", base.uri, "--yes");
    cr_expect(eq(int, 4, result.code));
    cr_expect(cli_has(result.err, "refused (rules)"), "%s", result.err);
    cr_expect(eq(i64, 1, pg_int(base.conn, "SELECT to_regnamespace('pghaul') IS NULL")));
    cli_free(&result);
    cli_base_free(&base);
}

Test(cli_plan, error_of_an_expression_points_into_the_job_file)
{
    CliBase base = cli_base_new(10);
    cli_base_write_job(&base, "job: j\nbackfill: orders\nset:\n  amount: amuont_text::numeric\n");
    CliResult result = CLI("check", base.job_file, "-d", base.uri);
    cr_expect(eq(int, 2, result.code), "%s", result.err);
    cr_expect(cli_has(result.err, "job.yaml:4:11"), "%s", result.err);
    cr_expect(cli_has(result.err, "amuont_text"), "%s", result.err);
    cli_free(&result);
    cli_base_free(&base);
}

Test(cli_plan, check_and_plan_leave_nothing_behind)
{
    CliBase base = cli_base_new(100);
    char *before = catalog_state(base.conn);
    CliResult check = CLI("check", base.job_file, "-d", base.uri);
    CliResult plan = CLI("plan", base.job_file, "-d", base.uri);
    CliResult status = CLI("status", "-d", base.uri);
    char *after = catalog_state(base.conn);
    cr_expect(eq(int, 0, check.code));
    cr_expect(eq(int, 0, plan.code));
    cr_expect(eq(int, 0, status.code));
    cr_expect(eq(str, before, after));
    cr_expect(eq(str, "no jobs\n", status.out));
    free(before);
    free(after);
    cli_free(&check);
    cli_free(&plan);
    cli_free(&status);
    cli_base_free(&base);
}

Test(cli_plan, plan_says_decisions_locks_and_every_statement)
{
    static const char *const PARTS[] = {"\nkey ", "id (index orders_pkey)", "\npath ", "\nstripes ",
        "\nestimate ", "SHARE ROW EXCLUSIVE", "ROW EXCLUSIVE", "ACCESS EXCLUSIVE", "40001",
        "the trigger owns the columns", "CREATE FUNCTION pghaul.move_0_",
        "CREATE FUNCTION pghaul.verify_0_", "CREATE FUNCTION pghaul.locate_",
        "CREATE FUNCTION pghaul.sync_0_", "CREATE TRIGGER zzzz_pghaul_0", "ENABLE ALWAYS TRIGGER",
        "BEGIN ISOLATION LEVEL READ COMMITTED", "SET LOCAL statement_timeout = 200",
        "VACUUM (TRUNCATE"};
    CliBase base = cli_base_new(100);
    CliResult result = CLI("plan", base.job_file, "-d", base.uri);
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    for (size_t i = 0; i < sizeof(PARTS) / sizeof(PARTS[0]); i++) {
        cr_expect(cli_has(result.out, PARTS[i]), "%s", PARTS[i]);
    }
    cli_free(&result);
    cli_base_free(&base);
}

/* The words up to the statements keep to 100 columns. */
Test(cli_plan, prose_of_the_plan_is_at_most_100_columns_wide)
{
    CliBase base = cli_base_new(100);
    CliResult result = CLI("plan", base.job_file, "-d", base.uri);
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    char *end = strstr(result.out, "\n-- ");
    cr_assert(ne(ptr, end, NULL));
    *end = '\0';
    for (const char *line = result.out; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        cr_expect(le(sz, len, 100), "%.*s", (int)len, line);
        line += len + (line[len] == '\n' ? 1 : 0);
    }
    cli_free(&result);
    cli_base_free(&base);
}

Test(cli_plan, plan_as_json_is_one_object_with_fingerprint_and_statements)
{
    CliBase base = cli_base_new(100);
    CliResult result = CLI("plan", base.job_file, "-d", base.uri, "--json");
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    json_t *object = json_loads(result.out, 0, NULL);
    cr_assert(ne(ptr, object, NULL), "%s", result.out);
    const json_t *plan = json_object_get(object, "plan");
    cr_expect(eq(sz, 16, json_string_length(json_object_get(plan, "fingerprint"))));
    cr_expect(le(sz, 8, json_array_size(json_object_get(plan, "statements"))));
    cr_expect(eq(i64, 100,
        json_integer_value(json_object_get(json_object_get(plan, "estimate"), "table_rows"))));
    json_decref(object);
    cli_free(&result);
    cli_base_free(&base);
}
