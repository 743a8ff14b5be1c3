/*
 * verb_run.c - `pghaul run JOB`: accept the plan, make what the job needs, work, sum up.
 *
 * Until the engine starts a signal simply ends the process: every step before it finds out what is
 * there already and may be done again.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "app/drive.h"
#include "app/follow.h"
#include "app/json.h"
#include "app/plan_text.h"
#include "app/window.h"
#include "base/log.h"
#include "core/restore.h"
#include "core/sql_backfill.h"
#include "core/sql_copy.h"
#include "engine/passes.h"
#include "ops/archive_settle.h"
#include "ops/prepare.h"
#include "store/quarantine.h"
#include "store/schema.h"
#include "store/source.h"

/* ---- acceptance ---- */

static void
show_short_plan(const App *app, const Survey *survey)
{
    int width = term_text_width(&app->err);
    STRBUF_AUTO text = STRBUF_INIT;
    plan_put_table(&text, survey->plan.spec, &survey->facts, width);
    plan_put_short(&text, &survey->plan, width);
    strbuf_printf(&text, "All of it: pghaul plan %s\n", app->options.args[0]);
    (void)fputs(strbuf_text(&text), stderr);
}

static bool
ask(void)
{
    char answer[16] = "";
    (void)fputs("Begin? [y/N] ", stderr);
    (void)fflush(stderr);
    if (fgets(answer, sizeof(answer), stdin) == NULL) {
        (void)fputc('\n', stderr);
        return false;
    }
    return answer[0] == 'y' || answer[0] == 'Y';
}

/* A plan that was accepted once is not asked for again. */
static bool
accept_plan(App *app, PgConn *conn, const Survey *survey, const JobRow *job, Err *err)
{
    if (job->state != JOB_NEW) {
        return true;
    }
    bool can_ask = isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1;
    if (!app->options.yes && !can_ask) {
        (void)err_set(err, ERR_REFUSED, "nobody has accepted the plan of job %s yet", job->name);
        return err_hint(
            err, "Read it (pghaul plan %s), then run with --yes.", app->options.args[0]);
    }
    if (!app->options.quiet) {
        show_short_plan(app, survey);
    }
    if (!app->options.yes && !ask()) {
        return err_set(err, ERR_REFUSED, "the plan was not accepted");
    }
    return job_set_state(conn, job->id, JOB_READY, "plan accepted", err);
}

/* ---- outcome ---- */

static bool
differ_error(
    int64_t rows, const Plan *plan, const JobRow *job, int pass, const char *way_on, Err *err)
{
    const char *why = plan->copy != NULL
                          ? "Somebody wrote the target, or the source around its trigger."
                          : "Where the expression fails for a row that the application wrote, the "
                            "trigger leaves NULL.";
    (void)err_set(err, ERR_DIFFERENCE, "verify found %lld row%s that differ%s", (long long)rows,
        rows == 1 ? "" : "s", rows == 1 ? "s" : "");
    return err_hint(err,
        "Keys of some: SELECT key FROM pghaul.difference WHERE job = %lld AND pass = %d. %s "
        "%spghaul verify %s --repair changes them.",
        (long long)job->id, pass, why, way_on, job->name);
}

static void
print_contract(App *app, const Plan *plan)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_puts(&sql, "\n-- Next, by hand and at leisure:\n");
    if (plan->copy != NULL) {
        sql_copy_steps(&sql, plan);
    } else {
        sql_contract_steps(&sql, plan);
    }
    app_print(app, strbuf_text(&sql));
    app_result(app, "contract_sql", json_text(strbuf_text(&sql)));
}

static bool
finish(Drive *drive, bool keep_state, Err *err)
{
    if (!drive_read_outcome(drive, err)) {
        drive_fail(drive, keep_state || err->cls != ERR_STOPPED, err);
        return false;
    }
    int64_t differing = drive->pass_kind == PASS_VERIFY ? drive->totals.differing : 0;
    drive_end(drive, differing > 0 ? 6 : drive->aside > 0 ? 5 : 0);
    drive_summary(drive);
    if (differing > 0) {
        (void)differ_error(
            differing, drive->plan, drive->job, drive->pass, "The next run or ", err);
        if (!keep_state) {
            drive_set_state(drive, JOB_FAILED, err->message);
        }
        return false;
    }
    if (!drive_complete(drive, err)) {
        return false;
    }
    if (drive->plan->purge == NULL && drive->plan->restore == NULL) {
        print_contract(drive->app, drive->plan);
    }
    drive_tell_aside(drive->app, drive->job->name, drive->aside);
    return true;
}

/* Nothing left to do: how did it end? */
static bool
already_complete(App *app, PgConn *conn, const Plan *plan, const JobRow *job, Err *err)
{
    int64_t differing = 0;
    int64_t aside = 0;
    if ((job->pass_kind == PASS_VERIFY &&
            !job_differing(conn, job->id, job->pass, &differing, err)) ||
        !quarantine_count(conn, job->id, &aside, err)) {
        return false;
    }
    if (differing > 0) {
        return differ_error(differing, plan, job, job->pass, "", err);
    }
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&text, "job %s is complete already\n", job->name);
    if (plan->restore != NULL && plan->restore->rows != job->est_rows) {
        strbuf_puts(&text,
            "The archive has other rows by now than when it began: --run restores those of a run "
            "that came later.\n");
    }
    app_print(app, strbuf_text(&text));
    app_result(app, "already_complete", json_true());
    drive_tell_aside(app, job->name, aside);
    return true;
}

/* ---- the verb ---- */

/* A complete job stays complete while a repair that was cut off goes on; a purge is used again and
 * again. */
static bool
keeps_state(const Plan *plan, const JobRow *job)
{
    return job->state == JOB_COMPLETE && plan->purge == NULL;
}

static bool
prepare(Drive *drive, PgConn *source, Err *err)
{
    PgConn *conn = *drive->conn;
    const Plan *plan = drive->plan;
    const JobRow *job = drive->job;
    StopToken stop;
    stop_init(&stop); /* nobody raises it: a signal ends the process here */
    bool ok = archive_settle_job(conn, plan, job, err) &&
              prepare_objects(conn, source, plan, job->id, &stop, err) &&
              (keeps_state(plan, job) || job_set_state(conn, job->id, JOB_RUNNING, NULL, err));
    stop_destroy(&stop);
    return ok &&
           (plan->purge == NULL || prepare_next_pass(conn, plan, job, &drive->inherited_pass, err));
}

/* Two runs of a purge would not know of each other's passes which of them is the last. */
static bool
register_purge(Drive *drive, JobRow *job, Err *err)
{
    return drive->plan->purge == NULL ||
           (drive_register_alone(drive, err) &&
               job_read_id(*drive->conn, job->id, &drive->app->arena, job, err));
}

static bool
work(App *app, PgConn **conn, PgConn *source, const Survey *survey, JobRow *job, Err *err)
{
    Drive drive = {.app = app, .conn = conn, .plan = &survey->plan, .job = job};
    if (!register_purge(&drive, job, err) || !prepare(&drive, source, err)) {
        drive_end(&drive, err_exit_code(err));
        return false;
    }
    bool keep_state = keeps_state(&survey->plan, job);
    if (!drive_work(&drive, err)) {
        drive_fail(&drive, keep_state, err);
        return false;
    }
    return finish(&drive, keep_state, err);
}

/* The table was changed while nobody was at work: the job fails as it would have then. */
static bool
check_guards(PgConn *conn, PgConn *source, const Plan *plan, const JobRow *job, Err *err)
{
    DriftKind drift = DRIFT_NONE;
    if (source_guards_check(conn, source, plan, job, &drift, err)) {
        return true;
    }
    Err ignored = ERR_INIT; /* the drift is what to report */
    if (drift != DRIFT_NONE && jobstate_allows(job->state, JOB_FAILED)) {
        (void)!job_set_state(conn, job->id, JOB_FAILED, err->message, &ignored);
    }
    return false;
}

/* The names of its tables are exchanged: its plan could not even be made. */
static bool
is_cut_over(App *app, PgConn *conn, const JobSpec *spec, JobRow *job, bool *cut_over, Err *err)
{
    bool exists = false;
    *cut_over = false;
    if (spec->kind != KIND_COPY) {
        return true;
    }
    if (!schema_exists(conn, &exists, err) ||
        (exists && !job_read(conn, spec->job, &app->arena, job, &exists, err))) {
        return false;
    }
    *cut_over = exists && job->state == JOB_CUT_OVER;
    return true;
}

bool
run_spec(App *app, PgConn **conn, PgConn *source, const JobSpec *spec, Err *err)
{
    Survey survey;
    JobRow job;
    if (!app_survey(app, *conn, source, spec, &survey, err) ||
        !window_admits(app, *conn, spec, err) ||
        !prepare_job(*conn, &survey.plan, &app->arena, &job, err)) {
        return false;
    }
    app_result(app, "fingerprint", json_text(survey.plan.fingerprint));
    if (app->options.follow && drive_end_state(&survey.plan) != JOB_SYNCED) {
        (void)err_set(err, ERR_USER, "--follow is for a copy whose changes are recorded");
        return err_hint(
            err, "Job %s has nothing to follow: it is no copy with sync: trigger.", job.name);
    }
    bool repairing = false;
    if (!passes_are_repairing(*conn, &job, &repairing, err)) {
        return false;
    }
    if (keeps_state(&survey.plan, &job) && !repairing) {
        return already_complete(app, *conn, &survey.plan, &job, err);
    }
    if (job.pass > 0 && survey.plan.purge == NULL &&
        !check_guards(*conn, source, &survey.plan, &job, err)) {
        return false;
    }
    return accept_plan(app, *conn, &survey, &job, err) &&
           work(app, conn, source, &survey, &job, err);
}

bool
verb_run(App *app, Err *err)
{
    JobSpec spec;
    JobRow job;
    bool cut_over = false;
    PGCONN_AUTO *conn = NULL;
    PGCONN_AUTO *source = NULL;
    if (!app_open_job(app, app->options.args[0], &spec, &conn, &source, err) ||
        !is_cut_over(app, conn, &spec, &job, &cut_over, err)) {
        return false;
    }
    if (cut_over && source != NULL) {
        (void)err_set(err, ERR_REFUSED, "job %s is cut over to another server", job.name);
        return err_hint(err, "Nothing leads back from there; pghaul rollback %s.", job.name);
    }
    if (cut_over) {
        return window_admits(app, conn, &spec, err) && follow_cut_over(app, conn, &spec, &job, err);
    }
    return run_spec(app, &conn, source, &spec, err);
}
