/*
 * test_app_blockers_text.c - trees within the terminal's width, and advice for each kind of
 * blocker.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "app/blockers_text.h"
#include "core/utf8.h"

#define NODES_MAX 16

typedef struct Picture {
    WaitSession sessions[NODES_MAX];
    WaitEdge edges[NODES_MAX];
    Waits waits;
    BlockersView view;
    Arena arena;
    StrBuf out;
} Picture;

/* A chain: each session waits for the one before it. */
static void
chain(Picture *p, int count)
{
    memset(p, 0, sizeof(*p));
    for (int i = 0; i < count; i++) {
        p->sessions[i] = (WaitSession){.pid = 1000 + i,
            .application = "app",
            .role = "web",
            .client = "10.0.0.1",
            .state = "active",
            .query = "UPDATE t SET a_column = ? WHERE ?",
            .is_here = true,
            .may_end = true,
            .transaction_age_s = 65,
            .waits = i > 0,
            .wait_s = 3,
            .lock_mode = "ShareLock",
            .lock_object = "a row of public.t"};
        p->edges[i] = (WaitEdge){.waiter = i + 1, .blocker = i};
    }
    p->sessions[0].state = "idle in transaction";
    p->waits = (Waits){.sessions = p->sessions,
        .role = "me",
        .graph = {.node_count = count, .edges = p->edges, .edge_count = count - 1}};
    p->view = (BlockersView){.waits = &p->waits, .old_s = 10};
}

static const char *
text_at(Picture *p, int width, bool utf8)
{
    bool *marks = arena_alloc(&p->arena, NODES_MAX);
    for (int i = 0; i < p->waits.graph.node_count; i++) {
        marks[i] = p->sessions[i].waits;
    }
    waittree_mark_blockers(&p->waits.graph, marks);
    WaitLine *lines = NULL;
    p->view.line_count = waittree_lines(&p->waits.graph, marks, &p->arena, &lines);
    p->view.lines = lines;
    Terminal term = {.utf8 = utf8};
    strbuf_clear(&p->out);
    blockers_put_text(&p->out, &p->view, &term, width, &p->arena);
    return strbuf_text(&p->out);
}

static void
done(Picture *p)
{
    strbuf_free(&p->out);
    arena_reset(&p->arena);
}

static void
expect_has(const char *text, const char *part)
{
    cr_expect(strstr(text, part) != NULL, "no \"%s\" in:\n%s", part, text);
}

static int
longest_line(const char *text)
{
    int longest = 0;
    int columns = 0;
    while (*text != '\0') {
        uint32_t code;
        text += utf8_decode(text, strlen(text), &code);
        columns = code == '\n' ? 0 : columns + utf8_width(code);
        longest = columns > longest ? columns : longest;
    }
    return longest;
}

Test(app_blockers_text, chain_is_drawn_with_rails)
{
    Picture p;
    chain(&p, 3);
    cr_expect_str_eq(text_at(&p, 200, false),
        "2 sessions wait for a lock\n"
        "\n"
        "pid 1000 (app), role web, 10.0.0.1, idle in transaction, transaction open for 1m 05s\n"
        "|  UPDATE t SET a_column = ? WHERE ?\n"
        "`- pid 1001 (app), role web, 10.0.0.1, active, transaction open for 1m 05s, waits 3.0 s "
        "for ShareLock on a row of public.t\n"
        "   |  UPDATE t SET a_column = ? WHERE ?\n"
        "   `- pid 1002 (app), role web, 10.0.0.1, active, transaction open for 1m 05s, waits "
        "3.0 s for ShareLock on a row of public.t\n"
        "         UPDATE t SET a_column = ? WHERE ?\n"
        "\n"
        "pid 1000 is idle in transaction: a cancel does nothing there. To end its session and what "
        "it has not committed:\n"
        "  SELECT pg_terminate_backend(1000);\n");
    expect_has(text_at(&p, 200, true), "\n\xe2\x94\x94\xe2\x94\x80 pid 1001");
    done(&p);
}

Test(app_blockers_text, deep_trees_stay_within_the_width)
{
    static const int WIDTHS[] = {40, 60, 80, 100};
    for (size_t i = 0; i < sizeof(WIDTHS) / sizeof(WIDTHS[0]); i++) {
        Picture p;
        chain(&p, NODES_MAX);
        p.sessions[0].pid = 4194304;
        cr_expect(le(int, longest_line(text_at(&p, WIDTHS[i], true)), WIDTHS[i]), "%d:\n%s",
            WIDTHS[i], strbuf_text(&p.out));
        expect_has(strbuf_text(&p.out), "SELECT pg_terminate_backend(4194304);\n");
        expect_has(strbuf_text(&p.out), "pid 1015");
        done(&p);
    }
}

Test(app_blockers_text, further_blockers_are_named_and_then_counted)
{
    Picture p;
    chain(&p, 7);
    for (int i = 0; i < 6; i++) { /* 6 waits for all, the others for nobody */
        p.edges[i] = (WaitEdge){.waiter = 6, .blocker = i};
        p.sessions[i].waits = false;
    }
    const char *text = text_at(&p, 200, false);
    expect_has(text, "also behind pid 1001, pid 1002, pid 1003 and 2 more\n");
    expect_has(text, "\n`- pid 1006 (app), see above\n");
    done(&p);
}

static const char *
advice_for(Picture *p, WaitSession root)
{
    chain(p, 2);
    root.pid = root.gid == NULL ? 1000 : 0;
    root.application = root.application == NULL ? "" : root.application;
    root.transaction_age_s = 5;
    p->sessions[0] = root;
    return text_at(p, 200, false);
}

Test(app_blockers_text, each_kind_of_blocker_gets_its_advice)
{
    Picture p;
    const char *text = advice_for(&p, (WaitSession){.state = "active", .may_end = true});
    expect_has(text, "  SELECT pg_cancel_backend(1000);\n  SELECT pg_terminate_backend(1000);\n");
    done(&p);
    text = advice_for(&p, (WaitSession){.state = "active", .role = "boss", .is_here = true});
    expect_has(text, "Role me may not do that; role boss or a superuser may.");
    done(&p);
    text = advice_for(&p, (WaitSession){.is_autovacuum = true, .is_here = true});
    expect_has(text, "pid 1000 (autovacuum), transaction");
    expect_has(text, "gives way by itself");
    expect_has(text, "Role me may not do that; a superuser may.");
    cr_expect(strstr(text, "terminate") == NULL, "%s", text);
    done(&p);
    text = advice_for(&p, (WaitSession){.is_autovacuum = true, .is_wraparound = true});
    expect_has(text, "pid 1000 (autovacuum to prevent wraparound)");
    expect_has(text, "rather let it finish");
    done(&p);
    text = advice_for(&p, (WaitSession){.application = "pghaul/catalog", .is_ours = true});
    expect_has(text, "soon ends by itself");
    done(&p);
    text = advice_for(&p, (WaitSession){.gid = "g'1", .database = "other", .role = "boss"});
    expect_has(text, "\nprepared transaction g'1, role boss, database other, transaction open for");
    expect_has(text, "in database other:\n  ROLLBACK PREPARED 'g''1';\n");
    expect_has(text, "Role me may not do that from here; role boss or a superuser may.");
    done(&p);
}

Test(app_blockers_text, circle_is_told)
{
    Picture p;
    chain(&p, 2);
    p.edges[1] = (WaitEdge){.waiter = 0, .blocker = 1};
    p.waits.graph.edge_count = 2;
    p.sessions[0].waits = true;
    expect_has(text_at(&p, 200, false), "behind pid 1001: a circle, of which the server ends one");
    done(&p);
}

Test(app_blockers_text, short_holders_are_counted_and_old_transactions_told)
{
    Picture p;
    chain(&p, 4);
    p.waits.graph.edge_count = 0;
    p.view.job = "fill";
    p.view.table = "orders";
    for (int i = 0; i < 4; i++) {
        p.sessions[i].waits = false;
        p.sessions[i].table_mode = i < 3 ? "RowExclusiveLock" : NULL;
        p.sessions[i].transaction_age_s = i == 0 ? 0 : 0.5;
    }
    p.sessions[3].is_old = true;
    const char *text = text_at(&p, 200, false);
    expect_has(text, "nobody waits for job fill or for a lock on its table orders\n");
    expect_has(text,
        "pid 1000 (app), role web, 10.0.0.1, idle in transaction, transaction open for "
        "0 us, holds RowExclusiveLock on orders\n");
    expect_has(text, "\n2 sessions hold a lock on the table for less than a second\n");
    cr_expect(strstr(text, "pid 1001") == NULL, "%s", text);
    expect_has(text, "\nTransactions open for more than 10 s");
    expect_has(text, "\npid 1003 (app)");
    done(&p);
}
