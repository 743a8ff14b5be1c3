/*
 * ledger.h - what the database knows of archive files: which job wrote them, which of their frames
 * hold rows that were deleted.
 *
 * Read only.  A job stays in the ledger when it is cleaned.
 */
#ifndef STORE_LEDGER_H
#define STORE_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "core/archive_frame.h"
#include "pg/conn.h"

typedef struct LedgerJob {
    int64_t id;
    const char *name;
    const char *uuid;
    const char *spec; /* text of the job file */
} LedgerJob;

/* Jobs that have written archive files, or may do so. */
bool ledger_jobs(PgConn *conn, Arena *arena, LedgerJob **jobs, int *count, Err *err)
    __attribute__((warn_unused_result));

typedef struct LedgerFile {
    int no;
    const char *name;
    const char *table; /* quoted where SQL needs it */
    int64_t run;
    bool closed;
    int64_t bytes;     /* of one that is closed; < 0 = nobody looks for it any more */
    int64_t committed; /* frames */
    int last;          /* number of the last frame; 0 = none */
} LedgerFile;

/* Files of a job, by number. */
bool ledger_files(PgConn *conn, int64_t job, Arena *arena, LedgerFile **files, int *count, Err *err)
    __attribute__((warn_unused_result));

typedef struct LedgerFrame {
    int no;
    ArchiveFate fate;
    int64_t rows;
    int64_t at;
    int64_t bytes;
    int64_t raw_bytes;
    const char *hash;
} LedgerFrame;

typedef struct LedgerPage {
    LedgerFrame *frames;
    int count;
} LedgerPage;

typedef struct LedgerPlace {
    int64_t job;
    int file;
    int frame;
} LedgerPlace;

/* The frames of a file, by number, from that of the place on; LEDGER_FRAMES_MAX at most. */
#define LEDGER_FRAMES_MAX 10000
bool ledger_frames(PgConn *conn, const LedgerPlace *from, Arena *arena, LedgerPage *page, Err *err)
    __attribute__((warn_unused_result));

#endif
