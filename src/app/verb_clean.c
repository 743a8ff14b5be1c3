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

/* After a cutover that was cut off just behind the swap. */
static void
print_unfinished(App *app, const StrBuf *unfinished)
{
    if (unfinished->len > 0) {
        app_print(app, "\n-- Constraints that the cutover was still to validate:\n");
        app_print(app, strbuf_text(unfinished));
        app_result(app, "constraints_sql", json_text(strbuf_text(unfinished)));
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
print_removed(App *app, const JobRow *job, bool source_is_lost)
{
    STRBUF_AUTO line = STRBUF_INIT;
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&line, "job %s is cleaned: ", job->name);
    if (job->trigger_name != NULL) {
        strbuf_printf(&line, "trigger %s on %s, ", job->trigger_name, job->table_name);
    }
    strbuf_puts(&line, "functions and ranges are removed, the history of its runs stays");
    if (job->state == JOB_CUT_OVER && has_trigger_elsewhere(job) && !source_is_lost) {
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
 * cannot be read any more.  A source that is gone for good must not keep what is here: the
 * statements that are left for it are put into `left`. */
static bool
clean_elsewhere(
    App *app, const char *name, const JobRow *job, StopToken *stop, StrBuf *left, Err *err)
{
    PGCONN_AUTO *conn = NULL;
    PGCONN_AUTO *source = NULL;
    JobSpec spec;
    Err lost = ERR_INIT;
    if (app_open_job(app, name, &spec, &conn, &source, &lost)) {
        return source == NULL || clean_source(conn, source, job, stop, err);
    }
    if (lost.cls != ERR_CONNECT && lost.cls != ERR_USER) {
        *err = lost;
        return false;
    }
    strbuf_printf(left, "-- job %s: %s\n", job->name, lost.message);
    clean_put_source_sql(left, job);
    return true;
}

/* The rest is cleaned, but not all of it. */
static bool
end_left_elsewhere(App *app, const StrBuf *left, Err *err)
{
    if (left->len == 0) {
        return true;
    }
    app_print(app, "\n-- On the old server, which was not reached; its triggers go on filling the "
                   "change log:\n");
    app_print(app, strbuf_text(left));
    app_result(app, "source_sql", json_text(strbuf_text(left)));
    (void)err_set(err, ERR_CONNECT, "the source was not reached and has not been cleaned");
    return err_hint(err, "The statements above remove there what is left.");
}

static bool
clean_one(App *app, PgConn *conn, const char *name, StopToken *stop, Err *err)
{
    JobRow job;
    STRBUF_AUTO left = STRBUF_INIT;
    STRBUF_AUTO elsewhere = STRBUF_INIT;
    STRBUF_AUTO unfinished = STRBUF_INIT;
    if (!app_find_job(app, conn, name, &job, err) ||
        !indexes_left_sql(conn, job.name, &left, err) ||
        ((job.state == JOB_CUT_OVER || job.state == JOB_SYNCED) &&
            !cutover_left_sql(conn, &job, &unfinished, err)) ||
        (has_trigger_elsewhere(&job) &&
            !clean_elsewhere(app, app->options.args[0], &job, stop, &elsewhere, err)) ||
        !clean_job(conn, &job, stop, err)) {
        return false;
    }
    print_removed(app, &job, elsewhere.len > 0);
    print_left(app, &left);
    print_unfinished(app, &unfinished);
    print_old_table(app, conn, &job);
    return end_left_elsewhere(app, &elsewhere, err);
}

/* Statements for the operator. */
typedef struct Left {
    StrBuf *indexes;
    StrBuf *elsewhere;
} Left;

/* What cannot be found out any more once the schema is dropped; one of a version that cannot be
 * read has nothing elsewhere that we could know of. */
static bool
empty_job(App *app, PgConn *conn, const char *name, StopToken *stop, const Left *left, Err *err)
{
    JobRow job;
    Err unreadable = ERR_INIT;
    bool elsewhere =
        app_find_job(app, conn, name, &job, &unreadable) && has_trigger_elsewhere(&job);
    return indexes_left_sql(conn, name, left->indexes, err) &&
           (!elsewhere || clean_elsewhere(app, name, &job, stop, left->elsewhere, err));
}

static bool
clean_every(App *app, PgConn *conn, StopToken *stop, Err *err)
{
    const char **names = NULL;
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
    STRBUF_AUTO elsewhere = STRBUF_INIT;
    Left all = {&left, &elsewhere};
    bool ok = job_names(conn, &app->arena, &names, &count, err);
    for (int i = 0; ok && i < count; i++) {
        ok = empty_job(app, conn, names[i], stop, &all, err);
    }
    if (!ok || !clean_all(conn, stop, err)) {
        return false;
    }
    json_t *list = json_array();
    STRBUF_AUTO text = STRBUF_INIT;
    for (int i = 0; i < count; i++) {
        strbuf_printf(&text, "job %s is cleaned: all that it made is removed\n", names[i]);
        json_append(list, json_text(names[i]));
    }
    strbuf_puts(&text, "schema pghaul is removed with its history\n");
    app_print(app, strbuf_text(&text));
    print_left(app, &left);
    app_result(app, "removed_jobs", list);
    return end_left_elsewhere(app, &elsewhere, err);
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
