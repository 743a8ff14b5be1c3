/*
 * lockwatch.h - how long does the application wait for locks of ours, seen by the server.
 *
 * A thread of its own asks every few milliseconds which sessions wait, since when, and for whom.
 * Every session whose application_name begins with "pghaul/" is ours, all others are the
 * application.  A wait counts from its very beginning, also when somebody else was in the way at
 * first, so it is never taken for shorter than it was (but for the pause between two looks).
 */
#ifndef HARNESS_LOCKWATCH_H
#define HARNESS_LOCKWATCH_H

#include <stdint.h>

typedef struct LockWatch LockWatch;

typedef struct LockWatchStats {
    int64_t looks;
    int64_t waits; /* of the application for one of ours, each counted once */
    int64_t longest_us;
    char longest_query[160];   /* of the application */
    char longest_blocker[160]; /* what we were doing */
} LockWatchStats;

/* Watch the database of this connection string. */
LockWatch *lockwatch_start(const char *uri);

/* End the thread, free the watch. */
LockWatchStats lockwatch_finish(LockWatch *watch);

#endif
