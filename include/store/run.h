/*
 * run.h - the row of a process in pghaul.run: who works, since when, alive until when.
 */
#ifndef STORE_RUN_H
#define STORE_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "pg/conn.h"

/* What makes a run alive, as a condition over its row `u`: it has not ended, its backend is there,
 * and it sent a heartbeat within the default lease. */
#define SQL_RUN_IS_ALIVE                                                                           \
    "u.ended IS NULL\n"                                                                            \
    "   AND u.heartbeat > pg_catalog.clock_timestamp() - '30 s'::pg_catalog.interval\n"            \
    "   AND EXISTS (SELECT FROM pg_catalog.pg_stat_get_activity(u.backend_pid) a\n"                \
    "                WHERE a.pid = u.backend_pid\n"                                                \
    "                  AND COALESCE(a.backend_start = u.backend_start, true))"

typedef struct RunNew {
    int64_t job;
    const char *host;
    int pid;
    const char *version;
    int workers;
    int workers_option; /* --workers of the run; 0 = not given */
} RunNew;

bool run_register(PgConn *conn, const RunNew *run, int64_t *id, Err *err)
    __attribute__((warn_unused_result));

typedef struct RunBeat {
    int64_t run;
    int64_t rows;         /* changed by this run so far */
    double rows_per_s;    /* walked over lately, by all runs */
    int64_t batch_age_us; /* since its last batch committed; < 0 = none yet */
    int64_t backlog_rows; /* of a copy: changes not yet drained; < 0 = no copy */
    double backlog_s;     /* age of the oldest of them */
    const char *reason;   /* why it is throttled now; NULL */
} RunBeat;

/* Still alive, and how far. */
bool run_heartbeat(PgConn *conn, const RunBeat *beat, Err *err) __attribute__((warn_unused_result));

/* Ended; *others is how many runs of the job are still alive. */
bool run_end(PgConn *conn, int64_t id, int exit_code, int *others, Err *err)
    __attribute__((warn_unused_result));

/* Other runs of the job with a fresh heartbeat (30 s). */
bool run_count_alive(PgConn *conn, int64_t job, int *alive, Err *err)
    __attribute__((warn_unused_result));

/* Nobody registers a run until the transaction ends; heartbeats wait as well. */
bool run_hold_off(PgConn *conn, Err *err) __attribute__((warn_unused_result));

typedef struct RunSample {
    int64_t job, run, rows;
    double rows_per_s, batch_ms;
    int workers;
    double lag_s; /* < 0 = no standby */
    double throttled_s;
    double hot_ratio;     /* < 0 = unknown */
    int64_t backlog_rows; /* < 0 = no copy */
    double backlog_s;
} RunSample;

bool
run_sample(PgConn *conn, const RunSample *sample, Err *err) __attribute__((warn_unused_result));

#endif
