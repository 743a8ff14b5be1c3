/*
 * signals.h - what is measured on the server to decide whether the move may go on.
 *
 * `Signals` is one sample, filled by pg/probe.c; core/governor.c judges it.  One table says name,
 * unit, default and meaning of every signal; help, docs and machine output read it.
 */
#ifndef CORE_SIGNALS_H
#define CORE_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>

/* Doubles as the reason of a pause. */
typedef enum SignalId {
    SIGNAL_NONE = 0, /* no reason: not paused */
    SIGNAL_PAUSED,   /* a person wants it */
    SIGNAL_PROBE,
    SIGNAL_LOCK_WAITERS,
    SIGNAL_BLOCKED_BY_US,
    SIGNAL_STANDBY_CONNECTED,
    SIGNAL_STANDBY_READABLE,
    SIGNAL_LAG,
    SIGNAL_LAG_BYTES,
} SignalId;

#define SIGNAL_FIRST SIGNAL_PAUSED
#define SIGNAL_COUNT ((int)SIGNAL_LAG_BYTES + 1)

typedef enum SignalKind {
    SIGNAL_GUARD = 0, /* fails closed: unreadable means stop */
    SIGNAL_ADVISORY,  /* off when it cannot be read */
} SignalKind;

typedef struct SignalDef {
    const char *name;         /* as in machine output: "lag_bytes" */
    const char *unit;         /* "s", "bytes", "sessions"; "" for yes or no */
    const char *default_text; /* the limit as written in a job file; "" when it has no key */
    SignalKind kind;
    const char *description; /* when it pauses, a sentence */
} SignalDef;

/* Never NULL; SIGNAL_NONE is called "none". */
const SignalDef *signal_def(SignalId id);

/* One row of pg_stat_replication. */
typedef struct StandbySignal {
    const char *name; /* application_name; several standbys may share one */
    bool connected;   /* streaming or catching up */
    bool readable;    /* replay_lsn is visible to our role */
    uint64_t replay_lsn;
} StandbySignal;

typedef struct Signals {
    const char *paused;   /* "paused by alice: why"; NULL = nobody has paused the job */
    int64_t sampled_us;   /* when the answer arrived; 0 = there was none yet */
    uint64_t primary_lsn; /* pg_current_wal_lsn(), read in the statement that read the standbys */
    const StandbySignal *standbys;
    int standby_count;
    bool waiters_known; /* lock_waiters could be read */
    int lock_waiters;   /* sessions of others that wait for a lock on the table or its rows */
    int blocked_by_us;  /* of these, those that wait for a session of ours */
} Signals;

#endif
