/*
 * pacing.h - the sizes of a worker's batches, as the settings of the job want them now.
 */
#ifndef ENGINE_PACING_H
#define ENGINE_PACING_H

#include "engine/engine_state.h"

/* At the start of the worker. */
void pacing_init(Worker *worker);

/* Take the settings in force now; batches follow at once. */
void pacing_follow(Worker *worker);

/* The pacer of the pass that the worker's range belongs to. */
Pacer *pacing_of(Worker *worker);

#endif
