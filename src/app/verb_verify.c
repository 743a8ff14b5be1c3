/*
 * verb_verify.c - `pghaul verify JOB`: another verify pass over a job whose move has ended.
 */
#include <stdio.h>

#include "app/app.h"
#include "app/drive.h"
#include "app/json.h"
#include "engine/passes.h"
#include "ops/prepare.h"
#include "store/run.h"

/* The move must be over and nobody at work; *done tells whether the last pass has ended. */
static bool
check_idle(PgConn *conn, const JobRow *job, bool *done, Err *err)
{
    int alive = 0;
    if (!run_count_alive(conn, job->id, &alive, err)) {
        return false;
    }
    if (alive > 0) {
        return err_set(err, ERR_BUSY, "job %s is being worked on by %d run%s", job->name, alive,
            alive == 1 ? "" : "s");
    }
    *done = false;
    if (job->pass > 0 && !job_pass_is_done(conn, job->id, job->pass, done, err)) {
        return false;
    }
    if (job->pass_kind == PASS_MOVE && !*done) {
        (void)err_set(err, ERR_BUSY, "the move of job %s is not finished", job->name);
        return err_hint(err, "pghaul run %s goes on with it and verifies at the end.", job->name);
    }
    return true;
}

/* Function, guards and pass; an interrupted verify pass is gone on with. */
static bool
begin(PgConn *conn, const Plan *plan, const JobRow *job, bool pass_is_done, Err *err)
{
    StopToken stop;
    stop_init(&stop);
    bool ok =
        prepare_objects(conn, plan, job->id, &stop, err) &&
        job_record_guards(conn, job->id, plan->facts->table.oid, job->trigger_name, err) &&
        (!pass_is_done || passes_begin_verify(conn, plan, job->id, job->pass, err)) &&
        (job->state == JOB_COMPLETE || job_set_state(conn, job->id, JOB_RUNNING, "verify", err));
    stop_destroy(&stop);
    return ok;
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
    drive_end(drive, differing > 0 ? 6 : 0);
    drive_summary(drive);
    if (differing > 0) {
        (void)err_set(err, ERR_DIFFERENCE, "%lld row%s of %lld differ%s", (long long)differing,
            differing == 1 ? "" : "s", (long long)drive->totals.rows, differing == 1 ? "s" : "");
    }
    if (differing > 0) {
        if (!keep_state) {
            drive_set_state(drive, JOB_FAILED, err->message);
        }
        return false;
    }
    return keep_state || drive_complete(drive, err);
}

static bool
compare(App *app, PgConn **conn, const Plan *plan, Err *err)
{
    JobRow job;
    bool pass_is_done = false;
    if (!app_find_job(app, *conn, plan->spec->job, &job, err) ||
        !prepare_job(*conn, plan, &app->arena, &job, err) ||
        !check_idle(*conn, &job, &pass_is_done, err) ||
        !begin(*conn, plan, &job, pass_is_done, err)) {
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
    if (!app_open_job(app, app->options.args[0], &spec, &conn, err)) {
        return false;
    }
    spec.verify = true; /* asked for now, whatever the file says about the end of a run */
    if (!survey_run(conn, &spec, &app->arena, &survey, err)) {
        return false;
    }
    if (!survey.planned) {
        app_show_findings(app, &survey, stderr);
        return app_refused(&survey, err);
    }
    if (!survey.plan.verify) {
        return err_set(err, ERR_REFUSED, "job %s cannot be verified: its expression %s", spec.job,
            survey.plan.self_referring ? "refers to the column that it sets"
                                       : "gives another value each time");
    }
    return compare(app, &conn, &survey.plan, err);
}
