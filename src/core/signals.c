#include "core/signals.h"

#include <assert.h>

static const SignalDef DEFS[SIGNAL_COUNT] = {
    [SIGNAL_NONE] = {"none", "", "", SIGNAL_ADVISORY, "Nothing pauses the move."},
    [SIGNAL_PAUSED] = {"paused", "", "", SIGNAL_GUARD,
        "Pauses from pghaul pause until pghaul resume; no run ends it."},
    [SIGNAL_PROBE] = {"probe", "s", "", SIGNAL_GUARD,
        "Pauses while the server has not answered the probe for more than 5 s."},
    [SIGNAL_LOCK_WAITERS] = {"lock_waiters", "sessions", "5", SIGNAL_GUARD,
        "Pauses while this many sessions wait for locks on the table."},
    [SIGNAL_BLOCKED_BY_US] = {"blocked_by_us", "sessions", "", SIGNAL_GUARD,
        "Never pauses: a batch that holds up a session of the application is cancelled."},
    [SIGNAL_STANDBY_CONNECTED] = {"standby_connected", "", "", SIGNAL_GUARD,
        "Pauses while a standby that must keep up is not connected."},
    [SIGNAL_STANDBY_READABLE] = {"standby_readable", "", "", SIGNAL_GUARD,
        "Pauses while the position of a standby cannot be read, unless blind-lag is allowed."},
    [SIGNAL_LAG] = {"lag", "s", "2s", SIGNAL_GUARD,
        "Pauses while a standby that must keep up is further behind than this."},
    [SIGNAL_LAG_BYTES] = {"lag_bytes", "bytes", "256MB", SIGNAL_GUARD,
        "Pauses while a standby that must keep up has this much WAL left to replay."},
};

const SignalDef *
signal_def(SignalId id)
{
    assert((int)id >= 0 && (int)id < SIGNAL_COUNT);
    return &DEFS[id];
}
