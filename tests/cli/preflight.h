/*
 * preflight.h - make a situation, have `pghaul check` look at it, and expect one finding.
 */
#ifndef CLI_PREFLIGHT_H
#define CLI_PREFLIGHT_H

#include "cli/cli.h"

typedef struct Situation {
    const char *title;
    const char *setup;    /* statements; schemas public and pghaul are gone before them */
    const char *job;      /* the job file without its name */
    const char *code;     /* of the finding */
    const char *severity; /* "refusal" (NULL), "warning" or "note" */
    const char *help;     /* part of its text or hint */
    bool is_risk;         /* with the word in `allow:` the job may start */
    const char *teardown; /* statements, for what is not in a schema; or NULL */
} Situation;

/* Make it, check it, and check it again with the risk accepted; reports by cr_expect. */
void situation_check(const CliBase *base, const Situation *situation);
void situations_check(const Situation *situations, size_t count);

/*
 * `pghaul check` of the base's job file at `uri`, or as another role.
 *
 * Shape:   expects the finding and the exit code: 4 for a refusal, else 0.
 */
void preflight_expect(const CliBase *base, const char *uri, const Situation *situation);

/* A connection string for another role; lives until the next call. */
const char *preflight_uri_of(const CliBase *base, const char *role);

#endif
