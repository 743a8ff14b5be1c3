/*
 * monitor.c - one thread with one session that watches the server and the run.
 *
 * Every 100 ms it looks for sessions that wait for locks, and cancels a batch of ours that one of
 * them has waited for too long.  Every 250 ms it reads what people want of the job and judges the
 * throttle; every second it sends the heartbeat and reads how far all runs have come.  When it
 * cannot reach the server, the last sample grows old and the governor closes the throttle.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/eta.h"
#include "core/hotness.h"
#include "engine/engine_state.h"
#include "engine/steer.h"
#include "pg/probe.h"
#include "store/index_build.h"
#include "store/run.h"

#define TICK_US            100000
#define NAP_US             10000
#define JUDGE_EVERY_US     250000
#define BEAT_EVERY_US      1000000
#define HOT_EVERY_US       2000000
#define SAMPLE_EVERY_US    10000000
#define SOURCE_EVERY_US    1000000 /* tries to connect to it again */
#define CONNECT_TIMEOUT_US ((int64_t)2 * 1000000)
/* A batch that somebody has waited for this share of yield_after is cancelled. */
#define OVERDUE_DIVISOR 4
/* The VACUUM after a purge is ended when the throttle has been closed for so long. */
#define VACUUM_PATIENCE_US ((int64_t)5 * 1000000)
/* A snapshot of at least this age may be why dead row versions stay. */
#define SNAPSHOT_AGE_S 2

typedef struct Monitor {
    Engine *engine;
    PgConn *conn;
    PgConn *source; /* of a copy from another database */
    int64_t source_tried_us;
    bool source_reported;
    Arena lock_arena;   /* reset at each look at the locks */
    Arena signal_arena; /* reset at each look at replication */
    Governor governor;
    Signals signals;
    Eta eta;
    int eta_pass;
    int64_t judged_us;
    int64_t beat_us;
    int64_t hot_us;
    int64_t sampled_us;
    int64_t open_us; /* when the throttle was last open */
    Hotness hotness;
    int *pids; /* of the backends of workers, drain and vacuum */
    Steer steer;
    bool was_paused;
    bool was_building;
    const char *last_event; /* "throttled", "paused" or "going on"; static storage */
    bool connection_reported;
} Monitor;

/* ---- locks ---- */

/* One of the servers of the job: where its target is, or a source elsewhere. */
typedef struct LockSide {
    PgConn *conn;
    uint32_t table_oid;
    bool is_source;
} LockSide;

static int
collect_pids(Monitor *monitor, bool at_source)
{
    Engine *engine = monitor->engine;
    int count = 0;
    Worker *worker = NULL;
    for (int i = 0; (worker = engine_worker(engine, i)) != NULL; i++) {
        (void)pthread_mutex_lock(&worker->lock);
        int pid = at_source ? worker->source_pid : worker->backend_pid;
        if (pid != 0) {
            monitor->pids[count++] = pid;
        }
        (void)pthread_mutex_unlock(&worker->lock);
    }
    int vacuum_pid = at_source ? 0 : engine_vacuum_pid(engine);
    if (vacuum_pid != 0) {
        monitor->pids[count++] = vacuum_pid;
    }
    return count;
}

/* The only call across threads: the worker's session stays open while its lock is held. */
static void
cancel_batch(Engine *engine, int pid, bool at_source)
{
    Worker *worker = NULL;
    for (int i = 0; (worker = engine_worker(engine, i)) != NULL; i++) {
        (void)pthread_mutex_lock(&worker->lock);
        PgConn *conn = at_source ? worker->source_cancellable : worker->cancellable;
        if (conn != NULL && pid == (at_source ? worker->source_pid : worker->backend_pid)) {
            worker->cancelled_for_app = true;
            conn_cancel(conn);
        }
        (void)pthread_mutex_unlock(&worker->lock);
    }
}

/* Adds to the signals. */
static bool
watch_side(Monitor *monitor, const LockSide *side, Err *err)
{
    Engine *engine = monitor->engine;
    arena_reset(&monitor->lock_arena);
    LockQuestion question = {
        .table_oid = side->table_oid,
        .ours = monitor->pids,
        .our_count = collect_pids(monitor, side->is_source),
        .overdue_us = engine_settings(engine).throttle.yield_after_us / OVERDUE_DIVISOR,
    };
    LockSignals locks;
    if (!probe_locks(side->conn, &question, &monitor->lock_arena, &locks, err)) {
        return false;
    }
    for (int i = 0; i < locks.overdue_count; i++) {
        cancel_batch(engine, locks.overdue_pids[i], side->is_source);
        if (!side->is_source) {
            engine_cancel_vacuum(engine, locks.overdue_pids[i]);
        }
    }
    monitor->signals.lock_waiters += locks.table_waiters;
    monitor->signals.blocked_by_us += locks.blocked_by_us;
    return true;
}

static bool
open_conn(const Monitor *monitor, const ConnTarget *target, PgConn **conn, Err *err)
{
    char label[48];
    (void)snprintf(label, sizeof(label), "%s/monitor", monitor->engine->setup.plan->spec->job);
    return conn_open(target, CONN_MONITOR, label, CONNECT_TIMEOUT_US, conn, err);
}

static bool
open_source(Monitor *monitor, Err *err)
{
    int64_t now_us = clock_mono_us();
    if (monitor->source == NULL && now_us - monitor->source_tried_us < SOURCE_EVERY_US) {
        return err_set(err, ERR_RECONNECT, "no session to the source");
    }
    monitor->source_tried_us = now_us;
    return monitor->source != NULL ||
           open_conn(monitor, monitor->engine->setup.source, &monitor->source, err);
}

/* The source may be away while the target is not: what is known of that goes on being told.  The
 * throttle closes. */
static void
watch_source(Monitor *monitor)
{
    const EngineSetup *setup = &monitor->engine->setup;
    if (setup->source == NULL) {
        return;
    }
    Err err = ERR_INIT;
    LockSide side = {.table_oid = setup->plan->facts->table.oid, .is_source = true};
    bool ok = open_source(monitor, &err);
    side.conn = monitor->source;
    if (ok && watch_side(monitor, &side, &err)) {
        monitor->source_reported = false;
        return;
    }
    monitor->signals.waiters_known = false;
    conn_close(monitor->source);
    monitor->source = NULL;
    if (!monitor->source_reported) {
        monitor->source_reported = true;
        log_line(LOG_WARNING, "monitor", "source: %s", err.message);
    }
}

static bool
watch_locks(Monitor *monitor, Err *err)
{
    const EngineSetup *setup = &monitor->engine->setup;
    const Plan *plan = setup->plan;
    LockSide home = {
        .conn = monitor->conn,
        .table_oid = setup->source == NULL ? plan->facts->table.oid : plan->copy->into->table.oid,
    };
    monitor->signals.lock_waiters = 0;
    monitor->signals.blocked_by_us = 0;
    if (!watch_side(monitor, &home, err)) {
        return false;
    }
    monitor->signals.waiters_known = true;
    watch_source(monitor);
    return true;
}

/* ---- throttle ---- */

static void
record_verdict(Monitor *monitor, const Verdict *verdict)
{
    const EngineSetup *setup = &monitor->engine->setup;
    const char *event = !verdict->pause                         ? "going on"
                        : verdict->reason_code == SIGNAL_PAUSED ? "paused"
                                                                : "throttled";
    monitor->was_paused = verdict->pause;
    if (strcmp(event, monitor->last_event) == 0) {
        return;
    }
    monitor->last_event = event;
    if (verdict->reason_code == SIGNAL_PAUSED) {
        log_line(LOG_INFO, "monitor", "%s", verdict->reason);
    } else {
        log_line(LOG_INFO, "monitor", "%s%s%s", event, verdict->pause ? ": " : "", verdict->reason);
    }
    Err ignored = ERR_INIT; /* without a session the reason is on the terminal and in the log */
    if (monitor->conn != NULL &&
        !job_event(monitor->conn, setup->job, setup->run, event, verdict->reason, &ignored)) {
        log_line(LOG_DEBUG, "monitor", "%s", ignored.message);
    }
}

static void
standby_progress(const Monitor *monitor, int index, int64_t now_us, StandbyProgress *progress)
{
    const StandbySignal *standby = &monitor->signals.standbys[index];
    (void)snprintf(progress->name, sizeof(progress->name), "%.63s", standby->name);
    progress->connected = standby->connected;
    progress->lag_s =
        (double)lagring_lag_us(&monitor->governor.ring, standby->replay_lsn, now_us) / 1e6;
    progress->lag_bytes = monitor->signals.primary_lsn > standby->replay_lsn
                              ? (int64_t)(monitor->signals.primary_lsn - standby->replay_lsn)
                              : 0;
}

static void
publish_verdict(Monitor *monitor, const Verdict *verdict, int64_t now_us)
{
    Engine *engine = monitor->engine;
    int count = monitor->signals.standby_count;
    if (count > PROGRESS_STANDBYS_MAX) {
        count = PROGRESS_STANDBYS_MAX;
    }
    (void)pthread_mutex_lock(&engine->lock);
    Progress *progress = &engine->progress;
    progress->verdict = *verdict;
    progress->lock_waiters = monitor->signals.lock_waiters;
    progress->standby_count = count;
    for (int i = 0; i < count; i++) {
        standby_progress(monitor, i, now_us, &progress->standbys[i]);
    }
    for (int i = 0; i < SIGNAL_COUNT; i++) {
        progress->paused_us[i] = governor_paused_us(&monitor->governor, (SignalId)i);
    }
    engine->verdict_known = true;
    (void)pthread_mutex_unlock(&engine->lock);
}

/* What else the job does can wait in the middle; a VACUUM can only be done again. */
static void
end_long_vacuum(Monitor *monitor, bool pause, int64_t now_us)
{
    Engine *engine = monitor->engine;
    if (!pause || engine->setup.plan->purge == NULL) {
        monitor->open_us = now_us;
    } else if (now_us - monitor->open_us > VACUUM_PATIENCE_US) {
        engine_cancel_vacuum(engine, engine_vacuum_pid(engine));
        monitor->open_us = now_us;
    }
}

/* Probe and ask; a failure of either is no reason not to judge. */
static bool
look(Monitor *monitor, Err *err)
{
    Err first = ERR_INIT;
    arena_reset(&monitor->signal_arena);
    monitor->signals.standbys = NULL;
    monitor->signals.standby_count = 0;
    bool steered = steer_read(&monitor->steer, monitor->conn, &first);
    bool probed = probe_replication(monitor->conn, &monitor->signal_arena, &monitor->signals, err);
    if (probed && !steered) {
        *err = first;
    }
    return steered && probed;
}

static bool
judge(Monitor *monitor, int64_t now_us, Err *err)
{
    Signals *signals = &monitor->signals;
    bool ok = monitor->conn == NULL || look(monitor, err);
    if (!monitor->steer.known) {
        signals->sampled_us = 0; /* nobody knows yet whether the job is paused */
    }
    const char *paused = strbuf_text(&monitor->steer.paused);
    signals->paused = paused[0] == '\0' ? NULL : paused;
    ThrottleSpec throttle = engine_settings(monitor->engine).throttle;
    governor_set_throttle(&monitor->governor, &throttle);
    const Verdict *verdict = governor_decide(&monitor->governor, signals, now_us);
    publish_verdict(monitor, verdict, now_us);
    record_verdict(monitor, verdict);
    end_long_vacuum(monitor, verdict->pause, now_us);
    return ok;
}

/* ---- progress ---- */

static void
publish_totals(Monitor *monitor, const JobRow *job, const RangeTotals *totals, int runs)
{
    Engine *engine = monitor->engine;
    int64_t now_us = clock_mono_us();
    if (job->pass != monitor->eta_pass) {
        monitor->eta_pass = job->pass;
        eta_init(&monitor->eta, totals->est_done, now_us);
    }
    eta_observe(&monitor->eta, totals->est_done, job->est_rows, now_us);

    (void)pthread_mutex_lock(&engine->lock);
    Progress *progress = &engine->progress;
    progress_take_totals(progress, job, totals);
    progress->share = eta_share(&monitor->eta);
    progress->rows_per_s = eta_rate(&monitor->eta);
    progress->eta_s = eta_seconds(&monitor->eta);
    progress->other_runs = runs > 0 ? runs - 1 : 0;
    (void)pthread_mutex_unlock(&engine->lock);
}

static bool
send_heartbeat(Monitor *monitor, Err *err)
{
    Progress now;
    engine_snapshot(monitor->engine, &now);
    RunBeat row = {
        .run = monitor->engine->setup.run,
        .rows = now.run_rows,
        .rows_per_s = eta_rate(&monitor->eta),
        .batch_age_us = now.batch_us == 0 ? -1 : clock_mono_us() - now.batch_us,
        .backlog_rows = now.backlog_rows,
        .backlog_s = now.backlog_s,
        .reason = monitor->was_paused ? monitor->governor.verdict.reason : NULL,
    };
    return run_heartbeat(monitor->conn, &row, err);
}

static bool
beat(Monitor *monitor, Err *err)
{
    const EngineSetup *setup = &monitor->engine->setup;
    Arena arena = ARENA_INIT;
    JobRow job;
    RangeTotals totals;
    int runs = 0;
    bool ok = send_heartbeat(monitor, err) &&
              job_read_id(monitor->conn, setup->job, &arena, &job, err) &&
              ranges_totals(monitor->conn, setup->job, job.pass, &totals, err) &&
              run_count_alive(monitor->conn, setup->job, &runs, err);
    if (ok) {
        publish_totals(monitor, &job, &totals, runs);
    }
    arena_reset(&arena);
    return ok;
}

/* Of an index that is built now, by whichever run. */
static bool
watch_build(Monitor *monitor, Err *err)
{
    Engine *engine = monitor->engine;
    char text[sizeof(engine->progress.note)];
    if (engine->setup.build_index == NULL) {
        return true;
    }
    if (!index_build_progress(monitor->conn, engine->setup.job, text, sizeof(text), err)) {
        return false;
    }
    if (text[0] != '\0' || monitor->was_building) {
        (void)pthread_mutex_lock(&engine->lock);
        (void)snprintf(engine->progress.note, sizeof(engine->progress.note), "%s", text);
        (void)pthread_mutex_unlock(&engine->lock);
    }
    monitor->was_building = text[0] != '\0';
    return true;
}

static bool
sample(Monitor *monitor, Err *err)
{
    Progress now;
    engine_snapshot(monitor->engine, &now);
    double lag_s = -1;
    for (int i = 0; i < now.standby_count; i++) {
        lag_s = now.standbys[i].lag_s > lag_s ? now.standbys[i].lag_s : lag_s;
    }
    RunSample row = {
        .job = monitor->engine->setup.job,
        .run = monitor->engine->setup.run,
        .rows = now.run_rows,
        .rows_per_s = now.rows_per_s,
        .batch_ms = now.batch_ms,
        .workers = now.workers_busy,
        .lag_s = lag_s,
        .throttled_s = (double)governor_paused_total_us(&monitor->governor) / 1e6,
        .hot_ratio = now.hot_ratio,
        .backlog_rows = now.backlog_rows,
        .backlog_s = now.backlog_s,
    };
    return run_sample(monitor->conn, &row, err);
}

/* ---- HOT share ---- */

static bool
watch_hotness(Monitor *monitor, int64_t now_us, Err *err)
{
    Engine *engine = monitor->engine;
    const EngineSetup *setup = &engine->setup;
    TableActivity activity;
    if (!probe_activity(monitor->conn, setup->plan->facts->table.oid, &activity, err)) {
        return false;
    }
    bool changed =
        hotness_observe(&monitor->hotness, activity.updated, activity.hot_updated, now_us);
    (void)pthread_mutex_lock(&engine->lock);
    engine->stripes = monitor->hotness.stripes;
    engine->progress.stripes = monitor->hotness.stripes;
    engine->progress.hot_ratio = monitor->hotness.ratio_total;
    (void)pthread_mutex_unlock(&engine->lock);
    if (!changed) {
        return true;
    }

    char oldest[160] = "";
    char text[320];
    if (!probe_oldest_snapshot(monitor->conn, SNAPSHOT_AGE_S, oldest, sizeof(oldest), err)) {
        return false;
    }
    (void)snprintf(text, sizeof(text), "%d stripe%s for new ranges: %d %% of updates were HOT%s%s",
        monitor->hotness.stripes, monitor->hotness.stripes == 1 ? "" : "s",
        (int)(monitor->hotness.ratio * 100),
        oldest[0] == '\0' ? "" : "; oldest snapshot: ", oldest);
    log_line(LOG_INFO, "monitor", "%s", text);
    return job_event(monitor->conn, setup->job, setup->run, "stripes", text, err);
}

/* ---- the loop ---- */

static bool
due(int64_t *last_us, int64_t every_us, int64_t now_us)
{
    if (now_us - *last_us < every_us) {
        return false;
    }
    *last_us = now_us;
    return true;
}

static bool
tick(Monitor *monitor, int64_t now_us, Err *err)
{
    if (monitor->conn == NULL &&
        !open_conn(monitor, monitor->engine->setup.target, &monitor->conn, err)) {
        return false;
    }
    if (!watch_locks(monitor, err)) {
        return false;
    }
    if (due(&monitor->judged_us, JUDGE_EVERY_US, now_us) && !judge(monitor, now_us, err)) {
        return false;
    }
    if (due(&monitor->beat_us, BEAT_EVERY_US, now_us) &&
        !(beat(monitor, err) && watch_build(monitor, err) &&
            steer_watch_window(monitor->engine, monitor->conn, err))) {
        return false;
    }
    bool updates = monitor->engine->setup.plan->copy == NULL;
    if (updates && due(&monitor->hot_us, HOT_EVERY_US, now_us) &&
        !watch_hotness(monitor, now_us, err)) {
        return false;
    }
    return !due(&monitor->sampled_us, SAMPLE_EVERY_US, now_us) || sample(monitor, err);
}

/* A failed probe is no reason to end the run: the sample grows old and the throttle closes. */
static void
survive(Monitor *monitor, const Err *err, int64_t now_us)
{
    if (!monitor->connection_reported) {
        log_line(LOG_WARNING, "monitor", "%s", err->message);
        monitor->connection_reported = true;
    }
    if (monitor->conn != NULL && (err->cls == ERR_RECONNECT || !conn_is_idle(monitor->conn))) {
        conn_close(monitor->conn);
        monitor->conn = NULL;
    }
    monitor->signals.waiters_known = false;
    Err ignored = ERR_INIT; /* judging without a session asks nobody */
    if (monitor->conn == NULL && !judge(monitor, now_us, &ignored)) {
        log_line(LOG_DEBUG, "monitor", "%s", ignored.message);
    }
}

static void
monitor_init(Monitor *monitor, Engine *engine)
{
    const Plan *plan = engine->setup.plan;
    int64_t now_us = clock_mono_us();
    *monitor =
        (Monitor){.engine = engine, .eta_pass = -1, .sampled_us = now_us, .last_event = "going on"};
    monitor->pids = mem_new((ENGINE_WORKERS_MAX + 2) * sizeof(int));
    steer_init(&monitor->steer, engine);
    hotness_init(&monitor->hotness, plan->stripes);
    ThrottleSpec throttle = engine_settings(engine).throttle;
    GovernorSetup setup = {
        .throttle = &throttle,
        .table = plan->facts->table.name,
        .role = plan->facts->server.role,
        .standbys = engine->setup.standbys,
        .allow_blind_lag = jobspec_allows(plan->spec, "blind-lag"),
    };
    governor_init(&monitor->governor, &setup, now_us);
}

static bool
is_alone(Engine *engine)
{
    (void)pthread_mutex_lock(&engine->lock);
    bool alone = engine->workers_alive == 0;
    (void)pthread_mutex_unlock(&engine->lock);
    return alone;
}

/* Until the next tick; the end of the run does not wait for it. */
static void
nap(Engine *engine)
{
    int64_t until_us = clock_mono_us() + TICK_US;
    while (!is_alone(engine) && clock_mono_us() < until_us) {
        clock_sleep_us(NAP_US);
    }
}

void *
monitor_main(void *arg)
{
    Engine *engine = arg;
    Monitor *monitor = mem_new(sizeof(*monitor)); /* the lag ring is large for a stack */
    monitor_init(monitor, engine);
    while (!is_alone(engine)) {
        int64_t now_us = clock_mono_us();
        Err err = ERR_INIT;
        if (tick(monitor, now_us, &err)) {
            monitor->connection_reported = false;
        } else {
            survive(monitor, &err, now_us);
        }
        nap(engine);
    }
    Err last = ERR_INIT; /* what the last batches changed; the next run needs none of it */
    if (monitor->conn != NULL && !send_heartbeat(monitor, &last)) {
        log_line(LOG_DEBUG, "monitor", "%s", last.message);
    }
    conn_close(monitor->conn);
    conn_close(monitor->source);
    arena_reset(&monitor->lock_arena);
    arena_reset(&monitor->signal_arena);
    free(monitor->pids);
    steer_destroy(&monitor->steer);
    free(monitor);
    return NULL;
}
