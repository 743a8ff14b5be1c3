#include "core/lagring.h"

#include <string.h>

void
lagring_init(LagRing *ring)
{
    ring->count = 0;
}

static void
drop_sample(LagRing *ring, int index)
{
    LagSample *hole = &ring->samples[index];
    ring->count--;
    memmove(hole, hole + 1, (size_t)(ring->count - index) * sizeof(LagSample));
}

/*
 * Without sample i, a standby that has replayed up to i-1 but not i is judged by i+1: the answer
 * may be too young by the gap that is left.  The gap is weighed against the age, so the survivors
 * come to lie evenly on a logarithmic scale of time.  The oldest sample always stays.
 */
static void
thin(LagRing *ring, int64_t now_us)
{
    const LagSample *samples = ring->samples;
    int least = 1;
    double least_error = 0.0;
    for (int i = 1; i < ring->count - 1; i++) {
        double gap = (double)(samples[i + 1].time_us - samples[i - 1].time_us);
        double age = (double)(now_us - samples[i].time_us) + 1.0;
        if (i == 1 || gap / age < least_error) {
            least = i;
            least_error = gap / age;
        }
    }
    drop_sample(ring, least);
}

void
lagring_add(LagRing *ring, int64_t now_us, uint64_t lsn)
{
    if (ring->count > 0) {
        const LagSample *newest = &ring->samples[ring->count - 1];
        if (lsn == newest->lsn) {
            return;
        }
        if (lsn < newest->lsn) {
            ring->count = 0;
        }
    }
    if (ring->count == LAGRING_CAPACITY) {
        thin(ring, now_us);
    }
    ring->samples[ring->count] = (LagSample){.time_us = now_us, .lsn = lsn};
    ring->count++;
}

int64_t
lagring_lag_us(const LagRing *ring, uint64_t replay_lsn, int64_t now_us)
{
    int low = 0; /* the first sample beyond replay_lsn is in low..high */
    int high = ring->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (ring->samples[middle].lsn > replay_lsn) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    if (low == ring->count || now_us < ring->samples[low].time_us) {
        return 0;
    }
    return now_us - ring->samples[low].time_us;
}

/* Value of a hexadecimal digit, -1 for any other character. */
static int
hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return -1;
}

/* One to eight hexadecimal digits; returns what follows them, NULL when there are none or more. */
static const char *
parse_half(const char *text, uint32_t *half)
{
    uint32_t value = 0;
    int digits = 0;
    for (; hex_value(text[digits]) >= 0; digits++) {
        if (digits == 8) {
            return NULL;
        }
        value = value << 4 | (uint32_t)hex_value(text[digits]);
    }
    *half = value;
    return digits == 0 ? NULL : text + digits;
}

bool
lsn_parse(const char *text, uint64_t *lsn)
{
    uint32_t high = 0;
    uint32_t low = 0;
    const char *rest = parse_half(text, &high);
    if (rest == NULL || *rest != '/') {
        return false;
    }
    rest = parse_half(rest + 1, &low);
    if (rest == NULL || *rest != '\0') {
        return false;
    }
    *lsn = (uint64_t)high << 32 | low;
    return true;
}
