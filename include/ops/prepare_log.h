/*
 * prepare_log.h - the change log of a copy: make it, put its triggers in place, forget what it
 * could not record.
 */
#ifndef OPS_PREPARE_LOG_H
#define OPS_PREPARE_LOG_H

#include <stdbool.h>

#include "base/err.h"
#include "base/stop.h"
#include "core/plan.h"
#include "pg/conn.h"

/*
 * See to it that both triggers of the log are on the source and fire always; one that is there but
 * disabled, or of another plan, is made anew only where `anew` asks for it.
 *
 * Shape:   `conn` is a session of the source's database, where the capture function is.
 * Errors:  ERR_STOPPED when the token is raised while waiting for a lock.
 */
bool prepare_log_triggers(PgConn *conn, const Plan *plan, int64_t job, bool anew, StopToken *stop,
    Err *err) __attribute__((warn_unused_result));

/*
 * Begin a log anew that has seen TRUNCATE or was too large: nothing it says is complete, so every
 * row has to be compared after this; nothing is done to another log.
 *
 * Shape:   begin the pass that compares first: until this has committed, no run drains.
 * Errors:  as above.
 */
bool prepare_log_reset(PgConn *conn, const Plan *plan, int64_t job, StopToken *stop, Err *err)
    __attribute__((warn_unused_result));

#endif
