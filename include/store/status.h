/*
 * status.h - what the database knows about jobs and their runs, for people.
 */
#ifndef STORE_STATUS_H
#define STORE_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "pg/conn.h"
#include "store/job.h"

typedef struct StatusRow {
    int64_t id;
    const char *name;
    const char *table_name;
    JobState state;
    const char *reason; /* why stopped or failed; NULL */
    int pass;           /* 0 = none begun */
    PassKind pass_kind;
    int64_t ranges, ranges_done;
    bool carved;      /* no more ranges will come in this pass */
    int64_t rows;     /* of the pass: changed (move) or looked at (verify) */
    int64_t est_done; /* rows walked over */
    int64_t est_rows;
    int64_t differing;
    int64_t leftover;
    int runs;             /* alive */
    double rows_per_s;    /* walked over by all runs; < 0 = not known */
    const char *throttle; /* why a live run is throttled; NULL */
    double elapsed_s;     /* since the first run; < 0 = not started */
} StatusRow;

/* A run with a fresh heartbeat. */
typedef struct StatusRun {
    int64_t id;
    const char *host;
    int pid;
    int workers;
    double heartbeat_age_s;
    const char *throttle; /* NULL = not throttled */
} StatusRun;

/* Jobs that are not cleaned, in order of creation; all of them when `name` is NULL. */
bool status_jobs(PgConn *conn, const char *name, Arena *arena, StatusRow **rows, int *count,
    Err *err) __attribute__((warn_unused_result));

bool status_runs(PgConn *conn, int64_t job, Arena *arena, StatusRun **runs, int *count, Err *err)
    __attribute__((warn_unused_result));

/* 0..1 of the pass; below 1 until the job is complete. */
double status_share(const StatusRow *row);

/* Seconds to the end of the pass, -1 when not known. */
int64_t status_eta_s(const StatusRow *row);

#endif
