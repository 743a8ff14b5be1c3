/*
 * archive_walk.h - walk over the files of an archive, and say of each frame what became of its
 * rows: what the database says that wrote it, where it is at hand, else what the file says.
 *
 * Reads only, and needs memory for the names of the files and for one page of the database's list.
 */
#ifndef OPS_ARCHIVE_WALK_H
#define OPS_ARCHIVE_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "engine/archive_scan.h"
#include "pg/conn.h"

#define WALK_TIME_SIZE 32

/* What is to be looked at. */
typedef struct WalkChoice {
    const char *table; /* name or schema.name, as a job file has it; NULL = all */
    int64_t run;       /* 0 = all */
} WalkChoice;

typedef struct WalkedFrame {
    int no;
    int64_t at;
    int64_t bytes;
    int64_t rows;
    int64_t raw_bytes;
    char hash[ARCHIVE_HASH_SIZE]; /* of the COPY text */
    ArchiveFate fate;             /* ARCHIVE_NONE: nothing says it */
} WalkedFrame;

typedef struct WalkedFile {
    const ArchiveName *name;
    ArchiveOrigin origin; /* job is NULL where no unit could be read */
    bool known;           /* the database has written it */
    ArchiveState state;
    int64_t bytes;
    int64_t frames[ARCHIVE_VOID + 1]; /* by fate */
    int64_t rows[ARCHIVE_VOID + 1];
    int64_t raw_bytes; /* of all frames */
    char first_at[WALK_TIME_SIZE];
    char last_at[WALK_TIME_SIZE];
} WalkedFile;

typedef enum WalkGravity {
    WALK_NOTE,   /* should be known */
    WALK_UNDONE, /* rows that the file has as deleted, and the database not (yet): they are there */
    WALK_TORN,   /* a torn end, of a file whose database is not asked: perhaps there were rows */
    WALK_DAMAGE, /* rows are lost or may be wrong */
} WalkGravity;

/* Something to be said about a file. */
typedef struct WalkRemark {
    WalkGravity gravity;
    const char *file;
    int64_t at; /* offset; -1 = the file as a whole */
    const char *text;
} WalkRemark;

typedef struct ArchiveWalk {
    const ArchiveFolder *folder;
    PgConn *conn; /* to the database whose list is asked; NULL = none */
    ArchiveDepth depth;
    WalkChoice choice;
    /* Each may be NULL.  A frame comes before its file; remarks come in between. */
    bool (*frame)(void *ctx, const WalkedFile *file, const WalkedFrame *frame, Err *err);
    bool (*file)(void *ctx, const WalkedFile *file, Err *err);
    void (*remark)(void *ctx, const WalkRemark *remark);
    void *ctx;
} ArchiveWalk;

/*
 * Walk over the files by job, number and place.
 *
 * Shape:   damage is a remark, not an error; the walk goes on behind it with the next file.
 * Owner:   strings of the file live until its callback has returned.
 * Errors:  of the system, of the database, of the callbacks.
 */
bool archive_walk(const ArchiveWalk *walk, Err *err) __attribute__((warn_unused_result));

/* Is it the table that `written` (name or schema.name, NULL = any) means? */
bool archive_table_matches(const char *written, const char *schema, const char *table);

#endif
