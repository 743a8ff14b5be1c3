#include "ops/archive_settle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "engine/archive_scan.h"
#include "store/archive.h"

/* Of a session of the dead run that is about to commit; it has a timeout of less than a second. */
#define DECIDE_ATTEMPTS 5

/* A file that was not closed, as it is on disk and in the database. */
typedef struct OpenFile {
    const ArchiveFileRow *row;
    ArchiveReader *reader;    /* NULL: there is no such file */
    ArchiveFrameRow *entries; /* whole frames on disk */
    int count;
    int size;
    ArchiveFrameList known;
    const char *strange; /* uuid of another job that a header names; NULL */
    Arena arena;
} OpenFile;

typedef struct Settlement {
    PgConn *conn;
    const JobRow *job;
    ArchiveFolder folder;
    ArchiveName *names;
    int name_count;
    ArchiveFileList files;
    OpenFile *open;
    int open_count;
    Arena arena;
} Settlement;

/* ---- what is there ---- */

static const ArchiveFileRow *
find_row(const Settlement *s, const char *name)
{
    for (int i = 0; i < s->files.count; i++) {
        if (strcmp(s->files.rows[i].name, name) == 0) {
            return &s->files.rows[i];
        }
    }
    return NULL;
}

static bool
is_in_folder(const Settlement *s, const char *name)
{
    for (int i = 0; i < s->name_count; i++) {
        if (strcmp(s->names[i].text, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool
refuse_strangers(const Settlement *s, Err *err)
{
    for (int i = 0; i < s->name_count; i++) {
        if (find_row(s, s->names[i].text) == NULL) {
            (void)err_set(err, ERR_REFUSED, "this database does not know archive file %s/%s",
                s->folder.path, s->names[i].text);
            return err_hint(err, "It is of another database, or this one was restored to an "
                                 "earlier state. Nothing was touched: move it elsewhere, or name "
                                 "another folder.");
        }
    }
    return true;
}

static bool
lost(const Settlement *s, const ArchiveFileRow *row, const char *what, Err *err)
{
    (void)err_set(err, ERR_CORRUPT, "archive file %s/%s %s, and rows that it has are deleted",
        s->folder.path, row->name, what);
    return err_hint(err,
        "Bring it back. A file that was moved elsewhere on purpose is no longer asked for after: "
        "UPDATE pghaul.archive_file SET bytes = NULL WHERE job = %lld AND no = %d",
        (long long)row->job, row->no);
}

/* One that is not mounted, say: an empty one in its place would be in the way. */
static bool
refuse_missing_folder(const Settlement *s, const char *path, Err *err)
{
    struct stat status;
    if (lstat(path, &status) == 0 || errno != ENOENT) {
        return true;
    }
    for (int i = 0; i < s->files.count; i++) {
        const ArchiveFileRow *row = &s->files.rows[i];
        if (row->job == s->job->id && row->closed && row->bytes >= 0) {
            (void)err_set(err, ERR_CORRUPT,
                "archive folder %s is missing, and rows that its files have are deleted", path);
            return err_hint(err, "Bring it back, or mount the disk that it is on.");
        }
    }
    return true;
}

/* ---- files that are closed ---- */

static bool
check_closed(const Settlement *s, const ArchiveFileRow *row, Err *err)
{
    if (row->bytes < 0) {
        return true;
    }
    if (!is_in_folder(s, row->name)) {
        return lost(s, row, "is missing", err);
    }
    struct stat status;
    bool same = fstatat(s->folder.fd, row->name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                S_ISREG(status.st_mode) && status.st_size == row->bytes;
    return same || lost(s, row, "is not as large as when it was closed", err);
}

/* ---- files that are not ---- */

static bool
take_entry(void *ctx, const ArchiveEntry *entry, Err *err)
{
    (void)err;
    OpenFile *file = ctx;
    const ArchiveHeader *header = &entry->header;
    if (strcmp(header->origin.job_uuid, file->row->job_uuid) != 0) {
        file->strange = "a frame of another job";
    }
    if (header->is_end) {
        return true;
    }
    if (file->count == file->size) {
        int size = file->size == 0 ? 64 : 2 * file->size;
        ArchiveFrameRow *entries = arena_alloc(&file->arena, (size_t)size * sizeof(*entries));
        if (file->count > 0) {
            memcpy(entries, file->entries, (size_t)file->count * sizeof(*entries));
        }
        file->entries = entries;
        file->size = size;
    }
    file->entries[file->count++] = (ArchiveFrameRow){
        .job = file->row->job,
        .file = file->row->no,
        .no = header->frame_no,
        .run = header->origin.run,
        .pass = header->pass,
        .range = header->range,
        .rows = header->rows,
        .at = entry->at,
        .bytes = entry->bytes,
        .raw_bytes = header->raw_bytes,
        .hash = arena_strdup(&file->arena, header->raw_hash),
    };
    return true;
}

/* Frames are numbered from 1 without a gap. */
static bool
has_frame(const OpenFile *file, const ArchiveFrameRow *frame)
{
    if (frame->no > file->count) {
        return false;
    }
    const ArchiveFrameRow *entry = &file->entries[frame->no - 1];
    return entry->no == frame->no && entry->at == frame->at && entry->bytes == frame->bytes &&
           strcmp(entry->hash, frame->hash) == 0;
}

static bool
compare_frames(const Settlement *s, const OpenFile *file, Err *err)
{
    for (int i = 0; i < file->known.count; i++) {
        const ArchiveFrameRow *frame = &file->known.rows[i];
        if (frame->committed && (file->reader == NULL || !has_frame(file, frame))) {
            char what[64];
            (void)snprintf(what, sizeof(what), "has no whole frame %d", frame->no);
            return lost(s, file->row, file->reader == NULL ? "is missing" : what, err);
        }
    }
    return true;
}

static bool
read_open(Settlement *s, OpenFile *file, Err *err)
{
    const ArchiveFileRow *row = file->row;
    if (!archive_frames(s->conn, row->job, row->no, &file->arena, &file->known, err)) {
        return false;
    }
    if (!is_in_folder(s, row->name)) {
        return compare_frames(s, file, err);
    }
    if (!archive_reader_open(&s->folder, row->name, &file->reader, err) ||
        !archive_scan(file->reader, ARCHIVE_BYTES, take_entry, file, err)) {
        return false;
    }
    const ArchiveVerdict *verdict = archive_verdict(file->reader);
    if (file->strange != NULL || verdict->state == ARCHIVE_DAMAGED) {
        (void)err_set(err, ERR_CORRUPT, "archive file %s/%s is damaged: %s", s->folder.path,
            row->name, file->strange != NULL ? file->strange : verdict->reason);
        return err_hint(err, "Nothing was touched. Bring the file back as it was written.");
    }
    return compare_frames(s, file, err);
}

/* ---- to an end ---- */

static bool
decide(const Settlement *s, const ArchiveFrameRow *frame, bool *committed, Err *err)
{
    for (int i = 1; !archive_decide(s->conn, frame, committed, err); i++) {
        if (err->cls != ERR_RETRY || i == DECIDE_ATTEMPTS) {
            return false;
        }
        *err = ERR_INIT;
    }
    return true;
}

static bool
is_known(const OpenFile *file, int no, bool *committed)
{
    for (int i = 0; i < file->known.count; i++) {
        if (file->known.rows[i].no == no) {
            *committed = file->known.rows[i].committed;
            return true;
        }
    }
    return false;
}

/* All frames of the file, and one more: it may be what is torn, and then nobody may commit it. */
static bool
decide_frames(const Settlement *s, const OpenFile *file, ArchiveFate *last, Err *err)
{
    *last = ARCHIVE_NONE;
    for (int i = 0; i < file->count; i++) {
        bool committed = false;
        if (!is_known(file, file->entries[i].no, &committed) &&
            !decide(s, &file->entries[i], &committed, err)) {
            return false;
        }
        *last = committed ? ARCHIVE_COMMITTED : ARCHIVE_VOID;
    }
    if (file->reader == NULL || archive_verdict(file->reader)->state != ARCHIVE_TORN) {
        return true;
    }
    ArchiveFrameRow torn = {.job = file->row->job,
        .file = file->row->no,
        .no = file->count + 1,
        .run = file->row->run,
        .at = archive_verdict(file->reader)->whole_bytes,
        .hash = ""};
    bool committed = false;
    if (!decide(s, &torn, &committed, err)) {
        return false;
    }
    return !committed || lost(s, file->row, "ends with a torn frame", err);
}

static bool
note_torn(const Settlement *s, const ArchiveFileRow *row, const char *torn, Err *err)
{
    char reason[512];
    (void)snprintf(reason, sizeof(reason),
        "archive file %s: what followed its last whole frame was moved to %s", row->name, torn);
    log_line(LOG_WARNING, NULL, "%s", reason);
    return job_event(s->conn, s->job->id, 0, "archive", reason, err);
}

static bool
settle_open(const Settlement *s, OpenFile *file, Err *err)
{
    const ArchiveFileRow *row = file->row;
    ArchiveFate last = ARCHIVE_NONE;
    int64_t bytes = -1;
    const char *torn = NULL;
    if (!decide_frames(s, file, &last, err)) {
        return false;
    }
    if (file->reader != NULL && archive_verdict(file->reader)->state == ARCHIVE_CLOSED) {
        bytes = archive_verdict(file->reader)->file_bytes;
    } else if (file->reader != NULL &&
               !archive_settle(file->reader, last, &file->arena, &bytes, &torn, err)) {
        return false;
    }
    return (torn == NULL || note_torn(s, row, torn, err)) &&
           archive_close_file(s->conn, row->job, row->no, bytes, err) &&
           archive_count_run(s->conn, row->job, row->run, err);
}

/* ---- the whole ---- */

/* Of a job that was cleaned the files are known, and nobody's business any more. */
static bool
look_at_all(Settlement *s, Err *err)
{
    s->open = arena_alloc(&s->arena, (size_t)s->files.count * sizeof(*s->open));
    for (int i = 0; i < s->files.count; i++) {
        const ArchiveFileRow *row = &s->files.rows[i];
        if (row->job != s->job->id) {
            continue;
        }
        if (!row->closed) {
            s->open[s->open_count] = (OpenFile){.row = row, .arena = ARENA_INIT};
            s->open_count++;
        }
        if (row->closed ? !check_closed(s, row, err)
                        : !read_open(s, &s->open[s->open_count - 1], err)) {
            return false;
        }
    }
    return true;
}

static bool
settle_all(Settlement *s, Err *err)
{
    for (int i = 0; i < s->open_count; i++) {
        if (!settle_open(s, &s->open[i], err)) {
            return false;
        }
    }
    return true;
}

bool
archive_settle_job(PgConn *conn, const Plan *plan, const JobRow *job, Err *err)
{
    if (plan->purge == NULL || !plan->purge->archives) {
        return true;
    }
    Settlement s = {.conn = conn, .job = job, .folder = ARCHIVE_FOLDER_INIT, .arena = ARENA_INIT};
    bool ok =
        archive_files(conn, plan->spec->job, &s.arena, &s.files, err) &&
        refuse_missing_folder(&s, plan->spec->archive.path, err) &&
        archive_folder_make(plan->spec->archive.path, &s.folder, err) &&
        archive_folder_list(&s.folder, plan->spec->job, &s.arena, &s.names, &s.name_count, err) &&
        refuse_strangers(&s, err) && look_at_all(&s, err) && settle_all(&s, err);
    for (int i = 0; i < s.open_count; i++) {
        archive_reader_close(s.open[i].reader);
        arena_reset(&s.open[i].arena);
    }
    archive_folder_close(&s.folder);
    arena_reset(&s.arena);
    return ok;
}
