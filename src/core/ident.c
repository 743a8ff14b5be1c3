#include "core/ident.h"

#include <assert.h>
#include <string.h>

#include "core/utf8.h"

bool
ident_check(const char *name, Err *err)
{
    size_t len = strlen(name);
    if (len == 0) {
        return err_set(err, ERR_USER, "a name must not be empty");
    }
    char shown[48];
    utf8_shorten(shown, sizeof(shown), name);
    if (!utf8_is_valid(name, len)) {
        return err_set(err, ERR_USER, "name \"%s\" is not valid UTF-8", shown);
    }
    if (len > IDENT_MAX_BYTES) {
        return err_set(err, ERR_USER, "name \"%s\" is longer than %d bytes (it has %zu)", shown,
            IDENT_MAX_BYTES, len);
    }
    return true;
}

static void
put_doubled(StrBuf *out, const char *text, char quote)
{
    strbuf_putc(out, quote);
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == quote) {
            strbuf_putc(out, quote);
        }
        strbuf_putc(out, *c);
    }
    strbuf_putc(out, quote);
}

bool
quote_ident(StrBuf *out, const char *name, Err *err)
{
    if (!ident_check(name, err)) {
        return false;
    }
    put_doubled(out, name, '"');
    return true;
}

bool
quote_qualified(StrBuf *out, const char *schema, const char *name, Err *err)
{
    if ((schema != NULL && !ident_check(schema, err)) || !ident_check(name, err)) {
        return false;
    }
    if (schema != NULL) {
        put_doubled(out, schema, '"');
        strbuf_putc(out, '.');
    }
    put_doubled(out, name, '"');
    return true;
}

void
quote_literal_append(StrBuf *out, const char *text)
{
    put_doubled(out, text, '\'');
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

/* The classes of the server's scanner: every byte over 127 counts as a letter. */
static bool
starts_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool
continues_name(char c)
{
    return starts_name(c) || (c >= '0' && c <= '9') || c == '$';
}

/* Only ASCII letters: what the server does with others depends on its locale. */
static char
fold(char c)
{
    if (c >= 'A' && c <= 'Z') {
        c = (char)(c + ('a' - 'A'));
    }
    return c;
}

static const char *
skip_blanks(const char *text)
{
    while (is_blank(*text)) {
        text++;
    }
    return text;
}

static bool
read_quoted(const char **at, const char *whole, StrBuf *name, Err *err)
{
    const char *c = *at + 1;
    while (c[0] != '\0' && (c[0] != '"' || c[1] == '"')) {
        c += c[0] == '"' ? 1 : 0;
        strbuf_putc(name, *c);
        c++;
    }
    if (*c == '\0') {
        char shown[80];
        utf8_shorten(shown, sizeof(shown), whole);
        return err_set(err, ERR_USER, "the double quote in the name %s is never closed", shown);
    }
    *at = c + 1;
    return true;
}

/* One part of a qualified name; *at moves behind it. */
static bool
read_part(const char **at, const char *whole, StrBuf *name, Err *err)
{
    const char *c = *at;
    if (*c == '"') {
        return read_quoted(at, whole, name, err);
    }
    if (!starts_name(*c)) {
        char shown[80];
        utf8_shorten(shown, sizeof(shown), whole);
        (void)err_set(err, ERR_USER, "\"%s\" is not a table name", shown);
        return err_hint(err, "Write name, schema.name or \"Any Name\" in double quotes.");
    }
    for (; continues_name(*c); c++) {
        strbuf_putc(name, fold(*c));
    }
    *at = c;
    return true;
}

bool
ident_parse_qualified(
    const char *text, Arena *arena, const char **schema, const char **name, Err *err)
{
    const char *parts[2] = {NULL, NULL};
    const char *at = skip_blanks(text);
    int count = 0;
    for (;;) {
        STRBUF_AUTO part = STRBUF_INIT;
        if (!read_part(&at, text, &part, err) || !ident_check(strbuf_text(&part), err)) {
            return false;
        }
        parts[count] = arena_strdup(arena, strbuf_text(&part));
        count++;
        at = skip_blanks(at);
        if (*at != '.' || count == 2) {
            break;
        }
        at = skip_blanks(at + 1);
    }
    if (*at != '\0') {
        char shown[80];
        utf8_shorten(shown, sizeof(shown), text);
        (void)err_set(err, ERR_USER, "\"%s\" is not a table name", shown);
        return err_hint(err, *at == '.' ? "A name has at most two parts, schema.name; the database "
                                          "belongs to the connection."
                                        : "Put a name with unusual characters in double quotes.");
    }
    assert(count == 1 || count == 2);
    *schema = count == 2 ? parts[0] : NULL;
    *name = parts[count - 1];
    return true;
}
