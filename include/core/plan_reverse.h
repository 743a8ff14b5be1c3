/*
 * plan_reverse.h - the plan by which the old table follows the new one after a cutover.
 *
 * Pure.
 */
#ifndef CORE_PLAN_REVERSE_H
#define CORE_PLAN_REVERSE_H

#include "core/plan.h"

/* The names that the two tables have when the plan is used. */
typedef struct ReverseNames {
    const char *source; /* of the new table */
    const char *into;   /* of the old one */
} ReverseNames;

/*
 * Turn the plan of a copy round: its target is the source now.
 *
 * Shape:   plan->copy->invertible.  Only what change log and drain need is decided; the fingerprint
 *          follows from that of the plan.  Returns a column of the old table that nothing leads
 * back to, since `reverse_map:` leaves it out, or NULL. Owner:   *reverse borrows from *plan, the
 * rest lives in `arena`.
 */
const ColumnFacts *plan_reverse(const Plan *plan, ReverseNames names, Arena *arena, Plan *reverse);

/* The fingerprint of a plan that was turned round, from that of the plan. */
void plan_reverse_fingerprint(const char *fingerprint, char reversed[static 17]);

#endif
