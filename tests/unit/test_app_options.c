/*
 * test_app_options.c - the command line: tables, parser and help agree.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#include "app/options.h"
#include "base/strbuf.h"

#define ARGS_MAX 10

/* Parse words up to NULL. */
static bool
parse(const char *const *words, Options *options, Err *err)
{
    static char storage[ARGS_MAX][80];
    static char *argv[ARGS_MAX + 1];
    int argc = 0;
    for (; words[argc] != NULL; argc++) {
        (void)snprintf(storage[argc], sizeof(storage[argc]), "%s", words[argc]);
        argv[argc] = storage[argc];
    }
    argv[argc] = NULL;
    *err = ERR_INIT;
    return options_parse(argc, argv, options, err);
}

static size_t
longest_line(const char *text)
{
    size_t longest = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        longest = len > longest ? len : longest;
        text += len + (text[len] == '\n' ? 1 : 0);
    }
    return longest;
}

Test(app_options, every_option_and_verb_stands_in_the_overview)
{
    STRBUF_AUTO help = STRBUF_INIT;
    options_help(&help, 100);
    for (size_t i = 0; i < option_count(); i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "--%s", option_at(i)->name);
        cr_expect(ne(ptr, strstr(strbuf_text(&help), name), NULL), "%s", name);
        cr_expect(ne(ptr, strstr(strbuf_text(&help), option_at(i)->text), NULL), "%s", name);
    }
    for (int i = 0; i < VERB_COUNT; i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "\n  %s", verb_at((VerbId)i)->name);
        cr_expect(ne(ptr, strstr(strbuf_text(&help), name), NULL), "%s", name);
    }
}

Test(app_options, page_of_a_verb_lists_exactly_the_options_it_takes)
{
    for (int verb = 0; verb < VERB_COUNT; verb++) {
        STRBUF_AUTO help = STRBUF_INIT;
        options_help_verb(&help, (VerbId)verb, 100);
        for (size_t i = 0; i < option_count(); i++) {
            char name[64];
            (void)snprintf(name, sizeof(name), "--%s ", option_at(i)->name);
            bool listed = strstr(strbuf_text(&help), name) != NULL;
            bool taken = (option_at(i)->verbs & 1U << (unsigned)verb) != 0;
            cr_expect(eq(int, taken, listed), "%s %s", verb_at((VerbId)verb)->name, name);
        }
    }
}

Test(app_options, help_keeps_to_the_width_of_a_narrow_terminal)
{
    static const int WIDTHS[] = {40, 60, 80, 100};
    for (size_t i = 0; i < sizeof(WIDTHS) / sizeof(WIDTHS[0]); i++) {
        STRBUF_AUTO help = STRBUF_INIT;
        options_help(&help, WIDTHS[i]);
        cr_expect(le(sz, longest_line(strbuf_text(&help)), (size_t)WIDTHS[i]), "%d", WIDTHS[i]);
    }
}

/* What a shell makes of the words before a redirection. */
static int
split(char *line, char **words, int max)
{
    int count = 0;
    for (char *save = NULL, *word = strtok_r(line, " ", &save);
         word != NULL && word[0] != '>' && count < max; word = strtok_r(NULL, " ", &save)) {
        words[count++] = word;
    }
    return count;
}

Test(app_options, examples_of_a_verb_are_right_and_fit_a_narrow_terminal)
{
    for (int i = 0; i < VERB_COUNT; i++) {
        char *lines = strdup(verb_at((VerbId)i)->examples);
        for (char *save = NULL, *line = strtok_r(lines, "\n", &save); line != NULL;
             line = strtok_r(NULL, "\n", &save)) {
            char *words[12] = {NULL};
            Options options;
            Err err = ERR_INIT;
            cr_expect(le(sz, strlen(line), 58), "%s", line);
            int count = split(line, words, 11);
            cr_expect(options_parse(count, words, &options, &err), "%s", err.message);
            cr_expect(eq(int, i, (int)options.verb));
        }
        free(lines);
    }
}

Test(app_options, letters_and_names_are_unique)
{
    for (size_t i = 0; i < option_count(); i++) {
        for (size_t k = i + 1; k < option_count(); k++) {
            cr_expect(ne(int, 0, strcmp(option_at(i)->name, option_at(k)->name)));
            cr_expect(option_at(i)->letter == 0 || option_at(i)->letter != option_at(k)->letter);
        }
    }
}

Test(app_options, options_may_stand_before_and_after_the_verb)
{
    Options options;
    Err err;
    const char *words[] = {
        "pghaul", "-d", "shop", "run", "--json", "job.yaml", "--workers", "4", "-h", "db1", NULL};
    cr_assert(parse(words, &options, &err), "%s", err.message);
    cr_expect(eq(int, VERB_RUN, options.verb));
    cr_assert(eq(int, 1, options.arg_count));
    cr_expect(eq(str, "job.yaml", options.args[0]));
    cr_expect(eq(int, 0, strcmp(options.target.dbname, "shop")));
    cr_expect(eq(int, 0, strcmp(options.target.host, "db1")));
    cr_expect(eq(int, 4, options.workers));
    cr_expect(options.json);
    cr_expect(not(options.help));
}

Test(app_options, runtime_is_read_with_its_unit)
{
    Options options;
    Err err;
    const char *words[] = {"pghaul", "run", "j", "--max-runtime=90s", NULL};
    cr_assert(parse(words, &options, &err), "%s", err.message);
    cr_expect(eq(i64, 90000000, options.max_runtime_us));
}

Test(app_options, mistakes_are_usage_errors_that_name_the_remedy)
{
    static const struct {
        const char *words[5];
        const char *message;
        const char *hint;
    } CASES[] = {
        {{"pghaul", NULL}, "no verb given", "pghaul help"},
        {{"pghaul", "rnu", "x", NULL}, "there is no verb \"rnu\"", "Did you mean \"run\"?"},
        {{"pghaul", "estimate", "x", NULL}, "there is no verb \"estimate\"", ""},
        {{"pghaul", "run", "--worker-count", "x", NULL}, "there is no option --worker-count", ""},
        {{"pghaul", "run", "x", "--wrokers", NULL}, "there is no option --wrokers", "--workers?"},
        {{"pghaul", "run", "x", "-Z", NULL}, "there is no option -Z", ""},
        {{"pghaul", "run", "x", "--yes=1", NULL}, "option --yes takes no value", ""},
        {{"pghaul", "run", "x", "--workers", NULL}, "option --workers needs a value: N", ""},
        {{"pghaul", "run", "x", "--workers=0", NULL}, "--workers takes 1..64", ""},
        {{"pghaul", "run", "x", "--workers=65", NULL}, "--workers takes 1..64", ""},
        {{"pghaul", "run", "x", "--max-runtime=2", NULL}, "--max-runtime", ""},
        {{"pghaul", "run", "x", "--max-runtime=0s", NULL}, "must be more than 0", ""},
        {{"pghaul", "check", "x", "--yes", NULL}, "pghaul check has no option --yes",
            "pghaul help check"},
        {{"pghaul", "check", NULL}, "an argument is missing", "Usage: pghaul check JOB"},
        {{"pghaul", "check", "a", "b", NULL}, "too many arguments", "Usage: pghaul check JOB"},
        {{"pghaul", "--password=secret", NULL}, "there is no option --password", "PGPASSFILE"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        Options options;
        Err err;
        cr_assert(not(parse(CASES[i].words, &options, &err)), "case %zu", i);
        cr_expect(eq(int, ERR_USER, err.cls));
        cr_expect(ne(ptr, strstr(err.message, CASES[i].message), NULL), "%s", err.message);
        cr_expect(ne(ptr, strstr(err.hint, CASES[i].hint), NULL), "%s", err.hint);
        cr_expect(eq(ptr, strstr(err.message, "secret"), NULL));
    }
}

Test(app_options, a_password_in_the_connection_string_is_refused_and_not_repeated)
{
    static const struct {
        const char *dbname;
        const char *message;
    } CASES[] = {
        {"postgresql://u:geheim@h/d", "-d contains a password"},
        {"postgres://u@h/d?password=geheim", "-d contains a password"},
        {"postgres://u@h/d?p%61ssword=geheim", "-d contains a password"},
        {"postgres://u@h/d?sslpassword=geheim", "-d contains a password"},
        {"postgres://u:ge%40heim@h1,h2:5433/d", "-d contains a password"},
        {"host=x password=geheim", "-d contains a password"},
        {"host=x password = 'very geheim'", "-d contains a password"},
        {"host=x sslpassword=geheim", "-d contains a password"},
        /* libpq: missing "=" after "geheim" in connection info string */
        {"host=x password=very geheim", "neither a name nor a valid URI"},
        {"postgres://u@h/d?pasword=geheim", "neither a name nor a valid URI"},
        {"postgres://u:geheim%zz@h/d", "neither a name nor a valid URI"},
        /* libpq takes the end of the password for host, port or database */
        {"postgresql://u:ss@geheim@h/d", "@ that is not written as %40"},
        {"postgresql://u:1/geheim@h/d", "@ that is not written as %40"},
        {"postgresql://u:1?geheim@h/d", "@ that is not written as %40"},
        /* names of databases to libpq */
        {"u:geheim@h/d", "does not begin with postgresql://"},
        {"Postgresql://u:geheim@h/d", "does not begin with postgresql://"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        Options options;
        Err err;
        const char *words[] = {"pghaul", "status", "-d", CASES[i].dbname, NULL};
        cr_assert(not(parse(words, &options, &err)), "%s", CASES[i].dbname);
        cr_expect(eq(int, ERR_USER, err.cls), "%s", CASES[i].dbname);
        cr_expect(ne(ptr, strstr(err.message, CASES[i].message), NULL), "%s", err.message);
        cr_expect(ne(ptr, strstr(err.hint, "PGPASSFILE, a service file or PGPASSWORD"), NULL));
        cr_expect(eq(ptr, strstr(err.message, "geheim"), NULL), "%s", err.message);
        cr_expect(eq(ptr, strstr(err.hint, "geheim"), NULL), "%s", err.hint);
    }
}

Test(app_options, a_connection_string_without_secrets_is_taken_as_it_is)
{
    static const char *const NAMES[] = {"shop", "my@shop", "a:b", "postgresql:///shop",
        "postgres://me%40corp@h1:1,h2:2/shop?sslmode=verify-full&passfile=/x",
        "host=/tmp/@x dbname=a@b user=me@corp", "password=", "postgresql:///d?host=%40abstract",
        "postgresql://u:@h/d"};
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        Options options;
        Err err;
        const char *words[] = {"pghaul", "status", "-d", NAMES[i], NULL};
        cr_expect(parse(words, &options, &err), "%s: %s", NAMES[i], err.message);
        cr_expect(eq(int, 0, strcmp(options.target.dbname, NAMES[i])));
    }
}

Test(app_options, a_connection_string_in_place_of_a_verb_or_job_is_not_repeated)
{
    static const char *const WORDS[][4] = {{"pghaul", "postgresql://u:geheim@h/d", NULL},
        {"pghaul", "status", "postgresql://u:geheim@h/d", NULL},
        {"pghaul", "status", "host=h password=geheim", NULL}};
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++) {
        Options options;
        Err err;
        cr_assert(not(parse(WORDS[i], &options, &err)));
        cr_expect(eq(int, ERR_USER, err.cls));
        cr_expect(ne(ptr, strstr(err.hint, "Write -d in front"), NULL), "%s", err.hint);
        cr_expect(eq(ptr, strstr(err.message, "geheim"), NULL), "%s", err.message);
    }
}

Test(app_options, help_needs_neither_arguments_nor_fitting_options)
{
    Options options;
    Err err;
    const char *verb[] = {"pghaul", "run", "--help", NULL};
    cr_assert(parse(verb, &options, &err));
    cr_expect(options.help && options.has_verb && options.verb == VERB_RUN);
    const char *alone[] = {"pghaul", "--help", NULL};
    cr_assert(parse(alone, &options, &err));
    cr_expect(options.help && !options.has_verb);
}

Test(app_options, json_is_known_even_when_the_rest_is_wrong)
{
    Options options;
    Err err;
    const char *words[] = {"pghaul", "--json", "rnu", NULL};
    cr_assert(not(parse(words, &options, &err)));
    cr_expect(options.json);
}
