/*
 * format.h - numbers as people read them: "2h 03m", "1.24 M", "12.3 MB", "99.9 %".
 *
 * For terminal lines and reason texts only; machine output carries plain numbers with a unit in
 * the name.  Every function fills `buf` and returns it, so that it can be an argument of printf;
 * two calls in one statement need two buffers.
 */
#ifndef CORE_FORMAT_H
#define CORE_FORMAT_H

#include <stdint.h>

#define FORMAT_SIZE 32

/*
 * "420 us", "350 ms", "3.2 s", "41 s", "3m 05s", "2h 03m", "3d 04h"; "unknown" below 0.
 *
 * Rounded to the nearest last digit up to a minute, cut off above it.
 */
const char *format_duration(int64_t duration_us, char buf[static FORMAT_SIZE]);

/* "999", "1.24 k", "12.4 M": three digits, steps of 1,000. */
const char *format_count(int64_t count, char buf[static FORMAT_SIZE]);

/* "512 bytes", "1.50 kB", "1000 MB": steps of 1,024 and names of units as PostgreSQL's. */
const char *format_bytes(int64_t bytes, char buf[static FORMAT_SIZE]);

/* "99.9 %" of a share between 0 and 1; cut off, not rounded: 100.0 % means all of it. */
const char *format_percent(double share, char buf[static FORMAT_SIZE]);

#endif
