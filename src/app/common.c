/*
 * common.c - steps that several verbs share: sessions, job files, findings.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app.h"
#include "app/json.h"
#include "app/text.h"
#include "core/format.h"
#include "core/jobfile.h"
#include "core/suggest.h"
#include "core/utf8.h"
#include "pg/catalog.h"
#include "pg/sqlstate.h"
#include "store/guards.h"
#include "store/schema.h"

/* ---- output ---- */

void
app_result(App *app, const char *name, json_t *value)
{
    json_put(app->result, name, value);
}

bool
app_is_silent(const App *app)
{
    VerbId verb = app->options.verb;
    return app->options.quiet && (verb == VERB_RUN || verb == VERB_VERIFY);
}

/* A terminal would obey what stands in names. */
void
app_print(const App *app, const char *text)
{
    if (!app->options.json && !app_is_silent(app)) {
        STRBUF_AUTO safe = STRBUF_INIT;
        text_put_safe(&safe, text);
        (void)fputs(strbuf_text(&safe), stdout);
    }
}

static void
put_findings_text(const App *app, const Survey *survey, FILE *stream)
{
    const Terminal *term = stream == stdout ? &app->out : &app->err;
    STRBUF_AUTO text = STRBUF_INIT;
    text_put_findings(&text, &survey->findings, term, term_width(term));
    (void)fputs(strbuf_text(&text), stream);
}

void
app_show_findings(App *app, const Survey *survey, FILE *stream)
{
    app_result(app, "findings", json_findings(&survey->findings));
    if (!app->options.json) {
        put_findings_text(app, survey, stream);
    }
}

bool
app_refused(const Survey *survey, Err *err)
{
    STRBUF_AUTO counts = STRBUF_INIT;
    text_put_counts(&counts, &survey->findings);
    return err_set(err, ERR_REFUSED, "the job does not start: %s", strbuf_text(&counts));
}

/* A job that is under way and a table that does not fit it any more: say what was changed, not only
 * what is missing now.  Whatever hinders that is not the reason that *err has.  Triggers a repair
 * takes as they are: what refuses the job stands in its way, not that they were changed. */
static void
prefer_drift(App *app, PgConn *conn, const char *name, Err *err)
{
    Err drift = ERR_INIT;
    DriftKind kind = DRIFT_NONE;
    JobRow job;
    bool found = false;
    bool known = schema_exists(conn, &found, &drift) && found &&
                 job_read(conn, name, &app->arena, &job, &found, &drift) && found;
    if (known && job.state == JOB_CUT_OVER) {
        *err = ERR_INIT;
        (void)err_set(err, ERR_REFUSED, "job %s is cut over", name);
        (void)err_hint(
            err, "pghaul rollback %s takes it back, pghaul clean %s ends it.", name, name);
        return;
    }
    if (known && job.pass > 0 && job.state != JOB_COMPLETE &&
        !guards_check(conn, job.id, &kind, &drift) && kind != DRIFT_NONE &&
        !(kind == DRIFT_TRIGGER && app->options.repair)) {
        *err = drift;
    }
}

bool
app_survey(App *app, PgConn *conn, PgConn *source, const JobSpec *spec, Survey *survey, Err *err)
{
    if (survey_run(conn, source, spec, &app->arena, survey, err)) {
        if (survey->planned) {
            return true;
        }
        app_show_findings(app, survey, stderr);
        (void)app_refused(survey, err);
    }
    prefer_drift(app, conn, spec->job, err);
    return app_explain_refusal(err);
}

bool
app_job_or_all(const Options *options, Err *err)
{
    if (options->all == (options->arg_count == 0)) {
        return true;
    }
    const char *verb = verb_at(options->verb)->name;
    (void)err_set(err, ERR_USER, "pghaul %s: %s", verb,
        options->all ? "a job and --all do not go together" : "an argument is missing");
    return err_hint(err, "Usage: pghaul %s JOB | --all", verb);
}

bool
app_explain_refusal(Err *err)
{
    if (strcmp(err->sqlstate, SQLSTATE_DENIED) == 0) {
        err->cls = ERR_REFUSED;
        return err_hint(
            err, "The role of the runs may; pghaul plan JOB --grants prints what another needs.");
    }
    if (strcmp(err->sqlstate, SQLSTATE_READ_ONLY) == 0) {
        err->cls = ERR_REFUSED;
        return err_hint(err, "A standby can be looked at only: connect to the primary, for "
                             "instance with target_session_attrs=read-write.");
    }
    if (strcmp(err->sqlstate, SQLSTATE_LOCKED) == 0) {
        *err = ERR_INIT;
        (void)err_set(err, ERR_BUSY, "somebody holds a lock that this needs, for longer than 2 s");
        return err_hint(err, "pghaul blockers shows who, and the statement that ends it.");
    }
    return false;
}

/* ---- sessions ---- */

void
app_conn_cleanup(PgConn **conn)
{
    conn_close(*conn);
    *conn = NULL;
}

bool
app_connect(const App *app, const char *label, PgConn **conn, Err *err)
{
    if (conn_open(&app->options.target, CONN_CATALOG, label, CONNECT_TIMEOUT_US, conn, err)) {
        return true;
    }
    /* No slot, or starting up: worth a retry to a worker, but there is no session to begin with. */
    err->cls = ERR_CONNECT;
    return false;
}

/* ---- the ends of a copy ---- */

static bool
names_target(const ConnTarget *target)
{
    return target->dbname != NULL || target->host != NULL || target->port != NULL ||
           target->user != NULL;
}

/* One end is named by the file, the other one by the command line, or both by the file. */
static bool
resolve_ends(App *app, const JobSpec *spec, Err *err)
{
    ConnTarget *target = &app->options.target;
    if (app->has_ends) { /* a verb that reads its file a second time */
        return true;
    }
    app->has_ends = true;
    app->remote = spec->from != NULL || spec->to != NULL;
    if (spec->from != NULL && spec->to != NULL && names_target(target)) {
        (void)err_set(err, ERR_USER, "%s has from: and to:, and the command line a third database",
            spec->file);
        return err_hint(err, "Leave out -d, -h, -p and -U.");
    }
    app->source = spec->from == NULL ? *target : (ConnTarget){.dbname = spec->from};
    if (spec->to != NULL) {
        *target = (ConnTarget){.dbname = spec->to};
    }
    return true;
}

static bool
check_end(App *app, const JobSpec *spec, const char *text, const Place *place, Err *err)
{
    if (text == NULL) {
        return true;
    }
    ConnTarget target = {.dbname = text};
    const char *where = arena_printf(&app->arena, "%s:%d:%d: %s:", spec->file, place->line,
        place->column, text == spec->from ? "from" : "to");
    return conn_check_target(&target, where, err);
}

static bool
open_source(App *app, PgConn *conn, PgConn **source, Err *err)
{
    bool same = false;
    if (!conn_open(&app->source, CONN_CATALOG, "source", CONNECT_TIMEOUT_US, source, err)) {
        err->cls = ERR_CONNECT;
        return err_wrap(err, "source");
    }
    if (!catalog_same_database(conn, *source, &same, err)) {
        return false;
    }
    if (same) {
        app_conn_cleanup(source);
        app->remote = false;
    }
    return true;
}

/* The job was found in its target's database, whatever `to:` calls that. */
static bool
resolve_stored_ends(App *app, const JobSpec *spec, bool wants_source, Err *err)
{
    app->remote = spec->from != NULL || spec->to != NULL;
    app->source = (ConnTarget){.dbname = spec->from};
    if (!app->remote || spec->from != NULL || !wants_source) {
        return true;
    }
    (void)err_set(
        err, ERR_USER, "job %s does not say where its source is: that was given by -d", spec->job);
    return err_hint(err, "Name the job file instead of the job, and give -d as then.");
}

void
app_show_ends(App *app, PgConn *conn, PgConn *source)
{
    if (source == NULL) {
        return;
    }
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&text, "from  %s\nto    %s\n", conn_describe(source), conn_describe(conn));
    app_print(app, strbuf_text(&text));
    app_result(app, "from", json_text(conn_describe(source)));
    app_result(app, "to", json_text(conn_describe(conn)));
}

/* ---- job files ---- */

static bool
ends_with(const char *text, const char *end)
{
    size_t len = strlen(text);
    size_t end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* A folder that has the name of a job does not stand in its way. */
static bool
is_readable_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && !S_ISDIR(status.st_mode) && access(path, R_OK) == 0;
}

bool
app_names_file(const char *job)
{
    return strchr(job, '/') != NULL || ends_with(job, ".yaml") || ends_with(job, ".yml") ||
           ends_with(job, ".json") || is_readable_file(job);
}

/*
 * The SQL of a job file runs with the rights of whoever runs the job, so nobody else may have
 * written it.  Asked of the open file, which cannot be exchanged any more; a pipe is the caller's
 * own doing.
 */
static bool
check_writers(int fd, const char *shown, Err *err)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return err_set(err, ERR_USER, "cannot read %s: %s", shown, strerrordesc_np(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        return true;
    }
    if (status.st_uid != geteuid() && status.st_uid != 0) {
        (void)err_set(err, ERR_USER, "%s belongs to another user, who may change its SQL", shown);
        return err_hint(err, "Copy it, look at the copy and run that.");
    }
    bool by_group = (status.st_mode & S_IWGRP) != 0 && status.st_gid != getegid();
    if (by_group || (status.st_mode & S_IWOTH) != 0) {
        (void)err_set(err, ERR_USER, "others may write %s and so change its SQL", shown);
        return err_hint(err, "Look at it, then: chmod go-w %s", shown);
    }
    return true;
}

/* The whole file into *text, one byte more than permitted at most. */
static bool
read_stream(FILE *file, const char *shown, StrBuf *text, Err *err)
{
    char chunk[8192];
    size_t got = 0;
    do {
        got = fread(chunk, 1, sizeof(chunk), file);
        strbuf_put(text, chunk, got);
    } while (got > 0 && text->len <= JOB_FILE_MAX_BYTES);
    if (ferror(file) != 0) {
        return err_set(err, ERR_USER, "cannot read %s: %s", shown, strerrordesc_np(errno));
    }
    if (text->len > JOB_FILE_MAX_BYTES) {
        return err_set(err, ERR_USER, "%s is larger than 1 MiB and no job file", shown);
    }
    return true;
}

static bool
read_file(const char *path, StrBuf *text, Err *err)
{
    char shown[160];
    utf8_shorten(shown, sizeof(shown), path);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return err_set(err, ERR_USER, "cannot read %s: %s", shown, strerrordesc_np(errno));
    }
    bool ok = check_writers(fileno(file), shown, err) && read_stream(file, shown, text, err);
    (void)fclose(file);
    return ok;
}

bool
app_read_job_file(App *app, const char *path, JobSpec *spec, Err *err)
{
    STRBUF_AUTO text = STRBUF_INIT;
    if (!read_file(path, &text, err)) {
        return false;
    }
    return jobfile_parse(path, strbuf_text(&text), text.len, &app->arena, spec, err) &&
           check_end(app, spec, spec->from, &spec->from_place, err) &&
           check_end(app, spec, spec->to, &spec->to_place, err) && resolve_ends(app, spec, err);
}

/* ---- jobs ---- */

static void
unknown_job(App *app, PgConn *conn, const char *name, Err *err)
{
    const char **names = NULL;
    int count = 0;
    bool exists = false;
    Err ignored = ERR_INIT; /* the suggestion only */
    char shown[64];
    utf8_shorten(shown, sizeof(shown), name);
    (void)err_set(err, ERR_USER, "there is no job \"%s\" in this database", shown);
    if (!schema_exists(conn, &exists, &ignored) ||
        (exists && !job_names(conn, &app->arena, &names, &count, &ignored))) {
        return;
    }
    const char *near = suggest_nearest(name, names, (size_t)count);
    if (near != NULL) {
        (void)err_hint(err, "Did you mean \"%s\"?", near);
    } else if (count == 0) {
        (void)err_hint(err, "It has no jobs at all: pghaul run JOB.yaml begins one; a copy's job "
                            "is in the database of its target, that of to: in its file.");
    } else {
        (void)err_hint(err, "pghaul status lists the jobs of a database; a copy's job is in that "
                            "of its target, which to: in its file names.");
    }
}

bool
app_find_job(App *app, PgConn *conn, const char *name, JobRow *job, Err *err)
{
    bool exists = false;
    bool found = false;
    if (!schema_check(conn, &exists, err) ||
        (exists && !job_read(conn, name, &app->arena, job, &found, err))) {
        (void)app_explain_refusal(err);
        return false;
    }
    if (!found) {
        unknown_job(app, conn, name, err);
    }
    return found;
}

/* ---- opening ---- */

static bool
open_stored_job(
    App *app, const char *name, bool wants_source, JobSpec *spec, PgConn **conn, Err *err)
{
    JobRow job;
    if (!app_connect(app, "catalog", conn, err) || !app_find_job(app, *conn, name, &job, err)) {
        return false;
    }
    const char *file = arena_printf(&app->arena, "job %s", job.name);
    return jobfile_parse(file, job.spec, strlen(job.spec), &app->arena, spec, err) &&
           resolve_stored_ends(app, spec, wants_source, err);
}

bool
app_open_job(App *app, const char *job, JobSpec *spec, PgConn **conn, PgConn **source, Err *err)
{
    bool ok = app_names_file(job)
                  ? app_read_job_file(app, job, spec, err) && app_connect(app, "catalog", conn, err)
                  : open_stored_job(app, job, source != NULL, spec, conn, err);
    if (!ok) {
        return false;
    }
    app_result(app, "job", json_text(spec->job));
    return !app->remote || source == NULL || open_source(app, *conn, source, err);
}

bool
app_job_name(App *app, const char *job, const char **name, Err *err)
{
    JobSpec spec;
    if (!app_names_file(job)) {
        *name = job;
        return true;
    }
    if (!app_read_job_file(app, job, &spec, err)) {
        return false;
    }
    *name = spec.job;
    return true;
}
