/*
 * plan.h - what will be done, decided once from job file and facts; what `plan` prints is what
 * `run` does.
 *
 * Pure.  A Plan is immutable and borrows from the JobSpec and the Facts it was made of.
 */
#ifndef CORE_PLAN_H
#define CORE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "core/facts.h"
#include "core/jobspec.h"

#define PLAN_KEY_COLUMNS_MAX 8

/* `workers: auto` */
#define PLAN_WORKERS_AUTO 2

/* Aim of one range: enough pages that the dead versions of one stripe can be pruned when the next
 * one comes by (no batch of another worker is older than its walk), few enough to stay in memory
 * meanwhile. */
#define PLAN_RANGE_ROWS       100000
#define PLAN_RANGE_KEY_BLOCKS 2048 /* on the key path, whose walks take longer */
#define PLAN_RANGE_BLOCKS     4096
#define PLAN_RANGE_BLOCKS_MIN 1024 /* towards the end, so that the workers finish together */
#define PLAN_RANGES_MAX       100000

/* Ranges of a copy by key: so many for each worker, but not so small that they cost more than the
 * rows in them. */
#define PLAN_COPY_RANGES         24
#define PLAN_COPY_RANGE_ROWS_MIN 5000.0

/* Name of the sync trigger: BEFORE triggers fire in byte order of their names, ours comes last. */
#define PLAN_TRIGGER_PREFIX "zzzz_pghaul_"

typedef struct KeyColumn {
    const char *name;
    const char *type;      /* base type, qualified: to cast a checkpoint's text back */
    const char *type_name; /* pg_type.typname: "int8" */
} KeyColumn;

/* A column of a copy's target and what it becomes. */
typedef struct MapColumn {
    const ColumnFacts *target;
    const ColumnFacts *source; /* copied as it is; NULL = `expr` says otherwise */
    const RawSql *expr;
    const ExprFacts *facts; /* of `expr` */
} MapColumn;

/* What a copy has beyond a backfill.  The target's key is where the source's key goes, column by
 * column, as it is. */
typedef struct CopyPlan {
    const Facts *into;
    bool remote;    /* the target is in another database: rows are relayed through us */
    MapColumn *map; /* in order of the target's columns; without generated ones */
    int map_count;
    const ColumnFacts *key[PLAN_KEY_COLUMNS_MAX]; /* of the target, in order of the source's key */
    const IndexFacts *arbiter;                    /* unique index of the target over those columns,
                                                     alone or with the partition key's */
    const IndexFacts *walk;                       /* index of the target by which its rows are
                                                     found in the order of the key; NULL = none */
    bool invertible; /* the map can be walked back, or `reverse_map:` says how */
    bool reversed;   /* it is the way back of another, of which no guards are recorded */
    const ColumnFacts *irreversible; /* else a column of the source that nothing leads back to */
    const struct IndexPlan *indexes; /* of `indexes: after` (core/sql_index.h); NULL = before */
} CopyPlan;

/* What a purge has beyond a backfill: rows are deleted, and nothing is set. */
typedef struct PurgePlan {
    const Facts *into;  /* the table that keeps the rows; NULL = none */
    bool archives;      /* rows are written to files first */
    bool counts_locked; /* a trigger may keep rows from being deleted: lock, count, compare */
    bool served;        /* plan->key begins with columns of an index by which the rows that match
                           are found: nothing else is looked at */
    const char *walk_index;   /* the index that serves; NULL = none */
    const char *walk_reason;  /* why the walk is by it, or by the key */
    const char *walk_hint;    /* what would make it shorter; NULL = nothing to say */
    const ColumnFacts *least; /* each range records the least value of this column that is left in
                                 it: no later pass looks into the range until the predicate holds
                                 for that value; NULL = every pass looks into all of them */
    const char *least_reason; /* why, or why not; NULL = there is nothing to step over */
    const struct ChildNode *children; /* whose rows go first (core/plan_children.h), parents before
                                         children */
    int child_count;
} PurgePlan;

typedef struct Plan {
    const JobSpec *spec;
    const CopyPlan *copy;               /* of a copy, else NULL */
    const PurgePlan *purge;             /* of a purge, else NULL */
    const struct RestoreFacts *restore; /* of a restore, which has no key (core/restore.h); else
                                           NULL */
    const Facts *facts;
    const ExprFacts *exprs;              /* one per assignment */
    const ExprFacts *where;              /* NULL without `where:` */
    KeyColumn key[PLAN_KEY_COLUMNS_MAX]; /* in the order of which the rows are walked */
    int key_count;
    const char *key_index; /* name of the unique index on the key, of a purge on the identity */
    KeyColumn identity[PLAN_KEY_COLUMNS_MAX]; /* of a purge, what tells its rows apart; part of the
                                                 key, which may begin with other columns */
    int identity_count;
    AccessPath path; /* PATH_KEY or PATH_BLOCK */
    const char *path_reason;
    int stripes; /* 1..16 */
    const char *stripes_reason;
    bool sync_trigger;
    bool trigger_skips_batches; /* a WHEN clause spares our own batches the call */
    bool self_referring;
    bool is_volatile;     /* an expression gives another value each time it is evaluated */
    bool may_skip_locked; /* the work itself turns the predicate false */
    bool strict;
    bool verify;
    bool vacuum;
    int workers;
    int64_t range_size; /* rows on the key path, blocks on the block path */
    int64_t range_rows; /* rows of a range by key, also for the verify pass */
    double rows_per_block;
    char fingerprint[17]; /* of all that changes what the rows become; 16 hex digits */
} Plan;

/*
 * Decide.
 *
 * Shape:   `key` is the index chosen by findings_key_index(), not NULL; all refusals were
 *          dealt with before.
 * Owner:   *plan borrows spec, facts and exprs; plan->copy lives in `arena`.
 */
void plan_build(const JobSpec *spec, const Facts *facts, const ExprReport *exprs,
    const IndexFacts *key, Arena *arena, Plan *plan);

/* The table that rows go to: of a copy, or of a purge with `into:`; NULL else. */
const Facts *plan_into(const Plan *plan);

/* Does somebody keep what a purge deletes, and so needs every column of it? */
bool plan_keeps_rows(const Plan *plan);

#endif
