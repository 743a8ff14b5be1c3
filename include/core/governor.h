/*
 * governor.h - may the move go on right now, and if not, why.
 *
 * A pure state machine fed with samples of the server (core/signals.h).  It fails closed: no
 * sample, an old sample, a standby that is gone or cannot be read all mean pause.  A pause ends
 * only when the signal is clearly better than its limit, so that the verdict does not flap.
 *
 * The reason of a pause is put into words here and nowhere else: terminal, JSON, status and the
 * event table print the text of the verdict.
 *
 * Threads: one owner, the monitor; it hands the verdict to others as a value.
 */
#ifndef CORE_GOVERNOR_H
#define CORE_GOVERNOR_H

#include <stdbool.h>
#include <stdint.h>

#include "core/jobspec.h"
#include "core/lagring.h"
#include "core/signals.h"

/* Room for two names of PostgreSQL at their longest, quoted, and the words around them. */
#define VERDICT_REASON_SIZE 400

/* A sample older than this is no evidence any more. */
#define SAMPLE_AGE_MAX_US ((int64_t)5 * 1000000)

typedef struct Verdict {
    bool pause;
    SignalId reason_code;             /* SIGNAL_NONE when not paused */
    char reason[VERDICT_REASON_SIZE]; /* with the measured value; "" when not paused */
    int64_t since_us;                 /* when `pause` took its present value */
} Verdict;

/* All borrowed for the life of the governor, but for `throttle`, which is copied. */
typedef struct GovernorSetup {
    const ThrottleSpec *throttle; /* its standby list is not looked at; a limit of 0 is off */
    const char *table;            /* for messages: "shop.orders" */
    const char *role;             /* whom the GRANT would help */
    NameList standbys;            /* that must keep up; a name may occur more than once */
    bool allow_blind_lag;         /* a standby whose position cannot be read is left out */
} GovernorSetup;

typedef struct Governor {
    GovernorSetup setup;
    ThrottleSpec throttle;
    LagRing ring;
    int64_t decided_us; /* last call of governor_decide() */
    int64_t sampled_us; /* of the newest sample in the ring */
    bool holds_lag;     /* paused for lag until it is below 70 % of the limit */
    bool holds_lag_bytes;
    bool holds_waiters;
    int64_t calm_since_us; /* first sample below lock_waiters in a row; -1 = none */
    int64_t paused_us[SIGNAL_COUNT];
    Verdict verdict; /* the last one */
} Governor;

void governor_init(Governor *governor, const GovernorSetup *setup, int64_t now_us);

/* The job's settings were changed while it runs. */
void governor_set_throttle(Governor *governor, const ThrottleSpec *throttle);

/*
 * Judge the latest sample at `now_us`.
 *
 * Shape:   `signals` is the last sample that arrived, also when newer probes failed; the caller
 *          may pass the same one many times.
 * Owner:   the verdict is valid until the next call; copy it to keep it.
 *
 * When several guards are tripped the reason is the first of: paused by a person, probe, lock
 * waiters, a standby that is gone, one that cannot be read, lag in seconds, lag in bytes; of
 * several standbys the worst. Standbys that are connected but not expected are left out; of more
 * than expected with one name the most advanced count, since a broken session may be listed until
 * its timeout.
 */
const Verdict *governor_decide(Governor *governor, const Signals *signals, int64_t now_us);

/* Time spent paused for this reason, up to the last decision. */
int64_t governor_paused_us(const Governor *governor, SignalId reason_code);

/* The same over all reasons. */
int64_t governor_paused_total_us(const Governor *governor);

#endif
