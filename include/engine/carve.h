/*
 * carve.h - give a worker a range: a free one, else the next slice of the pass.
 */
#ifndef ENGINE_CARVE_H
#define ENGINE_CARVE_H

#include "engine/engine_state.h"

typedef enum CarveOutcome {
    CARVE_LEASED = 0, /* worker->lease is set */
    CARVE_NONE,       /* nothing to be had now; others may still be at work */
    CARVE_AGAIN,      /* another worker was faster: read the job again */
} CarveOutcome;

/* Needs worker->job to be fresh. */
bool
carve_range(Worker *worker, CarveOutcome *outcome, Err *err) __attribute__((warn_unused_result));

/* Who asks for ranges of this pass: this run of the job. */
RangeOwner carve_owner(const Worker *worker, int pass);

#endif
