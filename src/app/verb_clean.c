/*
 * verb_clean.c - `pghaul clean JOB | --all`: no leftovers.
 */
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "app/json.h"
#include "app/text.h"
#include "ops/clean.h"
#include "ops/cutover.h"
#include "ops/indexes.h"
#include "store/schema.h"

/* What a copy dropped and has not built again is the operator's then. */
static void
print_left(App *app, const StrBuf *left)
{
    if (left->len > 0) {
        app_print(app, "\n-- Indexes that were to be built after the copy:\n");
        app_print(app, strbuf_text(left));
        app_result(app, "indexes_sql", json_text(strbuf_text(left)));
    }
}

/* Unless somebody has dropped it already. */
static void
print_old_table(App *app, PgConn *conn, const JobRow *job)
{
    const char *drop = NULL;
    Err ignored = ERR_INIT;
    if (job->state == JOB_CUT_OVER && cutover_drop_text(conn, job, &app->arena, &drop, &ignored)) {
        STRBUF_AUTO text = STRBUF_INIT;
        strbuf_printf(&text, "\n-- The old table stays; when nobody needs it:\n%s\n", drop);
        app_print(app, strbuf_text(&text));
        app_result(app, "drop_sql", json_text(drop));
    }
}

/* Names of triggers on another server end with the plan's fingerprint. */
static bool
has_trigger_elsewhere(const JobRow *job)
{
    if (job->trigger_name == NULL) {
        return false;
    }
    size_t name = strlen(job->trigger_name);
    size_t end = strlen(job->fingerprint);
    return name > end && strcmp(job->trigger_name + name - end, job->fingerprint) == 0;
}

static void
print_removed(App *app, const JobRow *job)
{
    STRBUF_AUTO line = STRBUF_INIT;
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&line, "job %s is cleaned: ", job->name);
    if (job->trigger_name != NULL) {
        strbuf_printf(&line, "trigger %s on %s, ", job->trigger_name, job->table_name);
    }
    strbuf_puts(&line, "functions and ranges are removed, the history of its runs stays");
    if (job->state == JOB_CUT_OVER && has_trigger_elsewhere(job)) {
        strbuf_printf(
            &line, "; writes to %s on the old server are no longer refused", job->table_name);
    }
    if (job->state != JOB_COMPLETE && job->state != JOB_CUT_OVER) {
        strbuf_puts(&line, "; pghaul run with its job file begins it anew");
    }
    text_put_wrapped(&text, "", strbuf_text(&line), term_text_width(&app->out));
    app_print(app, strbuf_text(&text));
    app_result(app, "job", json_text(job->name));
    app_result(app, "trigger", json_text(job->trigger_name));
}

/* Only a job with something on another server needs its file's text, which may be of a version that
 * cannot be read any more. */
static bool
clean_elsewhere(App *app, const char *name, const JobRow *job, StopToken *stop, Err *err)
{
    PGCONN_AUTO *conn = NULL;
    PGCONN_AUTO *source = NULL;
    JobSpec spec;
    return app_open_job(app, name, &spec, &conn, &source, err) &&
           (source == NULL || clean_source(conn, source, job, stop, err));
}

static bool
clean_one(App *app, PgConn *conn, const char *name, StopToken *stop, Err *err)
{
    JobRow job;
    STRBUF_AUTO left = STRBUF_INIT;
    if (!app_find_job(app, conn, name, &job, err) ||
        !indexes_left_sql(conn, job.name, &left, err) ||
        (has_trigger_elsewhere(&job) &&
            !clean_elsewhere(app, app->options.args[0], &job, stop, err)) ||
        !clean_job(conn, &job, stop, err)) {
        return false;
    }
    print_removed(app, &job);
    print_left(app, &left);
    print_old_table(app, conn, &job);
    return true;
}

/* What jobs have on other servers, which only their rows know of; the schema there stays, since
 * jobs of its own may be in it. */
static bool
clean_sources(App *app, const JobRow *jobs, int count, int *elsewhere, StopToken *stop, Err *err)
{
    for (int i = 0; i < count; i++) {
        if (has_trigger_elsewhere(&jobs[i])) {
            (*elsewhere)++;
            if (!clean_elsewhere(app, jobs[i].name, &jobs[i], stop, err)) {
                return err_wrap(err, "job %s", jobs[i].name);
            }
        }
    }
    return true;
}

static bool
clean_every(App *app, PgConn *conn, StopToken *stop, Err *err)
{
    JobRow *jobs = NULL;
    int count = 0;
    bool exists = false;
    if (!schema_exists(conn, &exists, err)) {
        return false;
    }
    if (!exists) {
        app_print(app, "nothing to clean: there is no schema pghaul\n");
        app_result(app, "removed_jobs", json_array());
        return true;
    }
    STRBUF_AUTO left = STRBUF_INIT;
    bool ok = job_ids(conn, &app->arena, &jobs, &count, err);
    for (int i = 0; ok && i < count; i++) {
        ok = indexes_left_sql(conn, jobs[i].name, &left, err);
    }
    int elsewhere = 0;
    if (!ok || !clean_sources(app, jobs, count, &elsewhere, stop, err) ||
        !clean_all(conn, stop, err)) {
        return false;
    }
    json_t *list = json_array();
    STRBUF_AUTO text = STRBUF_INIT;
    for (int i = 0; i < count; i++) {
        strbuf_printf(
            &text, "job %s is cleaned: trigger, functions and ranges are removed\n", jobs[i].name);
        json_append(list, json_text(jobs[i].name));
    }
    strbuf_puts(&text, "schema pghaul is removed with its history\n");
    strbuf_puts(&text,
        elsewhere > 0 ? "at the sources of copies it stays, empty: pghaul clean --all -d SOURCE\n"
                      : "");
    app_print(app, strbuf_text(&text));
    print_left(app, &left);
    app_result(app, "removed_jobs", list);
    return true;
}

bool
verb_clean(App *app, Err *err)
{
    const Options *options = &app->options;
    const char *name = NULL;
    if (!app_job_or_all(options, err) ||
        (!options->all && !app_job_name(app, options->args[0], &name, err))) {
        return false;
    }
    PGCONN_AUTO *conn = NULL;
    if (!app_connect(app, "catalog", &conn, err)) {
        return false;
    }
    StopToken stop;
    stop_init(&stop); /* nobody raises it: a signal ends the process, and clean may be repeated */
    bool ok =
        options->all ? clean_every(app, conn, &stop, err) : clean_one(app, conn, name, &stop, err);
    stop_destroy(&stop);
    return ok;
}
