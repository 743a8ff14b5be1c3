#include "store/ledger.h"

#include "pg/params.h"

static const char SQL_JOBS[] = "SELECT j.id, j.name, j.uuid, j.spec FROM pghaul.job j\n"
                               " WHERE j.kind = 'purge' ORDER BY j.id";

bool
ledger_jobs(PgConn *conn, Arena *arena, LedgerJob **jobs, int *count, Err *err)
{
    PGRESULT_AUTO *rows = NULL;
    if (!query_run(conn, SQL_JOBS, &rows, err)) {
        return err_wrap(err, "jobs with an archive");
    }
    *count = result_rows(rows);
    *jobs = arena_alloc(arena, (size_t)*count * sizeof(**jobs));
    for (int i = 0; i < *count; i++) {
        (*jobs)[i] = (LedgerJob){
            .id = result_int(rows, i, 0),
            .name = result_dup(rows, i, 1, arena),
            .uuid = result_dup(rows, i, 2, arena),
            .spec = result_dup(rows, i, 3, arena),
        };
    }
    return true;
}

static const char SQL_FILES[] =
    "SELECT f.no, f.name, f.run, f.closed IS NOT NULL, COALESCE(f.bytes, -1), f.table_name,\n"
    "       pg_catalog.count(a.no) FILTER (WHERE a.fate = 'committed'), pg_catalog.max(a.no)\n"
    "  FROM pghaul.archive_file f\n"
    "  LEFT JOIN pghaul.archive_frame a ON a.job = f.job AND a.file = f.no\n"
    " WHERE f.job = $1::pg_catalog.int8\n"
    " GROUP BY f.job, f.no ORDER BY f.no";

bool
ledger_files(PgConn *conn, int64_t job, Arena *arena, LedgerFile **files, int *count, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    PGRESULT_AUTO *rows = NULL;
    if (!query_with(conn, SQL_FILES, &params, &rows, err)) {
        return err_wrap(err, "files of an archive");
    }
    *count = result_rows(rows);
    *files = arena_alloc(arena, (size_t)*count * sizeof(**files));
    for (int i = 0; i < *count; i++) {
        (*files)[i] = (LedgerFile){
            .no = (int)result_int(rows, i, 0),
            .name = result_dup(rows, i, 1, arena),
            .run = result_int(rows, i, 2),
            .closed = result_bool(rows, i, 3),
            .bytes = result_int(rows, i, 4),
            .table = result_dup(rows, i, 5, arena),
            .committed = result_int(rows, i, 6),
            .last = (int)result_int(rows, i, 7),
        };
    }
    return true;
}

static const char SQL_FRAMES[] =
    "SELECT a.no, a.fate = 'committed', a.rows, a.at, a.bytes, a.raw_bytes, a.hash\n"
    "  FROM pghaul.archive_frame a\n"
    " WHERE a.job = $1::pg_catalog.int8 AND a.file = $2::pg_catalog.int4\n"
    "   AND a.no >= $3::pg_catalog.int4\n"
    " ORDER BY a.no LIMIT $4::pg_catalog.int8";

bool
ledger_frames(PgConn *conn, const LedgerPlace *from, Arena *arena, LedgerPage *page, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, from->job);
    params_int(&params, from->file);
    params_int(&params, from->frame);
    params_int(&params, LEDGER_FRAMES_MAX);
    PGRESULT_AUTO *rows = NULL;
    if (!query_with(conn, SQL_FRAMES, &params, &rows, err)) {
        return err_wrap(err, "frames of an archive");
    }
    page->count = result_rows(rows);
    page->frames = arena_alloc(arena, (size_t)page->count * sizeof(*page->frames));
    for (int i = 0; i < page->count; i++) {
        page->frames[i] = (LedgerFrame){
            .no = (int)result_int(rows, i, 0),
            .fate = result_bool(rows, i, 1) ? ARCHIVE_COMMITTED : ARCHIVE_VOID,
            .rows = result_int(rows, i, 2),
            .at = result_int(rows, i, 3),
            .bytes = result_int(rows, i, 4),
            .raw_bytes = result_int(rows, i, 5),
            .hash = result_dup(rows, i, 6, arena),
        };
    }
    return true;
}
