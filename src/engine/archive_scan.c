/*
 * archive_scan.c - archive files, read by pread() into buffers of fixed size.
 *
 * Steps that look at a unit take two errors: `wrong` for what the bytes are not, `err` for what the
 * system did not give.  They return false with exactly one of them set; a caller to whom both
 * are the same passes one twice.
 */
#include "engine/archive_scan.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/mem.h"

#define PIECE_BYTES 262144

/* Behind damage, so many places that look like a head are tried; a file with more is not torn but
 * made to take our time. */
#define TRIES_MAX 1000

struct ArchiveReader {
    const ArchiveFolder *folder;
    char *name;
    int fd;
    int64_t size;
    char *piece; /* PIECE_BYTES */
    char *head;  /* grows up to ARCHIVE_HEAD_MAX */
    size_t head_size;
    ArchiveDecoder *decoder;
    XXH3_state_t *hash;
    /* of the scan: */
    Arena arenas[2]; /* of the last unit and, in turn, of the one to come */
    int turn;
    ArchiveEntry last;
    bool has_last;
    bool ended;
    ArchiveVerdict verdict;
};

bool
archive_reader_open(const ArchiveFolder *folder, const char *name, ArchiveReader **reader, Err *err)
{
    *reader = NULL;
    /* O_NONBLOCK: a fifo in its place must not make us wait. */
    int fd = openat(folder->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        ErrClass cls = errno == ENOENT ? ERR_USER : ERR_FATAL;
        return err_set(err, cls, "cannot open archive file %s/%s: %s", folder->path, name,
            strerrordesc_np(errno));
    }
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        (void)close(fd);
        return err_set(err, ERR_FATAL, "%s/%s is no ordinary file", folder->path, name);
    }
    /* What a failed write left in memory counts as clean there, but is not on the disk. */
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    ArchiveReader *opened = mem_new(sizeof(*opened));
    *opened = (ArchiveReader){
        .folder = folder,
        .name = mem_strdup(name),
        .fd = fd,
        .size = status.st_size,
        .piece = mem_resize(NULL, PIECE_BYTES, 1), /* not touched before it is used */
        .decoder = archive_decoder_new(),
        .hash = XXH3_createState(),
        .arenas = {ARENA_INIT, ARENA_INIT},
        .verdict = {.file_bytes = status.st_size},
    };
    *reader = opened;
    return true;
}

void
archive_reader_close(ArchiveReader *reader)
{
    if (reader == NULL) {
        return;
    }
    (void)close(reader->fd);
    archive_decoder_free(reader->decoder);
    (void)XXH3_freeState(reader->hash);
    arena_reset(&reader->arenas[0]);
    arena_reset(&reader->arenas[1]);
    free(reader->piece);
    free(reader->head);
    free(reader->name);
    free(reader);
}

bool
archive_reader_is_live(const ArchiveReader *reader)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    return fcntl(reader->fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static bool
read_at(ArchiveReader *reader, int64_t at, char *bytes, size_t len, Err *err)
{
    size_t got = 0;
    while (got < len) {
        ssize_t part = pread(reader->fd, bytes + got, len - got, at + (int64_t)got);
        if (part < 0 && errno == EINTR) {
            continue;
        }
        if (part <= 0) {
            return err_set(err, ERR_FATAL, "cannot read archive file %s/%s: %s",
                reader->folder->path, reader->name,
                part == 0 ? "it became shorter" : strerrordesc_np(errno));
        }
        got += (size_t)part;
    }
    return true;
}

/* ---- one unit ---- */

/* The head at an offset, and that the file is long enough for what it announces. */
static bool
load_head(ArchiveReader *reader, ArchiveEntry *entry, Arena *arena, Err *wrong, Err *err)
{
    int64_t left = reader->size - entry->at;
    char lead[ARCHIVE_LEAD_BYTES];
    if (left < ARCHIVE_LEAD_BYTES) {
        return err_set(wrong, ERR_FATAL, "the file ends within a header");
    }
    if (!read_at(reader, entry->at, lead, sizeof(lead), err)) {
        return false;
    }
    size_t len = archive_head_size(lead);
    if (len == 0) {
        return err_set(wrong, ERR_FATAL, "no unit begins here");
    }
    if ((int64_t)len > left) {
        return err_set(wrong, ERR_FATAL, "the file ends within a header");
    }
    if (len > reader->head_size) {
        reader->head = mem_resize(reader->head, len, 1);
        reader->head_size = len;
    }
    if (!read_at(reader, entry->at, reader->head, len, err) ||
        !archive_head_parse(reader->head, len, arena, &entry->header, wrong)) {
        return false;
    }
    if (entry->header.bytes > left - (int64_t)len) {
        return err_set(wrong, ERR_FATAL, "the file ends within a frame");
    }
    entry->bytes = (int64_t)len + entry->header.bytes;
    return true;
}

/* Takes a piece of the zstd frame. */
typedef bool TakeBytes(ArchiveReader *reader, size_t len, Err *wrong);

static bool
hash_piece(ArchiveReader *reader, size_t len, Err *wrong)
{
    (void)wrong;
    (void)XXH3_128bits_update(reader->hash, reader->piece, len);
    return true;
}

static bool
decode_piece(ArchiveReader *reader, size_t len, Err *wrong)
{
    return archive_decoder_feed(reader->decoder, reader->piece, len, wrong);
}

static bool
each_piece(ArchiveReader *reader, const ArchiveEntry *entry, TakeBytes *take, Err *wrong, Err *err)
{
    int64_t end = entry->at + entry->bytes;
    for (int64_t at = entry->at + entry->header.head_bytes; at < end;) {
        size_t len = end - at < PIECE_BYTES ? (size_t)(end - at) : PIECE_BYTES;
        if (!read_at(reader, at, reader->piece, len, err) || !take(reader, len, wrong)) {
            return false;
        }
        at += (int64_t)len;
    }
    return true;
}

static bool
check_bytes(ArchiveReader *reader, const ArchiveEntry *entry, Err *wrong, Err *err)
{
    if (entry->header.is_end) {
        return true;
    }
    (void)XXH3_128bits_reset(reader->hash);
    if (!each_piece(reader, entry, hash_piece, wrong, err)) {
        return false;
    }
    char hex[ARCHIVE_HASH_SIZE];
    archive_hash_hex(reader->hash, hex);
    return strcmp(hex, entry->header.hash) == 0 ||
           err_set(wrong, ERR_FATAL, "the hash of a frame is wrong");
}

static bool
check_rows(ArchiveReader *reader, const ArchiveEntry *entry, Err *wrong, Err *err)
{
    if (entry->header.is_end) {
        return true;
    }
    archive_decoder_begin(reader->decoder, &entry->header, NULL, NULL);
    return each_piece(reader, entry, decode_piece, wrong, err) &&
           archive_decoder_end(reader->decoder, wrong);
}

static bool
check_frame(
    ArchiveReader *reader, const ArchiveEntry *entry, ArchiveDepth depth, Err *wrong, Err *err)
{
    switch (depth) {
    case ARCHIVE_HEADS:
        break;
    case ARCHIVE_BYTES:
        return check_bytes(reader, entry, wrong, err);
    case ARCHIVE_ROWS:
        return check_rows(reader, entry, wrong, err);
    }
    return true;
}

bool
archive_entry_at(ArchiveReader *reader, int64_t at, Arena *arena, ArchiveEntry *entry, Err *err)
{
    *entry = (ArchiveEntry){.at = at};
    if (at < 0 || at >= reader->size) {
        return err_set(err, ERR_FATAL, "archive file %s has no byte %" PRId64, reader->name, at);
    }
    return load_head(reader, entry, arena, err, err) ||
           err_wrap(err, "%.20s at %" PRId64, reader->name, at);
}

bool
archive_read_rows(
    ArchiveReader *reader, const ArchiveEntry *entry, ArchivePiece *piece, void *ctx, Err *err)
{
    assert(!entry->header.is_end);
    if (!check_bytes(reader, entry, err, err)) {
        return false;
    }
    archive_decoder_begin(reader->decoder, &entry->header, piece, ctx);
    return each_piece(reader, entry, decode_piece, err, err) &&
           archive_decoder_end(reader->decoder, err);
}

/* ---- the scan ---- */

/* Whether a whole head begins at `at`. */
static bool
probe_head(ArchiveReader *reader, int64_t at, bool *whole, Err *err)
{
    Arena arena = ARENA_INIT;
    Err wrong = ERR_INIT;
    ArchiveEntry entry = {.at = at};
    *whole = load_head(reader, &entry, &arena, &wrong, err);
    arena_reset(&arena);
    return err->cls == ERR_NONE;
}

/* Try each place in the piece that begins at file offset `base` where a tag stands. */
static bool
probe_piece(ArchiveReader *reader, int64_t base, size_t len, int *tries, Err *err)
{
    const char *at = reader->piece;
    const char *end = at + len;
    while (*tries < TRIES_MAX &&
           (at = memmem(at, (size_t)(end - at), ARCHIVE_TAG, strlen(ARCHIVE_TAG))) != NULL) {
        int64_t head = base + (at - reader->piece) - (ARCHIVE_LEAD_BYTES - 8);
        bool whole;
        if (!probe_head(reader, head, &whole, err)) {
            return false;
        }
        *tries = whole ? TRIES_MAX : *tries + 1;
        at++;
    }
    return true;
}

/* Is anything whole behind the place where the scan came to its end? */
static bool
search_behind(ArchiveReader *reader, bool *found, Err *err)
{
    int64_t overlap = (int64_t)strlen(ARCHIVE_TAG) - 1;
    int tries = 0;
    /* From the second byte of the unit that is wrong: its own tag is 8 bytes further. */
    int64_t at = reader->verdict.whole_bytes + 1 + ARCHIVE_LEAD_BYTES - 8;
    while (tries < TRIES_MAX && reader->size - at > overlap) {
        int64_t left = reader->size - at;
        size_t len = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
        if (!read_at(reader, at, reader->piece, len, err) ||
            !probe_piece(reader, at, len, &tries, err)) {
            return false;
        }
        at += (int64_t)len - overlap;
    }
    *found = tries == TRIES_MAX;
    return true;
}

static bool
end_scan(ArchiveReader *reader, ArchiveState state, const char *reason)
{
    reader->verdict.state = state;
    (void)snprintf(reader->verdict.reason, sizeof(reader->verdict.reason), "%s", reason);
    reader->ended = true;
    return true;
}

/* The unit after the last one is not whole. */
static bool
end_at_wrong(ArchiveReader *reader, const Err *wrong, Err *err)
{
    bool found;
    return search_behind(reader, &found, err) &&
           end_scan(reader, found ? ARCHIVE_DAMAGED : ARCHIVE_TORN, wrong->message);
}

bool
archive_next(ArchiveReader *reader, ArchiveDepth depth, ArchiveEntry *entry, bool *found, Err *err)
{
    ArchiveVerdict *verdict = &reader->verdict;
    const ArchiveEntry *last = archive_last(reader);
    *found = false;
    if (reader->ended) {
        return true;
    }
    if (verdict->whole_bytes == reader->size) {
        bool closed = last != NULL && last->header.is_end;
        return end_scan(reader, closed ? ARCHIVE_CLOSED : ARCHIVE_WHOLE, "");
    }
    if (last != NULL && last->header.is_end) {
        return end_scan(reader, ARCHIVE_DAMAGED, "bytes follow the end unit");
    }
    Arena *arena = &reader->arenas[reader->turn];
    arena_reset(arena);
    *entry = (ArchiveEntry){.at = verdict->whole_bytes};
    Err wrong = ERR_INIT;
    if (!load_head(reader, entry, arena, &wrong, err)) {
        return wrong.cls != ERR_NONE && end_at_wrong(reader, &wrong, err);
    }
    if (!archive_follows(last == NULL ? NULL : &last->header, &entry->header)) {
        return end_scan(reader, ARCHIVE_DAMAGED, "a unit does not belong behind the one before it");
    }
    if (!check_frame(reader, entry, depth, &wrong, err)) {
        return wrong.cls != ERR_NONE && end_at_wrong(reader, &wrong, err);
    }
    reader->turn = 1 - reader->turn;
    reader->last = *entry;
    reader->has_last = true;
    verdict->whole_bytes += entry->bytes;
    verdict->frames += entry->header.is_end ? 0 : 1;
    *found = true;
    return true;
}

const ArchiveVerdict *
archive_verdict(const ArchiveReader *reader)
{
    assert(reader->ended);
    return &reader->verdict;
}

const ArchiveEntry *
archive_last(const ArchiveReader *reader)
{
    return reader->has_last ? &reader->last : NULL;
}

const ArchiveFolder *
archive_reader_folder(const ArchiveReader *reader)
{
    return reader->folder;
}

const char *
archive_reader_name(const ArchiveReader *reader)
{
    return reader->name;
}

bool
archive_scan(ArchiveReader *reader, ArchiveDepth depth, ArchiveVisit *visit, void *ctx, Err *err)
{
    ArchiveEntry entry;
    bool found = true;
    while (found) {
        if (!archive_next(reader, depth, &entry, &found, err) ||
            (found && visit != NULL && !visit(ctx, &entry, err))) {
            return false;
        }
    }
    return true;
}
