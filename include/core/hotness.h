/*
 * hotness.h - do stripes help right now?  From the share of HOT updates, measured while running.
 *
 * Stripes are worth their extra walks only while dead versions can be pruned; an old snapshot or a
 * full page keeps them.  Then one stripe does the same work with less reading.  Pure; fed by the
 * monitor.
 */
#ifndef CORE_HOTNESS_H
#define CORE_HOTNESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Hotness {
    int stripes_wanted; /* of the plan */
    int stripes;        /* for ranges that are carved from now on */
    double ratio;       /* HOT share of the last full window; -1 = none yet */
    double ratio_total; /* since the first observation; -1 = nothing was updated */
    int64_t first_updated;
    int64_t first_hot_updated;
    int64_t updated; /* counters at the begin of the window; -1 = not begun */
    int64_t hot_updated;
    int64_t window_us;   /* when the window began */
    int64_t retry_at_us; /* while at one stripe: when to try again */
    int64_t retry_wait_us;
} Hotness;

void hotness_init(Hotness *hotness, int stripes_wanted);

/* Feed the table's counters; true when `stripes` took another value. */
bool hotness_observe(Hotness *hotness, int64_t updated, int64_t hot_updated, int64_t now_us);

#endif
