/*
 * passes.h - the passes of a job, one after the other: move, verify, end; or, when the verify pass
 * found differences and they are to be mended, repair, verify, end.
 *
 * Any worker of any run may turn the page; compare-and-set in the job's row makes it happen once.
 */
#ifndef ENGINE_PASSES_H
#define ENGINE_PASSES_H

#include "core/plan.h"
#include "pg/conn.h"
#include "store/job.h"

typedef enum PassStep {
    PASS_STEP_WORK = 0, /* ranges of the pass in *job are there to be taken, or will be again */
    PASS_STEP_BEGUN,    /* another pass has begun; read the job again */
    PASS_STEP_FINISHED, /* nothing is left of the last pass */
} PassStep;

/* Begin a move pass over the table as it is now; bounds are taken after the trigger committed.
 * `source` is a session to the table where that is in another database, else NULL. */
bool passes_begin_move(PgConn *conn, PgConn *source, const Plan *plan, int64_t job, int from_pass,
    Err *err) __attribute__((warn_unused_result));

/*
 * The table has another file: begin the move pass anew over its blocks.
 *
 * File and pass change in one transaction, so that no range of the old blocks is walked over in
 * the new file and counted as done; the file is read before its blocks are counted.
 */
bool passes_restart_move(PgConn *conn, const Plan *plan, int64_t job, int from_pass, Err *err)
    __attribute__((warn_unused_result));

/* Begin a verify pass over the current extent, open at both ends. */
bool passes_begin_verify(PgConn *conn, const Plan *plan, int64_t job, int from_pass, Err *err)
    __attribute__((warn_unused_result));

/* Begin a repair pass over the current extent, open at both ends, by key. */
bool passes_begin_repair(PgConn *conn, const Plan *plan, int64_t job, int from_pass, Err *err)
    __attribute__((warn_unused_result));

/* Was a repair cut off, and would a run go on with it? */
bool passes_are_repairing(PgConn *conn, const JobRow *job, bool *repairing, Err *err)
    __attribute__((warn_unused_result));

/* No range could be had: is the pass done, and what comes next? */
bool passes_advance(PgConn *conn, const Plan *plan, const JobRow *job, PassStep *step, Err *err)
    __attribute__((warn_unused_result));

#endif
