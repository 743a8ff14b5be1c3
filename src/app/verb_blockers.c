/*
 * verb_blockers.c - `pghaul blockers [JOB]`: who waits for whom, and what would end it.
 *
 * Reads only; the statements that it prints are for people to decide on.
 */
#include <string.h>

#include "app/app.h"
#include "app/blockers_text.h"
#include "app/json.h"
#include "app/text.h"
#include "base/strbuf.h"
#include "pg/blockers.h"
#include "pg/catalog.h"

/* As in the note of a run that few updates are HOT. */
#define OLD_S 10

typedef struct Scope {
    const char *job;   /* NULL: the whole database */
    const char *table; /* as the job file has it; NULL without a job */
    uint32_t table_oid;
} Scope;

/* ---- which trees ---- */

static bool
is_wanted(const Scope *scope, const WaitSession *session)
{
    if (scope->job == NULL) {
        return session->waits && session->is_here;
    }
    bool of_job = session->job != NULL && strcmp(session->job, scope->job) == 0;
    return of_job || session->touches_table;
}

static const bool *
mark_trees(const Scope *scope, const Waits *waits, Arena *arena)
{
    size_t nodes = (size_t)waits->graph.node_count;
    bool *marks = arena_alloc(arena, nodes * sizeof(*marks));
    for (size_t i = 0; i < nodes; i++) {
        marks[i] = is_wanted(scope, &waits->sessions[i]);
    }
    waittree_mark_blockers(&waits->graph, marks);
    if (scope->job != NULL) {
        waittree_mark_waiters(&waits->graph, marks);
    }
    return marks;
}

/* ---- JSON ---- */

static json_t *
pids_json(const WaitSession *session)
{
    json_t *list = json_array();
    for (int i = 0; i < session->blocked_by_count; i++) {
        json_append(list, json_integer(session->blocked_by[i]));
    }
    return list;
}

/* Which prepared transactions the pid 0 stands for. */
static json_t *
gids_json(const Waits *waits, int node)
{
    json_t *list = json_array();
    for (int i = 0; i < waits->graph.edge_count; i++) {
        const WaitEdge *edge = &waits->graph.edges[i];
        const char *gid = waits->sessions[edge->blocker].gid;
        if (edge->waiter == node && gid != NULL) {
            json_append(list, json_text(gid));
        }
    }
    return list;
}

static json_t *
session_json(const Waits *waits, int node, Arena *arena)
{
    const WaitSession *session = &waits->sessions[node];
    json_t *object = json_object();
    json_put(object, "pid", json_integer(session->pid));
    json_put(object, "gid", json_text(session->gid));
    json_put(object, "application_name", json_text(session->application));
    json_put(object, "role", json_text(session->role));
    json_put(object, "client", json_text(session->client));
    json_put(object, "database", json_text(session->database));
    json_put(object, "backend_type", json_text(session->kind));
    json_put(object, "state", json_text(session->state));
    json_put(object, "query", json_text(session->query));
    json_put(object, "hidden", json_boolean(session->is_hidden));
    json_put(object, "ours", json_boolean(session->is_ours));
    json_put(object, "job", json_text(session->job));
    json_put(object, "prevents_wraparound", json_boolean(session->is_wraparound));
    json_put(object, "transaction_age_s", json_known(session->transaction_age_s));
    json_put(object, "holds_back_cleanup", json_boolean(session->is_old));
    json_put(object, "waits", json_boolean(session->waits));
    json_put(object, "wait_s", session->waits ? json_real(session->wait_s) : json_null());
    json_put(object, "lock_type", json_text(session->lock_type));
    json_put(object, "lock_mode", json_text(session->lock_mode));
    json_put(object, "lock_object", json_text(session->lock_object));
    json_put(object, "blocked_by_pids", pids_json(session));
    json_put(object, "blocked_by_gids", gids_json(waits, node));
    json_put(object, "table_lock_mode", json_text(session->table_mode));
    json_put(object, "may_end", json_boolean(session->may_end));
    json_put(object, "cancel_sql", json_text(waits_cancel_sql(session, arena)));
    json_put(object, "terminate_sql", json_text(waits_terminate_sql(session, arena)));
    json_put(object, "rollback_sql", json_text(waits_rollback_sql(session, arena)));
    json_put(object, "command", json_text(waits_command(session, arena)));
    return object;
}

static void
add_result(App *app, const Scope *scope, const Waits *waits, const bool *marks)
{
    json_t *list = json_array();
    int waiting = 0;
    for (int i = 0; i < waits->graph.node_count; i++) {
        if (marks[i] || waits->sessions[i].is_old) {
            json_append(list, session_json(waits, i, &app->arena));
            waiting += marks[i] && waits->sessions[i].waits;
        }
    }
    app_result(app, "table", json_text(scope->table));
    app_result(app, "waiting", json_integer(waiting));
    app_result(app, "sessions", list);
    app_result(app, "hidden_from_role", json_text(waits->hides ? waits->role : NULL));
}

/* ---- the verb ---- */

static bool
show(App *app, PgConn *conn, const Scope *scope, Err *err)
{
    Waits waits;
    WaitQuestion question = {.table_oid = scope->table_oid, .old_s = OLD_S};
    if (!probe_waits(conn, &question, &app->arena, &waits, err)) {
        return false;
    }
    WaitLine *lines = NULL;
    const bool *marks = mark_trees(scope, &waits, &app->arena);
    BlockersView view = {.waits = &waits, .job = scope->job, .table = scope->table, .old_s = OLD_S};
    view.line_count = waittree_lines(&waits.graph, marks, &app->arena, &lines);
    view.lines = lines;
    STRBUF_AUTO text = STRBUF_INIT;
    blockers_put_text(&text, &view, &app->out, term_width(&app->out), &app->arena);
    if (conn_is_standby(conn)) {
        text_put_wrapped(&text, "",
            "This server is a standby: sessions of the primary, where pghaul works, are not seen "
            "here.",
            term_text_width(&app->out));
    }
    app_print(app, strbuf_text(&text));
    app_result(app, "is_standby", json_boolean(conn_is_standby(conn)));
    add_result(app, scope, &waits, marks);
    return true;
}

static bool
open_scope(App *app, PgConn **conn, Scope *scope, Err *err)
{
    JobSpec spec;
    if (app->options.arg_count == 0) {
        return app_connect(app, "catalog", conn, err);
    }
    if (!app_open_job(app, app->options.args[0], &spec, conn, NULL, err)) {
        return false;
    }
    CatalogTable table = app->remote ? catalog_target(&spec) : catalog_source(&spec);
    if (!catalog_find_table(*conn, &spec, table, &app->arena, &scope->table_oid, err)) {
        return false;
    }
    scope->job = spec.job;
    scope->table = table.name;
    return true;
}

bool
verb_blockers(App *app, Err *err)
{
    Scope scope = {.job = NULL};
    PGCONN_AUTO *conn = NULL;
    return open_scope(app, &conn, &scope, err) && show(app, conn, &scope, err);
}
