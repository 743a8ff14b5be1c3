/*
 * jobkeys_help.c - the reference of the keys as `pghaul help job` prints it.
 */
#include <string.h>

#include "core/jobkeys.h"

#define WIDTH          100
#define VALUES_COLUMN  23
#define DEFAULT_COLUMN 48
#define TEXT_COLUMN    64
#define INDENT         4

/* Blanks up to `column`, at least one; `start` is where the line begins in `out`. */
static void
pad_to(StrBuf *out, size_t start, size_t column)
{
    do {
        strbuf_putc(out, ' ');
    } while (out->len - start < column);
}

/* Append `text`, broken at blanks to lines from `column` to `width`. */
static void
put_wrapped(StrBuf *out, size_t column, size_t width, const char *text)
{
    size_t room = width > column ? width - column : 1;
    while (strlen(text) > room) {
        size_t cut = room;
        while (cut > 0 && text[cut] != ' ') {
            cut--;
        }
        if (cut == 0) {
            break; /* one word wider than the column */
        }
        strbuf_put(out, text, cut);
        strbuf_putc(out, '\n');
        if (column > 0) {
            pad_to(out, out->len, column);
        }
        text += cut + 1;
    }
    strbuf_puts(out, text);
    strbuf_putc(out, '\n');
}

typedef struct Row {
    const char *name;
    const char *values;
    const char *fallback;
    const char *text;
} Row;

static void
put_columns(StrBuf *out, const Row *row)
{
    size_t start = out->len;
    strbuf_puts(out, row->name);
    pad_to(out, start, VALUES_COLUMN);
    strbuf_puts(out, row->values);
    pad_to(out, start, DEFAULT_COLUMN);
    strbuf_puts(out, row->fallback);
    pad_to(out, start, TEXT_COLUMN);
    put_wrapped(out, TEXT_COLUMN, WIDTH, row->text);
}

static void
put_indented(StrBuf *out, const char *text, size_t width)
{
    if (text[0] != '\0') {
        pad_to(out, out->len, INDENT);
        put_wrapped(out, INDENT, width, text);
    }
}

/* Below each other, where there is no room for columns. */
static void
put_stack(StrBuf *out, const Row *row, size_t width)
{
    STRBUF_AUTO fallback = STRBUF_INIT;
    if (row->fallback[0] != '\0') {
        strbuf_printf(&fallback, "default: %s", row->fallback);
    }
    strbuf_printf(out, "%s\n", row->name);
    put_indented(out, row->values, width);
    put_indented(out, strbuf_text(&fallback), width);
    put_indented(out, row->text, width);
}

static void
put_row(StrBuf *out, const Row *row, size_t width)
{
    if (width < WIDTH) {
        put_stack(out, row, width);
    } else {
        put_columns(out, row);
    }
}

static void
put_risks(StrBuf *out, size_t width)
{
    const JobKey *allow = jobkeys_find("allow");
    if (allow == NULL) {
        return;
    }
    strbuf_puts(out, "\nrisks for allow:\n");
    for (const KeyWord *risk = allow->words; risk->word != NULL; risk++) {
        size_t start = out->len;
        strbuf_printf(out, "  %s", risk->word);
        if (width < WIDTH) {
            strbuf_putc(out, '\n');
            put_indented(out, risk->text, width);
        } else {
            pad_to(out, start, VALUES_COLUMN);
            put_wrapped(out, VALUES_COLUMN, width, risk->text);
        }
    }
}

void
jobkeys_help(StrBuf *out, int columns)
{
    size_t width = columns < WIDTH ? (size_t)columns : WIDTH;
    if (width == WIDTH) {
        put_row(out, &(Row){"key", "values", "default", "meaning"}, width);
    }
    for (size_t i = 0; i < jobkeys_count(); i++) {
        const JobKey *key = jobkeys_at(i);
        const char *fallback = key->fallback != NULL ? key->fallback : key->absent;
        STRBUF_AUTO values = STRBUF_INIT;
        STRBUF_AUTO text = STRBUF_INIT;
        jobkeys_values(key, &values);
        jobkeys_put_kinds(key, ", ", ": ", &text);
        strbuf_puts(&text, key->text);
        Row row = {
            key->path, strbuf_text(&values), fallback == NULL ? "" : fallback, strbuf_text(&text)};
        put_row(out, &row, width);
    }
    put_risks(out, width);
    strbuf_putc(out, '\n');
    put_wrapped(out, 0, width,
        "Durations: 200ms 2s 5m 1h 1d.  Sizes: 512B 10kB 256MB 1GB 2TB.  "
        "Counts: 500 1_000_000 10k 5M.");
}
