#include "pg/params.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>

void
params_text(Params *params, const char *value)
{
    assert(params->count < PARAMS_MAX);
    params->values[params->count++] = value;
}

void
params_int(Params *params, int64_t value)
{
    assert(params->count < PARAMS_MAX);
    char *text = params->numbers[params->count];
    (void)snprintf(text, PARAMS_NUMBER_SIZE, "%lld", (long long)value);
    params_text(params, text);
}

void
params_float(Params *params, double value)
{
    assert(params->count < PARAMS_MAX);
    char *text = params->numbers[params->count];
    (void)snprintf(text, PARAMS_NUMBER_SIZE, "%.3f", value);
    params_text(params, text);
}

void
params_bool(Params *params, bool value)
{
    params_text(params, value ? "t" : "f");
}

bool
query_with(PgConn *conn, const char *sql, const Params *params, PgResult **result, Err *err)
{
    Statement statement = {
        .sql = sql,
        .count = params->count,
        .values = params->values,
        .timeout_us = QUERY_TIMEOUT_US,
    };
    return query_statement(conn, &statement, result, err);
}

bool
query_one_with(PgConn *conn, const char *sql, const Params *params, PgResult **result, Err *err)
{
    return query_one(conn, sql, params->count, params->values, result, err);
}
