#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "core/pacer.h"

#define TARGET_US ((int64_t)50000)

static Pacer
pacer_at(int64_t size)
{
    Pacer pacer;
    pacer_init(&pacer,
        (PacerLimits){.floor = 1, .size_min = 10, .size_max = 5000, .batch_target_us = TARGET_US},
        size);
    return pacer;
}

static Pacer
fixed_pacer(int64_t size)
{
    Pacer pacer;
    pacer_init(&pacer,
        (PacerLimits){.floor = 1, .size_min = size, .size_max = size, .batch_target_us = TARGET_US},
        size);
    return pacer;
}

/* `count` full batches, each at a cost of `cost_us` for one unit. */
static void
run_batches(Pacer *pacer, int count, double cost_us)
{
    for (int i = 0; i < count; i++) {
        int64_t size = pacer_size(pacer);
        pacer_observe(pacer, size, (int64_t)((double)size * cost_us));
    }
}

Test(pacer, starts_within_its_limits)
{
    Pacer low = pacer_at(1);
    Pacer high = pacer_at(1000000);
    cr_assert(eq(i64, pacer_size(&low), 10));
    cr_assert(eq(i64, pacer_size(&high), 5000));
}

Test(pacer, settles_at_the_size_that_takes_the_target)
{
    Pacer from_below = pacer_at(10);
    Pacer from_above = pacer_at(5000);
    run_batches(&from_below, 100, 50.0); /* 1,000 units take 50 ms */
    run_batches(&from_above, 100, 50.0);
    cr_assert(le(i64, 980, pacer_size(&from_below)));
    cr_assert(le(i64, pacer_size(&from_below), 1000));
    cr_assert(le(i64, 1000, pacer_size(&from_above)));
    cr_assert(le(i64, pacer_size(&from_above), 1020));
}

Test(pacer, keeps_its_size_when_a_batch_takes_exactly_the_target)
{
    Pacer pacer = pacer_at(1000);
    pacer_observe(&pacer, 1000, TARGET_US);
    cr_assert(eq(i64, pacer_size(&pacer), 1000));
}

Test(pacer, one_outlier_moves_the_size_by_an_eighth_at_most)
{
    Pacer fast = pacer_at(1000);
    pacer_observe(&fast, 1000, TARGET_US);
    pacer_observe(&fast, 1000, 0);
    cr_assert(eq(i64, pacer_size(&fast), 1125));

    Pacer slow = pacer_at(1000);
    pacer_observe(&slow, 1000, 2 * TARGET_US);
    cr_assert(eq(i64, pacer_size(&slow), 875));
}

Test(pacer, halves_at_once_over_twice_the_target)
{
    Pacer pacer = pacer_at(1000);
    pacer_observe(&pacer, 1000, 2 * TARGET_US + 1);
    cr_assert(eq(i64, pacer_size(&pacer), 500));
}

Test(pacer, first_batches_double_until_one_takes_half_the_target)
{
    Pacer pacer = pacer_at(100);
    run_batches(&pacer, 3, 50.0); /* 5, 10, 20 ms */
    cr_assert(eq(i64, pacer_size(&pacer), 800));
    run_batches(&pacer, 1, 50.0); /* 40 ms: a quarter of the way to the target */
    cr_assert(eq(i64, pacer_size(&pacer), 850));
    pacer_observe(&pacer, 850, 1000);
    cr_assert(eq(i64, pacer_size(&pacer), 956), "it has been near the target: small steps");
}

Test(pacer, a_failure_ends_the_doubling)
{
    Pacer pacer = pacer_at(100);
    pacer_halve(&pacer);
    pacer_observe(&pacer, 50, 10);
    cr_assert(eq(i64, pacer_size(&pacer), 56));
}

Test(pacer, a_short_batch_never_grows_the_size)
{
    Pacer pacer = pacer_at(1000);
    pacer_observe(&pacer, 999, 10);
    pacer_observe(&pacer, 0, 10);
    cr_assert(eq(i64, pacer_size(&pacer), 1000));
}

Test(pacer, a_short_batch_that_was_slow_shrinks_the_size)
{
    Pacer pacer = pacer_at(1000);
    pacer_observe(&pacer, 3, 2 * TARGET_US);
    cr_assert(eq(i64, pacer_size(&pacer), 875));
}

Test(pacer, slow_batches_stop_at_the_least_size_and_fast_ones_at_the_largest)
{
    Pacer pacer = pacer_at(12);
    run_batches(&pacer, 10, 1e6);
    cr_assert(eq(i64, pacer_size(&pacer), 10));
    run_batches(&pacer, 200, 0.0);
    cr_assert(eq(i64, pacer_size(&pacer), 5000));
}

Test(pacer, failures_halve_down_to_the_floor)
{
    Pacer pacer = pacer_at(10);
    static const int64_t EXPECTED[] = {5, 2, 1, 1};
    for (int i = 0; i < 4; i++) {
        pacer_halve(&pacer);
        cr_assert(eq(i64, pacer_size(&pacer), EXPECTED[i]));
    }
    cr_assert(pacer_is_at_floor(&pacer));
}

Test(pacer, respects_a_floor_above_one)
{
    Pacer pacer;
    pacer_init(&pacer,
        (PacerLimits){.floor = 4, .size_min = 10, .size_max = 20, .batch_target_us = 1}, 10);
    cr_assert(not(pacer_is_at_floor(&pacer)));
    pacer_halve(&pacer);
    pacer_halve(&pacer);
    cr_assert(eq(i64, pacer_size(&pacer), 4));
    cr_assert(pacer_is_at_floor(&pacer));
}

Test(pacer, grows_back_gradually_after_halving_to_one)
{
    Pacer pacer = pacer_at(16);
    for (int i = 0; i < 5; i++) {
        pacer_halve(&pacer);
    }
    cr_assert(eq(i64, pacer_size(&pacer), 1));
    pacer_observe(&pacer, 1, 100);
    cr_assert(eq(i64, pacer_size(&pacer), 1));
    int64_t before = 1;
    for (int i = 0; i < 30; i++) {
        run_batches(&pacer, 1, 100.0);
        cr_assert(le(i64, pacer_size(&pacer), before + before / 8 + 1));
        before = pacer_size(&pacer);
    }
    cr_assert(le(i64, 16, before));
}

Test(pacer, a_slow_batch_below_the_least_size_does_not_raise_it)
{
    Pacer pacer = pacer_at(10);
    pacer_halve(&pacer);
    pacer_observe(&pacer, 5, 10 * TARGET_US);
    cr_assert(eq(i64, pacer_size(&pacer), 5));
}

Test(pacer, a_fixed_size_does_not_follow_the_duration)
{
    Pacer pacer = fixed_pacer(1000);
    pacer_observe(&pacer, 1000, 1);
    cr_assert(eq(i64, pacer_size(&pacer), 1000));
    pacer_observe(&pacer, 1000, 10 * TARGET_US);
    cr_assert(eq(i64, pacer_size(&pacer), 1000));
}

Test(pacer, a_fixed_size_is_halved_by_failures_and_comes_back_whatever_batches_take)
{
    Pacer pacer = fixed_pacer(1000);
    pacer_halve(&pacer);
    cr_assert(eq(i64, pacer_size(&pacer), 500));
    pacer_observe(&pacer, 500, 10 * TARGET_US);
    cr_assert(eq(i64, pacer_size(&pacer), 562));
    for (int i = 0; i < 10; i++) {
        pacer_observe(&pacer, pacer_size(&pacer), 10 * TARGET_US);
    }
    cr_assert(eq(i64, pacer_size(&pacer), 1000));
}

Test(pacer, follows_new_limits)
{
    Pacer pacer = pacer_at(1000);
    pacer_set_limits(&pacer,
        (PacerLimits){.floor = 1, .size_min = 1, .size_max = 100, .batch_target_us = TARGET_US});
    cr_assert(eq(i64, pacer_size(&pacer), 100));
    pacer_set_limits(&pacer,
        (PacerLimits){.floor = 1, .size_min = 300, .size_max = 300, .batch_target_us = TARGET_US});
    cr_assert(eq(i64, pacer_size(&pacer), 300));
}
