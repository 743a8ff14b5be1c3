/*
 * copy_in.h - rows of ours into a COPY FROM STDIN, piece by piece.
 *
 * An error of the server shows at the end: it has then aborted its transaction long before, and has
 * thrown away what still came.
 */
#ifndef PG_COPY_IN_H
#define PG_COPY_IN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "pg/conn.h"

typedef struct CopyIn {
    PgConn *conn;
    int64_t idle_us; /* longest time in which the server takes nothing */
} CopyIn;

/* Errors of all three: class by SQLSTATE; ERR_RECONNECT: close the session. */
bool
copy_in_begin(const CopyIn *copy, const char *sql, Err *err) __attribute__((warn_unused_result));

/* Returns when the server, or the system for it, has taken all of it. */
bool copy_in_put(const CopyIn *copy, const char *bytes, size_t len, Err *err)
    __attribute__((warn_unused_result));

/* All rows have come: *rows is how many the server took.  The transaction stays open. */
bool copy_in_end(const CopyIn *copy, int64_t *rows, Err *err) __attribute__((warn_unused_result));

/* Let the server forget what it has got, after an error that is not its own; the transaction can
 * only be rolled back.  *err stays, unless the session is lost. */
void copy_in_give_up(const CopyIn *copy, Err *err);

#endif
