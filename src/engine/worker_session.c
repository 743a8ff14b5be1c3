#include "engine/worker_session.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/carve.h"
#include "pg/probe.h"

#define CONNECT_TIMEOUT_US ((int64_t)5 * 1000000)
/* Restarts and failovers take minutes; what takes longer needs a person. */
#define UNREACHABLE_MAX_US ((int64_t)600 * 1000000)

static void
publish_session(Worker *worker)
{
    (void)pthread_mutex_lock(&worker->lock);
    worker->backend_pid = worker->conn == NULL ? 0 : conn_backend_pid(worker->conn);
    (void)pthread_mutex_unlock(&worker->lock);
}

void
worker_drop_session(Worker *worker)
{
    PgConn *conn = worker->conn;
    worker->conn = NULL;
    publish_session(worker);
    conn_close(conn);
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

bool
worker_open_session(Worker *worker, Err *err)
{
    const EngineSetup *setup = &worker->engine->setup;
    char label[48];
    (void)snprintf(label, sizeof(label), "%s/%s", setup->plan->spec->job, worker->name);
    if (!conn_open(setup->target, CONN_WORKER, label, CONNECT_TIMEOUT_US, &worker->conn, err)) {
        if (err->cls == ERR_CONNECT) {
            err->cls = ERR_RECONNECT; /* it worked before; the server may be restarting */
        }
        return false;
    }
    publish_session(worker);
    if (!check_identity(worker, err) || !settle_range(worker, err)) {
        worker_drop_session(worker);
        return false;
    }
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
