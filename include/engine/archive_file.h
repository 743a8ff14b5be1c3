/*
 * archive_file.h - writing archive files: the folder, appending, closing, cutting a torn tail.
 *
 * Everything that returns true is on disk: fdatasync() of the file, fsync() of the folder where a
 * name is new.  An error of a write or a sync is final for its file, since the system may have
 * dropped the pages while it reported the error: nothing is tried again, and nothing more is
 * written there.  No link is followed below the folder, nor is the folder itself one.
 *
 * Threads: a folder may be used by all; a writer belongs to one thread.
 */
#ifndef ENGINE_ARCHIVE_FILE_H
#define ENGINE_ARCHIVE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "core/archive_frame.h"

typedef struct ArchiveFolder {
    int fd;
    const char *path; /* borrowed; for messages */
} ArchiveFolder;

#define ARCHIVE_FOLDER_INIT ((ArchiveFolder){.fd = -1})

/*
 * Open the folder to write there; it is made, with 0700, when it is missing (its parent must
 * exist).
 *
 * Errors:  ERR_REFUSED: no folder but a file or a link, owned by somebody else, others may write
 *          there; ERR_FATAL for the system's errors.
 */
bool archive_folder_make(const char *path, ArchiveFolder *folder, Err *err)
    __attribute__((warn_unused_result));

/* Open an existing folder to read there, whoever owns it.  Errors: ERR_USER when there is none. */
bool archive_folder_open(const char *path, ArchiveFolder *folder, Err *err)
    __attribute__((warn_unused_result));

/* Also of one that was never opened. */
void archive_folder_close(ArchiveFolder *folder);

/* The archive files there, by job, file number, then the rest; of all jobs when `job` is NULL.
 * Other names (such as those of torn tails) are left out. */
bool archive_folder_list(const ArchiveFolder *folder, const char *job, Arena *arena,
    ArchiveName **names, int *count, Err *err) __attribute__((warn_unused_result));

/* ---- a new file ---- */

typedef struct ArchiveWriter ArchiveWriter;

/* One batch: the rows that are to be deleted. */
typedef struct ArchiveBatch {
    int pass;
    int64_t range;
    int64_t rows;
    const char *text; /* COPY text, each row with its newline */
    size_t len;
    ArchiveFate before; /* of the frame before it in this file; ARCHIVE_NONE for the first */
} ArchiveBatch;

/* Where a frame is, as pghaul.archive_frame has it. */
typedef struct ArchivePlace {
    int64_t at;                   /* offset of its head */
    int64_t bytes;                /* head and zstd frame */
    int64_t raw_bytes;            /* of the COPY text */
    int no;                       /* of the frame: 1, 2, .. */
    char hash[ARCHIVE_HASH_SIZE]; /* of the COPY text */
} ArchivePlace;

/*
 * Create the file of `origin`, named by archive_name_format(); it must not exist.
 *
 * Owner:   returns owned in *writer, NULL on error; borrows folder and origin (with all its
 *          strings), which must live as long.
 */
bool archive_create(const ArchiveFolder *folder, const ArchiveOrigin *origin,
    ArchiveWriter **writer, Err *err) __attribute__((warn_unused_result));

/*
 * Compress and append one frame, and wait until it is on disk.
 *
 * Shape:   one encoder may serve the files of several tables.
 * Errors:  ERR_FATAL, final: each later call fails too, and the file stays without its end unit.
 *          Whether the frame is there is then unknown; the next run's scan tells.
 */
bool archive_append(ArchiveWriter *writer, ArchiveEncoder *encoder, const ArchiveBatch *batch,
    ArchivePlace *place, Err *err) __attribute__((warn_unused_result));

/* Name of the file, its bytes and its frames so far. */
const char *archive_writer_name(const ArchiveWriter *writer);
int64_t archive_writer_bytes(const ArchiveWriter *writer);
int archive_writer_frames(const ArchiveWriter *writer);

/*
 * Write the end unit with what became of the last frame, and close.  A file without frames gets
 * one too.  The writer is freed in any case; *bytes is the size of the file.
 */
bool archive_finish(ArchiveWriter *writer, ArchiveFate last, int64_t *bytes, Err *err)
    __attribute__((warn_unused_result));

/* Close without an end unit: after an error, or when the last frame's fate is not known.  Accepts
 * NULL. */
void archive_abandon(ArchiveWriter *writer);

/* ---- a file that a dead run left ---- */

struct ArchiveReader;

/*
 * Settle a file that was not closed: copy what follows its last whole unit to
 * NAME.torn-OFFSET (or .torn-OFFSET.2, .. when that exists), cut it, and write the end unit.
 *
 * Shape:   `reader` (engine/archive_scan.h) has come to the end of the file and found it
 *          ARCHIVE_WHOLE or ARCHIVE_TORN; asserted.  The caller has made sure before that the
 *          database knows no committed frame at or behind the torn offset, and knows the fate
 *          of the last whole frame.  May be done again after a crash at any point.  A file without
 *          a whole unit is left empty, without an end unit.
 *          *bytes is the size of the file afterwards; `torn` gets the name of the copy (in
 *          `arena`) or NULL when nothing was cut.
 * Errors:  ERR_REFUSED when the file is not ours; ERR_FATAL.
 */
bool archive_settle(const struct ArchiveReader *reader, ArchiveFate last, Arena *arena,
    int64_t *bytes, const char **torn, Err *err) __attribute__((warn_unused_result));

#endif
