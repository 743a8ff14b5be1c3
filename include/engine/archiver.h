/*
 * archiver.h - the archive of one worker: its files, the rows that are on their way there, and what
 * became of the last frames.
 *
 * A table has a file of its own, and of one batch a frame in it: slot 0 is the job's table, the
 * others are those whose rows go with its own.  A file is made when its first frame is written.  A
 * frame whose rows were perhaps deleted is `pending` until the database says what became of it;
 * nothing is appended before.
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
    StrBuf tids; /* elements of a tid[] and an xid[], as the server takes them in binary */
    StrBuf xids;
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

/* The file of one table. */
typedef struct ArchiveSlot {
    int node;              /* of PurgePlan.children; CHILD_OF_JOB = the job's table */
    ArchiveOrigin origin;  /* but file_no and job_uuid, which come with the file */
    ArchiveWriter *writer; /* NULL before the first frame */
    ArchiveFate last;      /* of the last frame, unless it is pending */
    bool pending;
    ArchiveFrameRow frame; /* the last one */
    char hash[ARCHIVE_HASH_SIZE];
    bool failed;          /* the file was given up */
    const char *filenode; /* of the table that was read; lives as long as the batch */
    const char *attributes;
    ArchiveRowsRead rows;
} ArchiveSlot;

typedef struct Archiver {
    /* set at creation */
    ArchiveFolder folder;
    ArchiveEncoder *encoder;
    Arena arena;
    char job_uuid[ARCHIVE_UUID_SIZE];

    ArchiveSlot *slots;
    int slot_count;
    StrBuf tids; /* of all slots, one after the other: tid[] and xid[] in binary */
    StrBuf xids;

    /* The rows of the pending frames were deleted by a commit of this session that nobody waited
     * for; "" = not so.  While it lives, the server has not crashed and lost that. */
    char deleted_by[64];
} Archiver;

/* Put the versions of all slots together. */
void archiver_join(Archiver *archiver);

/* Of the worker; made when it is asked for first. */
Archiver *archiver_of(Worker *worker);

/* Is a frame pending? */
bool archiver_is_pending(const Archiver *archiver);

/* Find out what became of the frames that are pending. */
bool archiver_decide(Worker *worker, Err *err) __attribute__((warn_unused_result));

/*
 * Append the rows, of each table as one frame, and wait until they are on disk; they are pending
 * then.
 *
 * Errors:  ERR_FATAL of the file system, which ends the run; those of the database.
 */
bool archiver_append(Worker *worker, Err *err) __attribute__((warn_unused_result));

/* The rows of the pending frames were deleted, in the worker's session. */
void archiver_deleted(Worker *worker);

/* Is it so, and does that session live? */
bool archiver_is_deleted(const Worker *worker);

/* Wait until that is on the server's disk, before the next frame says so; the commit is flushed
 * while that is read. */
bool archiver_confirm(Worker *worker, Err *err) __attribute__((warn_unused_result));

/* Close the files, where the fate of their last frames can be had, and free everything; else the
 * next run does it. */
void archiver_end(Worker *worker);

#endif
