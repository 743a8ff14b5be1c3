/*
 * findings_job.h - a healthy job on hand-made facts, for the tests of findings to spoil.
 */
#ifndef UNIT_FINDINGS_JOB_H
#define UNIT_FINDINGS_JOB_H

#include "core/findings.h"

/*
 * A job without any finding, on hand-made facts; each test spoils one thing.
 *
 *   orders (id int8 PRIMARY KEY, amount_text text, amount numeric(10,2))
 */
typedef struct Job {
    Arena arena;
    JobSpec spec;
    Facts facts;
    Assignment set[1];
    ColumnFacts columns[4];
    IndexFacts indexes[2];
    TriggerFacts triggers[1];
    StandbyFacts standbys[1];
    int id_attnum[2];
    int other_attnums[2];
    ExprFacts expr;
    ExprFacts where;
    ExprReport exprs;
    const char *names[2];
    const char *allow[1];
    Findings findings;
} Job;

void job_init(Job *job);
void job_collect(Job *job);

/* Accept one risk. */
void job_allow(Job *job, const char *word);

/* No finding at all. */
void expect_none(Job *job);

/* The finding must be there with this severity, and its text or hint must contain `part`. */
void expect_finding(Job *job, FindingSeverity severity, const char *code, const char *part);

/* What should be known is a warning, and a note once its word is there. */
void expect_caution(Job *job, const char *code, const char *part);

/* A risk is refused with the word to accept it by, and a warning once that word is there. */
void expect_risk(Job *job, const char *code, const char *part);

#define JOB(name)                                                                                  \
    Job name;                                                                                      \
    job_init(&(name))

#endif
