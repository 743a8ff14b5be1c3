#include "core/governor.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/format.h"

/* A pause for lag ends below this share of the limit. */
#define RESUME_PERCENT 70

/* A pause for lock waiters ends after samples below the limit over this time. */
#define CALM_US ((int64_t)300 * 1000)

/* What one guard says of a sample. */
typedef struct Finding {
    SignalId reason_code; /* SIGNAL_NONE = may go on */
    char reason[VERDICT_REASON_SIZE];
} Finding;

/* The standby that is furthest behind, by either measure. */
typedef struct WorstLag {
    const char *time_name; /* NULL = none lags */
    const char *bytes_name;
    int64_t lag_us;
    int64_t lag_bytes;
} WorstLag;

static void __attribute__((format(printf, 3, 4)))
trip(Finding *finding, SignalId reason_code, const char *fmt, ...)
{
    finding->reason_code = reason_code;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(finding->reason, sizeof(finding->reason), fmt, args);
    va_end(args);
}

void
governor_init(Governor *governor, const GovernorSetup *setup, int64_t now_us)
{
    *governor = (Governor){
        .setup = *setup,
        .throttle = *setup->throttle,
        .decided_us = now_us,
        .calm_since_us = -1,
        .verdict = {.since_us = now_us},
    };
    governor->setup.throttle = NULL; /* only the copy is used */
    lagring_init(&governor->ring);
}

void
governor_set_throttle(Governor *governor, const ThrottleSpec *throttle)
{
    governor->throttle = *throttle;
}

static bool
check_probe(Governor *governor, const Signals *signals, int64_t now_us, Finding *finding)
{
    if (signals->sampled_us == 0) {
        trip(finding, SIGNAL_PROBE, "the server has not answered the probe yet");
    } else if (now_us - signals->sampled_us > SAMPLE_AGE_MAX_US) {
        trip(finding, SIGNAL_PROBE, "the server has not answered the probe for %lld s",
            (long long)((now_us - signals->sampled_us) / 1000000));
    } else {
        return true;
    }
    governor->calm_since_us = -1; /* calm has to be seen again */
    return false;
}

static void
trip_waiters(const Governor *governor, const Signals *signals, Finding *finding)
{
    const char *table = governor->setup.table;
    int limit = governor->throttle.lock_waiters;
    int waiters = signals->lock_waiters;
    if (!signals->waiters_known) {
        trip(finding, SIGNAL_LOCK_WAITERS, "it cannot be read who waits for locks on %s", table);
    } else {
        trip(finding, SIGNAL_LOCK_WAITERS, "%d %s for locks on %s (limit %d%s)", waiters,
            waiters == 1 ? "session waits" : "sessions wait", table, limit,
            waiters < limit ? ", resumes after 300 ms below it" : "");
    }
}

static void
check_waiters(Governor *governor, const Signals *signals, Finding *finding)
{
    int limit = governor->throttle.lock_waiters;
    if (limit <= 0) {
        governor->holds_waiters = false;
        return;
    }
    if (!signals->waiters_known || signals->lock_waiters >= limit) {
        governor->holds_waiters = true;
        governor->calm_since_us = -1;
    } else if (governor->calm_since_us < 0) {
        governor->calm_since_us = signals->sampled_us;
    }
    if (governor->calm_since_us >= 0 && signals->sampled_us - governor->calm_since_us >= CALM_US) {
        governor->holds_waiters = false;
    }

    if (governor->holds_waiters) {
        trip_waiters(governor, signals, finding);
    }
}

/* How many of the first `count` expected names are `name`. */
static int
times_expected(const NameList *standbys, const char *name, int count)
{
    int times = 0;
    for (int i = 0; i < count; i++) {
        times += strcmp(standbys->names[i], name) == 0 ? 1 : 0;
    }
    return times;
}

/* How many connected standbys of the same name are ahead of this one. */
static int
rank_of(const Signals *signals, const StandbySignal *standby)
{
    int rank = 0;
    for (const StandbySignal *other = signals->standbys;
         other < signals->standbys + signals->standby_count; other++) {
        bool ahead = other->replay_lsn > standby->replay_lsn ||
                     (other->replay_lsn == standby->replay_lsn && other < standby);
        rank += ahead && other->connected && strcmp(other->name, standby->name) == 0 ? 1 : 0;
    }
    return rank;
}

/* The connected standby of this name and rank, NULL when there are fewer. */
static const StandbySignal *
find_standby(const Signals *signals, const char *name, int rank)
{
    for (int i = 0; i < signals->standby_count; i++) {
        const StandbySignal *standby = &signals->standbys[i];
        if (standby->connected && strcmp(standby->name, name) == 0 &&
            rank_of(signals, standby) == rank) {
            return standby;
        }
    }
    return NULL;
}

static void
note_lag(
    const Governor *governor, const Signals *signals, const StandbySignal *standby, WorstLag *worst)
{
    int64_t lag_us = lagring_lag_us(&governor->ring, standby->replay_lsn, signals->sampled_us);
    if (worst->time_name == NULL || lag_us > worst->lag_us) {
        worst->time_name = standby->name;
        worst->lag_us = lag_us;
    }
    int64_t lag_bytes = 0;
    if (signals->primary_lsn > standby->replay_lsn) {
        lag_bytes = (int64_t)(signals->primary_lsn - standby->replay_lsn);
    }
    if (worst->bytes_name == NULL || lag_bytes > worst->lag_bytes) {
        worst->bytes_name = standby->name;
        worst->lag_bytes = lag_bytes;
    }
}

/* What cannot be measured is infinite lag: it must come back well below the limits to resume. */
static void
hold_for_lag(Governor *governor)
{
    governor->holds_lag = true;
    governor->holds_lag_bytes = true;
}

static void
trip_unreadable(Governor *governor, const char *standby, Finding *finding)
{
    hold_for_lag(governor);
    if (finding->reason_code == SIGNAL_NONE) {
        trip(finding, SIGNAL_STANDBY_READABLE,
            "the replay position of %s cannot be read: GRANT pg_monitor TO %s", standby,
            governor->setup.role);
    }
}

/* Look at every expected standby; the first that is gone, or else unreadable, is the finding. */
static void
check_standbys(Governor *governor, const Signals *signals, WorstLag *worst, Finding *finding)
{
    const NameList *expected = &governor->setup.standbys;
    for (int i = 0; i < expected->count; i++) {
        const char *name = expected->names[i];
        /* Standbys may share a name ("walreceiver" is the default): of two expected ones the
         * second must be there too. */
        const StandbySignal *standby =
            find_standby(signals, name, times_expected(expected, name, i));
        if (standby == NULL) {
            hold_for_lag(governor);
            trip(finding, SIGNAL_STANDBY_CONNECTED, "standby %s is not connected", name);
            return;
        }
        if (standby->readable) {
            note_lag(governor, signals, standby, worst);
        } else if (!governor->setup.allow_blind_lag) {
            trip_unreadable(governor, name, finding);
        }
    }
}

/* True when `lag` trips the guard, or has tripped it and is not yet clearly below the limit. */
static bool
is_over(int64_t lag, int64_t limit, bool *holds)
{
    bool is_low = limit <= 0 || (double)lag < (double)limit * RESUME_PERCENT / 100.0;
    bool is_high = limit > 0 && lag > limit;
    *holds = is_high || (*holds && !is_low);
    return *holds;
}

typedef const char *FormatFunction(int64_t value, char buf[static FORMAT_SIZE]);

static void
trip_lag(Finding *finding, SignalId reason_code, const char *standby, int64_t lag, int64_t limit)
{
    FormatFunction *format = reason_code == SIGNAL_LAG ? format_duration : format_bytes;
    char lag_text[FORMAT_SIZE];
    char limit_text[FORMAT_SIZE];
    char resume_text[FORMAT_SIZE];
    if (lag > limit) {
        trip(finding, reason_code, "replication lag of %s is %s (limit %s)", standby,
            format(lag, lag_text), format(limit, limit_text));
    } else {
        trip(finding, reason_code, "replication lag of %s is %s (limit %s, resumes below %s)",
            standby, format(lag, lag_text), format(limit, limit_text),
            format((int64_t)((double)limit * RESUME_PERCENT / 100.0), resume_text));
    }
}

static void
check_lag(Governor *governor, const WorstLag *worst, Finding *seconds, Finding *bytes)
{
    const ThrottleSpec *throttle = &governor->throttle;
    if (is_over(worst->lag_us, throttle->lag_us, &governor->holds_lag)) {
        trip_lag(seconds, SIGNAL_LAG, worst->time_name, worst->lag_us, throttle->lag_us);
    }
    if (is_over(worst->lag_bytes, throttle->lag_bytes, &governor->holds_lag_bytes)) {
        trip_lag(bytes, SIGNAL_LAG_BYTES, worst->bytes_name, worst->lag_bytes, throttle->lag_bytes);
    }
}

static bool
watches_lag(const Governor *governor)
{
    return governor->throttle.lag_us > 0 || governor->throttle.lag_bytes > 0;
}

/* Every guard sees every sample, since each keeps its own memory of it; the first finding counts.
 */
static void
check_sample(Governor *governor, const Signals *signals, Finding *finding)
{
    if (signals->sampled_us > governor->sampled_us) {
        lagring_add(&governor->ring, signals->sampled_us, signals->primary_lsn);
        governor->sampled_us = signals->sampled_us;
    }

    Finding findings[4] = {{.reason_code = SIGNAL_NONE}}; /* in the order of the reasons */
    check_waiters(governor, signals, &findings[0]);
    if (watches_lag(governor)) {
        WorstLag worst = {.time_name = NULL};
        check_standbys(governor, signals, &worst, &findings[1]);
        if (findings[1].reason_code == SIGNAL_NONE) {
            check_lag(governor, &worst, &findings[2], &findings[3]);
        }
    } else {
        governor->holds_lag = false;
        governor->holds_lag_bytes = false;
    }
    for (int i = 0; i < 4 && finding->reason_code == SIGNAL_NONE; i++) {
        *finding = findings[i];
    }
}

const Verdict *
governor_decide(Governor *governor, const Signals *signals, int64_t now_us)
{
    assert(now_us >= governor->decided_us);

    Verdict *verdict = &governor->verdict;
    if (verdict->pause) {
        governor->paused_us[verdict->reason_code] += now_us - governor->decided_us;
    }
    governor->decided_us = now_us;

    Finding finding = {.reason_code = SIGNAL_NONE};
    if (signals->paused != NULL) {
        trip(&finding, SIGNAL_PAUSED, "%s", signals->paused);
    }
    Finding measured = {.reason_code = SIGNAL_NONE};
    if (check_probe(governor, signals, now_us, &measured)) {
        check_sample(governor, signals, &measured);
    }
    if (finding.reason_code == SIGNAL_NONE) {
        finding = measured;
    }

    bool pause = finding.reason_code != SIGNAL_NONE;
    if (pause != verdict->pause) {
        verdict->since_us = now_us;
    }
    verdict->pause = pause;
    verdict->reason_code = finding.reason_code;
    memcpy(verdict->reason, finding.reason, sizeof(verdict->reason));
    return verdict;
}

int64_t
governor_paused_us(const Governor *governor, SignalId reason_code)
{
    assert((int)reason_code >= 0 && (int)reason_code < SIGNAL_COUNT);
    return governor->paused_us[reason_code];
}

int64_t
governor_paused_total_us(const Governor *governor)
{
    int64_t total_us = 0;
    for (int i = 0; i < SIGNAL_COUNT; i++) {
        total_us += governor->paused_us[i];
    }
    return total_us;
}
