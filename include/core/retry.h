/*
 * retry.h - what a worker does after a failure, and how long it waits first.
 *
 * The worker owns one RetryHistory for the place it is at (this slice of this range).  On each
 * failure it calls retry_record(), then retry_decide(); after a committed batch
 * retry_succeeded().  No failure of class ERR_RETRY or ERR_TIMEOUT ever ends a run: the
 * application holds the lock, and it will let go.
 */
#ifndef CORE_RETRY_H
#define CORE_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "core/prng.h"

typedef enum RetryAction {
    RETRY_SAME = 0,    /* the same batch once more */
    RETRY_HALVE,       /* pacer_halve(), then again */
    RETRY_SKIP_LOCKED, /* again, passing over locked rows; the range will need a second visit */
    RETRY_RECONNECT,   /* open a session, find out how the last COMMIT ended, go on from there */
    RETRY_WAIT,        /* the same batch after the wait; a smaller one would not help */
    RETRY_LOCATE,      /* halve down to the row that the server refuses */
    RETRY_FAIL,        /* give up; the error travels on */
} RetryAction;

/* Bounds of a wait. */
typedef struct BackoffPolicy {
    int64_t base_us;
    int64_t cap_us; /* 0 = no wait */
} BackoffPolicy;

typedef struct RetryDecision {
    RetryAction action;
    BackoffPolicy wait; /* before the action */
} RetryDecision;

/* Failures at one place since the last batch that committed there. */
typedef struct RetryHistory {
    int lock_failures;   /* ERR_RETRY */
    int timeouts;        /* ERR_TIMEOUT */
    int poison_failures; /* ERR_POISON */
    bool at_floor;       /* set by the owner: pacer_is_at_floor() */
    bool may_skip;       /* set by the owner: the work itself turns the predicate false */
} RetryHistory;

/* Count a failure of this class. */
void retry_record(RetryHistory *history, ErrClass cls);

/*
 * What to do about `err`, which retry_record() has counted.
 *
 * Lock failures: the first two halve; from the third on locked rows are skipped where that is
 * right, else the batch is halved down to one row with a wait before each attempt.
 * A foreign key or unique violation gets one plain retry, since another transaction may be about
 * to bring the missing row or to take the other one away; every other refused row is located.
 */
RetryDecision retry_decide(const Err *err, const RetryHistory *history);

/* True while batches at this place have to pass over locked rows. */
bool retry_skips_locked(const RetryHistory *history);

/* A batch has committed: forget the failures, keep what the owner set. */
void retry_succeeded(RetryHistory *history);

/*
 * The wait before the next attempt, with decorrelated jitter: min(cap, random(base, 3 * previous)).
 *
 * Many workers that failed together do not come back together, and a first wait stays short.
 * Source: AWS Architecture Blog, "Exponential Backoff And Jitter", 2015.
 */
typedef struct Backoff {
    BackoffPolicy policy; /* of the last wait; another one starts from its own base */
    int64_t previous_us;
} Backoff;

#define BACKOFF_INIT ((Backoff){.previous_us = 0})

/* 0 for a policy without a wait.  After a success the owner sets the Backoff to BACKOFF_INIT. */
int64_t backoff_next_us(Backoff *backoff, BackoffPolicy policy, Prng *prng);

#endif
