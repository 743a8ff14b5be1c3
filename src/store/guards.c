#include "store/guards.h"

#include <stdio.h>

#include "core/sql_backfill.h"
#include "core/sql_parts.h"
#include "pg/params.h"
#include "pg/sqlstate.h"
#include "store/job.h"

/* ---- record ---- */

/* One snapshot for the test of the trigger and for what is recorded. */
static const char SQL_RECORD[] =
    "UPDATE pghaul.job AS j\n"
    "   SET table_oid = $2::pg_catalog.oid, used_columns = $3::pg_catalog.int2[],\n"
    "       key_columns = $4::pg_catalog.int2[], trigger_name = $5::pg_catalog.text,\n"
    "       set_columns = $7::pg_catalog.int2[],\n"
    "       signature = pghaul.table_signature($2, $3, $4, $5 IS NOT NULL),\n"
    "       filenode = pg_catalog.pg_relation_filenode($2::pg_catalog.regclass)\n"
    " WHERE j.id = $1::pg_catalog.int8\n"
    "   AND ($6::pg_catalog.text IS NULL OR EXISTS (\n"
    "       SELECT FROM pg_catalog.pg_trigger g\n"
    "        WHERE g.tgrelid = $2 AND g.tgname = $5 AND g.tgenabled = 'A'\n"
    "          AND g.tgfoid = pg_catalog.to_regproc($6)))";

bool
guards_record(PgConn *conn, const Plan *plan, int64_t job, bool trigger_fires, Err *err)
{
    STRBUF_AUTO used = STRBUF_INIT;
    STRBUF_AUTO key = STRBUF_INIT;
    STRBUF_AUTO set = STRBUF_INIT;
    STRBUF_AUTO trigger = STRBUF_INIT;
    STRBUF_AUTO function = STRBUF_INIT;
    drift_put_used_columns(&used, plan);
    drift_put_key_columns(&key, plan);
    drift_put_set_columns(&set, plan);
    sql_sync_name(&trigger, job);
    sql_put_function_name(&function, plan, plan->copy != NULL ? "capture" : "sync", job);
    Params params = PARAMS_INIT;
    params_int(&params, job);
    params_int(&params, plan->facts->table.oid);
    params_text(&params, strbuf_text(&used));
    params_text(&params, strbuf_text(&key));
    params_text(&params, plan->sync_trigger ? strbuf_text(&trigger) : NULL);
    params_text(&params, plan->sync_trigger && trigger_fires ? strbuf_text(&function) : NULL);
    params_text(&params, strbuf_text(&set));
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_RECORD, &params, &result, err)) {
        return err_wrap(err, "record guards");
    }
    if (result_affected(result) == 1) {
        return true;
    }
    (void)err_set(err, ERR_DRIFT, "trigger %s is not in place, enabled ALWAYS, with function %s",
        strbuf_text(&trigger), strbuf_text(&function));
    return err_hint(err, "Another one may have its name: drop that, then try again.");
}

/* ---- compare ---- */

static const char SQL_COMPARE[] = "SELECT j.name, j.signature, " GUARDS_PRESENT "\n"
                                  "  FROM pghaul.job j\n"
                                  " WHERE j.id = $1::pg_catalog.int8 AND j.cleaned IS NULL";

static bool
parse(const PgResult *result, int column, Arena *arena, NameList *items, Err *err)
{
    return result_is_null(result, 0, column) ||
           pg_array_parse(result_text(result, 0, column), arena, &items->names, &items->count, err);
}

static void
drift_error(const char *job, DriftKind kind, const char *text, Err *err)
{
    (void)err_set(err, ERR_DRIFT, "%s", text);
    (void)snprintf(err->sqlstate, sizeof(err->sqlstate), SQLSTATE_DRIFT_TABLE);
    if (kind == DRIFT_TRIGGER) {
        (void)err_hint(err,
            "Rows written since may be wrong. pghaul verify %s --repair sees to the sync trigger, "
            "takes the other triggers as they are, compares every row and mends it; or pghaul "
            "clean %s and begin anew.",
            job, job);
        return;
    }
    (void)err_hint(err,
        "Put it back as it was and run the job again; pghaul verify %s --repair mends what was "
        "written meanwhile. Or pghaul clean %s and begin anew.",
        job, job);
}

static bool
compare(const PgResult *result, Arena *arena, DriftKind *kind, Err *err)
{
    NameList recorded = {.count = 0};
    NameList present = {.count = 0};
    if (!parse(result, 1, arena, &recorded, err) || !parse(result, 2, arena, &present, err)) {
        return false;
    }
    STRBUF_AUTO text = STRBUF_INIT;
    *kind = drift_describe(&recorded, &present, &text);
    if (*kind == DRIFT_NONE) {
        return true;
    }
    drift_error(result_text(result, 0, 0), *kind, strbuf_text(&text), err);
    return false;
}

bool
guards_check(PgConn *conn, int64_t job, DriftKind *kind, Err *err)
{
    DriftKind found = DRIFT_NONE;
    Arena arena = ARENA_INIT;
    Params params = PARAMS_INIT;
    params_int(&params, job);
    PGRESULT_AUTO *result = NULL;
    bool ok =
        query_with(conn, SQL_COMPARE, &params, &result, err) || err_wrap(err, "compare guards");
    if (ok) {
        ok = result_rows(result) == 1 ? compare(result, &arena, &found, err) : job_is_cleaned(err);
    }
    arena_reset(&arena);
    if (kind != NULL) {
        *kind = found;
    }
    return ok;
}

void
guards_explain(PgConn *conn, int64_t job, Err *err)
{
    DriftKind kind = DRIFT_NONE;
    Err drift = ERR_INIT;
    if (!guards_check(conn, job, &kind, &drift) && (kind != DRIFT_NONE || drift.cls == ERR_BUSY)) {
        *err = drift;
    }
}
