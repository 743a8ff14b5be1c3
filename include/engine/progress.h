/*
 * progress.h - what a run tells about itself while it works, as plain values.
 *
 * Made by the engine under its lock and handed out as a copy; text.c, json.c and the run's row in
 * the database print the same one.
 */
#ifndef ENGINE_PROGRESS_H
#define ENGINE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/governor.h"
#include "store/job.h"
#include "store/ranges.h"

#define PROGRESS_STANDBYS_MAX 16

typedef struct StandbyProgress {
    char name[64];
    bool connected;
    double lag_s;
    int64_t lag_bytes;
} StandbyProgress;

typedef struct Progress {
    PassKind pass_kind;
    int pass;
    double share;       /* 0..1 of the pass; 1 only when it is done */
    int64_t rows;       /* of the pass, by all runs */
    int64_t est_rows;   /* of the pass, an estimate */
    int64_t run_rows;   /* changed by this run */
    int64_t batches;    /* of this run */
    int64_t batch_us;   /* when its last batch committed, on the monotonic clock; 0 = none yet */
    double rows_per_s;  /* walked over lately, by all runs */
    int64_t eta_s;      /* -1 = not known */
    int64_t elapsed_us; /* of this run */
    int64_t ranges, ranges_done;
    int64_t differing;  /* verify: rows that differ so far */
    int64_t leftover;   /* rows left behind locks so far */
    int64_t batch_rows; /* mean rows of the latest batches */
    double batch_ms;    /* mean duration of the latest batches */
    int workers;        /* threads */
    int workers_busy;   /* with a batch in flight or a range at hand */
    int other_runs;     /* of the job, on this host or others */
    int stripes;
    double hot_ratio;           /* of the table's updates since the run began; -1 = unknown */
    int lock_waiters;           /* sessions that wait for a lock on the table */
    int64_t lock_retries;       /* batches that gave way to a lock */
    int64_t cancels;            /* batches cancelled because somebody waited for them */
    int64_t archived_bytes;     /* of files, by this run; of rows that are deleted */
    int64_t archived_raw_bytes; /* those rows as text */
    int64_t errors;             /* other failures that were tried again */
    int64_t
        backlog_rows; /* a copy: changes that are not drained yet; -1 = none to drain, a backfill */
    double backlog_s; /* age of the oldest of them */
    int64_t drained_rows; /* changes drained by this run */
    bool in_sync;         /* every pass is done, and the target is caught up */
    StandbyProgress standbys[PROGRESS_STANDBYS_MAX];
    int standby_count;
    Verdict verdict;                 /* throttled now, and why */
    int64_t paused_us[SIGNAL_COUNT]; /* time throttled, by reason */
    char note[200];                  /* what else to know: who holds rows, old snapshot; "" */
} Progress;

/* What the database has counted of the job's present pass. */
void progress_take_totals(Progress *progress, const JobRow *job, const RangeTotals *totals);

#endif
