/*
 * pacer.h - how large the next batch of a worker should be.
 *
 * A pure state machine: no clock, no I/O, no lock.  The owner (one worker thread) feeds it the
 * duration of each committed batch and asks for the next size.  Sizes are counted in whatever the
 * access path counts: keys on the key path, heap blocks on the block path.
 *
 * The first batches double until one takes half the target duration; from then on proportional
 * control, with small steps so that one odd batch does not swing the size; a batch that ran over
 * twice the target, and every failure that a smaller batch would have avoided, halves it at once.
 */
#ifndef CORE_PACER_H
#define CORE_PACER_H

#include <stdbool.h>
#include <stdint.h>

typedef struct PacerLimits {
    int64_t floor;           /* what halving may go down to after failures; 1..size_min */
    int64_t size_min;        /* what slow batches may bring it down to */
    int64_t size_max;        /* >= size_min; equal = the size was fixed by the job */
    int64_t batch_target_us; /* wanted duration of one batch transaction, > 0 */
} PacerLimits;

typedef struct Pacer {
    PacerLimits limits;
    bool ramping; /* no batch has been near the target yet */
    double size;  /* with its fraction, else small sizes could never grow by a small share */
} Pacer;

void pacer_init(Pacer *pacer, PacerLimits limits, int64_t size_start);

/* Size of the next batch, floor..size_max. */
int64_t pacer_size(const Pacer *pacer);

/* Halving again would change nothing. */
bool pacer_is_at_floor(const Pacer *pacer);

/*
 * Record one committed batch.
 *
 * Units:   size_done is what the batch walked over, not what it changed; less than pacer_size()
 *          when the range ended.  Such a batch never grows the size: it says nothing about what a
 *          full one would have cost.
 * Fixed size: only halving moves it, and full batches bring it back, whatever they take.
 */
void pacer_observe(Pacer *pacer, int64_t size_done, int64_t duration_us);

/* After a lock failure, a timeout, or on the way down to a poison row. */
void pacer_halve(Pacer *pacer);

/* The job's settings were changed while it runs; the size follows into the new limits. */
void pacer_set_limits(Pacer *pacer, PacerLimits limits);

#endif
