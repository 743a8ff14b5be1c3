/*
 * test_terminal_verbs.c - every verb once in a real terminal.
 *
 * Who adds a verb adds a row to STEPS; a verb without one fails the test.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <limits.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "app/options.h"
#include "cli/cli.h"
#include "cli/pane.h"
#include "harness/harness.h"

#define COLUMNS   80
#define ARGS_MAX  4
#define WORDS_MAX 3

/* They are taken in this order, on one job in job.yaml that is called orders-amount; -d is added
 * for verbs that connect. */
typedef struct Step {
    VerbId verb;
    int exit_code;
    const char *args[ARGS_MAX];
    const char *words[WORDS_MAX]; /* what the terminal must show */
    bool is_wide; /* prints text that is not for a terminal: SQL, a job file, roff */
} Step;

static const Step STEPS[] = {
    {VERB_VERSION, 0, {NULL}, {"pghaul " PGHAUL_VERSION}, false},
    {VERB_HELP, 0, {NULL}, {"Usage: pghaul VERB", "Exit codes:", "PGPASSFILE"}, false},
    {VERB_HELP, 0, {"job"}, {"throttle.lag", "risks for allow"}, false},
    {VERB_HELP, 0, {"man"}, {".TH PGHAUL 1"}, true},
    {VERB_HELP, 0, {"completion"}, {"complete -F _pghaul pghaul"}, true},
    {VERB_NEW, 0, {"backfill", "orders"}, {"backfill: orders"}, true},
    {VERB_CHECK, 0, {"job.yaml"}, {"note"}, false},
    {VERB_PLAN, 0, {"job.yaml"}, {"Locks", "CREATE FUNCTION"}, true},
    {VERB_RUN, 0, {"job.yaml", "--yes"}, {"rows changed", "none differs"}, true},
    {VERB_STATUS, 0, {NULL}, {"orders-amount", "done"}, false},
    {VERB_STATUS, 0, {"orders-amount"}, {"100.0 %"}, false},
    {VERB_BLOCKERS, 0, {NULL}, {" for a lock"}, false},
    {VERB_BLOCKERS, 0, {"orders-amount"}, {"nobody waits"}, false},
    {VERB_PAUSE, 4, {"orders-amount"}, {"is complete and cannot be paused"}, true},
    {VERB_RESUME, 0, {"--all"}, {"no job is paused"}, false},
    {VERB_STOP, 0, {"orders-amount"}, {"no run of it is alive"}, false},
    {VERB_SET, 0, {"orders-amount"}, {"throttle.lag", "default"}, false},
    {VERB_QUARANTINE, 0, {"orders-amount"}, {"no row"}, false},
    {VERB_VERIFY, 0, {"orders-amount"}, {"none differs"}, false},
    {VERB_CUTOVER, 4, {"orders-amount"}, {"is a backfill", "VALIDATE CONSTRAINT"}, true},
    {VERB_ROLLBACK, 4, {"orders-amount"}, {"never cut over"}, false},
    {VERB_ARCHIVE, 0, {"list", "."}, {"0 files"}, false},
    {VERB_CLEAN, 0, {"orders-amount"}, {"trigger zzzz_pghaul_1"}, false},
    {VERB_CLEAN, 0, {"--all"}, {"schema pghaul is removed"}, false},
};
#define STEP_COUNT (sizeof(STEPS) / sizeof(STEPS[0]))

static bool
connects(VerbId verb)
{
    for (size_t i = 0; i < option_count(); i++) {
        if (strcmp(option_at(i)->name, "dbname") == 0) {
            return (option_at(i)->verbs & 1U << (unsigned)verb) != 0;
        }
    }
    return false;
}

/* Columns are counted in characters; ours are all of width one. */
static int
longest_line(const char *text)
{
    int longest = 0;
    int columns = 0;
    for (; *text != '\0'; text++) {
        columns = *text == '\n' ? 0 : columns + (((unsigned char)*text & 0xc0) != 0x80 ? 1 : 0);
        longest = columns > longest ? columns : longest;
    }
    return longest;
}

/* Nothing of the drawn lines is left, and no sequence was too strange for the terminal. */
static void
expect_clean_screen(const char *text)
{
    regex_t drawn;
    cr_assert(eq(int, 0,
        regcomp(&drawn, "^(starting|move|verify)  [0-9.]+ %|workers  batch",
            REG_EXTENDED | REG_NEWLINE | REG_NOSUB)));
    cr_expect(eq(int, REG_NOMATCH, regexec(&drawn, text, 0, NULL, 0)), "%s", text);
    regfree(&drawn);
    cr_expect(not(cli_has(text, "\033")), "%s", text);
    cr_expect(not(cli_has(text, "[2K")), "%s", text);
}

static char *
take(Pane *pane, const CliBase *base, const Step *step)
{
    char bin[PATH_MAX];
    cr_assert(realpath(harness_env("PGHAUL_BIN", "build/release/pghaul"), bin) != NULL);
    const char *argv[ARGS_MAX + 5] = {bin, verb_at(step->verb)->name};
    int count = 2;
    for (int i = 0; i < ARGS_MAX && step->args[i] != NULL; i++) {
        argv[count++] = step->args[i];
    }
    if (connects(step->verb)) {
        argv[count++] = "-d";
        argv[count++] = base->uri;
    }
    int exit_code = pane_run(pane, argv);
    char *text = pane_text(pane);
    cr_expect(eq(int, step->exit_code, exit_code), "%s:\n%s", argv[1], text);
    return text;
}

static void
expect_step(Pane *pane, const CliBase *base, const Step *step)
{
    const char *verb = verb_at(step->verb)->name;
    char *text = take(pane, base, step);
    for (int i = 0; i < WORDS_MAX && step->words[i] != NULL; i++) {
        cr_expect(
            cli_has(text, step->words[i]), "%s shows no \"%s\":\n%s", verb, step->words[i], text);
    }
    if (!step->is_wide) {
        cr_expect(le(int, longest_line(text), COLUMNS), "%s:\n%s", verb, text);
        expect_clean_screen(text);
    }
    free(text);
}

Test(terminal_verbs, every_verb_has_a_step)
{
    for (int verb = 0; verb < VERB_COUNT; verb++) {
        bool found = false;
        for (size_t i = 0; i < STEP_COUNT; i++) {
            found = found || (int)STEPS[i].verb == verb;
        }
        cr_expect(found, "add a row for \"%s\" to STEPS", verb_at((VerbId)verb)->name);
    }
}

Test(terminal_verbs, every_step_fits_into_a_terminal)
{
    CliBase base = cli_base_new(3000);
    Pane *pane = pane_open(COLUMNS, base.folder);
    for (size_t i = 0; i < STEP_COUNT; i++) {
        expect_step(pane, &base, &STEPS[i]);
    }
    pane_close(pane);
    cli_base_free(&base);
}

Test(terminal_verbs, drawn_lines_are_gone_from_a_narrow_terminal_too)
{
    static const int WIDTHS[] = {20, 40};
    static const Step RUN = {VERB_RUN, 0, {"job.yaml", "--yes"}, {NULL}, true};
    static const Step VERIFY = {VERB_VERIFY, 0, {"job.yaml"}, {NULL}, true};
    CliBase base = cli_base_new(3000);
    for (size_t i = 0; i < sizeof(WIDTHS) / sizeof(WIDTHS[0]); i++) {
        Pane *pane = pane_open(WIDTHS[i], base.folder);
        char *text = take(pane, &base, i == 0 ? &RUN : &VERIFY);
        cr_expect(cli_has(text, "none differs"), "%s", text);
        expect_clean_screen(text);
        free(text);
        pane_close(pane);
    }
    cli_base_free(&base);
}
