/*
 * sql_restore.h - the statements of a restore: one frame of an archive in one transaction.
 *
 * claim_.. (core/sql_relay.h; the range's row stays locked), COPY FROM STDIN, restored_.. (guards
 * and checkpoint), COMMIT.
 */
#ifndef CORE_SQL_RESTORE_H
#define CORE_SQL_RESTORE_H

#include "base/strbuf.h"
#include "core/archive_frame.h"
#include "core/plan.h"

/* $7 rows that came; the range is done.  Else as a batch function. */
void sql_restored_function(StrBuf *out, const Plan *plan, int64_t job);

/*
 * COPY FROM STDIN of a frame with these columns.
 *
 * Shape:   false when the table does not take one of them, or the encoding's name is none: nothing
 *          of the archive stands in a statement that was not compared with the table.
 */
bool sql_restore_copy(StrBuf *out, const Plan *plan, const ArchiveOrigin *origin)
    __attribute__((warn_unused_result));

#endif
