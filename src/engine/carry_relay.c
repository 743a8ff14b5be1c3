#include "engine/carry_relay.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/sql_batch.h"
#include "core/sql_frame.h"
#include "core/sql_relay.h"
#include "pg/copy.h"
#include "pg/flush.h"
#include "store/guards.h"

/* A batch that takes longer is too large; one row can be as wide as it likes. */
#define ROW_TIMEOUT_MS 600000
/* While one side works, the other one has nothing to do. */
#define IDLE_TIMEOUT_SQL "SET LOCAL idle_in_transaction_session_timeout = 30000"
/* What a batch should have, and what one of rows that are wider than those before may. */
#define BATCH_BYTES     ((int64_t)16 << 20)
#define BATCH_BYTES_MAX (4 * BATCH_BYTES)

typedef struct Relay {
    Worker *worker;
    const Plan *plan;
    int64_t size;
    int64_t timeout_ms;
    Arena arena;
    const char *from;
    const char *to; /* the key that the batch ends with */
    bool last;      /* the range ends with it */
    bool around;    /* rows that the change log has are left to the drain */
    CopyCount count;
} Relay;

int64_t
carry_relay_size_max(const Worker *worker)
{
    if (worker->row_bytes <= 0) {
        return INT64_MAX;
    }
    int64_t rows = BATCH_BYTES / worker->row_bytes;
    return rows < 1 ? 1 : rows;
}

/* ---- steps ---- */

/* Begin at the target: is the range still ours?  Then its row is locked. */
static bool
claim(const Relay *relay, bool *ours, Err *err)
{
    Worker *worker = relay->worker;
    char timeout[64];
    (void)snprintf(timeout, sizeof(timeout), "SET LOCAL statement_timeout = %lld",
        (long long)relay->timeout_ms);
    char locks[64];
    (void)snprintf(
        locks, sizeof(locks), "SET LOCAL lock_timeout = '%s'", sql_lock_timeout(relay->plan));
    const char *begin[] = {"BEGIN ISOLATION LEVEL READ COMMITTED", timeout, locks, IDLE_TIMEOUT_SQL,
        carry_commit_mode(relay->plan)};
    Params params = PARAMS_INIT;
    carry_put_lease(&params, worker);
    params_text(&params, worker->lease.watermark);
    params_int(&params, relay->size);
    params_bool(&params, false);
    carry_put_guards(&params, worker);
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_batch_call(&sql, relay->plan, "claim", worker->job.id);
    BatchCall call = {
        .begin = begin,
        .begin_count = 5,
        .sql = strbuf_text(&sql),
        .count = params.count,
        .values = params.values,
        .timeout_us = relay->timeout_ms * 1000 + CARRY_GRACE_US,
        .stays_open = true,
    };
    PGRESULT_AUTO *result = NULL;
    if (!query_batch(worker->conn, &call, &result, err)) {
        return err_wrap(err, "target");
    }
    *ours = result_rows(result) == 1 && strcmp(result_text(result, 0, BATCH_OUTCOME), "more") == 0;
    return true;
}

/* Begin at the source, and look for the end of the batch there. */
static bool
find_end(Relay *relay, Err *err)
{
    char timeout[64];
    (void)snprintf(timeout, sizeof(timeout), "SET LOCAL statement_timeout = %lld",
        (long long)relay->timeout_ms);
    const char *begin[] = {
        "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY", timeout, IDLE_TIMEOUT_SQL};
    const RangeLease *lease = &relay->worker->lease;
    relay->from = lease->watermark == NULL ? lease->low : lease->watermark;
    Params params = PARAMS_INIT;
    params_text(&params, relay->from);
    params_text(&params, lease->high);
    params_int(&params, relay->size);
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_carve_probe(&sql, relay->plan);
    BatchCall call = {
        .begin = begin,
        .begin_count = 3,
        .sql = strbuf_text(&sql),
        .count = params.count,
        .values = params.values,
        .timeout_us = relay->timeout_ms * 1000 + CARRY_GRACE_US,
        .stays_open = true,
    };
    PGRESULT_AUTO *result = NULL;
    if (!query_batch(relay->worker->source, &call, &result, err)) {
        return err_wrap(err, "source");
    }
    const char *end = result_rows(result) == 0 ? NULL : result_text(result, 0, 0);
    /* A batch may be as long as its range: there is nothing behind it then. */
    relay->last = end == NULL || (lease->high != NULL && strcmp(end, lease->high) == 0);
    relay->to = relay->last ? lease->high : result_dup(result, 0, 0, &relay->arena);
    return true;
}

static bool
set_bounds(const Relay *relay, Err *err)
{
    Params params = PARAMS_INIT;
    params_text(&params, relay->from);
    params_text(&params, relay->to);
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_relay_bounds(&sql);
    return query_with(relay->worker->source, strbuf_text(&sql), &params, NULL, err) ||
           err_wrap(err, "source");
}

static bool
stream_rows(Relay *relay, Err *err)
{
    Worker *worker = relay->worker;
    STRBUF_AUTO from = STRBUF_INIT;
    STRBUF_AUTO into = STRBUF_INIT;
    RelayRows rows = {.from_open = relay->from == NULL,
        .to_open = relay->to == NULL,
        .around_log_of = relay->around ? worker->job.id : 0};
    sql_relay_source(&from, relay->plan, &rows);
    sql_relay_target(&into, relay->plan);
    CopyStream stream = {
        .source = worker->source,
        .source_sql = strbuf_text(&from),
        .target = worker->conn,
        .target_sql = strbuf_text(&into),
        .idle_us = relay->timeout_ms * 1000 + CARRY_GRACE_US,
        .bytes_max = relay->size == 1 ? 0 : BATCH_BYTES_MAX,
    };
    CopyCount *count = &relay->count;
    bool ok = copy_stream(&stream, count, err);
    if (count->seen_rows > 0) {
        worker->row_bytes = count->seen_bytes / count->seen_rows + 1;
    }
    if (ok && count->taken_rows != count->sent_rows) {
        (void)err_set(err, ERR_FATAL, "the target took %lld rows of %lld",
            (long long)count->taken_rows, (long long)count->sent_rows);
        return err_hint(err, "One of its triggers leaves rows out.");
    }
    return ok;
}

/* Nothing of the source may be lost any more that the target is about to keep. */
static bool
end_source(const Relay *relay, Err *err)
{
    const Worker *worker = relay->worker;
    return (guards_end_source(worker->source, relay->plan, &worker->job, err) &&
               flush_wait(worker->source, err)) ||
           err_wrap(err, "source");
}

static bool
settle(const Relay *relay, CarryResult *result, Err *err)
{
    Worker *worker = relay->worker;
    Params params = PARAMS_INIT;
    carry_put_lease(&params, worker);
    params_text(&params, relay->to);
    params_int(&params, relay->count.taken_rows);
    params_bool(&params, relay->last);
    carry_put_guards(&params, worker);
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_batch_call(&sql, relay->plan, "settle", worker->job.id);
    BatchCall call = {
        .sql = strbuf_text(&sql),
        .count = params.count,
        .values = params.values,
        .timeout_us = relay->timeout_ms * 1000 + CARRY_GRACE_US,
    };
    PGRESULT_AUTO *rows = NULL;
    if (!query_batch(worker->conn, &call, &rows, err)) {
        return err_wrap(err, "target");
    }
    return carry_take_result(worker, rows, result, err);
}

/* ---- the batch ---- */

static bool
relay_batch(Relay *relay, CarryResult *result, Err *err)
{
    bool ours = false;
    *result = (CarryResult){.outcome = CARRY_LOST};
    if (!claim(relay, &ours, err)) {
        return false;
    }
    if (!ours) {
        return query_roll_back(relay->worker->conn, err);
    }
    return find_end(relay, err) && set_bounds(relay, err) && stream_rows(relay, err) &&
           end_source(relay, err) && settle(relay, result, err);
}

/* Leave no transaction open, on either side. */
static void
roll_back(const Relay *relay, Err *err)
{
    Err lost = ERR_INIT;
    bool usable = err->cls != ERR_RECONNECT;
    if (usable && (!query_roll_back(relay->worker->source, &lost) ||
                      !query_roll_back(relay->worker->conn, &lost))) {
        *err = lost;
    }
}

static bool
run(Relay *relay, CarryResult *result, Err *err)
{
    Worker *worker = relay->worker;
    carry_set_cancellable(worker, worker->conn, worker->source);
    bool ok = relay_batch(relay, result, err);
    if (!ok) {
        roll_back(relay, err);
    }
    carry_set_cancellable(worker, NULL, NULL);
    return ok;
}

static Relay
relay_of(Worker *worker, int64_t size)
{
    return (Relay){
        .worker = worker,
        .plan = worker->engine->setup.plan,
        .size = size,
        .timeout_ms = size == 1 ? ROW_TIMEOUT_MS : CARRY_RELAY_TIMEOUT_MS,
        .arena = ARENA_INIT,
    };
}

bool
carry_relay(Worker *worker, int64_t size, bool skip_locked, CarryResult *result, Err *err)
{
    Relay relay = relay_of(worker, size);
    relay.around = skip_locked;
    bool ok = run(&relay, result, err);
    arena_reset(&relay.arena);
    return ok;
}

bool
carry_relay_locate(Worker *worker, int64_t size, Err *err)
{
    assert(size == 1);
    CarryResult result;
    Relay relay = relay_of(worker, size);
    bool ok = run(&relay, &result, err);
    worker->has_lease = worker->has_lease && (!ok || result.outcome == CARRY_MORE);
    if (!ok && err->cls == ERR_POISON && relay.to != NULL) {
        Err cause = *err;
        *err = ERR_INIT;
        (void)carry_stop_at(worker, relay.to, cause.sqlstate, cause.message, err);
    }
    arena_reset(&relay.arena);
    return ok;
}
