/*
 * test_terminal.c - the binary on a terminal of a given width: colours, progress, the question,
 * Ctrl-C; and what it writes when it shall be quiet or verbose.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/utf8.h"
#include "harness/harness.h"
#include "harness/job.h"
#include "harness/session.h"

#define COLUMNS 80
#define ARGS    8
#define XTERM   "TERM=xterm"
#define RED     "\033[31m"

/* Start the binary on a terminal; `env` is up to two variables. */
static Proc *
start(const char *const *args, const char *const *env, int columns)
{
    const char *argv[ARGS + 1] = {harness_env("PGHAUL_BIN", "build/release/pghaul")};
    for (int i = 0; args[i] != NULL && i < ARGS - 1; i++) {
        argv[i + 1] = args[i];
    }
    return proc_start(&(ProcSpec){.argv = argv, .env = env, .terminal_columns = columns});
}

/* Wait for the end; returns all that it wrote, owned. */
static char *
finish(Proc *proc, int exit_code)
{
    int code = proc_finish(proc, HARNESS_TIMEOUT_US);
    char *out = proc_stdout(proc);
    cr_expect(eq(int, exit_code, code), "%s", out);
    proc_free(proc);
    return out;
}

/* ---- colours ---- */

static void
expect_escapes(const CliBase *base, const char *const *env, const char *option, bool colored)
{
    const char *args[] = {"check", base->job_file, "-d", base->uri, option, NULL};
    char *out = finish(start(args, env, COLUMNS), 4);
    cr_expect(cli_has(out, "refused"), "%s", out);
    cr_expect(eq(int, colored, cli_has(out, RED)), "%s", out);
    cr_expect(eq(int, colored, cli_has(out, "\033")), "%s", out);
    free(out);
}

Test(terminal, colours_only_on_a_terminal_that_nobody_forbade)
{
    CliBase base = cli_base_new(1);
    cli_base_write_job(&base, "job: a\nbackfill: orders\nset: {amount: random()::numeric}\n");
    const char *const plain[] = {XTERM, "NO_COLOR=", NULL};
    const char *const forbidden[] = {XTERM, "NO_COLOR=0", NULL};
    const char *const dumb[] = {"TERM=dumb", "NO_COLOR=", NULL};
    const char *const unset[] = {"TERM=", "NO_COLOR=", NULL};
    expect_escapes(&base, plain, NULL, true);
    expect_escapes(&base, plain, "--no-color", false);
    expect_escapes(&base, forbidden, NULL, false);
    expect_escapes(&base, dumb, NULL, false);
    expect_escapes(&base, unset, NULL, false);
    CliResult piped = CLI("check", base.job_file, "-d", base.uri);
    cr_expect(eq(int, 4, piped.code));
    cr_expect(not(cli_has(piped.out, "\033")));
    cli_free(&piped);
    cli_base_free(&base);
}

/* ---- progress ---- */

static int
columns_of(const char *text, size_t len)
{
    int columns = 0;
    while (len > 0) {
        uint32_t code = 0;
        size_t bytes = utf8_decode(text, len, &code);
        cr_assert(lt(sz, 0, bytes));
        columns += utf8_width(code);
        text += bytes;
        len -= bytes;
    }
    return columns;
}

/* Two lines follow each time that the lines before were erased; returns how often. */
static int
expect_drawn_within(const char *out, int columns)
{
    static const char WIPED[] = "\033[1A\033[2K";
    int drawn = 0;
    for (const char *at = strstr(out, WIPED); at != NULL; at = strstr(at, WIPED)) {
        at += strlen(WIPED);
        size_t first = strcspn(at, "\r\n\033");
        if (strncmp(at, "verify", 6) != 0) {
            continue; /* erased to make room for a log line, or at the end */
        }
        const char *next = at + first + strspn(at + first, "\r\n");
        size_t second = strcspn(next, "\r\n\033");
        cr_expect(lt(int, columns_of(at, first), columns), "%.*s", (int)first, at);
        cr_expect(lt(int, columns_of(next, second), columns), "%.*s", (int)second, next);
        drawn++;
    }
    return drawn;
}

static void
open_moved_job(JobTest *test, int64_t rows)
{
    job_open(test, cluster_shared(), rows, 0);
    job_write(test, JOB_SET_AMOUNT "throttle: {standbys: none}\n");
    job_expect_run(test, 0);
    job_set_slow(test, 200);
}

static bool
is_ascii(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text >= 0x80) {
            return false;
        }
    }
    return true;
}

Test(terminal, progress_is_narrower_than_the_terminal_and_in_its_characters)
{
    static const int WIDTHS[] = {1, 20, 33, 40, 79, 200};
    const char *const utf8[] = {XTERM, "LC_ALL=C.UTF-8", NULL};
    const char *const ascii[] = {XTERM, "LC_ALL=POSIX", NULL};
    JobTest test;
    open_moved_job(&test, 4000);
    const char *args[] = {"verify", test.path, "-d", test.uri, NULL};
    for (size_t i = 0; i < sizeof(WIDTHS) / sizeof(WIDTHS[0]); i++) {
        char *out = finish(start(args, ascii, WIDTHS[i]), 0);
        cr_expect(is_ascii(out), "%s", out);
        /* so narrow that not even the first word fits */
        cr_expect(WIDTHS[i] == 1 || expect_drawn_within(out, WIDTHS[i]) > 0, "%s", out);
        free(out);
    }
    char *out = finish(start(args, utf8, COLUMNS), 0);
    cr_expect(lt(int, 0, expect_drawn_within(out, COLUMNS)), "%s", out);
    cr_expect(cli_has(out, "\xe2\x96\x88") || cli_has(out, "\xe2\x96\x91"), "%s", out);
    free(out);
    job_close_cluster(&test);
}

Test(terminal, dumb_terminal_gets_no_cursor_movements)
{
    const char *const dumb[] = {"TERM=dumb", NULL};
    JobTest test;
    open_moved_job(&test, 1000);
    const char *args[] = {"verify", test.path, "-d", test.uri, NULL};
    char *out = finish(start(args, dumb, COLUMNS), 0);
    cr_expect(not(cli_has(out, "\033")), "%s", out);
    cr_expect(cli_has(out, "none differs"), "%s", out);
    free(out);
    job_close_cluster(&test);
}

/* ---- keys ---- */

static void
expect_answer(const CliBase *base, const char *keys, int exit_code)
{
    const char *const env[] = {XTERM, NULL};
    const char *args[] = {"run", base->job_file, "-d", base->uri, NULL};
    Proc *proc = start(args, env, COLUMNS);
    cr_assert(proc_wait_output(proc, "Begin? [y/N] ", HARNESS_TIMEOUT_US));
    proc_type(proc, keys);
    free(finish(proc, exit_code));
}

Test(terminal, first_run_asks_and_only_yes_begins)
{
    CliBase base = cli_base_new(500);
    const char *const refusals[] = {"n\n", "\n", "\004", "maybe\n"};
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        expect_answer(&base, refusals[i], 4);
    }
    cr_expect(eq(i64, 0, pg_int(base.conn, "SELECT count(amount) FROM orders")));
    expect_answer(&base, "y\n", 0);
    cr_expect(eq(i64, 500, pg_int(base.conn, "SELECT count(amount) FROM orders")));
    cli_base_free(&base);
}

Test(terminal, ctrl_c_stops_cleanly)
{
    const char *const env[] = {XTERM, NULL};
    JobTest test;
    job_open(&test, cluster_shared(), 10000, 500);
    job_write(&test, JOB_SET_AMOUNT "batch: {time: 20ms}\nthrottle: {standbys: none}\n");
    const char *args[] = {"run", test.path, "-d", test.uri, "--yes", NULL};
    Proc *proc = start(args, env, COLUMNS);
    cr_assert(job_wait_batches(&test, proc, 0, 2));
    proc_type(proc, "\003");
    char *out = finish(proc, 7);
    cr_expect(cli_has(out, "To go on: pghaul run "), "%s", out);
    free(out);
    cr_expect(job_is_state(&test, "stopped"));
    job_set_slow(&test, 0);
    job_expect_run(&test, 0);
    cr_expect(eq(i64, 0, job_count_wrong(&test, JOB_AMOUNT_RIGHT)));
    job_close_cluster(&test);
}

/* ---- quiet and verbose ---- */

Test(terminal, quiet_run_that_succeeds_writes_nothing)
{
    CliBase base = cli_base_new(2000);
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/log", base.folder);
    CliResult result = CLI("run", base.job_file, "-d", base.uri, "--yes", "-q", "--log-file", path);
    cr_expect(eq(int, 0, result.code));
    cr_expect(eq(str, "", result.err));
    cr_expect(eq(str, "", result.out));
    char *log = harness_read_file(path);
    cr_expect(
        cli_has(log, " DEBUG "), "the log file has all, whatever the terminal shows: %s", log);
    free(log);
    cli_free(&result);

    result = CLI("verify", base.job_file, "-d", base.uri, "-v");
    cr_expect(eq(int, 0, result.code));
    cr_expect(cli_has(result.err, " DEBUG "), "%s", result.err);
    cli_free(&result);

    /* Nor is a quiet run on a terminal drawn. */
    const char *const env[] = {XTERM, NULL};
    const char *args[] = {"verify", base.job_file, "-d", base.uri, "-q", NULL};
    char *out = finish(start(args, env, COLUMNS), 0);
    cr_expect(not(cli_has(out, "\033")), "%s", out);
    free(out);
    cli_base_free(&base);
}

Test(terminal, quiet_error_is_written_all_the_same)
{
    CliResult result = CLI("run", "/nowhere/job.yaml", "-q");
    cr_expect(eq(int, 2, result.code));
    cr_expect(cli_has(result.err, "cannot read /nowhere/job.yaml"), "%s", result.err);
    cli_free(&result);
    result = CLI("version", "--log-file", "/nowhere/log");
    cr_expect(eq(int, 2, result.code));
    cr_expect(cli_has(result.err, "cannot open log file /nowhere/log: No such file or directory"),
        "%s", result.err);
    cli_free(&result);
}
