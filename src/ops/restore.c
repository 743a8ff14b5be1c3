#include "ops/restore.h"

#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "ops/archive_walk.h"
#include "pg/query.h"
#include "store/job.h"
#include "store/ranges.h"

static bool
walk(const JobSpec *spec, ArchiveWalk *walk, Err *err)
{
    ArchiveFolder folder = ARCHIVE_FOLDER_INIT;
    if (!archive_folder_open(spec->archive.path, &folder, err)) {
        return false;
    }
    walk->folder = &folder;
    walk->depth = ARCHIVE_HEADS;
    walk->choice = (WalkChoice){.table = spec->archive_table, .run = spec->archive_run};
    bool ok = archive_walk(walk, err);
    archive_folder_close(&folder);
    return ok;
}

/* ---- what there is ---- */

typedef struct Look {
    RestoreFacts *facts;
    ArchiveColumn *columns; /* those of `facts` */
    int column_size;
    Arena *arena;
} Look;

static bool
has_column(const Look *look, const ArchiveColumn *column)
{
    for (int i = 0; i < look->facts->column_count; i++) {
        if (strcmp(look->columns[i].name, column->name) == 0 &&
            strcmp(look->columns[i].type, column->type) == 0) {
            return true;
        }
    }
    return false;
}

static void
add_column(Look *look, const ArchiveColumn *column)
{
    RestoreFacts *facts = look->facts;
    if (facts->column_count == look->column_size) {
        int size = look->column_size == 0 ? 32 : look->column_size * 2;
        ArchiveColumn *columns = arena_alloc(look->arena, (size_t)size * sizeof(*columns));
        if (facts->column_count > 0) {
            memcpy(columns, look->columns, (size_t)facts->column_count * sizeof(*columns));
        }
        look->columns = columns;
        look->column_size = size;
    }
    look->columns[facts->column_count++] = (ArchiveColumn){
        .name = arena_strdup(look->arena, column->name),
        .type = arena_strdup(look->arena, column->type),
    };
    facts->columns = look->columns;
}

/* Name it as people do. */
static const char *
table_of(const ArchiveOrigin *origin, Arena *arena)
{
    return arena_printf(arena, "%s.%s", origin->schema, origin->table);
}

static bool
take_file(void *ctx, const WalkedFile *file, Err *err)
{
    (void)err;
    Look *look = ctx;
    RestoreFacts *facts = look->facts;
    const ArchiveOrigin *origin = &file->origin;
    if (origin->job == NULL) {
        return true;
    }
    if (facts->job == NULL) {
        facts->job = arena_strdup(look->arena, origin->job);
        facts->job_uuid = arena_strdup(look->arena, origin->job_uuid);
        facts->table = table_of(origin, look->arena);
    } else if (strcmp(facts->table, table_of(origin, look->arena)) != 0) {
        facts->other_table = table_of(origin, look->arena);
        return true;
    }
    for (int i = 0; i < origin->column_count; i++) {
        if (!has_column(look, &origin->columns[i])) {
            add_column(look, &origin->columns[i]);
        }
    }
    facts->known = facts->known || file->known;
    facts->files++;
    facts->frames += file->frames[ARCHIVE_COMMITTED];
    facts->rows += file->rows[ARCHIVE_COMMITTED];
    facts->raw_bytes += file->raw_bytes;
    facts->undecided_frames += file->frames[ARCHIVE_NONE];
    facts->undecided_rows += file->rows[ARCHIVE_NONE];
    return true;
}

static const char *
remark_text(const WalkRemark *remark, Arena *arena)
{
    return remark->at < 0 ? arena_printf(arena, "%s: %s", remark->file, remark->text)
                          : arena_printf(arena, "%s at %lld: %s", remark->file,
                                (long long)remark->at, remark->text);
}

static void
take_remark(void *ctx, const WalkRemark *remark)
{
    Look *look = ctx;
    RestoreFacts *facts = look->facts;
    if (remark->gravity == WALK_DAMAGE) {
        facts->damages++;
        facts->damage = facts->damage != NULL ? facts->damage : remark_text(remark, look->arena);
    } else if (remark->gravity == WALK_TORN) {
        facts->torn = remark_text(remark, look->arena);
    }
}

bool
restore_look(PgConn *conn, const JobSpec *spec, Arena *arena, const RestoreFacts **facts, Err *err)
{
    Look look = {.facts = arena_alloc(arena, sizeof(*look.facts)), .arena = arena};
    ArchiveWalk setup = {.conn = conn, .file = take_file, .remark = take_remark, .ctx = &look};
    *facts = look.facts;
    return walk(spec, &setup, err);
}

/* ---- the ranges ---- */

#define PAGE_RANGES 1000

typedef struct Pages {
    PgConn *conn;
    int64_t job;
    int pass;
    int64_t next_no;
    int64_t rows;
    Arena arena; /* of one page */
    const char *lows[PAGE_RANGES];
    const char *highs[PAGE_RANGES];
    const char *counts[PAGE_RANGES];
    int count;
    Err damage;
} Pages;

static bool
flush(Pages *pages, Err *err)
{
    if (pages->count == 0) {
        return true;
    }
    RangePage page = {
        .first_no = pages->next_no,
        .lows = pg_array_format(pages->lows, pages->count, &pages->arena),
        .highs = pg_array_format(pages->highs, pages->count, &pages->arena),
        .rows = pg_array_format(pages->counts, pages->count, &pages->arena),
    };
    bool ok = ranges_insert(pages->conn, pages->job, pages->pass, &page, err);
    pages->next_no += pages->count;
    pages->count = 0;
    arena_reset(&pages->arena);
    return ok;
}

static bool
take_frame(void *ctx, const WalkedFile *file, const WalkedFrame *frame, Err *err)
{
    Pages *pages = ctx;
    if (frame->fate != ARCHIVE_COMMITTED) {
        return true;
    }
    Arena *arena = &pages->arena;
    const char *low[] = {file->name->text, arena_printf(arena, "%d", frame->no),
        arena_printf(arena, "%lld", (long long)frame->at), frame->hash};
    const char *rows = arena_printf(arena, "%lld", (long long)frame->rows);
    pages->lows[pages->count] = pg_array_format(low, 4, arena);
    pages->highs[pages->count] = NULL;
    pages->counts[pages->count] = rows;
    pages->count++;
    pages->rows += frame->rows;
    return pages->count < PAGE_RANGES || flush(pages, err);
}

/* The survey has seen none; since then somebody may have touched the files. */
static void
take_damage(void *ctx, const WalkRemark *remark)
{
    Pages *pages = ctx;
    if (remark->gravity == WALK_DAMAGE && pages->damage.cls == ERR_NONE) {
        (void)err_set(&pages->damage, ERR_CORRUPT, "%s at %lld: %s", remark->file,
            (long long)remark->at, remark->text);
    }
}

static bool
insert_ranges(Pages *pages, const Plan *plan, Err *err)
{
    ArchiveWalk setup = {
        .conn = pages->conn, .frame = take_frame, .remark = take_damage, .ctx = pages};
    if (!walk(plan->spec, &setup, err) || !flush(pages, err)) {
        return false;
    }
    if (pages->damage.cls != ERR_NONE) {
        *err = pages->damage;
        return false;
    }
    return true;
}

static bool
begin_locked(PgConn *conn, const Plan *plan, int64_t job, Err *err)
{
    Arena arena = ARENA_INIT;
    JobRow row;
    bool begun = false;
    Pages *pages = arena_alloc(&arena, sizeof(*pages));
    *pages = (Pages){.conn = conn, .job = job, .pass = 1, .next_no = 1, .arena = ARENA_INIT};
    bool ok = job_lock(conn, job, err) && job_read_id(conn, job, &arena, &row, err);
    if (ok && row.pass == 0) {
        ok = insert_ranges(pages, plan, err);
        PassStart start = {.kind = PASS_MOVE, .empty = true, .est_rows = pages->rows};
        ok = ok && job_begin_pass(conn, job, &start, &begun, err);
    }
    arena_reset(&pages->arena);
    arena_reset(&arena);
    return ok;
}

bool
restore_begin(PgConn *conn, const Plan *plan, int64_t job, Err *err)
{
    return query_run(conn, "BEGIN", NULL, err) &&
           query_end(conn, begin_locked(conn, plan, job, err), err);
}
