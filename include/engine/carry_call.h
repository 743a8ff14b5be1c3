/*
 * carry_call.h - one batch by one function call: rows and checkpoint in one transaction.
 */
#ifndef ENGINE_CARRY_CALL_H
#define ENGINE_CARRY_CALL_H

#include "engine/carrier.h"

/* A verify batch locks no row, nor does a copy lock one that the application knows: its statement
 * may take as long as a snapshot may live.  Whoever waits for it is still seen by the monitor. */
#define CARRY_LOCKLESS_TIMEOUT_MS 5000

/* Of the vtable in carrier.h. */
bool carry_call(Worker *worker, int64_t size, bool skip_locked, CarryResult *result, Err *err)
    __attribute__((warn_unused_result));
bool carry_locate(Worker *worker, int64_t size, Err *err) __attribute__((warn_unused_result));

/*
 * Run the smallest batch of the worker's range row by row; those that are refused are set aside.
 *
 * Errors:  as carry_call(); ERR_LIMIT when more rows would be set aside than the job may.
 */
bool carry_isolate(Worker *worker, bool skip_locked, CarryResult *result, Err *err)
    __attribute__((warn_unused_result));

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

#endif
