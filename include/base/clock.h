/*
 * clock.h - the two clocks: one for durations, one to show to people.
 *
 * Nothing is decided by the wall clock of the client; leases and windows are judged by the
 * server's clock.  Pure modules take the time as an argument.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Microseconds of CLOCK_MONOTONIC. */
int64_t clock_mono_us(void);

/* Sleep; a signal may cut it short. */
void clock_sleep_us(int64_t us);

/* "2026-01-31 12:00:00.123Z" into buf (needs 25 bytes). */
void clock_format_now(char *buf, size_t size);

#endif
