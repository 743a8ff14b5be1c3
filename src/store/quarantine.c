#include "store/quarantine.h"

#include "pg/params.h"

static const char SQL_COUNT[] = "SELECT pg_catalog.count(*) FROM pghaul.quarantine q\n"
                                " WHERE q.job = $1::pg_catalog.int8 AND q.set_aside";

bool
quarantine_count(PgConn *conn, int64_t job, int64_t *rows, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_COUNT, &params, &result, err)) {
        return err_wrap(err, "count rows set aside");
    }
    *rows = result_int(result, 0, 0);
    return true;
}

static const char SQL_LIST[] =
    "SELECT q.key, q.set_aside, q.pass, q.sqlstate, q.message, q.attempts,\n"
    "       pg_catalog.date_trunc('second', q.at)\n"
    "  FROM pghaul.quarantine q\n"
    " WHERE q.job = $1::pg_catalog.int8\n"
    " ORDER BY q.at, q.key";

bool
quarantine_list(PgConn *conn, int64_t job, Arena *arena, QuarantineRow **rows, int *count, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_LIST, &params, &result, err)) {
        return err_wrap(err, "read rows set aside");
    }
    *count = result_rows(result);
    *rows = arena_alloc(arena, (size_t)*count * sizeof(**rows));
    for (int i = 0; i < *count; i++) {
        (*rows)[i] = (QuarantineRow){
            .key = result_dup(result, i, 0, arena),
            .set_aside = result_bool(result, i, 1),
            .pass = (int)result_int(result, i, 2),
            .sqlstate = result_dup(result, i, 3, arena),
            .message = result_dup(result, i, 4, arena),
            .attempts = (int)result_int(result, i, 5),
            .at = result_dup(result, i, 6, arena),
        };
    }
    return true;
}

static const char SQL_RECORD_STOP[] =
    "WITH d AS (DELETE FROM pghaul.quarantine q\n"
    "            WHERE q.job = $1::pg_catalog.int8 AND NOT q.set_aside\n"
    "              AND q.key <> $3::pg_catalog.text[])\n"
    "INSERT INTO pghaul.quarantine AS q (job, key, set_aside, pass, sqlstate, message)\n"
    "VALUES ($1, $3, false, $2::pg_catalog.int4, $4::pg_catalog.text, $5::pg_catalog.text)\n"
    "    ON CONFLICT (job, key) DO UPDATE\n"
    "   SET pass = EXCLUDED.pass, sqlstate = EXCLUDED.sqlstate, message = EXCLUDED.message,\n"
    "       attempts = q.attempts + 1, at = EXCLUDED.at";

bool
quarantine_record_stop(PgConn *conn, const QuarantineStop *row, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, row->job);
    params_int(&params, row->pass);
    params_text(&params, row->key);
    params_text(&params, row->sqlstate);
    params_text(&params, row->message);
    return query_with(conn, SQL_RECORD_STOP, &params, NULL, err) ||
           err_wrap(err, "record the row that is refused");
}

static const char SQL_FORGET_STOPS[] =
    "DELETE FROM pghaul.quarantine q WHERE q.job = $1::pg_catalog.int8 AND NOT q.set_aside";

bool
quarantine_forget_stops(PgConn *conn, int64_t job, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    return query_with(conn, SQL_FORGET_STOPS, &params, NULL, err) ||
           err_wrap(err, "forget the row that was refused");
}
