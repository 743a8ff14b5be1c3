/*
 * control.h - what people want of a job while it runs: pause, stop, settings.
 *
 * They say so with the functions of schema pghaul, from any host; runs read it a few times a
 * second.
 */
#ifndef STORE_CONTROL_H
#define STORE_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "core/jobstate.h"
#include "pg/conn.h"

/* One row of pghaul.setting. */
typedef struct ControlSetting {
    const char *key;
    const char *value;
    const char *who;
    const char *at; /* "2026-11-22T14:03:05Z" */
    bool is_newer;  /* than the start of the run that reads it */
} ControlSetting;

typedef struct Control {
    JobState state;
    const char *reason;  /* of the state; NULL */
    const char *stop_by; /* who asked the run to stop; NULL = nobody */
    /* In the order in which they are to be applied: yield_after before the batch time, whose bound
     * it is. */
    ControlSetting *settings;
    int setting_count;
} Control;

/* Read what holds for the job and one of its runs; run 0 is none.  Cheap: three rows by key. */
bool control_read(PgConn *conn, int64_t job, int64_t run, Arena *arena, Control *control, Err *err)
    __attribute__((warn_unused_result));

/* The run has so many workers from now on. */
bool control_record_workers(PgConn *conn, int64_t run, int workers, Err *err)
    __attribute__((warn_unused_result));

typedef struct ControlChange {
    const char *key;
    const char *value; /* "default" is what the job file says */
} ControlChange;

/*
 * The functions of the same names.  Each answers one line in the arena, without a line break.
 *
 * Errors:  ERR_USER for an unknown job, key or a value that has not its form; ERR_REFUSED when the
 *          job's state does not allow it, or the role may not.
 */
bool control_pause(PgConn *conn, const char *job, const char *reason, Arena *arena,
    const char **answer, Err *err) __attribute__((warn_unused_result));
bool control_resume(PgConn *conn, const char *job, Arena *arena, const char **answer, Err *err)
    __attribute__((warn_unused_result));
bool control_stop(PgConn *conn, const char *job, Arena *arena, const char **answer, Err *err)
    __attribute__((warn_unused_result));
bool control_set(PgConn *conn, const char *job, const ControlChange *change, Arena *arena,
    const char **answer, Err *err) __attribute__((warn_unused_result));

typedef enum ControlScope {
    CONTROL_AT_WORK = 0, /* running, or left so by a run that was killed; or being prepared */
    CONTROL_PAUSED,
    CONTROL_WITH_RUNS, /* a run is alive */
} ControlScope;

/* Names of jobs in order of creation. */
bool control_jobs(PgConn *conn, ControlScope scope, Arena *arena, const char ***names, int *count,
    Err *err) __attribute__((warn_unused_result));

/* A run that is alive, and its workers. */
typedef struct ControlRun {
    int64_t id;
    const char *host;
    int pid;
    int workers;        /* now */
    int workers_option; /* --workers; 0 = not given */
} ControlRun;

bool control_runs(PgConn *conn, int64_t job, Arena *arena, ControlRun **runs, int *count, Err *err)
    __attribute__((warn_unused_result));

#endif
