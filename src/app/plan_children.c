/*
 * plan_children.c - the tables that refer to that of a purge, and what becomes of their rows.
 */
#include "core/plan_children.h"

#include "app/json.h"
#include "app/plan_parts.h"
#include "core/format.h"

static const char *
action_word(ChildAction action)
{
    switch (action) {
    case CHILD_CASCADE:
        return "cascade";
    case CHILD_RESTRICT:
        return "restrict";
    case CHILD_SET_NULL:
        return "set null";
    case CHILD_SET_DEFAULT:
        return "set default";
    case CHILD_NO_ACTION:
        break;
    }
    return "no action";
}

static const char *
parent_name(const Plan *plan, const ChildLink *link)
{
    return link->parent == CHILD_OF_JOB ? plan->facts->table.name
                                        : plan->purge->children[link->parent].table->name;
}

/* -1 = unknown. */
static double
rows_of(const Plan *plan, const ChildNode *node)
{
    bool known = node->rows_per_parent >= 0 && plan->where->match_rows >= 0;
    return known ? node->rows_per_parent * (double)plan_purge_estimate(plan).purged_rows : -1;
}

/* ---- text ---- */

static void
put_link(StrBuf *out, const Plan *plan, const ChildLink *link)
{
    const ChildKey *key = link->key;
    strbuf_printf(out, "%s (", key->name);
    for (int i = 0; i < key->column_count; i++) {
        strbuf_printf(out, "%s%s", i == 0 ? "" : ", ", key->columns[i]);
    }
    strbuf_printf(out, ") to %s, on delete %s, %s%s", parent_name(plan, link),
        action_word(key->action), key->index == NULL ? "no index" : "index ",
        key->index == NULL ? "" : key->index);
}

static void
put_node(StrBuf *out, const Plan *plan, const ChildNode *node, int width)
{
    char count[FORMAT_SIZE];
    STRBUF_AUTO line = STRBUF_INIT;
    double rows = rows_of(plan, node);
    strbuf_printf(
        &line, "%*s%s.%s: ", 2 * (node->level - 1), "", node->table->schema, node->table->name);
    if (rows >= 0) {
        strbuf_printf(&line, "about %s rows ", format_count((int64_t)rows, count));
    } else {
        strbuf_puts(&line, "nobody knows how many rows ");
    }
    strbuf_puts(&line, node->deleted ? "are deleted, by " : "are kept and set, by ");
    for (int i = 0; i < node->link_count; i++) {
        strbuf_puts(&line, i == 0 ? "" : "; ");
        put_link(&line, plan, &node->links[i]);
    }
    bool first = node == plan->purge->children;
    plan_put_fact(out, first ? "children" : "", strbuf_text(&line), width);
}

/* Foreign keys that were allowed to end the run. */
static void
put_guards(StrBuf *out, const Plan *plan, int width)
{
    const ChildGraph *graph = plan->facts->children;
    for (int i = 0; graph != NULL && i < graph->key_count; i++) {
        const ChildKey *key = &graph->keys[i];
        bool stops = key->action == CHILD_NO_ACTION || key->action == CHILD_RESTRICT;
        if (stops && !children_deletes(plan->spec, key)) {
            const ChildTable *child = &graph->tables[key->child];
            STRBUF_AUTO line = STRBUF_INIT;
            strbuf_printf(&line,
                "%s.%s: a row that it refers to by %s is not deleted, and ends the run",
                child->schema, child->name, key->name);
            plan_put_fact(out, "refers", strbuf_text(&line), width);
        }
    }
}

void
plan_children_put(StrBuf *out, const Plan *plan, int width)
{
    for (int i = 0; i < plan->purge->child_count; i++) {
        put_node(out, plan, &plan->purge->children[i], width);
    }
    put_guards(out, plan, width);
}

const char *
plan_children_lock(const Plan *plan, Arena *arena)
{
    STRBUF_AUTO names = STRBUF_INIT;
    for (int i = 0; i < plan->purge->child_count; i++) {
        const ChildTable *table = plan->purge->children[i].table;
        strbuf_printf(&names, "%s%s.%s", i == 0 ? "" : ", ", table->schema, table->name);
    }
    return names.len == 0
               ? NULL
               : arena_printf(arena,
                     "In the same transaction, rows that refer to those of the batch: locked after "
                     "them, level by level, and gone before them, the deepest first (%s). Nobody "
                     "can add one while their parents are locked.",
                     strbuf_text(&names));
}

/* ---- JSON ---- */

static json_t *
link_json(const Plan *plan, const ChildLink *link)
{
    const ChildKey *key = link->key;
    json_t *object = json_object();
    json_t *columns = json_array();
    for (int i = 0; i < key->column_count; i++) {
        json_append(columns, json_text(key->columns[i]));
    }
    json_put(object, "name", json_text(key->name));
    json_put(object, "columns", columns);
    json_put(object, "parent", json_text(parent_name(plan, link)));
    json_put(object, "on_delete", json_text(action_word(key->action)));
    json_put(object, "index", json_text(key->index));
    return object;
}

json_t *
plan_children_json(const Plan *plan)
{
    json_t *list = json_array();
    for (int i = 0; i < plan->purge->child_count; i++) {
        const ChildNode *node = &plan->purge->children[i];
        double rows = rows_of(plan, node);
        json_t *keys = json_array();
        for (int k = 0; k < node->link_count; k++) {
            json_append(keys, link_json(plan, &node->links[k]));
        }
        json_t *object = json_object();
        json_put(object, "schema", json_text(node->table->schema));
        json_put(object, "table", json_text(node->table->name));
        json_put(object, "level", json_integer(node->level));
        json_put(object, "deleted", json_boolean(node->deleted));
        json_put(object, "rows", rows < 0 ? json_null() : json_integer((json_int_t)rows));
        json_put(object, "keys", keys);
        json_append(list, object);
    }
    return list;
}
