/*
 * collide.h - application transactions that lock rows just ahead of a slow mover, in the wrong
 * order and at random moments, so that they meet it in the middle of a batch.
 *
 * One mover walks over the keys at a steady pace; lanes, each a thread with its own sessions, pick
 * keys ahead of it and wait until it comes.
 */
#ifndef TESTS_COLLIDE_H
#define TESTS_COLLIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "harness/job.h"
#include "harness/lockwatch.h"

typedef enum CollideParties {
    /* A transaction holds z and asks for a < z, while the mover holds a and asks for z. */
    COLLIDE_TWO = 2,
    /* A1 holds x and waits for A2; the mover holds z < x and asks for x; A2 asks for z.  A1 began
     * to wait about deadlock_timeout before, so that its one look for deadlocks falls in between.
     */
    COLLIDE_THREE = 3,
} CollideParties;

typedef struct CollideStats {
    int64_t provoked;
    int64_t victims; /* transactions of the application that got 40P01 */
    LockWatchStats waits;
} CollideStats;

/*
 * Start the mover over a fresh table, provoke so many times, let the mover finish, and fail the
 * test unless it exits with 0 and every row is right.
 */
CollideStats
collide(PgCluster *cluster, CollideParties parties, bool strict, int64_t count, uint64_t seed);

#endif
