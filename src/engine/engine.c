/*
 * engine.c - start the threads of a run, wait, put together what they did.
 *
 * Properties.  Rows and checkpoint commit together (the batch function), so no order of failures
 * among threads, processes and servers loses or repeats a row.  The first error ends the run; a
 * signal ends it after the batches in flight.  Nothing here is needed for correctness: a run may
 * be killed at any instant.
 *
 * Operation.  N workers pull ranges from the database and move them batch by batch; one monitor
 * measures, reads what people want of the job, and opens or closes the throttle; one thread
 * vacuums, or drains the change log of a copy; the calling thread takes signals, starts more
 * workers when more are wanted, and hands progress to its observer.
 *
 * Safety.  A session is used by its own thread only; the monitor may cancel a batch in flight,
 * under the worker's lock.  Shared are the stop token, the verdict and the counters, each under
 * its lock; lock order is Engine.lock, then
 * Worker.lock; Engine.vacuum_lock is taken alone.
 */
#include "engine/engine.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/format.h"
#include "engine/engine_state.h"

/* ---- shared state ---- */

void
engine_fail(Engine *engine, const Err *err)
{
    (void)pthread_mutex_lock(&engine->lock);
    bool leaves_work = !engine->tidying || (err->cls != ERR_STOPPED && err->cls != ERR_LIMIT);
    if (engine->first_error.cls == ERR_NONE && leaves_work) {
        engine->first_error = *err;
    }
    (void)pthread_mutex_unlock(&engine->lock);
    stop_request(&engine->stop, STOP_DRAIN);
}

bool
engine_may_work(Engine *engine)
{
    (void)pthread_mutex_lock(&engine->lock);
    bool open = engine->verdict_known && !engine->progress.verdict.pause;
    (void)pthread_mutex_unlock(&engine->lock);
    return open;
}

bool
engine_is_judged(Engine *engine)
{
    (void)pthread_mutex_lock(&engine->lock);
    bool judged = engine->verdict_known;
    (void)pthread_mutex_unlock(&engine->lock);
    return judged;
}

void
engine_finish(Engine *engine)
{
    (void)pthread_mutex_lock(&engine->lock);
    engine->finished = true;
    (void)pthread_mutex_unlock(&engine->lock);
}

bool
engine_is_finished(Engine *engine)
{
    (void)pthread_mutex_lock(&engine->lock);
    bool finished = engine->finished;
    (void)pthread_mutex_unlock(&engine->lock);
    return finished;
}

int
engine_workers_started(Engine *engine)
{
    (void)pthread_mutex_lock(&engine->lock);
    int started = engine->workers_started;
    (void)pthread_mutex_unlock(&engine->lock);
    return started;
}

Settings
engine_settings(Engine *engine)
{
    (void)pthread_mutex_lock(&engine->lock);
    Settings settings = engine->settings;
    (void)pthread_mutex_unlock(&engine->lock);
    return settings;
}

Worker *
engine_worker(Engine *engine, int index)
{
    bool drains = engine->setup.plan->copy != NULL;
    if (drains && index == 0) {
        return &engine->workers[ENGINE_WORKERS_MAX];
    }
    index -= drains ? 1 : 0;
    return index < engine_workers_started(engine) ? &engine->workers[index] : NULL;
}

void
engine_set_drained(Engine *engine, int pass)
{
    (void)pthread_mutex_lock(&engine->lock);
    engine->drained_pass = pass;
    (void)pthread_mutex_unlock(&engine->lock);
}

bool
engine_is_drained(Engine *engine, int pass)
{
    (void)pthread_mutex_lock(&engine->lock);
    bool drained = engine->drained_pass == pass;
    (void)pthread_mutex_unlock(&engine->lock);
    return drained;
}

static void
add_worker(Worker *worker, Progress *progress)
{
    (void)pthread_mutex_lock(&worker->lock);
    const WorkerCounters *counters = &worker->counters;
    progress->run_rows += counters->rows;
    progress->batches += counters->batches;
    if (counters->batch_us > progress->batch_us) {
        progress->batch_us = counters->batch_us;
    }
    progress->lock_retries += counters->lock_retries;
    progress->cancels += counters->cancels;
    progress->errors += counters->errors;
    progress->archived_bytes += counters->archived_bytes;
    progress->archived_raw_bytes += counters->archived_raw_bytes;
    if (counters->busy) {
        progress->workers_busy++;
        progress->batch_rows += (int64_t)counters->batch_rows;
        progress->batch_ms += counters->batch_ms;
    }
    (void)pthread_mutex_unlock(&worker->lock);
}

void
engine_snapshot(Engine *engine, Progress *progress)
{
    (void)pthread_mutex_lock(&engine->lock);
    *progress = engine->progress;
    progress->workers = engine->settings.workers;
    progress->in_sync = engine->in_sync;
    (void)pthread_mutex_unlock(&engine->lock);
    progress->elapsed_us = clock_mono_us() - engine->started_us;
    Worker *worker = NULL;
    for (int i = 0; (worker = engine_worker(engine, i)) != NULL; i++) {
        add_worker(worker, progress);
    }
    if (progress->workers_busy > 0) {
        progress->batch_rows /= progress->workers_busy;
        progress->batch_ms /= progress->workers_busy;
    }
}

/* ---- threads ---- */

static void
start_thread(pthread_t *thread, void *(*start)(void *), void *arg)
{
    int rc = pthread_create(thread, NULL, start, arg);
    if (rc != 0) {
        (void)fputs("pghaul: cannot start a thread\n", stderr);
        abort(); /* no work was begun that the database would not know how to take up */
    }
}

/* The engine watches signals, locks and limits until whoever has entered has left. */
static void
enter(Engine *engine)
{
    (void)pthread_mutex_lock(&engine->lock);
    engine->workers_alive++;
    (void)pthread_mutex_unlock(&engine->lock);
}

static Worker *
init_worker(Engine *engine, int index)
{
    Worker *worker = &engine->workers[index];
    worker->engine = engine;
    worker->index = index;
    prng_init(&worker->prng, engine->setup.seed + (uint64_t)index);
    int rc = pthread_mutex_init(&worker->lock, NULL);
    assert(rc == 0);
    (void)rc;
    enter(engine);
    return worker;
}

static void
start_worker(Engine *engine, int index)
{
    Worker *worker = init_worker(engine, index);
    (void)snprintf(worker->name, sizeof(worker->name), "w%02d", (index + 1) % 100);
    (void)pthread_mutex_lock(&engine->lock);
    engine->workers_started++;
    (void)pthread_mutex_unlock(&engine->lock);
    start_thread(&worker->thread, worker_main, worker);
}

static void
start_drain(Engine *engine)
{
    Worker *worker = init_worker(engine, ENGINE_WORKERS_MAX);
    (void)snprintf(worker->name, sizeof(worker->name), "drain");
    start_thread(&worker->thread, drain_main, worker);
}

/* As many threads as there are to be workers; those that are too many wait by themselves. */
static void
start_workers(Engine *engine)
{
    (void)pthread_mutex_lock(&engine->lock);
    int started = engine->workers_started;
    int wanted = engine->finished ? started : engine->settings.workers;
    (void)pthread_mutex_unlock(&engine->lock);
    for (int i = started; i < wanted && stop_level(&engine->stop) == STOP_NONE; i++) {
        start_worker(engine, i);
    }
}

static void
start_threads(Engine *engine)
{
    if (engine->setup.plan->copy != NULL) {
        start_drain(engine);
    }
    start_workers(engine);
    start_thread(&engine->monitor, monitor_main, engine);
    if (engine->setup.plan->vacuum) {
        enter(engine);
        start_thread(&engine->vacuumer, vacuumer_main, engine);
    }
    if (engine->setup.build_index != NULL) {
        start_thread(&engine->indexer, indexer_main, engine);
    }
}

static void
join_threads(Engine *engine)
{
    Worker *worker = NULL;
    for (int i = 0; (worker = engine_worker(engine, i)) != NULL; i++) {
        (void)pthread_join(worker->thread, NULL);
    }
    if (engine->setup.plan->vacuum) {
        (void)pthread_join(engine->vacuumer, NULL);
    }
    (void)pthread_join(engine->monitor, NULL);
    stop_request(&engine->stop, STOP_DRAIN); /* the indexer has no other sign of the end */
    if (engine->setup.build_index != NULL) {
        (void)pthread_join(engine->indexer, NULL);
    }
}

/* After the last snapshot, which takes these locks too. */
static void
destroy_locks(Engine *engine)
{
    Worker *worker = NULL;
    for (int i = 0; (worker = engine_worker(engine, i)) != NULL; i++) {
        (void)pthread_mutex_destroy(&worker->lock);
    }
    stop_destroy(&engine->stop);
    (void)pthread_mutex_destroy(&engine->lock);
}

/* ---- the calling thread ---- */

static void
cancel_batches(Engine *engine)
{
    Worker *worker = NULL;
    for (int i = 0; (worker = engine_worker(engine, i)) != NULL; i++) {
        (void)pthread_mutex_lock(&worker->lock);
        if (worker->cancellable != NULL) {
            conn_cancel(worker->cancellable);
        }
        if (worker->source_cancellable != NULL) {
            conn_cancel(worker->source_cancellable);
        }
        (void)pthread_mutex_unlock(&worker->lock);
    }
}

static void
take_signal(Engine *engine, bool *second_signal)
{
    if (stop_level(&engine->stop) == STOP_NONE) {
        log_line(LOG_INFO, NULL, "finishing the batches in flight; once more to cancel them");
        Err stopped = ERR_INIT;
        (void)err_set(&stopped, ERR_STOPPED, "stopped by a signal with work left");
        engine_fail(engine, &stopped);
        return;
    }
    *second_signal = true;
    stop_request(&engine->stop, STOP_CANCEL);
    cancel_batches(engine);
}

static void
check_limits(Engine *engine, const Progress *progress)
{
    const EngineSetup *setup = &engine->setup;
    LimitSpec limits = engine_settings(engine).limits;
    bool quota = limits.rows > 0 && progress->run_rows >= limits.rows;
    Err err = ERR_INIT;
    if (limits.runtime_us > 0 && progress->elapsed_us > limits.runtime_us) {
        (void)err_set(&err, ERR_LIMIT, "limits.runtime is reached with work left");
    } else if (quota && setup->plan->purge != NULL) {
        char rows[FORMAT_SIZE];
        (void)err_set(&err, ERR_STOPPED,
            "the quota of %s rows (limits.rows) is used up with work left",
            format_count(limits.rows, rows));
    } else if (quota) {
        (void)err_set(&err, ERR_LIMIT, "limits.rows is reached with work left");
    } else if (setup->max_runtime_us > 0 && progress->elapsed_us > setup->max_runtime_us) {
        (void)err_set(&err, ERR_STOPPED, "--max-runtime is reached with work left");
    } else {
        return;
    }
    engine_fail(engine, &err);
}

static bool
workers_are_alive(Engine *engine)
{
    (void)pthread_mutex_lock(&engine->lock);
    bool alive = engine->workers_alive > 0;
    (void)pthread_mutex_unlock(&engine->lock);
    return alive;
}

static void
watch(Engine *engine, bool *second_signal)
{
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGHUP);
    const struct timespec tick = {.tv_nsec = (long)ENGINE_POLL_US * 1000};
    int64_t observed_us = 0;
    while (workers_are_alive(engine)) {
        if (sigtimedwait(&signals, NULL, &tick) > 0) {
            take_signal(engine, second_signal);
        }
        start_workers(engine);
        int64_t now_us = clock_mono_us();
        if (now_us - observed_us < ENGINE_TICK_US) {
            continue;
        }
        observed_us = now_us;
        Progress progress;
        engine_snapshot(engine, &progress);
        check_limits(engine, &progress);
        if (engine->setup.observe != NULL) {
            engine->setup.observe(engine->setup.observe_arg, &progress);
        }
    }
}

/* To be stopped is the end of a run that follows; it has left nothing when it was caught up. */
static bool
ended_well(const Engine *engine)
{
    ErrClass cls = engine->first_error.cls;
    return cls == ERR_NONE || (cls == ERR_STOPPED && engine->setup.follow && engine->in_sync);
}

bool
engine_run(const EngineSetup *setup, Progress *final, bool *second_signal, Err *err)
{
    Engine engine = {.setup = *setup, .started_us = clock_mono_us()};
    engine.workers = mem_new((ENGINE_WORKERS_MAX + 1) * sizeof(Worker));
    engine.settings = settings_of_spec(setup->plan->spec);
    engine.settings.workers = setup->workers;
    engine.stripes = setup->plan->stripes;
    engine.progress.stripes = setup->plan->stripes;
    engine.progress.hot_ratio = -1;
    engine.progress.eta_s = -1;
    engine.progress.backlog_rows = setup->plan->copy != NULL && setup->plan->sync_trigger ? 0 : -1;
    int rc = pthread_mutex_init(&engine.lock, NULL);
    assert(rc == 0);
    rc = pthread_mutex_init(&engine.vacuum_lock, NULL);
    assert(rc == 0);
    (void)rc;
    stop_init(&engine.stop);

    *second_signal = false;
    start_threads(&engine);
    watch(&engine, second_signal);
    join_threads(&engine);
    engine_snapshot(&engine, final);

    bool ok = ended_well(&engine);
    if (ok) {
        final->share = 1.0;
    } else {
        *err = engine.first_error;
    }
    destroy_locks(&engine);
    free(engine.workers);
    return ok;
}
