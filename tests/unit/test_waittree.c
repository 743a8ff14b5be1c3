/*
 * test_waittree.c - trees of waiting sessions: chains, several blockers, circles, selections.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "base/strbuf.h"
#include "core/waittree.h"

#define NODES_MAX 12

/* "1>0" reads: 1 waits for 0. */
static WaitGraph
graph_of(const char *pairs, WaitEdge edges[static NODES_MAX])
{
    int count = 0;
    for (const char *at = pairs; *at != '\0'; at += at[3] == ' ' ? 4 : 3) {
        edges[count++] = (WaitEdge){.waiter = at[0] - '0', .blocker = at[2] - '0'};
    }
    return (WaitGraph){.node_count = 10, .edges = edges, .edge_count = count};
}

static void
mark(bool marks[static NODES_MAX], const char *nodes)
{
    memset(marks, 0, NODES_MAX);
    for (const char *c = nodes; *c != '\0'; c++) {
        marks[*c - '0'] = true;
    }
}

/* A line each: dots for the depth, node, & for a circle, ^ for one named again, $ for the last. */
static void
expect_drawn(const char *pairs, const char *marked, const char *expected)
{
    WaitEdge edges[NODES_MAX];
    WaitGraph graph = graph_of(pairs, edges);
    bool marks[NODES_MAX];
    mark(marks, marked);
    Arena arena = ARENA_INIT;
    WaitLine *lines = NULL;
    int count = waittree_lines(&graph, marks, &arena, &lines);
    STRBUF_AUTO text = STRBUF_INIT;
    for (int i = 0; i < count; i++) {
        strbuf_printf(&text, "%s%.*s%d%s%s%s", i == 0 ? "" : " ", lines[i].depth, "..........",
            lines[i].node, lines[i].is_circle ? "&" : "", lines[i].is_again ? "^" : "",
            lines[i].is_last ? "$" : "");
    }
    arena_reset(&arena);
    cr_expect_str_eq(strbuf_text(&text), expected, "%s", pairs);
}

#define ALL "0123456789"

Test(waittree, nobody_waits)
{
    expect_drawn("", ALL, "");
}

Test(waittree, chain_is_drawn_from_the_one_that_all_wait_for)
{
    expect_drawn("1>2 0>1", ALL, "2$ .1$ ..0$");
}

Test(waittree, brothers_come_in_order_and_the_last_is_known)
{
    expect_drawn("3>0 1>0 2>1 4>3", ALL, "0$ .1 ..2$ .3$ ..4$");
}

Test(waittree, separate_trees_have_a_root_each)
{
    expect_drawn("1>0 3>2", ALL, "0$ .1$ 2$ .3$");
}

Test(waittree, waiter_for_several_is_drawn_once_and_named_again)
{
    expect_drawn("2>0 2>1 3>2", ALL, "0$ .2$ ..3$ 1$ .2^$");
}

Test(waittree, queue_in_which_each_waits_for_all_before_stands_below_the_root)
{
    expect_drawn("1>0 2>0 2>1 3>0 3>1 3>2", ALL, "0$ .1 .2 .3$");
    expect_drawn("1>0 2>1 3>1 3>2", ALL, "0$ .1$ ..2 ..3$");
}

Test(waittree, circle_gets_one_root)
{
    expect_drawn("0>1 1>0", ALL, "0&$ .1$");
    expect_drawn("0>1 1>2 2>0", ALL, "0&$ .2$ ..1$");
}

Test(waittree, who_waits_behind_a_circle_is_not_its_root)
{
    expect_drawn("0>1 1>2 2>1", ALL, "1&$ .0 .2$");
}

Test(waittree, two_circles_have_a_root_each)
{
    expect_drawn("0>1 1>0 2>3 3>2", ALL, "0&$ .1$ 2&$ .3$");
}

Test(waittree, circle_below_a_root_belongs_to_its_tree)
{
    expect_drawn("1>0 1>2 2>1", ALL, "0$ .1$ ..2$");
}

Test(waittree, each_line_knows_what_it_stands_below)
{
    static const WaitEdge EDGES[] = {{1, 0}, {2, 1}, {2, 0}};
    static const bool MARKS[] = {true, true, true};
    WaitGraph graph = {.node_count = 3, .edges = EDGES, .edge_count = 3};
    Arena arena = ARENA_INIT;
    WaitLine *lines = NULL;
    cr_assert(eq(int, 3, waittree_lines(&graph, MARKS, &arena, &lines)));
    cr_expect(eq(int, -1, lines[0].blocker));
    cr_expect(eq(int, 0, lines[1].blocker));
    cr_expect(eq(int, 0, lines[2].blocker));
    arena_reset(&arena);
}

/* A lock that a thousand wait for, each of them behind all before it. */
Test(waittree, long_queue_is_drawn_at_once)
{
    enum { NODES = 1000 };
    Arena arena = ARENA_INIT;
    WaitEdge *edges = arena_alloc(&arena, (size_t)NODES * NODES / 2 * sizeof(*edges));
    bool *marks = arena_alloc(&arena, NODES);
    int count = 0;
    for (int waiter = 0; waiter < NODES; waiter++) {
        for (int blocker = 0; blocker < waiter; blocker++) {
            edges[count++] = (WaitEdge){.waiter = waiter, .blocker = blocker};
        }
    }
    WaitGraph graph = {.node_count = NODES, .edges = edges, .edge_count = count};
    WaitLine *lines = NULL;
    marks[NODES - 1] = true;
    waittree_mark_blockers(&graph, marks);
    cr_expect(eq(int, NODES, waittree_lines(&graph, marks, &arena, &lines)));
    cr_expect(eq(int, 1, lines[NODES - 1].depth));
    arena_reset(&arena);
}

Test(waittree, what_is_not_marked_is_not_drawn)
{
    expect_drawn("1>0 2>0 3>2", "01", "0$ .1$");
    expect_drawn("1>0", "1", "");
}

static void
expect_marks(const char *pairs, const char *from, const char *blockers, const char *trees)
{
    WaitEdge edges[NODES_MAX];
    WaitGraph graph = graph_of(pairs, edges);
    bool marks[NODES_MAX];
    bool expected[NODES_MAX];
    mark(marks, from);
    waittree_mark_blockers(&graph, marks);
    mark(expected, blockers);
    cr_expect(eq(int, 0, memcmp(marks, expected, sizeof(marks))), "blockers in %s", pairs);
    waittree_mark_waiters(&graph, marks);
    mark(expected, trees);
    cr_expect(eq(int, 0, memcmp(marks, expected, sizeof(marks))), "trees in %s", pairs);
}

Test(waittree, marks_spread_to_whole_trees_and_no_further)
{
    expect_marks("3>1 1>0 2>0 5>4", "1", "01", "0123");
    expect_marks("2>0 2>1 3>1", "3", "13", "123");
    expect_marks("0>1 1>0 2>1", "2", "012", "012");
    expect_marks("1>0", "", "", "");
}
