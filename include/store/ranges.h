/*
 * ranges.h - the ranges of a pass in pghaul.ranges: carve, claim, re-read.
 *
 * The row of a range is the checkpoint; the batch function compares epoch, lease token, stripe and
 * watermark and changes them in the transaction of its rows.  A lease is liveness only: a claim
 * takes a range whose owner's backend is gone or whose run sent no heartbeat for the lease time.
 */
#ifndef STORE_RANGES_H
#define STORE_RANGES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "pg/conn.h"

#define LEASE_TOKEN_SIZE 37

/* A range that this worker owns, as far as it knows.  Bounds are text[] in text form. */
typedef struct RangeLease {
    int64_t no;
    int64_t epoch;
    char token[LEASE_TOKEN_SIZE];
    int pass;
    const char *low;  /* NULL = open */
    const char *high; /* NULL = open */
    int stripes;
    int stripe;
    const char *watermark; /* NULL = at the beginning of the stripe */
    int visits;
} RangeLease;

/* Who asks: the session that will run the batches. */
typedef struct RangeOwner {
    int64_t job;
    int64_t run;
    int pass;
    int64_t lease_us;
} RangeOwner;

/*
 * Take a free, partial (when its time has come) or abandoned range of the pass.
 *
 * Shape:   *claimed false when there is none now.
 * Owner:   texts of *lease live in `arena`.
 */
bool ranges_claim(PgConn *conn, const RangeOwner *owner, Arena *arena, RangeLease *lease,
    bool *claimed, Err *err) __attribute__((warn_unused_result));

typedef struct RangeCarve {
    const char *frontier; /* compare: where the carving stood; NULL = at the beginning */
    const char *low;      /* begin of the new range: the frontier, or block 0; NULL = open */
    const char *high;     /* end of the new range and new frontier; NULL = open */
    bool last;            /* the pass is carved with this range */
    int64_t est_rows;
    int stripes;
} RangeCarve;

/* Move the frontier by compare-and-set and insert the range, leased to the caller; lease->no is 0
 * when another worker was faster. */
bool ranges_carve(PgConn *conn, const RangeOwner *owner, const RangeCarve *carve, Arena *arena,
    RangeLease *lease, Err *err) __attribute__((warn_unused_result));

/* Ranges of the pass before, one behind the other, in which nothing is to be found yet. */
typedef struct RangeSteps {
    const char *frontier; /* compare: where the first one begins */
    const char *high;     /* where the last one ends: the new frontier */
    int64_t first_no;
    int64_t count;
} RangeSteps;

/* Take them over as done, with what is remembered of them, by compare-and-set; nothing happens when
 * another worker was faster.  The pass is carved when they end where it does. */
bool ranges_step_over(PgConn *conn, const RangeOwner *owner, const RangeSteps *steps, Err *err)
    __attribute__((warn_unused_result));

/*
 * After a lost connection: where does the range stand?  Locks the row, so a transaction of the old
 * session that is still deciding is waited for (ERR_RETRY: not decided yet, ask again).
 *
 * Shape:   *still_ours false when it was taken over or done; else stripe and watermark of *lease
 *          are set anew and the range belongs to this session.
 */
bool ranges_reread(PgConn *conn, const RangeOwner *owner, Arena *arena, RangeLease *lease,
    bool *still_ours, Err *err) __attribute__((warn_unused_result));

/* Give a range back before its time, so that another worker need not wait for the lease. */
bool ranges_release(PgConn *conn, const RangeOwner *owner, const RangeLease *lease, Err *err)
    __attribute__((warn_unused_result));

/* Ranges that are there before anybody works, in pages: items of the same place belong together. */
typedef struct RangePage {
    int64_t first_no;
    const char *lows;  /* text[] of texts of text[], */
    const char *highs; /* likewise */
    const char *rows;  /* int8[] as text */
} RangePage;

/* Insert them, free, in the caller's transaction. */
bool ranges_insert(PgConn *conn, int64_t job, int pass, const RangePage *page, Err *err)
    __attribute__((warn_unused_result));

/* Forget the ranges of earlier passes: a purge has a pass every night. */
bool ranges_forget(PgConn *conn, int64_t job, int before_pass, Err *err)
    __attribute__((warn_unused_result));

/* What a batch that changed no row of this database has found. */
typedef struct RangeStep {
    const char *watermark; /* the new place; of no meaning with `done` */
    bool done;
    int64_t rows;
    int64_t differing;
    const char *keys; /* text[] of the text of some keys that differ; NULL = none */
} RangeStep;

/*
 * Write the checkpoint of such a batch, by compare-and-set.
 *
 * Shape:   *still_ours false when the range was taken over, or is at another place: then nothing
 *          was changed.
 */
bool ranges_advance(PgConn *conn, const RangeOwner *owner, const RangeLease *lease,
    const RangeStep *step, bool *still_ours, Err *err) __attribute__((warn_unused_result));

/* Totals of a pass for progress; rows of all runs. */
typedef struct RangeTotals {
    int64_t ranges, ranges_done;
    int64_t rows;     /* changed (move) or looked at (verify) */
    int64_t est_done; /* rows of the ranges walked over */
    int64_t differing;
    int64_t leftover; /* rows behind locks */
} RangeTotals;

bool ranges_totals(PgConn *conn, int64_t job, int pass, RangeTotals *totals, Err *err)
    __attribute__((warn_unused_result));

/* Of a copy, over all passes: rows that the target had already and were left alone, or changed. */
bool ranges_conflicts(PgConn *conn, int64_t job, int64_t *skipped, int64_t *updated, Err *err)
    __attribute__((warn_unused_result));

#endif
