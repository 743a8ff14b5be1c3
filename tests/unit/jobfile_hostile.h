/*
 * jobfile_hostile.h - what is true of every outcome of a hostile job file.
 *
 * Each is taken or refused at its exact place, in one line that can be printed.
 */
#ifndef UNIT_JOBFILE_HOSTILE_H
#define UNIT_JOBFILE_HOSTILE_H

#include <stddef.h>

#define HEAD "job: j\nbackfill: t\n"
#define BASE HEAD "set:\n  a: b\n"

/* Text that may hold NUL bytes, and its length. */
#define VALUE(text) (text), sizeof(text) - 1

#define EMOJI "\xf0\x9f\x98\x80"
#define RLO   "\xe2\x80\xae" /* writes from right to left from here on */

/* `place` is "line:column"; `message` and `hint` (may be NULL) are pieces of what is said. */
void expect_refused(const char *title, const char *source, size_t len, const char *place,
    const char *message, const char *hint);

/* A job of name j comes out of it. */
void expect_taken(const char *title, const char *source, size_t len);

#endif
