/*
 * test_cli_completion.c - the completion script in a real bash.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "harness/harness.h"

#define WORDS_MAX 6

/* As bash does: the words, and the function that completes the last one. */
static const char COMPLETE[] = "source <(\"$1\" help completion) || exit 1\n"
                               "shift\n"
                               "COMP_WORDS=(pghaul \"$@\") COMP_CWORD=$#\n"
                               "_pghaul pghaul \"${*: -1}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"\n"
                               "printf '%s\\n' \"${COMPREPLY[@]}\" | sort | tr '\\n' ' '\n";

static const struct {
    const char *words[WORDS_MAX]; /* the last one is completed */
    const char *offered;
} CASES[] = {
    {{"ver"}, "verify version "},
    {{"--max"}, "--max-runtime "},
    {{"run", ""}, "jobs orders.yaml other.json "},
    {{"run", "or"}, "orders.yaml "},
    {{"run", "jobs/"}, "jobs/last.yml "},
    {{"run", "--max"}, "--max-runtime "},
    {{"run", "orders.yaml", "--wor"}, "--workers "},
    {{"check", "--wor"}, " "},
    {{"clean", "--a"}, "--all "},
    {{"-d", "shop", "--json", "sta"}, "status "},
    {{"-d", ""}, " "},
    {{"--dbname", "=", "shop", "clean", "--a"}, "--all "},
    {{"run", "--log-file", "n"}, "notes.txt "},
    {{"run", "--log-file", "=", "n"}, "notes.txt "},
    {{"new", ""}, "backfill copy purge "},
    {{"help", "com"}, "completion "},
    {{"help", "ru"}, "run "},
    {{"version", ""}, " "},
    {{"set", "fill", "throttle.lag"}, "throttle.lag throttle.lag_bytes "},
    {{"set", "fill", "pat"}, " "},
    {{"status", "--wa"}, "--watch "},
    {{"quarantine", "--r"}, "--retry "},
    {{"pause", "--r"}, "--reason "},
    {{"stop", "--al"}, "--all "},
    {{"blockers", "or"}, "orders.yaml "},
};

static char *
complete(const char *folder, const char *const *words)
{
    char bin[PATH_MAX]; /* bash goes to another folder */
    cr_assert(ne(ptr, realpath(harness_env("PGHAUL_BIN", "build/release/pghaul"), bin), NULL));
    const char *argv[WORDS_MAX + 6] = {"/bin/bash", "-c", COMPLETE, "bash", bin};
    for (int i = 0; i < WORDS_MAX && words[i] != NULL; i++) {
        argv[5 + i] = words[i];
    }
    Proc *proc = proc_start(&(ProcSpec){.argv = argv, .cwd = folder});
    cr_expect(eq(int, 0, proc_finish(proc, HARNESS_TIMEOUT_US)));
    char *out = proc_stdout(proc);
    char *err = proc_stderr(proc);
    cr_expect(eq(str, "", err));
    free(err);
    proc_free(proc);
    return out;
}

Test(cli_completion, offers_verbs_options_of_the_verb_and_job_files)
{
    char *folder = harness_scratch_new();
    const char *make[] = {"/bin/sh", "-c",
        "mkdir jobs && touch orders.yaml other.json notes.txt jobs/last.yml jobs/last.txt", NULL};
    proc_run(&(ProcSpec){.argv = make, .cwd = folder}, HARNESS_TIMEOUT_US);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        char *offered = complete(folder, CASES[i].words);
        cr_expect(eq(int, 0, strcmp(CASES[i].offered, offered)), "case %zu: %s", i, offered);
        free(offered);
    }
    harness_scratch_remove(folder);
}
