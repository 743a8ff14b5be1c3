/*
 * verb_verify.c - `pghaul verify JOB [--repair]`: another verify pass over a job whose move has
 * ended; with --repair the way back from differences, and from a trigger that was changed.
 */
#include <stdio.h>

#include "app/app.h"
#include "app/drive.h"
#include "app/json.h"
#include "engine/passes.h"
#include "ops/prepare.h"
#include "ops/prepare_log.h"
#include "store/run.h"
#include "store/source.h"

/* How the job stands before anything is done. */
typedef struct Standing {
    bool pass_is_done;
    bool move_is_done;
    DriftKind drift;
    Err drift_error;        /* what to say about it */
    PgConn *source;         /* of a copy from another database; NULL */
    bool log_is_incomplete; /* of a copy: changes were not recorded, or TRUNCATE was */
} Standing;

/* Nobody may be at work. */
static bool
check_idle(PgConn *conn, const JobRow *job, Err *err)
{
    int alive = 0;
    if (!run_count_alive(conn, job->id, &alive, err)) {
        return false;
    }
    return alive == 0 || err_set(err, ERR_BUSY, "job %s is being worked on by %d run%s", job->name,
                             alive, alive == 1 ? "" : "s");
}

static bool
read_drift(PgConn *conn, const Plan *plan, const JobRow *job, Standing *standing, Err *err)
{
    standing->drift_error = ERR_INIT;
    if (source_guards_check(
            conn, standing->source, plan, job, &standing->drift, &standing->drift_error)) {
        return true;
    }
    if (standing->drift == DRIFT_NONE) {
        *err = standing->drift_error;
    }
    return standing->drift != DRIFT_NONE;
}

static bool
read_standing(PgConn *conn, const Plan *plan, const JobRow *job, Standing *standing, Err *err)
{
    *standing = (Standing){.move_is_done = true, .source = standing->source};
    if (job->pass > 0 &&
        (!job_pass_is_done(conn, job->id, job->pass, &standing->pass_is_done, err) ||
            !read_drift(conn, plan, job, standing, err))) {
        return false;
    }
    standing->move_is_done = job->pass_kind != PASS_MOVE || standing->pass_is_done;
    return true;
}

/* The change log is where the application writes. */
static PgConn *
log_session(PgConn *conn, const Plan *plan, const Standing *standing)
{
    return standing->source != NULL && plan->sync_trigger ? standing->source : conn;
}

/* Only a repair does anything about it. */
static bool
read_log(
    PgConn *conn, const Plan *plan, const JobRow *job, bool repair, Standing *standing, Err *err)
{
    bool asks = repair && job->pass > 0 && plan->copy != NULL;
    return !asks || prepare_log_is_incomplete(log_session(conn, plan, standing), plan, job->id,
                        &standing->log_is_incomplete, err);
}

/* Of a target that had rows before, a row that only it has may be one of those, or one that was
 * deleted at the source and not recorded: to say that it is in step would be a guess. */
static bool
knows_deleted(const Plan *plan, const JobRow *job, Err *err)
{
    if (plan->copy == NULL || plan->spec->on_conflict == ON_CONFLICT_ERROR) {
        return true;
    }
    (void)err_set(err, ERR_REFUSED,
        "deletions went unrecorded, and with on_conflict: %s rows that the target had before "
        "cannot be told from those that were deleted",
        plan->spec->on_conflict == ON_CONFLICT_SKIP ? "skip" : "update");
    return err_hint(err,
        "pghaul clean %s, delete from the target what should not be there, then run the job anew.",
        job->name);
}

/* Is there a way on from here?  Only --repair leads back from drift, and only where what was
 * written meanwhile is all that may be wrong.  A complete job may meet another table later on. */
static bool
may_begin(const Plan *plan, const JobRow *job, const Standing *standing, bool repair, Err *err)
{
    bool complete = job->state == JOB_COMPLETE;
    bool way_back = repair && (standing->drift == DRIFT_TRIGGER ||
                                  (standing->log_is_incomplete && standing->drift == DRIFT_NONE));
    if (standing->drift != DRIFT_NONE && !complete && !way_back) {
        *err = standing->drift_error;
        return false;
    }
    if (!standing->move_is_done && !way_back) {
        (void)err_set(err, ERR_BUSY, "the move of job %s is not finished", job->name);
        return err_hint(err, "pghaul run %s goes on with it and verifies at the end.", job->name);
    }
    return !way_back || knows_deleted(plan, job, err);
}

/* Begin a pass, or leave the one that was cut off to be gone on with: a repair only when one is
 * asked for again. */
static bool
begin_pass(PgConn *conn, const Plan *plan, const JobRow *job, const Standing *standing, bool repair,
    Err *err)
{
    if (standing->drift != DRIFT_NONE) {
        PrepareAnew anew = {
            .trigger_fires = repair,
            .move = !standing->move_is_done,
            .reason = standing->drift_error.message,
        };
        return prepare_anew(conn, standing->source, plan, job, &anew, err);
    }
    bool given_up = job->pass_kind == PASS_REPAIR && !repair;
    bool goes_on = !standing->pass_is_done && !given_up;
    if (standing->log_is_incomplete) {
        goes_on = !standing->move_is_done; /* another pass compares what it copies */
    }
    return goes_on || passes_begin_verify(conn, plan, job->id, job->pass, err);
}

/* Functions, trigger, guards and pass. */
static bool
begin(PgConn *conn, PgConn *source, const Plan *plan, const JobRow *job, bool repair, Err *err)
{
    Standing standing = {.source = source};
    if (!check_idle(conn, job, err) || !read_standing(conn, plan, job, &standing, err) ||
        !prepare_functions(conn, plan, job->id, err) ||
        !prepare_source(conn, source, plan, job->id, err) ||
        !read_log(conn, plan, job, repair, &standing, err) ||
        !may_begin(plan, job, &standing, repair, err)) {
        return false;
    }
    StopToken stop;
    stop_init(&stop); /* nobody raises it: a signal ends the process here */
    bool ok = !repair || (prepare_trigger(conn, source, plan, job->id, &stop, err) &&
                             read_drift(conn, plan, job, &standing, err));
    /* The log is begun anew after the pass: whoever takes the job up in between still sees why. */
    ok = ok && job_want_repair(conn, job->id, repair, err) &&
         begin_pass(conn, plan, job, &standing, repair, err) &&
         (!standing.log_is_incomplete ||
             prepare_log_reset(log_session(conn, plan, &standing), plan, job->id, &stop, err));
    stop_destroy(&stop);
    return ok && (job->state == JOB_COMPLETE ||
                     job_set_state(conn, job->id, JOB_RUNNING, repair ? "repair" : "verify", err));
}

/* A complete job stays complete: its state says that the move is over. */
static bool
finish(Drive *drive, bool keep_state, Err *err)
{
    if (!drive_read_outcome(drive, err)) {
        drive_fail(drive, keep_state || err->cls != ERR_STOPPED, err);
        return false;
    }
    int64_t differing = drive->totals.differing;
    drive_end(drive, differing > 0 ? 6 : drive->aside > 0 ? 5 : 0);
    drive_summary(drive);
    if (differing > 0) {
        (void)err_set(err, ERR_DIFFERENCE, "%lld row%s of %lld differ%s", (long long)differing,
            differing == 1 ? "" : "s", (long long)drive->totals.rows, differing == 1 ? "s" : "");
        (void)err_hint(err,
            "Keys of some: SELECT key FROM pghaul.difference WHERE job = %lld AND pass = %d. "
            "pghaul "
            "verify %s --repair changes them.",
            (long long)drive->job->id, drive->pass, drive->job->name);
        if (!keep_state) {
            drive_set_state(drive, JOB_FAILED, err->message);
        }
        return false;
    }
    if (!keep_state && !drive_complete(drive, err)) {
        return false;
    }
    drive_tell_aside(drive->app, drive->job->name, drive->aside);
    return true;
}

bool
drive_compare(App *app, PgConn **conn, PgConn *source, const Plan *plan, Err *err)
{
    JobRow job;
    if (!app_find_job(app, *conn, plan->spec->job, &job, err) ||
        !prepare_job(*conn, plan, &app->arena, &job, err) ||
        !begin(*conn, source, plan, &job, app->options.repair, err)) {
        return false;
    }
    bool keep_state = job.state == JOB_COMPLETE;
    Drive drive = {.app = app, .conn = conn, .plan = plan, .job = &job};
    if (!drive_work(&drive, err)) {
        drive_fail(&drive, keep_state, err);
        return false;
    }
    return finish(&drive, keep_state, err);
}

bool
verb_verify(App *app, Err *err)
{
    JobSpec spec;
    Survey survey;
    PGCONN_AUTO *conn = NULL;
    PGCONN_AUTO *source = NULL;
    if (!app_open_job(app, app->options.args[0], &spec, &conn, &source, err)) {
        return false;
    }
    if (spec.kind == KIND_PURGE) {
        return err_set(err, ERR_REFUSED,
            "job %s cannot be verified: a purge has nothing to compare", spec.job);
    }
    if (spec.kind == KIND_RESTORE) {
        (void)err_set(
            err, ERR_REFUSED, "job %s is a restore, which proves each frame as it comes", spec.job);
        return err_hint(err, "pghaul archive verify %s proves the files.", spec.archive.path);
    }
    spec.verify = true; /* asked for now, whatever the file says about the end of a run */
    if (!app_survey(app, conn, source, &spec, &survey, err)) {
        return false;
    }
    if (!survey.plan.verify) {
        return err_set(err, ERR_REFUSED, "job %s cannot be verified: its expression %s", spec.job,
            survey.plan.self_referring ? "refers to the column that it sets"
                                       : "gives another value each time");
    }
    return drive_compare(app, &conn, source, &survey.plan, err);
}
