/*
 * remote_case.h - a copy from one database into another, by the real binary.
 */
#ifndef CLI_REMOTE_CASE_H
#define CLI_REMOTE_CASE_H

#include <libpq-fe.h>
#include <stdint.h>

#include "cli/cli.h"
#include "harness/pgcluster.h"

typedef struct RemoteCase {
    PgCluster *from_cluster;
    PgCluster *to_cluster;
    const char *from; /* connection strings */
    const char *to;
    const char *from_dbname;
    const char *to_dbname;
    PGconn *source;
    PGconn *target;
    char *folder;
    char job_file[128];
} RemoteCase;

/* A database in each of the clusters, which may be one, with these statements; the job copies src
 * into dst.  The clusters are the caller's. */
void remote_open_at(RemoteCase *test, PgCluster *from_cluster, PgCluster *to_cluster,
    const char *source, const char *target);
void remote_close_at(RemoteCase *test);

/* Both in the shared cluster. */
void remote_open(RemoteCase *test, const char *source, const char *target);
void remote_close(RemoteCase *test);

/* The job file: the lines after job, copy, into, from, to; `from` and `to` NULL: the test's own. */
void remote_write_job(const RemoteCase *test, const char *from, const char *to, const char *lines);

/* The same of a job without sync, verify pass and standbys. */
void remote_write(const RemoteCase *test, const char *from, const char *to, const char *lines);

/* Start `run --yes` and go on. */
Proc *remote_start(const RemoteCase *test);

/* Wait for its end; fails the test, with the output, unless it exits with `code`. */
void remote_finish(Proc *proc, int code);

/* Batches that have committed; 0 before there is a job.  And wait for so many more than `before`;
 * false when the run ends first. */
int64_t remote_batches(const RemoteCase *test);
bool remote_wait_batches(const RemoteCase *test, Proc *proc, int64_t before, int64_t more);

/* `run --yes` to its end; fails the test, with the output, unless it exits with `code`. */
void remote_run(const RemoteCase *test, int code);

/* Both sides give the same rows, in whatever order, by their own query. */
void remote_expect_equal(const RemoteCase *test, const char *source_sql, const char *target_sql);

#endif
