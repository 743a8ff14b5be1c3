#include "core/waittree.h"

#include <stddef.h>

/* ---- marks ---- */

static void
spread(const WaitGraph *graph, bool *marks, bool to_blockers)
{
    bool changed = true;
    while (changed) {
        changed = false;
        for (int i = 0; i < graph->edge_count; i++) {
            const WaitEdge *edge = &graph->edges[i];
            int from = to_blockers ? edge->waiter : edge->blocker;
            int to = to_blockers ? edge->blocker : edge->waiter;
            if (marks[from] && !marks[to]) {
                marks[to] = true;
                changed = true;
            }
        }
    }
}

void
waittree_mark_blockers(const WaitGraph *graph, bool *marks)
{
    spread(graph, marks, true);
}

void
waittree_mark_waiters(const WaitGraph *graph, bool *marks)
{
    spread(graph, marks, false);
}

/* ---- lines ---- */

#define NONE (-1)

typedef struct Drawing {
    const WaitGraph *graph;
    const bool *marks;
    int *first_edge; /* by blocker: of those that wait for it; NONE */
    int *next_edge;  /* by edge: of the same blocker */
    int *a_blocker;  /* by node: one that it waits for; NONE */
    bool *drawn;     /* by node: with its waiters, in a tree before */

    /* of the tree being drawn */
    int root;
    int *queue;
    int reached;  /* nodes in the queue */
    int *parent;  /* by node; NONE: not reached, or the root */
    int *child;   /* by node: first in order; NONE */
    int *brother; /* by node: next in order; NONE */

    WaitLine *lines;
    int count;
} Drawing;

static int *
none_of_each(Arena *arena, int count)
{
    int *items = arena_alloc(arena, (size_t)count * sizeof(*items));
    for (int i = 0; i < count; i++) {
        items[i] = NONE;
    }
    return items;
}

static void
index_edges(Drawing *drawing, Arena *arena)
{
    const WaitGraph *graph = drawing->graph;
    drawing->first_edge = none_of_each(arena, graph->node_count);
    drawing->next_edge = none_of_each(arena, graph->edge_count);
    drawing->a_blocker = none_of_each(arena, graph->node_count);
    for (int i = graph->edge_count - 1; i >= 0; i--) {
        const WaitEdge *edge = &graph->edges[i];
        if (drawing->marks[edge->waiter] && drawing->marks[edge->blocker]) {
            drawing->next_edge[i] = drawing->first_edge[edge->blocker];
            drawing->first_edge[edge->blocker] = i;
            drawing->a_blocker[edge->waiter] = edge->blocker;
        }
    }
}

/* Breadth first, so that each node is reached from the blocker nearest to the root. */
static void
reach_from(Drawing *drawing, int root)
{
    for (int i = 0; i < drawing->graph->node_count; i++) {
        drawing->parent[i] = drawing->child[i] = drawing->brother[i] = NONE;
    }
    drawing->root = root;
    drawing->queue[0] = root;
    drawing->reached = 1;
    for (int at = 0; at < drawing->reached; at++) {
        int node = drawing->queue[at];
        int edge = drawing->drawn[node] ? NONE : drawing->first_edge[node];
        for (; edge != NONE; edge = drawing->next_edge[edge]) {
            int waiter = drawing->graph->edges[edge].waiter;
            if (waiter != root && drawing->parent[waiter] == NONE) {
                drawing->parent[waiter] = node;
                drawing->queue[drawing->reached++] = waiter;
            }
        }
    }
    for (int i = drawing->graph->node_count - 1; i >= 0; i--) {
        int parent = drawing->parent[i];
        if (parent != NONE) {
            drawing->brother[i] = drawing->child[parent];
            drawing->child[parent] = i;
        }
    }
}

static void
put_line(Drawing *drawing, int node, int depth)
{
    drawing->lines[drawing->count++] = (WaitLine){
        .node = node,
        .blocker = drawing->parent[node],
        .depth = depth,
        .is_again = drawing->drawn[node],
        .is_last = drawing->brother[node] == NONE,
        .is_circle = node == drawing->root && drawing->a_blocker[node] != NONE,
    };
    drawing->drawn[node] = true;
}

/* A node, those below it, its brothers: without recursion, since a queue may be long. */
static void
draw_tree(Drawing *drawing, int root)
{
    reach_from(drawing, root);
    int depth = 0;
    int node = root;
    while (node != NONE) {
        put_line(drawing, node, depth);
        if (drawing->child[node] != NONE) {
            node = drawing->child[node];
            depth++;
            continue;
        }
        while (node != NONE && drawing->brother[node] == NONE) {
            node = drawing->parent[node];
            depth--;
        }
        node = node == NONE ? NONE : drawing->brother[node];
    }
}

/* From a node that no root leads to, up until a node comes twice: that one is in a circle. */
static int
find_circle(const Drawing *drawing, int node, Arena *arena)
{
    bool *seen = arena_alloc(arena, (size_t)drawing->graph->node_count * sizeof(*seen));
    while (!seen[node]) {
        seen[node] = true;
        node = drawing->a_blocker[node];
    }
    return node;
}

int
waittree_lines(const WaitGraph *graph, const bool *marks, Arena *arena, WaitLine **lines)
{
    int nodes = graph->node_count;
    Drawing drawing = {.graph = graph, .marks = marks};
    index_edges(&drawing, arena);
    drawing.queue = none_of_each(arena, nodes);
    drawing.parent = none_of_each(arena, nodes);
    drawing.child = none_of_each(arena, nodes);
    drawing.brother = none_of_each(arena, nodes);
    drawing.drawn = arena_alloc(arena, (size_t)nodes * sizeof(*drawing.drawn));
    /* A node is drawn once, and named again below one that is drawn there: once for an edge. */
    drawing.lines =
        arena_alloc(arena, (size_t)(nodes + graph->edge_count) * sizeof(*drawing.lines));
    for (int i = 0; i < nodes; i++) {
        if (drawing.a_blocker[i] == NONE && drawing.first_edge[i] != NONE) {
            draw_tree(&drawing, i);
        }
    }
    for (int i = 0; i < nodes; i++) {
        while (drawing.a_blocker[i] != NONE && !drawing.drawn[i]) {
            draw_tree(&drawing, find_circle(&drawing, i, arena));
        }
    }
    *lines = drawing.lines;
    return drawing.count;
}
