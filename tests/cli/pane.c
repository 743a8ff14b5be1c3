#include "cli/pane.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "harness/harness.h"
#include "harness/proc.h"

#define TMUX        "/usr/bin/tmux"
#define ARGS_MAX    24
#define POLL_NAP_US 20000

struct Pane {
    Proc *server;
    char *folder; /* of the socket */
    const char *cwd;
    char socket[128];
};

/* One command of tmux, which starts no other server (-N); false when it fails.  *out is what it
 * printed. */
static bool
try_command(const Pane *pane, const char *const *args, char **out)
{
    const char *argv[ARGS_MAX + 5] = {TMUX, "-N", "-S", pane->socket};
    for (int i = 0; args[i] != NULL && i < ARGS_MAX; i++) {
        argv[i + 4] = args[i];
    }
    Proc *proc = proc_start(&(ProcSpec){.argv = argv});
    bool ok = proc_finish(proc, HARNESS_TIMEOUT_US) == 0;
    *out = ok ? proc_stdout(proc) : proc_stderr(proc);
    proc_free(proc);
    return ok;
}

/* The same, which must not fail; returns owned. */
static char *
command(const Pane *pane, const char *const *args)
{
    char *out = NULL;
    if (!try_command(pane, args, &out)) {
        harness_fail("tmux %s: %s", args[0], out);
    }
    return out;
}
#define COMMAND(pane, ...) command(pane, (const char *const[]){__VA_ARGS__, NULL})

/* The server reads its socket a moment after it was started. */
static void
wait_for_server(const Pane *pane, const char *columns)
{
    int64_t deadline_us = clock_mono_us() + HARNESS_TIMEOUT_US;
    const char *const args[] = {"new-session", "-d", "-x", columns, "-y", "24", "/bin/cat", NULL};
    char *out = NULL;
    while (!try_command(pane, args, &out)) {
        if (clock_mono_us() > deadline_us) {
            harness_fail("tmux does not start: %s", out);
        }
        free(out);
        harness_nap_us(POLL_NAP_US);
    }
    free(out);
}

Pane *
pane_open(int columns, const char *folder)
{
    char width[16];
    Pane *pane = mem_new(sizeof(*pane));
    pane->folder = harness_scratch_new();
    pane->cwd = folder;
    (void)snprintf(width, sizeof(width), "%d", columns);
    (void)snprintf(pane->socket, sizeof(pane->socket), "%s/tmux", pane->folder);
    const char *argv[] = {TMUX, "-S", pane->socket, "-f", "/dev/null", "-D", NULL};
    pane->server = proc_start(&(ProcSpec){.argv = argv});
    wait_for_server(pane, width);
    free(COMMAND(pane, "set", "-g", "status", "off"));
    free(COMMAND(pane, "set", "-g", "default-terminal", "screen"));
    return pane;
}

void
pane_close(Pane *pane)
{
    proc_free(pane->server); /* its programs get SIGHUP */
    harness_scratch_remove(pane->folder);
    free(pane);
}

/* Whatever the program wrote stands before this, which the shell writes after its end: a pane that
 * is only known to be dead may not have been read to its end yet. */
#define END    "\n-- exit code "
#define SCRIPT "\"$0\" \"$@\"; printf '\\n-- exit code %d' $?; exec cat"

/* What is shown, cut at that; *exit_code is -1 while the program runs. */
static char *
capture(const Pane *pane, int *exit_code)
{
    STRBUF_AUTO text = STRBUF_INIT;
    char *out = NULL;
    const char *const args[] = {"capture-pane", "-p", "-J", "-S", "-", NULL};
    if (!try_command(pane, args, &out)) {
        harness_fail("tmux %s: %s", args[0], out);
    }
    strbuf_puts(&text, out);
    free(out);
    char *end = strstr(text.text, END);
    *exit_code = end == NULL ? -1 : (int)strtol(end + strlen(END), NULL, 10);
    if (end != NULL) {
        end[1] = '\0';
    }
    return mem_strdup(text.text);
}

static bool
has_ended(const Pane *pane, int *exit_code)
{
    free(capture(pane, exit_code));
    return *exit_code >= 0;
}

int
pane_run(Pane *pane, const char *const *argv)
{
    const char *args[ARGS_MAX] = {
        "respawn-pane", "-k", "-c", pane->cwd, "--", "/bin/sh", "-c", SCRIPT};
    for (int i = 0; argv[i] != NULL && i < ARGS_MAX - 9; i++) {
        args[i + 8] = argv[i];
    }
    free(COMMAND(pane, "clear-history"));
    free(command(pane, args));
    int64_t deadline_us = clock_mono_us() + HARNESS_TIMEOUT_US;
    int exit_code = -1;
    while (!has_ended(pane, &exit_code)) {
        if (clock_mono_us() > deadline_us) {
            char *text = pane_text(pane);
            harness_fail("%s does not end; the terminal shows:\n%s", argv[1], text);
        }
        harness_nap_us(POLL_NAP_US);
    }
    return exit_code;
}

char *
pane_text(Pane *pane)
{
    int exit_code = 0;
    return capture(pane, &exit_code);
}
