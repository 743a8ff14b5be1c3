/*
 * jobfile_template.c - the commented job file of `pghaul new KIND`.
 *
 * Settings are commented out as in postgresql.conf: a # right before the key (and, for members of
 * a section, two blanks after it), while explanations have a # and one blank.  So taking the # away
 * turns a setting on.
 */
#include <ctype.h>
#include <string.h>

#include "core/jobfile.h"
#include "core/jobkeys.h"

#define WIDTH 90

/* "fill-", "copy-" or "purge-" and what of the table's name a job name may hold. */
static void
put_job_name(StrBuf *out, JobKind kind, const char *table)
{
    size_t start = out->len;
    strbuf_printf(out, "%s-", kind == KIND_BACKFILL ? "fill" : jobspec_kind_name(kind));
    for (const char *c = table; *c != '\0' && out->len - start < 40; c++) {
        if ((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_') {
            strbuf_putc(out, *c);
        } else if (*c >= 'A' && *c <= 'Z') {
            strbuf_putc(out, (char)(*c - 'A' + 'a'));
        } else if (*c == '.') {
            strbuf_putc(out, '-');
        }
    }
}

/* A plain scalar when YAML reads the text as it stands, else one in double quotes. */
static void
put_scalar(StrBuf *out, const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.$";
    if (text[0] != '\0' && strspn(text, plain) == strlen(text)) {
        strbuf_puts(out, text);
        return;
    }
    strbuf_putc(out, '"');
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20) {
            strbuf_printf(out, "\\x%02x", (unsigned int)(unsigned char)*c);
        } else {
            strbuf_printf(out, "%s%c", *c == '"' || *c == '\\' ? "\\" : "", *c);
        }
    }
    strbuf_putc(out, '"');
}

/* Append lines of "<prefix> words"; the prefix includes the #. */
static void
put_comment(StrBuf *out, const char *prefix, const char *text)
{
    size_t room = WIDTH - strlen(prefix) - 1;
    while (strlen(text) > room) {
        size_t cut = room;
        while (cut > 0 && text[cut] != ' ') {
            cut--;
        }
        if (cut == 0) {
            break;
        }
        strbuf_printf(out, "%s %.*s\n", prefix, (int)cut, text);
        text += cut + 1;
    }
    strbuf_printf(out, "%s %s\n", prefix, text);
}

static void
put_explanation(StrBuf *out, const JobKey *key, const char *prefix)
{
    STRBUF_AUTO line = STRBUF_INIT;
    STRBUF_AUTO values = STRBUF_INIT;
    strbuf_printf(&line, "%c%s", toupper((unsigned char)key->text[0]), key->text + 1);
    jobkeys_values(key, &values);
    if (values.len > 0) {
        strbuf_printf(&line, ". Values: %s", strbuf_text(&values));
    }
    if (key->fallback == NULL && key->absent != NULL) {
        strbuf_printf(&line, "; default: %s", key->absent);
    }
    put_comment(out, prefix, strbuf_text(&line));
}

static void
put_risks(StrBuf *out, const JobKey *allow)
{
    for (const KeyWord *risk = allow->words; risk->word != NULL; risk++) {
        STRBUF_AUTO line = STRBUF_INIT;
        strbuf_printf(&line, "- %s: %s", risk->word, risk->text);
        put_comment(out, "#", strbuf_text(&line));
    }
}

static void
put_optional_key(StrBuf *out, const JobKey *key)
{
    bool is_member = !jobkeys_is_member(key, "");
    if (!is_member) {
        strbuf_putc(out, '\n');
    }
    put_explanation(out, key, is_member ? "#  #" : "#");
    if (key->type == KEY_RISKS) {
        put_risks(out, key);
    }
    if (key->type == KEY_SECTION || key->type == KEY_ARCHIVE) {
        strbuf_printf(out, "#%s:\n", key->path);
        return;
    }
    strbuf_printf(out, "#%s%s: %s\n", is_member ? "  " : "", jobkeys_leaf(key),
        key->fallback != NULL ? key->fallback : key->example);
}

static void
put_required_keys(StrBuf *out, JobKind kind, const char *table)
{
    strbuf_puts(out, "job: ");
    put_job_name(out, kind, table);
    strbuf_printf(out, "\n%s: ", jobspec_kind_name(kind));
    put_scalar(out, table);
    if (kind == KIND_COPY) {
        strbuf_puts(out, "\ninto: new_table\n");
        return;
    }
    if (kind == KIND_PURGE) {
        strbuf_puts(out,
            "\n\n"
            "# Which rows go. In a run now() is the same moment for all of them.\n"
            "where: created_at < now() - interval '90 days'\n\n"
            "# They are gone then, unless archive: (below) or into: keeps them, in files or in "
            "another\n"
            "# table of this database. Not both.\n"
            "#into: old_rows\n");
        return;
    }
    strbuf_puts(out, "\n\n"
                     "# One line per column: the column and SQL over the same row. SQL with \" #\" "
                     "or \": \" in it\n"
                     "# goes after a | on indented lines of its own.\n"
                     "set:\n"
                     "  new_column: old_column::numeric\n");
}

/* Written by put_required_keys(), some of them commented. */
static bool
is_put_first(const JobKey *key, JobKind kind)
{
    bool has_value = key->absent == NULL || key->example != NULL || key->fallback != NULL;
    return !has_value || (kind == KIND_PURGE && strcmp(key->path, "where") == 0);
}

void
jobfile_template(StrBuf *out, JobKind kind, const char *table)
{
    static const char *const PURPOSES[JOB_KIND_COUNT] = {
        [KIND_BACKFILL] = "fill columns of a table",
        [KIND_COPY] = "copy a table",
        [KIND_PURGE] = "delete old rows of a table",
        [KIND_RESTORE] = "put archived rows back",
    };
    const char *name = table == NULL || table[0] == '\0' ? "my_table" : table;
    strbuf_printf(out,
        "# Job file of pghaul: %s while it is in use.\n"
        "# Settings that are commented out show their defaults, or an example where "
        "the default\n"
        "# is to have none.\n\n",
        PURPOSES[kind]);
    put_required_keys(out, kind, name);
    for (size_t i = 0; i < jobkeys_count(); i++) {
        const JobKey *key = jobkeys_at(i);
        if (!is_put_first(key, kind) && jobkeys_belongs(key, kind)) {
            put_optional_key(out, key);
        }
    }
}
