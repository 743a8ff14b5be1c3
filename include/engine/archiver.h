/*
 * archiver.h - the archive of one worker: its file, the rows that are on their way there, and what
 * became of the last frame.
 *
 * The file is made when the first frame is written.  A frame whose rows were perhaps deleted is
 * `pending` until the database says what became of it; nothing is appended before.
 */
#ifndef ENGINE_ARCHIVER_H
#define ENGINE_ARCHIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "core/archive_frame.h"
#include "engine/archive_file.h"
#include "engine/engine_state.h"
#include "store/archive.h"

/* Rows of a batch, and the versions of them that were read. */
typedef struct ArchiveRowsRead {
    StrBuf text; /* COPY text without ctid and xmin */
    StrBuf tids; /* tid[] and xid[] as the server takes them in binary, from */
    StrBuf xids; /* archive_rows_finish() on */
    int64_t count;
    uint32_t last_xid; /* the values of xmin are a set, mostly a small one */
    int xid_count;
    bool malformed;
} ArchiveRowsRead;

/* Forget the rows, keep the memory. */
void archive_rows_clear(ArchiveRowsRead *rows);
void archive_rows_free(ArchiveRowsRead *rows);

/* Take one line "(block,offset)\txmin\trest"; false when it is none. */
bool archive_rows_add(ArchiveRowsRead *rows, const char *line, size_t len);

void archive_rows_finish(ArchiveRowsRead *rows);

typedef struct Archiver {
    /* set at creation */
    ArchiveOrigin origin; /* but file_no and job_uuid, which come with the file */
    ArchiveFolder folder;
    ArchiveEncoder *encoder;
    Arena arena;
    char job_uuid[ARCHIVE_UUID_SIZE];

    ArchiveWriter *writer; /* NULL before the first frame */
    ArchiveFate last;      /* of the last frame, unless it is pending */
    bool pending;
    ArchiveFrameRow frame; /* the last one */
    char hash[ARCHIVE_HASH_SIZE];
    bool failed; /* the file was given up */

    ArchiveRowsRead rows;
} Archiver;

/* Of the worker; made when it is asked for first. */
Archiver *archiver_of(Worker *worker);

/* Is the fate of the last frame known?  Then there is nothing to do. */
bool archiver_decide(Worker *worker, Err *err) __attribute__((warn_unused_result));

/*
 * Append the rows as one frame, and wait until it is on disk; it is pending then.
 *
 * Errors:  ERR_FATAL of the file system, which ends the run; those of the database.
 */
bool archiver_append(Worker *worker, Err *err) __attribute__((warn_unused_result));

/* The pending frame's rows were deleted. */
void archiver_committed(Worker *worker);

/* Close the file, where the fate of its last frame can be had, and free everything; else the next
 * run does it. */
void archiver_end(Worker *worker);

#endif
