/*
 * verb_control.c - `pghaul pause|resume|stop JOB | --all`: steer a job from any host.
 */
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "app/json.h"
#include "app/text.h"
#include "pg/sqlstate.h"
#include "store/control.h"
#include "store/schema.h"

static const struct {
    ControlScope scope; /* of --all */
    const char *no_job; /* --all found none */
} ALL[] = {
    [VERB_PAUSE] = {CONTROL_AT_WORK, "no job is at work\n"},
    [VERB_RESUME] = {CONTROL_PAUSED, "no job is paused\n"},
    [VERB_STOP] = {CONTROL_WITH_RUNS, "no run is alive\n"},
};

static bool
act(App *app, PgConn *conn, const char *job, const char **answer, Err *err)
{
    if (app->options.verb == VERB_PAUSE) {
        return control_pause(conn, job, app->options.reason, &app->arena, answer, err);
    }
    if (app->options.verb == VERB_RESUME) {
        return control_resume(conn, job, &app->arena, answer, err);
    }
    return control_stop(conn, job, &app->arena, answer, err);
}

static json_t *
report(const App *app, const char *job, const char *answer)
{
    STRBUF_AUTO line = STRBUF_INIT;
    text_put_safe(&line, answer);
    strbuf_putc(&line, '\n');
    app_print(app, strbuf_text(&line));
    return json_pack("{s:o,s:o}", "job", json_text(job), "answer", json_text(answer));
}

static bool
one(App *app, PgConn *conn, const char *name, Err *err)
{
    JobRow job; /* only to say so when there is none */
    const char *answer = NULL;
    if (!app_find_job(app, conn, name, &job, err) || !act(app, conn, name, &answer, err)) {
        return false;
    }
    json_t *object = report(app, name, answer);
    (void)json_object_update(app->result, object);
    json_decref(object);
    return true;
}

/* A job that ended or was cleaned since it was listed is no failure. */
static bool
has_moved_on(const Err *err)
{
    return strcmp(err->sqlstate, SQLSTATE_JOB_STATE) == 0 ||
           strcmp(err->sqlstate, SQLSTATE_UNKNOWN) == 0;
}

static bool
all(App *app, PgConn *conn, Err *err)
{
    const char **names = NULL;
    int count = 0;
    bool exists = false;
    if (!schema_check(conn, &exists, err) ||
        (exists &&
            !control_jobs(conn, ALL[app->options.verb].scope, &app->arena, &names, &count, err))) {
        return false;
    }
    json_t *jobs = json_array();
    app_result(app, "jobs", jobs);
    if (count == 0) {
        app_print(app, ALL[app->options.verb].no_job);
    }
    for (int i = 0; i < count; i++) {
        const char *answer = NULL;
        Err failure = ERR_INIT;
        if (!act(app, conn, names[i], &answer, &failure)) {
            if (!has_moved_on(&failure)) {
                *err = failure;
                return false;
            }
            answer = arena_strdup(&app->arena, failure.message);
        }
        json_append(jobs, report(app, names[i], answer));
    }
    return true;
}

bool
verb_control(App *app, Err *err)
{
    const Options *options = &app->options;
    const char *name = NULL;
    PGCONN_AUTO *conn = NULL;
    if (!app_job_or_all(options, err) ||
        (!options->all && !app_job_name(app, options->args[0], &name, err)) ||
        !app_connect(app, "catalog", &conn, err)) {
        return false;
    }
    return options->all ? all(app, conn, err) : one(app, conn, name, err);
}
