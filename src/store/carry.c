#include "store/carry.h"

#include "pg/params.h"

static const char SQL_FORGET[] = "DELETE FROM pghaul.carry AS c WHERE c.job = $1::pg_catalog.int8";

static const char SQL_RECORD[] =
    "INSERT INTO pghaul.carry (job, no, what, undo, later, undo_later)\n"
    "VALUES ($1::pg_catalog.int8, $2::pg_catalog.int4, $3::pg_catalog.text,\n"
    "        $4::pg_catalog.text, $5::pg_catalog.text, $6::pg_catalog.text)";

static const char SQL_LIST[] = "SELECT c.no, c.what, c.undo, c.later, c.undo_later\n"
                               "  FROM pghaul.carry c\n"
                               " WHERE c.job = $1::pg_catalog.int8 AND c.done IS NULL\n"
                               " ORDER BY c.no";

static const char SQL_DONE[] = "UPDATE pghaul.carry AS c SET done = pg_catalog.clock_timestamp()\n"
                               " WHERE c.job = $1::pg_catalog.int8 AND c.no = $2::pg_catalog.int4";

static const char SQL_REOPEN[] =
    "UPDATE pghaul.carry AS c SET done = NULL WHERE c.job = $1::pg_catalog.int8";

static bool
run_of_job(PgConn *conn, const char *sql, int64_t job, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    return query_with(conn, sql, &params, NULL, err) || err_wrap(err, "steps of the cutover");
}

bool
carry_forget(PgConn *conn, int64_t job, Err *err)
{
    return run_of_job(conn, SQL_FORGET, job, err);
}

bool
carry_reopen(PgConn *conn, int64_t job, Err *err)
{
    return run_of_job(conn, SQL_REOPEN, job, err);
}

static bool
record_step(PgConn *conn, int64_t job, int no, const CutoverStep *step, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    params_int(&params, no);
    params_text(&params, step->what);
    params_text(&params, step->undo);
    params_text(&params, step->later);
    params_text(&params, step->undo_later);
    return query_with(conn, SQL_RECORD, &params, NULL, err) ||
           err_wrap(err, "steps of the cutover");
}

bool
carry_record(PgConn *conn, int64_t job, const CutoverStep *steps, int count, Err *err)
{
    if (!query_script(conn, "BEGIN", err)) {
        return false;
    }
    bool ok = carry_forget(conn, job, err);
    for (int i = 0; ok && i < count; i++) {
        ok = record_step(conn, job, i + 1, &steps[i], err);
    }
    return query_end(conn, ok, err);
}

bool
carry_list(PgConn *conn, int64_t job, Arena *arena, CarryRow **rows, int *count, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_LIST, &params, &result, err)) {
        return err_wrap(err, "steps of the cutover");
    }
    *count = result_rows(result);
    *rows = arena_alloc(arena, (size_t)*count * sizeof(**rows));
    for (int i = 0; i < *count; i++) {
        (*rows)[i] = (CarryRow){
            .no = (int)result_int(result, i, 0),
            .what = result_dup(result, i, 1, arena),
            .undo = result_dup(result, i, 2, arena),
            .later = result_dup(result, i, 3, arena),
            .undo_later = result_dup(result, i, 4, arena),
        };
    }
    return true;
}

bool
carry_done(PgConn *conn, int64_t job, int no, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    params_int(&params, no);
    return query_with(conn, SQL_DONE, &params, NULL, err) || err_wrap(err, "steps of the cutover");
}
