/*
 * archive_walk.c - two lists side by side: the units of a file, and what the database noted down.
 *
 * The fate of a frame stands in the unit after it, so each frame waits until that was read.
 */
#include "ops/archive_walk.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "core/ident.h"
#include "core/jobfile.h"
#include "store/ledger.h"
#include "store/schema.h"

/* A job of the database, as it was before any file was opened. */
typedef struct Known {
    LedgerJob job;
    LedgerFile *files;
    bool *met; /* of files: it is in the folder */
    int file_count;
    bool is_met; /* one of them is */
} Known;

/* Of the whole walk. */
typedef struct Walk {
    const ArchiveWalk *setup;
    Arena arena;
    ArchiveName *names;
    int name_count;
    Known *jobs;
    int job_count;
} Walk;

/* Of one file. */
typedef struct Step {
    Walk *walk;
    Arena arena;
    WalkedFile file;
    bool skipped; /* it is of another table */
    bool stopped; /* no word more about its frames */
    bool live;    /* somebody writes to it now */
    WalkedFrame last;
    bool has_last;
    /* what the database has of it */
    int64_t job;
    const LedgerFile *ledger; /* NULL = it knows no such file */
    Arena page_arena;
    LedgerPage page;
    int page_at;
    bool page_ends; /* nothing comes behind it */
} Step;

/* ---- remarks ---- */

static void
remark(const Walk *walk, WalkGravity gravity, const char *file, int64_t at, const char *text)
{
    if (walk->setup->remark != NULL) {
        WalkRemark said = {.gravity = gravity, .file = file, .at = at, .text = text};
        walk->setup->remark(walk->setup->ctx, &said);
    }
}

static void __attribute__((format(printf, 3, 4)))
damage(const Step *step, int64_t at, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    remark(step->walk, WALK_DAMAGE, step->file.name->text, at, text);
}

/* The server lost a deletion, by a failover or since it is one that was restored from a backup. */
static void
undone(const Step *step, WalkGravity gravity, const WalkedFrame *frame, const char *what)
{
    char text[512];
    (void)snprintf(text, sizeof(text),
        "the file says that the rows of frame %d were deleted, the database %s", frame->no, what);
    remark(step->walk, gravity, step->file.name->text, frame->at, text);
}

static void
note(const Step *step, int64_t at, const char *text)
{
    remark(step->walk, WALK_NOTE, step->file.name->text, at, text);
}

/* ---- what the database has ---- */

static bool
read_files(Walk *walk, Known *known, const LedgerJob *job, Err *err)
{
    known->job = *job;
    if (!ledger_files(
            walk->setup->conn, job->id, &walk->arena, &known->files, &known->file_count, err)) {
        return false;
    }
    known->met = arena_alloc(&walk->arena, ((size_t)known->file_count + 1) * sizeof(*known->met));
    return true;
}

static bool
read_jobs(Walk *walk, Err *err)
{
    LedgerJob *jobs = NULL;
    PgConn *conn = walk->setup->conn;
    bool exists = false;
    if (conn == NULL || !schema_check(conn, &exists, err)) {
        return conn == NULL;
    }
    if (!exists || !ledger_jobs(conn, &walk->arena, &jobs, &walk->job_count, err)) {
        return !exists;
    }
    walk->jobs = arena_alloc(&walk->arena, ((size_t)walk->job_count + 1) * sizeof(*walk->jobs));
    for (int i = 0; i < walk->job_count; i++) {
        if (!read_files(walk, &walk->jobs[i], &jobs[i], err)) {
            return false;
        }
    }
    return true;
}

/* The job that wrote the file; NULL when the database does not know it. */
static Known *
find_job(const Walk *walk, const ArchiveOrigin *origin, bool *has_namesake)
{
    *has_namesake = false;
    for (int i = 0; i < walk->job_count; i++) {
        const LedgerJob *job = &walk->jobs[i].job;
        if (strcmp(job->uuid, origin->job_uuid) == 0) {
            return &walk->jobs[i];
        }
        *has_namesake = *has_namesake || strcmp(job->name, origin->job) == 0;
    }
    return NULL;
}

static void
find_ledger(Step *step)
{
    bool has_namesake = false;
    Known *known = find_job(step->walk, &step->file.origin, &has_namesake);
    step->file.known = known != NULL;
    if (known == NULL) {
        if (has_namesake) {
            damage(step, -1, "the database has a job %s, but it is not the one that wrote this",
                step->file.origin.job);
        }
        return;
    }
    known->is_met = true;
    step->job = known->job.id;
    for (int i = 0; i < known->file_count; i++) {
        if (strcmp(known->files[i].name, step->file.name->text) == 0) {
            step->ledger = &known->files[i];
        }
    }
    if (step->ledger == NULL) {
        note(step, -1, "the database does not know the file: none of its rows was deleted");
    }
}

/* The next frame of the database's list, NULL at its end. */
static bool
peek(Step *step, const LedgerFrame **frame, Err *err)
{
    *frame = NULL;
    if (step->ledger == NULL) {
        return true;
    }
    LedgerPage *page = &step->page;
    if (step->page_at == page->count && !step->page_ends) {
        LedgerPlace from = {.job = step->job,
            .file = step->ledger->no,
            .frame = page->count == 0 ? 0 : page->frames[page->count - 1].no + 1};
        arena_reset(&step->page_arena);
        step->page_at = 0;
        if (!ledger_frames(step->walk->setup->conn, &from, &step->page_arena, page, err)) {
            return false;
        }
        step->page_ends = page->count < LEDGER_FRAMES_MAX;
    }
    *frame = step->page_at < page->count ? &page->frames[step->page_at] : NULL;
    return true;
}

/* Frames of the list before number `no` are not in the file. */
static bool
skip_missing(Step *step, int no, Err *err)
{
    int first = 0;
    int64_t missing = 0;
    const LedgerFrame *frame = NULL;
    for (;;) {
        if (!peek(step, &frame, err)) {
            return false;
        }
        if (frame == NULL || frame->no >= no) {
            break;
        }
        if (frame->fate == ARCHIVE_COMMITTED) {
            first = missing == 0 ? frame->no : first;
            missing++;
        }
        step->page_at++;
    }
    if (missing > 0) {
        damage(step, -1, "%lld frame%s of deleted rows, from number %d on, %s missing",
            (long long)missing, missing == 1 ? "" : "s", first, missing == 1 ? "is" : "are");
    }
    return true;
}

static bool
is_same(const WalkedFrame *frame, const LedgerFrame *noted)
{
    return frame->at == noted->at && frame->bytes == noted->bytes && frame->rows == noted->rows &&
           frame->raw_bytes == noted->raw_bytes && strcmp(frame->hash, noted->hash) == 0;
}

/* Both fates of a frame: the database decides, and differences are said. */
static bool
decide(Step *step, WalkedFrame *frame, ArchiveFate in_file, Err *err)
{
    const LedgerFrame *noted = NULL;
    frame->fate = in_file;
    if (!step->file.known) {
        return true;
    }
    if (!skip_missing(step, frame->no, err) || !peek(step, &noted, err)) {
        return false;
    }
    if (noted == NULL || noted->no != frame->no) {
        if (in_file == ARCHIVE_COMMITTED) {
            undone(step, WALK_UNDONE, frame, "does not know it");
        }
        frame->fate = in_file == ARCHIVE_VOID ? ARCHIVE_VOID : ARCHIVE_NONE;
        return true;
    }
    step->page_at++;
    frame->fate = noted->fate;
    if (noted->fate == ARCHIVE_COMMITTED && !is_same(frame, noted)) {
        damage(step, frame->at, "frame %d is not the one that the database noted down", frame->no);
        frame->fate = ARCHIVE_NONE;
    } else if (in_file == ARCHIVE_COMMITTED && noted->fate == ARCHIVE_VOID) {
        undone(step, WALK_NOTE, frame, "lost their deletion and has them");
    } else if (in_file == ARCHIVE_VOID && noted->fate == ARCHIVE_COMMITTED) {
        damage(step, frame->at, "the rows of frame %d were deleted, and the file says the contrary",
            frame->no);
    }
    return true;
}

/* ---- one file ---- */

static void
copy_origin(const ArchiveOrigin *from, Arena *arena, ArchiveOrigin *to)
{
    *to = *from;
    to->job = arena_strdup(arena, from->job);
    to->job_uuid = arena_strdup(arena, from->job_uuid);
    to->database = arena_strdup(arena, from->database);
    to->schema = arena_strdup(arena, from->schema);
    to->table = arena_strdup(arena, from->table);
    to->system_id = arena_strdup(arena, from->system_id);
    to->server_version = arena_strdup(arena, from->server_version);
    to->encoding = arena_strdup(arena, from->encoding);
    ArchiveColumn *columns = arena_alloc(arena, (size_t)from->column_count * sizeof(*columns));
    for (int i = 0; i < from->column_count; i++) {
        columns[i].name = arena_strdup(arena, from->columns[i].name);
        columns[i].type = arena_strdup(arena, from->columns[i].type);
    }
    to->columns = columns;
}

bool
archive_table_matches(const char *written, const char *schema, const char *table)
{
    if (written == NULL) {
        return true;
    }
    Arena arena = ARENA_INIT;
    Err ignored = ERR_INIT; /* what cannot be read means no table */
    const char *want_schema = NULL;
    const char *want = NULL;
    bool same = ident_parse_qualified(written, &arena, &want_schema, &want, &ignored) &&
                strcmp(want, table) == 0 &&
                (want_schema == NULL || schema == NULL || strcmp(want_schema, schema) == 0);
    arena_reset(&arena);
    return same;
}

/* The first unit says whose file it is. */
static void
begin_file(Step *step, const ArchiveOrigin *origin)
{
    WalkedFile *file = &step->file;
    copy_origin(origin, &step->arena, &file->origin);
    if (strcmp(archive_name_format(origin, &step->arena), file->name->text) != 0) {
        damage(step, 0, "the file was written under another name: %s",
            archive_name_format(origin, &step->arena));
        step->stopped = true;
        return;
    }
    step->skipped =
        !archive_table_matches(step->walk->setup->choice.table, origin->schema, origin->table);
    if (!step->skipped) {
        find_ledger(step);
    }
}

static bool
settle_last(Step *step, ArchiveFate in_file, Err *err)
{
    const ArchiveWalk *setup = step->walk->setup;
    if (!step->has_last) {
        return true;
    }
    step->has_last = false;
    WalkedFrame *frame = &step->last;
    if (!decide(step, frame, in_file, err)) {
        return false;
    }
    step->file.frames[frame->fate]++;
    step->file.rows[frame->fate] += frame->rows;
    step->file.raw_bytes += frame->raw_bytes;
    return setup->frame == NULL || setup->frame(setup->ctx, &step->file, frame, err);
}

static void
take_time(WalkedFile *file, const char *written_at)
{
    (void)snprintf(file->last_at, sizeof(file->last_at), "%s", written_at);
    if (file->first_at[0] == '\0') {
        (void)snprintf(file->first_at, sizeof(file->first_at), "%s", written_at);
    }
}

static bool
take_unit(Step *step, const ArchiveEntry *entry, Err *err)
{
    const ArchiveHeader *header = &entry->header;
    if (step->file.origin.job == NULL) {
        begin_file(step, &header->origin);
    }
    if (step->skipped || step->stopped) {
        return true;
    }
    if (!settle_last(step, header->before, err)) {
        return false;
    }
    take_time(&step->file, header->written_at);
    step->has_last = !header->is_end;
    step->last = (WalkedFrame){
        .no = header->frame_no,
        .at = entry->at,
        .bytes = entry->bytes,
        .rows = header->rows,
        .raw_bytes = header->raw_bytes,
    };
    (void)snprintf(step->last.hash, sizeof(step->last.hash), "%s", header->raw_hash);
    return true;
}

/* What the end of a file says, beside its frames. */
static void
judge_end(const Step *step, const ArchiveVerdict *verdict)
{
    const LedgerFile *ledger = step->ledger;
    bool is_closed = verdict->state == ARCHIVE_CLOSED;
    if (verdict->state == ARCHIVE_DAMAGED) {
        damage(step, verdict->whole_bytes, "%s", verdict->reason);
    } else if (ledger != NULL && ledger->closed && !is_closed) {
        damage(step, verdict->whole_bytes, "the file was closed, and its end is not there%s%s",
            verdict->reason[0] == '\0' ? "" : ": ", verdict->reason);
    } else if (ledger != NULL && ledger->closed && ledger->bytes >= 0 &&
               ledger->bytes != verdict->file_bytes) {
        damage(step, -1, "the file has %lld bytes, and had %lld when it was closed",
            (long long)verdict->file_bytes, (long long)ledger->bytes);
    } else if (step->live && !is_closed) {
        note(step, verdict->whole_bytes, "a run writes it now");
    } else if (verdict->state == ARCHIVE_TORN && !step->file.known) {
        remark(step->walk, WALK_TORN, step->file.name->text, verdict->whole_bytes,
            "a torn end, as a run leaves it that was cut off: only its database knows whether "
            "deleted rows are in it");
    } else if (verdict->state == ARCHIVE_TORN) {
        note(step, verdict->whole_bytes,
            "a torn end that holds no deleted row; the next run of the job cuts it off");
    } else if (!is_closed) {
        note(step, verdict->whole_bytes,
            step->file.known ? "not closed: a run writes it, or was cut off; the next one closes it"
                             : "not closed: nothing in it says whether the rows of its last frame "
                               "were deleted");
    }
}

static bool
end_file(Step *step, const ArchiveVerdict *verdict, Err *err)
{
    const ArchiveWalk *setup = step->walk->setup;
    WalkedFile *file = &step->file;
    file->state = verdict->state;
    file->bytes = verdict->file_bytes;
    if (step->skipped) {
        return true;
    }
    if (!step->stopped) {
        if (!settle_last(step, ARCHIVE_NONE, err)) {
            return false;
        }
        judge_end(step, verdict);
        if (step->ledger != NULL && !skip_missing(step, step->ledger->last + 1, err)) {
            return false;
        }
    }
    return setup->file == NULL || setup->file(setup->ctx, file, err);
}

static bool
read_units(Step *step, ArchiveReader *reader, Err *err)
{
    for (;;) {
        ArchiveEntry entry;
        bool found = false;
        if (!archive_next(reader, step->walk->setup->depth, &entry, &found, err)) {
            return false;
        }
        if (!found) {
            step->live = archive_reader_is_live(reader);
            return end_file(step, archive_verdict(reader), err);
        }
        if (!take_unit(step, &entry, err)) {
            return false;
        }
        if (step->skipped) {
            return true;
        }
    }
}

/* It is there, whatever is in it. */
static void
mark_met(const Walk *walk, const char *name)
{
    for (int i = 0; i < walk->job_count; i++) {
        const Known *known = &walk->jobs[i];
        for (int f = 0; f < known->file_count; f++) {
            known->met[f] = known->met[f] || strcmp(known->files[f].name, name) == 0;
        }
    }
}

static bool
walk_file(Walk *walk, const ArchiveName *name, Err *err)
{
    Step step = {
        .walk = walk, .arena = ARENA_INIT, .page_arena = ARENA_INIT, .file = {.name = name}};
    ArchiveReader *reader = NULL;
    mark_met(walk, name->text);
    bool ok = archive_reader_open(walk->setup->folder, name->text, &reader, err) &&
              read_units(&step, reader, err);
    archive_reader_close(reader);
    arena_reset(&step.page_arena);
    arena_reset(&step.arena);
    return ok;
}

/* ---- files that are not there ---- */

/* Does the job write into this folder, going by its job file? */
static bool
writes_here(const Walk *walk, const LedgerJob *job)
{
    Arena arena = ARENA_INIT;
    JobSpec spec;
    Err ignored = ERR_INIT; /* a text that cannot be read any more names no folder */
    bool here = jobfile_parse("stored", job->spec, strlen(job->spec), &arena, &spec, &ignored) &&
                spec.archive.path != NULL &&
                strcmp(spec.archive.path, walk->setup->folder->path) == 0;
    arena_reset(&arena);
    return here;
}

static bool
is_chosen(const WalkChoice *choice, const LedgerFile *file)
{
    Arena arena = ARENA_INIT;
    Err ignored = ERR_INIT;
    const char *schema = NULL;
    const char *table = NULL;
    bool chosen = (choice->run == 0 || choice->run == file->run) &&
                  ident_parse_qualified(file->table, &arena, &schema, &table, &ignored) &&
                  archive_table_matches(choice->table, schema, table);
    arena_reset(&arena);
    return chosen;
}

static void
report_missing(const Walk *walk, const Known *known)
{
    for (int i = 0; i < known->file_count; i++) {
        const LedgerFile *file = &known->files[i];
        if (known->met[i] || file->committed == 0 || !is_chosen(&walk->setup->choice, file)) {
            continue;
        }
        char text[100];
        if (file->closed && file->bytes < 0) {
            (void)snprintf(text, sizeof(text),
                "the file was moved elsewhere on purpose, with %lld frame%s of deleted rows",
                (long long)file->committed, file->committed == 1 ? "" : "s");
            remark(walk, WALK_NOTE, file->name, -1, text);
            continue;
        }
        (void)snprintf(text, sizeof(text),
            "the file is missing; it had %lld frame%s of deleted rows", (long long)file->committed,
            file->committed == 1 ? "" : "s");
        remark(walk, WALK_DAMAGE, file->name, -1, text);
    }
}

/* ---- all of it ---- */

/* The database first: what it knows then was in the files before they are opened. */
static bool
run(Walk *walk, Err *err)
{
    const ArchiveWalk *setup = walk->setup;
    if (!read_jobs(walk, err) || !archive_folder_list(setup->folder, NULL, &walk->arena,
                                     &walk->names, &walk->name_count, err)) {
        return false;
    }
    for (int i = 0; i < walk->name_count; i++) {
        bool chosen = setup->choice.run == 0 || walk->names[i].run == setup->choice.run;
        if (chosen && !walk_file(walk, &walk->names[i], err)) {
            return err_wrap(err, "%.60s", walk->names[i].text);
        }
    }
    for (int i = 0; i < walk->job_count; i++) {
        if (walk->jobs[i].is_met || writes_here(walk, &walk->jobs[i].job)) {
            report_missing(walk, &walk->jobs[i]);
        }
    }
    return true;
}

bool
archive_walk(const ArchiveWalk *setup, Err *err)
{
    Walk walk = {.setup = setup, .arena = ARENA_INIT};
    bool ok = run(&walk, err);
    arena_reset(&walk.arena);
    return ok;
}
