/*
 * job.h - the row of a job in pghaul.job: create, read, change its state and pass.
 *
 * One function changes the state, pghaul.set_state(), along the transitions of core/jobstate.h.
 */
#ifndef STORE_JOB_H
#define STORE_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "core/facts.h"
#include "core/jobspec.h"
#include "core/jobstate.h"
#include "pg/conn.h"

typedef struct JobRow {
    int64_t id;
    const char *name;
    const char *table_name; /* quoted where SQL needs it, for people */
    const char *spec;       /* the job file's text */
    const char *fingerprint;
    JobState state;
    const char *reason; /* why stopped or failed; NULL */
    int pass;           /* 0 = none begun */
    PassKind pass_kind;
    PassKind last_pass_kind;  /* of the pass before; PASS_MOVE when there was none */
    const char *frontier;     /* text[] as text, NULL = at the beginning */
    const char *upper;        /* text[] as text, NULL = open */
    bool carved;              /* the frontier has reached the upper end */
    int64_t est_rows;         /* of the pass */
    const char *trigger_name; /* NULL = none installed */
    const char *signature;    /* text[] as text: what the batches compare with */
    int64_t filenode;
    const char *system_id;
    int64_t timeline;
    const char **standbys; /* expected ones */
    int standby_count;
    const char *source_system_id; /* of a copy from another server; NULL */
    int64_t source_timeline;
    const char *source_started;
    const char *pinned; /* of a purge: what now() means in its predicate during this pass */
    bool repair;        /* rows that the verify pass finds are to be mended by a repair pass */
} JobRow;

typedef struct JobNew {
    const char *name;
    JobKind kind;
    const char *table_name;
    const char *into_name; /* of a copy; NULL */
    const char *spec;
    const char *fingerprint;
    const char *system_id;
    int64_t timeline;
    const char *const *standbys;
    int standby_count;
    const ServerFacts *source; /* of a copy from another database; NULL */
} JobNew;

/* Read by name; *found false when there is no such job that is not cleaned. */
bool job_read(PgConn *conn, const char *name, Arena *arena, JobRow *job, bool *found, Err *err)
    __attribute__((warn_unused_result));

bool job_read_id(PgConn *conn, int64_t id, Arena *arena, JobRow *job, Err *err)
    __attribute__((warn_unused_result));

/* Names of all jobs that are not cleaned. */
bool job_names(PgConn *conn, Arena *arena, const char ***names, int *count, Err *err)
    __attribute__((warn_unused_result));

/* Number and name, nothing else, of all jobs that are not cleaned; in a schema of any version. */
bool job_ids(PgConn *conn, Arena *arena, JobRow **jobs, int *count, Err *err)
    __attribute__((warn_unused_result));

/* Create unless it exists (two first runs at once); the row is there afterwards. */
bool job_create(PgConn *conn, const JobNew *job, Err *err) __attribute__((warn_unused_result));

/* Take over the text of a job file that says other settings than before, and the standbys that it
 * names; NULL = it names none, those of the first run stay. */
bool job_follow_file(PgConn *conn, int64_t id, const char *spec, const NameList *standbys, Err *err)
    __attribute__((warn_unused_result));

/*
 * Change the state, with the reason as an event.  A paused job stays so, whatever its runs report,
 * until it is resumed or complete.
 *
 * Errors:  ERR_BUSY when the state is one from which `to` is not allowed; ERR_DRIFT when the job
 *          would complete on a table that has changed.  Already being in `to` is fine, and being
 *          past JOB_READY; a job that was cleaned has no state any more.  Final states commit
 *          with synchronous_commit = on (the session's setting).
 */
bool job_set_state(PgConn *conn, int64_t id, JobState to, const char *reason, Err *err)
    __attribute__((warn_unused_result));

/* ERR_BUSY: whoever worked on it has to end. */
bool job_is_cleaned(Err *err);

/* The job goes on with another plan: that of a purge may be made anew for each pass. */
bool job_take_plan(PgConn *conn, int64_t id, const char *fingerprint, Err *err)
    __attribute__((warn_unused_result));

/* Lock the job's row until the transaction ends; ERR_BUSY when the job was cleaned. */
bool job_lock(PgConn *conn, int64_t id, Err *err) __attribute__((warn_unused_result));

/* Record the file of the table anew, and leave its signature as it was. */
bool job_record_filenode(PgConn *conn, int64_t id, uint32_t table_oid, Err *err)
    __attribute__((warn_unused_result));

typedef struct PassStart {
    int from_pass; /* compare: the pass that this one follows */
    PassKind kind;
    const char *upper; /* text[] as text, NULL = open */
    bool keep_upper;   /* that of the pass before, whatever the two fields say */
    bool empty;        /* nothing to walk over: carved from the beginning */
    int64_t est_rows;
} PassStart;

/* Begin the next pass by compare-and-set; *begun false when another run was faster.  What now()
 * means in the predicate of a purge is the time at which its pass begins. */
bool job_begin_pass(PgConn *conn, int64_t id, const PassStart *start, bool *begun, Err *err)
    __attribute__((warn_unused_result));

/* Shall rows be mended that the next verify pass finds?  Taken back when a repair pass begins. */
bool job_want_repair(PgConn *conn, int64_t id, bool repair, Err *err)
    __attribute__((warn_unused_result));

/* True when the pass is carved and every range is done. */
bool job_pass_is_done(PgConn *conn, int64_t id, int pass, bool *done, Err *err)
    __attribute__((warn_unused_result));

/* Rows that differ, of the pass. */
bool job_differing(PgConn *conn, int64_t id, int pass, int64_t *rows, Err *err)
    __attribute__((warn_unused_result));

/*
 * Have `every_rows` been changed by the move pass since the last VACUUM of ours?
 *
 * Shape:   *rows is what was changed so far, for job_record_vacuum(); 0 when none is due.
 */
bool job_vacuum_due(PgConn *conn, int64_t id, int64_t every_rows, int64_t *rows, Err *err)
    __attribute__((warn_unused_result));

/* A VACUUM that began when `rows` had been changed is through. */
bool job_record_vacuum(PgConn *conn, int64_t id, int64_t rows, Err *err)
    __attribute__((warn_unused_result));

/* The timeline changed: remember it, and that only verify can tell what is right. */
bool job_set_timeline(PgConn *conn, int64_t id, int64_t timeline, Err *err)
    __attribute__((warn_unused_result));

/* Mark as cleaned and drop its ranges, samples and keys of rows; history stays. */
bool job_mark_cleaned(PgConn *conn, int64_t id, Err *err) __attribute__((warn_unused_result));

bool job_event(PgConn *conn, int64_t id, int64_t run, const char *what, const char *reason,
    Err *err) __attribute__((warn_unused_result));

#endif
