/*
 * archive_frame.h - the units that an archive file is made of: bytes from a header and rows, and
 * back.
 *
 * Pure: no file, no clock.  Every byte that is read is untrusted: sizes are checked before anything
 * is allocated, memory is bounded by ARCHIVE_HEAD_MAX and ARCHIVE_WINDOW_LOG whatever is declared,
 * and each string of a header is text by somebody else until it was compared with what is known.
 * What the bytes mean is written down in src/README.md, "Archive files".
 */
#ifndef CORE_ARCHIVE_FRAME_H
#define CORE_ARCHIVE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>

#include "base/arena.h"
#include "base/err.h"

#define ARCHIVE_FORMAT     1           /* a reader refuses what is newer than it knows */
#define ARCHIVE_MAGIC      0x184D2A57u /* one of the sixteen of zstd's skippable frames */
#define ARCHIVE_TAG        "PGHAULA1"
#define ARCHIVE_LEAD_BYTES 16        /* magic, size and tag: how a head begins */
#define ARCHIVE_HEAD_MAX   (1 << 20) /* bytes of a head: 1,600 columns with long names fit */
#define ARCHIVE_WINDOW_LOG 23        /* of the zstd frames: level 19 needs it all, 8 MB */
#define ARCHIVE_HASH_SIZE  33        /* XXH3-128 as 32 hex digits, and the terminator */

/* What became of the rows of a frame: they were deleted, or not (then they are in a later one). */
typedef enum ArchiveFate {
    ARCHIVE_NONE, /* there is no frame */
    ARCHIVE_COMMITTED,
    ARCHIVE_VOID,
} ArchiveFate;

typedef struct ArchiveColumn {
    const char *name;
    const char *type; /* as format_type() gives it; to compare and to show, never to be SQL */
} ArchiveColumn;

/* Where the rows of a file come from; the same in each of its units. */
typedef struct ArchiveOrigin {
    const char *job;
    const char *job_uuid;
    int64_t run;
    int worker;
    int file_no;
    int table_no; /* 0 = the job's own table; from 1 on tables whose rows refer to it */
    const char *database;
    const char *schema;
    const char *table;
    const ArchiveColumn *columns; /* in the order of the fields of a row */
    int column_count;
    const char *system_id;
    int64_t timeline;
    const char *server_version; /* "15.4" */
    const char *encoding;       /* of the rows: "UTF8" */
} ArchiveOrigin;

/*
 * The header of a unit: of a frame of rows, or of the end of the file.
 *
 * The end unit has no rows: pass, range, rows, raw_bytes and bytes are 0 and both hashes "".
 */
typedef struct ArchiveHeader {
    ArchiveOrigin origin;
    bool is_end;
    int frame_no;           /* 1, 2, ..; the end unit has the number after the last frame's */
    ArchiveFate before;     /* what became of the frame before this unit */
    const char *written_at; /* "2026-01-31 12:00:00.123Z" */
    int pass;
    int64_t range;
    int64_t rows;
    int64_t raw_bytes; /* of the COPY text */
    int64_t bytes;     /* of the zstd frame that follows the head */
    char raw_hash[ARCHIVE_HASH_SIZE];
    char hash[ARCHIVE_HASH_SIZE];      /* of the zstd frame */
    char previous[ARCHIVE_HASH_SIZE];  /* head_hash of the unit before; "" in the first one: the
                                          units of a file are a chain */
    char head_hash[ARCHIVE_HASH_SIZE]; /* of this head */
    int64_t head_bytes;                /* of this head, the skippable frame as a whole */
} ArchiveHeader;

/* ---- to bytes ---- */

typedef struct ArchiveEncoder ArchiveEncoder;

/* A unit to be written: head, then frame (empty in an end unit); borrowed from the encoder until
 * its next call. */
typedef struct ArchiveUnit {
    const char *head;
    size_t head_len;
    const char *frame;
    size_t frame_len;
} ArchiveUnit;

/* `level` of zstd, 1 to 19.  One thread at a time; context and buffers are used again and again.
 * Returns owned. */
ArchiveEncoder *archive_encoder_new(int level);
void archive_encoder_free(ArchiveEncoder *encoder);

/*
 * Make the bytes of a unit.
 *
 * Shape:   the caller has filled *header but for raw_bytes, bytes, hashes (`previous` is the
 *          caller's) and head_bytes, which are filled here.  `rows` is COPY text; NULL for an end
 *          unit.
 * Errors:  ERR_FATAL: a head of more than ARCHIVE_HEAD_MAX, text that is no UTF-8.
 */
bool archive_encode(ArchiveEncoder *encoder, ArchiveHeader *header, const char *rows, size_t len,
    ArchiveUnit *unit, Err *err) __attribute__((warn_unused_result));

/* ---- from bytes ---- */

/*
 * Bytes of the head that begins with these ARCHIVE_LEAD_BYTES bytes, or 0 when they begin none.
 * Between ARCHIVE_LEAD_BYTES and ARCHIVE_HEAD_MAX; nothing else was checked yet.
 */
size_t archive_head_size(const char *lead);

/*
 * Read a head of exactly `len` bytes: hash, then JSON, types and limits of each field.
 *
 * Owner:   strings and columns live in `arena`.
 * Errors:  ERR_FATAL, and the message says what is wrong, in words without what was read.
 */
bool archive_head_parse(const char *bytes, size_t len, Arena *arena, ArchiveHeader *header,
    Err *err) __attribute__((warn_unused_result));

/* True when `next` can be the unit after `last` (NULL = it is the first one) in one file: same
 * origin, next number, chained by hash, a fate that fits. */
bool archive_follows(const ArchiveHeader *last, const ArchiveHeader *next);

/* Takes rows piece by piece; false with *err set ends the decoding. */
typedef bool ArchivePiece(void *ctx, const char *bytes, size_t len, Err *err);

typedef struct ArchiveDecoder ArchiveDecoder;

/* Returns owned. */
ArchiveDecoder *archive_decoder_new(void);
void archive_decoder_free(ArchiveDecoder *decoder);

/*
 * Decode one zstd frame that comes in pieces of any size: begin, feed .., end.
 *
 * Shape:   `piece` may be NULL: then everything is only checked.  What it gets may still turn out
 *          to be wrong until archive_decoder_end() has said true.  Never more than
 *          header->raw_bytes are given out.
 * Errors:  ERR_FATAL for bytes that are not what the header says: size, hashes, number of rows,
 *          another frame type, a dictionary, a window of more than ARCHIVE_WINDOW_LOG, no checksum,
 *          bytes behind the frame's end.  Those of `piece`.
 */
void archive_decoder_begin(
    ArchiveDecoder *decoder, const ArchiveHeader *header, ArchivePiece *piece, void *ctx);
bool archive_decoder_feed(ArchiveDecoder *decoder, const char *bytes, size_t len, Err *err)
    __attribute__((warn_unused_result));
bool archive_decoder_end(ArchiveDecoder *decoder, Err *err) __attribute__((warn_unused_result));

/* The hash of what was put into `state` (XXH3_128bits_update), as headers have it. */
void archive_hash_hex(const XXH3_state_t *state, char hex[ARCHIVE_HASH_SIZE]);

/* ---- names ---- */

/* "audit-purge.r12.w1.t0.000003.zst" */
typedef struct ArchiveName {
    const char *text;
    const char *job;
    int64_t run;
    int worker;
    int table_no;
    int file_no;
} ArchiveName;

/* The file's name; in `arena`. */
const char *archive_name_format(const ArchiveOrigin *origin, Arena *arena);

/* False when `text` is not exactly what archive_name_format() would make. */
bool archive_name_parse(const char *text, Arena *arena, ArchiveName *name);

#endif
