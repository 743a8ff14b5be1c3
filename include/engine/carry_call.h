/*
 * carry_call.h - one batch by one function call: rows and checkpoint in one transaction.
 */
#ifndef ENGINE_CARRY_CALL_H
#define ENGINE_CARRY_CALL_H

#include "engine/engine_state.h"

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
    char sample[200]; /* verify: a few keys that differ; "" */
} CarryResult;

/*
 * Run one batch of the worker's range and move its lease forward.
 *
 * Errors:  by class; ERR_RECONNECT means that the outcome is unknown and the range must be re-read.
 */
bool carry_call(Worker *worker, int64_t size, bool skip_locked, CarryResult *result, Err *err)
    __attribute__((warn_unused_result));

/*
 * Find the first row of the batch at hand that the server refuses.
 *
 * Shape:   true when none was found; else ERR_POISON with the row's key in *err.
 */
bool carry_locate(Worker *worker, int64_t size, Err *err) __attribute__((warn_unused_result));

#endif
