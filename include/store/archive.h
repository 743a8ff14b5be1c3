/*
 * archive.h - the files and frames of a purge's archive, as the database knows them.
 *
 * Tables pghaul.archive_file and pghaul.archive_frame stay when a job is cleaned.  The row of a
 * frame is inserted either by the transaction that deletes its rows, as committed, or by whoever
 * has to know what became of that, as void: its primary key lets exactly one of both win.
 */
#ifndef STORE_ARCHIVE_H
#define STORE_ARCHIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "pg/conn.h"

#define ARCHIVE_UUID_SIZE 37

typedef struct ArchiveFileRow {
    int64_t job;
    int no;
    const char *name;
    const char *table_name;
    int64_t run;
    bool closed;
    int64_t bytes; /* of one that is closed; < 0 = not known, or nobody looks for it any more */
    const char *job_uuid; /* of its job; only read */
    bool cleaned;         /* its job was; only read */
} ArchiveFileRow;

typedef struct ArchiveFileList {
    ArchiveFileRow *rows;
    int count;
} ArchiveFileList;

typedef struct ArchiveFrameRow {
    int64_t job;
    int file;
    int no;
    bool committed; /* only read; else it is void */
    int64_t run;
    int pass;
    int64_t range;
    int64_t rows;
    int64_t at;
    int64_t bytes;
    int64_t raw_bytes;
    const char *hash;
} ArchiveFrameRow;

typedef struct ArchiveFrameList {
    ArchiveFrameRow *rows;
    int count;
} ArchiveFrameList;

/* The number that the job's next file will have, unless somebody else is faster, and the name by
 * which archives know the job. */
bool archive_next_file(PgConn *conn, int64_t job, int *no, char uuid[ARCHIVE_UUID_SIZE], Err *err)
    __attribute__((warn_unused_result));

/* Before the file is made; *recorded is false when the job has a file of that number. */
bool archive_record_file(PgConn *conn, const ArchiveFileRow *file, bool *recorded, Err *err)
    __attribute__((warn_unused_result));

/* The file has its end unit, and so many bytes; < 0 = it was never written, or has no unit. */
bool archive_close_file(PgConn *conn, int64_t job, int no, int64_t bytes, Err *err)
    __attribute__((warn_unused_result));

/*
 * What became of the frame: void from now on, unless it has been committed.
 *
 * Shape:   waits for a transaction that is about to commit it.
 * Errors:  ERR_RETRY when that takes longer than the session's lock_timeout: not decided yet.
 */
bool archive_decide(PgConn *conn, const ArchiveFrameRow *frame, bool *committed, Err *err)
    __attribute__((warn_unused_result));

/* Files of all jobs, also cleaned ones, that have or had this name, in order of job and number. */
bool archive_files(PgConn *conn, const char *job, Arena *arena, ArchiveFileList *files, Err *err)
    __attribute__((warn_unused_result));

/* Frames of one file in order. */
bool archive_frames(PgConn *conn, int64_t job, int file, Arena *arena, ArchiveFrameList *frames,
    Err *err) __attribute__((warn_unused_result));

/* Note down what the run has archived: bytes of committed frames. */
bool archive_count_run(PgConn *conn, int64_t job, int64_t run, Err *err)
    __attribute__((warn_unused_result));

#endif
