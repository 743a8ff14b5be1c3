/*
 * source.h - is the source of a copy from another server still the server that the job knows?
 *
 * What was read there and written here must not outlive what the source still has: a source that
 * failed over may have lost its last commits, and a server that was restored from a backup is
 * another one.  A restart loses nothing that a batch has waited for to be flushed.
 */
#ifndef STORE_SOURCE_H
#define STORE_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "core/drift.h"
#include "pg/conn.h"
#include "store/job.h"

/*
 * Compare the server behind `source` with what the job's row says.
 *
 * Shape:   *restarted (may be NULL): its postmaster began anew since; source_record() takes note.
 * Errors:  ERR_DRIFT for another server, a new timeline or an older one; ERR_RECONNECT when the
 *          change log is to be drained there and it is a standby.
 */
bool source_check(PgConn *source, const JobRow *job, bool *restarted, Err *err)
    __attribute__((warn_unused_result));

/* Take the server behind `source` for the job's from now on, with `reason` as an event: after a
 * restart, and when a repair begins that compares every row. */
bool source_record(PgConn *conn, PgConn *source, int64_t job, const char *reason, Err *err)
    __attribute__((warn_unused_result));

/*
 * All that the job relies on: its tables at `conn`, and with a session to a source elsewhere (NULL
 * = there is none) that server and the table there.
 *
 * Shape:   another server or timeline counts as DRIFT_TRIGGER: rows written since may be wrong, but
 *          all else is as it was.  A restart is taken note of.
 * Errors:  as guards_check().
 */
bool source_guards_check(PgConn *conn, PgConn *source, const Plan *plan, const JobRow *job,
    DriftKind *kind, Err *err) __attribute__((warn_unused_result));

/* Replace *err, a failure of a statement over the tables, by the drift that explains it, if any;
 * `source` may be NULL or busy. */
void
source_guards_explain(PgConn *conn, PgConn *source, const Plan *plan, const JobRow *job, Err *err);

#endif
