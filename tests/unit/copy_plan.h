/*
 * copy_plan.h - the plan of a copy on hand-made facts, for the tests of generated SQL.
 *
 *   shop.orders (id int4, region text, note varchar(10), amount numeric)
 *   -> shop.archive (id int8, place text, note varchar(20), cents int8, created date)
 */
#ifndef UNIT_COPY_PLAN_H
#define UNIT_COPY_PLAN_H

#include "core/plan.h"

typedef struct CopyPlanJob {
    JobSpec spec;
    Assignment map[2]; /* place <- region, cents <- (amount * 100) */
    ColumnFacts source_columns[4];
    ColumnFacts target_columns[5];
    Facts source;
    Facts target;
    int arbiter_attnums[2];
    IndexFacts arbiter;
    ExprFacts exprs[2];
    MapColumn mapped[4];
    CopyPlan copy;
    Plan plan;
} CopyPlanJob;

/* By key id, without sync; a test changes what it wants before it makes SQL. */
void copy_plan_init(CopyPlanJob *job);

/* The key is (id, region). */
void copy_plan_add_key(CopyPlanJob *job);

#define COPY_PLAN(name)                                                                            \
    CopyPlanJob name;                                                                              \
    copy_plan_init(&(name))

#endif
