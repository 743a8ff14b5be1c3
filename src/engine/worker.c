/*
 * worker.c - one thread, one session: wait for the throttle, get a range, move it batch by batch.
 *
 * Everything that a worker believes about its range is in worker->lease; the batch function
 * compares it with the row in the database and answers 'lost' when they differ.  After a lost
 * connection the row is read again under its lock, and that is the truth.  So a worker may fail at
 * any point without harm: the worst is that a range waits for another owner.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/sql_log.h"
#include "engine/archiver.h"
#include "engine/carry_call.h"
#include "engine/carve.h"
#include "engine/engine_state.h"
#include "engine/pacing.h"
#include "engine/passes.h"
#include "engine/worker_session.h"
#include "pg/probe.h"
#include "pg/sqlstate.h"
#include "store/guards.h"
#include "store/quarantine.h"
#include "store/source.h"

#define GATE_SLEEP_US 20000
#define IDLE_SLEEP_US 50000
/* Refused at one place that often, with no row found that is to blame (a deferred constraint over
 * several rows): give up.  Halving down from the largest batch takes about 17 of them. */
#define POISON_FAILURES_MAX 48

/* By block rows that move are met twice.  After one of them so many batches go around such rows at
 * once. */
#define AROUND_BATCHES 20
/* Beyond that a change log is long: so many entries, and the oldest of this age. */
#define BACKLOG_ROWS 10000
#define BACKLOG_S    3.0

/* ---- ranges ---- */

static void
set_busy(Worker *worker, bool busy)
{
    (void)pthread_mutex_lock(&worker->lock);
    worker->counters.busy = busy;
    (void)pthread_mutex_unlock(&worker->lock);
}

/* To compare rows is to look up in the change log those that differ: that has to be short.  Of an
 * application that writes without a pause the newest entries are always there. */
static bool
log_is_long(Engine *engine)
{
    (void)pthread_mutex_lock(&engine->lock);
    const Progress *progress = &engine->progress;
    bool is_long = progress->backlog_rows > BACKLOG_ROWS && progress->backlog_s > BACKLOG_S;
    (void)pthread_mutex_unlock(&engine->lock);
    return is_long;
}

/* What a repair puts into the change log must leave room for the application, however much it
 * finds. */
static bool
repair_fills_log(Engine *engine)
{
    int64_t limit = engine->setup.plan->spec->limits.log_bytes;
    (void)pthread_mutex_lock(&engine->lock);
    bool fills = engine->progress.backlog_rows > BACKLOG_ROWS ||
                 engine->log_bytes > limit / LOG_REPAIR_DIVISOR;
    (void)pthread_mutex_unlock(&engine->lock);
    return fills;
}

static bool
waits_for_drain(const Worker *worker)
{
    PassKind kind = worker->job.pass_kind;
    return worker->has_lease && worker->engine->setup.plan->copy != NULL && kind != PASS_MOVE &&
           (log_is_long(worker->engine) ||
               (kind == PASS_REPAIR && repair_fills_log(worker->engine)));
}

/* What a repair pass of a copy found has to be drained before it is compared again. */
static bool
may_turn_page(const Worker *worker)
{
    if (worker->engine->setup.plan->copy == NULL || worker->job.pass_kind == PASS_VERIFY) {
        return true;
    }
    return worker->job.pass_kind == PASS_REPAIR
               ? engine_is_drained(worker->engine, worker->job.pass)
               : !log_is_long(worker->engine);
}

/* The pass of an earlier run is through: ours is next. */
static bool
begin_own_pass(Worker *worker, PassStep *step, Err *err)
{
    const EngineSetup *setup = &worker->engine->setup;
    if (*step != PASS_STEP_FINISHED || worker->job.pass != setup->inherited_pass) {
        return true;
    }
    *step = PASS_STEP_BEGUN;
    return passes_begin_move(worker->conn, NULL, setup->plan, setup->job, worker->job.pass, err);
}

/* Take a range, or turn the page; *finished when nothing is left of the job. */
static bool
get_range(Worker *worker, bool *finished, Err *err)
{
    Engine *engine = worker->engine;
    arena_reset(&worker->job_arena);
    /* The guards are compared here as well: without the key's index no batch would come to it. */
    DriftKind drift = DRIFT_NONE;
    if (!job_read_id(worker->conn, engine->setup.job, &worker->job_arena, &worker->job, err) ||
        !source_guards_check(
            worker->conn, worker->source, engine->setup.plan, &worker->job, &drift, err)) {
        return false;
    }
    CarveOutcome outcome = CARVE_NONE;
    if (!carve_range(worker, &outcome, err)) {
        return false;
    }
    if (outcome == CARVE_LEASED) {
        worker->has_lease = true;
        worker->history.may_skip =
            engine->setup.plan->may_skip_locked && worker->job.pass_kind != PASS_VERIFY;
        worker_keep_watermark(worker);
        return true;
    }
    if (outcome == CARVE_AGAIN) {
        return true;
    }
    PassStep step = PASS_STEP_WORK;
    if (may_turn_page(worker) &&
        (!passes_advance(worker->conn, engine->setup.plan, &worker->job, &step, err) ||
            !begin_own_pass(worker, &step, err))) {
        return false;
    }
    *finished = step == PASS_STEP_FINISHED;
    if (*finished) {
        engine_finish(engine);
    }
    if (step == PASS_STEP_WORK) {
        set_busy(worker, false);
        (void)stop_sleep_us(&engine->stop, IDLE_SLEEP_US);
    }
    return true;
}

/* ---- batches ---- */

static void
smooth(double *mean, double value)
{
    *mean = *mean <= 0 ? value : *mean + (value - *mean) * 0.1;
}

static void
count_batch(Worker *worker, const CarryResult *result, int64_t duration_us)
{
    (void)pthread_mutex_lock(&worker->lock);
    WorkerCounters *counters = &worker->counters;
    counters->rows += worker->job.pass_kind == PASS_VERIFY ? 0 : result->rows;
    counters->batches++;
    counters->batch_us = clock_mono_us();
    counters->busy = true;
    smooth(&counters->batch_rows, (double)result->rows);
    smooth(&counters->batch_ms, (double)duration_us / 1000.0);
    (void)pthread_mutex_unlock(&worker->lock);
}

static void
note(Worker *worker, const char *text)
{
    Engine *engine = worker->engine;
    (void)pthread_mutex_lock(&engine->lock);
    (void)snprintf(engine->progress.note, sizeof(engine->progress.note), "%.199s", text);
    (void)pthread_mutex_unlock(&engine->lock);
}

/* Rows stay behind locks: say who holds them. */
static bool
report_left(Worker *worker, const CarryResult *result, Err *err)
{
    if (worker->job.pass_kind == PASS_VERIFY) {
        log_line(LOG_WARNING, worker->name, "range %lld: %lld row%s differ%s",
            (long long)worker->lease.no, (long long)result->left, result->left == 1 ? "" : "s",
            result->left == 1 ? "s" : "");
        return true;
    }
    char holders[128] = "another session";
    if (result->holders[0] != '\0' &&
        !probe_describe_pids(worker->conn, result->holders, holders, sizeof(holders), err)) {
        return false;
    }
    char text[200];
    (void)snprintf(text, sizeof(text), "%lld rows of range %lld are locked by %.120s",
        (long long)result->left, (long long)worker->lease.no, holders);
    note(worker, text);
    log_line(LOG_INFO, worker->name, "%s; they will be visited again", text);
    return true;
}

/* A batch has committed, or found the range gone. */
static bool
take_batch(Worker *worker, const CarryResult *result, int64_t size, int64_t duration_us, Err *err)
{
    worker->has_lease = result->outcome == CARRY_MORE;
    if (result->outcome == CARRY_LOST) {
        log_line(LOG_INFO, worker->name, "range %lld was taken over by another worker",
            (long long)worker->lease.no);
        return true;
    }
    log_line(LOG_DEBUG, worker->name, "range %lld stripe %d: %lld rows in %lld ms",
        (long long)worker->lease.no, worker->lease.stripe, (long long)result->rows,
        (long long)(duration_us / 1000));
    bool range_ended = result->outcome != CARRY_MORE || worker->lease.watermark == NULL;
    pacer_observe(pacing_of(worker), range_ended ? size / 2 : size, duration_us);
    retry_succeeded(&worker->history);
    worker->backoff = BACKOFF_INIT;
    count_batch(worker, result, duration_us);
    if (result->aside > 0) {
        log_line(LOG_WARNING, worker->name, "range %lld: %lld row%s refused and set aside",
            (long long)worker->lease.no, (long long)result->aside,
            result->aside == 1 ? " is" : "s are");
    }
    return result->left == 0 || report_left(worker, result, err);
}

static bool
run_batch(Worker *worker, Err *err)
{
    const Plan *plan = worker->engine->setup.plan;
    const Carrier *carrier = carrier_of(worker);
    int64_t size = pacer_size(pacing_of(worker));
    int64_t size_max = carrier->size_max == NULL ? size : carrier->size_max(worker);
    size = size < size_max ? size : size_max;
    bool skip = worker->history.may_skip && (plan->strict || retry_skips_locked(&worker->history));
    if (worker->batches_around > 0 && worker->job.pass_kind == PASS_MOVE) {
        worker->batches_around--;
        skip = true;
    }
    int64_t begun_us = clock_mono_us();
    CarryResult result;
    if (!carrier->batch(worker, size, skip, &result, err)) {
        return err_wrap(err, "range %lld", (long long)worker->lease.no);
    }
    int64_t duration_us = clock_mono_us() - begun_us - result.slept_us;
    return take_batch(worker, &result, size, duration_us, err);
}

/* ---- failures ---- */

/* The file of the table changed (VACUUM FULL): blocks are counted anew, in a pass of its own. */
static bool
restart_pass(Worker *worker, Err *err)
{
    const EngineSetup *setup = &worker->engine->setup;
    worker->has_lease = false;
    return passes_restart_move(worker->conn, setup->plan, setup->job, worker->job.pass, err) &&
           job_event(worker->conn, setup->job, setup->run, "restart",
               "the table was rewritten; its blocks are walked over anew", err);
}

static bool
is_transient(ErrClass cls)
{
    return cls == ERR_RETRY || cls == ERR_TIMEOUT || cls == ERR_RECONNECT || cls == ERR_SLOTS ||
           cls == ERR_RESOURCE;
}

/* Before anything of a job was changed or set aside: does the expression work at all? */
static bool
check_expression(Worker *worker, Err *err)
{
    RangeTotals totals;
    int64_t aside = 0;
    int64_t job = worker->job.id;
    if (!ranges_totals(worker->conn, job, worker->lease.pass, &totals, err) ||
        !quarantine_count(worker->conn, job, &aside, err)) {
        return false;
    }
    return totals.rows > 0 || aside > 0 || carry_census(worker, err);
}

/* The batch row by row.  What it fails with otherwise than by a row is tried again from the start:
 * rows held by somebody do not count as refused. */
static bool
isolate_poison(Worker *worker, Err *err)
{
    int64_t begun_us = clock_mono_us();
    CarryResult result;
    if ((worker->job.pass_kind == PASS_MOVE && !check_expression(worker, err)) ||
        !carry_isolate(worker, worker->history.may_skip, &result, err)) {
        if (is_transient(err->cls)) {
            worker->history.poison_failures = 0;
        }
        return false;
    }
    int64_t size = pacer_size(pacing_of(worker));
    int64_t duration_us = clock_mono_us() - begun_us - result.slept_us;
    return take_batch(worker, &result, size, duration_us, err);
}

/* By a unique index, or by an exclusion constraint. */
static bool
is_taken(const Err *err)
{
    return strcmp(err->sqlstate, SQLSTATE_UNIQUE) == 0 ||
           strcmp(err->sqlstate, SQLSTATE_EXCLUSION) == 0;
}

/* A unique value is taken, perhaps by a row that was copied before the application wrote it: leave
 * the rows that it has written to the drain. */
static bool
may_go_around(const Worker *worker, const Err *cause)
{
    const Plan *plan = worker->engine->setup.plan;
    return plan->copy != NULL && plan->sync_trigger && worker->job.pass_kind == PASS_MOVE &&
           is_taken(cause);
}

static bool
go_around(Worker *worker, Err *err)
{
    int64_t size = pacer_size(pacing_of(worker));
    int64_t begun_us = clock_mono_us();
    CarryResult result;
    if (!carrier_of(worker)->batch(worker, size, true, &result, err) ||
        !take_batch(worker, &result, size, clock_mono_us() - begun_us, err)) {
        return false;
    }
    bool often = worker->engine->setup.plan->path == PATH_BLOCK;
    worker->batches_around = often ? AROUND_BATCHES : 0;
    return true;
}

/* At the floor: set the row aside, or look for it.  None found means that the reason has gone. */
static bool
locate_poison(Worker *worker, const Err *cause, Err *err)
{
    Pacer *pacer = pacing_of(worker);
    if (may_go_around(worker, cause)) {
        if (go_around(worker, err)) {
            return true;
        }
        if (!is_taken(err)) {
            return false;
        }
        *err = ERR_INIT; /* a row that is not ours is in the way: which one? */
    }
    bool restores = worker->engine->setup.plan->restore != NULL; /* whole frames */
    if (!restores && !pacer_is_at_floor(pacer)) {
        pacer_halve(pacer);
        return true;
    }
    bool moves = worker->job.pass_kind == PASS_MOVE;
    if (!moves && worker->engine->setup.plan->copy != NULL) {
        (void)carry_refused(cause->sqlstate, err);
        return err_hint(
            err, "A row was changed since it was copied, so that its expression fails.");
    }
    if (worker->history.poison_failures > POISON_FAILURES_MAX) {
        (void)carry_refused(cause->sqlstate, err);
        return err_hint(err, "No single row is to blame; a constraint over several rows may be.");
    }
    return worker->settings.on_error == ON_ERROR_QUARANTINE
               ? isolate_poison(worker, err)
               : carrier_of(worker)->locate(worker, pacer_size(pacer), err);
}

static bool
act(Worker *worker, RetryAction action, const Err *cause, Err *err)
{
    switch (action) {
    case RETRY_HALVE:
        pacer_halve(pacing_of(worker));
        return true;
    case RETRY_RECONNECT:
        worker_drop_session(worker);
        return worker_may_reconnect(worker, cause, err);
    case RETRY_LOCATE:
        return locate_poison(worker, cause, err);
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
handle_failure(Worker *worker, const Err *cause, Err *err)
{
    if (strcmp(cause->sqlstate, SQLSTATE_DRIFT_FILE) == 0) {
        log_line(LOG_WARNING, worker->name, "%s", cause->message);
        return restart_pass(worker, err);
    }
    worker_count_failure(worker, cause);
    worker->history.at_floor = pacer_is_at_floor(pacing_of(worker));
    retry_record(&worker->history, cause->cls);
    RetryDecision decision = retry_decide(cause, &worker->history);
    if (cause->cls == ERR_RESOURCE || cause->cls == ERR_SLOTS) {
        note(worker, cause->message);
        log_line(LOG_WARNING, worker->name, "%s; waiting", cause->message);
    }
    if (!act(worker, decision.action, cause, err)) {
        return false;
    }
    int64_t wait_us = backoff_next_us(&worker->backoff, decision.wait, &worker->prng);
    if (wait_us > 0) {
        (void)stop_sleep_us(&worker->engine->stop, wait_us);
    }
    return true;
}

/* ---- the loop ---- */

static void
give_back_range(Worker *worker)
{
    if (!worker->has_lease || worker->conn == NULL || !conn_is_idle(worker->conn)) {
        return;
    }
    Err err = ERR_INIT;
    RangeOwner owner = carve_owner(worker, worker->lease.pass);
    if (ranges_release(worker->conn, &owner, &worker->lease, &err)) {
        worker->has_lease = false;
    } else {
        log_line(LOG_DEBUG, worker->name, "%s", err.message); /* the lease runs out by itself */
    }
}

/* There are fewer workers now than this one's number: wait without range and session until there
 * are more again, or the others have finished. */
static void
park(Worker *worker)
{
    give_back_range(worker);
    if (worker->conn != NULL) {
        worker_drop_session(worker);
    }
    set_busy(worker, false);
    (void)stop_sleep_us(&worker->engine->stop, IDLE_SLEEP_US);
}

/* One step forward; *finished when the job has no work left. */
static bool
worker_step(Worker *worker, bool *finished, Err *err)
{
    Engine *engine = worker->engine;
    pacing_follow(worker);
    if (worker->index >= worker->settings.workers) {
        park(worker);
        *finished = engine_is_finished(engine);
        return true;
    }
    /* Before the monitor has looked, the number of workers may still change. */
    if (worker->conn == NULL && engine_is_judged(engine)) {
        return worker_open_session(worker, err);
    }
    if (worker->conn == NULL || !engine_may_work(engine)) {
        set_busy(worker, false);
        (void)stop_sleep_us(&engine->stop, GATE_SLEEP_US);
        return true;
    }
    if (waits_for_drain(worker)) {
        set_busy(worker, false);
        (void)stop_sleep_us(&engine->stop, IDLE_SLEEP_US);
        return true;
    }
    if (!worker->has_lease) {
        return get_range(worker, finished, err);
    }
    return run_batch(worker, err);
}

/* A column that was renamed fails in the statement that uses it, before the guards are looked at:
 * one reason for all of it. */
static void
explain_drift(Worker *worker, Err *cause)
{
    bool may_be = cause->cls == ERR_DRIFT || cause->cls == ERR_FATAL || cause->cls == ERR_POISON ||
                  cause->cls == ERR_TIMEOUT;
    if (may_be && worker->conn != NULL && conn_is_idle(worker->conn)) {
        source_guards_explain(
            worker->conn, worker->source, worker->engine->setup.plan, &worker->job, cause);
    }
}

/* Deal with a failure, and with those met while dealing with it; false when the run ends. */
static bool
recover(Worker *worker, Err cause)
{
    Err failure = ERR_INIT;
    while (!handle_failure(worker, &cause, &failure)) {
        bool again = is_transient(failure.cls) && stop_level(&worker->engine->stop) == STOP_NONE;
        if (!again) {
            engine_fail(worker->engine, &failure);
            return false;
        }
        cause = failure;
        failure = ERR_INIT;
    }
    return true;
}

static void
work(Worker *worker)
{
    bool finished = false;
    while (!finished && stop_level(&worker->engine->stop) == STOP_NONE) {
        Err cause = ERR_INIT;
        if (worker_step(worker, &finished, &cause)) {
            continue;
        }
        explain_drift(worker, &cause);
        if (!recover(worker, cause)) {
            return;
        }
    }
}

void *
worker_main(void *arg)
{
    Worker *worker = arg;
    Engine *engine = worker->engine;
    pacing_init(worker);
    work(worker);
    give_back_range(worker);
    archiver_end(worker);
    if (worker->conn != NULL) {
        worker_drop_session(worker);
    }
    set_busy(worker, false);
    arena_reset(&worker->job_arena);
    arena_reset(&worker->lease_arena);
    strbuf_free(&worker->watermark);

    (void)pthread_mutex_lock(&engine->lock);
    engine->workers_alive--;
    (void)pthread_mutex_unlock(&engine->lock);
    return NULL;
}
