/*
 * lagring.h - replication lag in seconds, from samples of our own.
 *
 * Each probe adds (time, write position of the primary).  A standby that has replayed up to some
 * position lags by the age of the oldest sample beyond it: since then it has been missing
 * something.  So an idle cluster never lags and a cut link always does; neither holds for
 * pg_stat_replication.replay_lag or for now() - pg_last_xact_replay_timestamp().
 *
 * Exact to the interval of the probes.  A standby that was behind before the first sample shows
 * an age that grows from zero; its lag in bytes tells at once.
 */
#ifndef CORE_LAGRING_H
#define CORE_LAGRING_H

#include <stdbool.h>
#include <stdint.h>

#define LAGRING_CAPACITY 1024

typedef struct LagSample {
    int64_t time_us;
    uint64_t lsn;
} LagSample;

typedef struct LagRing {
    LagSample samples[LAGRING_CAPACITY]; /* times and positions both rise */
    int count;
} LagRing;

void lagring_init(LagRing *ring);

/*
 * Record that the primary had written up to `lsn` at `now_us`.
 *
 * A position that did not move is not stored: what counts is when it was first seen.  One that
 * went back is another timeline after a failover, and forgets everything before it.  When the
 * ring is full, the sample whose loss blurs the answer least in proportion to its age makes room;
 * so hours of lag are known to the percent and seconds of it to the probe.
 */
void lagring_add(LagRing *ring, int64_t now_us, uint64_t lsn);

/* Age of the oldest sample beyond `replay_lsn`; 0 when there is none. */
int64_t lagring_lag_us(const LagRing *ring, uint64_t replay_lsn, int64_t now_us);

/* "16/B374D848", as the server prints a pg_lsn; false when `text` is anything else. */
bool lsn_parse(const char *text, uint64_t *lsn);

#endif
