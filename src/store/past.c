#include "store/past.h"

#include "pg/params.h"
#include "store/schema.h"

/* Columns that every version of the schema has. */
static const char SQL_PAST[] =
    "SELECT COALESCE(pg_catalog.array_agg(j.id), '{}'),\n"
    "       pg_catalog.max(j.spec) FILTER (WHERE j.name = $1::pg_catalog.text),\n"
    "       pg_catalog.max(j.fingerprint) FILTER (WHERE j.name = $1::pg_catalog.text),\n"
    "       pg_catalog.max(j.trigger_name) FILTER (WHERE j.name = $1::pg_catalog.text),\n"
    "       pg_catalog.max(j.state) FILTER (WHERE j.name = $1::pg_catalog.text) = 'complete'\n"
    "  FROM pghaul.job j\n"
    " WHERE j.cleaned IS NULL";

bool
past_read(PgConn *conn, const char *job, Arena *arena, Past *past, Err *err)
{
    *past = (Past){.job_ids = "{}"};
    bool exists = false;
    if (!schema_exists(conn, &exists, err)) {
        return false;
    }
    if (!exists) {
        return true;
    }
    Params params = PARAMS_INIT;
    params_text(&params, job);
    PGRESULT_AUTO *row = NULL;
    if (!query_one_with(conn, SQL_PAST, &params, &row, err)) {
        return err_wrap(err, "jobs of schema pghaul");
    }
    *past = (Past){
        .job_ids = result_dup(row, 0, 0, arena),
        .exists = !result_is_null(row, 0, 1),
        .spec = result_dup(row, 0, 1, arena),
        .fingerprint = result_dup(row, 0, 2, arena),
        .has_trigger = !result_is_null(row, 0, 3),
        .complete = result_bool(row, 0, 4),
    };
    return true;
}
