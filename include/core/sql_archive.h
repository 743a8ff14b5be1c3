/*
 * sql_archive.h - the statements of a purge that writes its rows to files before it deletes them.
 *
 * One batch is two transactions.  The first reads: settings, COPY TO STDOUT of the rows with their
 * ctid and xmin, and it holds no lock.  When the rows are on disk the second, one call of move_..,
 * deletes exactly those row versions and records their frame, or fails.
 */
#ifndef CORE_SQL_ARCHIVE_H
#define CORE_SQL_ARCHIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "core/plan.h"

/* ---- the transaction that reads ---- */

/*
 * SELECT that gives it its settings: bounds $1 and $2 (text[] or NULL), rows to leave out $3
 * (tid[] in text form, or NULL), what now() means.
 *
 * Shape:   one row, of which these columns matter; the delete compares file and attributes.
 */
typedef enum ArchiveSettingColumn {
    ARCHIVE_FILENODE = 2, /* file of the table */
    ARCHIVE_COLUMNS,      /* columns it has */
    ARCHIVE_ATTRIBUTES,   /* with those that were dropped */
} ArchiveSettingColumn;

void sql_archive_settings(StrBuf *out, const Plan *plan, int64_t job);

/* Which rows it reads. */
typedef struct ArchiveRows {
    bool from_open;
    bool to_open;
    bool around;       /* leave out those of $3 */
    int64_t rows_most; /* 0 = all up to the bound */
} ArchiveRows;

/* A column that is archived: a generated one is computed again by whoever restores it. */
bool sql_archive_has(const ColumnFacts *column);

/* COPY (ctid, xmin, columns) TO STDOUT in text, in order of the key; and COMMIT, a second
 * statement, unless those that refer to them are read next (core/sql_archive_children.h). */
void sql_archive_read(StrBuf *out, const Plan *plan, const ArchiveRows *rows);

/*
 * Which of the next `rows->rows_most` rows does somebody hold?  Locks those that nobody does: roll
 * back.
 */
typedef enum ArchiveHeldColumn {
    HELD_COUNT = 0, /* rows there are */
    HELD_END,       /* key of the last of them, text[] */
    HELD_TIDS,      /* tid[] of those that are held */
    HELD_LEFT,      /* how many */
    HELD_HOLDERS,   /* int[]: backends that hold them */
} ArchiveHeldColumn;

void sql_archive_held(StrBuf *out, const Plan *plan, const ArchiveRows *rows);

/* ---- the transaction that deletes ---- */

/*
 * CREATE FUNCTION pghaul.move_..: as a batch function (core/sql_batch.h), with
 *
 *   $7  rows that were left behind locks       $8  does the range end here?
 *   $10 file of the table that was read        $11 tid[], $12 xid[]: the row versions; xmin values
 *   $13 where the batch ends; NULL = with the last row of its table
 *   $14 int8[]: ArchiveNumber of each table; NULL = no frame, since no row was read
 *   $15 hash of the rows of each table         $16 int[]: who holds those that were left
 *
 * Errors:  PH005 when a row is not as it was read any more, PH004 when a trigger keeps one.
 */
void sql_archive_function(StrBuf *out, const Plan *plan, int64_t job);

#endif
