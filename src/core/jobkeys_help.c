/*
 * jobkeys_help.c - the reference of the keys as `pghaul help job` prints it.
 */
#include <string.h>

#include "core/jobkeys.h"

#define WIDTH          100
#define VALUES_COLUMN  23
#define DEFAULT_COLUMN 48
#define TEXT_COLUMN    64

/* Blanks up to `column`, at least one; `start` is where the line begins in `out`. */
static void
pad_to(StrBuf *out, size_t start, size_t column)
{
    do {
        strbuf_putc(out, ' ');
    } while (out->len - start < column);
}

/* Append `text`, broken at blanks to lines of the column that begins at `column`. */
static void
put_wrapped(StrBuf *out, size_t start, size_t column, const char *text)
{
    while (strlen(text) > WIDTH - column) {
        size_t cut = WIDTH - column;
        while (cut > 0 && text[cut] != ' ') {
            cut--;
        }
        if (cut == 0) {
            break; /* one word wider than the column */
        }
        strbuf_put(out, text, cut);
        strbuf_putc(out, '\n');
        start = out->len;
        pad_to(out, start, column);
        text += cut + 1;
    }
    strbuf_puts(out, text);
    strbuf_putc(out, '\n');
}

static void
put_row(StrBuf *out, const char *name, const char *values, const char *fallback, const char *text)
{
    size_t start = out->len;
    strbuf_puts(out, name);
    pad_to(out, start, VALUES_COLUMN);
    strbuf_puts(out, values);
    pad_to(out, start, DEFAULT_COLUMN);
    strbuf_puts(out, fallback);
    pad_to(out, start, TEXT_COLUMN);
    put_wrapped(out, start, TEXT_COLUMN, text);
}

static void
put_risks(StrBuf *out)
{
    const JobKey *allow = jobkeys_find("allow");
    if (allow == NULL) {
        return;
    }
    strbuf_puts(out, "\nrisks for allow:\n");
    for (const KeyWord *risk = allow->words; risk->word != NULL; risk++) {
        size_t start = out->len;
        strbuf_printf(out, "  %s", risk->word);
        pad_to(out, start, VALUES_COLUMN);
        put_wrapped(out, start, VALUES_COLUMN, risk->text);
    }
}

void
jobkeys_help(StrBuf *out)
{
    put_row(out, "key", "values", "default", "meaning");
    for (size_t i = 0; i < jobkeys_count(); i++) {
        const JobKey *key = jobkeys_at(i);
        const char *fallback = key->fallback != NULL ? key->fallback : key->absent;
        STRBUF_AUTO values = STRBUF_INIT;
        jobkeys_values(key, &values);
        put_row(out, key->path, strbuf_text(&values), fallback == NULL ? "" : fallback, key->text);
    }
    put_risks(out);
    strbuf_puts(out, "\nDurations: 200ms 2s 5m 1h 1d.  Sizes: 512B 10kB 256MB 1GB 2TB.  "
                     "Counts: 500 1_000_000 10k 5M.\n");
}
