/*
 * cutover.h - let the application use the target of a copy under the source's name, and the way
 * back.
 */
#ifndef OPS_CUTOVER_H
#define OPS_CUTOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/stop.h"
#include "base/strbuf.h"
#include "core/plan.h"
#include "ops/carry.h"
#include "pg/conn.h"
#include "store/job.h"

typedef struct CutoverResult {
    int attempts;       /* at the locks */
    int64_t blocked_us; /* of the one that succeeded: how long nobody could write */
    int64_t entries;    /* of the change log, drained on the way */
} CutoverResult;

/* Word for `allow:` by which a cutover without a way back is accepted. */
#define CUTOVER_NO_ROLLBACK "no-rollback"

/*
 * May the job be cut over at all?
 *
 * Errors:  ERR_REFUSED when there is no way back and that was not accepted, when the server refuses
 *          an expression of `reverse_map:`, or when something stands in the way (carry->obstacle).
 */
bool cutover_check(PgConn *conn, const Plan *plan, const Carry *carry, Arena *arena, Err *err)
    __attribute__((warn_unused_result));

typedef struct Cutover {
    PgConn *conn;
    const Plan *plan;   /* as long as the tables have their first names */
    const Carry *carry; /* of it */
    const JobRow *job;
    StopToken *stop;
    Arena *arena;
} Cutover;

/*
 * Carry over, swap, keep the old table in step from then on.
 *
 * Shape:   until the swap commits nothing of the application has changed, and all of it may be done
 *          again; after it cutover_finish() is left.
 * Errors:  see swap_run().
 */
bool cutover_run(const Cutover *cutover, CutoverResult *result, Err *err)
    __attribute__((warn_unused_result));

/*
 * What a cutover or a rollback left to do: validate constraints, ANALYZE.  May be repeated.
 *
 * Shape:   *warnings are counted, and logged: constraints that the rows do not satisfy.
 */
bool cutover_finish(PgConn *conn, const JobRow *job, StopToken *stop, int *warnings, Err *err)
    __attribute__((warn_unused_result));

/*
 * The way back: the old table has all that was written since, and serves again.
 *
 * Errors:  ERR_REFUSED when there is none; see swap_run().
 */
bool cutover_rollback(PgConn *conn, const JobRow *job, int64_t yield_us, StopToken *stop,
    CutoverResult *result, Err *err) __attribute__((warn_unused_result));

/*
 * Keep the old table in step with the new one.
 *
 * Shape:   `go_on` is asked before each batch, and between two rounds through the log, with `arg`;
 *          it may wait.  A round to which it says no is the last one.
 * Errors:  ERR_REFUSED when the reverse change log is not complete.
 */
typedef struct CutoverStanding {
    int64_t drained; /* entries, so far */
    int64_t rows;    /* that were left after the last round, */
    double age_s;    /* and the age of the oldest */
    bool between_rounds;
} CutoverStanding;

typedef struct CutoverFollow {
    PgConn *conn;
    const JobRow *job;
    int64_t run; /* as it is registered */
    bool (*go_on)(void *arg, const CutoverStanding *standing, bool *more, Err *err);
    void *arg;
} CutoverFollow;

bool cutover_follow(const CutoverFollow *follow, CutoverStanding *standing, Err *err)
    __attribute__((warn_unused_result));

/* What cutover_finish() has not done yet, as statements for people; nothing for most jobs. */
bool cutover_left_sql(PgConn *conn, const JobRow *job, StrBuf *out, Err *err)
    __attribute__((warn_unused_result));

/* The statement that removes the old table of a job that was cut over, for people. */
bool cutover_drop_text(PgConn *conn, const JobRow *job, Arena *arena, const char **text, Err *err)
    __attribute__((warn_unused_result));

#endif
