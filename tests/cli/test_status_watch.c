/*
 * test_status_watch.c - status again and again: on a terminal in place, elsewhere line by line; and
 * what fits into a narrow terminal.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "cli/cli.h"
#include "cli/status_case.h"
#include "harness/harness.h"

#define COLUMNS 40

/* ---- a terminal ---- */

typedef struct Screen {
    int master;
    char path[64];
    StrBuf seen;
} Screen;

static Screen
screen_open(void)
{
    Screen screen = {.master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), .seen = STRBUF_INIT};
    const struct winsize size = {.ws_row = 50, .ws_col = COLUMNS};
    if (screen.master < 0 || grantpt(screen.master) != 0 || unlockpt(screen.master) != 0 ||
        ptsname_r(screen.master, screen.path, sizeof(screen.path)) != 0 ||
        ioctl(screen.master, TIOCSWINSZ, &size) != 0) {
        harness_fail("no pseudo terminal to be had");
    }
    return screen;
}

static void
screen_close(Screen *screen)
{
    (void)close(screen->master);
    strbuf_free(&screen->seen);
}

static Proc *
screen_start(const Screen *screen, const char *const *args)
{
    const char *argv[10] = {harness_env("PGHAUL_BIN", NULL)};
    for (int i = 0; args[i] != NULL; i++) {
        argv[i + 1] = args[i];
    }
    const char *const env[] = {"TERM=xterm", NULL};
    return proc_start(&(ProcSpec){.argv = argv, .env = env, .out_path = screen->path});
}

/* Take in what was written until `done` says so; a terminal that nobody reads would block it. */
static void
screen_read_until(Screen *screen, bool (*done)(const Screen *, Proc *), Proc *proc)
{
    int64_t deadline_us = clock_mono_us() + HARNESS_TIMEOUT_US;
    bool over = false;
    while (!over) {
        over = done(screen, proc); /* asked first: what was written before is read below */
        struct pollfd fd = {.fd = screen->master, .events = POLLIN};
        char chunk[1024];
        ssize_t got = 1;
        while (got > 0 && poll(&fd, 1, 20) > 0) {
            got = read(screen->master, chunk, sizeof(chunk));
            strbuf_put(&screen->seen, chunk, got > 0 ? (size_t)got : 0);
        }
        if (clock_mono_us() > deadline_us) {
            harness_fail("not seen in time:\n%s", strbuf_text(&screen->seen));
        }
    }
}

static bool
has_ended(const Screen *screen, Proc *proc)
{
    (void)screen;
    return proc_wait(proc, 0);
}

/* Drawn twice, and in place. */
static bool
is_redrawn(const Screen *screen, Proc *proc)
{
    cr_assert(not(proc_wait(proc, 0)), "ended too early:\n%s", strbuf_text(&screen->seen));
    const char *first = strstr(strbuf_text(&screen->seen), "\033[H");
    return first != NULL && strstr(first + 1, "\033[H") != NULL;
}

static void
expect_lines_fit(const Screen *screen)
{
    int column = 0;
    for (const char *at = strbuf_text(&screen->seen); *at != '\0'; at++) {
        if (*at == '\033') {
            at += 1 + strcspn(at + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
            continue;
        }
        column = *at == '\r' || *at == '\n' ? 0 : column + 1;
        cr_assert(le(int, column, COLUMNS), "too wide:\n%s", strbuf_text(&screen->seen));
    }
}

/* ---- tests ---- */

Test(status_watch, terminal_is_redrawn_in_place_until_the_job_is_done, .timeout = 120)
{
    JobTest test;
    job_open(&test, cluster_shared(), 1200, 5000); /* is not done before it was drawn twice */
    job_write(&test, JOB_SET_AMOUNT STATUS_SMALL_BATCHES);
    Proc *run = job_start(&test);
    cr_assert(job_wait_batches(&test, run, 0, 5));
    Screen screen = screen_open();
    const char *const args[] = {"status", JOB_NAME, "--watch", "-d", test.uri, NULL};
    Proc *watch = screen_start(&screen, args);
    screen_read_until(&screen, is_redrawn, watch);
    cr_expect(cli_has(strbuf_text(&screen.seen), "progressing: "), "%s", strbuf_text(&screen.seen));

    job_set_slow(&test, 0);
    job_expect_exit(run, 0);
    screen_read_until(&screen, has_ended, watch);
    cr_expect(eq(int, proc_exit_code(watch), 0));
    cr_expect(cli_has(strbuf_text(&screen.seen), "done: every row is done"));
    cr_expect(cli_has(strbuf_text(&screen.seen), "\033[K\r\n"), "each line erases what was there");
    expect_lines_fit(&screen);
    proc_free(watch);
    screen_close(&screen);
    job_close_cluster(&test);
}

/* A job for the table, without a run. */
static void
insert_job(const JobTest *test, const char *name, const char *state)
{
    pg_execf(test->conn,
        "INSERT INTO pghaul.job (name, kind, table_name, spec, fingerprint, system_id, timeline,"
        " state, reason) SELECT '%s', kind, table_name, spec, fingerprint, system_id, timeline,"
        " '%s', 'a long reason that nobody could read in so few columns' FROM pghaul.job LIMIT 1",
        name, state);
}

Test(status_watch, jobs_in_forty_columns_stand_on_a_line_each_and_troubles_come_first)
{
    JobTest test;
    job_open(&test, cluster_shared(), 20, 0);
    job_write(&test, JOB_SET_AMOUNT STATUS_SMALL_BATCHES);
    job_expect_run(&test, 0);
    insert_job(&test, "stopped-with-a-name-of-forty-characters0", "stopped");
    insert_job(&test, "broken", "failed");
    Screen screen = screen_open();
    const char *const args[] = {"status", "-d", test.uri, NULL};
    Proc *status = screen_start(&screen, args);
    screen_read_until(&screen, has_ended, status);
    expect_lines_fit(&screen);
    const char *seen = strbuf_text(&screen.seen);
    const char *broken = strstr(seen, "broken ");
    const char *stopped = strstr(seen, "stopped-with-a-n ");
    const char *done = strstr(seen, "fill ");
    cr_assert(broken != NULL && stopped != NULL && done != NULL, "%s", seen);
    cr_expect(broken < stopped && stopped < done, "%s", seen);
    cr_expect(cli_has(broken, "failed"));
    int lines = 0;
    for (const char *at = seen; *at != '\0'; at++) {
        lines += *at == '\n';
    }
    cr_expect(eq(int, lines, 4), "%s", seen);
    proc_free(status);
    screen_close(&screen);
    job_close_cluster(&test);
}

Test(status_watch, elsewhere_it_is_a_line_now_and_then_until_interrupted, .timeout = 120)
{
    JobTest test;
    job_open(&test, cluster_shared(), 20, 0);
    job_write(&test, JOB_SET_AMOUNT STATUS_SMALL_BATCHES);
    job_expect_run(&test, 0);
    insert_job(&test, "waits", "paused");
    const char *const args[] = {"status", "--watch", "-d", test.uri, NULL};
    Proc *watch = proc_start_pghaul(args);
    cr_expect(proc_wait_output(watch, "waits: paused, - 0.0 %", HARNESS_TIMEOUT_US));
    char *first = proc_stdout(watch);
    cr_expect(not(cli_has(first, "\033")), "%s", first);
    free(first);
    proc_signal(watch, SIGINT);
    cr_expect(eq(int, proc_finish(watch, HARNESS_TIMEOUT_US), 130));
    proc_free(watch);

    CliResult one = CLI("status", JOB_NAME, "--watch", "-d", test.uri);
    cr_expect(eq(int, one.code, 0));
    cr_expect(cli_has(one.out, "fill: done, move 100.0 %"), "%s", one.out);
    cli_free(&one);
    job_close_cluster(&test);
}

Test(status_watch, exit_code_is_that_of_the_job_when_it_is_over)
{
    JobTest test;
    job_open(&test, cluster_shared(), 20, 0);
    job_write(&test, JOB_SET_AMOUNT STATUS_SMALL_BATCHES);
    job_expect_run(&test, 0);
    insert_job(&test, "broken", "failed");
    insert_job(&test, "halfway", "stopped");
    CliResult failed = CLI("status", "broken", "--watch", "--json", "-d", test.uri);
    cr_expect(eq(int, failed.code, 1));
    cr_expect(cli_has(failed.out, "\"type\":\"status\"}\n"), "%s", failed.out);
    cr_expect(cli_has(failed.out, "\"type\":\"result\""), "%s", failed.out);
    cli_free(&failed);
    CliResult stopped = CLI("status", "halfway", "--watch", "-d", test.uri);
    cr_expect(eq(int, stopped.code, 7));
    cli_free(&stopped);
    CliResult unknown = CLI("status", "fil", "--watch", "-d", test.uri);
    cr_expect(eq(int, unknown.code, 2));
    cr_expect(cli_has(unknown.err, "Did you mean \"fill\"?"), "%s", unknown.err);
    cli_free(&unknown);
    job_close_cluster(&test);
}
