/*
 * archive_file.c - archive files, written: what is said to be on disk is there.
 */
#include "engine/archive_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine/archive_scan.h"

#define COPY_BYTES 65536
#define COPIES_MAX 1000 /* of one torn tail: each is the trace of a crash while settling */

struct ArchiveWriter {
    const ArchiveFolder *folder;
    const ArchiveOrigin *origin;
    char *name;
    int fd;
    int64_t bytes;
    int frames;
    char previous[ARCHIVE_HASH_SIZE]; /* head_hash of the last unit */
    bool failed;
};

/* Say which call on the file `name` failed, by errno. */
static bool
fail(const ArchiveFolder *folder, const char *name, const char *call, Err *err)
{
    return err_set(err, ERR_FATAL, "%s of archive file %s/%s failed: %s", call, folder->path, name,
        strerrordesc_np(errno));
}

/* ---- appending ---- */

static bool
write_all(int fd, struct iovec *parts, int count)
{
    while (count > 0) {
        ssize_t written = writev(fd, parts, count);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return false;
        }
        size_t left = (size_t)written;
        for (; count > 0 && left >= parts->iov_len; parts++, count--) {
            left -= parts->iov_len;
        }
        if (count > 0) {
            parts->iov_base = (char *)parts->iov_base + left;
            parts->iov_len -= left;
        }
    }
    return true;
}

/* One unit, on disk when this returns. */
static bool
append_unit(ArchiveWriter *writer, const ArchiveUnit *unit, const ArchiveHeader *header, Err *err)
{
    struct iovec parts[] = {
        {.iov_base = (void *)(uintptr_t)unit->head, .iov_len = unit->head_len},
        {.iov_base = (void *)(uintptr_t)unit->frame, .iov_len = unit->frame_len},
    };
    writer->failed = true; /* until it is known to be there */
    if (!write_all(writer->fd, parts, 2)) {
        return fail(writer->folder, writer->name, "write", err);
    }
    if (fdatasync(writer->fd) != 0) {
        return fail(writer->folder, writer->name, "fdatasync", err);
    }
    writer->failed = false;
    writer->bytes += (int64_t)(unit->head_len + unit->frame_len);
    memcpy(writer->previous, header->head_hash, sizeof(writer->previous));
    return true;
}

static bool
check_usable(const ArchiveWriter *writer, Err *err)
{
    return !writer->failed ||
           err_set(err, ERR_FATAL, "archive file %s/%s was given up after an error",
               writer->folder->path, writer->name);
}

/* The fields that every unit has; `written_at` must live as long. */
static ArchiveHeader
next_header(const ArchiveWriter *writer, ArchiveFate before, const char *written_at)
{
    ArchiveHeader header = {
        .origin = *writer->origin,
        .frame_no = writer->frames + 1,
        .before = before,
        .written_at = written_at,
    };
    memcpy(header.previous, writer->previous, sizeof(header.previous));
    return header;
}

bool
archive_append(ArchiveWriter *writer, ArchiveEncoder *encoder, const ArchiveBatch *batch,
    ArchivePlace *place, Err *err)
{
    assert((batch->before == ARCHIVE_NONE) == (writer->frames == 0));
    char now[25];
    clock_format_now(now, sizeof(now));
    ArchiveHeader header = next_header(writer, batch->before, now);
    header.pass = batch->pass;
    header.range = batch->range;
    header.rows = batch->rows;
    int64_t at = writer->bytes;
    ArchiveUnit unit;
    if (!check_usable(writer, err) ||
        !archive_encode(encoder, &header, batch->text, batch->len, &unit, err) ||
        !append_unit(writer, &unit, &header, err)) {
        return false;
    }
    writer->frames++;
    *place = (ArchivePlace){
        .no = header.frame_no,
        .at = at,
        .bytes = writer->bytes - at,
        .raw_bytes = header.raw_bytes,
    };
    memcpy(place->hash, header.raw_hash, sizeof(place->hash));
    return true;
}

static bool
append_end(ArchiveWriter *writer, ArchiveFate last, Err *err)
{
    assert((last == ARCHIVE_NONE) == (writer->frames == 0));
    char now[25];
    clock_format_now(now, sizeof(now));
    ArchiveHeader header = next_header(writer, last, now);
    header.is_end = true;
    ArchiveEncoder *encoder = archive_encoder_new(1); /* for its buffer; nothing is compressed */
    ArchiveUnit unit;
    bool done = archive_encode(encoder, &header, NULL, 0, &unit, err) &&
                append_unit(writer, &unit, &header, err);
    archive_encoder_free(encoder);
    return done;
}

/* ---- a new file ---- */

/* Somebody who still writes there holds this lock: a run that was taken for dead, but is not.  It
 * belongs to the open file, not to the process, and ends with it. */
static bool
lock_file(const ArchiveFolder *folder, const char *name, int fd, Err *err)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0) {
        return true;
    }
    if (errno == EAGAIN || errno == EACCES) {
        return err_set(err, ERR_BUSY, "archive file %s/%s is still open for writing elsewhere",
            folder->path, name);
    }
    return fail(folder, name, "lock", err);
}

/* A new, empty file whose name is on disk; -1 with *err set, or -1 without when the name exists
 * and `may_exist`. */
static int
create_file(const ArchiveFolder *folder, const char *name, bool may_exist, Err *err)
{
    int flags = O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(folder->fd, name, flags, 0600);
    if (fd < 0) {
        if (errno != EEXIST || !may_exist) {
            (void)fail(folder, name, "creation", err);
        }
        return -1;
    }
    if (fsync(folder->fd) != 0) {
        (void)fail(folder, name, "fsync of the folder", err);
        (void)close(fd);
        return -1;
    }
    return fd;
}

static ArchiveWriter *
writer_new(const ArchiveFolder *folder, const ArchiveOrigin *origin, const char *name, int fd)
{
    ArchiveWriter *writer = mem_new(sizeof(*writer));
    writer->folder = folder;
    writer->origin = origin;
    writer->name = mem_strdup(name);
    writer->fd = fd;
    return writer;
}

bool
archive_create(
    const ArchiveFolder *folder, const ArchiveOrigin *origin, ArchiveWriter **writer, Err *err)
{
    *writer = NULL;
    Arena arena = ARENA_INIT;
    const char *name = archive_name_format(origin, &arena);
    int fd = create_file(folder, name, false, err);
    if (fd >= 0 && !lock_file(folder, name, fd, err)) {
        (void)close(fd);
        fd = -1;
    }
    if (fd >= 0) {
        *writer = writer_new(folder, origin, name, fd);
    }
    arena_reset(&arena);
    return fd >= 0;
}

const char *
archive_writer_name(const ArchiveWriter *writer)
{
    return writer->name;
}

int64_t
archive_writer_bytes(const ArchiveWriter *writer)
{
    return writer->bytes;
}

int
archive_writer_frames(const ArchiveWriter *writer)
{
    return writer->frames;
}

bool
archive_finish(ArchiveWriter *writer, ArchiveFate last, int64_t *bytes, Err *err)
{
    bool done = check_usable(writer, err) && append_end(writer, last, err);
    *bytes = writer->bytes;
    int fd = writer->fd;
    writer->fd = -1;
    if (close(fd) != 0 && done) { /* some file systems only say now what they could not write */
        done = fail(writer->folder, writer->name, "close", err);
    }
    archive_abandon(writer);
    return done;
}

void
archive_abandon(ArchiveWriter *writer)
{
    if (writer == NULL) {
        return;
    }
    if (writer->fd >= 0) {
        (void)close(writer->fd);
    }
    free(writer->name);
    free(writer);
}

/* ---- a file that a dead run left ---- */

/* The first free name for a copy of the tail; its descriptor, or -1 with *err set. */
static int
create_copy(const ArchiveReader *reader, Arena *arena, const char **name, Err *err)
{
    const ArchiveFolder *folder = archive_reader_folder(reader);
    int64_t at = archive_verdict(reader)->whole_bytes;
    const char *first = arena_printf(arena, "%s.torn-%" PRId64, archive_reader_name(reader), at);
    *name = first;
    int fd = -1;
    for (int i = 2; i <= COPIES_MAX; i++) {
        fd = create_file(folder, *name, true, err);
        if (fd >= 0 || err->cls != ERR_NONE) {
            return fd;
        }
        *name = arena_printf(arena, "%s.%d", first, i);
    }
    (void)err_set(err, ERR_FATAL, "archive file %s/%s has %d copies of its torn tail already",
        folder->path, archive_reader_name(reader), COPIES_MAX);
    return fd;
}

static bool
copy_bytes(int from, int64_t at, int to)
{
    char piece[COPY_BYTES];
    for (;;) {
        ssize_t len = pread(from, piece, sizeof(piece), at);
        if (len < 0 && errno == EINTR) {
            continue;
        }
        struct iovec part = {.iov_base = piece, .iov_len = len > 0 ? (size_t)len : 0};
        if (len <= 0 || !write_all(to, &part, 1)) {
            return len == 0 && fsync(to) == 0;
        }
        at += len;
    }
}

static bool
cut_tail(const ArchiveReader *reader, int fd, Arena *arena, const char **torn, Err *err)
{
    const ArchiveFolder *folder = archive_reader_folder(reader);
    const ArchiveVerdict *verdict = archive_verdict(reader);
    int copy = create_copy(reader, arena, torn, err);
    if (copy < 0) {
        return false;
    }
    bool copied = copy_bytes(fd, verdict->whole_bytes, copy);
    if (!copied) {
        (void)fail(folder, *torn, "write", err);
    }
    if (close(copy) != 0 && copied) {
        copied = fail(folder, *torn, "close", err);
    }
    if (!copied) {
        return false;
    }
    if (ftruncate(fd, verdict->whole_bytes) != 0 || fsync(fd) != 0) {
        return fail(folder, archive_reader_name(reader), "truncation", err);
    }
    return true;
}

/* Open what the reader has read, and be sure that it is that. */
static int
reopen(const ArchiveReader *reader, Err *err)
{
    const ArchiveFolder *folder = archive_reader_folder(reader);
    const char *name = archive_reader_name(reader);
    int fd = openat(folder->fd, name, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        (void)fail(folder, name, "opening", err);
        return -1;
    }
    struct stat status;
    if (!lock_file(folder, name, fd, err)) {
        (void)close(fd);
        return -1;
    }
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid() ||
        status.st_size != archive_verdict(reader)->file_bytes) {
        (void)close(fd);
        (void)err_set(err, ERR_REFUSED,
            "archive file %s/%s is not ours, or was changed since it was read", folder->path, name);
        return -1;
    }
    return fd;
}

bool
archive_settle(const ArchiveReader *reader, ArchiveFate last, Arena *arena, int64_t *bytes,
    const char **torn, Err *err)
{
    const ArchiveVerdict *verdict = archive_verdict(reader);
    assert(verdict->state == ARCHIVE_WHOLE || verdict->state == ARCHIVE_TORN);
    *torn = NULL;
    *bytes = verdict->whole_bytes;
    int fd = reopen(reader, err);
    if (fd < 0) {
        return false;
    }
    const ArchiveEntry *entry = archive_last(reader);
    bool whole = verdict->state == ARCHIVE_WHOLE || cut_tail(reader, fd, arena, torn, err);
    if (!whole || entry == NULL) {
        (void)close(fd);
        return whole;
    }
    ArchiveWriter *writer = writer_new(
        archive_reader_folder(reader), &entry->header.origin, archive_reader_name(reader), fd);
    writer->bytes = verdict->whole_bytes;
    writer->frames = verdict->frames;
    memcpy(writer->previous, entry->header.head_hash, sizeof(writer->previous));
    return archive_finish(writer, last, bytes, err);
}
