#include "engine/carry_call.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/sql_batch.h"
#include "pg/params.h"
#include "pg/sqlstate.h"
#include "store/quarantine.h"

#define LOCATE_TIMEOUT_MS 10000
/* A page row by row takes a while, and a smaller batch there is not.  Whoever waits for it is still
 * seen by the monitor, which cancels it. */
#define ISOLATE_TIMEOUT_MS 2000
/* Keys or blocks to look for rows to try in; from so many refused ones on they tell something. */
#define CENSUS_SIZE     1000
#define CENSUS_MIN_ROWS 3

typedef struct BeginStatements {
    char timeout[64];
    char commit[64];
    const char *list[3];
} BeginStatements;

const char *
carry_commit_mode(const Plan *plan)
{
    bool archives = plan->purge != NULL && plan->purge->archives;
    CommitMode mode = plan->spec->commit;
    /* The next frame waits for it (archiver_confirm()). */
    mode = archives && mode == COMMIT_LOCAL ? COMMIT_OFF : mode;
    switch (mode) {
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
    (void)snprintf(begin->commit, sizeof(begin->commit), "%s", carry_commit_mode(plan));
    begin->list[0] = "BEGIN ISOLATION LEVEL READ COMMITTED";
    begin->list[1] = begin->timeout;
    begin->list[2] = begin->commit;
}

void
carry_set_cancellable(Worker *worker, PgConn *conn, PgConn *source)
{
    (void)pthread_mutex_lock(&worker->lock);
    worker->cancellable = conn;
    worker->source_cancellable = source;
    (void)pthread_mutex_unlock(&worker->lock);
}

bool
carry_run(Worker *worker, const char *sql, const Params *params, int64_t timeout_ms,
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
        .timeout_us = timeout_ms * 1000 + CARRY_GRACE_US,
    };
    carry_set_cancellable(worker, worker->conn, NULL);
    bool ok = query_batch(worker->conn, &call, result, err);
    carry_set_cancellable(worker, NULL, NULL);
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

bool
carry_take_result(Worker *worker, const PgResult *rows, CarryResult *result, Err *err)
{
    if (result_rows(rows) != 1) {
        return err_set(err, ERR_FATAL, "a batch function returned %d rows", result_rows(rows));
    }
    *result = (CarryResult){
        .outcome = outcome_of(result_text(rows, 0, BATCH_OUTCOME)),
        .rows = result_int(rows, 0, BATCH_ROWS),
        .left = result_int(rows, 0, BATCH_LEFT),
        .aside = result_int(rows, 0, BATCH_ASIDE),
    };
    (void)snprintf(
        result->holders, sizeof(result->holders), "%s", result_text(rows, 0, BATCH_HOLDERS));
    if (result->outcome != CARRY_MORE) {
        return true;
    }
    worker->lease.stripe = (int)result_int(rows, 0, BATCH_STRIPE);
    strbuf_clear(&worker->watermark);
    worker->lease.watermark = NULL;
    if (!result_is_null(rows, 0, BATCH_WATERMARK)) {
        strbuf_puts(&worker->watermark, result_text(rows, 0, BATCH_WATERMARK));
        worker->lease.watermark = strbuf_text(&worker->watermark);
    }
    return true;
}

void
carry_put_lease(Params *params, const Worker *worker)
{
    const RangeLease *lease = &worker->lease;
    params_int(params, lease->no);
    params_int(params, lease->epoch);
    params_text(params, lease->token);
    params_int(params, lease->pass);
    params_int(params, lease->stripe);
}

void
carry_put_guards(Params *params, const Worker *worker)
{
    params_text(params, worker->job.signature);
    params_int(params, worker->job.filenode);
    assert(params->count == BATCH_PARAMS);
}

/* Only the move pass does, where the plan says so. */
static bool
goes_by_block(const Worker *worker)
{
    return worker->job.pass_kind == PASS_MOVE && worker->engine->setup.plan->path == PATH_BLOCK;
}

/* By key the move function repairs as well: it changes what needs work.  A copy repairs what its
 * verify function puts into the change log. */
static const char *
function_of(const Plan *plan, PassKind kind)
{
    if (kind == PASS_VERIFY || (kind == PASS_REPAIR && plan->copy != NULL)) {
        return "verify";
    }
    return kind == PASS_REPAIR && plan->path == PATH_BLOCK ? "repair" : "move";
}

static bool
compares(const Worker *worker)
{
    const Plan *plan = worker->engine->setup.plan;
    return strcmp(function_of(plan, worker->job.pass_kind), "verify") == 0;
}

static int64_t
batch_timeout_ms(const Worker *worker)
{
    bool lockless = compares(worker) || worker->engine->setup.plan->copy != NULL;
    return lockless ? CARRY_LOCKLESS_TIMEOUT_MS : worker->settings.throttle.yield_after_us / 1000;
}

typedef struct BatchFunction {
    const char *what;
    int64_t number; /* its $7 */
    int64_t timeout_ms;
} BatchFunction;

static bool
call_batch(
    Worker *worker, const BatchFunction *function, bool skip_locked, CarryResult *result, Err *err)
{
    Params params = PARAMS_INIT;
    carry_put_lease(&params, worker);
    params_text(&params, worker->lease.watermark);
    params_int(&params, function->number);
    params_bool(&params, skip_locked);
    carry_put_guards(&params, worker);

    STRBUF_AUTO sql = STRBUF_INIT;
    sql_batch_call(&sql, worker->engine->setup.plan, function->what, worker->job.id);
    PGRESULT_AUTO *rows = NULL;
    return carry_run(worker, strbuf_text(&sql), &params, function->timeout_ms, &rows, err) &&
           carry_take_result(worker, rows, result, err);
}

bool
carry_call(Worker *worker, int64_t size, bool skip_locked, CarryResult *result, Err *err)
{
    BatchFunction function = {
        .what = function_of(worker->engine->setup.plan, worker->job.pass_kind),
        .number = size,
        .timeout_ms = batch_timeout_ms(worker),
    };
    /* The flag of a copy's verify function says that its differences are to be mended. */
    bool mends = compares(worker) && worker->job.pass_kind == PASS_REPAIR;
    return call_batch(worker, &function, skip_locked || mends, result, err);
}

/* ---- rows that are refused ---- */

bool
carry_refused(const char *sqlstate, Err *err)
{
    char state[sizeof(err->sqlstate)];
    (void)snprintf(state, sizeof(state), "%s", sqlstate);
    (void)err_set(
        err, ERR_POISON, "a row is refused: SQLSTATE %s (%s)", state, sqlstate_name(state));
    (void)snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", state);
    return false;
}

bool
carry_isolate(Worker *worker, bool skip_locked, CarryResult *result, Err *err)
{
    int64_t limit = worker->settings.limits.quarantine;
    int64_t timeout_ms = batch_timeout_ms(worker);
    BatchFunction function = {
        .what = worker->job.pass_kind == PASS_VERIFY ? "isolate_verify"
                : goes_by_block(worker)              ? "isolate_block"
                                                     : "isolate_key",
        .number = limit,
        .timeout_ms = timeout_ms < ISOLATE_TIMEOUT_MS ? ISOLATE_TIMEOUT_MS : timeout_ms,
    };
    if (call_batch(worker, &function, skip_locked, result, err)) {
        return true;
    }
    if (strcmp(err->sqlstate, SQLSTATE_LIMIT) == 0) {
        *err = ERR_INIT;
        (void)err_set(err, ERR_LIMIT, "more than %lld rows are refused", (long long)limit);
        return err_hint(err,
            "pghaul quarantine %s shows them. Mend them or the expression, or raise the limit: "
            "pghaul set %s limits.quarantine=N",
            worker->job.name, worker->job.name);
    }
    return false;
}

/* Which rows to try, and what is to be known of them. */
typedef struct Trial {
    int64_t size;
    int stripe;
    int stripes;
    bool census;
} Trial;

static bool
try_rows(Worker *worker, const Trial *trial, PgResult **rows, Err *err)
{
    const Plan *plan = worker->engine->setup.plan;
    const RangeLease *lease = &worker->lease;
    Params params = PARAMS_INIT;
    params_text(&params, lease->watermark == NULL ? lease->low : lease->watermark);
    params_text(&params, lease->high);
    params_int(&params, trial->size);
    params_int(&params, trial->stripe);
    params_int(&params, trial->stripes);
    params_bool(&params, trial->census);

    STRBUF_AUTO sql = STRBUF_INIT;
    sql_locate_call(&sql, plan, worker->job.id, goes_by_block(worker) ? SLICE_BLOCK : SLICE_KEY);
    return carry_run(worker, strbuf_text(&sql), &params, LOCATE_TIMEOUT_MS, rows, err) ||
           err_wrap(err, "locate the row");
}

static bool
record_stop(Worker *worker, const char *key, const char *sqlstate, const char *message, Err *err)
{
    QuarantineStop row = {
        .job = worker->job.id,
        .pass = worker->lease.pass,
        .key = key,
        .sqlstate = sqlstate,
        .message = message,
    };
    return quarantine_record_stop(worker->conn, &row, err);
}

static bool
record_first(Worker *worker, const PgResult *rows, Err *err)
{
    return record_stop(worker, result_text(rows, 0, LOCATE_KEY), result_text(rows, 0, LOCATE_STATE),
        result_text(rows, 0, LOCATE_MESSAGE), err);
}

bool
carry_stop_at(Worker *worker, const char *key, const char *sqlstate, const char *message, Err *err)
{
    if (!record_stop(worker, key, sqlstate, message, err)) {
        return false;
    }
    (void)carry_refused(sqlstate, err);
    if (worker->engine->setup.plan->purge != NULL) {
        return err_hint(err,
            "pghaul quarantine %s shows its key and what the server said. Remove what is in its "
            "way, then run again.",
            worker->job.name);
    }
    return err_hint(err,
        "pghaul quarantine %s shows its key and what the server said. Mend the row or the "
        "expression, then run again%s.",
        worker->job.name,
        worker->engine->setup.plan->copy == NULL ? "; or on_error: quarantine sets such rows aside"
                                                 : "");
}

bool
carry_locate(Worker *worker, int64_t size, Err *err)
{
    const RangeLease *lease = &worker->lease;
    Trial trial = {.size = size, .stripe = lease->stripe, .stripes = lease->stripes};
    PGRESULT_AUTO *rows = NULL;
    if (!try_rows(worker, &trial, &rows, err)) {
        return false;
    }
    if (result_is_null(rows, 0, LOCATE_KEY)) {
        return true;
    }
    return carry_stop_at(worker, result_text(rows, 0, LOCATE_KEY),
        result_text(rows, 0, LOCATE_STATE), result_text(rows, 0, LOCATE_MESSAGE), err);
}

bool
carry_census(Worker *worker, Err *err)
{
    Trial trial = {.size = CENSUS_SIZE, .stripe = 0, .stripes = 1, .census = true};
    PGRESULT_AUTO *rows = NULL;
    if (!try_rows(worker, &trial, &rows, err)) {
        return false;
    }
    int64_t tried = result_int(rows, 0, LOCATE_TRIED);
    if (tried < CENSUS_MIN_ROWS || result_int(rows, 0, LOCATE_REFUSED) < tried) {
        return true;
    }
    if (!record_first(worker, rows, err)) {
        return false;
    }
    (void)err_set(err, ERR_POISON,
        "every one of the first %lld rows is refused: nothing was set aside", (long long)tried);
    (void)snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", result_text(rows, 0, LOCATE_STATE));
    return err_hint(err,
        "Look at the expression, not at the rows: pghaul quarantine %s shows the first of them and "
        "what the server said.",
        worker->job.name);
}
