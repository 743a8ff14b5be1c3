/*
 * verb_quarantine.c - `pghaul quarantine JOB`: the rows that the server refused, and --retry.
 */
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "app/json.h"
#include "app/text.h"
#include "ops/prepare.h"
#include "ops/quarantine.h"
#include "pg/query.h"
#include "store/quarantine.h"

/* ---- list ---- */

/* On one line, whatever is in it. */
static void
put_line(StrBuf *out, const char *text)
{
    for (const char *at = text; *at != '\0';) {
        size_t len = strcspn(at, "\n");
        STRBUF_AUTO part = STRBUF_INIT;
        strbuf_put(&part, at, len);
        text_put_safe(out, strbuf_text(&part));
        if (at[len] == '\n') {
            strbuf_putc(out, ' ');
            len++;
        }
        at += len;
    }
}

static void
print_rows(const App *app, const QuarantineRow *rows, int count)
{
    STRBUF_AUTO text = STRBUF_INIT;
    if (count == 0) {
        app_print(app, "no row is set aside\n");
        return;
    }
    strbuf_printf(&text, "%-24s %-8s %-5s %4s %5s  %-22s  %s\n", "key", "state", "code", "pass",
        "tries", "last tried", "what the server said");
    for (int i = 0; i < count; i++) {
        const QuarantineRow *row = &rows[i];
        STRBUF_AUTO key = STRBUF_INIT;
        put_line(&key, row->key);
        strbuf_printf(&text, "%-24s %-8s %-5s %4d %5d  %-22s  ", strbuf_text(&key),
            row->set_aside ? "aside" : "stopped", row->sqlstate, row->pass, row->attempts, row->at);
        put_line(&text, row->message);
        strbuf_putc(&text, '\n');
    }
    app_print(app, strbuf_text(&text));
}

static bool
row_json(App *app, const QuarantineRow *row, json_t *list, Err *err)
{
    const char **items = NULL;
    int count = 0;
    if (!pg_array_parse(row->key, &app->arena, &items, &count, err)) {
        return false;
    }
    json_t *key = json_array();
    for (int i = 0; i < count; i++) {
        json_append(key, json_text(items[i]));
    }
    json_t *object = json_object();
    json_put(object, "key", key);
    json_put(object, "set_aside", json_boolean(row->set_aside));
    json_put(object, "pass", json_integer(row->pass));
    json_put(object, "sqlstate", json_text(row->sqlstate));
    json_put(object, "message", json_text(row->message));
    json_put(object, "attempts", json_integer(row->attempts));
    json_put(object, "last_tried", json_text(row->at));
    json_append(list, object);
    return true;
}

static bool
show(App *app, PgConn *conn, int64_t job, Err *err)
{
    QuarantineRow *rows = NULL;
    int count = 0;
    if (!quarantine_list(conn, job, &app->arena, &rows, &count, err)) {
        return false;
    }
    print_rows(app, rows, count);
    json_t *list = json_array();
    bool ok = true;
    for (int i = 0; ok && i < count; i++) {
        ok = row_json(app, &rows[i], list, err);
    }
    app_result(app, "rows", list);
    return ok;
}

static bool
list_rows(App *app, Err *err)
{
    const char *name = NULL;
    JobRow job;
    PGCONN_AUTO *conn = NULL;
    return app_job_name(app, app->options.args[0], &name, err) &&
           app_connect(app, "catalog", &conn, err) && app_find_job(app, conn, name, &job, err) &&
           show(app, conn, job.id, err);
}

/* ---- retry ---- */

static bool
try_rows(App *app, PgConn *conn, const RowTrials *trials, int64_t counts[], Err *err)
{
    QuarantineRow *rows = NULL;
    int count = 0;
    if (!quarantine_list(conn, trials->job->id, &app->arena, &rows, &count, err)) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        RowTrial outcome = TRIAL_HELD;
        if (!rows[i].set_aside) {
            continue;
        }
        if (!quarantine_try(trials, rows[i].key, &outcome, err)) {
            return false;
        }
        counts[outcome]++;
    }
    return true;
}

static void
report(App *app, const char *job, const int64_t counts[], int64_t left)
{
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&text,
        "job %s: %lld changed, %lld needed no work any more, %lld refused again, %lld held by "
        "somebody; %lld set aside now\n",
        job, (long long)counts[TRIAL_CHANGED], (long long)counts[TRIAL_NO_WORK],
        (long long)counts[TRIAL_REFUSED], (long long)counts[TRIAL_HELD], (long long)left);
    app_print(app, strbuf_text(&text));
    app_result(app, "changed_rows", json_integer(counts[TRIAL_CHANGED]));
    app_result(app, "right_rows", json_integer(counts[TRIAL_NO_WORK]));
    app_result(app, "refused_rows", json_integer(counts[TRIAL_REFUSED]));
    app_result(app, "held_rows", json_integer(counts[TRIAL_HELD]));
    app_result(app, "quarantined_rows", json_integer(left));
    app->exit_code = left > 0 ? 5 : 0;
}

/* Functions are there unless an older version began the job. */
static bool
retry_planned(App *app, PgConn *conn, const Plan *plan, Err *err)
{
    JobRow job;
    PGCONN_AUTO *worker = NULL;
    if (!app_find_job(app, conn, plan->spec->job, &job, err) ||
        !prepare_job(conn, plan, &app->arena, &job, err) ||
        !prepare_functions(conn, plan, job.id, err) ||
        !conn_open(&app->options.target, CONN_WORKER, "retry", CONNECT_TIMEOUT_US, &worker, err)) {
        return false;
    }
    StopToken stop;
    stop_init(&stop); /* nobody raises it: a signal ends the process here */
    RowTrials trials = {.conn = worker, .plan = plan, .job = &job, .stop = &stop};
    int64_t counts[TRIAL_HELD + 1] = {0};
    int64_t left = 0;
    bool ok =
        try_rows(app, conn, &trials, counts, err) && quarantine_count(conn, job.id, &left, err);
    stop_destroy(&stop);
    if (ok) {
        report(app, job.name, counts, left);
    }
    return ok;
}

static bool
retry_rows(App *app, Err *err)
{
    JobSpec spec;
    Survey survey;
    PGCONN_AUTO *conn = NULL;
    PGCONN_AUTO *source = NULL;
    return app_open_job(app, app->options.args[0], &spec, &conn, &source, err) &&
           app_survey(app, conn, source, &spec, &survey, err) &&
           retry_planned(app, conn, &survey.plan, err);
}

/* ---- the verb ---- */

bool
verb_quarantine(App *app, Err *err)
{
    return app->options.retry ? retry_rows(app, err) : list_rows(app, err);
}
