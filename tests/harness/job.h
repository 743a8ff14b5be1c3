/*
 * job.h - a database with a table, a job over it, and runs of the real binary.
 *
 * The table `app` has few rows to a block, so that even a small one is cut into several ranges,
 * and the job's expressions may go through slowly(), which takes its time without using the
 * processor: a move then lasts long enough to be disturbed many times.
 */
#ifndef HARNESS_JOB_H
#define HARNESS_JOB_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "harness/pgcluster.h"
#include "harness/proc.h"
#include "harness/workload.h"

#define JOB_NAME "fill"

/* id 1..rows, amount_text, note, amount NULL, hits_before = hits. */
#define JOB_AMOUNT_RIGHT "amount IS NOT DISTINCT FROM amount_text::numeric"
#define JOB_HITS_RIGHT   "hits = hits_before * 2 + 1"

#define JOB_SET_AMOUNT "set: {amount: 'slowly(amount_text)::numeric'}\n"
#define JOB_SET_HITS   "set: {hits: 'slowly(hits) * 2 + 1'}\n"

typedef struct JobTest {
    PgCluster *cluster;
    const char *dbname;
    const char *uri; /* direct; another may be given to a run */
    PGconn *conn;    /* of the observer */
    char *folder;
    char *path; /* of the job file */
} JobTest;

/* Make a database in the cluster with the table; a call of slowly() takes
 * `slow_us` on average. */
void job_open(JobTest *test, PgCluster *cluster, int64_t rows, int64_t slow_us);

/* Drop the database; job_close_cluster() ends the cluster (its use of a shared one) as well. */
void job_close(JobTest *test);
void job_close_cluster(JobTest *test);

/* Change how long slowly() takes, also while a job runs; 0 hurries the end on. */
void job_set_slow(const JobTest *test, int64_t slow_us);

/* The same, but only in passes of this kind; the others take no time. */
void job_set_slow_pass(const JobTest *test, const char *pass_kind, int64_t slow_us);

/* Give amount or hits back their first values, for another job. */
void job_reset_table(const JobTest *test);

/* An application that writes the rows of the table with keys low..high: two clients, which hold
 * their locks for a millisecond or so. */
WorkloadSpec job_application(const JobTest *test, int64_t key_low, int64_t key_high);

/* Write the job file: the lines after `job:` and `backfill:`, or `purge:`. */
void job_write(const JobTest *test, const char *text);
void job_write_purge(const JobTest *test, const char *text);

/* Start `pghaul VERB ...` on the job; `uri` NULL: the test's own.  Extra arguments end with NULL;
 * `more` may be NULL. */
Proc *
job_start_verb(const JobTest *test, const char *verb, const char *uri, const char *const *more);

/* Start `run --yes`. */
Proc *job_start(const JobTest *test);

/* Wait for the end; fails the test, with the output, unless it exits with this code. */
void job_expect_exit(Proc *proc, int exit_code);

/* run --yes, or another verb, to its end. */
void job_expect_run(const JobTest *test, int exit_code);
void job_expect_verb(const JobTest *test, const char *verb, const char *const *more, int exit_code);

/* What another verb prints, both streams; returns owned.  `more` are its arguments after JOB. */
char *
job_verb_output(const JobTest *test, const char *verb, const char *const *more, int exit_code);

/* ---- what the database says ---- */

/* Batches of all passes that have committed; 0 before there is such a job. */
int64_t job_batches(const JobTest *test);

/* Rows of the move passes. */
int64_t job_moved_rows(const JobTest *test);

/* The move pass has begun and is not done. */
bool job_is_moving(const JobTest *test);

/* A worker's backend is inside of the batch function. */
bool job_is_in_batch(const JobTest *test);

bool job_is_state(const JobTest *test, const char *state);

/* Wait until so many batches more than `before` have committed; false when the run ends first. */
bool job_wait_batches(const JobTest *test, Proc *proc, int64_t before, int64_t more);

/* Rows on which the condition is not true. */
int64_t job_count_wrong(const JobTest *test, const char *right_sql);

/* Functions of jobs in schema pghaul. */
int64_t job_count_functions(const JobTest *test);

/* What stands in the catalog outside of schema pghaul, as text: relations with columns, triggers,
 * constraints and what depends on them, functions, types, schemas, with their privileges; returns
 * owned.  Without relhastriggers, a hint that the server itself takes back at leisure. */
char *job_catalog(const JobTest *test);

/* The number of rows of each catalog of this database but statistics, as text; returns owned. */
char *job_catalog_counts(const JobTest *test);

#endif
