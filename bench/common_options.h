/*
 * common_options.h - reading the command line of a bench program.
 */
#ifndef BENCH_COMMON_OPTIONS_H
#define BENCH_COMMON_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* Is the word in the comma-separated list? */
bool list_has(const char *list, const char *word);

/* Is every word of the list one of the known ones?  Says which is not. */
bool list_is_known(const char *list, const char *known);

/* A positive number. */
bool parse_count(const char *text, int64_t *count);

/* The value of "--name=value" when `arg` has this name, else NULL. */
const char *option_value(const char *arg, const char *name);

#endif
