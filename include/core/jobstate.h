/*
 * jobstate.h - the states of a job and the ways between them; the kinds of its passes.
 *
 * One table; pghaul.set_state() changes a state only along it.  "Throttled" is a reason, not a
 * state, and a run that was killed leaves the job `running` for the next one to take up.
 */
#ifndef CORE_JOBSTATE_H
#define CORE_JOBSTATE_H

#include <stdbool.h>

typedef enum JobState {
    JOB_NEW = 0,  /* recorded; nobody has accepted its plan yet */
    JOB_READY,    /* plan accepted, nothing moved yet */
    JOB_RUNNING,  /* a run works on it, or died doing so */
    JOB_PAUSED,   /* by a person or a window; runs stay connected and wait, and do not end it */
    JOB_SYNCED,   /* a copy that is caught up and verified */
    JOB_CUT_OVER, /* the application uses the new table; the way back is open */
    JOB_COMPLETE, /* done and verified */
    JOB_STOPPED,  /* ended cleanly with work left */
    JOB_FAILED,   /* ended by an error that a person must look at */
} JobState;

#define JOB_STATE_COUNT ((int)JOB_FAILED + 1)

typedef enum PassKind {
    PASS_MOVE = 0,
    PASS_VERIFY,
    PASS_REPAIR, /* changes the rows that a verify pass found to differ, by key */
} PassKind;

/* As in pghaul.job.pass_kind: "verify". */
const char *passkind_name(PassKind kind);

/* PASS_MOVE for NULL, which is a job without a pass. */
PassKind passkind_parse(const char *name);

/* As in pghaul.job.state: "cut_over". */
const char *jobstate_name(JobState state);

/* False when no state is called so. */
bool jobstate_parse(const char *name, JobState *state);

/* True when the table has this transition; staying in a state is none. */
bool jobstate_allows(JobState from, JobState to);

#endif
