/*
 * test_plan_children.c - which tables a purge touches, in which order, and what has none.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <string.h>

#include "core/plan_children.h"

#define TABLES 4
#define KEYS   6

typedef struct Graph {
    Arena arena;
    JobSpec spec;
    Facts facts;
    ChildGraph graph;
    ChildTable tables[TABLES];
    ChildKey keys[KEYS];
    PurgePlan purge;
} Graph;

static const char *const NAMES[TABLES] = {"a", "b", "c", "d"};

static void
graph_init(Graph *g, ChildrenMode mode)
{
    memset(g, 0, sizeof(*g));
    g->spec.children = mode;
    for (uint32_t i = 0; i < TABLES; i++) {
        g->tables[i] = (ChildTable){.oid = i + 1,
            .root = i + 1,
            .schema = "s",
            .name = NAMES[i],
            .rows = 100,
            .signature = ""};
    }
    g->graph = (ChildGraph){
        .tables = g->tables, .table_count = TABLES, .keys = g->keys, .signature = "own"};
    g->facts.children = &g->graph;
}

/* `child` refers to `parent`, with so many rows for each of it. */
static void
refer(Graph *g, int child, int parent, ChildAction action, double rows)
{
    g->keys[g->graph.key_count++] = (ChildKey){
        .name = "k", .child = child, .parent = parent, .action = action, .rows_per_parent = rows};
}

static void
decide(Graph *g)
{
    plan_decide_children(&g->spec, &g->facts, &g->arena, &g->purge);
}

/* Names in order; a released one is in brackets. */
static void
expect_order(const Graph *g, const char *expected)
{
    STRBUF_AUTO text = STRBUF_INIT;
    for (int i = 0; i < g->purge.child_count; i++) {
        const ChildNode *node = &g->purge.children[i];
        strbuf_printf(&text, node->deleted ? "%s" : "(%s)", node->table->name);
    }
    cr_expect(zero(int, strcmp(strbuf_text(&text), expected)), "%s", strbuf_text(&text));
}

Test(plan_children, a_table_comes_after_all_that_it_refers_to)
{
    Graph g;
    graph_init(&g, CHILDREN_DELETE);
    refer(&g, 0, CHILD_OF_JOB, CHILD_CASCADE, 1);
    refer(&g, 0, 3, CHILD_NO_ACTION, 1);
    refer(&g, 3, 2, CHILD_RESTRICT, 1);
    refer(&g, 2, CHILD_OF_JOB, CHILD_NO_ACTION, 1);
    decide(&g);
    expect_order(&g, "cda");
    cr_expect(eq(int, g.purge.children[2].link_count, 2));
    cr_expect(eq(int, g.purge.children[2].level, 3));
    cr_expect(eq(int, g.purge.children[2].links[1].parent, 1));
    cr_expect(g.purge.counts_locked);
    arena_reset(&g.arena);
}

Test(plan_children, what_the_server_sets_comes_last_and_leads_no_further)
{
    Graph g;
    graph_init(&g, CHILDREN_DELETE);
    refer(&g, 1, CHILD_OF_JOB, CHILD_SET_NULL, 1);
    refer(&g, 1, CHILD_OF_JOB, CHILD_CASCADE, 1);
    refer(&g, 2, 1, CHILD_SET_DEFAULT, 1);
    decide(&g);
    expect_order(&g, "b(b)(c)");
    cr_expect(eq(int, g.purge.children[2].level, 2));
    arena_reset(&g.arena);
}

Test(plan_children, without_leave_only_rows_that_the_server_takes_along_go)
{
    Graph g;
    graph_init(&g, CHILDREN_REFUSE);
    refer(&g, 0, CHILD_OF_JOB, CHILD_NO_ACTION, 1);
    refer(&g, 1, CHILD_OF_JOB, CHILD_CASCADE, 1);
    refer(&g, 2, 1, CHILD_RESTRICT, 1);
    decide(&g);
    expect_order(&g, "b");
    arena_reset(&g.arena);
}

Test(plan_children, a_table_alone_locks_nothing_first)
{
    Graph g;
    graph_init(&g, CHILDREN_DELETE);
    decide(&g);
    expect_order(&g, "");
    cr_expect(not(g.purge.counts_locked));
    g.facts.children = NULL;
    decide(&g);
    expect_order(&g, "");
    arena_reset(&g.arena);
}

Test(plan_children, estimates_multiply_on_the_way_down)
{
    Graph g;
    graph_init(&g, CHILDREN_DELETE);
    refer(&g, 0, CHILD_OF_JOB, CHILD_CASCADE, 3);
    refer(&g, 1, 0, CHILD_CASCADE, 2);
    refer(&g, 1, CHILD_OF_JOB, CHILD_CASCADE, 1);
    refer(&g, 2, 1, CHILD_CASCADE, -1);
    decide(&g);
    cr_expect(lt(dbl, fabs(g.purge.children[1].rows_per_parent - 7), 0.001));
    cr_expect(lt(dbl, g.purge.children[2].rows_per_parent, 0.0));
    arena_reset(&g.arena);
}

Test(plan_children, a_cycle_is_found_wherever_it_is)
{
    Graph g;
    graph_init(&g, CHILDREN_DELETE);
    refer(&g, 0, CHILD_OF_JOB, CHILD_CASCADE, 1);
    refer(&g, 1, 0, CHILD_CASCADE, 1);
    cr_expect(children_cycle(&g.spec, &g.graph) == NULL);
    refer(&g, 0, 1, CHILD_CASCADE, 1);
    const ChildKey *key = children_cycle(&g.spec, &g.graph);
    cr_expect(key == &g.keys[1] || key == &g.keys[2]);
    g.keys[2].action = CHILD_SET_NULL; /* the rows stay, and no order is needed */
    cr_expect(children_cycle(&g.spec, &g.graph) == NULL);
    refer(&g, 2, 2, CHILD_NO_ACTION, 1);
    cr_expect(children_cycle(&g.spec, &g.graph) == &g.keys[3]);
    arena_reset(&g.arena);
}

static const char *
described(Graph *g)
{
    StrBuf text = STRBUF_INIT;
    decide(g);
    Plan plan = {.facts = &g->facts, .purge = &g->purge};
    plan_put_children(&text, &plan);
    const char *kept = arena_strdup(&g->arena, strbuf_text(&text));
    strbuf_free(&text);
    return kept;
}

Test(plan_children, the_fingerprint_knows_keys_and_what_they_do)
{
    Graph g;
    graph_init(&g, CHILDREN_DELETE);
    refer(&g, 0, CHILD_OF_JOB, CHILD_CASCADE, 1);
    const char *before = described(&g);
    g.keys[0].rows_per_parent = 5; /* an estimate is none of its business */
    cr_expect(zero(int, strcmp(before, described(&g))));
    g.keys[0].action = CHILD_NO_ACTION;
    cr_expect(strcmp(before, described(&g)) != 0);
    g.keys[0].action = CHILD_CASCADE;
    g.graph.signature = "another";
    cr_expect(strcmp(before, described(&g)) != 0);
    arena_reset(&g.arena);
}
