/*
 * drain.c - lease slices of the change log and drain them, batch by batch, until nothing is left
 * that is older than a second.
 *
 * Entries may be drained twice, by whoever holds their slice: to drain is to read the row again and
 * write what it says now.  So a lost answer, a killed run, a slice that was taken over need no care
 * but that of the compare-and-set in the batch.
 *
 * A unique value of the target may be handed from a row of one slice to a row of another.  Until
 * that has been taken away the new row cannot be written, and its entry is kept (core/sql_log.h);
 * so a round walks over all that a slice has, and only an entry that is kept for long is refused.
 */
#include "engine/drain.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/carry_call.h"
#include "engine/drain_remote.h"
#include "engine/worker_session.h"
#include "store/guards.h"
#include "store/quarantine.h"
#include "store/source.h"

#define GATE_SLEEP_US ((int64_t)20 * 1000)
/* Between rounds that found less than a batch. */
#define IDLE_SLEEP_US ((int64_t)60 * 1000)
#define LOOK_EVERY_US ((int64_t)250 * 1000)
/* A target that lags less than this is caught up. */
#define CAUGHT_UP_S 1.0
#define ROUNDS_MAX  20

/* After so long the next slice has its turn, and what there is to do is looked at again. */
#define SLICE_TIME_US   ((int64_t)500 * 1000)
#define BATCH_TARGET_US ((int64_t)75 * 1000)
#define BATCH_START     500
#define BATCH_MIN       50
#define BATCH_MAX       10000

/* So often in a row, and for so long, and it cannot be an entry of another slice. */
#define HELD_MAX    20
#define HELD_MAX_US ((int64_t)10 * 1000000)

/* ---- what there is to do ---- */

static bool
finds_repair_drained(Drain *drain, const JobRow *job, bool pass_is_done, Err *err)
{
    const EngineSetup *setup = &drain->engine->setup;
    bool drained = false;
    if (job->pass_kind != PASS_REPAIR || !pass_is_done) {
        return true;
    }
    if (drain->repair_pass != job->pass) {
        drain->repair_pass = job->pass; /* the state was read after the pass was done */
        drain->repair_last = drain->state.last_id;
    }
    LogSpan span = {.after = drain->floor.id, .upto = drain->repair_last};
    if (!changelog_is_drained(
            drain->carrier->log(drain), setup->plan, setup->job, &span, &drained, err)) {
        return false;
    }
    if (drained) {
        engine_set_drained(drain->engine, job->pass);
    }
    return true;
}

static bool
is_overflowed(const Drain *drain, Err *err)
{
    const EngineSetup *setup = &drain->engine->setup;
    if (!drain->state.overflowed) {
        return false;
    }
    (void)err_set(err, ERR_DRIFT,
        "changes of the application were not recorded: the change log has reached "
        "limits.log_bytes, or was dropped");
    (void)err_hint(err,
        "pghaul verify %s --repair begins the log anew, compares all rows and mends them; a run "
        "that is alive keeps the log short.",
        setup->plan->spec->job);
    return true;
}

/* Whoever says so has been through all that was there when the passes were over.  Where unique
 * values change hands all the time some entry is kept in every round. */
static bool
is_caught_up(const Drain *drain)
{
    bool all = drain->rounds > 0 && (drain->kept == 0 || drain->rounds > ROUNDS_MAX);
    return all && drain->state.age_s < CAUGHT_UP_S;
}

static void
publish(Drain *drain)
{
    Engine *engine = drain->engine;
    (void)pthread_mutex_lock(&engine->lock);
    engine->progress.backlog_rows = engine->setup.plan->sync_trigger ? drain->state.rows : -1;
    engine->progress.backlog_s = drain->state.age_s;
    engine->log_bytes = drain->state.bytes;
    engine->in_sync = engine->finished && is_caught_up(drain);
    (void)pthread_mutex_unlock(&engine->lock);
}

/* The passes were over, and in a crash the server has lost their last commits. */
static bool
is_undone(Drain *drain, bool finished, bool done, Err *err)
{
    Engine *engine = drain->engine;
    int pass = drain->worker->job.pass;
    if (!finished || done) {
        drain->finished_pass = finished ? pass : 0;
        return false;
    }
    if (drain->finished_pass != 0 && drain->finished_pass != pass) {
        return false; /* another run has begun a pass since */
    }
    (void)pthread_mutex_lock(&engine->lock);
    engine->in_sync = false;
    (void)pthread_mutex_unlock(&engine->lock);
    return !err_set(err, ERR_STOPPED, ENGINE_LOST_COMMITS);
}

/* What this run holds for finished first, then the pass, then the log: what a pass that is done has
 * put into it is seen. */
static bool
look(Drain *drain, Err *err)
{
    bool finished = engine_is_finished(drain->engine);
    const EngineSetup *setup = &drain->engine->setup;
    Worker *worker = drain->worker;
    PgConn *conn = worker->conn;
    JobRow *job = &worker->job;
    DriftKind drift = DRIFT_NONE;
    bool done = false;
    arena_reset(&worker->job_arena);
    bool ok = job_read_id(conn, setup->job, &worker->job_arena, job, err) &&
              job_pass_is_done(conn, setup->job, job->pass, &done, err) &&
              source_guards_check(conn, worker->source, setup->plan, job, &drift, err) &&
              changelog_state_above(drain->carrier->log(drain), setup->plan, setup->job,
                  drain->floor.id, &drain->state, err) &&
              !is_undone(drain, finished, done, err) && !is_overflowed(drain, err) &&
              finds_repair_drained(drain, job, done, err);
    if (ok) {
        drain->may_begin = job->pass > 0 && (job->pass_kind != PASS_MOVE || done);
        drain->looked_us = clock_mono_us();
        drain->look_now = false;
        publish(drain);
    }
    return ok;
}

/* ---- batches ---- */

static void
count_batch(Drain *drain, const DrainResult *result)
{
    Worker *worker = drain->worker;
    Engine *engine = drain->engine;
    retry_succeeded(&worker->history);
    worker->backoff = BACKOFF_INIT;
    if (result->entries == 0) {
        return;
    }
    (void)pthread_mutex_lock(&worker->lock);
    worker->counters.batches++;
    worker->counters.batch_us = clock_mono_us();
    (void)pthread_mutex_unlock(&worker->lock);
    (void)pthread_mutex_lock(&engine->lock);
    engine->progress.drained_rows += result->entries - result->kept;
    (void)pthread_mutex_unlock(&engine->lock);
}

/* The first entry of the slice was kept (0: none was) by a batch that began with it. */
static void
note_held(Drain *drain, int slice, int64_t id)
{
    if (drain->kept_first[slice].id != id) {
        drain->kept_first[slice].id = id;
        drain->kept_first[slice].since_us = clock_mono_us();
        drain->kept_first[slice].times = 0;
    }
    drain->kept_first[slice].times++;
}

/* The first entry alone, to be told what is in its way? */
static bool
is_held_too_long(const Drain *drain, int slice)
{
    return drain->kept_first[slice].id > 0 && drain->kept_first[slice].times > HELD_MAX &&
           clock_mono_us() - drain->kept_first[slice].since_us > HELD_MAX_US;
}

static bool
is_truncated(const Drain *drain, const DrainResult *result, Err *err)
{
    if (result->outcome != DRAIN_TRUNCATED) {
        return false;
    }
    (void)err_set(err, ERR_DRIFT, "the source was truncated; the target still has the rows");
    (void)err_hint(err, "pghaul verify %s --repair compares all rows and takes those away.",
        drain->engine->setup.plan->spec->job);
    return true;
}

static void
take_batch(Drain *drain, const SliceLease *slice, const DrainResult *result, int64_t duration_us)
{
    drain->kept += result->kept;
    if (drain->want.after == drain->floor.id) {
        note_held(drain, slice->no, result->first_kept);
    }
    if (result->entries > 0) {
        pacer_observe(&drain->pacer, result->entries, duration_us);
        log_line(LOG_DEBUG, "drain",
            "slice %d: %lld entries, %lld kept, %lld rows deleted, %lld written, %lld ms",
            slice->no, (long long)result->entries, (long long)result->kept,
            (long long)result->deleted, (long long)result->written,
            (long long)(duration_us / 1000));
    }
    count_batch(drain, result);
}

/* One batch as drain->want says; *full when there is more after it. */
static bool
drain_batch(Drain *drain, bool *full, Err *err)
{
    const SliceLease *slice = &drain->held.slices[drain->current];
    DrainResult result = {.entries = 0};
    int64_t begun_us = clock_mono_us();
    *full = false;
    if (!drain->carrier->batch(drain, slice, &drain->want, &result, err)) {
        return err_wrap(err, "drain slice %d", slice->no);
    }
    if (is_truncated(drain, &result, err)) {
        return false;
    }
    if (result.outcome == DRAIN_LOST) {
        log_line(LOG_INFO, "drain", "slice %d was taken over by another run", slice->no);
        drain_forget_slice(drain, drain->current);
        return true;
    }
    take_batch(drain, slice, &result, clock_mono_us() - begun_us);
    *full = result.entries >= drain->want.entries;
    drain->want.after = result.last;
    return true;
}

/* All that the slice at `drain->current` has, or as much as fits into the time. */
static bool
drain_slice(Drain *drain, bool *more, Err *err)
{
    int slice = drain->held.slices[drain->current].no;
    int64_t end_us = clock_mono_us() + SLICE_TIME_US;
    drain->want = (DrainWant){.after = drain->floor.id, .strict = is_held_too_long(drain, slice)};
    do {
        if (stop_level(&drain->engine->stop) != STOP_NONE || !engine_may_work(drain->engine)) {
            *more = true;
            return true;
        }
        drain->want.entries = drain->want.strict ? 1 : pacer_size(&drain->pacer);
        if (!drain_batch(drain, more, err)) {
            return false;
        }
    } while (*more && !drain->want.strict && clock_mono_us() < end_us);
    return true;
}

/* Each slice in turn; *more when any has more. */
static bool
drain_round(Drain *drain, bool *more, Err *err)
{
    bool finished = engine_is_finished(drain->engine);
    *more = false;
    drain->kept = 0;
    for (int i = drain->held.count - 1; i >= 0; i--) {
        bool full = false;
        drain->current = i;
        if (!drain_slice(drain, &full, err)) {
            return false;
        }
        *more = *more || full;
    }
    if (finished && !*more) {
        drain->look_now = drain->rounds == 0; /* was that all? */
        drain->rounds++;
    }
    return true;
}

/* ---- failures ---- */

/* One entry alone is refused: the run ends at its key. */
static bool
fail_at_key(Drain *drain, const Err *cause, Err *err)
{
    const EngineSetup *setup = &drain->engine->setup;
    Arena arena = ARENA_INIT;
    QuarantineStop row = {
        .job = setup->job,
        .pass = drain->worker->job.pass,
        .sqlstate = cause->sqlstate,
        .message = cause->message,
    };
    SlicePlace place = {&drain->held.slices[drain->current], drain->want.after};
    bool ok =
        changelog_next_key(drain->carrier->log(drain), setup->plan, &place, &arena, &row.key, err);
    if (ok && row.key != NULL) {
        ok = quarantine_record_stop(drain->worker->conn, &row, err);
    }
    bool gone = row.key == NULL;
    arena_reset(&arena);
    if (!ok || gone) {
        return ok;
    }
    (void)carry_refused(cause->sqlstate, err);
    return err_hint(err,
        "A change of the application cannot be made in the target. pghaul quarantine %s shows the "
        "key; mend the row, the expression or the target, then run again.",
        setup->plan->spec->job);
}

static void
drop_sessions(Drain *drain)
{
    if (drain->carrier->close != NULL) {
        drain->carrier->close(drain);
    }
    worker_drop_session(drain->worker);
    drain->held.count = 0;
}

/* Was the last batch as small as can be? */
static bool
is_at_floor(const Drain *drain)
{
    return drain->want.strict || pacer_is_at_floor(&drain->pacer);
}

static bool
act(Drain *drain, RetryAction action, const Err *cause, Err *err)
{
    switch (action) {
    case RETRY_LOCATE:
        if (is_at_floor(drain) && drain->held.count > 0) {
            return fail_at_key(drain, cause, err);
        }
        pacer_halve(&drain->pacer);
        return true;
    case RETRY_HALVE:
        pacer_halve(&drain->pacer);
        return true;
    case RETRY_RECONNECT:
        drop_sessions(drain);
        return worker_may_reconnect(drain->worker, cause, err);
    case RETRY_FAIL:
        *err = *cause;
        return false;
    case RETRY_SAME:
    case RETRY_SKIP_LOCKED:
    case RETRY_WAIT:
        break;
    }
    return true;
}

/* Decide what a failure means; false when it ends the run. */
static bool
handle_failure(Drain *drain, const Err *cause, Err *err)
{
    Worker *worker = drain->worker;
    worker_count_failure(worker, cause);
    worker->history.at_floor = is_at_floor(drain);
    retry_record(&worker->history, cause->cls);
    RetryDecision decision = retry_decide(cause, &worker->history);
    if (cause->cls == ERR_RESOURCE || cause->cls == ERR_SLOTS) {
        log_line(LOG_WARNING, worker->name, "%s; waiting", cause->message);
    }
    if (!act(drain, decision.action, cause, err)) {
        return false;
    }
    int64_t wait_us = backoff_next_us(&worker->backoff, decision.wait, &worker->prng);
    if (wait_us > 0) {
        (void)stop_sleep_us(&drain->engine->stop, wait_us);
    }
    return true;
}

/* Deal with a failure, and with those met while dealing with it; false when the run ends. */
static bool
recover(Drain *drain, Err cause)
{
    const Worker *worker = drain->worker;
    bool usable = worker->conn != NULL && conn_is_idle(worker->conn);
    if (usable && worker->job.id > 0 && cause.sqlstate[0] != '\0') {
        source_guards_explain(
            worker->conn, worker->source, drain->engine->setup.plan, &worker->job, &cause);
    }
    Err failure = ERR_INIT;
    while (!handle_failure(drain, &cause, &failure)) {
        bool again = failure.cls == ERR_RETRY || failure.cls == ERR_TIMEOUT ||
                     failure.cls == ERR_RECONNECT || failure.cls == ERR_SLOTS ||
                     failure.cls == ERR_RESOURCE;
        if (!again || stop_level(&drain->engine->stop) != STOP_NONE) {
            engine_fail(drain->engine, &failure);
            return false;
        }
        cause = failure;
        failure = ERR_INIT;
    }
    return true;
}

/* ---- the loop ---- */

static bool
open_sessions(Drain *drain, Err *err)
{
    if (!worker_open_session(drain->worker, err)) {
        return false;
    }
    if (drain->carrier->open == NULL || drain->carrier->open(drain, err)) {
        return true;
    }
    drop_sessions(drain);
    return false;
}

/* The passes are over and the target is caught up: nothing is left but to follow. */
static bool
is_in_sync(Engine *engine)
{
    (void)pthread_mutex_lock(&engine->lock);
    bool in_sync = engine->in_sync;
    (void)pthread_mutex_unlock(&engine->lock);
    return in_sync;
}

static bool
is_done(Drain *drain)
{
    return !drain->engine->setup.follow && is_in_sync(drain->engine);
}

/* A run that follows says so once it has got so far; unless rows differ, which ends it. */
static bool
settle(Drain *drain, bool *done, Err *err)
{
    const EngineSetup *setup = &drain->engine->setup;
    PgConn *conn = drain->worker->conn;
    int64_t differing = 0;
    bool compared = drain->worker->job.pass_kind == PASS_VERIFY;
    if (compared && !job_differing(conn, setup->job, drain->worker->job.pass, &differing, err)) {
        return false;
    }
    *done = differing > 0;
    drain->is_settled = true;
    if (*done || !setup->plan->sync_trigger) {
        return true;
    }
    if (!query_script(conn, "BEGIN; SET LOCAL synchronous_commit = on", err)) {
        return false;
    }
    bool ok = job_set_state(conn, setup->job, JOB_SYNCED, NULL, err);
    return query_end(conn, ok, err);
}

static bool
raise_floor(Drain *drain, Err *err)
{
    const EngineSetup *setup = &drain->engine->setup;
    return drain_floor_raise(&drain->floor, drain->carrier->log(drain), setup->plan, setup->job,
        drain->state.last_id, err);
}

/* When a wait for the next look would only make the run longer: its passes are over, and nothing
 * was drained since, or the first round found no more. */
static bool
must_look(const Drain *drain)
{
    bool ends = engine_is_finished(drain->engine) && !is_in_sync(drain->engine);
    return clock_mono_us() - drain->looked_us > LOOK_EVERY_US ||
           (ends && (drain->look_now || !drain->may_begin));
}

static bool
step(Drain *drain, bool *done, Err *err)
{
    Engine *engine = drain->engine;
    if (drain->worker->conn == NULL && engine_is_judged(engine)) {
        return open_sessions(drain, err);
    }
    if (drain->worker->conn == NULL || !engine_may_work(engine)) {
        (void)stop_sleep_us(&engine->stop, GATE_SLEEP_US);
        return true;
    }
    if (must_look(drain)) {
        if (!look(drain, err) ||
            (drain->may_begin && !(drain_balance_slices(drain, err) && raise_floor(drain, err) &&
                                     drain_vacuum_log(drain, err)))) {
            return false;
        }
        *done = is_done(drain);
        if (!*done && is_in_sync(engine) && !drain->is_settled && !settle(drain, done, err)) {
            return false;
        }
    }
    bool more = false;
    if (drain->may_begin && !*done && !drain_round(drain, &more, err)) {
        return false;
    }
    if (!*done && !more && !must_look(drain)) {
        (void)stop_sleep_us(&engine->stop, drain->may_begin ? IDLE_SLEEP_US : GATE_SLEEP_US);
    }
    return true;
}

static void
work(Drain *drain)
{
    bool done = false;
    while (!done && stop_level(&drain->engine->stop) == STOP_NONE) {
        Err cause = ERR_INIT;
        if (!step(drain, &done, &cause) && !recover(drain, cause)) {
            return;
        }
    }
}

/* How far it is behind is said as of the end. */
static void
look_last(Drain *drain)
{
    PgConn *conn = drain->worker->conn;
    Err err = ERR_INIT;
    if (conn != NULL && conn_is_idle(conn) && drain->looked_us > 0 && !look(drain, &err)) {
        log_line(LOG_DEBUG, "drain", "%s", err.message);
    }
}

void *
drain_main(void *arg)
{
    Worker *worker = arg;
    Engine *engine = worker->engine;
    Drain drain = {.engine = engine, .worker = worker, .carrier = &drain_call};
    if (engine->setup.plan->copy->remote) {
        drain.carrier = &drain_remote;
    }
    PacerLimits limits = {.floor = 1,
        .size_min = BATCH_MIN,
        .size_max = BATCH_MAX,
        .batch_target_us = BATCH_TARGET_US};
    pacer_init(&drain.pacer, limits, BATCH_START);
    work(&drain);
    look_last(&drain);
    drain_release_slices(&drain);
    drop_sessions(&drain);
    arena_reset(&worker->job_arena);
    arena_reset(&worker->lease_arena);
    strbuf_free(&worker->watermark);

    (void)pthread_mutex_lock(&engine->lock);
    engine->workers_alive--;
    (void)pthread_mutex_unlock(&engine->lock);
    return NULL;
}
