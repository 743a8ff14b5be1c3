/*
 * sql_compare.h - statements that compare a copy whose source and target are on two servers.
 *
 * Each is run on one of the sides and gives what the same statement gives on the other when all
 * rows are right: counts and sums of hashes for a slice of keys, hashes for single keys.  A row's
 * hash is the MD5 of the text of ROW(..) over the map's columns, which tells NULL from '' and where
 * one column ends, and is the same on every release and platform as long as the settings of
 * sql_compare_settings() and of our sessions (pg/session.c) are in force.  On the source an
 * expression is first coerced to its column's type, as the copy does.
 *
 * Bounds of slices are text[] or NULL = open, as in a checkpoint.  A list of keys is one text[]
 * whose items are the text form of such keys.
 */
#ifndef CORE_SQL_COMPARE_H
#define CORE_SQL_COMPARE_H

#include <stdbool.h>

#include "base/strbuf.h"
#include "core/plan.h"

typedef enum CompareSide { COMPARE_SOURCE = 0, COMPARE_TARGET } CompareSide;

typedef struct Comparison {
    const Plan *plan;        /* of a copy */
    int64_t job;             /* of its change log */
    const bool *known_types; /* one per column of the map: the source's server has a type that
                                sql_compare_type() named */
} Comparison;

/*
 * The type of the target that values of this column are cast to at the source, if it is one that
 * another server need not have; NULL when no cast is needed or every server has it.
 */
const char *sql_compare_type(const MapColumn *column);

/* A SELECT that sets, for the session, what the meaning and the text of values hang on. */
void sql_compare_settings(StrBuf *out, const Plan *plan, CompareSide side);

/* The key $3 rows further on than $1 and not above $2; no row when fewer are left. */
void sql_compare_end(StrBuf *out, const Comparison *comparison, CompareSide side);

/* Count and two sums of 64 bits of the rows in ($1, $2]; sums of none are NULL. */
void sql_compare_sums(StrBuf *out, const Comparison *comparison, CompareSide side);

/* Key (text[]) and hash of each row in ($1, $2]; rows that share a key have one hash together. */
void sql_compare_slice(StrBuf *out, const Comparison *comparison, CompareSide side);

/* For each key of the list $1 its place (from 1) and the row's hash; NULL = there is none. */
void sql_compare_rows(StrBuf *out, const Comparison *comparison, CompareSide side);

/* Lock the source's rows with the keys of $1, but those that somebody else has locked: what they
 * hold stays so until the transaction ends. */
void sql_compare_lock(StrBuf *out, const Comparison *comparison);

/* Places in the list $1 of keys that have entries in the change log. */
void sql_compare_pending(StrBuf *out, const Comparison *comparison);

/* Append the keys of the list $1 to the change log. */
void sql_compare_append(StrBuf *out, const Comparison *comparison);

#endif
