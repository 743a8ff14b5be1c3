/*
 * sqlscan.c - where a token ends; the lexer of the server has the same rules.
 */
#include "core/sqlscan.h"

#include <string.h>
#include <strings.h>

/* ---- classes of characters ---- */

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

/* ---- tokens; each returns where it ends ---- */

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
    at++;
    while (*at != '\0') {
        if (*at == '\\' && at[1] != '\0') {
            *doubtful = *doubtful || (!escapes && at[1] == '\'');
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

static SqlToken
scan_string(const char *at, const char *quote)
{
    bool doubtful = false;
    const char *end = skip_string(quote, *at == 'e' || *at == 'E', &doubtful);
    return (SqlToken){SQL_TOKEN_STRING, at, (size_t)(end - at), doubtful};
}

static SqlToken
token_of(SqlTokenKind kind, const char *at, const char *end)
{
    return (SqlToken){.kind = kind, .text = at, .len = (size_t)(end - at)};
}

static SqlToken
scan_dollar(const char *at)
{
    size_t tag = dollar_tag(at);
    return tag == 0 ? token_of(SQL_TOKEN_PARAMETER, at, word_end(at + 1))
                    : token_of(SQL_TOKEN_STRING, at, skip_dollar_quote(at, tag));
}

SqlToken
sql_scan(const char *at)
{
    if (*at == '\0') {
        return token_of(SQL_TOKEN_END, at, at);
    }
    const char *after = skip_blank(at);
    if (after != at) {
        return token_of(SQL_TOKEN_BLANK, at, after);
    }
    const char *quote = string_quote(at);
    if (quote != NULL) {
        return scan_string(at, quote);
    }
    if (*at == '$') {
        return scan_dollar(at);
    }
    if (*at == '"') {
        return token_of(SQL_TOKEN_QUOTED, at, double_quote_end(at));
    }
    if (is_digit(*at) || (*at == '.' && is_digit(at[1]))) {
        return token_of(SQL_TOKEN_NUMBER, at, skip_number(at));
    }
    return starts_word(*at) ? token_of(SQL_TOKEN_WORD, at, word_end(at))
                            : token_of(SQL_TOKEN_OTHER, at, at + 1);
}

SqlToken
sql_scan_next(const char *at)
{
    SqlToken token = sql_scan(at);
    while (token.kind == SQL_TOKEN_BLANK) {
        token = sql_scan(token.text + token.len);
    }
    return token;
}

bool
sql_token_is(const SqlToken *token, const char *word)
{
    return token->len == strlen(word) && strncasecmp(token->text, word, token->len) == 0;
}
