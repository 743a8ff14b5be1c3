/*
 * manual.c - pghaul(1).
 */
#include "app/manual.h"

#include "app/exits.h"
#include "app/options.h"
#include "core/jobkeys.h"

/* ---- roff ---- */

/* Append text that roff shall not read: a dot at the start of a line, backslashes; "-" stays a
 * hyphen that can be copied. */
static void
put_text(StrBuf *out, const char *text)
{
    bool at_start = true;
    for (; *text != '\0'; text++) {
        if (at_start && (*text == '.' || *text == '\'')) {
            strbuf_puts(out, "\\&");
        }
        if (*text == '\\') {
            strbuf_puts(out, "\\e");
        } else if (*text == '-') {
            strbuf_puts(out, "\\-");
        } else if (*text == '"') {
            strbuf_puts(out, "\\(dq");
        } else {
            strbuf_putc(out, *text);
        }
        at_start = *text == '\n';
    }
}

static void
put_section(StrBuf *out, const char *title)
{
    strbuf_printf(out, ".SH \"%s\"\n", title);
}

/* A line of text, ended. */
static void
put_line(StrBuf *out, const char *text)
{
    put_text(out, text);
    strbuf_putc(out, '\n');
}

/* The term in bold with its argument behind it; the paragraph follows. */
static void
put_term(StrBuf *out, const char *term, const char *argument)
{
    strbuf_puts(out, ".TP\n\\fB");
    put_text(out, term);
    strbuf_puts(out, "\\fR");
    if (argument != NULL && argument[0] != '\0') {
        strbuf_putc(out, ' ');
        put_text(out, argument);
    }
    strbuf_putc(out, '\n');
}

/* ---- sections ---- */

static void
put_head(StrBuf *out)
{
    strbuf_puts(out, ".TH PGHAUL 1 \"" PGHAUL_DATE "\" \"pghaul " PGHAUL_VERSION "\"\n");
    put_section(out, "NAME");
    put_line(
        out, "pghaul - fill columns of large PostgreSQL tables, copy or purge them, in batches");
    put_section(out, "SYNOPSIS");
    strbuf_puts(out, ".B pghaul\n.I VERB\n[\\fIJOB\\fR] [\\fIOPTION\\fR]...\n");
    put_section(out, "DESCRIPTION");
    put_line(out,
        "pghaul fills new columns of large PostgreSQL tables, copies tables into others, and "
        "deletes old rows, archived if you like, while the application keeps running. "
        "It works in small batches, backs off by itself when the server or a standby suffers, and "
        "can be killed at any instant without a row lost or changed twice.");
    strbuf_puts(out, ".PP\n");
    put_line(out, "JOB is a job file (a readable file, or a name with / or ending in .yaml, .yml "
                  "or .json) or the name of a job that was run before.");
}

/* The options that not every verb takes. */
static void
put_own_options(StrBuf *out, int verb)
{
    bool first = true;
    for (size_t i = 0; i < option_count(); i++) {
        const OptionDef *def = option_at(i);
        if ((def->verbs & 1U << (unsigned)verb) != 0 && !option_is_general(def)) {
            strbuf_puts(out, first ? ".PP\nOptions of its own: " : ", ");
            strbuf_puts(out, "\\fB\\-\\-");
            put_text(out, def->name);
            strbuf_puts(out, "\\fR");
            first = false;
        }
    }
    strbuf_puts(out, first ? "" : ".\n");
}

static void
put_verbs(StrBuf *out)
{
    put_section(out, "VERBS");
    for (int i = 0; i < VERB_COUNT; i++) {
        const Verb *verb = verb_at((VerbId)i);
        strbuf_puts(out, ".SS \"");
        put_text(out, verb->name);
        strbuf_puts(out, verb->arguments[0] == '\0' ? "" : " ");
        put_text(out, verb->arguments);
        strbuf_puts(out, "\"\n");
        put_text(out, verb->summary);
        strbuf_puts(out, ".\n");
        if (verb->text[0] != '\0') {
            strbuf_puts(out, ".PP\n");
            put_text(out, verb->text);
        }
        put_own_options(out, i);
        if (verb->examples[0] != '\0') {
            strbuf_puts(out, ".PP\n.nf\n");
            put_text(out, verb->examples);
            strbuf_puts(out, ".fi\n");
        }
        strbuf_puts(out, ".PP\nExit status: ");
        put_text(out, verb->exits);
        strbuf_puts(out, ".\n");
    }
}

static void
put_options(StrBuf *out)
{
    put_section(out, "OPTIONS");
    for (size_t i = 0; i < option_count(); i++) {
        const OptionDef *def = option_at(i);
        STRBUF_AUTO names = STRBUF_INIT;
        if (def->letter != 0) {
            strbuf_printf(&names, "-%c, ", def->letter);
        }
        strbuf_printf(&names, "--%s", def->name);
        put_term(out, strbuf_text(&names), def->argument);
        put_text(out, def->text);
        strbuf_puts(out, ".\n");
    }
}

static void
put_job_keys(StrBuf *out)
{
    put_section(out, "JOB FILE");
    put_line(out, "A job file is YAML. \"pghaul new KIND\" prints one with comments.");
    for (size_t i = 0; i < jobkeys_count(); i++) {
        const JobKey *key = jobkeys_at(i);
        const char *fallback = key->fallback != NULL ? key->fallback : key->absent;
        STRBUF_AUTO values = STRBUF_INIT;
        jobkeys_values(key, &values);
        put_term(out, key->path, strbuf_text(&values));
        STRBUF_AUTO kinds = STRBUF_INIT;
        jobkeys_put_kinds(key, ", ", ": ", &kinds);
        put_text(out, strbuf_text(&kinds));
        put_text(out, key->text);
        strbuf_puts(out, ".\n");
        if (fallback != NULL) {
            strbuf_puts(out, "Default: ");
            put_text(out, fallback);
            strbuf_puts(out, ".\n");
        }
    }
}

static void
put_exit_codes(StrBuf *out)
{
    put_section(out, "EXIT STATUS");
    for (size_t i = 0; i < exit_code_count(); i++) {
        STRBUF_AUTO code = STRBUF_INIT;
        strbuf_printf(&code, "%d", exit_code_at(i)->code);
        put_term(out, strbuf_text(&code), NULL);
        put_text(out, exit_code_at(i)->text);
        strbuf_puts(out, ".\n");
    }
}

static void
put_environment(StrBuf *out)
{
    static const struct {
        const char *name;
        const char *text;
    } VARIABLES[] = {
        {"PGHOST, PGPORT, PGUSER, PGDATABASE, PGSERVICE, PGPASSFILE, ...",
            "The connection, as for psql. Passwords come from PGPASSFILE, a service file or "
            "PGPASSWORD."},
        {"NO_COLOR", "When it is not empty: no colours."},
        {"TERM", "When it is empty or dumb: no progress is drawn, and no colours."},
        {"LC_ALL, LC_CTYPE, LANG", "When the characters are not UTF-8, progress is drawn in "
                                   "ASCII."},
    };
    put_section(out, "ENVIRONMENT");
    for (size_t i = 0; i < sizeof(VARIABLES) / sizeof(VARIABLES[0]); i++) {
        put_term(out, VARIABLES[i].name, NULL);
        put_line(out, VARIABLES[i].text);
    }
}

void
manual_put_page(StrBuf *out)
{
    put_head(out);
    put_verbs(out);
    put_options(out);
    put_job_keys(out);
    put_exit_codes(out);
    put_environment(out);
    put_section(out, "SEE ALSO");
    strbuf_puts(out, ".BR psql (1)\n");
}
