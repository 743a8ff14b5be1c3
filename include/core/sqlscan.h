/*
 * sqlscan.h - SQL text as tokens, by the lexical rules of PostgreSQL.
 *
 * It never fails: a constant or comment that does not end is one token up to the end of the text.
 */
#ifndef CORE_SQLSCAN_H
#define CORE_SQLSCAN_H

#include <stdbool.h>
#include <stddef.h>

typedef enum SqlTokenKind {
    SQL_TOKEN_BLANK = 0, /* one blank or control character, or a comment */
    SQL_TOKEN_STRING,    /* '..' with the letters before it, or in dollar quotes */
    SQL_TOKEN_NUMBER,
    SQL_TOKEN_PARAMETER, /* $1 */
    SQL_TOKEN_QUOTED,    /* ".." */
    SQL_TOKEN_WORD,      /* keyword or name; bytes over 127 count as letters, as for the server */
    SQL_TOKEN_OTHER,     /* one character */
    SQL_TOKEN_END,
} SqlTokenKind;

typedef struct SqlToken {
    SqlTokenKind kind;
    const char *text;
    size_t len;    /* 0 only at the end */
    bool doubtful; /* a string that would end elsewhere without standard_conforming_strings */
} SqlToken;

/* The token that begins at `at`. */
SqlToken sql_scan(const char *at);

/* The first one from `at` on that is not blank. */
SqlToken sql_scan_next(const char *at);

/* Is it this word, in any case? */
bool sql_token_is(const SqlToken *token, const char *word);

#endif
