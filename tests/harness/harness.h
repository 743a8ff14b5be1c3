/*
 * harness.h - what every part of the test harness needs: failing loudly, waiting with a deadline,
 * seeded random numbers and scratch folders.
 *
 * The harness has no error values: when the ground under a test gives way (no server, no memory,
 * a helper statement that fails), harness_fail() prints why and aborts the test.
 */
#ifndef HARNESS_HARNESS_H
#define HARNESS_HARNESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdnoreturn.h>

#include "core/prng.h"

#define SECONDS_US(n) ((int64_t)(n)*1000000)

/* How long a test waits for what must happen; generous, since nothing waits that long in vain. */
#define HARNESS_TIMEOUT_US SECONDS_US(60)

/* Print the message on standard error and abort. */
noreturn void harness_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The pause between two looks of a poll loop; never a substitute for the loop. */
void harness_nap_us(int64_t nap_us);

/* The environment variable, or `fallback` when it is unset or empty; borrowed. */
const char *harness_env(const char *name, const char *fallback);

/* PGHAUL_SEED, or a fixed number; printed on standard error so that a failure can be repeated. */
uint64_t harness_seed(void);

/* True `percent` times out of a hundred. */
bool harness_chance(Prng *prng, int percent);

/*
 * A new empty folder, private to the user that runs the servers and to us.
 *
 * Shape:   short, since a path of a unix socket holds 107 bytes.
 * Owner:   the path is owned by the caller; harness_scratch_remove() deletes folder and path.
 */
char *harness_scratch_new(void);
void harness_scratch_remove(char *path);

/* Write a whole file that belongs to us and that the user who runs the servers may read. */
void harness_write_file(const char *path, const char *text);

/* The contents of a file, "" when there is none; returns owned. */
char *harness_read_file(const char *path);

#endif
