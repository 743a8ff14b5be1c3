/*
 * history.h - what happened to the jobs of a name, those that were cleaned too.
 */
#ifndef STORE_HISTORY_H
#define STORE_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "core/jobspec.h"
#include "pg/conn.h"

typedef struct HistoryRun {
    int64_t id;
    int64_t job;
    JobKind kind;
    bool is_cleaned; /* its job is */
    bool is_alive;
    bool has_ended;
    const char *host;
    int pid;
    int workers;
    const char *version;
    const char *started; /* "2026-01-31 12:00:00+00" */
    const char *ended;   /* NULL = not, or nobody could tell */
    double duration_s;   /* until it ended or was last heard of */
    int64_t rows;        /* changed by it */
    int exit_code;
    int64_t archived_bytes; /* of a purge, as the next two; -1 = it is none, or not known */
    int64_t freed_bytes;
    int64_t backlog_rows; /* left by it; of a copy, changes to be drained */
} HistoryRun;

/* All times of being throttled or paused for one reason; numbers in it do not tell reasons apart.
 */
typedef struct HistoryThrottle {
    const char *reason; /* as it read last */
    int64_t count;
    double total_s;
    const char *last_at;
} HistoryThrottle;

typedef struct HistoryEvent {
    int64_t job;
    int64_t run; /* 0 = of no run */
    const char *at;
    const char *who;
    const char *what;
    const char *reason;
} HistoryEvent;

/* So many runs, and so many events. */
#define HISTORY_MAX 50

/* The last runs and the last other events, newest last; the 10 reasons for throttling that took
 * the most time. */
typedef struct History {
    HistoryRun *runs;
    int run_count;
    HistoryThrottle *throttles;
    int throttle_count;
    HistoryEvent *events;
    int event_count;
    bool is_known; /* there is or was a job of that name */
} History;

/* Owner:   everything in *history lives in `arena`. */
bool history_read(PgConn *conn, const char *name, Arena *arena, History *history, Err *err)
    __attribute__((warn_unused_result));

#endif
