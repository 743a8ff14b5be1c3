/*
 * carry.h - what a cutover will carry over from the old table to the new one, and what it cannot.
 */
#ifndef OPS_CARRY_H
#define OPS_CARRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/stop.h"
#include "core/plan.h"
#include "core/sql_cutover.h"
#include "pg/conn.h"

/* What the name of the old table ends with. */
#define CARRY_OLD_SUFFIX "_old"

typedef struct Carry {
    CutoverNames names;
    CarryItem *items;   /* in the order of their kinds */
    CutoverStep *steps; /* of each item */
    int count;
    const char *obstacle; /* the first thing that stands in the way; NULL = nothing */
} Carry;

/*
 * Look; for the plan, and again for the cutover itself.
 *
 * Shape:   of a copy in one database.  What the new table has already is left out.
 * Owner:   everything in *carry lives in `arena`.
 */
bool carry_read(PgConn *conn, const Plan *plan, Arena *arena, Carry *carry, Err *err)
    __attribute__((warn_unused_result));

/* Give the new table what it can have before the swap; the old one is not touched.  May be
 * repeated.  ERR_STOPPED when the token is raised. */
bool carry_early(PgConn *conn, const Carry *carry, const Plan *plan, StopToken *stop, Err *err)
    __attribute__((warn_unused_result));

/*
 * A statement that reads a whole table without stopping its writers: VALIDATE, ANALYZE.
 *
 * Shape:   waits its turn behind a running autovacuum.  One that adds a constraint stops them for a
 *          moment; it waits no longer than that at a time, and must not have to read much.
 */
bool carry_run_long(PgConn *conn, const char *sql, StopToken *stop, Err *err)
    __attribute__((warn_unused_result));

#endif
