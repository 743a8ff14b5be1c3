/*
 * drain_floor.c - below which id the change log has nothing any more, and never will.
 *
 * While an old snapshot is open no VACUUM removes what was drained, and a search from the first
 * entry on walks over all of it, every time.  An id up to the greatest one seen belongs to a
 * transaction that has a transaction id by now; when all of those have ended (a fence), and no such
 * entry is left, nothing comes below it any more.
 *
 * A fence is of the whole cluster: a transaction that has written and stays open, in any database,
 * keeps the floor where it is.  Such a one keeps VACUUM from removing anything as well.
 *
 * The fence is taken a while after the id was seen: an INSERT into the log by a client takes its
 * id a moment before its transaction has one.
 */
#include "engine/drain_floor.h"

#include "base/clock.h"
#include "pg/probe.h"
#include "store/changelog.h"

#define STEP_EVERY_US ((int64_t)5 * 1000000)

static bool
pass_fence(DrainFloor *floor, PgConn *log, const Plan *plan, int64_t job, Err *err)
{
    LogSpan span = {.after = floor->id, .upto = floor->candidate};
    bool passed = false;
    bool empty = false;
    if (!probe_fence_passed(log, floor->xid, &passed, err) ||
        (passed && !changelog_is_drained(log, plan, job, &span, &empty, err))) {
        return false;
    }
    if (empty) {
        floor->id = floor->candidate;
        floor->candidate = 0;
        floor->xid[0] = '\0';
    }
    return true;
}

bool
drain_floor_raise(
    DrainFloor *floor, PgConn *log, const Plan *plan, int64_t job, int64_t last_id, Err *err)
{
    int64_t now_us = clock_mono_us();
    if (now_us - floor->stepped_us < STEP_EVERY_US) {
        return true;
    }
    floor->stepped_us = now_us;
    if (floor->candidate <= floor->id) {
        floor->candidate = last_id;
        return true;
    }
    if (floor->xid[0] == '\0') {
        return probe_fence_take(log, floor->xid, err);
    }
    return pass_fence(floor, log, plan, job, err);
}
