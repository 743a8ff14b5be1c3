/*
 * prepare.h - from an accepted plan to a job that workers can take up.
 *
 * Every step finds out what is there already, so that any of them may be cut off and done again,
 * by this run or by several at once.
 */
#ifndef OPS_PREPARE_H
#define OPS_PREPARE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/stop.h"
#include "core/plan.h"
#include "pg/conn.h"
#include "store/job.h"

/*
 * Install the schema, create the job's row or find it, and take over what its file now says about
 * settings.
 *
 * Errors:  ERR_REFUSED when the row belongs to another plan (the job file changed) or to another
 *          server; ERR_BUSY never.
 * Owner:   texts of *job live in `arena`.
 */
bool prepare_job(PgConn *conn, const Plan *plan, Arena *arena, JobRow *job, Err *err)
    __attribute__((warn_unused_result));

/*
 * Create functions and sync trigger, wait for what must be waited for, begin the first pass.
 * The job must be `ready` or further; does nothing for what is there.
 *
 * Shape:   `conn` is where the state lives; `source` a session to the source of a copy where that
 * is in another database, else NULL.
 *
 * Errors:  ERR_STOPPED when the token is raised while waiting for a lock.
 */
bool prepare_objects(PgConn *conn, PgConn *source, const Plan *plan, int64_t job, StopToken *stop,
    Err *err) __attribute__((warn_unused_result));

/*
 * Of a purge that was run before, after prepare_objects(): begin another pass over the table as it
 * is now.
 *
 * Shape:   a pass that was not finished, and whose plan still fits, is to be gone on with instead:
 *          then *inherited_pass is its number, else 0.
 */
bool prepare_next_pass(PgConn *conn, const Plan *plan, const JobRow *job, int *inherited_pass,
    Err *err) __attribute__((warn_unused_result));

/* Only the functions. */
bool prepare_functions(PgConn *conn, const Plan *plan, int64_t job, Err *err)
    __attribute__((warn_unused_result));

/* A copy's change log on the server of its source; one that was dropped since is made anew, as one
 * that has missed changes.  Nothing where the source is at home, or without a sync trigger. */
bool prepare_source(PgConn *conn, PgConn *source, const Plan *plan, int64_t job, Err *err)
    __attribute__((warn_unused_result));

/* See to it that the sync trigger is there as the plan has it and fires always, also when it was
 * dropped or disabled since; nothing without one.  ERR_STOPPED as above. */
bool prepare_trigger(PgConn *conn, PgConn *source, const Plan *plan, int64_t job, StopToken *stop,
    Err *err) __attribute__((warn_unused_result));

typedef struct PrepareAnew {
    bool trigger_fires; /* only with the sync trigger in place, see guards_record() */
    bool move;          /* begin the move anew, not a verify pass */
    const char *reason; /* of the event */
} PrepareAnew;

/*
 * Take the table as it is now for what the job relies on, and walk over all of it again.
 *
 * Guards and pass change in one transaction: no range that was done before counts after.
 */
bool prepare_anew(PgConn *conn, PgConn *source, const Plan *plan, const JobRow *job,
    const PrepareAnew *anew, Err *err) __attribute__((warn_unused_result));

#endif
