/*
 * plan_children.h - which tables a purge touches beside its own, and in which order.
 */
#ifndef CORE_PLAN_CHILDREN_H
#define CORE_PLAN_CHILDREN_H

#include "base/strbuf.h"
#include "core/children.h"
#include "core/plan.h"

/* A foreign key by which rows of a node refer to those of another, or of the job's table. */
typedef struct ChildLink {
    const ChildKey *key;
    int parent; /* index of the node, or CHILD_OF_JOB */
} ChildLink;

/* A table whose rows are locked after those that they refer to. */
typedef struct ChildNode {
    const ChildTable *table;
    bool deleted; /* before those that they refer to; else the server sets columns of theirs */
    const ChildLink *links; /* rows are those that refer by any of them */
    int link_count;
    int level;              /* longest way from the job's table, from 1 on */
    double rows_per_parent; /* estimate for one row of the job's table; -1 = unknown */
} ChildNode;

/* Do rows that refer by the key go with their parents, by our hand? */
bool children_deletes(const JobSpec *spec, const ChildKey *key);

/* A key by which tables whose rows go together refer to each other or to themselves; NULL = none.
 */
const ChildKey *children_cycle(const JobSpec *spec, const ChildGraph *graph);

/*
 * Fill purge->children.
 *
 * Shape:   without a cycle; that was refused before.
 * Owner:   nodes live in `arena` and borrow from facts->children.
 */
void plan_decide_children(const JobSpec *spec, const Facts *facts, Arena *arena, PurgePlan *purge);

/* All of it that decides about rows, as text: for the fingerprint. */
void plan_put_children(StrBuf *out, const Plan *plan);

#endif
