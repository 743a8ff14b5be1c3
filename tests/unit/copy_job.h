/*
 * copy_job.h - a healthy copy on hand-made facts, for tests of plans and of generated SQL.
 *
 *   orders    (id int8 PRIMARY KEY, amount_text text, note text, created_at timestamptz)
 *   orders_v2 (id int8 PRIMARY KEY, amount numeric(10,2), note text, made_at timestamptz)
 *   map: {amount: amount_text::numeric, made_at: created_at}
 */
#ifndef UNIT_COPY_JOB_H
#define UNIT_COPY_JOB_H

#include "base/arena.h"
#include "core/plan.h"

typedef struct CopyJob {
    Arena arena;
    JobSpec spec;
    Facts facts; /* of the source */
    Facts into;
    Assignment map[2];
    ColumnFacts columns[4];
    ColumnFacts into_columns[4];
    IndexFacts indexes[1];
    IndexFacts into_indexes[2]; /* the second is not counted: for tests */
    int id_attnum[2];
    int into_attnums[2];
    int partition_attnums[1];
    int amount_sources[1];
    int made_at_sources[1];
    ExprFacts set[2];
    ExprFacts as_is[4];
    ExprFacts where;
    ExprReport exprs;
    const char *names[2];
    Plan plan;
} CopyJob;

/* Both tables in one database, the log trigger on. */
void copy_job_init(CopyJob *job);

/* The same with the target on another server. */
void copy_job_make_remote(CopyJob *job);

/* The plan of the job as it is now; borrows from it. */
const Plan *copy_job_plan(CopyJob *job);

void copy_job_free(CopyJob *job);

#define COPY_JOB(name)                                                                             \
    __attribute__((cleanup(copy_job_free))) CopyJob name;                                          \
    copy_job_init(&(name))

#endif
