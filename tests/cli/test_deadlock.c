/*
 * test_deadlock.c - deadlocks provoked on purpose: the application is not the victim, and does not
 * wait for long.
 *
 * PGHAUL_DEADLOCKS is how many are provoked in each test: 24 by default, 1,000 with PGHAUL_SOAK.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "collide.h"
#include "harness/harness.h"

/* yield_after (200 ms by default) and 100 ms. */
#define APP_WAIT_MAX_US 300000
#ifdef __SANITIZE_ADDRESS__ /* what a sanitizer can find is found in the first ones */
#define DEADLOCKS 8
#else
#define DEADLOCKS 24
#endif
#define DEADLOCKS_SOAK 1000
/* So many fit before the mover is through with its table. */
#define ROUND 100

static int64_t
deadlocks_wanted(void)
{
    const char *count = harness_env("PGHAUL_DEADLOCKS", NULL);
    if (count != NULL) {
        return strtoll(count, NULL, 10);
    }
    return harness_env("PGHAUL_SOAK", NULL) == NULL ? DEADLOCKS : DEADLOCKS_SOAK;
}

static CollideStats
collide_in_rounds(CollideParties parties, bool strict, const char *title)
{
    PgCluster *cluster = cluster_shared();
    int64_t left = deadlocks_wanted();
    CollideStats total = {.provoked = 0};
    uint64_t seed = harness_seed();
    while (left > 0) {
        CollideStats round = collide(
            cluster, parties, strict, left < ROUND ? left : ROUND, seed + (uint64_t)total.provoked);
        total.provoked += round.provoked;
        total.victims += round.victims;
        total.waits.waits += round.waits.waits;
        if (round.waits.longest_us > total.waits.longest_us) {
            total.waits.longest_us = round.waits.longest_us;
        }
        left -= round.provoked;
    }
    cluster_stop(cluster);
    (void)fprintf(stderr,
        "figures: deadlocks, %s: %" PRId64 " provoked, %" PRId64
        " victims of the application; it waited"
        " %" PRId64 " times for us, at most %" PRId64 " ms\n",
        title, total.provoked, total.victims, total.waits.waits, total.waits.longest_us / 1000);
    cr_expect(le(i64, total.provoked / 16, total.waits.waits), "too few of them met the mover");
    cr_expect(le(i64, total.waits.longest_us, APP_WAIT_MAX_US));
    return total;
}

Test(deadlock, two_parties_have_no_victim_among_the_application, .timeout = 600)
{
    CollideStats stats = collide_in_rounds(COLLIDE_TWO, false, "two parties");
    cr_expect(eq(i64, stats.victims, 0));
}

/* A wait of 5 ms while we hold a lock that somebody wants remains; see `strict`. */
Test(deadlock, three_parties_have_few_victims_among_the_application, .timeout = 1200)
{
    CollideStats stats = collide_in_rounds(COLLIDE_THREE, false, "three parties");
    cr_expect(le(i64, stats.victims, stats.provoked < 400 ? 2 : stats.provoked * 5 / 1000));
}

Test(deadlock, three_parties_have_no_victim_when_strict, .timeout = 1200)
{
    CollideStats stats = collide_in_rounds(COLLIDE_THREE, true, "three parties, strict");
    cr_expect(eq(i64, stats.victims, 0));
}
