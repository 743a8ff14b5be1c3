#include "store/index_build.h"

#include <stdio.h>

#include "pg/params.h"

/* Nobody has run a copy here: there is no schema, or one of an earlier release. */
static const char SQL_EXISTS[] = "SELECT pg_catalog.to_regclass('pghaul.index_build') IS NOT NULL";

static const char SQL_LIST[] =
    "SELECT b.no, b.table_name, b.name, b.is_unique, b.definition, b.tablespace, b.comment,\n"
    "       b.dropped, b.built IS NOT NULL\n"
    "  FROM pghaul.index_build b\n"
    "  JOIN pghaul.job j ON j.id = b.job\n"
    " WHERE j.name = $1::pg_catalog.text AND j.cleaned IS NULL\n"
    " ORDER BY b.no";

bool
index_build_list(
    PgConn *conn, const char *job, Arena *arena, IndexBuildRow **rows, int *count, Err *err)
{
    Params params = PARAMS_INIT;
    params_text(&params, job);
    PGRESULT_AUTO *exists = NULL;
    PGRESULT_AUTO *result = NULL;
    *count = 0;
    if (!query_one(conn, SQL_EXISTS, 0, NULL, &exists, err)) {
        return err_wrap(err, "indexes to build");
    }
    if (!result_bool(exists, 0, 0)) {
        return true;
    }
    if (!query_with(conn, SQL_LIST, &params, &result, err)) {
        return err_wrap(err, "indexes to build");
    }
    *count = result_rows(result);
    *rows = arena_alloc(arena, ((size_t)*count + 1) * sizeof(**rows));
    for (int i = 0; i < *count; i++) {
        (*rows)[i] = (IndexBuildRow){
            .no = (int)result_int(result, i, 0),
            .table_name = result_dup(result, i, 1, arena),
            .build =
                {
                    .name = result_dup(result, i, 2, arena),
                    .unique = result_bool(result, i, 3),
                    .definition = result_dup(result, i, 4, arena),
                    .tablespace = result_dup(result, i, 5, arena),
                    .comment = result_dup(result, i, 6, arena),
                },
            .dropped = result_bool(result, i, 7),
            .built = result_bool(result, i, 8),
        };
    }
    return true;
}

static const char SQL_RECORD[] =
    "INSERT INTO pghaul.index_build AS b (job, no, table_name, name, is_unique, definition,\n"
    "                                     tablespace, comment, dropped)\n"
    "VALUES ($1::pg_catalog.int8, $2::pg_catalog.int4, $3::pg_catalog.text,\n"
    "        $4::pg_catalog.text, $5::pg_catalog.bool, $6::pg_catalog.text,\n"
    "        $7::pg_catalog.text, $8::pg_catalog.text, $9::pg_catalog.bool)";

bool
index_build_record(PgConn *conn, int64_t job, const IndexBuildRow *row, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    params_int(&params, row->no);
    params_text(&params, row->table_name);
    params_text(&params, row->build.name);
    params_bool(&params, row->build.unique);
    params_text(&params, row->build.definition);
    params_text(&params, row->build.tablespace);
    params_text(&params, row->build.comment);
    params_bool(&params, row->dropped);
    return query_with(conn, SQL_RECORD, &params, NULL, err) ||
           err_wrap(err, "record index %s", row->build.name);
}

/*
 * A CREATE INDEX CONCURRENTLY goes on for a while when its client is gone, so the backend decides;
 * behind a pooler that may live on for another client: then a run that is gone, and no build.
 */
static const char SQL_CLAIM[] =
    "UPDATE pghaul.index_build AS b\n"
    "   SET run = $2::pg_catalog.int8, backend_pid = $4::pg_catalog.int4,\n"
    "       backend_start = $5::pg_catalog.timestamptz\n"
    " WHERE b.job = $1::pg_catalog.int8 AND b.built IS NULL\n"
    "   AND b.no = (SELECT pg_catalog.min(f.no) FROM pghaul.index_build f\n"
    "                WHERE f.job = $1::pg_catalog.int8 AND f.built IS NULL)\n"
    "   AND (b.backend_pid IS NULL\n"
    "        OR b.backend_pid = $4::pg_catalog.int4\n"
    "           AND b.backend_start = $5::pg_catalog.timestamptz\n"
    "        OR NOT EXISTS (\n"
    "           SELECT FROM pg_catalog.pg_stat_get_activity(b.backend_pid) a\n"
    "            WHERE a.pid = b.backend_pid\n"
    "              AND COALESCE(a.backend_start = b.backend_start, true))\n"
    "        OR NOT EXISTS (\n"
    "           SELECT FROM pg_catalog.pg_stat_progress_create_index p\n"
    "            WHERE p.pid = b.backend_pid)\n"
    "           AND EXISTS (\n"
    "           SELECT FROM pghaul.run u WHERE u.id = b.run AND u.heartbeat\n"
    "               < pg_catalog.clock_timestamp() - $3 * '1 us'::pg_catalog.interval))\n"
    "RETURNING b.no";

bool
index_build_claim(
    PgConn *conn, int64_t job, int64_t run, int64_t lease_us, IndexClaim *claim, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    params_int(&params, run);
    params_int(&params, lease_us);
    params_int(&params, conn_backend_pid(conn));
    params_text(&params, conn_backend_start(conn));
    PGRESULT_AUTO *result = NULL;
    int left = 0;
    *claim = (IndexClaim){.kind = INDEX_CLAIM_NONE};
    if (!query_with(conn, SQL_CLAIM, &params, &result, err)) {
        return err_wrap(err, "claim an index to build");
    }
    if (result_rows(result) == 1) {
        *claim = (IndexClaim){.kind = INDEX_CLAIM_OURS, .no = (int)result_int(result, 0, 0)};
        return true;
    }
    if (!index_build_left(conn, job, &left, err)) {
        return false;
    }
    claim->kind = left > 0 ? INDEX_CLAIM_HELD : INDEX_CLAIM_NONE;
    return true;
}

static const char SQL_MARK_BUILT[] =
    "UPDATE pghaul.index_build AS b SET built = pg_catalog.clock_timestamp()\n"
    " WHERE b.job = $1::pg_catalog.int8 AND b.no = $2::pg_catalog.int4";

bool
index_build_mark_built(PgConn *conn, int64_t job, int no, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    params_int(&params, no);
    return query_with(conn, SQL_MARK_BUILT, &params, NULL, err) ||
           err_wrap(err, "mark an index as built");
}

static const char SQL_LEFT[] = "SELECT pg_catalog.count(*) FROM pghaul.index_build b\n"
                               " WHERE b.job = $1::pg_catalog.int8 AND b.built IS NULL";

bool
index_build_left(PgConn *conn, int64_t job, int *count, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_LEFT, &params, &result, err)) {
        return err_wrap(err, "indexes to build");
    }
    *count = (int)result_int(result, 0, 0);
    return true;
}

/* The phases that wait say for how many transactions; they take as long as those do. */
static const char SQL_PROGRESS[] =
    "SELECT pg_catalog.format('building index %s (%s of %s): %s%s', b.name, b.no,\n"
    "           (SELECT pg_catalog.count(*) FROM pghaul.index_build n WHERE n.job = b.job),\n"
    "           p.phase,\n"
    "           CASE WHEN p.lockers_total > p.lockers_done\n"
    "                THEN pg_catalog.format(', %s left, now pid %s',\n"
    "                         p.lockers_total - p.lockers_done, p.current_locker_pid)\n"
    "                WHEN p.tuples_total > 0\n"
    "                THEN pg_catalog.format(', %s %%',\n"
    "                         LEAST(100, p.tuples_done * 100 / p.tuples_total))\n"
    "                WHEN p.blocks_total > 0\n"
    "                THEN pg_catalog.format(', %s %%',\n"
    "                         LEAST(100, p.blocks_done * 100 / p.blocks_total))\n"
    "                ELSE '' END)\n"
    "  FROM pghaul.index_build b\n"
    "  JOIN pg_catalog.pg_stat_progress_create_index p ON p.pid = b.backend_pid\n"
    " WHERE b.job = $1::pg_catalog.int8 AND b.built IS NULL\n"
    " ORDER BY b.no\n"
    " LIMIT 1";

bool
index_build_progress(PgConn *conn, int64_t job, char *text, size_t size, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_PROGRESS, &params, &result, err)) {
        return err_wrap(err, "progress of an index");
    }
    (void)snprintf(text, size, "%s", result_rows(result) == 1 ? result_text(result, 0, 0) : "");
    return true;
}
