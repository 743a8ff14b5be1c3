/*
 * sql_pin.c - which tokens mean the time of the transaction.
 */
#include "core/sql_pin.h"

#include <stdbool.h>

#include "core/sqlscan.h"

typedef struct TimeWord {
    const char *word;
    bool call;        /* with () behind it; else with (precision) or nothing */
    const char *type; /* NULL = timestamptz without precision, as it is */
} TimeWord;

static const TimeWord WORDS[] = {
    {"now", true, NULL},
    {"transaction_timestamp", true, NULL},
    {"statement_timestamp", true, NULL},
    {"current_timestamp", false, "timestamptz"},
    {"localtimestamp", false, "timestamp"},
    {"current_date", false, "date"},
    {"current_time", false, "timetz"},
    {"localtime", false, "time"},
};

typedef struct Match {
    const TimeWord *word;
    SqlToken precision; /* a number, else there is none */
    const char *end;
} Match;

static const char *
end_of(const SqlToken *token)
{
    return token->text + token->len;
}

static SqlToken
after(const SqlToken *token)
{
    return sql_scan_next(end_of(token));
}

static const TimeWord *
find_word(const SqlToken *token, bool qualified)
{
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++) {
        if (sql_token_is(token, WORDS[i].word)) {
            return qualified && !WORDS[i].call ? NULL : &WORDS[i];
        }
    }
    return NULL;
}

/* `name` is followed by what makes it the time? */
static bool
match_tail(const SqlToken *name, Match *match)
{
    match->end = end_of(name);
    match->precision = (SqlToken){.kind = SQL_TOKEN_END};
    SqlToken open = after(name);
    if (!sql_token_is(&open, "(")) {
        return !match->word->call;
    }
    SqlToken close = after(&open);
    if (!match->word->call && close.kind == SQL_TOKEN_NUMBER) {
        match->precision = close;
        close = after(&close);
    }
    if (!sql_token_is(&close, ")")) {
        return false; /* no SQL, or another function of the name */
    }
    match->end = end_of(&close);
    return true;
}

static bool
match_time(const SqlToken *token, Match *match)
{
    SqlToken name = *token;
    bool qualified = sql_token_is(token, "pg_catalog");
    if (qualified) {
        SqlToken point = after(token);
        name = sql_token_is(&point, ".") ? after(&point) : *token;
    }
    match->word = name.kind == SQL_TOKEN_WORD ? find_word(&name, qualified) : NULL;
    return match->word != NULL && match_tail(&name, match);
}

static void
put_time(StrBuf *out, const Match *match, const char *now_sql)
{
    if (match->word->type == NULL) {
        strbuf_printf(out, "(%s)", now_sql);
        return;
    }
    strbuf_printf(out, "((%s)::pg_catalog.%s", now_sql, match->word->type);
    if (match->precision.kind == SQL_TOKEN_NUMBER) {
        strbuf_putc(out, '(');
        strbuf_put(out, match->precision.text, match->precision.len);
        strbuf_putc(out, ')');
    }
    strbuf_putc(out, ')');
}

void
sql_pin(StrBuf *out, const char *sql, const char *now_sql)
{
    bool is_label = false; /* the word that follows is the name of a column */
    for (SqlToken token = sql_scan(sql); token.kind != SQL_TOKEN_END; token = sql_scan(sql)) {
        Match match;
        if (token.kind == SQL_TOKEN_WORD && !is_label && match_time(&token, &match)) {
            put_time(out, &match, now_sql);
            sql = match.end;
        } else {
            strbuf_put(out, token.text, token.len);
            sql = end_of(&token);
        }
        if (token.kind != SQL_TOKEN_BLANK) {
            is_label = sql_token_is(&token, ".") || sql_token_is(&token, "as");
        }
    }
}
