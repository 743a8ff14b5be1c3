#include "engine/worker_session.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/sql_compare.h"
#include "core/sql_relay.h"
#include "engine/carve.h"
#include "pg/probe.h"
#include "pg/query.h"
#include "store/source.h"

#define CONNECT_TIMEOUT_US ((int64_t)5 * 1000000)
/* Restarts and failovers take minutes; what takes longer needs a person. */
#define UNREACHABLE_MAX_US ((int64_t)600 * 1000000)

static void
publish_session(Worker *worker)
{
    (void)pthread_mutex_lock(&worker->lock);
    worker->backend_pid = worker->conn == NULL ? 0 : conn_backend_pid(worker->conn);
    worker->source_pid = worker->source == NULL ? 0 : conn_backend_pid(worker->source);
    (void)pthread_mutex_unlock(&worker->lock);
}

void
worker_drop_session(Worker *worker)
{
    PgConn *conn = worker->conn;
    PgConn *source = worker->source;
    worker->conn = NULL;
    worker->source = NULL;
    publish_session(worker);
    conn_close(conn);
    conn_close(source);
}

/* Is this the server that we know, and not behind what we knew of it? (hazards R19) */
static bool
check_identity(Worker *worker, Err *err)
{
    const EngineSetup *setup = &worker->engine->setup;
    ServerIdentity identity;
    if (!probe_identity(worker->conn, &identity, err)) {
        return false;
    }
    if (strcmp(identity.system_id, setup->system_id) != 0) {
        return err_set(err, ERR_REFUSED, "the connection now leads to another server");
    }
    if (identity.in_recovery || identity.read_only) {
        return err_set(err, ERR_RECONNECT, "the server does not accept writes");
    }
    worker->timeline = identity.timeline;
    JobRow job;
    Arena arena = ARENA_INIT;
    bool ok = job_read_id(worker->conn, setup->job, &arena, &job, err);
    if (ok && identity.timeline < job.timeline) {
        ok = err_set(err, ERR_REFUSED, "the server is on timeline %lld, behind the job's %lld",
            (long long)identity.timeline, (long long)job.timeline);
        (void)err_hint(err, "An old primary may be running beside the new one.");
    } else if (ok && identity.timeline > job.timeline) {
        ok = job_set_timeline(worker->conn, setup->job, identity.timeline, err) &&
             job_event(worker->conn, setup->job, setup->run, "failover",
                 "the server is on a new timeline; the verify pass decides what is right", err);
    }
    arena_reset(&arena);
    return ok;
}

void
worker_keep_watermark(Worker *worker)
{
    const char *watermark = worker->lease.watermark;
    strbuf_clear(&worker->watermark);
    if (watermark != NULL) {
        strbuf_puts(&worker->watermark, watermark);
        worker->lease.watermark = strbuf_text(&worker->watermark);
    }
}

/* How did the last COMMIT end?  The row of the range knows. */
static bool
settle_range(Worker *worker, Err *err)
{
    if (!worker->has_lease) {
        return true;
    }
    Arena arena = ARENA_INIT;
    RangeLease lease = worker->lease;
    RangeOwner owner = carve_owner(worker, worker->lease.pass);
    bool still_ours = false;
    bool ok = ranges_reread(worker->conn, &owner, &arena, &lease, &still_ours, err);
    if (ok) {
        worker->has_lease = still_ours;
        arena_reset(&worker->lease_arena);
        worker->lease = lease;
        worker->lease_arena = arena;
        if (still_ours) {
            worker_keep_watermark(worker);
        }
    } else {
        arena_reset(&arena);
    }
    return ok;
}

static bool
open_conn(Worker *worker, const ConnTarget *target, PgConn **conn, Err *err)
{
    char label[48];
    (void)snprintf(
        label, sizeof(label), "%s/%s", worker->engine->setup.plan->spec->job, worker->name);
    if (conn_open(target, CONN_WORKER, label, CONNECT_TIMEOUT_US, conn, err)) {
        return true;
    }
    if (err->cls == ERR_CONNECT) {
        err->cls = ERR_RECONNECT; /* it worked before; the server may be restarting */
    }
    return false;
}

/* ---- the source of a copy ---- */

static bool
check_source(const Worker *worker, Err *err)
{
    Arena arena = ARENA_INIT;
    JobRow job;
    bool ok = job_read_id(worker->conn, worker->engine->setup.job, &arena, &job, err) &&
              source_check(worker->source, &job, NULL, err);
    arena_reset(&arena);
    return ok;
}

/* What the batches of both sessions rely on. */
static bool
set_up_sessions(Worker *worker, Err *err)
{
    const Plan *plan = worker->engine->setup.plan;
    STRBUF_AUTO source = STRBUF_INIT;
    STRBUF_AUTO walk = STRBUF_INIT;
    STRBUF_AUTO target = STRBUF_INIT;
    STRBUF_AUTO names = STRBUF_INIT;
    STRBUF_AUTO stage = STRBUF_INIT;
    sql_compare_settings(&source, plan, COMPARE_SOURCE);
    sql_relay_source_settings(&walk);
    sql_compare_settings(&target, plan, COMPARE_TARGET);
    sql_relay_target_settings(&names, plan);
    sql_relay_stage(&stage, plan);
    return query_run(worker->source, strbuf_text(&source), NULL, err) &&
           query_run(worker->source, strbuf_text(&walk), NULL, err) &&
           query_run(worker->conn, strbuf_text(&target), NULL, err) &&
           query_run(worker->conn, strbuf_text(&names), NULL, err) &&
           (!relay_is_staged(plan) || query_run(worker->conn, strbuf_text(&stage), NULL, err));
}

static bool
open_source(Worker *worker, Err *err)
{
    const ConnTarget *source = worker->engine->setup.source;
    return source == NULL ||
           ((open_conn(worker, source, &worker->source, err) && check_source(worker, err)) ||
               err_wrap(err, "source"));
}

bool
worker_open_session(Worker *worker, Err *err)
{
    const EngineSetup *setup = &worker->engine->setup;
    if (!open_conn(worker, setup->target, &worker->conn, err)) {
        return false;
    }
    publish_session(worker);
    bool ok = check_identity(worker, err) && open_source(worker, err) &&
              (worker->source == NULL || set_up_sessions(worker, err)) && settle_range(worker, err);
    if (!ok) {
        worker_drop_session(worker);
        return false;
    }
    publish_session(worker);
    worker->unreachable_since_us = 0;
    return true;
}

bool
worker_may_reconnect(Worker *worker, const Err *cause, Err *err)
{
    int64_t now_us = clock_mono_us();
    if (worker->unreachable_since_us == 0) {
        worker->unreachable_since_us = now_us;
        log_line(LOG_WARNING, worker->name, "%s; connecting again", cause->message);
    }
    if (now_us - worker->unreachable_since_us > UNREACHABLE_MAX_US) {
        *err = *cause;
        err->cls = ERR_CONNECT;
        return false;
    }
    return true;
}

void
worker_count_failure(Worker *worker, const Err *cause)
{
    (void)pthread_mutex_lock(&worker->lock);
    bool by_monitor = worker->cancelled_for_app;
    worker->cancelled_for_app = false;
    if (cause->cls == ERR_RETRY) {
        worker->counters.lock_retries++;
    } else if (cause->cls == ERR_TIMEOUT && by_monitor) {
        worker->counters.cancels++;
    } else {
        worker->counters.errors++;
    }
    (void)pthread_mutex_unlock(&worker->lock);
}
