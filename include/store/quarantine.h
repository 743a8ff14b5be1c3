/*
 * quarantine.h - rows that the server refused, by key: pghaul.quarantine.
 *
 * Rows that are set aside are written by the generated functions, in the transaction of the batch
 * (core/sql_isolate.c).  The row at which a run stopped is recorded here, and is not left out of
 * anything.
 */
#ifndef STORE_QUARANTINE_H
#define STORE_QUARANTINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "pg/conn.h"

typedef struct QuarantineRow {
    const char *key; /* text[] as text */
    bool set_aside;  /* false: the run stopped at it */
    int pass;
    const char *sqlstate;
    const char *message; /* the server's; may quote the row */
    int attempts;
    const char *at;
} QuarantineRow;

/* Rows of the job that are set aside. */
bool quarantine_count(PgConn *conn, int64_t job, int64_t *rows, Err *err)
    __attribute__((warn_unused_result));

/* All rows of the job, the oldest first; texts live in the arena. */
bool quarantine_list(PgConn *conn, int64_t job, Arena *arena, QuarantineRow **rows, int *count,
    Err *err) __attribute__((warn_unused_result));

typedef struct QuarantineStop {
    int64_t job;
    int pass;
    const char *key; /* text[] as text */
    const char *sqlstate;
    const char *message;
} QuarantineStop;

/* Record the row at which a run stops, in place of where the one before stopped. */
bool quarantine_record_stop(PgConn *conn, const QuarantineStop *row, Err *err)
    __attribute__((warn_unused_result));

/* The job is through: where its runs stopped is history. */
bool
quarantine_forget_stops(PgConn *conn, int64_t job, Err *err) __attribute__((warn_unused_result));

#endif
