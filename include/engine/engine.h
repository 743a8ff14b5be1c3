/*
 * engine.h - the threads of one run: workers, monitor, vacuum; start to end of a job's passes.
 *
 * The only layer with threads.  Properties, operation and safety are described in engine.c.
 *
 * Lock order: Engine.lock, then Worker.lock, neither held across a server round trip;
 * Engine.vacuum_lock is taken alone.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/stop.h"
#include "core/plan.h"
#include "engine/progress.h"
#include "pg/conn.h"

/* How often the caller's observer is called, and how soon the end is noticed. */
#define ENGINE_TICK_US 200000
#define ENGINE_POLL_US 20000

/* What a crash without the last asynchronous commits, or a failover, leaves. */
#define ENGINE_LOST_COMMITS                                                                        \
    "the server lost the last commits in a crash or a failover; work is left"

typedef enum BuildStep {
    BUILD_WAIT = 0, /* not yet, or another run is at it */
    BUILD_MORE,     /* one was built */
    BUILD_DONE,     /* all are */
} BuildStep;

typedef struct EngineSetup {
    const Plan *plan;
    const ConnTarget *target;
    const ConnTarget *source; /* of a copy between two databases; NULL else */
    int64_t job;
    int64_t run;
    const char *system_id;
    int workers;            /* at the beginning */
    int workers_option;     /* --workers of the command line; 0 = not given */
    NameList standbys;      /* that must keep up */
    int64_t max_runtime_us; /* 0 = none; ends with ERR_STOPPED */
    bool follow;            /* a copy: go on draining until stopped */
    bool obeys_window;      /* ends when schedule.window closes, with ERR_STOPPED */
    int inherited_pass;     /* a purge: begun by an earlier run; after it comes one of our own, for
                               the rows that have grown old since; 0 = none */
    uint64_t seed;          /* of the jitter */
    /* Build the next index of the target, by a thread of its own, which then ends the builder;
     * NULL = there are none.  See ops/indexes.h. */
    bool (*build_index)(void *builder, StopToken *stop, BuildStep *step, Err *err);
    void (*end_builder)(void *builder);
    void *builder;
    /* Called by the thread of engine_run() about every ENGINE_TICK_US. */
    void (*observe)(void *arg, const Progress *progress);
    void *observe_arg;
} EngineSetup;

/*
 * Work until the passes of the job are done, the token is raised, a limit is hit or an error ends
 * it.  SIGINT, SIGTERM and SIGHUP must be blocked by the caller; they are taken here: the first one
 * drains, the second cancels.
 *
 * Shape:   *final is filled in any case.
 * Errors:  ERR_STOPPED with work left (not of one that follows and is caught up); ERR_LIMIT;
 * ERR_POISON with the row named; ERR_DRIFT; ...
 */
bool engine_run(const EngineSetup *setup, Progress *final, bool *second_signal, Err *err)
    __attribute__((warn_unused_result));

#endif
