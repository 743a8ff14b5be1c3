/*
 * health.h - how a job is doing, in one word, one sentence why, and what to do next.
 *
 * Pure: from what the database knows of the job at one moment.
 */
#ifndef CORE_HEALTH_H
#define CORE_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "core/jobspec.h"
#include "core/jobstate.h"

/* The most urgent first. */
typedef enum Health {
    HEALTH_STUCK = 0,   /* a live run may work, and nothing commits */
    HEALTH_DEAD,        /* under way, but no run is alive */
    HEALTH_FAILED,      /* ended by an error that a person must look at */
    HEALTH_DIFFERING,   /* a verify pass found rows that differ */
    HEALTH_WAITING,     /* a run prepares and waits for a lock or for older transactions */
    HEALTH_STOPPED,     /* ended cleanly with work left, or its last verify was cut off */
    HEALTH_PAUSED,      /* by a person or a window */
    HEALTH_THROTTLED,   /* waits for the server or a standby */
    HEALTH_QUARANTINED, /* done but for rows that the server refused */
    HEALTH_PROGRESSING, /* batches commit */
    HEALTH_NEW,         /* nobody has accepted its plan */
    HEALTH_DONE,
} Health;

#define HEALTH_COUNT ((int)HEALTH_DONE + 1)

/* A live run that may work commits a batch every few hundred ms; only waiting for the lease of a
 * run that was cut off takes up to 30 s. */
#define HEALTH_IDLE_MAX_S 30.0

/* So many visits in vain take about 12 s. */
#define HEALTH_VAIN_VISITS 7

typedef struct HealthFacts {
    const char *job;
    JobState state;
    PassKind pass_kind;
    bool pass_is_done;  /* nothing is left of it */
    const char *reason; /* of the state; NULL */
    int runs_alive;
    int sessions;           /* of pghaul that work on the job */
    double heartbeat_age_s; /* since any run was heard of; < 0 = never */
    double idle_s;          /* since a live run committed a batch; < 0 = no run */
    const char *throttle;   /* why a live run waits; NULL */
    int64_t vain_visits;    /* every range that is left was visited so often, in vain */
    int64_t quarantined_rows;
    int64_t differing_rows;
    const char *paused_by; /* NULL = not known */
    JobKind kind;
    int64_t backlog_rows; /* of a copy: changes that are not drained; of a purge: rows that match
                             yet; < 0 = not known */
    double backlog_s;     /* age of the oldest of them */
} HealthFacts;

typedef struct HealthVerdict {
    Health health;
    const char *reason;    /* why, a lower-case sentence without a final period */
    const char *next_step; /* what to do, with the command */
} HealthVerdict;

/* Owner:   texts live in `arena`, or as long as those of *facts. */
HealthVerdict health_judge(const HealthFacts *facts, Arena *arena);

/* "stuck" */
const char *health_name(Health health);

/* Other sessions may be in the way: worth asking which. */
bool health_may_be_blocked(Health health);

/* Nothing happens any more until a person does something: `exit_code` says how it ended. */
bool health_is_over(Health health, int *exit_code);

#endif
