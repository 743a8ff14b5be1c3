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

/* Has it seen TRUNCATE, or could it not record something?  Then no run drains it. */
bool prepare_log_is_incomplete(PgConn *conn, const Plan *plan, int64_t job, bool *incomplete,
    Err *err) __attribute__((warn_unused_result));

/*
 * Begin a log anew, after which every row has to be compared.
 *
 * Shape:   begin the pass that compares first: a run that takes it up before this still fails.
 * Errors:  ERR_STOPPED as above.
 */
bool prepare_log_reset(PgConn *conn, const Plan *plan, int64_t job, StopToken *stop, Err *err)
    __attribute__((warn_unused_result));

#endif
