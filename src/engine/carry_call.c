#include "engine/carry_call.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/sql_batch.h"
#include "pg/params.h"

/* A verify batch locks no row; its statement may take as long as a snapshot may live. */
#define VERIFY_TIMEOUT_MS 5000
#define LOCATE_TIMEOUT_MS 10000
/* Above the server's own timers: then the network is at fault. */
#define ANSWER_GRACE_US ((int64_t)20 * 1000000)

typedef struct BeginStatements {
    char timeout[64];
    char commit[64];
    const char *list[3];
} BeginStatements;

static const char *
commit_mode(const Plan *plan)
{
    switch (plan->spec->commit) {
    case COMMIT_OFF:
        return "SET LOCAL synchronous_commit = off";
    case COMMIT_ON:
        return "SET LOCAL synchronous_commit = on";
    case COMMIT_LOCAL:
        break;
    }
    return "SET LOCAL synchronous_commit = local";
}

/* These two do not work in the SET clause of a function: the timer of the statement that calls it
 * runs already, and synchronous_commit would be reset before the COMMIT. */
static void
begin_statements(const Plan *plan, int64_t timeout_ms, BeginStatements *begin)
{
    (void)snprintf(begin->timeout, sizeof(begin->timeout), "SET LOCAL statement_timeout = %lld",
        (long long)timeout_ms);
    (void)snprintf(begin->commit, sizeof(begin->commit), "%s", commit_mode(plan));
    begin->list[0] = "BEGIN ISOLATION LEVEL READ COMMITTED";
    begin->list[1] = begin->timeout;
    begin->list[2] = begin->commit;
}

static void
set_cancellable(Worker *worker, PgConn *conn)
{
    (void)pthread_mutex_lock(&worker->lock);
    worker->cancellable = conn;
    (void)pthread_mutex_unlock(&worker->lock);
}

static bool
run_call(Worker *worker, const char *sql, const Params *params, int64_t timeout_ms,
    PgResult **result, Err *err)
{
    BeginStatements begin;
    begin_statements(worker->engine->setup.plan, timeout_ms, &begin);
    BatchCall call = {
        .begin = begin.list,
        .begin_count = 3,
        .sql = sql,
        .count = params->count,
        .values = params->values,
        .timeout_us = timeout_ms * 1000 + ANSWER_GRACE_US,
    };
    set_cancellable(worker, worker->conn);
    bool ok = query_batch(worker->conn, &call, result, err);
    set_cancellable(worker, NULL);
    return ok;
}

static CarryOutcome
outcome_of(const char *text)
{
    static const char *const NAMES[] = {"more", "done", "partial", "lost"};
    for (int i = 0; i < CARRY_LOST; i++) {
        if (strcmp(text, NAMES[i]) == 0) {
            return (CarryOutcome)i;
        }
    }
    return CARRY_LOST;
}

static void
take_result(Worker *worker, const PgResult *rows, CarryResult *result)
{
    *result = (CarryResult){
        .outcome = outcome_of(result_text(rows, 0, BATCH_OUTCOME)),
        .rows = result_int(rows, 0, BATCH_ROWS),
        .left = result_int(rows, 0, BATCH_LEFT),
    };
    (void)snprintf(
        result->holders, sizeof(result->holders), "%s", result_text(rows, 0, BATCH_HOLDERS));
    (void)snprintf(
        result->sample, sizeof(result->sample), "%s", result_text(rows, 0, BATCH_SAMPLE));
    if (result->outcome != CARRY_MORE) {
        return;
    }
    worker->lease.stripe = (int)result_int(rows, 0, BATCH_STRIPE);
    strbuf_clear(&worker->watermark);
    worker->lease.watermark = NULL;
    if (!result_is_null(rows, 0, BATCH_WATERMARK)) {
        strbuf_puts(&worker->watermark, result_text(rows, 0, BATCH_WATERMARK));
        worker->lease.watermark = strbuf_text(&worker->watermark);
    }
}

/* By key the move function repairs as well: it changes what needs work. */
static const char *
function_of(const Plan *plan, PassKind kind)
{
    if (kind == PASS_VERIFY) {
        return "verify";
    }
    return kind == PASS_REPAIR && plan->path == PATH_BLOCK ? "repair" : "move";
}

bool
carry_call(Worker *worker, int64_t size, bool skip_locked, CarryResult *result, Err *err)
{
    const Plan *plan = worker->engine->setup.plan;
    const RangeLease *lease = &worker->lease;
    Params params = PARAMS_INIT;
    params_int(&params, lease->no);
    params_int(&params, lease->epoch);
    params_text(&params, lease->token);
    params_int(&params, lease->pass);
    params_int(&params, lease->stripe);
    params_text(&params, lease->watermark);
    params_int(&params, size);
    params_bool(&params, skip_locked);
    params_text(&params, worker->job.signature);
    params_int(&params, worker->job.filenode);
    assert(params.count == BATCH_PARAMS);

    STRBUF_AUTO sql = STRBUF_INIT;
    PassKind kind = worker->job.pass_kind;
    sql_batch_call(&sql, plan, function_of(plan, kind), worker->job.id);
    int64_t timeout_ms =
        kind == PASS_VERIFY ? VERIFY_TIMEOUT_MS : worker->settings.throttle.yield_after_us / 1000;
    PGRESULT_AUTO *rows = NULL;
    if (!run_call(worker, strbuf_text(&sql), &params, timeout_ms, &rows, err)) {
        return false;
    }
    if (result_rows(rows) != 1) {
        return err_set(err, ERR_FATAL, "a batch function returned %d rows", result_rows(rows));
    }
    take_result(worker, rows, result);
    return true;
}

bool
carry_locate(Worker *worker, int64_t size, Err *err)
{
    const Plan *plan = worker->engine->setup.plan;
    const RangeLease *lease = &worker->lease;
    bool by_block = worker->job.pass_kind == PASS_MOVE && plan->path == PATH_BLOCK;
    Params params = PARAMS_INIT;
    params_text(&params, lease->watermark == NULL ? lease->low : lease->watermark);
    params_text(&params, lease->high);
    params_int(&params, size);
    params_int(&params, lease->stripe);
    params_int(&params, lease->stripes);

    STRBUF_AUTO sql = STRBUF_INIT;
    sql_locate_call(&sql, plan, worker->job.id, by_block ? SLICE_BLOCK : SLICE_KEY);
    PGRESULT_AUTO *rows = NULL;
    if (!run_call(worker, strbuf_text(&sql), &params, LOCATE_TIMEOUT_MS, &rows, err)) {
        return err_wrap(err, "locate the row");
    }
    if (result_rows(rows) == 0) {
        return true;
    }
    (void)err_set(err, ERR_POISON, "the row with key %s is refused: %s", result_text(rows, 0, 0),
        result_text(rows, 0, 2));
    (void)snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", result_text(rows, 0, 1));
    return err_hint(err, "Mend the row or the expression, then run the job again; it goes on from "
                         "there.");
}
