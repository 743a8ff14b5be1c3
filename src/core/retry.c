#include "core/retry.h"

#include <assert.h>
#include <string.h>

#define MS ((int64_t)1000)
#define S  ((int64_t)1000000)

/* From this lock failure on, locked rows are passed over or waited for. */
#define HALVINGS_BEFORE_SKIP 2

static const BackoffPolicy NO_WAIT = {0, 0};
static const BackoffPolicy LOCK_WAIT = {20 * MS, 5 * S};
static const BackoffPolicy SESSION_WAIT = {200 * MS, 30 * S};
/* One attempt a second is all that a server without free connections should see of us. */
static const BackoffPolicy SLOT_WAIT = {1 * S, 2 * S};
static const BackoffPolicy RESOURCE_WAIT = {10 * S, 60 * S};

static RetryDecision
decision(RetryAction action, BackoffPolicy wait)
{
    return (RetryDecision){.action = action, .wait = wait};
}

void
retry_record(RetryHistory *history, ErrClass cls)
{
    if (cls == ERR_RETRY) {
        history->lock_failures++;
    } else if (cls == ERR_TIMEOUT) {
        history->timeouts++;
    } else if (cls == ERR_POISON) {
        history->poison_failures++;
    }
}

void
retry_succeeded(RetryHistory *history)
{
    *history = (RetryHistory){.at_floor = history->at_floor, .may_skip = history->may_skip};
}

bool
retry_skips_locked(const RetryHistory *history)
{
    return history->may_skip && history->lock_failures > HALVINGS_BEFORE_SKIP;
}

static RetryDecision
decide_lock_failure(const RetryHistory *history)
{
    if (history->may_skip && history->lock_failures == HALVINGS_BEFORE_SKIP + 1) {
        return decision(RETRY_SKIP_LOCKED, NO_WAIT);
    }
    /* What still fails when locked rows are skipped waits for something else, a foreign key or a
     * unique value; a smaller batch meets fewer of those. */
    if (history->at_floor) {
        return decision(RETRY_WAIT, LOCK_WAIT);
    }
    bool early = history->lock_failures <= HALVINGS_BEFORE_SKIP;
    return decision(RETRY_HALVE, early ? NO_WAIT : LOCK_WAIT);
}

static RetryDecision
decide_poison(const Err *err, const RetryHistory *history)
{
    bool may_pass = strcmp(err->sqlstate, "23503") == 0 || strcmp(err->sqlstate, "23505") == 0;
    if (may_pass && history->poison_failures <= 1) {
        return decision(RETRY_SAME, NO_WAIT);
    }
    return decision(RETRY_LOCATE, NO_WAIT);
}

RetryDecision
retry_decide(const Err *err, const RetryHistory *history)
{
    assert(err->cls != ERR_NONE);

    switch (err->cls) {
    case ERR_RETRY:
        return decide_lock_failure(history);
    case ERR_TIMEOUT:
        return history->at_floor ? decision(RETRY_WAIT, LOCK_WAIT) : decision(RETRY_HALVE, NO_WAIT);
    case ERR_RECONNECT:
        return decision(RETRY_RECONNECT, SESSION_WAIT);
    case ERR_SLOTS:
        return decision(RETRY_RECONNECT, SLOT_WAIT);
    case ERR_RESOURCE:
        return decision(RETRY_WAIT, RESOURCE_WAIT);
    case ERR_POISON:
        return decide_poison(err, history);
    case ERR_NONE:
    case ERR_CORRUPT:
    case ERR_STOPPED:
    case ERR_DRIFT:
    case ERR_USER:
    case ERR_CONNECT:
    case ERR_REFUSED:
    case ERR_DIFFERENCE:
    case ERR_BUSY:
    case ERR_LIMIT:
    case ERR_FATAL:
        break;
    }
    return decision(RETRY_FAIL, NO_WAIT);
}

int64_t
backoff_next_us(Backoff *backoff, BackoffPolicy policy, Prng *prng)
{
    if (policy.cap_us == 0) {
        return 0;
    }
    assert(policy.base_us > 0 && policy.base_us <= policy.cap_us);

    bool same_policy =
        backoff->policy.base_us == policy.base_us && backoff->policy.cap_us == policy.cap_us;
    int64_t previous_us = same_policy ? backoff->previous_us : policy.base_us;
    int64_t wait_us = prng_between(prng, policy.base_us, 3 * previous_us);
    if (wait_us > policy.cap_us) {
        wait_us = policy.cap_us;
    }
    *backoff = (Backoff){.policy = policy, .previous_us = wait_us};
    return wait_us;
}
