/*
 * prng.h - a small seeded generator for jitter: splitmix64.
 *
 * Not for secrets.  A value, owned by one thread; the same seed gives the same numbers, which is
 * what makes a backoff testable.
 * Source: Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014.
 */
#ifndef CORE_PRNG_H
#define CORE_PRNG_H

#include <stdint.h>

typedef struct Prng {
    uint64_t state;
} Prng;

void prng_init(Prng *prng, uint64_t seed);

uint64_t prng_next(Prng *prng);

/* A number in [low, high], each equally likely; low <= high. */
int64_t prng_between(Prng *prng, int64_t low, int64_t high);

#endif
