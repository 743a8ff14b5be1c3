/*
 * params.h - the values of a statement's parameters, in order, as query.h wants them.
 *
 * Numbers are formatted into the list itself; texts are borrowed until the statement has run.
 */
#ifndef PG_PARAMS_H
#define PG_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "pg/query.h"

#define PARAMS_MAX         16
#define PARAMS_NUMBER_SIZE 32

typedef struct Params {
    const char *values[PARAMS_MAX];
    int count;
    char numbers[PARAMS_MAX][PARAMS_NUMBER_SIZE]; /* what values[i] points to for a number */
} Params;

#define PARAMS_INIT ((Params){.count = 0})

/* Append one value; more than PARAMS_MAX is a mistake of the caller.  A list points into itself:
 * do not copy it. */
void params_text(Params *params, const char *value); /* NULL is SQL NULL */
void params_int(Params *params, int64_t value);
void params_float(Params *params, double value); /* three decimals */
void params_bool(Params *params, bool value);

/* query_statement() with the default deadline. */
bool query_with(PgConn *conn, const char *sql, const Params *params, PgResult **result, Err *err)
    __attribute__((warn_unused_result));

/* query_one(): exactly one row. */
bool query_one_with(PgConn *conn, const char *sql, const Params *params, PgResult **result,
    Err *err) __attribute__((warn_unused_result));

#endif
