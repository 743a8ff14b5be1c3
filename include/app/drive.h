/*
 * drive.h - one run of the engine from registration to its last mark in the database.
 *
 * `run` and `verify` differ in what goes before and in what the outcome means.
 */
#ifndef APP_DRIVE_H
#define APP_DRIVE_H

#include "app/app.h"
#include "engine/engine.h"
#include "ops/aftercare.h"
#include "store/ranges.h"

typedef struct Drive {
    App *app;
    PgConn **conn; /* of the caller; opened again when the server was restarted meanwhile */
    const Plan *plan;
    const JobRow *job;  /* as before the run */
    int64_t run;        /* number of the run; 0 = not registered yet */
    int inherited_pass; /* see EngineSetup */
    Progress final;
    bool has_worked; /* the engine has run */
    Aftercare care;  /* of a purge, once its end is written down */
    bool second_signal;
    int other_runs;    /* alive when this one had ended */
    bool has_seen_end; /* the passes are over as *conn has it, in a session that is still open */

    bool has_outcome; /* of drive_read_outcome(), what follows */
    int pass;
    PassKind pass_kind;
    RangeTotals totals; /* of the job's last pass */
    int64_t found_rows; /* that differed; before the repair pass, if there was one just now */
    int64_t repaired_rows;
    int64_t aside;   /* rows of the job that are set aside */
    int64_t skipped; /* of a copy: rows whose key the target had, left alone */
    int64_t updated; /* or changed; of a purge, rows of other tables that were deleted */
} Drive;

/* Register the run, unless another one of the job is alive: ERR_BUSY. */
bool drive_register_alone(Drive *drive, Err *err) __attribute__((warn_unused_result));

/* Register the run, unless it is, and let the engine work; signals are blocked from here on. */
bool drive_work(Drive *drive, Err *err) __attribute__((warn_unused_result));

/*
 * Read how the last pass stands, once the engine is through.
 *
 * Errors:  ERR_STOPPED when work is left after all: the server lost commits that nobody waited for.
 */
bool drive_read_outcome(Drive *drive, Err *err) __attribute__((warn_unused_result));

/* Of a job of this plan whose passes are done: complete, or synced where changes keep coming. */
JobState drive_end_state(const Plan *plan);

/* Set that state; errors as drive_read_outcome(), which is asked again in a session that was opened
 * since and then stops the job, and ERR_DRIFT, which fails it. */
bool drive_complete(Drive *drive, Err *err) __attribute__((warn_unused_result));

/* Mark the run as ended; a failure is logged, the exit code stays that of the cause. */
void drive_end(Drive *drive, int exit_code);

/* Change the job's state; a failure is logged. */
void drive_set_state(Drive *drive, JobState state, const char *reason);

/* The run failed or was stopped: end it, set the state unless `keep_state`, complete *err. */
void drive_fail(Drive *drive, bool keep_state, Err *err);

/* Say that rows of the job are set aside, and exit with 5. */
void drive_tell_aside(App *app, const char *job, int64_t rows);

/* Print the summary and add it to the result. */
void drive_summary(const Drive *drive);

/* Another verify pass over a job whose move has ended, to its end, as `pghaul verify` (where it is)
 * does; `source` is a session to a source elsewhere, or NULL. */
bool drive_compare(App *app, PgConn **conn, PgConn *source, const Plan *plan, Err *err)
    __attribute__((warn_unused_result));

/* All of a run, from the job's spec on, as `pghaul run` does it; `source` as above. */
bool run_spec(App *app, PgConn **conn, PgConn *source, const JobSpec *spec, Err *err)
    __attribute__((warn_unused_result));

#endif
