/*
 * catalog_partitions.h - partitions of which a purge would delete every row.
 *
 * Only bounds are compared; no table is read.
 */
#ifndef PG_CATALOG_PARTITIONS_H
#define PG_CATALOG_PARTITIONS_H

#include "base/arena.h"
#include "base/err.h"
#include "core/facts.h"
#include "pg/conn.h"

/*
 * Fill facts->whole: the table itself where it is a partition, else the partitions that it has.
 *
 * Shape:   partitions by ranges of one column and predicates of the form `column < expression`;
 *          of others, and of a predicate that the server refuses, none.
 * Owner:   the list lives in `arena`.
 */
bool catalog_partitions_read(PgConn *conn, const JobSpec *spec, Facts *facts, Arena *arena,
    Err *err) __attribute__((warn_unused_result));

#endif
