/*
 * sqlmask.c - a small scanner by the lexical rules of PostgreSQL.
 *
 * When in doubt it masks more: a name that is taken for a value is a nuisance, a value that is
 * taken for a name is a leak.
 */
#include "core/sqlmask.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "core/utf8.h"

typedef struct Mask {
    StrBuf *out;
    size_t begin; /* of our text in *out */
    bool blank;   /* a blank is due before the next word */
} Mask;

/* ---- output ---- */

static void
put_blank_due(Mask *mask)
{
    if (mask->blank && mask->out->len > mask->begin) {
        strbuf_putc(mask->out, ' ');
    }
    mask->blank = false;
}

static void
put_text(Mask *mask, const char *text)
{
    put_blank_due(mask);
    strbuf_puts(mask->out, text);
}

/* As it stands, but for what a terminal would obey. */
static void
put_verbatim(Mask *mask, const char *text, size_t len)
{
    while (len > 0) {
        uint32_t code = 0;
        size_t bytes = utf8_decode(text, len, &code);
        if (bytes == 0) {
            put_text(mask, "?");
            bytes = 1;
        } else if (utf8_is_control(code)) {
            mask->blank = true;
        } else {
            put_blank_due(mask);
            strbuf_put(mask->out, text, bytes);
        }
        text += bytes;
        len -= bytes;
    }
}

/* ---- classes of characters; bytes over 127 count as letters, as for the server ---- */

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool
starts_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool
continues_word(char c)
{
    return starts_word(c) || is_digit(c) || c == '$';
}

static const char *
word_end(const char *at)
{
    while (continues_word(*at)) {
        at++;
    }
    return at;
}

/* ---- what is masked or left out; each returns where it ends ---- */

static const char *
skip_block_comment(const char *at)
{
    int depth = 0;
    do {
        if (at[0] == '/' && at[1] == '*') {
            depth++;
            at += 2;
        } else if (at[0] == '*' && at[1] == '/') {
            depth--;
            at += 2;
        } else {
            at++;
        }
    } while (depth > 0 && *at != '\0');
    return at;
}

/* `at` is the opening quote; *doubtful when a backslash stands before a quote of a plain constant,
 * which ends there or not by a setting that is not known here. */
static const char *
skip_string(const char *at, bool escapes, bool *doubtful)
{
    *doubtful = false;
    at++;
    while (*at != '\0') {
        if (*at == '\\' && at[1] != '\0') {
            if (!escapes && at[1] == '\'') {
                *doubtful = true;
                return at;
            }
            at += escapes ? 2 : 1;
        } else if (*at == '\'' && at[1] == '\'') {
            at += 2;
        } else if (*at == '\'') {
            return at + 1;
        } else {
            at++;
        }
    }
    return at;
}

/* Length of "$tag$" at the start of `at`, 0 when none begins there. */
static size_t
dollar_tag(const char *at)
{
    size_t len = 1;
    if (starts_word(at[1])) {
        while (starts_word(at[len]) || is_digit(at[len])) {
            len++;
        }
    }
    return at[len] == '$' ? len + 1 : 0;
}

static const char *
skip_dollar_quote(const char *at, size_t tag)
{
    const char *body = at + tag;
    for (const char *end = strchr(body, '$'); end != NULL; end = strchr(end + 1, '$')) {
        if (strncmp(end, at, tag) == 0) {
            return end + tag;
        }
    }
    return body + strlen(body);
}

static const char *
skip_number(const char *at)
{
    while (continues_word(*at) || *at == '.') {
        bool exponent = *at == 'e' || *at == 'E';
        at++;
        if (exponent && (*at == '+' || *at == '-') && is_digit(at[1])) {
            at++;
        }
    }
    return at;
}

static const char *
double_quote_end(const char *at)
{
    at++;
    while (*at != '\0' && (at[0] != '"' || at[1] == '"')) {
        at += at[0] == '"' ? 2 : 1;
    }
    return *at == '\0' ? at : at + 1;
}

/* ---- one token ---- */

/* The letters before the quote of E'', B'', X'', N'' and U&'': NULL when no constant begins. */
static const char *
string_quote(const char *at)
{
    if (*at == '\'') {
        return at;
    }
    if (strchr("eEbBxXnN", *at) != NULL && at[1] == '\'') {
        return at + 1;
    }
    return (*at == 'u' || *at == 'U') && at[1] == '&' && at[2] == '\'' ? at + 2 : NULL;
}

static const char *
mask_string(Mask *mask, const char *at, const char *quote)
{
    bool doubtful = false;
    const char *end = skip_string(quote, *at == 'e' || *at == 'E', &doubtful);
    put_text(mask, doubtful ? "? ..." : "?");
    return doubtful ? end + strlen(end) : end;
}

static const char *
keep(Mask *mask, const char *at, const char *end)
{
    put_verbatim(mask, at, (size_t)(end - at));
    return end;
}

static const char *
mask_dollar(Mask *mask, const char *at)
{
    size_t tag = dollar_tag(at);
    if (tag == 0) {
        return keep(mask, at, word_end(at + 1)); /* $1 */
    }
    put_text(mask, "?");
    return skip_dollar_quote(at, tag);
}

/* Blanks, control characters and comments; `at` itself when it is none. */
static const char *
skip_blank(const char *at)
{
    if (at[0] == '-' && at[1] == '-') {
        return at + strcspn(at, "\r\n");
    }
    if (at[0] == '/' && at[1] == '*') {
        return skip_block_comment(at);
    }
    return (unsigned char)*at <= ' ' || *at == 0x7F ? at + 1 : at;
}

static const char *
mask_token(Mask *mask, const char *at)
{
    const char *after = skip_blank(at);
    if (after != at) {
        mask->blank = true;
        return after;
    }
    const char *quote = string_quote(at);
    if (quote != NULL) {
        return mask_string(mask, at, quote);
    }
    if (*at == '$') {
        return mask_dollar(mask, at);
    }
    if (*at == '"') {
        return keep(mask, at, double_quote_end(at));
    }
    if (is_digit(*at) || (*at == '.' && is_digit(at[1]))) {
        put_text(mask, "?");
        return skip_number(at);
    }
    return keep(mask, at, starts_word(*at) ? word_end(at) : at + 1);
}

void
sql_mask(StrBuf *out, const char *sql)
{
    Mask mask = {.out = out, .begin = out->len};
    while (*sql != '\0') {
        sql = mask_token(&mask, sql);
    }
}
