#include "core/jobstate.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

static const char *const NAMES[JOB_STATE_COUNT] = {
    [JOB_NEW] = "new",
    [JOB_READY] = "ready",
    [JOB_RUNNING] = "running",
    [JOB_PAUSED] = "paused",
    [JOB_SYNCED] = "synced",
    [JOB_CUT_OVER] = "cut_over",
    [JOB_COMPLETE] = "complete",
    [JOB_STOPPED] = "stopped",
    [JOB_FAILED] = "failed",
};

static const char *const PASS_NAMES[] = {
    [PASS_MOVE] = "move",
    [PASS_VERIFY] = "verify",
    [PASS_REPAIR] = "repair",
};

static const struct {
    JobState from;
    JobState to;
} TRANSITIONS[] = {
    {JOB_NEW, JOB_READY},         /* a person, or --yes, accepted the plan */
    {JOB_READY, JOB_RUNNING},     /* the first run takes it up */
    {JOB_READY, JOB_PAUSED},      /* paused beforehand, or the window is closed */
    {JOB_RUNNING, JOB_PAUSED},    /* pause, or the window closes */
    {JOB_RUNNING, JOB_SYNCED},    /* a copy has caught up and its verify pass is clean */
    {JOB_RUNNING, JOB_COMPLETE},  /* all passes are done and verified */
    {JOB_RUNNING, JOB_STOPPED},   /* signal, stop, or a limit: batches ended, work is left */
    {JOB_RUNNING, JOB_FAILED},    /* an error that no retry cures */
    {JOB_PAUSED, JOB_READY},      /* resume before the first run */
    {JOB_PAUSED, JOB_RUNNING},    /* resume, or the window opens, while a run waits */
    {JOB_PAUSED, JOB_STOPPED},    /* resume while no run is alive */
    {JOB_PAUSED, JOB_COMPLETE},   /* the pause came when nothing was left to do */
    {JOB_STOPPED, JOB_RUNNING},   /* the next run goes on where it ended */
    {JOB_STOPPED, JOB_PAUSED},    /* so that nobody's cron goes on with it */
    {JOB_FAILED, JOB_RUNNING},    /* the next run, after the cause was removed */
    {JOB_FAILED, JOB_PAUSED},     /* as above */
    {JOB_SYNCED, JOB_RUNNING},    /* a later run has changes to drain or rows to repair */
    {JOB_SYNCED, JOB_PAUSED},     /* a following run is paused */
    {JOB_SYNCED, JOB_FAILED},     /* change log overflow, TRUNCATE or drift after the sync */
    {JOB_SYNCED, JOB_CUT_OVER},   /* cutover */
    {JOB_CUT_OVER, JOB_SYNCED},   /* rollback: the old table serves again */
    {JOB_CUT_OVER, JOB_COMPLETE}, /* the old table is given up: no way back */
    {JOB_COMPLETE, JOB_RUNNING},  /* the next pass of a purge; pghaul.set_state() refuses others */
};

const char *
jobstate_name(JobState state)
{
    assert((int)state >= 0 && (int)state < JOB_STATE_COUNT);
    return NAMES[state];
}

const char *
passkind_name(PassKind kind)
{
    return PASS_NAMES[kind];
}

PassKind
passkind_parse(const char *name)
{
    for (int i = PASS_VERIFY; name != NULL && i <= PASS_REPAIR; i++) {
        if (strcmp(name, PASS_NAMES[i]) == 0) {
            return (PassKind)i;
        }
    }
    return PASS_MOVE;
}

bool
jobstate_parse(const char *name, JobState *state)
{
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        if (strcmp(name, NAMES[i]) == 0) {
            *state = (JobState)i;
            return true;
        }
    }
    return false;
}

bool
jobstate_allows(JobState from, JobState to)
{
    for (size_t i = 0; i < sizeof(TRANSITIONS) / sizeof(TRANSITIONS[0]); i++) {
        if (TRANSITIONS[i].from == from && TRANSITIONS[i].to == to) {
            return true;
        }
    }
    return false;
}
