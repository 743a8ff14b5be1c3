/*
 * plan_walk.h - by which columns a purge walks: an index that serves its predicate, or the key.
 */
#ifndef CORE_PLAN_WALK_H
#define CORE_PLAN_WALK_H

#include "core/plan.h"

/*
 * Decide, from plan->facts->walk.
 *
 * Shape:   plan->key has the columns of the key already; afterwards plan->identity has them, and
 *          plan->key begins with those of the index, if one serves.  Fills the walk's fields of
 *          *purge.
 */
void plan_walk_decide(Plan *plan, PurgePlan *purge, Arena *arena);

/* Of the walk that was decided: purge->least. */
void plan_walk_remember(const Plan *plan, PurgePlan *purge);

/*
 * The walks that a job may have been begun with, whatever the planner would choose today: by the
 * key (number 0) and by the first columns of each index.
 *
 * Shape:   false when there are no more.  One that no row can be missed by is in *plan and *purge
 *          then, which are as before else.
 */
bool plan_walk_candidate(Plan *plan, PurgePlan *purge, int number, bool *possible);

#endif
