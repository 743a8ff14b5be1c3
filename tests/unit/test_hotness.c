#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "core/hotness.h"

#define WINDOW  500000 /* rows, more than one window needs */
#define SECOND  ((int64_t)1000000)
#define MINUTES (60 * SECOND)

/* An application of the counters that never goes backwards. */
typedef struct Counter {
    Hotness hotness;
    int64_t updated;
    int64_t hot;
    int64_t now_us;
} Counter;

static Counter
counter_new(int stripes)
{
    Counter counter = {.updated = 1000, .hot = 900, .now_us = SECOND};
    hotness_init(&counter.hotness, stripes);
    (void)hotness_observe(&counter.hotness, counter.updated, counter.hot, counter.now_us);
    return counter;
}

/* One window of updates with this share of HOT ones. */
static bool
feed(Counter *counter, int percent, int64_t us)
{
    counter->updated += WINDOW;
    counter->hot += WINDOW * percent / 100;
    counter->now_us += us;
    return hotness_observe(&counter->hotness, counter->updated, counter->hot, counter->now_us);
}

Test(hotness, knows_nothing_at_first)
{
    Counter counter = counter_new(8);
    cr_expect(eq(int, counter.hotness.stripes, 8));
    cr_expect(lt(dbl, counter.hotness.ratio, 0));
    cr_expect(lt(dbl, counter.hotness.ratio_total, 0));
}

Test(hotness, stripes_stay_while_updates_are_hot)
{
    Counter counter = counter_new(8);
    for (int i = 0; i < 5; i++) {
        cr_expect(not(feed(&counter, 62, 10 * SECOND)));
    }
    cr_expect(eq(int, counter.hotness.stripes, 8));
    cr_expect(epsilon_eq(dbl, counter.hotness.ratio, 0.62, 1e-9));
    cr_expect(epsilon_eq(dbl, counter.hotness.ratio_total, 0.62, 1e-9));
}

Test(hotness, a_window_of_few_rows_or_a_short_time_decides_nothing)
{
    Counter counter = counter_new(8);
    counter.updated += 1000;
    counter.now_us += 10 * SECOND;
    cr_expect(not(hotness_observe(&counter.hotness, counter.updated, counter.hot, counter.now_us)));
    cr_expect(not(feed(&counter, 0, -9 * SECOND)), "one second");
    cr_expect(eq(int, counter.hotness.stripes, 8));
    cr_expect(lt(dbl, counter.hotness.ratio, 0));
}

Test(hotness, one_stripe_when_updates_are_not_hot_and_another_try_after_a_minute)
{
    Counter counter = counter_new(8);
    cr_expect(feed(&counter, 5, 10 * SECOND));
    cr_expect(eq(int, counter.hotness.stripes, 1));
    cr_expect(not(feed(&counter, 0, 30 * SECOND)));
    cr_expect(feed(&counter, 0, 40 * SECOND));
    cr_expect(eq(int, counter.hotness.stripes, 8));
}

/* How long after falling back the stripes come back, in windows of ten seconds. */
static int
windows_until_retry(Counter *counter)
{
    for (int windows = 1; windows < 1000; windows++) {
        if (feed(counter, 0, 10 * SECOND)) {
            return windows;
        }
    }
    return -1;
}

Test(hotness, tries_again_ever_more_rarely_up_to_a_quarter_of_an_hour)
{
    static const int WINDOWS[] = {6, 12, 24, 48, 90, 90};
    Counter counter = counter_new(8);
    for (size_t i = 0; i < sizeof(WINDOWS) / sizeof(WINDOWS[0]); i++) {
        cr_assert(feed(&counter, 0, 10 * SECOND), "falls back");
        cr_assert(eq(int, counter.hotness.stripes, 1));
        cr_expect(eq(int, windows_until_retry(&counter), WINDOWS[i]));
    }
}

Test(hotness, success_makes_the_next_try_come_soon_again)
{
    Counter counter = counter_new(8);
    (void)feed(&counter, 0, 10 * SECOND);
    (void)windows_until_retry(&counter);
    cr_expect(not(feed(&counter, 60, 10 * SECOND)));
    (void)feed(&counter, 0, 10 * SECOND);
    cr_expect(eq(int, windows_until_retry(&counter), 6));
}

Test(hotness, statistics_that_were_reset_begin_anew)
{
    Counter counter = counter_new(8);
    counter.updated = 10;
    counter.hot = 5;
    counter.now_us += 10 * SECOND;
    cr_expect(not(hotness_observe(&counter.hotness, counter.updated, counter.hot, counter.now_us)));
    cr_expect(not(feed(&counter, 70, 10 * SECOND)));
    cr_expect(epsilon_eq(dbl, counter.hotness.ratio_total, 0.7, 1e-9));
}

Test(hotness, a_plan_with_one_stripe_keeps_it)
{
    Counter counter = counter_new(1);
    cr_expect(not(feed(&counter, 0, 10 * SECOND)));
    cr_expect(not(feed(&counter, 90, 10 * MINUTES)));
    cr_expect(eq(int, counter.hotness.stripes, 1));
}
