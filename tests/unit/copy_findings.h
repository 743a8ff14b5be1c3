/*
 * copy_findings.h - expect findings of a copy on hand-made facts.
 */
#ifndef UNIT_COPY_FINDINGS_H
#define UNIT_COPY_FINDINGS_H

#include "core/findings.h"
#include "unit/copy_job.h"

/* A copy without any finding. */
#define COPY(name)                                                                                 \
    CopyJob name;                                                                                  \
    copy_findings_init(&(name))

void copy_findings_init(CopyJob *job);

/* The finding must be there with this severity, and its text or hint must contain `part`. */
const Finding *
copy_expect(CopyJob *job, FindingSeverity severity, const char *code, const char *part);

/* Refused, or a warning, less by one step when it is accepted by name. */
void
copy_expect_allowed(CopyJob *job, FindingSeverity severity, const char *code, const char *part);

void copy_expect_no(CopyJob *job, const char *code);
void copy_expect_nothing(CopyJob *job);

#endif
