/*
 * guards.h - what a job relies on in its table: recorded once, compared by every batch.
 *
 * pghaul.table_signature() makes the text; core/drift.h puts a difference into words.
 */
#ifndef STORE_GUARDS_H
#define STORE_GUARDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "core/drift.h"
#include "core/plan.h"
#include "pg/conn.h"
#include "store/job.h"

/* The table of pghaul.job j as it is now.  A source on another server cannot be seen from here. */
#define GUARDS_PRESENT                                                                             \
    "CASE WHEN j.source_system_id IS NOT NULL THEN j.signature\n"                                  \
    "                WHEN j.kind = 'copy' THEN pghaul.copy_signature(j.table_oid,\n"               \
    "                    j.used_columns, j.key_columns, j.trigger_name)\n"                         \
    "                ELSE pghaul.table_signature(j.table_oid, j.used_columns,\n"                   \
    "                    j.key_columns, j.trigger_name IS NOT NULL OR j.kind = 'purge') END"

/* The target of a copy, or the table that keeps the rows of a purge, likewise; else NULL. */
#define GUARDS_INTO                                                                                \
    "CASE WHEN j.into_oid IS NOT NULL THEN pghaul.table_signature(j.into_oid,\n"                   \
    "                    j.into_used, j.into_key, false) END"

/*
 * Record table, columns and triggers as they are now, and the table's file.
 *
 * Errors:  ERR_DRIFT when `trigger_fires` is asked for and the plan's sync trigger is not there,
 *          enabled ALWAYS, with the plan's function: in the statement that records it.
 */
bool guards_record(PgConn *conn, const Plan *plan, int64_t job, bool trigger_fires, Err *err)
    __attribute__((warn_unused_result));

/*
 * Compare.
 *
 * Shape:   *kind, which may be NULL, is DRIFT_NONE on true and on errors of the server.
 * Errors:  ERR_DRIFT that says what was changed, and what helps.
 */
bool guards_check(PgConn *conn, int64_t job, DriftKind *kind, Err *err)
    __attribute__((warn_unused_result));

/*
 * The same for the source of a copy on another server, through a session there, which needs no
 * schema pghaul and may be one to a standby.
 *
 * Shape:   guards_record_source() goes with guards_record(), which leaves the source out;
 *          `signature` is that of the job's row, not NULL.
 */
bool guards_record_source(PgConn *conn, PgConn *source, const Plan *plan, int64_t job, Err *err)
    __attribute__((warn_unused_result));
bool guards_check_source(PgConn *source, const Plan *plan, const JobRow *job, DriftKind *kind,
    Err *err) __attribute__((warn_unused_result));

/*
 * COMMIT of a transaction that has read the source: only true when the table is what it was when
 * the job began.  Nobody can have changed its columns since the read, whose lock is still held.
 */
bool guards_end_source(PgConn *source, const Plan *plan, const JobRow *job, Err *err)
    __attribute__((warn_unused_result));

/* Take the tables as it is now, where what is recorded of them else still holds: they had other
 * names for a while, and the triggers were made anew. */
bool guards_renew(PgConn *conn, int64_t job, Err *err) __attribute__((warn_unused_result));

/* Replace *err, a failure of a statement over the table, by the drift that explains it, if any. */
void guards_explain(PgConn *conn, int64_t job, Err *err);

#endif
