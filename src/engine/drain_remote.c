#include "engine/drain_remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/sql_drain.h"
#include "core/sql_relay.h"
#include "engine/carrier.h"
#include "pg/copy.h"
#include "pg/flush.h"
#include "pg/peer.h"
#include "store/guards.h"

/* While one side works, the other one has nothing to do. */
#define IDLE_TIMEOUT_SQL "SET LOCAL idle_in_transaction_session_timeout = 10000"
#define IDLE_US          ((int64_t)20 * 1000000)
/* One row may be as wide as it likes, more than one not. */
#define BATCH_BYTES_MAX ((int64_t)64 << 20)
/* How often the standbys are asked, and how often is said what they are waited for. */
#define DURABLE_POLL_US 3000
#define DURABLE_SAY_US  ((int64_t)10 * 1000000)

/* One batch. */
typedef struct Batch {
    Drain *drain;
    const Plan *plan;
    const SliceLease *slice;
    bool log_on_source;
    Arena arena;
    const char **id_items; /* of the entries */
    const char **key_items;
    int count;
    const char *ids;  /* of those that are done: int8[] as text */
    const char *keys; /* list of keys */
    bool staged;
} Batch;

static PgConn *
target_of(const Batch *batch)
{
    return batch->drain->worker->conn;
}

static PgConn *
source_of(const Batch *batch)
{
    return batch->drain->worker->source;
}

/* Where triggers write it, the log is on the source. */
static PgConn *
log_session(Drain *drain)
{
    Worker *worker = drain->worker;
    return drain->engine->setup.plan->sync_trigger ? worker->source : worker->conn;
}

/* ---- entries ---- */

static void
take_entries(Batch *batch, const PgResult *rows, DrainResult *result)
{
    int count = result_rows(rows);
    size_t size = ((size_t)count + 1) * sizeof(char *);
    batch->id_items = arena_alloc(&batch->arena, size);
    batch->key_items = arena_alloc(&batch->arena, size);
    batch->count = count;
    for (int i = 0; i < count; i++) {
        batch->id_items[i] = result_dup(rows, i, 0, &batch->arena);
        batch->key_items[i] = result_dup(rows, i, 1, &batch->arena);
        if (batch->key_items[i] == NULL) {
            result->outcome = DRAIN_TRUNCATED;
        }
    }
    batch->ids = pg_array_format(batch->id_items, count, &batch->arena);
    batch->keys = pg_array_format(batch->key_items, count, &batch->arena);
    result->entries = count;
    result->last = count == 0 ? 0 : result_int(rows, count - 1, 0);
}

/* Exactly these; one with a smaller id that commits later is met later. */
static bool
pick_entries(Batch *batch, const DrainWant *want, DrainResult *result, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_drain_pick(&sql, batch->plan, batch->slice->job);
    Params params = PARAMS_INIT;
    params_int(&params, batch->slice->no);
    params_int(&params, want->after);
    params_int(&params, want->entries);
    params_int(&params, batch->slice->slices);
    PGRESULT_AUTO *rows = NULL;
    if (!query_with(log_session(batch->drain), strbuf_text(&sql), &params, &rows, err)) {
        return err_wrap(err, "pick entries");
    }
    take_entries(batch, rows, result);
    return true;
}

static bool
forget_entries(Batch *batch, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_drain_forget(&sql, batch->plan, batch->slice->job);
    Params params = PARAMS_INIT;
    params_text(&params, batch->ids);
    return query_with(log_session(batch->drain), strbuf_text(&sql), &params, NULL, err) ||
           err_wrap(err, "forget entries");
}

/* ---- rows ---- */

/* Begin at the target; is the slice still ours?  Then its row is locked. */
static bool
claim_slice(const Batch *batch, bool *ours, Err *err)
{
    /* What follows is taken from the source's log: a crash of the target must not lose it.  A few
     * keys are looked up in large tables, whatever statistics say. */
    static const char BEGIN[] = "BEGIN ISOLATION LEVEL READ COMMITTED;"
                                "SET LOCAL statement_timeout = 2000;" IDLE_TIMEOUT_SQL ";"
                                "SET LOCAL lock_timeout = 5;"
                                "SET LOCAL synchronous_commit = on;"
                                "SET LOCAL enable_seqscan = off;"
                                "SET LOCAL enable_hashjoin = off;"
                                "SET LOCAL enable_mergejoin = off";
    return (query_script(target_of(batch), BEGIN, err) &&
               changelog_lock_slice(target_of(batch), batch->slice, ours, err)) ||
           err_wrap(err, "target");
}

static bool
delete_rows(const Batch *batch, DrainResult *result, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_drain_delete(&sql, batch->plan);
    Params params = PARAMS_INIT;
    params_text(&params, batch->keys);
    PGRESULT_AUTO *rows = NULL;
    if (!query_with(target_of(batch), strbuf_text(&sql), &params, &rows, err)) {
        return err_wrap(err, "target");
    }
    result->deleted = result_affected(rows);
    return true;
}

/* In a transaction that gives the list of keys to COPY, which takes no parameters. */
static bool
begin_source(const Batch *batch, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_drain_keys(&sql);
    const char *begin[] = {"BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY", IDLE_TIMEOUT_SQL};
    BatchCall call = {
        .begin = begin,
        .begin_count = 2,
        .sql = strbuf_text(&sql),
        .count = 1,
        .values = &batch->keys,
        .timeout_us = QUERY_TIMEOUT_US,
        .stays_open = true,
    };
    PGRESULT_AUTO *result = NULL;
    return query_batch(source_of(batch), &call, &result, err) || err_wrap(err, "source");
}

/* The source's rows as they are now; nothing of it may be lost any more when the target commits. */
static bool
write_rows(const Batch *batch, DrainResult *result, Err *err)
{
    STRBUF_AUTO from = STRBUF_INIT;
    STRBUF_AUTO into = STRBUF_INIT;
    sql_drain_source(&from, batch->plan);
    if (batch->staged) {
        sql_relay_staged(&into, batch->plan);
    } else {
        sql_relay_into(&into, batch->plan);
    }
    CopyStream stream = {
        .source = source_of(batch),
        .source_sql = strbuf_text(&from),
        .target = target_of(batch),
        .target_sql = strbuf_text(&into),
        .idle_us = IDLE_US,
        .bytes_max = batch->count == 1 ? 0 : BATCH_BYTES_MAX,
    };
    CopyCount count = {.sent_rows = 0};
    if (!begin_source(batch, err) || !copy_stream(&stream, &count, err)) {
        return false;
    }
    result->written = count.taken_rows;
    const Worker *worker = batch->drain->worker;
    return (guards_end_source(worker->source, batch->plan, &worker->job, err) &&
               flush_wait(worker->source, err)) ||
           err_wrap(err, "source");
}

/* ---- rows that are kept out ---- */

/* `kept` has their places; only the entries of the others are done. */
static void
keep_entries(Batch *batch, const PgResult *kept, DrainResult *result)
{
    int done = 0;
    int next = 0;
    for (int i = 0; i < batch->count; i++) {
        if (next == result_rows(kept) || result_int(kept, next, 0) != i + 1) {
            batch->id_items[done++] = batch->id_items[i];
            continue;
        }
        next++;
        if (result->kept++ == 0) {
            result->first_kept = strtoll(batch->id_items[i], NULL, 10);
        }
    }
    batch->ids = pg_array_format(batch->id_items, done, &batch->arena);
}

/* A value may still be with a row of another slice, or of a later entry: such rows are tried
 * again. */
static bool
unstage_rows(Batch *batch, DrainResult *result, Err *err)
{
    STRBUF_AUTO insert = STRBUF_INIT;
    STRBUF_AUTO rest = STRBUF_INIT;
    sql_drain_insert(&insert, batch->plan);
    sql_drain_kept(&rest, batch->plan);
    PGRESULT_AUTO *written = NULL;
    PGRESULT_AUTO *kept = NULL;
    if (!query_run(target_of(batch), strbuf_text(&insert), &written, err)) {
        return err_wrap(err, "target");
    }
    if (result_affected(written) == result->written) {
        return true;
    }
    result->written = result_affected(written);
    Params params = PARAMS_INIT;
    params_text(&params, batch->keys);
    if (!query_with(target_of(batch), strbuf_text(&rest), &params, &kept, err)) {
        return err_wrap(err, "target");
    }
    keep_entries(batch, kept, result);
    return result->kept > 0 ||
           err_set(err, ERR_FATAL, "rows that the target did not take are none of the entries'");
}

/* The work of one transaction of the target, up to its COMMIT. */
static bool
bring_over(Batch *batch, DrainResult *result, Err *err)
{
    if (!delete_rows(batch, result, err)) {
        return false;
    }
    if (!write_rows(batch, result, err) || (batch->staged && !unstage_rows(batch, result, err))) {
        return false;
    }
    SliceCount count = {.entries = result->entries - result->kept,
        .deleted = result->deleted,
        .written = result->written};
    return guards_check(target_of(batch), batch->slice->job, NULL, err) &&
           changelog_count(target_of(batch), batch->slice, &count, err) &&
           (batch->log_on_source || forget_entries(batch, err));
}

/* ---- what the target has for good ---- */

/* Asked to stop, the entries stay. */
static bool
wait_durable(const Batch *batch, bool *durable, Err *err)
{
    const EngineSetup *setup = &batch->drain->engine->setup;
    PgConn *target = target_of(batch);
    char lsn[24];
    if (!peer_flushed_to(target, lsn, err)) {
        return false;
    }
    *durable = false;
    int64_t said_us = clock_mono_us();
    for (;;) {
        PeerDurable state = PEER_DURABLE;
        if (!peer_is_durable(target, lsn, &setup->standbys, &state, err)) {
            return false;
        }
        *durable = state == PEER_DURABLE;
        if (*durable || stop_sleep_us(&batch->drain->engine->stop, DURABLE_POLL_US) != STOP_NONE) {
            return true;
        }
        if (clock_mono_us() - said_us > DURABLE_SAY_US) {
            said_us = clock_mono_us();
            log_line(LOG_WARNING, "drain", "%s",
                state == PEER_UNREADABLE
                    ? "entries of the change log are kept: what the target's standbys have flushed "
                      "is hidden from our role; GRANT pg_monitor helps"
                    : "entries of the change log are kept until the target's standbys have flushed "
                      "what became of them");
        }
    }
}

static bool
forget_when_durable(Batch *batch, Err *err)
{
    bool durable = false;
    return wait_durable(batch, &durable, err) && (!durable || forget_entries(batch, err));
}

/* ---- the batch ---- */

static bool
drain_entries(Batch *batch, DrainResult *result, Err *err)
{
    bool ours = false;
    if (!claim_slice(batch, &ours, err)) {
        return false;
    }
    if (!ours) {
        *result = (DrainResult){.outcome = DRAIN_LOST};
        return query_roll_back(target_of(batch), err);
    }
    if (!bring_over(batch, result, err) || !query_script(target_of(batch), "COMMIT", err)) {
        return false;
    }
    return !batch->log_on_source || forget_when_durable(batch, err);
}

/* Leave no transaction open, on either side. */
static void
roll_back(const Batch *batch, Err *err)
{
    Err lost = ERR_INIT;
    if (err->cls != ERR_RECONNECT &&
        (!query_roll_back(source_of(batch), &lost) || !query_roll_back(target_of(batch), &lost))) {
        *err = lost;
    }
}

/* The entries are picked before the slice is locked, its rows are read after it. */
static bool
run_batch(Batch *batch, const DrainWant *want, DrainResult *result, Err *err)
{
    if (!pick_entries(batch, want, result, err)) {
        return false;
    }
    return result->entries == 0 || result->outcome == DRAIN_TRUNCATED ||
           drain_entries(batch, result, err);
}

static bool
drain_batch(
    Drain *drain, const SliceLease *slice, const DrainWant *want, DrainResult *result, Err *err)
{
    const Plan *plan = drain->engine->setup.plan;
    Batch batch = {
        .drain = drain,
        .plan = plan,
        .slice = slice,
        .log_on_source = plan->sync_trigger,
        .staged = !want->strict && sql_drain_is_staged(plan),
        .arena = ARENA_INIT,
    };
    *result = (DrainResult){.outcome = DRAIN_DONE};
    carry_set_cancellable(drain->worker, drain->worker->conn, drain->worker->source);
    bool ok = run_batch(&batch, want, result, err);
    if (!ok) {
        roll_back(&batch, err);
    }
    carry_set_cancellable(drain->worker, NULL, NULL);
    arena_reset(&batch.arena);
    return ok;
}

/* That of the worker's session is there only where the move needs it. */
static bool
open_stage(Drain *drain, Err *err)
{
    const Plan *plan = drain->engine->setup.plan;
    STRBUF_AUTO stage = STRBUF_INIT;
    sql_relay_stage(&stage, plan);
    return relay_is_staged(plan) || !sql_drain_is_staged(plan) ||
           query_run(drain->worker->conn, strbuf_text(&stage), NULL, err);
}

const DrainCarrier drain_remote = {.open = open_stage, .log = log_session, .batch = drain_batch};
