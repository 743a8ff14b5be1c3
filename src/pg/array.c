/*
 * array.c - the text form of a one-dimensional text[]: {a,"b c",NULL}.
 *
 * Source: PostgreSQL documentation, 8.15.6 "Array Input and Output Syntax".
 */
#include <string.h>

#include "base/strbuf.h"
#include "pg/query.h"

const char *
pg_array_format(const char *const *items, int count, Arena *arena)
{
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_putc(&text, '{');
    for (int i = 0; i < count; i++) {
        if (i > 0) {
            strbuf_putc(&text, ',');
        }
        if (items[i] == NULL) {
            strbuf_puts(&text, "NULL");
            continue;
        }
        strbuf_putc(&text, '"');
        for (const char *c = items[i]; *c != '\0'; c++) {
            if (*c == '"' || *c == '\\') {
                strbuf_putc(&text, '\\');
            }
            strbuf_putc(&text, *c);
        }
        strbuf_putc(&text, '"');
    }
    strbuf_putc(&text, '}');
    return arena_strdup(arena, strbuf_text(&text));
}

/* One item at *at; leaves *at behind it.  False at malformed text. */
static bool
parse_item(const char **at, Arena *arena, const char **item)
{
    STRBUF_AUTO text = STRBUF_INIT;
    const char *c = *at;
    bool quoted = *c == '"';
    if (quoted) {
        c++;
    }
    while (*c != '\0' && (quoted ? *c != '"' : *c != ',' && *c != '}')) {
        if (*c == '\\' && c[1] != '\0') {
            c++;
        }
        strbuf_putc(&text, *c++);
    }
    if (quoted && *c++ != '"') {
        return false;
    }
    *at = c;
    bool null = !quoted && strcmp(strbuf_text(&text), "NULL") == 0;
    *item = null ? NULL : arena_strdup(arena, strbuf_text(&text));
    return true;
}

static int
count_items_at_most(const char *text)
{
    int commas = 0;
    for (const char *c = text; *c != '\0'; c++) {
        commas += *c == ',';
    }
    return commas + 1;
}

bool
pg_array_parse(const char *text, Arena *arena, const char ***items, int *count, Err *err)
{
    *count = 0;
    *items = arena_alloc(arena, (size_t)count_items_at_most(text) * sizeof(**items));
    const char *at = text;
    if (*at++ != '{') {
        return err_set(err, ERR_FATAL, "not a text array: it does not begin with {");
    }
    while (*at != '}') {
        if (!parse_item(&at, arena, &(*items)[*count])) {
            return err_set(err, ERR_FATAL, "not a text array: a quoted item does not end");
        }
        (*count)++;
        if (*at == ',') {
            at++;
        } else if (*at != '}') {
            return err_set(err, ERR_FATAL, "not a text array: it does not end with }");
        }
    }
    return at[1] == '\0' || err_set(err, ERR_FATAL, "not a text array: text after its end");
}
