/*
 * drain_floor.c - below which id the change log has nothing any more, and never will.
 *
 * While an old snapshot is open no VACUUM removes what was drained, and a search from the first
 * entry on walks over all of it, every time.  An id up to the greatest one seen belongs to a
 * transaction that has a transaction id by now; when all of those have ended (a fence), and no such
 * entry is left, nothing comes below it any more.
 *
 * The fence is taken a while after the id was seen: an INSERT into the log by a client takes its
 * id a moment before its transaction has one.
 */
#include <string.h>

#include "base/clock.h"
#include "engine/drain.h"
#include "pg/probe.h"

#define STEP_EVERY_US ((int64_t)5 * 1000000)

static bool
pass_fence(Drain *drain, PgConn *log, Err *err)
{
    const EngineSetup *setup = &drain->engine->setup;
    LogSpan span = {.after = drain->floor.id, .upto = drain->floor.candidate};
    bool passed = false;
    bool empty = false;
    if (!probe_fence_passed(log, drain->floor.xid, &passed, err) ||
        (passed && !changelog_is_drained(log, setup->plan, setup->job, &span, &empty, err))) {
        return false;
    }
    if (empty) {
        drain->floor.id = drain->floor.candidate;
        drain->floor.candidate = 0;
        drain->floor.xid[0] = '\0';
    }
    return true;
}

bool
drain_raise_floor(Drain *drain, Err *err)
{
    PgConn *log = drain->carrier->log(drain);
    int64_t now_us = clock_mono_us();
    if (now_us - drain->floor.stepped_us < STEP_EVERY_US) {
        return true;
    }
    drain->floor.stepped_us = now_us;
    if (drain->floor.candidate <= drain->floor.id) {
        drain->floor.candidate = drain->state.last_id;
        return true;
    }
    if (drain->floor.xid[0] == '\0') {
        return probe_fence_take(log, drain->floor.xid, err);
    }
    return pass_fence(drain, log, err);
}
