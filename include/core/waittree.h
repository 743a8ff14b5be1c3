/*
 * waittree.h - who waits for whom, as trees: at the root the one that all others below wait for.
 *
 * Pure.  Nodes are numbers below node_count.  A node may wait for several, so it may stand in
 * several trees; the server's answers are not of one instant, so there may also be circles.
 */
#ifndef CORE_WAITTREE_H
#define CORE_WAITTREE_H

#include <stdbool.h>

#include "base/arena.h"

typedef struct WaitEdge {
    int waiter;
    int blocker;
} WaitEdge;

typedef struct WaitGraph {
    int node_count;
    const WaitEdge *edges; /* no pair twice */
    int edge_count;
} WaitGraph;

/* Mark also everything that a marked node waits for; everything that waits for a marked one. */
void waittree_mark_blockers(const WaitGraph *graph, bool *marks);
void waittree_mark_waiters(const WaitGraph *graph, bool *marks);

/* One line of the drawn trees: a node before those that wait for it. */
typedef struct WaitLine {
    int node;
    int blocker;    /* that it stands below; -1: a root */
    int depth;      /* 0: a root */
    bool is_again;  /* an earlier tree has it with those that wait for it; here it is only named */
    bool is_last;   /* no brother comes after it */
    bool is_circle; /* a root that waits itself for one of those below it */
} WaitLine;

/*
 * Draw the marked nodes that wait or are waited for.
 *
 * Shape:   a tree has each node once, below the blocker that is nearest to the root: of a queue in
 *          which each waits for all before it, all stand below the root.  Roots and brothers come
 *          in the order of their numbers.
 * Owner:   *lines lives in `arena`; returns how many.
 */
int waittree_lines(const WaitGraph *graph, const bool *marks, Arena *arena, WaitLine **lines);

#endif
