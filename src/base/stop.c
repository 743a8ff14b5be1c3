#include "base/stop.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

#include "base/clock.h"

void
stop_init(StopToken *token)
{
    token->level = STOP_NONE;
    int rc = pthread_mutex_init(&token->lock, NULL);
    assert(rc == 0);

    pthread_condattr_t attr;
    rc = pthread_condattr_init(&attr);
    assert(rc == 0);
    rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    assert(rc == 0);
    rc = pthread_cond_init(&token->changed, &attr);
    assert(rc == 0);
    rc = pthread_condattr_destroy(&attr);
    assert(rc == 0);
    (void)rc;
}

void
stop_destroy(StopToken *token)
{
    (void)pthread_cond_destroy(&token->changed);
    (void)pthread_mutex_destroy(&token->lock);
}

void
stop_request(StopToken *token, StopLevel level)
{
    (void)pthread_mutex_lock(&token->lock);
    if (level > token->level) {
        token->level = level;
        (void)pthread_cond_broadcast(&token->changed);
    }
    (void)pthread_mutex_unlock(&token->lock);
}

StopLevel
stop_level(StopToken *token)
{
    (void)pthread_mutex_lock(&token->lock);
    StopLevel level = token->level;
    (void)pthread_mutex_unlock(&token->lock);
    return level;
}

StopLevel
stop_sleep_us(StopToken *token, int64_t timeout_us)
{
    int64_t until_us = clock_mono_us() + timeout_us;
    struct timespec until = {
        .tv_sec = (time_t)(until_us / 1000000),
        .tv_nsec = (long)(until_us % 1000000) * 1000,
    };

    (void)pthread_mutex_lock(&token->lock);
    while (token->level == STOP_NONE) {
        if (pthread_cond_timedwait(&token->changed, &token->lock, &until) == ETIMEDOUT) {
            break;
        }
    }
    StopLevel level = token->level;
    (void)pthread_mutex_unlock(&token->lock);
    return level;
}
