/*
 * main.c - from the command line to a verb, and from its outcome to the last line and exit code.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/app.h"
#include "app/json.h"
#include "app/text.h"
#include "base/log.h"
#include "engine/engine.h"

/* A reader that went away is a failed write, not a death in the middle of a run. */
static void
ignore_sigpipe(void)
{
    struct sigaction action = {.sa_handler = SIG_IGN};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGPIPE, &action, NULL);
}

/* Memory holds rows and passwords: no core file, not even one that a program of the system takes
 * from a pipe, and nobody else of the same user may look into it. */
static void
forbid_core_dumps(void)
{
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){.rlim_cur = 0, .rlim_max = 0});
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* leaks are found by ptrace   \
                                                                     */
    (void)prctl(PR_SET_DUMPABLE, 0);
#endif
}

static bool
open_log(const Options *options, Err *err)
{
    log_set_level(options->verbose ? LOG_DEBUG : options->quiet ? LOG_WARNING : LOG_INFO);
    if (options->log_file == NULL || log_open_file(options->log_file)) {
        return true;
    }
    return err_set(
        err, ERR_USER, "cannot open log file %s: %s", options->log_file, strerrordesc_np(errno));
}

static bool
dispatch(App *app, Err *err)
{
    if (!open_log(&app->options, err)) {
        return false;
    }
    if (app->options.version) {
        return verb_version(app, err);
    }
    if (app->options.help) {
        return verb_help(app, err);
    }
    /* What a run met is its own: the exit code stands in its row already. */
    bool works = app->options.verb == VERB_RUN || app->options.verb == VERB_VERIFY;
    return verb_at(app->options.verb)->run(app, err) || (!works && app_explain_refusal(err));
}

/* To end with work left is what quotas, windows and people want; the exit code says it. */
static bool
is_expected(const App *app, const Err *err)
{
    return app_is_silent(app) && err->cls == ERR_STOPPED && app->exit_code == 0 &&
           strcmp(err->message, ENGINE_LOST_COMMITS) != 0;
}

static void
report_error(App *app, const Err *err)
{
    STRBUF_AUTO text = STRBUF_INIT;
    text_put_error(&text, err);
    if (!is_expected(app, err)) {
        (void)fputs(strbuf_text(&text), stderr);
    }
    app_result(app, "error", json_error(err));
}

/* The last line of --json, and whether stdout took all that was written. */
static int
finish(App *app, bool ok, const Err *err)
{
    int exit_code = app->exit_code;
    if (!ok && exit_code == 0) {
        exit_code = err_exit_code(err);
    }
    app_result(app, "type", json_text("result"));
    app_result(
        app, "verb", json_text(app->options.has_verb ? verb_at(app->options.verb)->name : NULL));
    app_result(app, "ok", json_boolean(exit_code == 0));
    app_result(app, "exit_code", json_integer(exit_code));
    if (!ok) {
        report_error(app, err);
    }
    if (app->options.json) {
        json_print(app->result);
    } else {
        json_decref(app->result);
    }
    if ((fflush(stdout) != 0 || ferror(stdout) != 0) && exit_code == 0) {
        (void)fputs("pghaul: error: cannot write to standard output\n", stderr);
        exit_code = 1;
    }
    return exit_code;
}

int
main(int argc, char **argv)
{
    forbid_core_dumps();
    ignore_sigpipe();
    App app = {.arena = ARENA_INIT, .result = json_object()};
    Err err = ERR_INIT;
    bool ok = options_parse(argc, argv, &app.options, &err);
    app.out = term_of(STDOUT_FILENO, app.options.no_color);
    app.err = term_of(STDERR_FILENO, app.options.no_color);
    app_result(&app, "type", json_text("result"));
    app_result(
        &app, "verb", json_text(app.options.has_verb ? verb_at(app.options.verb)->name : NULL));
    ok = ok && dispatch(&app, &err);
    int exit_code = finish(&app, ok, &err);
    arena_reset(&app.arena);
    return exit_code;
}
