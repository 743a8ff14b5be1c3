/*
 * aftercare.h - what a purge leaves behind: rows that still match, room in the table, and for as
 * long as the job lasts a table whose end no VACUUM gives back.
 */
#ifndef OPS_AFTERCARE_H
#define OPS_AFTERCARE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/stop.h"
#include "core/plan.h"
#include "pg/conn.h"

typedef struct Aftercare {
    int64_t run;
    int64_t rows;         /* deleted by it */
    bool complete;        /* nothing that was old is left */
    int64_t backlog_rows; /* the planner's estimate of what matches now; -1 = unknown */
    int64_t freed_bytes;  /* an estimate too: room for new rows; -1 = unknown */
    bool grew;            /* more is left than the run before it left, by more than the estimates
                             differ among themselves */
} Aftercare;

/*
 * At the end of a purge's run: estimate from `run`, `rows` and `complete` the rest, record it with
 * the run; a backlog that grew is logged as a warning and leaves an event.
 */
bool aftercare_record(PgConn *conn, const Plan *plan, int64_t job, Aftercare *care, Err *err)
    __attribute__((warn_unused_result));

/*
 * `vacuum_truncate: off`: set the table's parameter, once, and record in the same transaction what
 * it was.  Nothing for any other job.
 *
 * Errors:  ERR_STOPPED when the token is raised while waiting for the lock.
 */
bool aftercare_keep_tail(PgConn *conn, const Plan *plan, int64_t job, StopToken *stop, Err *err)
    __attribute__((warn_unused_result));

/* Put it back, unless somebody has changed it since or another job of the table needs it; nothing
 * where nothing was recorded. */
bool aftercare_release_tail(PgConn *conn, int64_t job, StopToken *stop, Err *err)
    __attribute__((warn_unused_result));

#endif
