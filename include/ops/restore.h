/*
 * restore.h - from the files of an archive to the ranges of a job that restores them.
 */
#ifndef OPS_RESTORE_H
#define OPS_RESTORE_H

#include "base/arena.h"
#include "base/err.h"
#include "core/plan.h"
#include "core/restore.h"
#include "pg/conn.h"

/*
 * Look at the heads of all units of the archive: what would be restored?
 *
 * Errors:  ERR_USER when there is no such folder; damage is a fact, not an error.
 * Owner:   everything lives in `arena`.
 */
bool restore_look(PgConn *conn, const JobSpec *spec, Arena *arena, const RestoreFacts **facts,
    Err *err) __attribute__((warn_unused_result));

/*
 * Begin the pass with a range for each frame of deleted rows, in one transaction; nothing when
 * another run was faster.
 *
 * Errors:  ERR_CORRUPT when the archive is damaged.
 */
bool restore_begin(PgConn *conn, const Plan *plan, int64_t job, Err *err)
    __attribute__((warn_unused_result));

#endif
