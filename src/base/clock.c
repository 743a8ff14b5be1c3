#include "base/clock.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

int64_t
clock_mono_us(void)
{
    struct timespec now;
    int rc = clock_gettime(CLOCK_MONOTONIC, &now);
    assert(rc == 0);
    (void)rc;
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void
clock_sleep_us(int64_t us)
{
    struct timespec wait = {
        .tv_sec = (time_t)(us / 1000000),
        .tv_nsec = (long)(us % 1000000) * 1000,
    };
    (void)nanosleep(&wait, NULL);
}

void
clock_format_now(char *buf, size_t size)
{
    struct timespec now;
    struct tm utc;
    int rc = clock_gettime(CLOCK_REALTIME, &now);
    assert(rc == 0);
    (void)rc;
    (void)gmtime_r(&now.tv_sec, &utc);

    char day[24];
    size_t len = strftime(day, sizeof(day), "%Y-%m-%d %H:%M:%S", &utc);
    assert(len > 0);
    (void)len;
    (void)snprintf(buf, size, "%s.%03dZ", day, (int)(now.tv_nsec / 1000000));
}
