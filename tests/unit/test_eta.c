#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "core/eta.h"

#define S ((int64_t)1000000)

static bool
near(double value, double wanted, double tolerance)
{
    return value >= wanted - tolerance && value <= wanted + tolerance;
}

/* One observation a second at `rate` units a second. */
static void
walk(Eta *eta, int seconds, int64_t rate, int64_t total)
{
    for (int i = 0; i < seconds; i++) {
        eta_observe(eta, eta->done + rate, total, eta->observed_us + S);
    }
}

Test(eta, nothing_is_known_before_the_first_interval)
{
    Eta eta;
    eta_init(&eta, 0, 5 * S);
    cr_assert(near(eta_rate(&eta), 0, 0));
    cr_assert(near(eta_share(&eta), 0, 0));
    cr_assert(eq(i64, eta_seconds(&eta), ETA_UNKNOWN));
    eta_observe(&eta, 0, 1000, 5 * S);
    cr_assert(eq(i64, eta_seconds(&eta), ETA_UNKNOWN));
}

Test(eta, a_steady_pace_is_right_from_the_first_interval_on)
{
    Eta eta;
    eta_init(&eta, 0, 0);
    walk(&eta, 1, 100, 10000);
    cr_assert(near(eta_rate(&eta), 100, 0.001));
    cr_assert(eq(i64, eta_seconds(&eta), 99));
    walk(&eta, 49, 100, 10000);
    cr_assert(near(eta_rate(&eta), 100, 0.001));
    cr_assert(near(eta_share(&eta), 0.5, 0.001));
    cr_assert(near((double)eta_seconds(&eta), 50, 1));
}

Test(eta, work_of_earlier_runs_counts_for_the_share_but_not_for_the_rate)
{
    Eta eta;
    eta_init(&eta, 9000, 0);
    eta_observe(&eta, 9010, 10000, 1 * S);
    cr_assert(near(eta_rate(&eta), 10, 0.001));
    cr_assert(near(eta_share(&eta), 0.901, 0.0001));
    cr_assert(eq(i64, eta_seconds(&eta), 99));
}

Test(eta, the_rate_follows_a_new_pace_within_two_windows)
{
    Eta eta;
    eta_init(&eta, 0, 0);
    walk(&eta, 300, 1000, 10000000);
    walk(&eta, 10, 100, 10000000);
    cr_assert(near(eta_rate(&eta), 740, 50)); /* 1/e of the difference is left after 30 s */
    walk(&eta, 50, 100, 10000000);
    cr_assert(near(eta_rate(&eta), 220, 50));
}

Test(eta, a_single_odd_second_hardly_moves_the_rate)
{
    Eta eta;
    eta_init(&eta, 0, 0);
    walk(&eta, 100, 1000, 10000000);
    walk(&eta, 1, 0, 10000000);
    cr_assert(near(eta_rate(&eta), 967, 10));
}

Test(eta, the_interval_of_observations_does_not_matter)
{
    Eta often;
    Eta seldom;
    eta_init(&often, 0, 0);
    eta_init(&seldom, 0, 0);
    for (int i = 1; i <= 400; i++) {
        eta_observe(&often, (int64_t)i * 25, 1000000, i * (S / 4));
    }
    for (int i = 1; i <= 5; i++) {
        eta_observe(&seldom, (int64_t)i * 2000, 1000000, i * (20 * S));
    }
    cr_assert(near(eta_rate(&often), 100, 0.01));
    cr_assert(near(eta_rate(&seldom), 100, 0.01));
}

Test(eta, two_observations_at_one_time_lose_nothing)
{
    Eta eta;
    eta_init(&eta, 0, 0);
    eta_observe(&eta, 50, 1000, 0);
    eta_observe(&eta, 100, 1000, 1 * S);
    cr_assert(near(eta_rate(&eta), 100, 0.001));
}

Test(eta, more_done_than_estimated_is_not_done)
{
    Eta eta;
    eta_init(&eta, 0, 0);
    walk(&eta, 20, 100, 1000);
    cr_assert(lt(dbl, eta_share(&eta), 1.0));
    cr_assert(near(eta_share(&eta), 1.0, 0.001));
    cr_assert(eq(i64, eta_seconds(&eta), ETA_UNKNOWN));
}

Test(eta, only_being_told_makes_it_complete)
{
    Eta eta;
    eta_init(&eta, 0, 0);
    walk(&eta, 10, 100, 1000);
    cr_assert(lt(dbl, eta_share(&eta), 1.0));
    eta_complete(&eta);
    cr_assert(near(eta_share(&eta), 1.0, 0));
    cr_assert(eq(i64, eta_seconds(&eta), 0));
}

Test(eta, without_a_total_there_is_a_rate_but_no_share)
{
    Eta eta;
    eta_init(&eta, 0, 0);
    walk(&eta, 5, 100, 0);
    cr_assert(near(eta_rate(&eta), 100, 0.001));
    cr_assert(near(eta_share(&eta), 0, 0));
    cr_assert(eq(i64, eta_seconds(&eta), ETA_UNKNOWN));
}

Test(eta, when_nothing_moves_any_more_the_end_is_unknown)
{
    Eta eta;
    eta_init(&eta, 0, 0);
    walk(&eta, 60, 1000, 10000000);
    walk(&eta, 3600, 0, 10000000);
    cr_assert(eq(i64, eta_seconds(&eta), ETA_UNKNOWN));
}

Test(eta, another_pass_starts_the_measurement_again)
{
    Eta eta;
    eta_init(&eta, 0, 0);
    walk(&eta, 60, 1000, 60000);
    eta_complete(&eta);
    eta_observe(&eta, 0, 60000, 61 * S);
    cr_assert(near(eta_share(&eta), 0, 0));
    eta_observe(&eta, 10, 60000, 62 * S);
    cr_assert(near(eta_rate(&eta), 10, 0.001));
}
