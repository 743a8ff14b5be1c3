/*
 * carrier.h - how the rows of a batch travel: by a function call within one database, or through us
 * between two.
 *
 * A worker drives any of them alike: each moves the lease forward with the rows it brought.
 */
#ifndef ENGINE_CARRIER_H
#define ENGINE_CARRIER_H

#include "engine/engine_state.h"
#include "pg/params.h"
#include "pg/query.h"

typedef enum CarryOutcome {
    CARRY_MORE = 0, /* the range goes on; lease and watermark stand at the new place */
    CARRY_DONE,     /* the range is done */
    CARRY_PARTIAL,  /* rows were left behind locks; the range will be visited again */
    CARRY_LOST,     /* the range is not ours any more */
} CarryOutcome;

typedef struct CarryResult {
    CarryOutcome outcome;
    int64_t rows;     /* changed, or looked at */
    int64_t left;     /* left behind locks, or differing */
    char holders[64]; /* "{1,2}": backends that hold rows; "" */
    int64_t aside;    /* refused and set aside */
    int64_t slept_us; /* of the batch's time: it would be no shorter with fewer rows */
} CarryResult;

typedef struct Carrier {
    /*
     * Run one batch of the worker's range and move its lease forward.
     *
     * Shape:   `skip_locked`: leave locked rows behind; the move of a copy goes around rows whose
     *          unique values are taken instead, and leaves them to the drain of the change log.
     * Errors:  by class; ERR_RECONNECT means that the outcome is unknown and the range must be
     *          re-read.
     */
    bool (*batch)(Worker *worker, int64_t size, bool skip_locked, CarryResult *result, Err *err);

    /*
     * Find the first row of the batch at hand that the server refuses, and record it.
     *
     * Shape:   true when none was found; else ERR_POISON, without key or value.
     */
    bool (*locate)(Worker *worker, int64_t size, Err *err);

    /* The most that a batch may have now, for reasons of the carrier's own; NULL = no limit. */
    int64_t (*size_max)(const Worker *worker);
} Carrier;

/* That of the pass that the worker's range belongs to. */
const Carrier *carrier_of(const Worker *worker);

/* ---- what carriers share ---- */

/* Above the server's own timers: then the network is at fault. */
#define CARRY_GRACE_US ((int64_t)20 * 1000000)

/* SET LOCAL synchronous_commit .. as the job wants it. */
const char *carry_commit_mode(const Plan *plan);

/* The sessions that may be cancelled from now on, NULL = none; after a batch both are NULL. */
void carry_set_cancellable(Worker *worker, PgConn *conn, PgConn *source);

/* $1 to $5 of a batch function; the caller adds $6 to $8, then come the last two. */
void carry_put_lease(Params *params, const Worker *worker);
void carry_put_guards(Params *params, const Worker *worker);

/* What a batch function returned; with 'more' the lease moves on. */
bool carry_take_result(Worker *worker, const PgResult *rows, CarryResult *result, Err *err)
    __attribute__((warn_unused_result));

/* ERR_POISON for a row that is refused with this state; returns false. */
bool carry_refused(const char *sqlstate, Err *err);

/* Record the row's key and the server's words, which are for the operator's eyes, not for a log;
 * returns false with ERR_POISON. */
bool
carry_stop_at(Worker *worker, const char *key, const char *sqlstate, const char *message, Err *err);

#endif
