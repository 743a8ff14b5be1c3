/*
 * findings.h - what speaks against a job, or should be known before it starts.
 *
 * Made purely from the job file and the facts: all findings at once, never only the first.  A
 * refusal says what helps; one that may be accepted as a risk carries the word for `allow:` and
 * becomes a warning when that word is there.
 */
#ifndef CORE_FINDINGS_H
#define CORE_FINDINGS_H

#include <stdbool.h>

#include "base/arena.h"
#include "core/facts.h"
#include "core/jobspec.h"

/* Connections of a run beside its workers: monitor, catalog, vacuum. */
#define FINDINGS_EXTRA_CONNECTIONS 3

typedef enum FindingSeverity {
    FINDING_NOTE = 0,
    FINDING_WARN,
    FINDING_REFUSE, /* the job does not start */
} FindingSeverity;

typedef struct Finding {
    FindingSeverity severity;
    const char *code;  /* stable word: "row-security" */
    const char *text;  /* lower-case sentence without a final period, names the object */
    const char *hint;  /* what helps, a sentence; NULL when there is nothing to say */
    const char *allow; /* word for `allow:`, also when it is there already; NULL if none */
} Finding;

typedef struct Findings {
    Finding *items; /* refusals first, then warnings, then notes; else in order of detection */
    int count;
    int size;
    int refuse_count;
} Findings;

#define FINDINGS_INIT ((Findings){.items = NULL})

/*
 * Collect everything.
 *
 * Shape:   `exprs` as filled by exprcheck_run(), or NULL when the expressions were not checked.
 * Owner:   all memory of *findings lives in `arena`.
 */
void findings_collect(const JobSpec *spec, const Facts *facts, const ExprReport *exprs,
    Arena *arena, Findings *findings);

/*
 * Add "job-changed" when a job of this name was begun with something else.
 *
 * Shape:   `fingerprint` is that of the plan, NULL when there is none since other findings refuse;
 *          then only differences of the job files count.
 */
void findings_compare_job(const JobSpec *spec, const Facts *facts, const char *fingerprint,
    Arena *arena, Findings *findings);

struct Plan;

/* Add what plan->copy->indexes does to the target and what it leaves out. */
void findings_add_indexes(const struct Plan *plan, Arena *arena, Findings *findings);

/* The first finding with that code, or NULL. */
const Finding *findings_find(const Findings *findings, const char *code);

/* True when the job installs a sync trigger: asked for, or by default unless it cannot have one. */
bool findings_wants_trigger(const JobSpec *spec, const ExprReport *exprs);

/*
 * The index whose columns are the key of the job: that of `key:`, else the primary key.
 *
 * Shape:   NULL when there is none that the mover can walk; then *why is a phrase in static
 *          storage: "the table has no primary key".
 */
const IndexFacts *findings_key_index(const JobSpec *spec, const Facts *facts, const char **why);

#endif
