/*
 * status.h - what the database knows about jobs and their runs, for people.
 *
 * Read from view pghaul.progress, so that a dashboard over it says the same.
 */
#ifndef STORE_STATUS_H
#define STORE_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "core/health.h"
#include "pg/conn.h"
#include "store/job.h"

typedef struct StatusRow {
    int64_t id;
    const char *table_name;
    int pass; /* 0 = none begun */
    double done_ratio;
    int64_t ranges, ranges_done;
    bool carved;  /* no more ranges will come in this pass */
    int64_t rows; /* of the pass: changed (move) or looked at (verify) */
    int64_t est_rows;
    int64_t leftover;
    double rows_per_s;       /* walked over by all runs; < 0 = not known */
    double eta_s;            /* < 0 = not known */
    double elapsed_s;        /* since the first run; < 0 = not started */
    double last_batch_age_s; /* < 0 = none yet */
    HealthFacts facts;       /* name, state, pass kind, runs, ... */
    HealthVerdict verdict;
} StatusRow;

/* A run that is alive. */
typedef struct StatusRun {
    int64_t id;
    const char *host;
    int pid;
    int workers;
    int64_t rows; /* changed by it */
    double heartbeat_age_s;
    const char *throttle; /* NULL = not throttled */
} StatusRun;

/* Jobs that are not cleaned, in order of creation; all of them when `name` is NULL. */
bool status_jobs(PgConn *conn, const char *name, Arena *arena, StatusRow **rows, int *count,
    Err *err) __attribute__((warn_unused_result));

/* The job's table, 0 when it is not there any more. */
bool status_table_oid(PgConn *conn, int64_t job, uint32_t *oid, Err *err)
    __attribute__((warn_unused_result));

bool status_runs(PgConn *conn, int64_t job, Arena *arena, StatusRun **runs, int *count, Err *err)
    __attribute__((warn_unused_result));

#endif
