#include "store/archive.h"

#include <stdio.h>

#include "pg/params.h"

/* ---- files ---- */

static const char SQL_NEXT[] = "SELECT (SELECT COALESCE(pg_catalog.max(f.no), 0) + 1\n"
                               "          FROM pghaul.archive_file f WHERE f.job = j.id), j.uuid\n"
                               "  FROM pghaul.job j WHERE j.id = $1::pg_catalog.int8";

bool
archive_next_file(PgConn *conn, int64_t job, int *no, char uuid[ARCHIVE_UUID_SIZE], Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_NEXT, &params, &result, err)) {
        return err_wrap(err, "next archive file");
    }
    *no = (int)result_int(result, 0, 0);
    (void)snprintf(uuid, ARCHIVE_UUID_SIZE, "%s", result_text(result, 0, 1));
    return true;
}

static const char SQL_RECORD[] =
    "INSERT INTO pghaul.archive_file AS f (job, no, name, table_name, run)\n"
    "VALUES ($1::pg_catalog.int8, $2::pg_catalog.int4, $3::pg_catalog.text,\n"
    "        $4::pg_catalog.text, $5::pg_catalog.int8)\n"
    "    ON CONFLICT (job, no) DO NOTHING";

bool
archive_record_file(PgConn *conn, const ArchiveFileRow *file, bool *recorded, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, file->job);
    params_int(&params, file->no);
    params_text(&params, file->name);
    params_text(&params, file->table_name);
    params_int(&params, file->run);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_RECORD, &params, &result, err)) {
        return err_wrap(err, "record the archive file");
    }
    *recorded = result_affected(result) == 1;
    return true;
}

static const char SQL_CLOSE[] =
    "UPDATE pghaul.archive_file AS f\n"
    "   SET closed = pg_catalog.clock_timestamp(), bytes = NULLIF($3::pg_catalog.int8, -1)\n"
    " WHERE f.job = $1::pg_catalog.int8 AND f.no = $2::pg_catalog.int4";

bool
archive_close_file(PgConn *conn, int64_t job, int no, int64_t bytes, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    params_int(&params, no);
    params_int(&params, bytes < 0 ? -1 : bytes);
    return query_with(conn, SQL_CLOSE, &params, NULL, err) ||
           err_wrap(err, "record the end of the archive file");
}

static const char SQL_FILES[] =
    "SELECT f.job, f.no, f.name, f.table_name, f.run, f.closed IS NOT NULL,\n"
    "       COALESCE(f.bytes, -1), j.uuid, j.cleaned IS NOT NULL\n"
    "  FROM pghaul.archive_file f JOIN pghaul.job j ON j.id = f.job\n"
    " WHERE j.name = $1::pg_catalog.text ORDER BY f.job, f.no";

bool
archive_files(PgConn *conn, const char *job, Arena *arena, ArchiveFileList *files, Err *err)
{
    Params params = PARAMS_INIT;
    params_text(&params, job);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_FILES, &params, &result, err)) {
        return err_wrap(err, "files of the archive");
    }
    files->count = result_rows(result);
    files->rows = arena_alloc(arena, (size_t)files->count * sizeof(*files->rows));
    for (int i = 0; i < files->count; i++) {
        files->rows[i] = (ArchiveFileRow){
            .job = result_int(result, i, 0),
            .no = (int)result_int(result, i, 1),
            .name = result_dup(result, i, 2, arena),
            .table_name = result_dup(result, i, 3, arena),
            .run = result_int(result, i, 4),
            .closed = result_bool(result, i, 5),
            .bytes = result_int(result, i, 6),
            .job_uuid = result_dup(result, i, 7, arena),
            .cleaned = result_bool(result, i, 8),
        };
    }
    return true;
}

/* ---- frames ---- */

static const char SQL_VOID[] =
    "INSERT INTO pghaul.archive_frame AS f (job, file, no, fate, run, pass, range, rows, at,\n"
    "    bytes, raw_bytes, hash)\n"
    "VALUES ($1::pg_catalog.int8, $2::pg_catalog.int4, $3::pg_catalog.int4, 'void',\n"
    "        $4::pg_catalog.int8, $5::pg_catalog.int4, $6::pg_catalog.int8,\n"
    "        $7::pg_catalog.int8, $8::pg_catalog.int8, $9::pg_catalog.int8,\n"
    "        $10::pg_catalog.int8, $11::pg_catalog.text)\n"
    "    ON CONFLICT (job, file, no) DO NOTHING";

static const char SQL_FATE[] = "SELECT f.fate = 'committed' FROM pghaul.archive_frame f\n"
                               " WHERE f.job = $1::pg_catalog.int8\n"
                               "   AND f.file = $2::pg_catalog.int4\n"
                               "   AND f.no = $3::pg_catalog.int4";

static void
put_place(Params *params, const ArchiveFrameRow *frame)
{
    params_int(params, frame->job);
    params_int(params, frame->file);
    params_int(params, frame->no);
}

bool
archive_decide(PgConn *conn, const ArchiveFrameRow *frame, bool *committed, Err *err)
{
    Params fate = PARAMS_INIT;
    Params params = PARAMS_INIT;
    put_place(&fate, frame);
    put_place(&params, frame);
    params_int(&params, frame->run);
    params_int(&params, frame->pass);
    params_int(&params, frame->range);
    params_int(&params, frame->rows);
    params_int(&params, frame->at);
    params_int(&params, frame->bytes);
    params_int(&params, frame->raw_bytes);
    params_text(&params, frame->hash);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_VOID, &params, NULL, err) ||
        !query_one_with(conn, SQL_FATE, &fate, &result, err)) {
        return err_wrap(err, "fate of frame %d of archive file %d", frame->no, frame->file);
    }
    *committed = result_bool(result, 0, 0);
    return true;
}

static const char SQL_FRAMES[] =
    "SELECT f.no, f.fate = 'committed', f.run, f.pass, f.range, f.rows, f.at, f.bytes,\n"
    "       f.raw_bytes, f.hash\n"
    "  FROM pghaul.archive_frame f\n"
    " WHERE f.job = $1::pg_catalog.int8 AND f.file = $2::pg_catalog.int4 ORDER BY f.no";

bool
archive_frames(
    PgConn *conn, int64_t job, int file, Arena *arena, ArchiveFrameList *frames, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    params_int(&params, file);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_FRAMES, &params, &result, err)) {
        return err_wrap(err, "frames of archive file %d", file);
    }
    frames->count = result_rows(result);
    frames->rows = arena_alloc(arena, (size_t)frames->count * sizeof(*frames->rows));
    for (int i = 0; i < frames->count; i++) {
        frames->rows[i] = (ArchiveFrameRow){
            .job = job,
            .file = file,
            .no = (int)result_int(result, i, 0),
            .committed = result_bool(result, i, 1),
            .run = result_int(result, i, 2),
            .pass = (int)result_int(result, i, 3),
            .range = result_int(result, i, 4),
            .rows = result_int(result, i, 5),
            .at = result_int(result, i, 6),
            .bytes = result_int(result, i, 7),
            .raw_bytes = result_int(result, i, 8),
            .hash = result_dup(result, i, 9, arena),
        };
    }
    return true;
}

/* ---- runs ---- */

static const char SQL_COUNT[] =
    "UPDATE pghaul.run AS u SET archived_bytes = COALESCE((\n"
    "       SELECT pg_catalog.sum(f.bytes) FROM pghaul.archive_file a\n"
    "         JOIN pghaul.archive_frame f ON f.job = a.job AND f.file = a.no\n"
    "        WHERE a.job = $1::pg_catalog.int8 AND a.run = $2::pg_catalog.int8\n"
    "          AND f.fate = 'committed'), 0)\n"
    " WHERE u.id = $2::pg_catalog.int8";

bool
archive_count_run(PgConn *conn, int64_t job, int64_t run, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    params_int(&params, run);
    return query_with(conn, SQL_COUNT, &params, NULL, err) || err_wrap(err, "archived bytes");
}
