/*
 * sql_archive_children.h - an archive of rows together with those that refer to them.
 *
 * All tables of a batch are read in one snapshot.  The call that deletes locks the rows that were
 * read, then all that refer to them by then, and compares: another row, or another version, and the
 * batch is read again.
 */
#ifndef CORE_SQL_ARCHIVE_CHILDREN_H
#define CORE_SQL_ARCHIVE_CHILDREN_H

#include "core/plan_children.h"
#include "core/sql_archive.h"

/*
 * What $14 of the function has of each table, the job's own first; then those of the nodes that are
 * deleted, in order.  All but `file` are 0 of a table without rows in the batch.
 */
typedef enum ArchiveNumber {
    ARCHIVE_NUMBER_FILE = 1, /* 0 = no frame */
    ARCHIVE_NUMBER_FRAME,
    ARCHIVE_NUMBER_RUN,
    ARCHIVE_NUMBER_AT,
    ARCHIVE_NUMBER_BYTES,
    ARCHIVE_NUMBER_RAW_BYTES,
    ARCHIVE_NUMBER_ATTRIBUTES, /* of the table */
    ARCHIVE_NUMBER_FILENODE,
    ARCHIVE_NUMBER_ROWS,
    ARCHIVE_NUMBER_FIRST, /* its first place in $11, from 1 on */
    ARCHIVE_NUMBER_XIDS,
    ARCHIVE_NUMBER_FIRST_XID, /* and in $12 */
} ArchiveNumber;

#define ARCHIVE_NUMBERS 12

/* For core/sql_archive.c: FROM .. WHERE .. ORDER BY .. LIMIT of the job's rows. */
void sql_put_archive_rows(StrBuf *out, const Plan *plan, const ArchiveRows *rows);

/* SELECT file, columns and attributes of a node's table, as ArchiveSettingColumn less 2. */
void sql_archive_child_settings(StrBuf *out, const ChildNode *node);

/* COPY (ctid, xmin, columns) TO STDOUT of the rows of a node that refer to `rows`. */
void sql_archive_read_child(StrBuf *out, const Plan *plan, int node, const ArchiveRows *rows);

/* CTEs and the held rows of children, for sql_archive_held(): pghaul_some has the rows, and each
 * UNION ALL gives place and holder's xid. */
void sql_put_archive_chain(StrBuf *out, const Plan *plan);
void sql_put_archive_chain_held(StrBuf *out, const Plan *plan);

/* Lock, compare, delete; then the frames of the children. */
void sql_put_archive_children_delete(StrBuf *out, const Plan *plan);
void sql_put_archive_children_frames(StrBuf *out, const Plan *plan, int64_t job);

#endif
