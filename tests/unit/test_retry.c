#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

#include "core/retry.h"

static Err
error_of(ErrClass cls, const char *sqlstate)
{
    Err err = ERR_INIT;
    (void)err_set(&err, cls, "x");
    (void)snprintf(err.sqlstate, sizeof(err.sqlstate), "%s", sqlstate);
    return err;
}

/* Record one more failure and decide. */
static RetryDecision
fail(RetryHistory *history, ErrClass cls, const char *sqlstate)
{
    Err err = error_of(cls, sqlstate);
    retry_record(history, cls);
    return retry_decide(&err, history);
}

#define assert_decision(decision, wanted, wanted_cap_us)                                           \
    do {                                                                                           \
        RetryDecision decided = (decision);                                                        \
        cr_assert(eq(int, decided.action, (wanted)));                                              \
        cr_assert(eq(i64, decided.wait.cap_us, (wanted_cap_us)));                                  \
    } while (0)

Test(retry, lock_failures_halve_twice_and_then_skip_locked_rows)
{
    RetryHistory history = {.may_skip = true};
    assert_decision(fail(&history, ERR_RETRY, "55P03"), RETRY_HALVE, 0);
    assert_decision(fail(&history, ERR_RETRY, "40P01"), RETRY_HALVE, 0);
    cr_assert(not(retry_skips_locked(&history)));
    assert_decision(fail(&history, ERR_RETRY, "55P03"), RETRY_SKIP_LOCKED, 0);
    cr_assert(retry_skips_locked(&history));
}

Test(retry, what_fails_while_skipping_is_halved_and_then_waited_for)
{
    RetryHistory history = {.may_skip = true, .lock_failures = 3};
    assert_decision(fail(&history, ERR_RETRY, "55P03"), RETRY_HALVE, 5000000);
    history.at_floor = true;
    assert_decision(fail(&history, ERR_RETRY, "55P03"), RETRY_WAIT, 5000000);
    cr_assert(retry_skips_locked(&history));
}

Test(retry, where_rows_may_not_be_skipped_it_halves_to_one_row_and_waits)
{
    RetryHistory history = {.may_skip = false};
    assert_decision(fail(&history, ERR_RETRY, "40001"), RETRY_HALVE, 0);
    assert_decision(fail(&history, ERR_RETRY, "40001"), RETRY_HALVE, 0);
    assert_decision(fail(&history, ERR_RETRY, "40001"), RETRY_HALVE, 5000000);
    history.at_floor = true;
    for (int i = 0; i < 1000; i++) {
        assert_decision(fail(&history, ERR_RETRY, "55P03"), RETRY_WAIT, 5000000);
        cr_assert(not(retry_skips_locked(&history)));
    }
}

Test(retry, one_row_is_not_halved_again_but_skipped_all_the_same)
{
    RetryHistory history = {.may_skip = true, .at_floor = true};
    assert_decision(fail(&history, ERR_RETRY, "55P03"), RETRY_WAIT, 5000000);
    assert_decision(fail(&history, ERR_RETRY, "55P03"), RETRY_WAIT, 5000000);
    assert_decision(fail(&history, ERR_RETRY, "55P03"), RETRY_SKIP_LOCKED, 0);
}

Test(retry, a_timeout_halves_and_at_the_floor_waits)
{
    RetryHistory history = {.may_skip = true};
    for (int i = 0; i < 5; i++) {
        assert_decision(fail(&history, ERR_TIMEOUT, "57014"), RETRY_HALVE, 0);
    }
    history.at_floor = true;
    assert_decision(fail(&history, ERR_TIMEOUT, "57014"), RETRY_WAIT, 5000000);
    cr_assert(eq(int, history.timeouts, 6));
    cr_assert(eq(int, history.lock_failures, 0));
}

Test(retry, sessions_are_opened_again_with_their_own_waits)
{
    RetryHistory history = {0};
    assert_decision(fail(&history, ERR_RECONNECT, "57P01"), RETRY_RECONNECT, 30000000);
    assert_decision(fail(&history, ERR_SLOTS, "53300"), RETRY_RECONNECT, 2000000);
    assert_decision(fail(&history, ERR_RESOURCE, "53100"), RETRY_WAIT, 60000000);
}

Test(retry, key_violations_get_one_plain_retry_and_then_the_row_is_located)
{
    static const char *const STATES[] = {"23503", "23505"};
    for (size_t i = 0; i < 2; i++) {
        RetryHistory history = {0};
        assert_decision(fail(&history, ERR_POISON, STATES[i]), RETRY_SAME, 0);
        assert_decision(fail(&history, ERR_POISON, STATES[i]), RETRY_LOCATE, 0);
        assert_decision(fail(&history, ERR_POISON, STATES[i]), RETRY_LOCATE, 0);
    }
}

Test(retry, other_refused_rows_are_located_at_once)
{
    static const char *const STATES[] = {"22P02", "23514", "23502", "P0001", ""};
    for (size_t i = 0; i < sizeof(STATES) / sizeof(STATES[0]); i++) {
        RetryHistory history = {0};
        assert_decision(fail(&history, ERR_POISON, STATES[i]), RETRY_LOCATE, 0);
    }
}

Test(retry, everything_else_is_given_up)
{
    static const ErrClass CLASSES[] = {ERR_CORRUPT, ERR_STOPPED, ERR_DRIFT, ERR_USER, ERR_CONNECT,
        ERR_REFUSED, ERR_DIFFERENCE, ERR_BUSY, ERR_LIMIT, ERR_FATAL};
    for (size_t i = 0; i < sizeof(CLASSES) / sizeof(CLASSES[0]); i++) {
        RetryHistory history = {.may_skip = true};
        assert_decision(fail(&history, CLASSES[i], ""), RETRY_FAIL, 0);
    }
}

Test(retry, a_success_forgets_failures_and_keeps_what_the_owner_set)
{
    RetryHistory history = {.may_skip = true, .at_floor = true};
    for (int i = 0; i < 4; i++) {
        (void)fail(&history, ERR_RETRY, "55P03");
        (void)fail(&history, ERR_TIMEOUT, "57014");
        (void)fail(&history, ERR_POISON, "23505");
    }
    retry_succeeded(&history);
    cr_assert(eq(int, history.lock_failures, 0));
    cr_assert(eq(int, history.timeouts, 0));
    cr_assert(eq(int, history.poison_failures, 0));
    cr_assert(history.may_skip);
    cr_assert(history.at_floor);
    cr_assert(not(retry_skips_locked(&history)));
}

static const BackoffPolicy POLICY = {.base_us = 20000, .cap_us = 5000000};

Test(backoff, each_wait_is_between_the_base_and_three_times_the_one_before)
{
    Prng prng;
    prng_init(&prng, 1);
    for (int round = 0; round < 200; round++) {
        Backoff backoff = BACKOFF_INIT;
        int64_t previous_us = POLICY.base_us;
        for (int i = 0; i < 20; i++) {
            int64_t wait_us = backoff_next_us(&backoff, POLICY, &prng);
            cr_assert(le(i64, POLICY.base_us, wait_us));
            cr_assert(le(i64, wait_us, 3 * previous_us));
            cr_assert(le(i64, wait_us, POLICY.cap_us));
            previous_us = wait_us;
        }
    }
}

Test(backoff, reaches_the_cap_and_never_exceeds_it)
{
    Prng prng;
    prng_init(&prng, 7);
    Backoff backoff = BACKOFF_INIT;
    int64_t longest_us = 0;
    for (int i = 0; i < 1000; i++) {
        int64_t wait_us = backoff_next_us(&backoff, POLICY, &prng);
        longest_us = wait_us > longest_us ? wait_us : longest_us;
    }
    cr_assert(eq(i64, longest_us, POLICY.cap_us));
}

Test(backoff, two_workers_do_not_wait_in_step)
{
    Prng first_prng;
    Prng second_prng;
    prng_init(&first_prng, 1);
    prng_init(&second_prng, 2);
    Backoff first = BACKOFF_INIT;
    Backoff second = BACKOFF_INIT;
    int equal = 0;
    for (int i = 0; i < 8; i++) {
        equal += backoff_next_us(&first, POLICY, &first_prng) ==
                         backoff_next_us(&second, POLICY, &second_prng)
                     ? 1
                     : 0;
    }
    cr_assert(lt(int, equal, 2));
}

Test(backoff, another_policy_starts_from_its_own_base)
{
    Prng prng;
    prng_init(&prng, 3);
    Backoff backoff = BACKOFF_INIT;
    const BackoffPolicy slow = {.base_us = 10000000, .cap_us = 60000000};
    for (int i = 0; i < 10; i++) {
        cr_assert(le(i64, slow.base_us, backoff_next_us(&backoff, slow, &prng)));
    }
    cr_assert(le(i64, backoff_next_us(&backoff, POLICY, &prng), 3 * POLICY.base_us));
}

Test(backoff, a_policy_without_a_wait_waits_not)
{
    Prng prng;
    prng_init(&prng, 3);
    Backoff backoff = BACKOFF_INIT;
    cr_assert(eq(i64, backoff_next_us(&backoff, (BackoffPolicy){0, 0}, &prng), 0));
}

/* First outputs of splitmix64 for seed 1234567, as published with the reference code. */
Test(prng, gives_the_reference_sequence)
{
    static const uint64_t EXPECTED[] = {UINT64_C(6457827717110365317),
        UINT64_C(3203168211198807973), UINT64_C(9817491932198370423), UINT64_C(4593380528125082431),
        UINT64_C(16408922859458223821)};
    Prng prng;
    prng_init(&prng, 1234567);
    for (int i = 0; i < 5; i++) {
        cr_assert(eq(u64, prng_next(&prng), EXPECTED[i]));
    }
}

Test(prng, stays_between_its_bounds_and_reaches_both)
{
    Prng prng;
    prng_init(&prng, 5);
    int seen[7] = {0};
    for (int i = 0; i < 7000; i++) {
        int64_t drawn = prng_between(&prng, -3, 3);
        cr_assert(le(i64, -3, drawn));
        cr_assert(le(i64, drawn, 3));
        seen[drawn + 3]++;
    }
    for (int i = 0; i < 7; i++) {
        cr_assert(le(int, 850, seen[i]));
        cr_assert(le(int, seen[i], 1150));
    }
}

Test(prng, takes_a_single_number_and_the_whole_range)
{
    Prng prng;
    prng_init(&prng, 5);
    cr_assert(eq(i64, prng_between(&prng, 9, 9), 9));
    int negative = 0;
    for (int i = 0; i < 100; i++) {
        negative += prng_between(&prng, INT64_MIN, INT64_MAX) < 0 ? 1 : 0;
    }
    cr_assert(le(int, 25, negative));
    cr_assert(le(int, negative, 75));
}
