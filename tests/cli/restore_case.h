/*
 * restore_case.h - a table that was purged into an archive by the real binary.
 */
#ifndef CLI_RESTORE_CASE_H
#define CLI_RESTORE_CASE_H

#include "cli/cli.h"

typedef struct RestoreCase {
    CliBase base;
    char path[160]; /* of the archive's folder */
} RestoreCase;

/* A database with these statements. */
RestoreCase restore_case_new(const char *setup);
void restore_case_free(RestoreCase *test);

/* Purge `table` of rows that match, in small batches, with lines to be added to the job file; the
 * job is called old-rows. */
void restore_case_purge(
    const RestoreCase *test, const char *table, const char *where, const char *lines);

/* `pghaul archive WORD` with up to four more arguments (NULL = none), which must exit with `code`;
 * both streams, owned. */
char *
restore_case_run(const RestoreCase *test, const char *word, int code, const char *const more[4]);
#define ARCHIVE_RUN(test, word, code, ...)                                                         \
    restore_case_run(test, word, code, (const char *const[4]){__VA_ARGS__})

/* The same, and it must print `part`. */
void restore_case_expect(const RestoreCase *test, const char *word, int code, const char *part,
    const char *const more[4]);
#define ARCHIVE_EXPECT(test, word, code, part, ...)                                                \
    restore_case_expect(test, word, code, part, (const char *const[4]){__VA_ARGS__})

/* The path of the archive's only file, or the first of them by name; owned. */
char *restore_case_file(const RestoreCase *test);

/* Change a byte of this file, at this offset, or from the end when it is below 0. */
void restore_case_flip(const char *path, long at);

#endif
