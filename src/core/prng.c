#include "core/prng.h"

#include <assert.h>

void
prng_init(Prng *prng, uint64_t seed)
{
    prng->state = seed;
}

uint64_t
prng_next(Prng *prng)
{
    prng->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = prng->state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

int64_t
prng_between(Prng *prng, int64_t low, int64_t high)
{
    assert(low <= high);

    uint64_t span = (uint64_t)high - (uint64_t)low;
    if (span == UINT64_MAX) {
        return (int64_t)prng_next(prng);
    }
    /* Numbers in the incomplete last block of `count` would favour the low results: drawn again. */
    uint64_t count = span + 1;
    uint64_t reject_below = (UINT64_MAX - count + 1) % count;
    uint64_t drawn = prng_next(prng);
    while (drawn < reject_below) {
        drawn = prng_next(prng);
    }
    return (int64_t)((uint64_t)low + drawn % count);
}
