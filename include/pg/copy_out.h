/*
 * copy_out.h - the rows of a COPY TO STDOUT, one by one.
 */
#ifndef PG_COPY_OUT_H
#define PG_COPY_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "pg/conn.h"

/* One row, in text with its newline; false = no more of them. */
typedef bool CopyRow(void *ctx, const char *row, size_t len);

typedef struct CopyOut {
    PgConn *conn;
    const char *sql; /* COPY .. TO STDOUT; other statements may follow */
    int64_t idle_us; /* longest time in which nothing comes */
    CopyRow *take;
    void *ctx;
} CopyOut;

/*
 * Give each row to `take` until there are no more, or it wants none.
 *
 * Shape:   *cut tells that it wanted no more: the rest was cancelled, and a transaction that the
 *          caller has open can only be rolled back.
 * Errors:  class by SQLSTATE; ERR_RECONNECT: close the session.
 */
bool copy_out(const CopyOut *copy, bool *cut, Err *err) __attribute__((warn_unused_result));

#endif
