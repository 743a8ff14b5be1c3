#include "ops/prepare_log.h"

#include <string.h>

#include "base/strbuf.h"
#include "core/sql_backfill.h"
#include "core/sql_log.h"
#include "core/sql_parts.h"
#include "ops/ddl.h"
#include "pg/params.h"
#include "store/changelog.h"

/* ---- triggers ---- */

typedef struct LogTrigger {
    void (*name)(StrBuf *out, const Plan *plan, int64_t job);
    void (*create)(StrBuf *out, const Plan *plan, int64_t job);
    void (*enable)(StrBuf *out, const Plan *plan, int64_t job);
} LogTrigger;

static const LogTrigger TRIGGERS[] = {
    {sql_sync_name, sql_log_trigger, sql_sync_enable},
    {sql_log_truncate_name, sql_log_truncate_trigger, sql_log_truncate_enable},
};
#define TRIGGER_COUNT ((int)(sizeof(TRIGGERS) / sizeof(TRIGGERS[0])))

static const char SQL_STATE[] =
    "SELECT CASE WHEN p.pronamespace <> 'pghaul'::pg_catalog.regnamespace THEN 'foreign'\n"
    "            WHEN g.tgenabled = 'A' AND 'pghaul.' || p.proname = $3::pg_catalog.text\n"
    "            THEN 'right' ELSE 'wrong' END\n"
    "  FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid\n"
    " WHERE g.tgrelid = $1::pg_catalog.oid AND g.tgname = $2::pg_catalog.name";

/* What has to be done, in one transaction. */
typedef struct Statements {
    const Plan *plan;
    int64_t job;
    bool anew;
    StrBuf texts[3 * TRIGGER_COUNT];
    const char *list[3 * TRIGGER_COUNT];
    int count;
} Statements;

static StrBuf *
next_text(Statements *statements)
{
    return &statements->texts[statements->count++];
}

static void
put_statements(Statements *statements, const LogTrigger *trigger, bool drop)
{
    const Plan *plan = statements->plan;
    int64_t job = statements->job;
    if (drop) {
        StrBuf *text = next_text(statements);
        strbuf_puts(text, "DROP TRIGGER ");
        trigger->name(text, plan, job);
        strbuf_puts(text, " ON ");
        sql_put_table(text, plan);
    }
    trigger->create(next_text(statements), plan, job);
    trigger->enable(next_text(statements), plan, job);
}

/* What has to be done for one of the triggers. */
static bool
plan_trigger(PgConn *conn, Statements *statements, const LogTrigger *trigger, Err *err)
{
    const Plan *plan = statements->plan;
    int64_t job = statements->job;
    STRBUF_AUTO name = STRBUF_INIT;
    STRBUF_AUTO function = STRBUF_INIT;
    trigger->name(&name, plan, job);
    sql_put_function_name(&function, plan, "capture", job);
    Params params = PARAMS_INIT;
    params_int(&params, plan->facts->table.oid);
    params_text(&params, strbuf_text(&name));
    params_text(&params, strbuf_text(&function));
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_STATE, &params, &result, err)) {
        return err_wrap(err, "look for the triggers of the change log");
    }
    bool exists = result_rows(result) == 1;
    bool wrong = exists && strcmp(result_text(result, 0, 0), "wrong") == 0;
    if (!exists || (wrong && statements->anew)) {
        put_statements(statements, trigger, exists);
    }
    return true;
}

static bool
run_statements(PgConn *conn, Statements *statements, StopToken *stop, Err *err)
{
    const Plan *plan = statements->plan;
    for (int i = 0; i < statements->count; i++) {
        statements->list[i] = strbuf_text(&statements->texts[i]);
    }
    DdlStep step = {
        .table_oid = plan->facts->table.oid,
        .what = "create the triggers of the change log",
        .statements = statements->list,
        .count = statements->count,
    };
    if (ddl_run(conn, &step, plan->spec->throttle.yield_after_us, stop, err)) {
        return true;
    }
    if (strcmp(err->sqlstate, "42710") != 0) { /* another run was faster */
        return false;
    }
    *err = ERR_INIT;
    return true;
}

bool
prepare_log_triggers(
    PgConn *conn, const Plan *plan, int64_t job, bool anew, StopToken *stop, Err *err)
{
    Statements statements = {.plan = plan, .job = job, .anew = anew};
    bool ok = true;
    for (int i = 0; ok && i < TRIGGER_COUNT; i++) {
        ok = plan_trigger(conn, &statements, &TRIGGERS[i], err);
    }
    if (ok && statements.count > 0) {
        ok = run_statements(conn, &statements, stop, err);
    }
    for (int i = 0; i < 3 * TRIGGER_COUNT; i++) {
        strbuf_free(&statements.texts[i]);
    }
    return ok;
}

/* ---- reset ---- */

bool
prepare_log_is_incomplete(PgConn *conn, const Plan *plan, int64_t job, bool *incomplete, Err *err)
{
    ChangelogState state;
    STRBUF_AUTO sql = STRBUF_INIT;
    PGRESULT_AUTO *result = NULL;
    sql_log_truncated(&sql, plan, job);
    if (!changelog_state(conn, plan, job, 0, &state, err) ||
        !query_one(conn, strbuf_text(&sql), 0, NULL, &result, err)) {
        return err_wrap(err, "look at the change log");
    }
    *incomplete = state.overflowed || result_bool(result, 0, 0);
    return true;
}

bool
prepare_log_reset(PgConn *conn, const Plan *plan, int64_t job, StopToken *stop, Err *err)
{
    StrBuf texts[LOG_RESET_COUNT] = {STRBUF_INIT};
    const char *statements[LOG_RESET_COUNT];
    for (int i = 0; i < LOG_RESET_COUNT; i++) {
        sql_log_reset(&texts[i], plan, job, i);
        statements[i] = strbuf_text(&texts[i]);
    }
    DdlStep step = {
        .table_oid = plan->facts->table.oid,
        .what = "begin the change log anew",
        .statements = statements,
        .count = LOG_RESET_COUNT,
    };
    bool ok = ddl_run(conn, &step, plan->spec->throttle.yield_after_us, stop, err);
    for (int i = 0; i < LOG_RESET_COUNT; i++) {
        strbuf_free(&texts[i]);
    }
    return ok;
}
