/*
 * archive_settle.h - the archive at the begin of a run: is all there that was deleted, and what
 * became of the frames that a run which died has left?
 */
#ifndef OPS_ARCHIVE_SETTLE_H
#define OPS_ARCHIVE_SETTLE_H

#include "base/err.h"
#include "core/plan.h"
#include "pg/conn.h"
#include "store/job.h"

/*
 * Compare the archive's folder with the database, and close the files that were left open.
 *
 * All is looked at before anything is touched.  Files that are closed are there and as large as
 * they were; those that are not are read in full.  Then the fate of each frame that the database
 * does not know is decided there: from then on a session of the dead run that is still at work
 * cannot commit it.  A torn tail is kept aside and cut.
 *
 * Shape:   nothing to do for a plan without an archive.  No other run of the job is alive.
 * Errors:  ERR_REFUSED: a file that this database does not know, or a folder that is not ours;
 *          ERR_CORRUPT: a frame whose rows are deleted is missing or damaged; ERR_BUSY: somebody
 *          still writes a file.
 */
bool archive_settle_job(PgConn *conn, const Plan *plan, const JobRow *job, Err *err)
    __attribute__((warn_unused_result));

#endif
