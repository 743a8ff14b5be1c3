#include "core/pacer.h"

#include <assert.h>
#include <math.h>

/* Target by duration, before smoothing: one batch never counts for more than this. */
#define FACTOR_MIN 0.5
#define FACTOR_MAX 1.5

/* Share of the wanted step that is taken.  1/4: an outlier at the clamp moves the size by an
 * eighth. */
#define GAIN 0.25

static double
clamp(double value, double low, double high)
{
    if (value < low) {
        return low;
    }
    return value > high ? high : value;
}

static bool
size_is_fixed(const PacerLimits *limits)
{
    return limits->size_min == limits->size_max;
}

static void
check_limits(const PacerLimits *limits)
{
    assert(limits->floor >= 1 && limits->floor <= limits->size_min);
    assert(limits->size_min <= limits->size_max);
    assert(limits->batch_target_us > 0);
    (void)limits;
}

void
pacer_init(Pacer *pacer, PacerLimits limits, int64_t size_start)
{
    check_limits(&limits);
    *pacer = (Pacer){
        .limits = limits,
        .ramping = true,
        .size = clamp((double)size_start, (double)limits.size_min, (double)limits.size_max),
    };
}

int64_t
pacer_size(const Pacer *pacer)
{
    return (int64_t)pacer->size;
}

bool
pacer_is_at_floor(const Pacer *pacer)
{
    return pacer_size(pacer) <= pacer->limits.floor;
}

/* Slow batches do not push the size below size_min; a size that failures brought below it stays. */
static void
shrink_to(Pacer *pacer, double size)
{
    double low = (double)pacer->limits.size_min;
    if (pacer->size < low) {
        low = pacer->size;
    }
    pacer->size = size < low ? low : size;
}

static double
wanted_factor(const Pacer *pacer, int64_t duration_us)
{
    if (size_is_fixed(&pacer->limits)) {
        return FACTOR_MAX;
    }
    double duration = duration_us < 1 ? 1.0 : (double)duration_us;
    return clamp((double)pacer->limits.batch_target_us / duration, FACTOR_MIN, FACTOR_MAX);
}

/* Twice the size, as long as that cannot be too much. */
static bool
ramp_up(Pacer *pacer, int64_t size_done, int64_t duration_us)
{
    const PacerLimits *limits = &pacer->limits;
    if (!pacer->ramping || size_done < pacer_size(pacer)) {
        return false;
    }
    pacer->ramping = !size_is_fixed(limits) && duration_us < limits->batch_target_us / 2;
    if (pacer->ramping) {
        pacer->size = clamp(pacer->size * 2.0, 1.0, (double)limits->size_max);
    }
    return pacer->ramping;
}

void
pacer_observe(Pacer *pacer, int64_t size_done, int64_t duration_us)
{
    const PacerLimits *limits = &pacer->limits;
    if (ramp_up(pacer, size_done, duration_us)) {
        return;
    }
    if (!size_is_fixed(limits) && duration_us - limits->batch_target_us > limits->batch_target_us) {
        shrink_to(pacer, pacer->size / 2.0);
        return;
    }

    double factor = wanted_factor(pacer, duration_us);
    double size = pacer->size * (1.0 + (factor - 1.0) * GAIN);
    if (factor < 1.0) {
        shrink_to(pacer, size);
    } else if (size_done >= pacer_size(pacer)) {
        pacer->size = clamp(size, 1.0, (double)limits->size_max);
    }
}

void
pacer_halve(Pacer *pacer)
{
    double low = (double)pacer->limits.floor;
    double half = floor((double)pacer_size(pacer) / 2.0);
    pacer->ramping = false;
    pacer->size = half < low ? low : half;
}

void
pacer_set_limits(Pacer *pacer, PacerLimits limits)
{
    check_limits(&limits);
    pacer->limits = limits;
    pacer->size = clamp(pacer->size, (double)limits.size_min, (double)limits.size_max);
}
