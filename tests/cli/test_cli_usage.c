/*
 * test_cli_usage.c - the command line without a server: exit codes, streams, messages.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "harness/harness.h"

Test(cli_usage, no_verb_is_a_usage_error_on_standard_error)
{
    CliResult result = cli_run((const char *const[]){NULL});
    cr_expect(eq(int, 2, result.code));
    cr_expect(eq(str, "", result.out));
    cr_expect(cli_has(result.err, "pghaul: error: no verb given"));
    cli_free(&result);
}

Test(cli_usage, misspelt_verb_names_the_nearest)
{
    CliResult result = CLI("statsu");
    cr_expect(eq(int, 2, result.code));
    cr_expect(cli_has(result.err, "Did you mean \"status\"?"));
    cli_free(&result);
}

Test(cli_usage, help_and_version_go_to_standard_output)
{
    CliResult help = CLI("--help");
    cr_expect(eq(int, 0, help.code));
    cr_expect(eq(str, "", help.err));
    cr_expect(cli_has(help.out, "Exit codes:"));
    CliResult page = CLI("help", "run");
    cr_expect(eq(int, 0, page.code));
    cr_expect(cli_has(page.out, "--max-runtime"));
    CliResult same = CLI("run", "--help");
    cr_expect(eq(int, 0, same.code));
    cr_expect(eq(str, page.out, same.out));
    CliResult keys = CLI("help", "job");
    cr_expect(eq(int, 0, keys.code));
    cr_expect(cli_has(keys.out, "throttle.yield_after"));
    CliResult version = CLI("version");
    cr_expect(eq(int, 0, version.code));
    cr_expect(cli_has(version.out, "pghaul 0.1.0 (libpq "));
    cli_free(&help);
    cli_free(&page);
    cli_free(&same);
    cli_free(&keys);
    cli_free(&version);
}

Test(cli_usage, help_about_an_unknown_verb_is_an_error)
{
    CliResult result = CLI("help", "rum");
    cr_expect(eq(int, 2, result.code));
    cr_expect(cli_has(result.err, "Did you mean \"run\"?"));
    cli_free(&result);
}

Test(cli_usage, template_is_a_job_file_that_parses)
{
    CliResult result = CLI("new", "backfill", "shop.orders");
    cr_expect(eq(int, 0, result.code));
    cr_expect(cli_has(result.out, "backfill: shop.orders"));

    char *folder = harness_scratch_new();
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/job.yaml", folder);
    harness_write_file(path, result.out);
    /* It gets as far as the connection. */
    CliResult check = CLI("check", path, "-h", folder);
    cr_expect(eq(int, 3, check.code), "%s", check.err);
    cli_free(&check);
    cli_free(&result);
    harness_scratch_remove(folder);
}

Test(cli_usage, job_files_are_made_of_the_kinds_that_people_write)
{
    CliResult result = CLI("new", "purge", "orders");
    cr_expect(eq(int, 0, result.code));
    cr_expect(cli_has(result.out, "\npurge: orders\n"), "%s", result.out);
    cli_free(&result);
    result = CLI("new", "restore", "orders");
    cr_expect(eq(int, 2, result.code));
    cr_expect(cli_has(result.err, "there is no kind of job \"restore\""), "%s", result.err);
    cli_free(&result);
}

Test(cli_usage, bad_job_file_shows_line_and_caret)
{
    char *folder = harness_scratch_new();
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/job.yaml", folder);
    harness_write_file(path, "job: a\nbackfill: t\nsett:\n  x: y\n");
    CliResult result = CLI("check", path);
    cr_expect(eq(int, 2, result.code));
    cr_expect(cli_has(result.err, "job.yaml:3:1"), "%s", result.err);
    cr_expect(cli_has(result.err, "\nsett:\n^"), "%s", result.err);
    cr_expect(cli_has(result.err, "hint: "), "%s", result.err);
    cli_free(&result);
    harness_scratch_remove(folder);
}

Test(cli_usage, missing_job_file_is_named)
{
    CliResult result = CLI("run", "/nowhere/job.yaml");
    cr_expect(eq(int, 2, result.code));
    cr_expect(cli_has(result.err, "cannot read /nowhere/job.yaml: No such file"), "%s", result.err);
    cli_free(&result);
}

Test(cli_usage, folder_that_is_called_like_a_job_is_no_job_file)
{
    CliResult result = CLI("status", "tests", "-h", "/nowhere");
    cr_expect(eq(int, 3, result.code), "%s", result.err);
    cr_expect(
        cli_has(result.err, "cannot connect to the server in /nowhere, port "), "%s", result.err);
    cli_free(&result);
}

Test(cli_usage, refused_connection_has_its_own_code)
{
    CliResult result = CLI("status", "-d", "postgresql://u@127.0.0.1:1/x");
    cr_expect(eq(int, 3, result.code), "%s", result.err);
    cr_expect(cli_has(result.err, "Connection refused"), "%s", result.err);
    cli_free(&result);
}

Test(cli_usage, clean_wants_either_a_job_or_all)
{
    CliResult none = CLI("clean");
    cr_expect(eq(int, 2, none.code));
    CliResult both = CLI("clean", "x", "--all");
    cr_expect(eq(int, 2, both.code));
    cli_free(&none);
    cli_free(&both);
}

Test(cli_usage, json_reports_the_error_on_standard_output_too)
{
    CliResult result = CLI("check", "/nowhere/job.yaml", "--json");
    cr_expect(eq(int, 2, result.code));
    json_t *object = json_loads(result.out, 0, NULL);
    cr_assert(ne(ptr, object, NULL), "%s", result.out);
    cr_expect(eq(i64, 2, json_integer_value(json_object_get(object, "exit_code"))));
    cr_expect(eq(int, JSON_FALSE, json_typeof(json_object_get(object, "ok"))));
    const json_t *error = json_object_get(object, "error");
    cr_expect(eq(int, 0, strcmp("user", json_string_value(json_object_get(error, "class")))));
    json_decref(object);
    cli_free(&result);
}
