/*
 * verb_cutover.c - `pghaul cutover JOB`: the application uses the new table from now on.
 *
 * A signal ends the process: until the swap commits nothing has changed, after it what is left to
 * do is done by the next call.
 */
#include <stdio.h>
#include <unistd.h>

#include "app/app.h"
#include "app/carry_text.h"
#include "app/cutover.h"
#include "app/json.h"
#include "app/text.h"
#include "core/format.h"
#include "core/sql_backfill.h"
#include "ops/cutover.h"
#include "store/guards.h"
#include "store/run.h"

/* ---- may it be done ---- */

/* It has one table; a backfill changes it in place. */
static bool
refuse_kind(App *app, PgConn *conn, const JobSpec *spec, Err *err)
{
    if (spec->kind == KIND_BACKFILL) {
        Survey survey;
        if (!app_survey(app, conn, NULL, spec, &survey, err)) {
            return false;
        }
        STRBUF_AUTO sql = STRBUF_INIT;
        strbuf_puts(&sql, "-- By hand and at leisure, when the job is complete:\n");
        sql_contract_steps(&sql, &survey.plan);
        app_print(app, strbuf_text(&sql));
        app_result(app, "contract_sql", json_text(strbuf_text(&sql)));
    }
    return err_set(err, ERR_REFUSED, "job %s is a %s, which has no second table", spec->job,
        jobspec_kind_name(spec->kind));
}

static bool
check_verified(PgConn *conn, const JobRow *job, Err *err)
{
    bool done = false;
    int64_t differing = 0;
    if (!job_pass_is_done(conn, job->id, job->pass, &done, err) ||
        !job_differing(conn, job->id, job->pass, &differing, err)) {
        return false;
    }
    if (job->pass_kind == PASS_VERIFY && done && differing == 0) {
        return true;
    }
    (void)err_set(err, ERR_REFUSED, "the rows of job %s have not all been compared", job->name);
    return err_hint(err, "pghaul verify %s compares them.", job->name);
}

bool
cutover_check_idle(PgConn *conn, const JobRow *job, Err *err)
{
    int alive = 0;
    if (!run_count_alive(conn, job->id, &alive, err)) {
        return false;
    }
    if (alive == 0) {
        return true;
    }
    (void)err_set(err, ERR_BUSY, "job %s is being worked on by %d run%s", job->name, alive,
        alive == 1 ? "" : "s");
    return err_hint(err, "pghaul stop %s ends it.", job->name);
}

bool
cutover_check_state(const JobRow *job, JobState wanted, Err *err)
{
    if (job->state == wanted) {
        return true;
    }
    (void)err_set(err, ERR_REFUSED, "job %s is %s, not %s", job->name, jobstate_name(job->state),
        jobstate_name(wanted));
    return wanted == JOB_SYNCED ? err_hint(err,
                                      "pghaul status %s says what comes first; only a copy with "
                                      "sync: trigger can be "
                                      "cut over.",
                                      job->name)
                                : err_hint(err, "Only a job that was cut over can be rolled back.");
}

bool
cutover_ask(App *app, const char *question, Err *err)
{
    char answer[16] = "";
    if (app->options.yes) {
        return true;
    }
    if (isatty(STDIN_FILENO) != 1 || isatty(STDERR_FILENO) != 1) {
        return err_set(err, ERR_REFUSED, "nobody has agreed to it; --yes does");
    }
    (void)fprintf(stderr, "%s [y/N] ", question);
    (void)fflush(stderr);
    if (fgets(answer, sizeof(answer), stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y')) {
        return true;
    }
    return err_set(err, ERR_REFUSED, "nothing was done");
}

/* ---- outcome ---- */

static void
show_swap(App *app, const char *did, const CutoverResult *result)
{
    char rows[FORMAT_SIZE];
    STRBUF_AUTO line = STRBUF_INIT;
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&line,
        "%s; writes were blocked for %.1f ms (attempt %d), %s change%s drained on the way", did,
        (double)result->blocked_us / 1000, result->attempts, format_count(result->entries, rows),
        result->entries == 1 ? "" : "s");
    text_put_wrapped(&text, "", strbuf_text(&line), term_text_width(&app->out));
    app_print(app, strbuf_text(&text));
    app_result(app, "blocked_ms", json_real((double)result->blocked_us / 1000));
    app_result(app, "attempts", json_integer(result->attempts));
    app_result(app, "drained_changes", json_integer(result->entries));
}

/* Constraints and statistics, after either direction. */
static bool
finish(App *app, PgConn *conn, const JobRow *job, StopToken *stop, Err *err)
{
    int warnings = 0;
    if (!cutover_finish(conn, job, stop, &warnings, err)) {
        return err_hint(err, "The tables are exchanged; pghaul %s %s goes on with the rest.",
            job->state == JOB_CUT_OVER ? "cutover" : "rollback", job->name);
    }
    app_result(app, "not_valid_constraints", json_integer(warnings));
    return true;
}

static bool
settle(App *app, PgConn *conn, int64_t id, StopToken *stop, Err *err)
{
    JobRow job;
    return job_read_id(conn, id, &app->arena, &job, err) && finish(app, conn, &job, stop, err);
}

static void
print_next(App *app, const JobRow *job, bool way_back)
{
    STRBUF_AUTO line = STRBUF_INIT;
    STRBUF_AUTO text = STRBUF_INIT;
    if (way_back) {
        strbuf_printf(&line,
            "Next: pghaul run %s --follow keeps the old table in step, pghaul rollback %s goes "
            "back without losing a write, pghaul clean %s ends it.",
            job->name, job->name, job->name);
    } else {
        strbuf_printf(&line, "There is no way back. Next: pghaul clean %s ends it.", job->name);
    }
    text_put_wrapped(&text, "", strbuf_text(&line), term_text_width(&app->out));
    app_print(app, strbuf_text(&text));
}

/* ---- the verb ---- */

static bool
cut_over(App *app, PgConn *conn, const Plan *plan, const JobRow *job, StopToken *stop, Err *err)
{
    Carry carry;
    CutoverResult result;
    if (!carry_read(conn, plan, &app->arena, &carry, err)) {
        return false;
    }
    app_result(app, "cutover", carry_json(&carry));
    if (!app->options.quiet && !app->options.json) {
        STRBUF_AUTO report = STRBUF_INIT;
        STRBUF_AUTO safe = STRBUF_INIT;
        carry_put_report(&report, &carry, term_text_width(&app->err));
        text_put_safe(&safe, strbuf_text(&report));
        (void)fputs(strbuf_text(&safe), stderr);
    }
    Cutover cutover = {.conn = conn,
        .plan = plan,
        .carry = &carry,
        .job = job,
        .stop = stop,
        .arena = &app->arena};
    if (!cutover_check(conn, plan, &carry, &app->arena, err) ||
        !cutover_ask(app, "Cut over?", err) || !cutover_run(&cutover, &result, err)) {
        return false;
    }
    show_swap(app, "cut over", &result);
    print_next(app, job, plan->copy->invertible);
    return settle(app, conn, job->id, stop, err);
}

static bool
begin(App *app, PgConn *conn, const JobSpec *spec, const JobRow *job, StopToken *stop, Err *err)
{
    Survey survey;
    if (job->state == JOB_CUT_OVER) {
        app_print(app, "the job is cut over already\n");
        app_result(app, "already_cut_over", json_true());
        return settle(app, conn, job->id, stop, err);
    }
    return cutover_check_idle(conn, job, err) && cutover_check_state(job, JOB_SYNCED, err) &&
           check_verified(conn, job, err) && guards_check(conn, job->id, NULL, err) &&
           app_survey(app, conn, NULL, spec, &survey, err) &&
           cut_over(app, conn, &survey.plan, job, stop, err);
}

bool
verb_cutover(App *app, Err *err)
{
    JobSpec spec;
    JobRow job;
    PGCONN_AUTO *conn = NULL;
    PGCONN_AUTO *source = NULL;
    if (!app_open_job(app, app->options.args[0], &spec, &conn, &source, err) ||
        !app_find_job(app, conn, spec.job, &job, err)) {
        return false;
    }
    if (spec.kind != KIND_COPY) {
        return refuse_kind(app, conn, &spec, err);
    }
    StopToken stop;
    stop_init(&stop); /* nobody raises it */
    Elsewhere elsewhere = {app, &conn, source, &spec, &job, &stop};
    bool ok = source != NULL ? cutover_elsewhere(&elsewhere, err)
                             : begin(app, conn, &spec, &job, &stop, err);
    stop_destroy(&stop);
    return ok;
}

/* ---- back ---- */

static bool
roll_back(App *app, PgConn *conn, const JobSpec *spec, const JobRow *job, StopToken *stop, Err *err)
{
    CutoverResult result;
    if (job->state == JOB_SYNCED) {
        app_print(app, "the job is not cut over; there is nothing to take back\n");
        app_result(app, "already_rolled_back", json_true());
        return settle(app, conn, job->id, stop, err);
    }
    if (!cutover_check_idle(conn, job, err) || !cutover_check_state(job, JOB_CUT_OVER, err) ||
        !cutover_ask(app, "Roll back?", err) ||
        !cutover_rollback(conn, job, spec->throttle.yield_after_us, stop, &result, err)) {
        return false;
    }
    show_swap(app, "rolled back: the old table serves again", &result);
    return settle(app, conn, job->id, stop, err);
}

bool
verb_rollback(App *app, Err *err)
{
    JobSpec spec;
    JobRow job;
    PGCONN_AUTO *conn = NULL;
    PGCONN_AUTO *source = NULL;
    if (!app_open_job(app, app->options.args[0], &spec, &conn, &source, err) ||
        !app_find_job(app, conn, spec.job, &job, err)) {
        return false;
    }
    if (spec.kind != KIND_COPY) {
        return err_set(err, ERR_REFUSED, "job %s is a %s, which is never cut over", spec.job,
            jobspec_kind_name(spec.kind));
    }
    StopToken stop;
    stop_init(&stop); /* nobody raises it */
    Elsewhere elsewhere = {app, &conn, source, &spec, &job, &stop};
    bool ok = source != NULL ? rollback_elsewhere(&elsewhere, err)
                             : roll_back(app, conn, &spec, &job, &stop, err);
    stop_destroy(&stop);
    return ok;
}
