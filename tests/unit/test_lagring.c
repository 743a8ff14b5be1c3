#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "core/lagring.h"

#define S ((int64_t)1000000)

static LagRing ring;

static void
begin(void)
{
    lagring_init(&ring);
}

TestSuite(lagring, .init = begin);

Test(lagring, without_samples_there_is_no_lag)
{
    cr_assert(eq(i64, lagring_lag_us(&ring, 0, 5 * S), 0));
}

Test(lagring, lag_is_the_age_of_the_oldest_sample_beyond_the_replayed_position)
{
    lagring_add(&ring, 1 * S, 100);
    lagring_add(&ring, 2 * S, 200);
    lagring_add(&ring, 3 * S, 300);
    cr_assert(eq(i64, lagring_lag_us(&ring, 99, 3 * S), 2 * S));
    cr_assert(eq(i64, lagring_lag_us(&ring, 100, 3 * S), 1 * S));
    cr_assert(eq(i64, lagring_lag_us(&ring, 250, 7 * S), 4 * S));
    cr_assert(eq(i64, lagring_lag_us(&ring, 300, 7 * S), 0));
    cr_assert(eq(i64, lagring_lag_us(&ring, 301, 7 * S), 0));
}

Test(lagring, an_idle_cluster_never_lags)
{
    for (int64_t second = 1; second <= 7200; second++) {
        lagring_add(&ring, second * S, 500);
    }
    cr_assert(eq(i64, lagring_lag_us(&ring, 500, 7200 * S), 0));
    cr_assert(eq(int, ring.count, 1));
}

Test(lagring, lag_after_an_idle_time_begins_with_the_first_write)
{
    lagring_add(&ring, 1 * S, 500);
    lagring_add(&ring, 1000 * S, 500);
    lagring_add(&ring, 1001 * S, 501);
    cr_assert(eq(i64, lagring_lag_us(&ring, 500, 1002 * S), 1 * S));
}

Test(lagring, a_cut_link_lags_for_ever_longer_though_nothing_is_written)
{
    lagring_add(&ring, 1 * S, 500);
    for (int64_t second = 2; second <= 60; second++) {
        lagring_add(&ring, second * S, 600);
    }
    cr_assert(eq(i64, lagring_lag_us(&ring, 500, 60 * S), 58 * S));
}

Test(lagring, a_position_that_goes_back_forgets_the_old_timeline)
{
    lagring_add(&ring, 1 * S, 1000);
    lagring_add(&ring, 2 * S, 2000);
    lagring_add(&ring, 9 * S, 1500);
    cr_assert(eq(int, ring.count, 1));
    cr_assert(eq(i64, lagring_lag_us(&ring, 900, 10 * S), 1 * S));
    cr_assert(eq(i64, lagring_lag_us(&ring, 1500, 10 * S), 0));
}

Test(lagring, a_clock_before_the_sample_gives_no_negative_lag)
{
    lagring_add(&ring, 5 * S, 100);
    cr_assert(eq(i64, lagring_lag_us(&ring, 0, 4 * S), 0));
}

/* Four probes a second for twelve hours, the position growing by one each time. */
Test(lagring, a_full_ring_covers_hours_and_stays_exact_for_seconds)
{
    const int64_t step_us = S / 4;
    const int64_t probes = (int64_t)12 * 3600 * 4;
    for (int64_t i = 1; i <= probes; i++) {
        lagring_add(&ring, i * step_us, (uint64_t)i);
    }
    int64_t now_us = probes * step_us;
    cr_assert(eq(int, ring.count, LAGRING_CAPACITY));
    for (int64_t behind = 1; behind < probes; behind = behind * 3 / 2 + 1) {
        int64_t exact_us = (behind - 1) * step_us;
        int64_t lag_us = lagring_lag_us(&ring, (uint64_t)(probes - behind), now_us);
        cr_assert(le(i64, lag_us, exact_us));
        cr_assert(le(i64, exact_us - exact_us / 50, lag_us), "%lld probes behind: %lld us",
            (long long)behind, (long long)lag_us);
        if (exact_us <= 10 * S) {
            cr_assert(eq(i64, lag_us, exact_us));
        }
    }
}

Test(lagring, thinning_keeps_the_order_and_the_oldest_sample)
{
    for (int64_t i = 1; i <= 5000; i++) {
        lagring_add(&ring, i * S, (uint64_t)i);
    }
    cr_assert(eq(u64, ring.samples[0].lsn, 1));
    cr_assert(eq(u64, ring.samples[ring.count - 1].lsn, 5000));
    for (int i = 1; i < ring.count; i++) {
        cr_assert(lt(u64, ring.samples[i - 1].lsn, ring.samples[i].lsn));
        cr_assert(lt(i64, ring.samples[i - 1].time_us, ring.samples[i].time_us));
    }
}

Test(lagring, reads_positions_as_the_server_prints_them)
{
    uint64_t lsn = 0;
    cr_assert(lsn_parse("16/B374D848", &lsn));
    cr_assert(eq(u64, lsn, UINT64_C(0x16B374D848)));
    cr_assert(lsn_parse("0/0", &lsn));
    cr_assert(eq(u64, lsn, 0));
    cr_assert(lsn_parse("FFFFFFFF/ffffffff", &lsn));
    cr_assert(eq(u64, lsn, UINT64_MAX));
    cr_assert(lsn_parse("1/2", &lsn));
    cr_assert(eq(u64, lsn, UINT64_C(0x100000002)));
}

Test(lagring, refuses_what_is_not_a_position)
{
    static const char *const WRONG[] = {"", "/", "1", "1/", "/1", "1/2/3", "1/2 ", " 1/2", "-1/2",
        "1/0x2", "1/G", "123456789/0", "0/123456789", "+1/1"};
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        uint64_t lsn = 42;
        cr_assert(not(lsn_parse(WRONG[i], &lsn)), "'%s' was taken", WRONG[i]);
        cr_assert(eq(u64, lsn, 42));
    }
}
