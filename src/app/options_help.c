/*
 * options_help.c - help texts, made from the tables of options.c.
 */
#include <stdio.h>
#include <string.h>

#include "app/exits.h"
#include "app/options.h"
#include "app/text.h"

#define LABEL_SIZE    64
#define LABEL_COLUMNS 26

/* "  -d, --dbname URI" */
static void
option_label(const OptionDef *def, char label[LABEL_SIZE])
{
    char letter[8] = "    ";
    if (def->letter != 0) {
        (void)snprintf(letter, sizeof(letter), "-%c, ", def->letter);
    }
    (void)snprintf(label, LABEL_SIZE, "  %s--%s%s%s", letter, def->name,
        def->argument == NULL ? "" : " ", def->argument == NULL ? "" : def->argument);
}

static void
verb_label(const Verb *verb, char label[LABEL_SIZE])
{
    (void)snprintf(label, LABEL_SIZE, "  %s%s%s", verb->name, verb->arguments[0] == '\0' ? "" : " ",
        verb->arguments);
}

/* Label and text side by side; below each other where there is no room for two columns. */
static void
put_row(StrBuf *out, const char *label, const char *text, int width)
{
    char first[LABEL_SIZE + 8];
    bool wide = width >= 60;
    bool fits = strlen(label) <= LABEL_COLUMNS;
    if (!wide || !fits) {
        text_put_wrapped(out, "  ", label + strspn(label, " "), width);
    }
    (void)snprintf(
        first, sizeof(first), "%-*s ", wide ? LABEL_COLUMNS : 7, wide && fits ? label : "");
    text_put_wrapped(out, first, text, width);
}

static void
put_options(StrBuf *out, unsigned verbs, int width)
{
    for (size_t i = 0; i < option_count(); i++) {
        const OptionDef *def = option_at(i);
        char label[LABEL_SIZE];
        if ((def->verbs & verbs) != 0) {
            option_label(def, label);
            put_row(out, label, def->text, width);
        }
    }
}

void
options_help(StrBuf *out, int width)
{
    text_put_wrapped(out, "",
        "pghaul fills new columns of large PostgreSQL tables, copies tables into others, and "
        "deletes old rows, archived if you like, while the application keeps running.",
        width);
    strbuf_puts(out, "\nUsage: pghaul VERB [JOB] [OPTION]...\n\nVerbs:\n");
    for (int i = 0; i < VERB_COUNT; i++) {
        char label[LABEL_SIZE];
        verb_label(verb_at((VerbId)i), label);
        put_row(out, label, verb_at((VerbId)i)->summary, width);
    }
    strbuf_putc(out, '\n');
    text_put_wrapped(out, "",
        "JOB is a job file (a readable file, or a name with / or ending in .yaml, .yml or .json) "
        "or the name of a job that was run before.",
        width);
    strbuf_puts(out, "\nOptions:\n");
    put_options(out, ~0U, width);
    strbuf_puts(out, "\nExit codes:\n");
    for (size_t i = 0; i < exit_code_count(); i++) {
        char first[16];
        (void)snprintf(first, sizeof(first), "  %-5d", exit_code_at(i)->code);
        text_put_wrapped(out, first, exit_code_at(i)->text, width);
    }
    strbuf_putc(out, '\n');
    text_put_wrapped(out, "",
        "Passwords come from PGPASSFILE, a service file or PGPASSWORD, as for psql.", width);
}

/* Each line by itself; an empty one stays. */
static void
put_paragraphs(StrBuf *out, const char *text, int width)
{
    STRBUF_AUTO line = STRBUF_INIT;
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        strbuf_clear(&line);
        strbuf_put(&line, text, len);
        text_put_wrapped(out, "", strbuf_text(&line), width);
        text += len + (text[len] == '\n');
    }
}

/* As they are, to be copied. */
static void
put_examples(StrBuf *out, const char *examples)
{
    strbuf_puts(out, examples[0] == '\0' ? "" : "\nExamples:\n");
    while (*examples != '\0') {
        size_t len = strcspn(examples, "\n") + 1;
        strbuf_puts(out, "  ");
        strbuf_put(out, examples, len);
        examples += len;
    }
}

void
options_help_verb(StrBuf *out, VerbId id, int width)
{
    const Verb *verb = verb_at(id);
    strbuf_printf(out, "Usage: pghaul %s%s%s [OPTION]...\n\n", verb->name,
        verb->arguments[0] == '\0' ? "" : " ", verb->arguments);
    char summary[160];
    (void)snprintf(summary, sizeof(summary), "%s: %s.", verb->name, verb->summary);
    text_put_wrapped(out, "", summary, width);
    if (verb->text[0] != '\0') {
        strbuf_putc(out, '\n');
        put_paragraphs(out, verb->text, width);
    }
    put_examples(out, verb->examples);
    strbuf_puts(out, "\nOptions:\n");
    put_options(out, 1U << (unsigned)id, width);
    strbuf_puts(out, "\nExit codes:\n");
    char exits[320];
    (void)snprintf(exits, sizeof(exits), "%s; 1 failed, 2 usage or job file", verb->exits);
    text_put_wrapped(out, "  ", exits, width);
}
