/*
 * status_case.h - what status says of the job `fill`, as an object and as text.
 */
#ifndef CLI_STATUS_CASE_H
#define CLI_STATUS_CASE_H

#include <jansson.h>

#include "harness/job.h"
#include "harness/session.h"

#define STATUS_SMALL_BATCHES                                                                       \
    "verify: none\npath: key\nstripes: 1\nbatch: {rows: 20}\nthrottle: {standbys: none}\n"

/* `status fill --json`, with one more option or NULL; the result is owned. */
json_t *status_read(const JobTest *test, const char *option);

/* Ask until the job is doing so; returns what was said then, owned. */
json_t *status_wait_health(const JobTest *test, const char *health);

int64_t status_int(const json_t *status, const char *name);

/* The text of a member contains `part`. */
void status_expect_text(const json_t *status, const char *name, const char *part);

/* The session is named as the one in the way, with what it holds. */
void status_expect_holder(const json_t *status, const Session *holder, const char *what);

/* What people read, with an option or NULL, contains `part`. */
void status_expect_output(const JobTest *test, const char *option, const char *part);

/* Every column of pghaul.progress that status has too says the same. */
void status_expect_as_view(const JobTest *test);

#endif
