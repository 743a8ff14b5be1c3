#include "store/guards.h"

#include <stdio.h>

#include "core/sql_backfill.h"
#include "core/sql_parts.h"
#include "pg/params.h"
#include "pg/sqlstate.h"
#include "store/job.h"
#include "store/schema_parts.h"

/* ---- record ---- */

/* One snapshot for the test of the triggers and for what is recorded.  A source on another server
 * ($8) is recorded apart. */
static const char SQL_RECORD[] =
    "UPDATE pghaul.job AS j\n"
    "   SET table_oid = $2::pg_catalog.oid, used_columns = $3::pg_catalog.int2[],\n"
    "       key_columns = $4::pg_catalog.int2[], trigger_name = $5::pg_catalog.text,\n"
    "       set_columns = $7::pg_catalog.int2[],\n"
    "       signature = CASE WHEN $8::pg_catalog.bool THEN j.signature\n"
    "           WHEN j.kind = 'copy' THEN pghaul.copy_signature($2, $3, $4, $5)\n"
    "           ELSE pghaul.table_signature($2, $3, $4, $5 IS NOT NULL OR j.kind = 'purge') END,\n"
    "       into_oid = $9::pg_catalog.oid, into_used = $10::pg_catalog.int2[],\n"
    "       into_key = $11::pg_catalog.int2[], into_signature = CASE WHEN $9 IS NOT NULL\n"
    "           THEN pghaul.table_signature($9, $10, $11, false) END,\n"
    "       filenode = CASE WHEN NOT $8\n"
    "           THEN pg_catalog.pg_relation_filenode($2::pg_catalog.regclass) END\n"
    " WHERE j.id = $1::pg_catalog.int8\n"
    "   AND ($6::pg_catalog.text IS NULL OR (\n"
    "       SELECT pg_catalog.count(*) FROM pg_catalog.pg_trigger g\n"
    "        WHERE g.tgrelid = $2 AND g.tgenabled = 'A'\n"
    "          AND g.tgname::pg_catalog.text IN ($5, $5 || '_t')\n"
    "          AND g.tgfoid = pg_catalog.to_regproc($6))\n"
    "       = CASE WHEN j.kind = 'copy' THEN 2 ELSE 1 END)";

static bool
trigger_is_missing(const char *trigger, const char *function, Err *err)
{
    (void)err_set(err, ERR_DRIFT, "trigger %s is not in place, enabled ALWAYS, with function %s",
        trigger, function);
    return err_hint(err, "Another one may have its name: drop that, then try again.");
}

/* Of a plan: what is looked at, as texts of int2[]. */
typedef struct GuardTexts {
    StrBuf used;
    StrBuf key;
    StrBuf trigger; /* name and function, also when there is none */
    StrBuf function;
} GuardTexts;

static void
texts_free(GuardTexts *texts)
{
    strbuf_free(&texts->used);
    strbuf_free(&texts->key);
    strbuf_free(&texts->trigger);
    strbuf_free(&texts->function);
}

#define TEXTS_AUTO __attribute__((cleanup(texts_free))) GuardTexts

static void
put_texts(const Plan *plan, int64_t job, GuardTexts *texts)
{
    *texts = (GuardTexts){
        .used = STRBUF_INIT, .key = STRBUF_INIT, .trigger = STRBUF_INIT, .function = STRBUF_INIT};
    drift_put_used_columns(&texts->used, plan);
    drift_put_key_columns(&texts->key, plan);
    sql_sync_name(&texts->trigger, plan, job);
    sql_put_function_name(&texts->function, plan, plan->copy != NULL ? "capture" : "sync", job);
}

bool
guards_record(PgConn *conn, const Plan *plan, int64_t job, bool trigger_fires, Err *err)
{
    const Facts *into = plan_into(plan);
    bool remote = plan->copy != NULL && plan->copy->remote;
    TEXTS_AUTO texts;
    STRBUF_AUTO set = STRBUF_INIT;
    STRBUF_AUTO into_oid = STRBUF_INIT;
    STRBUF_AUTO into_used = STRBUF_INIT;
    STRBUF_AUTO into_key = STRBUF_INIT;
    put_texts(plan, job, &texts);
    drift_put_set_columns(&set, plan);
    if (into != NULL) {
        strbuf_printf(&into_oid, "%u", into->table.oid);
        drift_put_into_columns(&into_used, plan);
        drift_put_into_key(&into_key, plan);
    }
    const char *trigger = plan->sync_trigger ? strbuf_text(&texts.trigger) : NULL;
    Params params = PARAMS_INIT;
    params_int(&params, job);
    params_int(&params, plan->facts->table.oid);
    params_text(&params, strbuf_text(&texts.used));
    params_text(&params, strbuf_text(&texts.key));
    params_text(&params, trigger);
    params_text(
        &params, trigger != NULL && trigger_fires && !remote ? strbuf_text(&texts.function) : NULL);
    params_text(&params, strbuf_text(&set));
    params_bool(&params, remote);
    params_text(&params, into != NULL ? strbuf_text(&into_oid) : NULL);
    params_text(&params, into != NULL ? strbuf_text(&into_used) : NULL);
    params_text(&params, into != NULL ? strbuf_text(&into_key) : NULL);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_RECORD, &params, &result, err)) {
        return err_wrap(err, "record guards");
    }
    return result_affected(result) == 1 ||
           trigger_is_missing(strbuf_text(&texts.trigger), strbuf_text(&texts.function), err);
}

/* ---- a source on another server ---- */

/* Names of types are written as the functions at home do it. */
static const char *const BEGIN_SOURCE[] = {"BEGIN READ ONLY", "SET LOCAL search_path = pg_catalog"};
#define BEGIN_COUNT 2

static const char SQL_SOURCE[] =
    "SELECT " SQL_SIGNATURE_ITEMS "       || " SQL_SIGNATURE_OF_LOG ",\n"
    "       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_trigger g\n"
    "         WHERE g.tgrelid = $1 AND g.tgenabled = 'A'\n"
    "           AND g.tgname::pg_catalog.text IN ($4::pg_catalog.text,\n"
    "               $4::pg_catalog.text || '_t')\n"
    "           AND g.tgfoid = pg_catalog.to_regproc($5::pg_catalog.text))";

static const char SQL_RECORD_SOURCE[] =
    "UPDATE pghaul.job AS j SET signature = $2::pg_catalog.text[]\n"
    " WHERE j.id = $1::pg_catalog.int8";

/* Names are printed as search_path has it, and a session to the source has one of the job's.  The
 * transaction that this ends may be one that is open already. */
static bool
read_source(PgConn *source, const Plan *plan, const GuardTexts *texts, bool is_open, PgResult **row,
    Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, plan->facts->table.oid);
    params_text(&params, strbuf_text(&texts->used));
    params_text(&params, strbuf_text(&texts->key));
    params_text(&params, plan->sync_trigger ? strbuf_text(&texts->trigger) : NULL);
    params_text(&params, strbuf_text(&texts->function));
    BatchCall call = {
        .begin = BEGIN_SOURCE + (is_open ? 1 : 0),
        .begin_count = BEGIN_COUNT - (is_open ? 1 : 0),
        .sql = SQL_SOURCE,
        .count = params.count,
        .values = params.values,
        .timeout_us = QUERY_TIMEOUT_US,
    };
    return query_batch(source, &call, row, err) || err_wrap(err, "guards of the source");
}

bool
guards_record_source(PgConn *conn, PgConn *source, const Plan *plan, int64_t job, Err *err)
{
    TEXTS_AUTO texts;
    put_texts(plan, job, &texts);
    PGRESULT_AUTO *row = NULL;
    if (!read_source(source, plan, &texts, false, &row, err)) {
        return false;
    }
    if (plan->sync_trigger && result_int(row, 0, 1) != 2) {
        return trigger_is_missing(strbuf_text(&texts.trigger), strbuf_text(&texts.function), err);
    }
    Params params = PARAMS_INIT;
    params_int(&params, job);
    params_text(&params, result_text(row, 0, 0));
    return query_with(conn, SQL_RECORD_SOURCE, &params, NULL, err) ||
           err_wrap(err, "record guards of the source");
}

static const char SQL_RENEW[] =
    "UPDATE pghaul.job AS j\n"
    "   SET signature = " GUARDS_PRESENT ", into_signature = " GUARDS_INTO ",\n"
    "       filenode = pg_catalog.pg_relation_filenode(j.table_oid::pg_catalog.regclass)\n"
    " WHERE j.id = $1::pg_catalog.int8";

bool
guards_renew(PgConn *conn, int64_t job, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    return query_with(conn, SQL_RENEW, &params, NULL, err) || err_wrap(err, "record guards");
}

/* ---- compare ---- */

static const char SQL_COMPARE[] =
    "SELECT j.name, j.kind = 'copy', j.signature, " GUARDS_PRESENT
    ",\n       j.into_signature, " GUARDS_INTO ",\n       j.kind = 'purge'\n"
    "  FROM pghaul.job j\n"
    " WHERE j.id = $1::pg_catalog.int8 AND j.cleaned IS NULL";

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

/* `which` table it is, "" when there is only one. */
static bool
compare(const char *job, const char *which, const char *recorded_text, const char *present_text,
    DriftKind *kind, Err *err)
{
    Arena arena = ARENA_INIT;
    NameList recorded = {.count = 0};
    NameList present = {.count = 0};
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_puts(&text, which);
    bool ok = pg_array_parse(recorded_text, &arena, &recorded.names, &recorded.count, err) &&
              pg_array_parse(present_text, &arena, &present.names, &present.count, err);
    if (ok) {
        *kind = drift_describe(&recorded, &present, &text);
        ok = *kind == DRIFT_NONE;
        if (!ok) {
            drift_error(job, *kind, strbuf_text(&text), err);
        }
    }
    arena_reset(&arena);
    return ok;
}

static const char *
array_at(const PgResult *result, int column)
{
    return result_is_null(result, 0, column) ? "{}" : result_text(result, 0, column);
}

bool
guards_check(PgConn *conn, int64_t job, DriftKind *kind, Err *err)
{
    DriftKind found = DRIFT_NONE;
    Params params = PARAMS_INIT;
    params_int(&params, job);
    PGRESULT_AUTO *result = NULL;
    bool ok =
        query_with(conn, SQL_COMPARE, &params, &result, err) || err_wrap(err, "compare guards");
    if (ok && result_rows(result) == 0) {
        ok = job_is_cleaned(err);
    } else if (ok) {
        const char *name = result_text(result, 0, 0);
        ok = compare(name, result_bool(result, 0, 1) ? "the source: " : "", array_at(result, 2),
                 array_at(result, 3), &found, err) &&
             compare(name, "the target: ", array_at(result, 4), array_at(result, 5), &found, err);
        if (found != DRIFT_NONE && result_bool(result, 0, 6)) {
            (void)err_hint(err, "The next pghaul run %s takes the table as it is now.", name);
        }
    }
    if (kind != NULL) {
        *kind = found;
    }
    return ok;
}

static bool
check_source(
    PgConn *source, const Plan *plan, const JobRow *job, bool is_open, DriftKind *kind, Err *err)
{
    DriftKind found = DRIFT_NONE;
    TEXTS_AUTO texts;
    put_texts(plan, job->id, &texts);
    PGRESULT_AUTO *row = NULL;
    bool ok = read_source(source, plan, &texts, is_open, &row, err) &&
              compare(job->name, "the source: ", job->signature, array_at(row, 0), &found, err);
    if (kind != NULL) {
        *kind = found;
    }
    return ok;
}

bool
guards_check_source(PgConn *source, const Plan *plan, const JobRow *job, DriftKind *kind, Err *err)
{
    return check_source(source, plan, job, false, kind, err);
}

bool
guards_end_source(PgConn *source, const Plan *plan, const JobRow *job, Err *err)
{
    return check_source(source, plan, job, true, NULL, err);
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
