/*
 * drain_slices.c - which slices of the change log this run drains: as many as each run that is
 * alive.
 */
#include "base/log.h"
#include "engine/carve.h"
#include "engine/drain.h"

void
drain_forget_slice(Drain *drain, int index)
{
    drain->held.slices[index] = drain->held.slices[--drain->held.count];
}

/* As many for each run that is alive. */
static int
share_of_slices(Drain *drain)
{
    Engine *engine = drain->engine;
    (void)pthread_mutex_lock(&engine->lock);
    int runs = 1 + engine->progress.other_runs;
    (void)pthread_mutex_unlock(&engine->lock);
    return (LOG_SLICES + runs - 1) / runs;
}

bool
drain_balance_slices(Drain *drain, Err *err)
{
    int share = share_of_slices(drain);
    if (drain->held.count > share) {
        SliceLease *last = &drain->held.slices[drain->held.count - 1];
        drain->held.count--;
        return changelog_release(drain->worker->conn, last, err);
    }
    bool claimed = true;
    while (claimed && drain->held.count < share) {
        RangeOwner owner = carve_owner(drain->worker, 0);
        if (!changelog_claim(drain->worker->conn, &owner, &drain->held, &claimed, err)) {
            return false;
        }
    }
    return true;
}

void
drain_release_slices(Drain *drain)
{
    Err err = ERR_INIT;
    PgConn *conn = drain->worker->conn;
    while (drain->held.count > 0 && conn != NULL && conn_is_idle(conn) &&
           changelog_release(conn, &drain->held.slices[drain->held.count - 1], &err)) {
        drain->held.count--;
    }
    if (err.cls != ERR_NONE) {
        log_line(LOG_DEBUG, "drain", "%s", err.message); /* whoever comes next takes them over */
    }
}
