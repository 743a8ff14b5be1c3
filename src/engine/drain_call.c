/*
 * drain_call.c - a batch of the drain where log, source and target are in one database: one call.
 */
#include <string.h>

#include "engine/carry_call.h"
#include "engine/drain.h"

/* No row of the source is locked; whoever waits for one of the target is seen by the monitor. */
#define CALL_TIMEOUT_MS 2000

static PgConn *
log_session(Drain *drain)
{
    return drain->worker->conn;
}

static DrainOutcome
outcome_of(const char *text)
{
    return strcmp(text, "drained") == 0     ? DRAIN_DONE
           : strcmp(text, "truncated") == 0 ? DRAIN_TRUNCATED
                                            : DRAIN_LOST;
}

static bool
batch(Drain *drain, const SliceLease *slice, const DrainWant *want, DrainResult *result, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, slice->no);
    params_int(&params, slice->epoch);
    params_text(&params, slice->token);
    params_int(&params, want->entries);
    params_int(&params, want->after);
    params_bool(&params, want->strict);
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_drain_call(&sql, drain->engine->setup.plan, slice->job);
    PGRESULT_AUTO *row = NULL;
    if (!carry_run(drain->worker, strbuf_text(&sql), &params, CALL_TIMEOUT_MS, &row, err)) {
        return false;
    }
    if (result_rows(row) != 1) {
        return err_set(err, ERR_FATAL, "the drain function returned %d rows", result_rows(row));
    }
    *result = (DrainResult){
        .outcome = outcome_of(result_text(row, 0, DRAIN_OUTCOME)),
        .entries = result_int(row, 0, DRAIN_ENTRIES),
        .deleted = result_int(row, 0, DRAIN_DELETED),
        .written = result_int(row, 0, DRAIN_WRITTEN),
        .last = result_int(row, 0, DRAIN_LAST),
        .kept = result_int(row, 0, DRAIN_KEPT),
        .first_kept = result_int(row, 0, DRAIN_FIRST),
    };
    return true;
}

const DrainCarrier drain_call = {.log = log_session, .batch = batch};
