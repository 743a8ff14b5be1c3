#include "core/plan_children.h"

#include <string.h>

bool
children_deletes(const JobSpec *spec, const ChildKey *key)
{
    switch (key->action) {
    case CHILD_CASCADE:
        return true; /* the server would, row by row */
    case CHILD_NO_ACTION:
    case CHILD_RESTRICT:
        return spec->children == CHILDREN_DELETE;
    case CHILD_SET_NULL:
    case CHILD_SET_DEFAULT:
        break;
    }
    return false;
}

static bool
is_released(const ChildKey *key)
{
    return key->action == CHILD_SET_NULL || key->action == CHILD_SET_DEFAULT;
}

/* ---- order ---- */

/* Level of each table whose rows are deleted; 0 = it has none (yet). */
static bool
is_settled(const JobSpec *spec, const ChildGraph *graph, const int *levels, int table, int *level)
{
    bool refers = false;
    *level = 1;
    for (int i = 0; i < graph->key_count; i++) {
        const ChildKey *key = &graph->keys[i];
        if (key->child != table || !children_deletes(spec, key)) {
            continue;
        }
        refers = true;
        if (key->parent == CHILD_OF_JOB) {
            continue;
        }
        if (levels[key->parent] == 0) {
            return false;
        }
        *level = levels[key->parent] >= *level ? levels[key->parent] + 1 : *level;
    }
    return refers;
}

/* What has no level after it waits for itself. */
static void
take_levels(const JobSpec *spec, const ChildGraph *graph, int *levels)
{
    bool again = true;
    while (again) {
        again = false;
        for (int i = 0; i < graph->table_count; i++) {
            int level = 0;
            if (levels[i] == 0 && is_settled(spec, graph, levels, i, &level)) {
                levels[i] = level;
                again = true;
            }
        }
    }
}

const ChildKey *
children_cycle(const JobSpec *spec, const ChildGraph *graph)
{
    Arena arena = ARENA_INIT;
    int *levels = arena_alloc(&arena, ((size_t)graph->table_count + 1) * sizeof(*levels));
    const ChildKey *found = NULL;
    take_levels(spec, graph, levels);
    for (int i = 0; i < graph->key_count && found == NULL; i++) {
        const ChildKey *key = &graph->keys[i];
        bool self = key->child == CHILD_OF_JOB || key->child == key->parent;
        bool waits = !self && key->parent != CHILD_OF_JOB && children_deletes(spec, key) &&
                     levels[key->child] == 0 && levels[key->parent] == 0;
        found = self || waits ? key : NULL;
    }
    arena_reset(&arena);
    return found;
}

/* ---- nodes ---- */

typedef struct Builder {
    const JobSpec *spec;
    const ChildGraph *graph;
    Arena *arena;
    ChildNode *nodes;
    int count;
    int *node_of; /* of a table whose rows are deleted */
} Builder;

static double
rows_by(const Builder *b, const ChildLink *link)
{
    double parents = link->parent == CHILD_OF_JOB ? 1 : b->nodes[link->parent].rows_per_parent;
    double share = link->key->rows_per_parent;
    return parents < 0 || share < 0 ? -1 : parents * share;
}

/* A row that refers by two keys is counted twice; an upper bound is what a person wants. */
static void
add_node(Builder *b, int table, bool deleted, int level)
{
    ChildLink *links = arena_alloc(b->arena, (size_t)b->graph->key_count * sizeof(*links));
    ChildNode *node = &b->nodes[b->count];
    *node = (ChildNode){
        .table = &b->graph->tables[table], .deleted = deleted, .links = links, .level = level};
    for (int i = 0; i < b->graph->key_count; i++) {
        const ChildKey *key = &b->graph->keys[i];
        if (key->child != table ||
            (deleted ? !children_deletes(b->spec, key) : !is_released(key))) {
            continue;
        }
        ChildLink *link = &links[node->link_count++];
        *link = (ChildLink){.key = key,
            .parent = key->parent == CHILD_OF_JOB ? CHILD_OF_JOB : b->node_of[key->parent]};
        double rows = rows_by(b, link);
        bool known = rows >= 0 && node->rows_per_parent >= 0;
        node->rows_per_parent = known ? node->rows_per_parent + rows : -1;
    }
    b->count += node->link_count > 0 ? 1 : 0;
}

static int
deepest(const int *levels, int count)
{
    int most = 0;
    for (int i = 0; i < count; i++) {
        most = levels[i] > most ? levels[i] : most;
    }
    return most;
}

static int
level_below_parents(const Builder *b, const int *levels, int table)
{
    int level = 1;
    for (int i = 0; i < b->graph->key_count; i++) {
        const ChildKey *key = &b->graph->keys[i];
        if (key->child == table && is_released(key) && key->parent != CHILD_OF_JOB &&
            levels[key->parent] >= level) {
            level = levels[key->parent] + 1;
        }
    }
    return level;
}

void
plan_decide_children(const JobSpec *spec, const Facts *facts, Arena *arena, PurgePlan *purge)
{
    const ChildGraph *graph = facts->children;
    if (graph == NULL || graph->key_count == 0) {
        return;
    }
    size_t count = (size_t)graph->table_count;
    Builder b = {.spec = spec,
        .graph = graph,
        .arena = arena,
        .nodes = arena_alloc(arena, 2 * count * sizeof(*b.nodes)),
        .node_of = arena_alloc(arena, count * sizeof(*b.node_of))};
    int *levels = arena_alloc(arena, count * sizeof(*levels));
    take_levels(spec, graph, levels);
    for (int level = 1; level <= deepest(levels, graph->table_count); level++) {
        for (int i = 0; i < graph->table_count; i++) {
            if (levels[i] == level) {
                b.node_of[i] = b.count;
                add_node(&b, i, true, level);
            }
        }
    }
    for (int i = 0; i < graph->table_count; i++) {
        add_node(&b, i, false, level_below_parents(&b, levels, i));
    }
    purge->children = b.nodes;
    purge->child_count = b.count;
    purge->counts_locked = purge->counts_locked || b.count > 0;
}

/* ---- fingerprint ---- */

static void
put_link(StrBuf *out, const ChildLink *link)
{
    const ChildKey *key = link->key;
    strbuf_printf(out, " %d %c %s (", link->parent, (char)key->action, key->name);
    for (int i = 0; i < key->column_count; i++) {
        strbuf_printf(out, "%s %s %s%s,", key->columns[i], key->operators[i], key->keys[i],
            key->collations[i]);
    }
    strbuf_putc(out, ')');
}

void
plan_put_children(StrBuf *out, const Plan *plan)
{
    const ChildGraph *graph = plan->facts->children;
    strbuf_puts(out, graph == NULL ? "" : graph->signature);
    for (int i = 0; i < plan->purge->child_count; i++) {
        const ChildNode *node = &plan->purge->children[i];
        strbuf_printf(out, "\n%s %s.%s %s:", node->deleted ? "delete" : "release",
            node->table->schema, node->table->name, node->table->signature);
        for (int k = 0; k < node->link_count; k++) {
            put_link(out, &node->links[k]);
        }
    }
}
