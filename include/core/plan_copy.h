/*
 * plan_copy.h - what the map of a copy means: which column of the target takes what, and where the
 * source's key goes.
 *
 * Pure; findings and plan decide from the same answers.
 */
#ifndef CORE_PLAN_COPY_H
#define CORE_PLAN_COPY_H

#include "core/plan.h"

/*
 * What a column of the target becomes: a column of the source as it is, named in `map:` or of the
 * same name, or an expression; neither when it keeps its default.
 *
 * Shape:   `exprs` may be NULL: then no expression is known to be a column as it is.
 */
MapColumn copy_map_column(
    const JobSpec *spec, const Facts *facts, const ExprReport *exprs, const ColumnFacts *target);

/* Where the source's key goes. */
typedef struct CopyKey {
    const ColumnFacts *column[PLAN_KEY_COLUMNS_MAX]; /* of the target, in order of the key */
    const IndexFacts *arbiter;
    const IndexFacts *walk;    /* an index that begins with the key, in its order; NULL = none */
    const char *why;           /* a static phrase that says why it will not do; NULL = it will */
    const ColumnFacts *source; /* the key column that is to blame, or NULL */
} CopyKey;

/*
 * Find the target's columns for the source's key and the unique index over them.
 *
 * Shape:   `key` as chosen by findings_key_index().
 */
CopyKey copy_find_key(
    const JobSpec *spec, const Facts *facts, const ExprReport *exprs, const IndexFacts *key);

/* A value of `from` becomes one of `to` and comes back the same. */
bool copy_keeps_value(const ColumnFacts *from, const ColumnFacts *to);

/* Decide what only a copy has: plan->copy, path and stripes. */
void plan_decide_copy(Plan *plan, const ExprReport *exprs, const IndexFacts *key, Arena *arena);

#endif
