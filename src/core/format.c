#include "core/format.h"

#include <stdio.h>

#define US_PER_MS ((int64_t)1000)
#define US_PER_S  ((int64_t)1000000)

/* Quotient rounded to the nearest; written without a sum that could overflow. */
static int64_t
divide_rounded(int64_t value, int64_t unit)
{
    return value / unit + (value % unit >= (unit + 1) / 2 ? 1 : 0);
}

static void
format_under_a_minute(int64_t duration_us, char *buf)
{
    /* Each test is made on the rounded number: 999.6 ms is "1.0 s", never "1000 ms". */
    int64_t ms = divide_rounded(duration_us, US_PER_MS);
    int64_t tenths = divide_rounded(duration_us, US_PER_S / 10);
    if (duration_us < US_PER_MS) {
        (void)snprintf(buf, FORMAT_SIZE, "%lld us", (long long)duration_us);
    } else if (ms < 1000) {
        (void)snprintf(buf, FORMAT_SIZE, "%lld ms", (long long)ms);
    } else if (tenths < 100) {
        (void)snprintf(
            buf, FORMAT_SIZE, "%lld.%lld s", (long long)(tenths / 10), (long long)(tenths % 10));
    } else {
        (void)snprintf(
            buf, FORMAT_SIZE, "%lld s", (long long)divide_rounded(duration_us, US_PER_S));
    }
}

const char *
format_duration(int64_t duration_us, char buf[static FORMAT_SIZE])
{
    if (duration_us < 0) {
        (void)snprintf(buf, FORMAT_SIZE, "unknown");
        return buf;
    }
    if (divide_rounded(duration_us, US_PER_S) < 60) {
        format_under_a_minute(duration_us, buf);
        return buf;
    }

    long long seconds = (long long)(duration_us / US_PER_S);
    if (seconds < 60) { /* 59.5 s and more rounds up to the minute */
        seconds = 60;
    }
    long long minutes = seconds / 60;
    long long hours = minutes / 60;
    if (hours == 0) {
        (void)snprintf(buf, FORMAT_SIZE, "%lldm %02llds", minutes, seconds % 60);
    } else if (hours < 24) {
        (void)snprintf(buf, FORMAT_SIZE, "%lldh %02lldm", hours, minutes % 60);
    } else {
        (void)snprintf(buf, FORMAT_SIZE, "%lldd %02lldh", hours / 24, hours % 24);
    }
    return buf;
}

/* At least three digits of `value`, which is not below 1, in the largest unit that keeps it so. */
static void
format_scaled(int64_t value, double step, const char *const *units, char *buf)
{
    double scaled = (double)value;
    size_t unit = 0;
    /* 999.5 k would print as "1000 k": that is where the next unit begins. */
    while (scaled >= step - 0.5 && units[unit + 1] != NULL) {
        scaled /= step;
        unit++;
    }
    int decimals = 0;
    if (scaled < 9.995) {
        decimals = 2;
    } else if (scaled < 99.95) {
        decimals = 1;
    }
    (void)snprintf(buf, FORMAT_SIZE, "%.*f %s", decimals, scaled, units[unit]);
}

const char *
format_count(int64_t count, char buf[static FORMAT_SIZE])
{
    static const char *const UNITS[] = {"", "k", "M", "G", "T", NULL};
    if (count < 1000) {
        (void)snprintf(buf, FORMAT_SIZE, "%lld", (long long)count);
    } else {
        format_scaled(count, 1000.0, UNITS, buf);
    }
    return buf;
}

const char *
format_bytes(int64_t bytes, char buf[static FORMAT_SIZE])
{
    static const char *const UNITS[] = {"bytes", "kB", "MB", "GB", "TB", "PB", NULL};
    if (bytes < 1024) {
        (void)snprintf(buf, FORMAT_SIZE, "%lld bytes", (long long)bytes);
    } else {
        format_scaled(bytes, 1024.0, UNITS, buf);
    }
    return buf;
}

const char *
format_percent(double share, char buf[static FORMAT_SIZE])
{
    double clamped = share < 0.0 ? 0.0 : share;
    if (clamped > 1.0) {
        clamped = 1.0;
    }
    /* The small term undoes binary representation: 0.29 is a little less than 0.29. */
    int permille = (int)(clamped * 1000.0 + 1e-9);
    (void)snprintf(buf, FORMAT_SIZE, "%d.%d %%", permille / 10, permille % 10);
    return buf;
}
