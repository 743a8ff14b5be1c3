/*
 * test_cli_run.c - a job from acceptance to clean, by the binary alone.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "harness/harness.h"
#include "harness/session.h"

#define WRONG "SELECT count(*) FROM orders WHERE amount IS DISTINCT FROM amount_text::numeric"

/* The last line of the output, parsed. */
static json_t *
last_object(char *out)
{
    size_t len = strlen(out);
    cr_assert(lt(sz, 0, len));
    out[len - 1] = '\0';
    const char *line = strrchr(out, '\n');
    json_t *object = json_loads(line == NULL ? out : line + 1, 0, NULL);
    cr_assert(ne(ptr, object, NULL), "%s", out);
    return object;
}

static int64_t
int_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

Test(cli_run, off_a_terminal_the_plan_must_be_accepted)
{
    CliBase base = cli_base_new(100);
    CliResult result = CLI("run", base.job_file, "-d", base.uri);
    cr_expect(eq(int, 4, result.code));
    cr_expect(cli_has(result.err, "--yes"), "%s", result.err);
    cr_expect(eq(i64, 100, pg_int(base.conn, WRONG)));
    cr_expect(eq(i64, 1, pg_int(base.conn, "SELECT count(*) FROM pghaul.job WHERE state = 'new'")));
    cli_free(&result);
    cli_base_free(&base);
}

Test(cli_run, accepted_job_runs_to_its_end_and_prints_what_comes_next)
{
    CliBase base = cli_base_new(20000);
    CliResult result = CLI("run", base.job_file, "-d", base.uri, "--yes");
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cr_expect(cli_has(result.out, "20.0 k rows compared, none differs"), "%s", result.out);
    cr_expect(cli_has(result.out, "VALIDATE CONSTRAINT"), "%s", result.out);
    cr_expect(eq(i64, 0, pg_int(base.conn, WRONG)));
    cli_free(&result);

    result = CLI("status", "orders-amount", "-d", base.uri);
    cr_expect(eq(int, 0, result.code));
    cr_expect(cli_has(result.out, ": complete\n"), "%s", result.out);
    cr_expect(cli_has(result.out, "100.0 %"), "%s", result.out);
    cli_free(&result);

    result = CLI("run", base.job_file, "-d", base.uri);
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cr_expect(cli_has(result.out, "complete already"), "%s", result.out);
    cli_free(&result);
    cli_base_free(&base);
}

Test(cli_run, json_run_ends_with_one_result)
{
    CliBase base = cli_base_new(5000);
    CliResult result = CLI("run", base.job_file, "-d", base.uri, "--yes", "--json");
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    json_t *object = last_object(result.out);
    cr_expect(eq(int, 0, strcmp("result", json_string_value(json_object_get(object, "type")))));
    cr_expect(eq(int, JSON_TRUE, json_typeof(json_object_get(object, "ok"))));
    cr_expect(eq(i64, 5000, int_of(object, "compared_rows")));
    cr_expect(eq(i64, 0, int_of(object, "differing_rows")));
    cr_expect(eq(i64, 5000, int_of(json_object_get(object, "progress"), "changed_rows")));
    json_decref(object);
    cli_free(&result);
    cli_base_free(&base);
}

Test(cli_run, changed_job_file_is_refused)
{
    CliBase base = cli_base_new(100);
    CliResult result = CLI("run", base.job_file, "-d", base.uri, "--yes", "-q");
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cli_free(&result);
    cli_base_write_job(&base, "job: orders-amount\nbackfill: orders\nset:\n"
                              "  amount: amount_text::numeric + 1\n");
    result = CLI("run", base.job_file, "-d", base.uri, "--yes", "-q");
    cr_expect(eq(int, 4, result.code), "%s", result.err);
    cli_free(&result);
    cli_base_free(&base);
}

/* A lock on the whole table keeps the run from ending before the signal arrives. */
Test(cli_run, first_signal_stops_cleanly_and_the_next_run_goes_on)
{
    CliBase base = cli_base_new(20000);
    CliResult first = CLI("run", base.job_file, "-d", base.uri);
    cr_expect(eq(int, 4, first.code));
    cli_free(&first);

    Session *holder = session_open(base.uri);
    session_lock_rows(holder, "orders", "id = 20000");
    const char *args[] = {"run", base.job_file, "-d", base.uri, "--yes", NULL};
    Proc *proc = proc_start_pghaul(args);
    pg_wait_true(
        base.conn, "SELECT count(*) > 0 FROM orders WHERE amount IS NOT NULL", HARNESS_TIMEOUT_US);
    proc_signal(proc, SIGTERM);
    cr_expect(eq(int, 7, proc_finish(proc, HARNESS_TIMEOUT_US)));
    char *err = proc_stderr(proc);
    cr_expect(cli_has(err, "To go on: pghaul run "), "%s", err);
    free(err);
    proc_free(proc);
    cr_expect(
        eq(i64, 1, pg_int(base.conn, "SELECT count(*) FROM pghaul.job WHERE state = 'stopped'")));

    CliResult busy = CLI("verify", "orders-amount", "-d", base.uri);
    cr_expect(eq(int, 8, busy.code), "%s", busy.err);
    cli_free(&busy);

    session_release(holder);
    session_close(holder);
    /* By name: the job file's text was stored, and its plan was accepted. */
    CliResult second = CLI("run", "orders-amount", "-d", base.uri);
    cr_expect(eq(int, 0, second.code), "%s", second.err);
    cr_expect(eq(i64, 0, pg_int(base.conn, WRONG)));
    cli_free(&second);
    cli_base_free(&base);
}

Test(cli_run, verify_counts_rows_that_were_changed_behind_the_trigger)
{
    CliBase base = cli_base_new(1000);
    CliResult result = CLI("run", base.job_file, "-d", base.uri, "--yes", "-q");
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cli_free(&result);

    result = CLI("verify", "orders-amount", "-d", base.uri);
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cr_expect(cli_has(result.out, "1000 rows compared, none differs") ||
                  cli_has(result.out, "1.00 k rows compared, none differs"),
        "%s", result.out);
    cli_free(&result);

    pg_exec(base.conn, "ALTER TABLE orders DISABLE TRIGGER USER;"
                       "UPDATE orders SET amount = -1 WHERE id <= 3;"
                       "ALTER TABLE orders ENABLE ALWAYS TRIGGER zzzz_pghaul_1");
    result = CLI("verify", "orders-amount", "-d", base.uri, "--json");
    cr_expect(eq(int, 6, result.code), "%s", result.err);
    json_t *object = last_object(result.out);
    cr_expect(eq(i64, 3, int_of(object, "differing_rows")));
    json_decref(object);
    cli_free(&result);
    cli_base_free(&base);
}

Test(cli_run, job_without_verify_pass_says_why)
{
    CliBase base = cli_base_new(100);
    cli_base_write_job(&base, "job: twice\nbackfill: orders\nset:\n  amount: amount * 2\n");
    pg_exec(base.conn, "UPDATE orders SET amount = 1");
    CliResult result = CLI("run", base.job_file, "-d", base.uri, "--yes", "-q");
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cr_expect(eq(i64, 200, pg_int(base.conn, "SELECT sum(amount)::int FROM orders")));
    cli_free(&result);
    result = CLI("verify", "twice", "-d", base.uri);
    cr_expect(eq(int, 4, result.code));
    cr_expect(cli_has(result.err, "cannot be verified"), "%s", result.err);
    cli_free(&result);
    cli_base_free(&base);
}

Test(cli_run, clean_removes_trigger_and_functions_and_all_drops_the_schema)
{
    CliBase base = cli_base_new(100);
    CliResult result = CLI("run", base.job_file, "-d", base.uri, "--yes", "-q");
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cli_free(&result);

    result = CLI("clean", "orders-amount", "-d", base.uri);
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cr_expect(cli_has(result.out, "trigger zzzz_pghaul_1"), "%s", result.out);
    cr_expect(
        eq(i64, 0, pg_int(base.conn, "SELECT count(*) FROM pg_trigger WHERE tgname ~ 'pghaul'")));
    cli_free(&result);
    result = CLI("status", "-d", base.uri);
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cr_expect(eq(str, "no jobs\n", result.out));
    cli_free(&result);

    result = CLI("clean", "--all", "-d", base.uri);
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cr_expect(eq(str, "", result.err));
    cr_expect(eq(i64, 1, pg_int(base.conn, "SELECT to_regnamespace('pghaul') IS NULL")));
    cli_free(&result);
    result = CLI("clean", "--all", "-d", base.uri);
    cr_expect(eq(int, 0, result.code));
    cli_free(&result);
    cli_base_free(&base);
}

Test(cli_run, unknown_job_names_the_nearest)
{
    CliBase base = cli_base_new(10);
    CliResult result = CLI("status", "orders", "-d", base.uri);
    cr_expect(eq(int, 2, result.code));
    cli_free(&result);
    result = CLI("run", base.job_file, "-d", base.uri);
    cr_expect(eq(int, 4, result.code));
    cli_free(&result);
    result = CLI("status", "order-amount", "-d", base.uri);
    cr_expect(eq(int, 2, result.code));
    cr_expect(cli_has(result.err, "Did you mean \"orders-amount\"?"), "%s", result.err);
    cli_free(&result);
    cli_base_free(&base);
}
