/*
 * catalog_carry.h - what belongs to the source of a copy and must go over to its target, or cannot.
 *
 * Reads the catalog only.
 */
#ifndef PG_CATALOG_CARRY_H
#define PG_CATALOG_CARRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "core/sql_cutover.h"
#include "pg/conn.h"

/* Which tables, and which columns are copied as they are: int2[] as text, pair by pair. */
typedef struct CarryQuestion {
    uint32_t source_oid;
    uint32_t into_oid;
    const char *source_columns;
    const char *into_columns;
    const char *old_name; /* that the source is to have; what has it already stands in the way */
} CarryQuestion;

/*
 * All items, in the order of their kinds.
 *
 * Shape:   what the target has already is left out, so a cutover that was cut off finds the rest.
 * Owner:   *items and its texts live in `arena`.
 */
bool catalog_read_carry(PgConn *conn, const CarryQuestion *question, Arena *arena,
    CarryItem **items, int *count, Err *err) __attribute__((warn_unused_result));

/* What a swap changes beside the table. */
typedef struct Neighbours {
    const char *const *tables; /* at the other ends of its foreign keys, qualified and quoted */
    int table_count;
    const char *const *views; /* that read it: a statement for each that locks it, and no more */
    int view_count;
} Neighbours;

/* Owner:   all texts live in `arena`. */
bool catalog_neighbours(PgConn *conn, uint32_t table_oid, Arena *arena, Neighbours *neighbours,
    Err *err) __attribute__((warn_unused_result));

#endif
