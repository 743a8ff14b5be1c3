/*
 * sequences.h - sequences that belong to the columns of a table, on whichever server it is.
 */
#ifndef PG_SEQUENCES_H
#define PG_SEQUENCES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "pg/conn.h"

typedef struct SequenceFacts {
    int attnum;           /* of the column that it belongs to, serial or identity */
    const char *relation; /* qualified and quoted */
    const char *last;     /* the value that was given out last; NULL = none yet */
} SequenceFacts;

/* Owner:   *sequences live in `arena`. */
bool sequences_read(PgConn *conn, uint32_t table_oid, Arena *arena, SequenceFacts **sequences,
    int *count, Err *err) __attribute__((warn_unused_result));

/* Let it go on behind `last`, unless it is further already. */
bool sequence_advance(PgConn *conn, const char *relation, const char *last, Err *err)
    __attribute__((warn_unused_result));

#endif
