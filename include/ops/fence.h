/*
 * fence.h - the cutover of a copy to another server: the source takes no more writes, the target's
 * sequences go on where the source's stand.
 */
#ifndef OPS_FENCE_H
#define OPS_FENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/stop.h"
#include "core/plan.h"
#include "pg/conn.h"
#include "store/job.h"

/*
 * Have every write to the source refused from now on; `conn` is a session there.
 *
 * Shape:   writers that are under way are waited for, as ddl_run() does; may be repeated.
 */
bool fence_put(PgConn *conn, const Plan *plan, int64_t job, StopToken *stop, Err *err)
    __attribute__((warn_unused_result));

/* Let the source be written again; nothing without a fence. */
bool fence_remove(PgConn *conn, const JobRow *job, int64_t yield_us, StopToken *stop, Err *err)
    __attribute__((warn_unused_result));

bool fence_is_there(PgConn *conn, const JobRow *job, bool *there, Err *err)
    __attribute__((warn_unused_result));

/* Advance the sequences of the target's columns that are copied as they are; *count of them. */
bool fence_carry_sequences(PgConn *source, PgConn *target, const Plan *plan, int *count, Err *err)
    __attribute__((warn_unused_result));

#endif
