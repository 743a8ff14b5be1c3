/*
 * restore.h - what a restore knows of its archive before it begins.
 *
 * All of it was read from files that anybody may have written: names are compared with the table's
 * before they stand in a statement.
 */
#ifndef CORE_RESTORE_H
#define CORE_RESTORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "core/archive_frame.h"
#include "core/facts.h"
#include "core/plan.h"

typedef struct RestoreFacts {
    const char *job; /* that wrote the first of the files */
    const char *job_uuid;
    const char *table;            /* schema.table, as the files name it */
    const char *other_table;      /* another one in the same files; NULL = there is none */
    const ArchiveColumn *columns; /* of all files, each name and type once */
    int column_count;
    bool known; /* the database knows which rows were deleted; else the files say it */
    int64_t files;
    int64_t frames; /* to be restored */
    int64_t rows;
    int64_t raw_bytes;
    int64_t undecided_frames; /* left out: nothing says whether their rows were deleted */
    int64_t undecided_rows;
    const char *torn; /* a file whose end is torn, perhaps with rows; NULL = none */
    int64_t damages;
    const char *damage; /* the first of them: file, offset and what is wrong; NULL = none */
} RestoreFacts;

/*
 * The column of the table that takes an archived one: of the same name and type, and not generated;
 * NULL when there is none.  *same_name is the one of that name, or NULL.
 */
const ColumnFacts *
restore_column(const Facts *facts, const ArchiveColumn *column, const ColumnFacts **same_name);

#endif
