/*
 * job_fixture.h - a job that is prepared on the real server and whose batches a test calls itself.
 */
#ifndef INTEGRATION_JOB_FIXTURE_H
#define INTEGRATION_JOB_FIXTURE_H

#include "harness/pgcluster.h"
#include "harness/session.h"
#include "ops/survey.h"
#include "store/job.h"
#include "store/ranges.h"

typedef struct JobFixture {
    PgCluster *cluster;
    const char *dbname;
    const char *uri;
    PGconn *sql;  /* the test's own session */
    PgConn *conn; /* a worker's */
    Arena arena;
    JobSpec spec;
    Survey survey;
    JobRow job;
    int64_t run;
} JobFixture;

/* A database with `setup`, the job of that file, its functions, trigger and first pass.  The plan
 * points into the fixture: do not copy it. */
void job_fixture_open(JobFixture *fixture, const char *setup, const char *job_file);
void job_fixture_close(JobFixture *fixture);

/* A session of pghaul's own; closed with conn_close(). */
PgConn *job_fixture_connect(const JobFixture *fixture, ConnRole role);

RangeOwner job_fixture_owner(const JobFixture *fixture);

/* A range (low, high] of the present pass, leased to the fixture's worker. */
RangeLease job_fixture_range(JobFixture *fixture, const char *low, const char *high, int stripes);

/* The call of a batch function ("move", "verify") as one SELECT; lives in the arena. */
const char *
job_fixture_call(JobFixture *fixture, const char *what, const RangeLease *lease, const char *rest);

/* Rest of a call: rows wanted and whether locked rows are skipped. */
#define PLAIN_BATCH    "1000, false"
#define SKIPPING_BATCH "1000, true"

#endif
