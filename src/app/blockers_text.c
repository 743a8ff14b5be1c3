#include "app/blockers_text.h"

#include <stdio.h>
#include <string.h>

#include "app/text.h"
#include "core/format.h"
#include "core/utf8.h"

/* Every level of a tree takes three columns; where less than this is left, the outer levels are
 * not drawn. */
#define LEVEL_COLUMNS 3
#define TEXT_COLUMNS  30

/* How many of those that a session waits for are named beside the one above it. */
#define NAMED_MAX 3

/* A lock of a session at work is not worth a line before that. */
#define SHORT_S 1.0

typedef struct Page {
    StrBuf *out;
    const BlockersView *view;
    int width;
    bool utf8;
    bool *shown; /* by node: described already */
    bool *last;  /* by depth: of the line above, no brother comes after it */
    Arena *arena;
} Page;

/* ---- one session in words ---- */

static const WaitSession *
session_at(const Page *page, int node)
{
    return &page->view->waits->sessions[node];
}

static const char *
duration(double seconds, char buf[static FORMAT_SIZE])
{
    return format_duration((int64_t)(seconds * 1e6), buf);
}

static void
put_name(StrBuf *out, const WaitSession *session)
{
    if (session->gid != NULL) {
        strbuf_printf(out, "prepared transaction %s", session->gid);
        return;
    }
    strbuf_printf(out, "pid %d", session->pid);
    if (session->is_autovacuum) {
        strbuf_printf(
            out, " (autovacuum%s)", session->is_wraparound ? " to prevent wraparound" : "");
    } else if (session->application[0] != '\0') {
        strbuf_printf(out, " (%s)", session->application);
    } else if (session->kind != NULL && strcmp(session->kind, "client backend") != 0) {
        strbuf_printf(out, " (%s)", session->kind);
    } else if (session->role == NULL) {
        strbuf_puts(out, " (a process of the server, perhaps autovacuum)");
    }
}

static void
put_who(StrBuf *out, const WaitSession *session)
{
    char age[FORMAT_SIZE];
    put_name(out, session);
    if (session->is_ours) {
        strbuf_puts(out, ", ours");
    }
    if (session->role != NULL) {
        strbuf_printf(out, ", role %s", session->role);
    }
    if (!session->is_here && session->database != NULL) {
        strbuf_printf(out, ", database %s", session->database);
    }
    if (session->client != NULL) {
        strbuf_printf(out, ", %s", session->client);
    }
    if (session->state != NULL) {
        strbuf_printf(out, ", %s", session->state);
    }
    if (session->transaction_age_s >= 0) {
        strbuf_printf(out, ", transaction open for %s", duration(session->transaction_age_s, age));
    }
}

static void
put_blocker_name(StrBuf *out, const WaitSession *blocker)
{
    if (blocker->gid != NULL) {
        put_name(out, blocker);
    } else {
        strbuf_printf(out, "pid %d", blocker->pid);
    }
}

/* Whom it waits for beside the one that it stands below. */
static void
put_other_blockers(const Page *page, StrBuf *out, const WaitLine *line)
{
    const WaitGraph *graph = &page->view->waits->graph;
    int others = 0;
    for (int i = 0; i < graph->edge_count; i++) {
        const WaitEdge *edge = &graph->edges[i];
        if (edge->waiter != line->node || edge->blocker == line->blocker) {
            continue;
        }
        others++;
        if (others <= NAMED_MAX) {
            strbuf_puts(out, others > 1          ? ", "
                             : line->blocker < 0 ? ", behind "
                                                 : ", also behind ");
            put_blocker_name(out, session_at(page, edge->blocker));
        }
    }
    if (others > NAMED_MAX) {
        strbuf_printf(out, " and %d more", others - NAMED_MAX);
    }
}

static void
put_wait(const Page *page, StrBuf *out, const WaitLine *line)
{
    char wait[FORMAT_SIZE];
    const WaitSession *session = session_at(page, line->node);
    if (!session->waits) {
        return;
    }
    strbuf_printf(out, ", waits %s for %s on %s", duration(session->wait_s, wait),
        session->lock_mode, session->lock_object);
    put_other_blockers(page, out, line);
}

static void
put_table_mode(const Page *page, StrBuf *out, const WaitSession *session)
{
    if (session->table_mode != NULL) {
        strbuf_printf(out, ", holds %s on %s", session->table_mode, page->view->table);
    }
}

/* ---- lines with the rails of their tree ---- */

static const char *
rail(const Page *page, bool goes_on)
{
    return !goes_on ? "   " : page->utf8 ? "\xe2\x94\x82  " : "|  ";
}

static const char *
branch(const Page *page, bool last)
{
    if (page->utf8) {
        return last ? "\xe2\x94\x94\xe2\x94\x80 " : "\xe2\x94\x9c\xe2\x94\x80 ";
    }
    return last ? "`- " : "|- ";
}

static int
levels_that_fit(const Page *page)
{
    int levels = (page->width - TEXT_COLUMNS) / LEVEL_COLUMNS;
    return levels < 1 ? 1 : levels;
}

/* What stands before the text: on its first line the branch, on others what passes by. */
static void
put_rails(const Page *page, StrBuf *out, int depth, bool first)
{
    int fit = levels_that_fit(page);
    for (int level = depth > fit ? depth - fit + 1 : 1; level <= depth; level++) {
        bool last = page->last[level];
        strbuf_puts(out, first && level == depth ? branch(page, last) : rail(page, !last));
    }
}

static int
columns_left(const Page *page, int depth)
{
    int fit = levels_that_fit(page);
    return page->width - LEVEL_COLUMNS * (depth > fit ? fit : depth);
}

/* A paragraph beside the rails; `begins`: its first line is that of the branch. */
static void
put_beside_rails(const Page *page, int depth, const char *text, bool begins, bool has_below)
{
    STRBUF_AUTO wrapped = STRBUF_INIT;
    text_put_wrapped(&wrapped, "", text, columns_left(page, depth) - LEVEL_COLUMNS);
    for (const char *at = strbuf_text(&wrapped); *at != '\0';) {
        size_t len = strcspn(at, "\n") + 1;
        put_rails(page, page->out, depth, begins);
        strbuf_puts(page->out, begins ? "" : rail(page, has_below));
        strbuf_put(page->out, at, len);
        at += len;
        begins = false;
    }
}

/* The query on one line, cut off where there is no more room: a column has a byte at least. */
static void
put_query(const Page *page, const WaitSession *session, int depth, bool has_below)
{
    char shown[400];
    int columns = columns_left(page, depth) - LEVEL_COLUMNS;
    size_t size = (size_t)columns + 1 < sizeof(shown) ? (size_t)columns + 1 : sizeof(shown);
    if (session->query != NULL) {
        utf8_shorten(shown, size, session->query);
        put_beside_rails(page, depth, shown, false, has_below);
    }
}

static void
put_line(Page *page, const WaitLine *line, bool has_below)
{
    STRBUF_AUTO text = STRBUF_INIT;
    const WaitSession *session = session_at(page, line->node);
    page->last[line->depth] = line->is_last;
    if (line->is_again) {
        put_name(&text, session);
        strbuf_puts(&text, ", see above");
        put_beside_rails(page, line->depth, strbuf_text(&text), true, false);
        return;
    }
    page->shown[line->node] = true;
    put_who(&text, session);
    put_wait(page, &text, line);
    put_table_mode(page, &text, session);
    if (line->is_circle) {
        strbuf_puts(&text, ": a circle, of which the server ends one after deadlock_timeout");
    }
    put_beside_rails(page, line->depth, strbuf_text(&text), true, has_below);
    put_query(page, session, line->depth, has_below);
}

/* ---- what ends it ---- */

static void
put_paragraph(const Page *page, const char *text)
{
    text_put_wrapped(page->out, "", text, page->width);
}

/* A line to be copied; never broken. */
static void
put_statement(const Page *page, const char *statement)
{
    if (statement != NULL) {
        strbuf_puts(page->out, "  ");
        text_put_safe(page->out, statement);
        strbuf_putc(page->out, '\n');
    }
}

static const char *
cancel_advice(const Page *page, const WaitSession *session)
{
    if (session->is_wraparound) {
        return arena_printf(page->arena,
            "pid %d prevents wraparound: it does not give way, and would soon begin again, so "
            "rather let it finish. To end it all the same:",
            session->pid);
    }
    if (session->is_autovacuum) {
        return arena_printf(page->arena,
            "pid %d is an autovacuum and gives way by itself when somebody has waited for it for "
            "deadlock_timeout. To end it at once:",
            session->pid);
    }
    return arena_printf(page->arena,
        "To end what pid %d does, and its session when %s:", session->pid,
        session->is_hidden ? "that changes nothing (it does not when it is idle)"
                           : "that does not release the lock");
}

/* What goes before the statements, by the remedy. */
static const char *
advice(const Page *page, const WaitSession *session)
{
    switch (waits_remedy(session)) {
    case REMEDY_CANCEL:
        return cancel_advice(page, session);
    case REMEDY_TERMINATE:
        return arena_printf(page->arena,
            "pid %d is %s: a cancel does nothing there. To end its session and what it has not "
            "committed:",
            session->pid, session->state);
    case REMEDY_ROLLBACK:
        return arena_printf(page->arena,
            "Prepared transaction %s is no session's; it waits for its transaction manager. To "
            "undo it when that is gone, in database %s:",
            session->gid, session->database);
    case REMEDY_PAUSE:
        return arena_printf(page->arena,
            "pid %d is work of job %s, which gives way by itself. To make it rest for longer:",
            session->pid, session->job);
    case REMEDY_NONE:
        break;
    }
    return arena_printf(
        page->arena, "pid %d is a command of pghaul's and soon ends by itself.", session->pid);
}

static void
put_remedy(const Page *page, int node)
{
    const WaitSession *session = session_at(page, node);
    const char *terminate = waits_terminate_sql(session, page->arena);
    put_paragraph(page, advice(page, session));
    put_statement(page, waits_cancel_sql(session, page->arena));
    put_statement(page, session->is_autovacuum ? NULL : terminate);
    put_statement(page, waits_rollback_sql(session, page->arena));
    put_statement(page, waits_command(session, page->arena));
    if (!session->is_ours && !session->may_end) {
        put_paragraph(
            page, arena_printf(page->arena, "Role %s may not do that%s; %s may.",
                      page->view->waits->role, session->is_here ? "" : " from here",
                      session->role == NULL
                          ? "a superuser"
                          : arena_printf(page->arena, "role %s or a superuser", session->role)));
    }
}

/* ---- sections ---- */

static int
count_waiting(const BlockersView *view)
{
    int count = 0;
    for (int i = 0; i < view->line_count; i++) {
        const WaitLine *line = &view->lines[i];
        count += !line->is_again && view->waits->sessions[line->node].waits;
    }
    return count;
}

static void
put_summary(const Page *page)
{
    const BlockersView *view = page->view;
    int waiting = count_waiting(view);
    if (waiting > 0) {
        strbuf_printf(page->out, "%d session%s wait%s for a lock\n", waiting,
            waiting == 1 ? "" : "s", waiting == 1 ? "s" : "");
    } else if (view->job == NULL) {
        strbuf_puts(page->out, "nobody waits for a lock\n");
    } else {
        put_paragraph(
            page, arena_printf(page->arena, "nobody waits for job %s or for a lock on its table %s",
                      view->job, view->table));
    }
}

static void
put_trees(Page *page)
{
    const BlockersView *view = page->view;
    int root = 0;
    for (int i = 0; i < view->line_count; i++) {
        const WaitLine *line = &view->lines[i];
        bool ends = i + 1 == view->line_count || view->lines[i + 1].depth == 0;
        if (line->depth == 0) {
            strbuf_putc(page->out, '\n');
            root = line->node;
        }
        put_line(page, line, !ends && view->lines[i + 1].depth > line->depth);
        if (ends) {
            strbuf_putc(page->out, '\n');
            put_remedy(page, root);
        }
    }
}

/* One that stands in no tree, with what ends it. */
static void
put_single(Page *page, int node)
{
    WaitLine line = {.node = node, .blocker = -1};
    strbuf_putc(page->out, '\n');
    put_line(page, &line, false);
    put_remedy(page, node);
}

static bool
is_moment(const WaitSession *session)
{
    return session->state != NULL && strcmp(session->state, "active") == 0 &&
           session->transaction_age_s >= 0 && session->transaction_age_s < SHORT_S;
}

/* Holders of the job's table: our next DDL would wait for them. */
static void
put_holders(Page *page)
{
    const Waits *waits = page->view->waits;
    int moments = 0;
    int holders = 0;
    strbuf_putc(page->out, '\n');
    for (int i = 0; i < waits->graph.node_count; i++) {
        const WaitSession *session = &waits->sessions[i];
        if (session->table_mode == NULL || page->shown[i]) {
            continue;
        }
        if (is_moment(session)) {
            moments++;
            continue;
        }
        if (holders++ == 0) {
            put_paragraph(page, arena_printf(page->arena,
                                    "Locks on %s, for which a change of its triggers would wait:",
                                    page->view->table));
        }
        put_single(page, i);
    }
    if (moments > 0) {
        strbuf_printf(page->out, "%d session%s hold%s a lock on the table for less than a second\n",
            moments, moments == 1 ? "" : "s", moments == 1 ? "s" : "");
    } else if (holders == 0) {
        put_paragraph(page, arena_printf(page->arena, "nobody%s holds a lock on %s",
                                page->view->line_count > 0 ? " else" : "", page->view->table));
    }
}

static void
put_old(Page *page)
{
    const Waits *waits = page->view->waits;
    bool begun = false;
    for (int i = 0; i < waits->graph.node_count; i++) {
        if (!waits->sessions[i].is_old || page->shown[i]) {
            continue;
        }
        if (!begun) {
            strbuf_putc(page->out, '\n');
            put_paragraph(page, arena_printf(page->arena,
                                    "Transactions open for more than %d s: until they end, dead "
                                    "row versions stay, and fewer updates are HOT:",
                                    page->view->old_s));
            begun = true;
        }
        put_single(page, i);
    }
}

static void
put_hidden(const Page *page)
{
    const Waits *waits = page->view->waits;
    if (waits->hides) {
        strbuf_putc(page->out, '\n');
        put_paragraph(
            page, arena_printf(page->arena,
                      "Role %s may not see state, times and queries of some sessions. What helps:",
                      waits->role));
        put_statement(page, arena_printf(page->arena, "GRANT pg_monitor TO %s;", waits->role));
    }
}

void
blockers_put_text(
    StrBuf *out, const BlockersView *view, const Terminal *term, int width, Arena *arena)
{
    size_t nodes = (size_t)view->waits->graph.node_count;
    Page page = {.out = out, .view = view, .width = width, .utf8 = term->utf8, .arena = arena};
    page.shown = arena_alloc(arena, nodes * sizeof(*page.shown));
    page.last = arena_alloc(arena, (nodes + 1) * sizeof(*page.last));
    put_summary(&page);
    put_trees(&page);
    if (view->table != NULL) {
        put_holders(&page);
    }
    put_old(&page);
    put_hidden(&page);
}
