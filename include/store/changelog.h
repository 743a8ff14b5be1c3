/*
 * changelog.h - the change log of a copy and the slices of its drain, as the database has them.
 *
 * The log lies where the application writes, the slices (pghaul.slice) where the state of the job
 * is: for a copy to another server those are two sessions.
 */
#ifndef STORE_CHANGELOG_H
#define STORE_CHANGELOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "core/sql_log.h"
#include "pg/conn.h"
#include "store/ranges.h"

/* A slice that this session drains, as far as it knows. */
typedef struct SliceLease {
    int64_t job;
    int no;
    int slices; /* into which the job's keys are cut */
    int64_t epoch;
    char token[LEASE_TOKEN_SIZE];
} SliceLease;

typedef struct SliceSet {
    SliceLease slices[LOG_SLICES];
    int count;
} SliceSet;

/* A place in a slice: behind the entry with this id. */
typedef struct SlicePlace {
    const SliceLease *slice;
    int64_t after;
} SlicePlace;

/* ---- the log ---- */

typedef struct ChangelogState {
    bool overflowed; /* changes went unrecorded */
    int64_t rows;    /* entries; exact up to LOG_ROWS_EXACT, else an estimate */
    double age_s;    /* of the oldest one; 0 when there is none */
    int64_t last_id; /* the greatest id that has committed; 0 when there is none */
    int64_t bytes;   /* of the table, with entries that are dead */
} ChangelogState;

bool changelog_state(PgConn *conn, const Plan *plan, int64_t job, ChangelogState *state, Err *err)
    __attribute__((warn_unused_result));

/* Of the entries above id `after`. */
bool changelog_state_above(PgConn *conn, const Plan *plan, int64_t job, int64_t after,
    ChangelogState *state, Err *err) __attribute__((warn_unused_result));

/* Ids above `after`, up to `upto`. */
typedef struct LogSpan {
    int64_t after;
    int64_t upto;
} LogSpan;

/* Is no entry left there? */
bool changelog_is_drained(PgConn *conn, const Plan *plan, int64_t job, const LogSpan *span,
    bool *drained, Err *err) __attribute__((warn_unused_result));

/* The key, as text[] in text form, of the first entry from there on; NULL when there is none.  It
 * lives in `arena`. */
bool changelog_next_key(PgConn *conn, const Plan *plan, const SlicePlace *place, Arena *arena,
    const char **key, Err *err) __attribute__((warn_unused_result));

/*
 * Make table and sequence of the log unless they are there; in the caller's transaction, under the
 * job's lock.  One that a job has lost which has `begun` is made anew as one that missed changes.
 */
bool changelog_create(PgConn *conn, const Plan *plan, int64_t job, bool begun, Err *err)
    __attribute__((warn_unused_result));

/* ---- slices ---- */

/* Make the job's slices unless they are there; then they stay as they are, and a target that could
 * be drained then, and cannot now, is refused. */
bool changelog_put_slices(PgConn *conn, const Plan *plan, int64_t job, Err *err)
    __attribute__((warn_unused_result));

/*
 * Lease a slice that nobody has, or whose owner is gone; by the rule of ranges_claim(), but that of
 * one run one session drains: what is leased to the run itself was lost by its former session.
 *
 * Shape:   `owner` as for ranges, its pass is not looked at; the slice is added to those that the
 *          caller has already.
 */
bool changelog_claim(PgConn *conn, const RangeOwner *owner, SliceSet *set, bool *claimed, Err *err)
    __attribute__((warn_unused_result));

/* Who has the slices that are not in the set: *who is "pid 7, pid 9" or NULL, and lives in `arena`.
 */
bool changelog_others(PgConn *conn, int64_t job, const SliceSet *set, Arena *arena,
    const char **who, Err *err) __attribute__((warn_unused_result));

/* Give it back before its time. */
bool changelog_release(PgConn *conn, const SliceLease *lease, Err *err)
    __attribute__((warn_unused_result));

/* Lock the slice's row until the caller's transaction ends; *ours false when another has it now. */
bool changelog_lock_slice(PgConn *conn, const SliceLease *lease, bool *ours, Err *err)
    __attribute__((warn_unused_result));

typedef struct SliceCount {
    int64_t entries;
    int64_t deleted;
    int64_t written;
} SliceCount;

/* Add what a batch has done, in its transaction. */
bool changelog_count(PgConn *conn, const SliceLease *lease, const SliceCount *count, Err *err)
    __attribute__((warn_unused_result));

/* Entries drained by all runs so far. */
bool changelog_drained(PgConn *conn, int64_t job, int64_t *entries, Err *err)
    __attribute__((warn_unused_result));

#endif
