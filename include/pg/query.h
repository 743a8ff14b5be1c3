/*
 * query.h - run one statement, or one batch transaction, and read typed values from its result.
 *
 * Values are always parameters ($1 with an explicit cast in the text), never pasted into SQL.
 */
#ifndef PG_QUERY_H
#define PG_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/stop.h"
#include "pg/conn.h"

typedef struct PgResult PgResult;

/* Default deadline of a statement. */
#define QUERY_TIMEOUT_US ((int64_t)30 * 1000000)

/* One statement and its text parameters (NULL = SQL NULL). */
typedef struct Statement {
    const char *sql;
    int count;
    const char *const *values;
    int64_t timeout_us; /* until the whole answer is here */
    StopToken *stop;    /* once it is raised the statement is cancelled; NULL = it is not */
} Statement;

/*
 * Run one statement.
 *
 * Shape:   `result` may be NULL when rows are of no interest.
 * Errors:  class by SQLSTATE (pg/sqlstate.h); err->position when the server named one.
 * Owner:   *result is owned by the caller: PGRESULT_AUTO.
 */
bool query_statement(PgConn *conn, const Statement *statement, PgResult **result, Err *err)
    __attribute__((warn_unused_result));

/* query_statement() without parameters and with the default deadline. */
bool query_run(PgConn *conn, const char *sql, PgResult **result, Err *err)
    __attribute__((warn_unused_result));

/* A result that must have exactly one row; zero or more rows is ERR_FATAL. */
bool query_one(PgConn *conn, const char *sql, int count, const char *const *values,
    PgResult **result, Err *err) __attribute__((warn_unused_result));

/* Run several statements given as one string; results are dropped.  No parameters possible. */
bool query_script(PgConn *conn, const char *sql, Err *err) __attribute__((warn_unused_result));

/* The end of a transaction that went well or not: COMMIT, or ROLLBACK and false; *err keeps why. */
bool query_end(PgConn *conn, bool ok, Err *err) __attribute__((warn_unused_result));

/* ROLLBACK until the session is idle: a cancel that was meant for the statement before may arrive
 * late and hit it.  ERR_RECONNECT when that does not help. */
bool query_roll_back(PgConn *conn, Err *err) __attribute__((warn_unused_result));

/* What a statement would return; of its first column type and origin. */
typedef struct QueryShape {
    int column_count; /* 0 = nothing */
    uint32_t type_oid;
    int type_mod;
    uint32_t table_oid; /* with `attnum`: the column that is handed through as it is; else 0 */
    int attnum;
} QueryShape;

/* Parse without running (a protocol-level PREPARE of the unnamed statement). */
bool query_parse(PgConn *conn, const char *sql, QueryShape *shape, Err *err)
    __attribute__((warn_unused_result));

/*
 * One batch transaction in one round trip, pipelined: begin, call, COMMIT.
 *
 * `begin` has the text up to the call ("BEGIN ISOLATION LEVEL READ COMMITTED" and settings, each
 * one statement); the call has parameters and returns rows; success is the tag COMMIT, nothing
 * else.  On failure the session is rolled back and idle again; ERR_RECONNECT means that the outcome
 * is unknown: the COMMIT may or may not have happened.
 */
typedef struct BatchCall {
    const char *const *begin; /* statements before the call */
    int begin_count;
    const char *sql; /* the call */
    int count;
    const char *const *values;
    const int *lengths; /* of values in binary form; NULL = all are text */
    const int *formats; /* 1 = binary, 0 = text, for each value; NULL likewise */
    int64_t timeout_us;
    bool stays_open; /* no COMMIT: the transaction goes on after the call */
} BatchCall;

bool query_batch(PgConn *conn, const BatchCall *call, PgResult **result, Err *err)
    __attribute__((warn_unused_result));

int result_rows(const PgResult *result);
bool result_is_null(const PgResult *result, int row, int column);
/* "" for NULL; borrowed. */
const char *result_text(const PgResult *result, int row, int column);
int64_t result_int(const PgResult *result, int row, int column); /* 0 for NULL */
double result_float(const PgResult *result, int row, int column);
bool result_bool(const PgResult *result, int row, int column);
/* NULL for NULL; lives in the arena. */
const char *result_dup(const PgResult *result, int row, int column, Arena *arena);
/* Rows affected, from the command tag. */
int64_t result_affected(const PgResult *result);

void result_free(PgResult *result);
void result_cleanup(PgResult **result);
#define PGRESULT_AUTO __attribute__((cleanup(result_cleanup))) PgResult

/*
 * A one-dimensional text[] in its text form, both ways.  NULL items are NULL pointers.
 * `pg_array_format` returns memory of the arena.
 */
const char *pg_array_format(const char *const *items, int count, Arena *arena);
bool pg_array_parse(const char *text, Arena *arena, const char ***items, int *count, Err *err)
    __attribute__((warn_unused_result));

#endif
