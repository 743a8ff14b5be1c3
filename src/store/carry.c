#include "store/carry.h"

#include <stddef.h>

#include "pg/params.h"

static const char SQL_FORGET[] = "DELETE FROM pghaul.carry AS c WHERE c.job = $1::pg_catalog.int8";

/* One row trip for all, since it happens while nobody can write. */
static const char SQL_RECORD[] =
    "INSERT INTO pghaul.carry (job, no, what, undo, later, undo_later)\n"
    "SELECT $1::pg_catalog.int8, s.no, s.what, s.undo, s.later, s.undo_later\n"
    "  FROM ROWS FROM (pg_catalog.unnest($2::pg_catalog.text[]),\n"
    "           pg_catalog.unnest($3::pg_catalog.text[]),\n"
    "           pg_catalog.unnest($4::pg_catalog.text[]),\n"
    "           pg_catalog.unnest($5::pg_catalog.text[]))\n"
    "       WITH ORDINALITY AS s(what, undo, later, undo_later, no)";

static const char SQL_LIST[] =
    "SELECT c.no, c.what, c.undo, c.later, c.undo_later\n"
    "  FROM pghaul.carry c\n"
    " WHERE c.job = $1::pg_catalog.int8 AND ($2::pg_catalog.bool OR c.done IS NULL)\n"
    " ORDER BY c.no";

static const char SQL_TABLES[] =
    "SELECT j.table_oid, j.into_oid, pg_catalog.format('%I.%I', sn.nspname, s.relname),\n"
    "       pg_catalog.format('%I.%I', tn.nspname, t.relname)\n"
    "  FROM pghaul.job j\n"
    "  JOIN pg_catalog.pg_class s ON s.oid = j.table_oid\n"
    "  JOIN pg_catalog.pg_namespace sn ON sn.oid = s.relnamespace\n"
    "  JOIN pg_catalog.pg_class t ON t.oid = j.into_oid\n"
    "  JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace\n"
    " WHERE j.id = $1::pg_catalog.int8";

bool
carry_tables(PgConn *conn, int64_t job, Arena *arena, CarryTables *tables, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_TABLES, &params, &result, err)) {
        return err_wrap(err, "look for the tables");
    }
    if (result_rows(result) == 0) {
        return err_set(err, ERR_DRIFT, "one of the job's tables is gone");
    }
    *tables = (CarryTables){
        .source_oid = (uint32_t)result_int(result, 0, 0),
        .into_oid = (uint32_t)result_int(result, 0, 1),
        .source = result_dup(result, 0, 2, arena),
        .into = result_dup(result, 0, 3, arena),
    };
    return true;
}

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

/* One member of each step as text[]. */
static const char *
column(const CutoverStep *steps, int count, size_t offset, Arena *arena)
{
    const char **items = arena_alloc(arena, (size_t)(count + 1) * sizeof(*items));
    for (int i = 0; i < count; i++) {
        items[i] = *(const char *const *)((const char *)&steps[i] + offset);
    }
    return pg_array_format(items, count, arena);
}

bool
carry_record(PgConn *conn, int64_t job, const CutoverStep *steps, int count, Err *err)
{
    static const size_t OFFSETS[] = {offsetof(CutoverStep, what), offsetof(CutoverStep, undo),
        offsetof(CutoverStep, later), offsetof(CutoverStep, undo_later)};
    Arena arena = ARENA_INIT;
    Params params = PARAMS_INIT;
    params_int(&params, job);
    for (size_t i = 0; i < sizeof(OFFSETS) / sizeof(OFFSETS[0]); i++) {
        params_text(&params, column(steps, count, OFFSETS[i], &arena));
    }
    bool ok = carry_forget(conn, job, err) && (query_with(conn, SQL_RECORD, &params, NULL, err) ||
                                                  err_wrap(err, "steps of the cutover"));
    arena_reset(&arena);
    return ok;
}

bool
carry_list(PgConn *conn, int64_t job, bool all, Arena *arena, CarryList *list, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    params_bool(&params, all);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_LIST, &params, &result, err)) {
        return err_wrap(err, "steps of the cutover");
    }
    list->count = result_rows(result);
    list->rows = arena_alloc(arena, (size_t)(list->count + 1) * sizeof(*list->rows));
    for (int i = 0; i < list->count; i++) {
        list->rows[i] = (CarryRow){
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
