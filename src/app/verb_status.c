/*
 * verb_status.c - `pghaul status [JOB]`: what the database knows, once or again and again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app.h"
#include "app/json.h"
#include "app/status_text.h"
#include "app/text.h"
#include "base/clock.h"
#include "core/jobfile.h"
#include "pg/blockers.h"
#include "pg/probe.h"
#include "store/schema.h"

/* A transaction that began a moment ago is in nobody's way. */
#define OLD_S 1

#define WATCH_EVERY_US ((int64_t)2 * 1000000)

/* What is shown at one moment; lives in `arena`. */
typedef struct Snapshot {
    Arena *arena;
    const char *name; /* NULL = all jobs */
    StatusRow *rows;
    int count;
    StatusView view; /* of the one job */
} Snapshot;

/* ---- read ---- */

static bool
read_rows(PgConn *conn, Snapshot *snapshot, Err *err)
{
    bool exists = false;
    return schema_check(conn, &exists, err) &&
           (!exists || status_jobs(conn, snapshot->name, snapshot->arena, &snapshot->rows,
                           &snapshot->count, err));
}

/* Whoever holds the table, else the oldest transaction: the fence of a job without a trigger waits
 * for those anywhere. */
static bool
ask_who(PgConn *conn, const StatusRow *row, Arena *arena, const char **who, Err *err)
{
    uint32_t oid = 0;
    char oldest[200] = "";
    if (!status_table_oid(conn, row->id, &oid, err) ||
        !probe_table_holders(conn, oid, arena, who, err)) {
        return false;
    }
    if (*who == NULL && !probe_oldest_snapshot(conn, OLD_S, oldest, sizeof(oldest), err)) {
        return false;
    }
    if (oldest[0] != '\0') {
        *who = arena_strdup(arena, oldest);
    }
    return true;
}

/* What is asked for beside the job's state; where the answer fails it is left out. */
static void
ask_window(PgConn *conn, Arena *arena, StatusView *view)
{
    Err ignored = ERR_INIT;
    JobRow job;
    JobSpec *spec = arena_alloc(arena, sizeof(*spec));
    if (job_read_id(conn, view->row.id, arena, &job, &ignored) &&
        jobfile_parse("stored", job.spec, strlen(job.spec), arena, spec, &ignored) &&
        spec->window.text != NULL &&
        window_ask(conn, &spec->window, NULL, &view->window_state, &ignored)) {
        view->window = &spec->window;
    }
}

static bool
read_snapshot(App *app, PgConn *conn, Snapshot *snapshot, Err *err)
{
    StatusView *view = &snapshot->view;
    if (!read_rows(conn, snapshot, err)) {
        return false;
    }
    if (snapshot->name == NULL) {
        return true;
    }
    JobRow job; /* only to say so when there is none */
    if (snapshot->count == 0 && !app_find_job(app, conn, snapshot->name, &job, err)) {
        return false;
    }
    if (snapshot->count == 0) {
        return err_set(err, ERR_BUSY, "job %s was made at this moment", job.name);
    }
    view->row = snapshot->rows[0];
    Err ignored = ERR_INIT; /* a role that may not look into the table's schema */
    if (health_may_be_blocked(view->row.verdict.health) &&
        !ask_who(conn, &view->row, snapshot->arena, &view->in_the_way, &ignored)) {
        view->in_the_way = NULL;
    }
    ask_window(conn, snapshot->arena, view);
    return status_runs(conn, view->row.id, snapshot->arena, &view->runs, &view->run_count, err);
}

/* ---- show once ---- */

static void
put_snapshot(StrBuf *out, const App *app, const Snapshot *snapshot)
{
    if (snapshot->name == NULL) {
        status_put_table(
            out, snapshot->rows, snapshot->count, app->out.is_tty ? term_width(&app->out) : 0);
    } else {
        status_put_job(out, &snapshot->view, term_text_width(&app->out));
    }
}

static json_t *
snapshot_json(const Snapshot *snapshot)
{
    if (snapshot->name != NULL) {
        return status_view_json(&snapshot->view);
    }
    json_t *list = json_array();
    for (int i = 0; i < snapshot->count; i++) {
        json_append(list, status_row_json(&snapshot->rows[i]));
    }
    json_t *object = json_object();
    json_put(object, "jobs", list);
    return object;
}

/* Takes `object`. */
static void
add_to_result(App *app, json_t *object)
{
    if (json_object_update(app->result, object) != 0) {
        abort(); /* out of memory, as in mem.h */
    }
    json_decref(object);
}

static void
show(App *app, const Snapshot *snapshot)
{
    STRBUF_AUTO text = STRBUF_INIT;
    put_snapshot(&text, app, snapshot);
    app_print(app, strbuf_text(&text));
    add_to_result(app, snapshot_json(snapshot));
}

/* A job that was cleaned has its history only. */
static bool
show_history(App *app, PgConn *conn, Snapshot *snapshot, Err *err)
{
    History history = {.is_known = false};
    bool exists = false;
    Err missing = ERR_INIT;
    if (!schema_check(conn, &exists, err) ||
        (exists && !history_read(conn, snapshot->name, snapshot->arena, &history, err))) {
        return false;
    }
    if (read_snapshot(app, conn, snapshot, &missing)) {
        show(app, snapshot);
    } else if (missing.cls == ERR_USER && history.is_known) {
        STRBUF_AUTO cleaned = STRBUF_INIT;
        strbuf_printf(&cleaned, "job %s was cleaned\n", snapshot->name);
        app_print(app, strbuf_text(&cleaned));
        app_result(app, "job", json_text(snapshot->name));
    } else {
        *err = missing;
        return false;
    }
    STRBUF_AUTO text = STRBUF_INIT;
    status_put_history(&text, &history, term_text_width(&app->out));
    app_print(app, strbuf_text(&text));
    status_add_history(app->result, &history);
    return true;
}

/* ---- watch ---- */

/* From the top of the screen; each line erases what stood there before, so nothing flickers. */
static void
draw(const App *app, const char *text)
{
    int height = term_height(&app->out);
    STRBUF_AUTO screen = STRBUF_INIT;
    STRBUF_AUTO line = STRBUF_INIT;
    strbuf_puts(&screen, "\033[H");
    for (int row = 1; *text != '\0' && (height == 0 || row < height); row++) {
        size_t len = strcspn(text, "\n");
        strbuf_clear(&line);
        strbuf_put(&line, text, len);
        text_put_cut(&screen, strbuf_text(&line), term_width(&app->out));
        strbuf_puts(&screen, "\033[K\n");
        text += len + (text[len] == '\n');
    }
    strbuf_puts(&screen, "\033[J");
    (void)fputs(strbuf_text(&screen), stdout);
}

static void
print_lines(const Snapshot *snapshot)
{
    STRBUF_AUTO text = STRBUF_INIT;
    char now[32];
    clock_format_now(now, sizeof(now));
    for (int i = 0; i < snapshot->count; i++) {
        strbuf_printf(&text, "%s ", now);
        status_put_line(&text, &snapshot->rows[i]);
    }
    (void)fputs(strbuf_text(&text), stdout);
}

static void
show_again(const App *app, const Snapshot *snapshot)
{
    if (app->options.json) {
        json_t *object = snapshot_json(snapshot);
        json_put(object, "type", json_text("status"));
        json_print(object);
    } else if (app->out.is_tty) {
        STRBUF_AUTO text = STRBUF_INIT;
        put_snapshot(&text, app, snapshot);
        draw(app, strbuf_text(&text));
    } else {
        print_lines(snapshot);
    }
    (void)fflush(stdout);
}

/* One job: it is over, in any way.  All jobs: every one is done. */
static bool
is_over(App *app, const Snapshot *snapshot)
{
    bool over = snapshot->count > 0;
    int exit_code = 0;
    for (int i = 0; over && i < snapshot->count; i++) {
        over = health_is_over(snapshot->rows[i].verdict.health, &exit_code) &&
               (snapshot->name != NULL || exit_code == 0);
    }
    app->exit_code = over ? exit_code : 0;
    return over;
}

static bool
is_connection_lost(const Err *err)
{
    return err->cls == ERR_RECONNECT || err->cls == ERR_CONNECT;
}

/* A server that restarts is waited for: its jobs go on as well. */
static bool
look(App *app, PgConn **conn, Snapshot *snapshot, Err *err)
{
    if (*conn == NULL && !app_connect(app, "status", conn, err)) {
        return false;
    }
    if (read_snapshot(app, *conn, snapshot, err)) {
        return true;
    }
    if (is_connection_lost(err)) {
        conn_close(*conn);
        *conn = NULL;
    }
    return false;
}

/* Ctrl-C ends the process as it does by default: nothing is left behind. */
static bool
watch(App *app, PgConn **conn, const char *name, Err *err)
{
    if (app->out.is_tty && !app->options.json) {
        (void)fputs("\033[2J", stdout);
    }
    for (;;) {
        Arena arena = ARENA_INIT;
        Snapshot snapshot = {.arena = &arena, .name = name};
        bool over = false;
        if (look(app, conn, &snapshot, err)) {
            show_again(app, &snapshot);
            over = is_over(app, &snapshot);
        } else if (is_connection_lost(err)) {
            STRBUF_AUTO text = STRBUF_INIT;
            text_put_error(&text, err);
            (void)fputs(strbuf_text(&text), stderr);
            *err = ERR_INIT;
        } else {
            arena_reset(&arena);
            return false;
        }
        if (over) {
            add_to_result(app, snapshot_json(&snapshot));
        }
        arena_reset(&arena);
        if (over) {
            return true;
        }
        clock_sleep_us(WATCH_EVERY_US);
    }
}

/* ---- the verb ---- */

static bool
check_usage(const Options *options, Err *err)
{
    if (options->history && options->arg_count == 0) {
        (void)err_set(err, ERR_USER, "pghaul status: --history needs a job");
        return err_hint(err, "Usage: pghaul status JOB --history; pghaul status lists the jobs.");
    }
    if (options->history && options->watch) {
        return err_set(err, ERR_USER, "pghaul status: --history and --watch do not go together");
    }
    return true;
}

bool
verb_status(App *app, Err *err)
{
    const Options *options = &app->options;
    const char *name = NULL;
    PGCONN_AUTO *conn = NULL;
    if (!check_usage(options, err) ||
        (options->arg_count > 0 && !app_job_name(app, options->args[0], &name, err)) ||
        !app_connect(app, "status", &conn, err)) {
        return false;
    }
    if (options->watch) {
        return watch(app, &conn, name, err);
    }
    Snapshot snapshot = {.arena = &app->arena, .name = name};
    if (options->history) {
        return show_history(app, conn, &snapshot, err);
    }
    if (!read_snapshot(app, conn, &snapshot, err)) {
        return false;
    }
    show(app, &snapshot);
    return true;
}
