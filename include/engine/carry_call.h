/*
 * carry_call.h - one batch by one function call: rows and checkpoint in one transaction.
 */
#ifndef ENGINE_CARRY_CALL_H
#define ENGINE_CARRY_CALL_H

#include "engine/engine_state.h"
#include "pg/params.h"

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
} CarryResult;

/*
 * Run one batch of the worker's range and move its lease forward.
 *
 * Errors:  by class; ERR_RECONNECT means that the outcome is unknown and the range must be re-read.
 */
bool carry_call(Worker *worker, int64_t size, bool skip_locked, CarryResult *result, Err *err)
    __attribute__((warn_unused_result));

/*
 * Run the smallest batch of the worker's range row by row; those that are refused are set aside.
 *
 * Errors:  as carry_call(); ERR_LIMIT when more rows would be set aside than the job may.
 */
bool carry_isolate(Worker *worker, bool skip_locked, CarryResult *result, Err *err)
    __attribute__((warn_unused_result));

/*
 * Find the first row of the batch at hand that the server refuses, and record it.
 *
 * Shape:   true when none was found; else ERR_POISON, without key or value.
 */
bool carry_locate(Worker *worker, int64_t size, Err *err) __attribute__((warn_unused_result));

/*
 * Try the rows that follow, without changing one: is it they that are bad, or the expression?
 *
 * Shape:   true when one of them is not refused, or too few are there to tell; else ERR_POISON, and
 *          the first is recorded as the row at which the run stopped.
 */
bool carry_census(Worker *worker, Err *err) __attribute__((warn_unused_result));

/* Run one call as a batch transaction of the worker's session; the monitor may cancel it. */
bool carry_run(Worker *worker, const char *sql, const Params *params, int64_t timeout_ms,
    PgResult **result, Err *err) __attribute__((warn_unused_result));

/* ERR_POISON for a row that is refused with this state; returns false. */
bool carry_refused(const char *sqlstate, Err *err);

#endif
