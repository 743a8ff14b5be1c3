/*
 * archive_scan.h - reading archive files: unit by unit, or one frame at its place.
 *
 * A file is untrusted and may be of any size: memory is bounded by ARCHIVE_HEAD_MAX, two buffers
 * and zstd's window; every read is by pread() into them.  That a file is torn or damaged is a
 * finding, no error; errors are those of the system.
 *
 * Threads: a reader belongs to one thread; several readers may read one file.
 */
#ifndef ENGINE_ARCHIVE_SCAN_H
#define ENGINE_ARCHIVE_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "core/archive_frame.h"
#include "engine/archive_file.h"

/* How closely a unit is looked at before it counts as whole. */
typedef enum ArchiveDepth {
    ARCHIVE_HEADS, /* its head, and that the file is long enough for its frame */
    ARCHIVE_BYTES, /* and the hash of the frame's bytes: finds every changed byte */
    ARCHIVE_ROWS,  /* and the rows: decompressed, hashed, counted */
} ArchiveDepth;

typedef enum ArchiveState {
    ARCHIVE_CLOSED,  /* whole units to the end, and the last one is the end unit */
    ARCHIVE_WHOLE,   /* whole units to the end, or empty; no end unit */
    ARCHIVE_TORN,    /* behind the whole units something that is none, and no whole one behind it:
                        what a crash while appending leaves; or damage of the last unit, which only
                        the database can tell */
    ARCHIVE_DAMAGED, /* something that is no whole unit, and more behind it */
} ArchiveState;

/* What a scan found when it came to the end. */
typedef struct ArchiveVerdict {
    ArchiveState state;
    int64_t whole_bytes; /* from the begin to the end of the last whole unit: where a torn tail or
                            the damage begins */
    int64_t file_bytes;
    int frames;       /* whole ones */
    char reason[512]; /* of TORN and DAMAGED: what is wrong there; "" else */
} ArchiveVerdict;

typedef struct ArchiveReader ArchiveReader;

/* One unit of a file; its strings live until the next archive_next() of the reader. */
typedef struct ArchiveEntry {
    int64_t at;    /* offset of its head */
    int64_t bytes; /* head and zstd frame */
    ArchiveHeader header;
} ArchiveEntry;

/*
 * Open the file `name` of the folder; it must be an ordinary file, no link.
 *
 * Owner:   returns owned in *reader, NULL on error; borrows the folder.
 * Errors:  ERR_FATAL; ERR_USER when there is no such file.
 */
bool archive_reader_open(const ArchiveFolder *folder, const char *name, ArchiveReader **reader,
    Err *err) __attribute__((warn_unused_result));

/* Accepts NULL. */
void archive_reader_close(ArchiveReader *reader);

/* Somebody writes to the file now: what a scan calls torn may be a frame on its way. */
bool archive_reader_is_live(const ArchiveReader *reader);

/*
 * The next unit, the end unit too; *found is false at the end of what is whole.  All calls of a
 * scan have one depth.  A file that grows meanwhile is read to the size that it had when it was
 * opened.
 */
bool archive_next(ArchiveReader *reader, ArchiveDepth depth, ArchiveEntry *entry, bool *found,
    Err *err) __attribute__((warn_unused_result));

/* After archive_next() has set *found to false. */
const ArchiveVerdict *archive_verdict(const ArchiveReader *reader);

/* The last whole unit of the scan so far, with its strings; NULL before the first. */
const ArchiveEntry *archive_last(const ArchiveReader *reader);

const ArchiveFolder *archive_reader_folder(const ArchiveReader *reader);
const char *archive_reader_name(const ArchiveReader *reader);

/* All units in one call, each given to `visit` (may be NULL), then the verdict. */
typedef bool ArchiveVisit(void *ctx, const ArchiveEntry *entry, Err *err);
bool archive_scan(ArchiveReader *reader, ArchiveDepth depth, ArchiveVisit *visit, void *ctx,
    Err *err) __attribute__((warn_unused_result));

/*
 * The unit at an offset that was noted down before; a scan that is under way is not disturbed.
 *
 * Owner:   strings of *entry live in `arena`.
 * Errors:  ERR_FATAL when no unit begins there, or it does not fit into the file.
 */
bool archive_entry_at(ArchiveReader *reader, int64_t at, Arena *arena, ArchiveEntry *entry,
    Err *err) __attribute__((warn_unused_result));

/*
 * Give the rows of an entry to `piece`, as pieces of COPY text of at most 128 KB that end anywhere.
 *
 * Shape:   the hash of the frame's bytes is compared before the first piece is given out; size,
 *          hash and number of the rows at the end: on false the caller gives up what it got.
 * Errors:  ERR_FATAL for bytes that are not what the head says; those of `piece`.
 */
bool archive_read_rows(ArchiveReader *reader, const ArchiveEntry *entry, ArchivePiece *piece,
    void *ctx, Err *err) __attribute__((warn_unused_result));

#endif
