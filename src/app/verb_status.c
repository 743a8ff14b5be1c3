/*
 * verb_status.c - `pghaul status [JOB]`: what the database knows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app.h"
#include "app/json.h"
#include "app/text.h"
#include "core/format.h"
#include "store/schema.h"
#include "store/status.h"

/* ---- text ---- */

static const char *
pass_name(const StatusRow *row)
{
    return row->pass == 0 ? "-" : passkind_name(row->pass_kind);
}

/* What stands in the way, or why it ended; "" when all is well. */
static const char *
reason_of(const StatusRow *row)
{
    if (row->throttle != NULL) {
        return row->throttle;
    }
    if (row->state == JOB_RUNNING && row->runs == 0) {
        return "no run is alive; pghaul run goes on with it";
    }
    return row->reason == NULL ? "" : row->reason;
}

static void
put_table_row(StrBuf *out, const StatusRow *row)
{
    char percent[FORMAT_SIZE];
    char rate[FORMAT_SIZE];
    char eta[FORMAT_SIZE];
    int64_t eta_s = status_eta_s(row);
    strbuf_printf(out, "%-24s %-8s %-6s %8s %9s %8s  ", row->name, jobstate_name(row->state),
        pass_name(row), format_percent(status_share(row), percent),
        row->rows_per_s < 0 ? "-" : format_count((int64_t)row->rows_per_s, rate),
        eta_s < 0 ? "-" : format_duration(eta_s * 1000000, eta));
    text_put_safe(out, reason_of(row));
    strbuf_putc(out, '\n');
}

static void
print_table(const App *app, const StatusRow *rows, int count)
{
    STRBUF_AUTO text = STRBUF_INIT;
    if (count == 0) {
        app_print(app, "no jobs\n");
        return;
    }
    strbuf_printf(&text, "%-24s %-8s %-6s %8s %9s %8s  %s\n", "job", "state", "pass", "done",
        "rows/s", "ETA", "reason");
    for (int i = 0; i < count; i++) {
        put_table_row(&text, &rows[i]);
    }
    app_print(app, strbuf_text(&text));
}

static void
put_pass(StrBuf *out, const StatusRow *row)
{
    char percent[FORMAT_SIZE];
    char rows[FORMAT_SIZE];
    char number[FORMAT_SIZE];
    strbuf_printf(out, "  pass     %s (%d), %s of about %s rows\n", pass_name(row), row->pass,
        format_percent(status_share(row), percent), format_count(row->est_rows, rows));
    strbuf_printf(out, "  rows     %s %s\n", format_count(row->rows, rows),
        row->pass_kind == PASS_VERIFY ? "compared" : "changed");
    strbuf_printf(out, "  ranges   %lld of %lld%s done\n", (long long)row->ranges_done,
        (long long)row->ranges, row->carved ? "" : " so far");
    if (row->pass_kind == PASS_VERIFY) {
        strbuf_printf(out, "  differ   %lld rows\n", (long long)row->differing);
    }
    if (row->leftover > 0) {
        strbuf_printf(out, "  locked   %lld rows left behind locks, to be visited again\n",
            (long long)row->leftover);
    }
    if (row->rows_per_s >= 0) {
        strbuf_printf(out, "  pace     %s rows/s", format_count((int64_t)row->rows_per_s, number));
        int64_t eta_s = status_eta_s(row);
        strbuf_printf(out, ", ETA %s\n", format_duration(eta_s < 0 ? -1 : eta_s * 1000000, number));
    }
}

static void
put_runs(StrBuf *out, const StatusRun *runs, int count)
{
    for (int i = 0; i < count; i++) {
        strbuf_printf(out, "  run %-4lld ", (long long)runs[i].id);
        text_put_safe(out, runs[i].host);
        strbuf_printf(out, " pid %d, %d workers, heartbeat %.0f s ago", runs[i].pid,
            runs[i].workers, runs[i].heartbeat_age_s);
        if (runs[i].throttle != NULL) {
            strbuf_puts(out, ", throttled: ");
            text_put_safe(out, runs[i].throttle);
        }
        strbuf_putc(out, '\n');
    }
    if (count == 0) {
        strbuf_puts(out, "  runs     none alive\n");
    }
}

static void
print_job(const App *app, const StatusRow *row, const StatusRun *runs, int run_count)
{
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&text, "job %s, backfill of ", row->name);
    text_put_safe(&text, row->table_name);
    strbuf_printf(&text, ": %s", jobstate_name(row->state));
    const char *reason = reason_of(row);
    if (reason[0] != '\0') {
        strbuf_puts(&text, ", ");
        text_put_safe(&text, reason);
    }
    strbuf_putc(&text, '\n');
    if (row->pass > 0) {
        put_pass(&text, row);
    }
    put_runs(&text, runs, run_count);
    app_print(app, strbuf_text(&text));
}

/* ---- JSON ---- */

static void
put(json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) != 0) {
        abort(); /* out of memory, as in mem.h */
    }
}

static json_t *
run_json(const StatusRun *run)
{
    json_t *object = json_object();
    put(object, "run_id", json_integer(run->id));
    put(object, "host", json_text(run->host));
    put(object, "pid", json_integer(run->pid));
    put(object, "workers", json_integer(run->workers));
    put(object, "heartbeat_age_s", json_known(run->heartbeat_age_s));
    put(object, "throttle_reason", json_text(run->throttle));
    return object;
}

static json_t *
job_json(const StatusRow *row)
{
    int64_t eta_s = status_eta_s(row);
    json_t *object = json_object();
    put(object, "job", json_text(row->name));
    put(object, "job_id", json_integer(row->id));
    put(object, "table", json_text(row->table_name));
    put(object, "state", json_text(jobstate_name(row->state)));
    put(object, "reason", json_text(row->reason));
    put(object, "pass", json_integer(row->pass));
    put(object, "pass_kind", row->pass == 0 ? json_null() : json_text(pass_name(row)));
    put(object, "done_ratio", json_known(status_share(row)));
    put(object, "pass_rows", json_integer(row->rows));
    put(object, "estimated_rows", json_integer(row->est_rows));
    put(object, "ranges", json_integer(row->ranges));
    put(object, "ranges_done", json_integer(row->ranges_done));
    put(object, "ranges_are_all", json_boolean(row->carved));
    put(object, "differing_rows", json_integer(row->differing));
    put(object, "leftover_rows", json_integer(row->leftover));
    put(object, "rows_per_s", json_known(row->rows_per_s));
    put(object, "eta_s", eta_s < 0 ? json_null() : json_integer(eta_s));
    put(object, "elapsed_s", json_known(row->elapsed_s));
    put(object, "throttle_reason", json_text(row->throttle));
    put(object, "runs_alive", json_integer(row->runs));
    return object;
}

/* ---- the verb ---- */

static bool
show_all(App *app, PgConn *conn, Err *err)
{
    StatusRow *rows = NULL;
    int count = 0;
    bool exists = false;
    if (!schema_check(conn, &exists, err) ||
        (exists && !status_jobs(conn, NULL, &app->arena, &rows, &count, err))) {
        return false;
    }
    print_table(app, rows, count);
    json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        (void)json_array_append_new(list, job_json(&rows[i]));
    }
    app_result(app, "jobs", list);
    return true;
}

static bool
show_one(App *app, PgConn *conn, const char *name, Err *err)
{
    JobRow job; /* only to say so when there is none */
    StatusRow *rows = NULL;
    StatusRun *runs = NULL;
    int count = 0;
    int run_count = 0;
    if (!app_find_job(app, conn, name, &job, err) ||
        !status_jobs(conn, job.name, &app->arena, &rows, &count, err) ||
        !status_runs(conn, job.id, &app->arena, &runs, &run_count, err)) {
        return false;
    }
    if (count != 1) {
        return err_set(err, ERR_USER, "job %s was cleaned at this moment", job.name);
    }
    print_job(app, &rows[0], runs, run_count);
    json_t *object = job_json(&rows[0]);
    json_t *list = json_array();
    for (int i = 0; i < run_count; i++) {
        (void)json_array_append_new(list, run_json(&runs[i]));
    }
    put(object, "runs", list);
    if (json_object_update(app->result, object) != 0) {
        abort();
    }
    json_decref(object);
    return true;
}

bool
verb_status(App *app, Err *err)
{
    const char *name = NULL;
    PGCONN_AUTO *conn = NULL;
    bool one = app->options.arg_count > 0;
    if ((one && !app_job_name(app, app->options.args[0], &name, err)) ||
        !app_connect(app, "catalog", &conn, err)) {
        return false;
    }
    return one ? show_one(app, conn, name, err) : show_all(app, conn, err);
}
