/*
 * copy.h - the rows of one session's COPY TO STDOUT into another session's COPY FROM STDIN.
 *
 * One thread owns both sessions.  Memory is bounded whatever the rows are: libpq holds one row of
 * the source as a whole, and of what goes to the target at most one piece; while the target does
 * not take that, nothing is read from the source.
 */
#ifndef PG_COPY_H
#define PG_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "pg/conn.h"

/* What is joined, or cut, to be sent at once. */
#define COPY_PIECE_BYTES 65536

typedef struct CopyStream {
    PgConn *source;
    const char *source_sql; /* COPY .. TO STDOUT */
    PgConn *target;
    const char *target_sql; /* COPY .. FROM STDIN */
    int64_t idle_us;        /* longest time in which neither side moves */
    int64_t bytes_max;      /* more is given up, unless it is one row; 0 = no limit */
} CopyStream;

typedef struct CopyCount {
    int64_t sent_rows;  /* as the source counted them */
    int64_t taken_rows; /* as the target did: triggers may leave some out */
    int64_t seen_rows;  /* that came through here, nearly; also of a stream that failed */
    int64_t seen_bytes;
} CopyCount;

/*
 * Stream until the source has no more.
 *
 * Shape:   both sessions are in a transaction of the caller's, and still are afterwards, also when
 *          one side failed: then that transaction, or both, can only be rolled back.
 * Errors:  class by the SQLSTATE of the side that failed first, which the context names.
 *          ERR_TIMEOUT also for more than `bytes_max`.  ERR_RECONNECT: close both sessions.
 */
bool copy_stream(const CopyStream *stream, CopyCount *count, Err *err)
    __attribute__((warn_unused_result));

#endif
