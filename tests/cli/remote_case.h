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
    PgCluster *cluster; /* the shared one, or a private one of the test's */
    const char *from;   /* connection strings */
    const char *to;
    const char *from_dbname;
    const char *to_dbname;
    PGconn *source;
    PGconn *target;
    char *folder;
    char job_file[128];
} RemoteCase;

/* Two databases of the cluster with these statements in each; the job copies src into dst. */
void remote_open(RemoteCase *test, PgCluster *cluster, const char *source, const char *target);
void remote_close(RemoteCase *test);

/* The job file: the lines after job, copy, into, from, to; `from` and `to` NULL: the test's own. */
void remote_write_job(
    const RemoteCase *test, const char *from, const char *to, const char *lines);

/* The same of a job without sync, verify pass and standbys. */
void remote_write(const RemoteCase *test, const char *from, const char *to, const char *lines);

/* `run --yes` to its end; fails the test, with the output, unless it exits with `code`. */
void remote_run(const RemoteCase *test, int code);

/* Both sides give the same rows, in whatever order, by their own query. */
void remote_expect_equal(const RemoteCase *test, const char *source_sql, const char *target_sql);

#endif
