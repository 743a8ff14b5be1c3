#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/governor.h"

#define MS ((int64_t)1000)
#define S  ((int64_t)1000000)
#define MB ((uint64_t)1024 * 1024)

/* Limits of every test: lag 2 s and 256 MB, 5 waiters; standbys s1 and s2 are expected. */
static const char *expected[] = {"s1", "s2"};
static ThrottleSpec throttle;
static Governor governor;
static GovernorSetup setup;

/* The sample, and the server that it was taken from: tests change these and call step(). */
static StandbySignal standbys[4];
static Signals sample;
static int64_t now_us;

static void
begin(void)
{
    now_us = 1000 * S;
    throttle = (ThrottleSpec){.lag_us = 2 * S, .lag_bytes = (int64_t)(256 * MB), .lock_waiters = 5};
    setup = (GovernorSetup){
        .throttle = &throttle,
        .table = "shop.orders",
        .role = "mover",
        .standbys = {.names = expected, .count = 2},
    };
    standbys[0] = (StandbySignal){.name = "s1", .connected = true, .readable = true};
    standbys[1] = (StandbySignal){.name = "s2", .connected = true, .readable = true};
    sample = (Signals){.standbys = standbys, .standby_count = 2, .waiters_known = true};
    governor_init(&governor, &setup, now_us);
}

TestSuite(governor, .init = begin);

/* A new sample after `elapsed_us`, and the verdict on it. */
static const Verdict *
step(int64_t elapsed_us)
{
    now_us += elapsed_us;
    sample.sampled_us = now_us;
    return governor_decide(&governor, &sample, now_us);
}

/* The primary writes one byte in each quarter of a second; only s2 replays it. */
static const Verdict *
write_while_s1_is_stuck(int quarters)
{
    const Verdict *verdict = NULL;
    for (int i = 0; i < quarters; i++) {
        sample.primary_lsn++;
        standbys[1].replay_lsn = sample.primary_lsn;
        verdict = step(250 * MS);
    }
    return verdict;
}

static void
expect_pause(const Verdict *verdict, SignalId reason_code, const char *reason)
{
    cr_assert(verdict->pause);
    cr_assert(eq(int, verdict->reason_code, reason_code), "reason: %s", verdict->reason);
    cr_assert(eq(int, strcmp(verdict->reason, reason), 0), "reason: %s", verdict->reason);
}

static void
expect_go(const Verdict *verdict)
{
    cr_assert(not(verdict->pause), "reason: %s", verdict->reason);
    cr_assert(eq(int, verdict->reason_code, SIGNAL_NONE));
    cr_assert(eq(chr, verdict->reason[0], '\0'));
}

Test(governor, goes_on_while_all_is_well)
{
    sample.primary_lsn = 100;
    standbys[0].replay_lsn = 100;
    standbys[1].replay_lsn = 100;
    for (int i = 0; i < 100; i++) {
        expect_go(step(250 * MS));
    }
    cr_assert(eq(i64, governor_paused_total_us(&governor), 0));
}

Test(governor, pauses_until_the_first_sample)
{
    expect_pause(governor_decide(&governor, &sample, now_us), SIGNAL_PROBE,
        "the server has not answered the probe yet");
    expect_go(step(10 * MS));
}

Test(governor, an_old_sample_is_no_evidence)
{
    expect_go(step(1 * S));
    expect_go(governor_decide(&governor, &sample, now_us + 5 * S));
    expect_pause(governor_decide(&governor, &sample, now_us + 5 * S + 1), SIGNAL_PROBE,
        "the server has not answered the probe for 5 s");
    expect_pause(governor_decide(&governor, &sample, now_us + 75 * S), SIGNAL_PROBE,
        "the server has not answered the probe for 75 s");
    expect_go(step(80 * S));
}

Test(governor, pauses_over_the_lag_limit_and_resumes_below_70_percent)
{
    expect_go(write_while_s1_is_stuck(9)); /* the first missing byte is exactly 2 s old */
    expect_pause(
        write_while_s1_is_stuck(1), SIGNAL_LAG, "replication lag of s1 is 2.3 s (limit 2.0 s)");

    /* s1 catches up to where it is 1.5 s, then 1.25 s behind. */
    standbys[0].replay_lsn = sample.primary_lsn - 6;
    expect_pause(write_while_s1_is_stuck(1), SIGNAL_LAG,
        "replication lag of s1 is 1.5 s (limit 2.0 s, resumes below 1.4 s)");
    standbys[0].replay_lsn = sample.primary_lsn - 5;
    expect_go(write_while_s1_is_stuck(1));
}

Test(governor, lag_below_the_limit_does_not_pause_a_running_move)
{
    expect_go(write_while_s1_is_stuck(8));
    standbys[0].replay_lsn = sample.primary_lsn - 6;
    expect_go(write_while_s1_is_stuck(1));
}

Test(governor, pauses_over_the_byte_limit_and_resumes_below_70_percent)
{
    standbys[1].replay_lsn = sample.primary_lsn = 1000 * MB;
    standbys[0].replay_lsn = sample.primary_lsn - 256 * MB;
    expect_go(step(1 * MS));
    standbys[0].replay_lsn = sample.primary_lsn - 257 * MB;
    expect_pause(step(1 * MS), SIGNAL_LAG_BYTES, "replication lag of s1 is 257 MB (limit 256 MB)");
    standbys[0].replay_lsn = sample.primary_lsn - 180 * MB;
    expect_pause(step(1 * MS), SIGNAL_LAG_BYTES,
        "replication lag of s1 is 180 MB (limit 256 MB, resumes below 179 MB)");
    standbys[0].replay_lsn = sample.primary_lsn - 179 * MB;
    expect_go(step(1 * MS));
}

Test(governor, names_the_standby_that_is_furthest_behind)
{
    standbys[0].replay_lsn = 700 * MB;
    standbys[1].replay_lsn = 500 * MB;
    sample.primary_lsn = 1000 * MB;
    expect_pause(step(1 * MS), SIGNAL_LAG_BYTES, "replication lag of s2 is 500 MB (limit 256 MB)");
}

Test(governor, lag_in_seconds_is_told_before_lag_in_bytes)
{
    sample.primary_lsn = 1000 * MB;
    expect_pause(step(1 * MS), SIGNAL_LAG_BYTES, "replication lag of s1 is 1000 MB (limit 256 MB)");
    expect_pause(step(3 * S), SIGNAL_LAG, "replication lag of s1 is 3.0 s (limit 2.0 s)");
}

Test(governor, a_standby_ahead_of_the_sample_does_not_lag)
{
    sample.primary_lsn = 100;
    standbys[0].replay_lsn = 200;
    standbys[1].replay_lsn = UINT64_MAX;
    expect_go(step(1 * S));
}

Test(governor, a_vanished_standby_pauses)
{
    sample.standby_count = 1;
    expect_pause(step(1 * S), SIGNAL_STANDBY_CONNECTED, "standby s2 is not connected");
    sample.standby_count = 2;
    standbys[1].connected = false;
    expect_pause(step(1 * S), SIGNAL_STANDBY_CONNECTED, "standby s2 is not connected");
    standbys[1].connected = true;
    expect_go(step(1 * S));
}

Test(governor, a_standby_that_comes_back_must_be_well_below_the_limit)
{
    standbys[0].replay_lsn = sample.primary_lsn = 1000 * MB;
    standbys[1] = (StandbySignal){.name = "s2", .readable = true, .replay_lsn = 800 * MB};
    expect_pause(step(1 * S), SIGNAL_STANDBY_CONNECTED, "standby s2 is not connected");
    standbys[1].connected = true;
    expect_pause(step(1 * MS), SIGNAL_LAG_BYTES,
        "replication lag of s2 is 200 MB (limit 256 MB, resumes below 179 MB)");
}

Test(governor, an_unreadable_standby_pauses_with_the_grant_that_helps)
{
    standbys[0].readable = false;
    expect_pause(step(1 * S), SIGNAL_STANDBY_READABLE,
        "the replay position of s1 cannot be read: GRANT pg_monitor TO mover");
    standbys[0].readable = true;
    expect_go(step(1 * S));
}

Test(governor, a_vanished_standby_is_told_before_an_unreadable_one)
{
    standbys[0].readable = false;
    standbys[1].connected = false;
    expect_pause(step(1 * S), SIGNAL_STANDBY_CONNECTED, "standby s2 is not connected");
}

Test(governor, blind_lag_leaves_out_the_unreadable_but_not_the_vanished)
{
    setup.allow_blind_lag = true;
    governor_init(&governor, &setup, now_us);
    standbys[0].readable = false;
    sample.primary_lsn = 1000 * MB;
    standbys[1].replay_lsn = sample.primary_lsn;
    expect_go(step(1 * S));
    standbys[1].readable = false;
    expect_go(step(1 * S));
    standbys[0].connected = false;
    expect_pause(step(1 * S), SIGNAL_STANDBY_CONNECTED, "standby s1 is not connected");
}

Test(governor, standbys_that_are_not_expected_are_left_out)
{
    standbys[1].replay_lsn = standbys[0].replay_lsn = sample.primary_lsn = 1000 * MB;
    standbys[2] = (StandbySignal){.name = "s3", .connected = true, .readable = true};
    standbys[3] = (StandbySignal){.name = "s4", .connected = true, .readable = false};
    sample.standby_count = 4;
    expect_go(step(1 * S));
    expect_go(step(10 * S));
}

Test(governor, without_expected_standbys_nothing_is_asked_of_them)
{
    setup.standbys.count = 0;
    governor_init(&governor, &setup, now_us);
    sample.standby_count = 0;
    sample.primary_lsn = 1000 * MB;
    expect_go(step(1 * S));
    expect_go(step(10 * S));
}

Test(governor, of_two_expected_standbys_with_one_name_both_must_be_there)
{
    static const char *same[] = {"walreceiver", "walreceiver"};
    setup.standbys = (NameList){.names = same, .count = 2};
    governor_init(&governor, &setup, now_us);
    standbys[0].name = standbys[1].name = "walreceiver";
    expect_go(step(1 * S));
    sample.primary_lsn = 1000 * MB;
    standbys[0].replay_lsn = 1000 * MB;
    standbys[1].replay_lsn = 500 * MB;
    expect_pause(
        step(1 * MS), SIGNAL_LAG_BYTES, "replication lag of walreceiver is 500 MB (limit 256 MB)");
    sample.standby_count = 1;
    expect_pause(step(1 * MS), SIGNAL_STANDBY_CONNECTED, "standby walreceiver is not connected");
}

Test(governor, a_broken_session_beside_its_successor_does_not_count)
{
    sample.primary_lsn = 1000 * MB;
    standbys[0].replay_lsn = 500 * MB; /* the session that was cut, not yet timed out */
    standbys[1].replay_lsn = 1000 * MB;
    standbys[2] = standbys[0];
    standbys[2].replay_lsn = 1000 * MB;
    sample.standby_count = 3;
    expect_go(step(1 * S));
}

Test(governor, a_failover_to_a_shorter_timeline_does_not_lag)
{
    sample.primary_lsn = 1000;
    standbys[0].replay_lsn = standbys[1].replay_lsn = 1000;
    expect_go(step(1 * S));
    sample.primary_lsn = 900;
    standbys[0].replay_lsn = standbys[1].replay_lsn = 900;
    expect_go(step(10 * S));
}

Test(governor, pauses_at_the_limit_of_lock_waiters)
{
    sample.lock_waiters = 4;
    expect_go(step(100 * MS));
    sample.lock_waiters = 5;
    expect_pause(
        step(100 * MS), SIGNAL_LOCK_WAITERS, "5 sessions wait for locks on shop.orders (limit 5)");
    sample.lock_waiters = 7;
    expect_pause(
        step(100 * MS), SIGNAL_LOCK_WAITERS, "7 sessions wait for locks on shop.orders (limit 5)");
}

Test(governor, resumes_after_300_ms_below_the_limit_of_lock_waiters)
{
    sample.lock_waiters = 5;
    (void)step(100 * MS);
    sample.lock_waiters = 1;
    expect_pause(step(100 * MS), SIGNAL_LOCK_WAITERS,
        "1 session waits for locks on shop.orders (limit 5, resumes after 300 ms below it)");
    cr_assert(step(299 * MS)->pause);
    expect_go(step(1 * MS));
}

Test(governor, one_busy_sample_starts_the_calm_time_again)
{
    sample.lock_waiters = 5;
    (void)step(100 * MS);
    sample.lock_waiters = 0;
    cr_assert(step(200 * MS)->pause);
    sample.lock_waiters = 5;
    cr_assert(step(100 * MS)->pause);
    sample.lock_waiters = 0;
    cr_assert(step(100 * MS)->pause);
    cr_assert(step(200 * MS)->pause);
    expect_go(step(100 * MS));
}

Test(governor, the_same_sample_looked_at_twice_is_not_calm)
{
    sample.lock_waiters = 5;
    (void)step(100 * MS);
    sample.lock_waiters = 0;
    (void)step(100 * MS);
    cr_assert(governor_decide(&governor, &sample, now_us + 400 * MS)->pause);
}

Test(governor, unreadable_lock_waits_pause)
{
    sample.waiters_known = false;
    expect_pause(step(100 * MS), SIGNAL_LOCK_WAITERS,
        "it cannot be read who waits for locks on shop.orders");
}

Test(governor, lock_waiters_are_told_before_standbys)
{
    sample.lock_waiters = 9;
    sample.standby_count = 0;
    expect_pause(
        step(100 * MS), SIGNAL_LOCK_WAITERS, "9 sessions wait for locks on shop.orders (limit 5)");
    sample.lock_waiters = 0;
    (void)step(100 * MS);
    expect_pause(step(300 * MS), SIGNAL_STANDBY_CONNECTED, "standby s1 is not connected");
}

Test(governor, a_limit_of_zero_is_off)
{
    throttle = (ThrottleSpec){.lag_us = 0};
    governor_init(&governor, &setup, now_us);
    sample.waiters_known = false;
    sample.lock_waiters = 100;
    sample.standby_count = 0;
    expect_go(step(1 * S));
}

Test(governor, with_one_lag_limit_off_the_other_still_guards)
{
    throttle.lag_us = 0;
    governor_init(&governor, &setup, now_us);
    sample.primary_lsn = 100;
    expect_go(step(1 * S));
    expect_go(step(60 * S));
    sample.primary_lsn = 300 * MB;
    expect_pause(step(1 * S), SIGNAL_LAG_BYTES, "replication lag of s1 is 300 MB (limit 256 MB)");
}

Test(governor, new_limits_count_from_the_next_decision)
{
    sample.primary_lsn = 300 * MB;
    expect_pause(step(1 * MS), SIGNAL_LAG_BYTES, "replication lag of s1 is 300 MB (limit 256 MB)");
    ThrottleSpec wider = throttle;
    wider.lag_bytes = (int64_t)(1024 * MB);
    governor_set_throttle(&governor, &wider);
    expect_go(step(1 * MS));
}

Test(governor, since_is_the_begin_of_the_pause_whatever_its_reasons)
{
    cr_assert(eq(i64, governor.verdict.since_us, now_us));
    expect_go(step(1 * S));
    cr_assert(eq(i64, governor.verdict.since_us, 1000 * S));

    sample.standby_count = 1;
    int64_t begin_us = step(1 * S)->since_us;
    cr_assert(eq(i64, begin_us, now_us));
    sample.lock_waiters = 9;
    const Verdict *verdict = step(1 * S);
    cr_assert(eq(int, verdict->reason_code, SIGNAL_LOCK_WAITERS));
    cr_assert(eq(i64, verdict->since_us, begin_us));

    sample.lock_waiters = 0;
    sample.standby_count = 2;
    (void)step(1 * S);
    expect_go(step(1 * S));
    cr_assert(eq(i64, governor.verdict.since_us, now_us));
}

Test(governor, adds_up_paused_time_by_reason)
{
    expect_go(step(1 * S));
    sample.standby_count = 1;
    (void)step(1 * S); /* the pause begins here */
    (void)step(1 * S);
    sample.lock_waiters = 9;
    (void)step(1 * S);
    sample.lock_waiters = 0;
    sample.standby_count = 2;
    (void)step(500 * MS);
    expect_go(step(500 * MS));
    (void)step(10 * S);

    cr_assert(eq(i64, governor_paused_us(&governor, SIGNAL_STANDBY_CONNECTED), 2 * S));
    cr_assert(eq(i64, governor_paused_us(&governor, SIGNAL_LOCK_WAITERS), 1 * S));
    cr_assert(eq(i64, governor_paused_us(&governor, SIGNAL_LAG), 0));
    cr_assert(eq(i64, governor_paused_total_us(&governor), 3 * S));
}

Test(governor, names_of_full_length_fit_into_the_reason)
{
    char name[64];
    char table[260];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    memset(table, 't', sizeof(table) - 1);
    table[sizeof(table) - 1] = '\0';
    const char *names[] = {name};
    setup.standbys = (NameList){.names = names, .count = 1};
    setup.table = table;
    governor_init(&governor, &setup, now_us);
    standbys[0].name = name;
    sample.lock_waiters = 5;
    (void)step(100 * MS);
    sample.lock_waiters = 4;
    const Verdict *verdict = step(100 * MS);
    cr_assert(ne(ptr, strstr(verdict->reason, "resumes after 300 ms below it)"), NULL));
}

Test(signals, every_signal_has_a_name_of_its_own_and_a_description)
{
    for (int i = 0; i < SIGNAL_COUNT; i++) {
        const SignalDef *def = signal_def((SignalId)i);
        cr_assert(lt(sz, 0, strlen(def->name)));
        cr_assert(lt(sz, 0, strlen(def->description)));
        for (int other = 0; other < i; other++) {
            cr_assert(ne(int, strcmp(def->name, signal_def((SignalId)other)->name), 0));
        }
        cr_assert(eq(int, def->kind, i == SIGNAL_NONE ? SIGNAL_ADVISORY : SIGNAL_GUARD));
    }
}

Test(governor, pause_by_a_person_comes_before_every_other_reason)
{
    expect_go(step(250 * MS));
    sample.paused = "paused by alice: lunch";
    expect_pause(step(250 * MS), SIGNAL_PAUSED, "paused by alice: lunch");
    standbys[0].connected = false;
    expect_pause(step(10 * S), SIGNAL_PAUSED, "paused by alice: lunch");
    sample.paused = NULL;
    expect_pause(step(250 * MS), SIGNAL_STANDBY_CONNECTED, "standby s1 is not connected");
    cr_assert(eq(i64, governor_paused_us(&governor, SIGNAL_PAUSED), 10 * S + 250 * MS));
}
