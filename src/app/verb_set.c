/*
 * verb_set.c - `pghaul set JOB [KEY=VALUE]...`: change a job while it runs, or show what is in
 * force and where it comes from.
 */
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "app/json.h"
#include "app/text.h"
#include "core/jobfile.h"
#include "core/jobkeys.h"
#include "core/settings.h"
#include "core/utf8.h"
#include "pg/query.h"
#include "store/control.h"

typedef struct SetJob {
    App *app;
    JobSpec spec;
    JobRow row;
    Control control; /* what was set before */
    ControlChange *changes;
    int change_count;
} SetJob;

static bool
is_default(const char *value)
{
    return strcmp(value, "default") == 0;
}

/* ---- change ---- */

/* The arguments after JOB, each checked by itself. */
static bool
read_changes(SetJob *set, Err *err)
{
    const Options *options = &set->app->options;
    set->change_count = options->arg_count - 1;
    set->changes = arena_alloc(&set->app->arena, (size_t)set->change_count * sizeof(*set->changes));
    for (int i = 0; i < set->change_count; i++) {
        const char *argument = options->args[i + 1];
        size_t len = strcspn(argument, "=");
        ControlChange change = {.key = arena_strndup(&set->app->arena, argument, len)};
        if (!settings_check_key(change.key, err)) {
            return false;
        }
        if (argument[len] == '\0') {
            (void)err_set(err, ERR_USER, "%s: a value is missing", change.key);
            return err_hint(err, "Write %s=VALUE, or %s=default for what the job file says.",
                change.key, change.key);
        }
        change.value = argument + len + 1;
        set->changes[i] = change;
    }
    return true;
}

static const char *
changed_value(const SetJob *set, const char *key)
{
    const char *value = NULL;
    for (int i = 0; i < set->change_count; i++) {
        value = strcmp(set->changes[i].key, key) == 0 ? set->changes[i].value : value;
    }
    return value;
}

static const ControlSetting *
row_of(const SetJob *set, const char *key)
{
    for (int i = 0; i < set->control.setting_count; i++) {
        if (strcmp(set->control.settings[i].key, key) == 0) {
            return &set->control.settings[i];
        }
    }
    return NULL;
}

/* What the runs will make of it; yield_after, which bounds the batch time, comes after it in the
 * table and has to be put first. */
static bool
check_together(const SetJob *set, Err *err)
{
    JobSpec spec = set->spec;
    for (size_t i = jobkeys_count(); i > 0; i--) {
        const char *key = jobkeys_at(i - 1)->path;
        const ControlSetting *row = row_of(set, key);
        const char *changed = changed_value(set, key);
        const char *value = changed != NULL ? changed : row == NULL ? NULL : row->value;
        Err cause = ERR_INIT;
        if (value == NULL || is_default(value) || settings_put(&spec, key, value, &cause)) {
            continue;
        }
        if (changed != NULL || cause.context[0] == '\0') { /* an old row may be wrong by itself */
            *err = cause;
            return false;
        }
    }
    return true;
}

/* All or nothing: the session ends, and with it the transaction, when one fails. */
static bool
change(SetJob *set, PgConn *conn, Err *err)
{
    STRBUF_AUTO text = STRBUF_INIT;
    json_t *answers = json_array();
    app_result(set->app, "answers", answers);
    bool ok = check_together(set, err) && query_run(conn, "BEGIN", NULL, err);
    for (int i = 0; ok && i < set->change_count; i++) {
        const char *answer = NULL;
        ok = control_set(conn, set->row.name, &set->changes[i], &set->app->arena, &answer, err);
        if (ok) {
            text_put_safe(&text, answer);
            strbuf_putc(&text, '\n');
            json_append(answers, json_text(answer));
        }
    }
    if (!ok || !query_run(conn, "COMMIT", NULL, err)) {
        return false;
    }
    app_print(set->app, strbuf_text(&text));
    return true;
}

/* ---- show ---- */

/* Where the value comes from, and the value as it was written there. */
static void
show_key(const SetJob *set, const JobKey *key, StrBuf *out, json_t *list)
{
    const ControlSetting *row = row_of(set, key->path);
    const char *written = jobfile_written(&set->spec, key->path, &set->app->arena);
    const char *fallback = key->fallback != NULL ? key->fallback : key->absent;
    const char *value = row != NULL ? row->value : written != NULL ? written : fallback;
    const char *origin = row != NULL ? "set" : written != NULL ? "job file" : "default";
    strbuf_printf(out, "  %-22s ", key->path);
    STRBUF_AUTO safe = STRBUF_INIT;
    text_put_safe(&safe, value);
    strbuf_printf(out, "%-12s %s", strbuf_text(&safe), origin);
    if (row != NULL) {
        strbuf_puts(out, " by ");
        text_put_safe(out, row->who);
        strbuf_printf(out, " %s", row->at);
    }
    strbuf_putc(out, '\n');
    json_append(list,
        json_pack("{s:o,s:o,s:s,s:o,s:o}", "key", json_text(key->path), "value", json_text(value),
            "origin", origin, "who", json_text(row == NULL ? NULL : row->who), "at",
            json_text(row == NULL ? NULL : row->at)));
}

static void
show_run(const ControlRun *run, StrBuf *out, json_t *list)
{
    strbuf_printf(out, "  run %lld (", (long long)run->id);
    text_put_safe(out, run->host);
    strbuf_printf(
        out, " pid %d): %d worker%s", run->pid, run->workers, run->workers == 1 ? "" : "s");
    if (run->workers_option > 0) {
        strbuf_printf(out, ", begun with --workers %d", run->workers_option);
    }
    strbuf_putc(out, '\n');
    json_append(
        list, json_pack("{s:I,s:o,s:i,s:i,s:o}", "run_id", (json_int_t)run->id, "host",
                  json_text(run->host), "pid", run->pid, "workers", run->workers, "workers_option",
                  run->workers_option > 0 ? json_integer(run->workers_option) : json_null()));
}

static bool
show(SetJob *set, PgConn *conn, Err *err)
{
    ControlRun *runs = NULL;
    int run_count = 0;
    if (!control_runs(conn, set->row.id, &set->app->arena, &runs, &run_count, err)) {
        return false;
    }
    STRBUF_AUTO text = STRBUF_INIT;
    json_t *settings = json_array();
    json_t *run_list = json_array();
    strbuf_printf(&text, "job %s\n", set->row.name);
    for (size_t i = 0; i < jobkeys_count(); i++) {
        if (jobkeys_at(i)->live) {
            show_key(set, jobkeys_at(i), &text, settings);
        }
    }
    for (int i = 0; i < run_count; i++) {
        show_run(&runs[i], &text, run_list);
    }
    app_print(set->app, strbuf_text(&text));
    app_result(set->app, "settings", settings);
    app_result(set->app, "runs", run_list);
    return true;
}

/* ---- the verb ---- */

bool
verb_set(App *app, Err *err)
{
    SetJob set = {.app = app};
    PGCONN_AUTO *conn = NULL;
    if (!read_changes(&set, err)) {
        return false;
    }
    return app_open_job(app, app->options.args[0], &set.spec, &conn, NULL, err) &&
           app_find_job(app, conn, set.spec.job, &set.row, err) &&
           control_read(conn, set.row.id, 0, &app->arena, &set.control, err) &&
           (set.change_count > 0 ? change(&set, conn, err) : show(&set, conn, err));
}
