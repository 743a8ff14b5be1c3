/*
 * findings_children.c - findings about the rows of other tables that refer to those of a purge.
 */
#include <string.h>

#include "base/strbuf.h"
#include "core/findings_collector.h"
#include "core/plan_children.h"

/* Variables of the generated functions begin with this; findings_table.c refuses it likewise. */
#define RESERVED_PREFIX "pghaul_"

static const char *
table_name(const Collector *c, const ChildTable *table)
{
    return arena_printf(
        c->arena, "%s.%s", finding_ident(c, table->schema), finding_ident(c, table->name));
}

static const char *
name_at(const Collector *c, int table)
{
    return table == CHILD_OF_JOB ? c->table : table_name(c, &c->facts->children->tables[table]);
}

static bool
keeps_rows(const Collector *c)
{
    return c->spec->archive.path != NULL || c->facts->into != NULL;
}

/* ---- a foreign key ---- */

/* "about 3 rows each", of those that know. */
static const char *
rows_text(const Collector *c, const ChildKey *key)
{
    return key->rows_per_parent < 0 ? ""
                                    : arena_printf(c->arena, ", about %.*f for each",
                                          key->rows_per_parent < 10 ? 1 : 0, key->rows_per_parent);
}

static void
check_action(const Collector *c, const ChildKey *key)
{
    const char *name = finding_ident(c, key->name);
    const char *child = name_at(c, key->child);
    const char *parent = name_at(c, key->parent);
    bool refuses = c->spec->children == CHILDREN_REFUSE;
    if (key->action == CHILD_SET_NULL || key->action == CHILD_SET_DEFAULT) {
        finding_risk(c, "set-null", NULL,
            "rows of %s lose what they refer to when rows of %s are deleted (foreign key %s, ON "
            "DELETE SET %s%s)",
            child, parent, name, key->action == CHILD_SET_NULL ? "NULL" : "DEFAULT",
            rows_text(c, key));
    } else if (key->action == CHILD_CASCADE && refuses && keeps_rows(c)) {
        finding_add(c, FINDING_REFUSE, "cascade",
            c->facts->into != NULL ? "Archive to files with children: delete, or move the rows of "
                                     "both tables by jobs of their own, the children's first."
                                   : "children: delete archives and deletes them too.",
            "rows of %s go with those of %s and would not be kept (foreign key %s, ON DELETE "
            "CASCADE%s)",
            child, parent, name, rows_text(c, key));
    } else if (key->action == CHILD_CASCADE && refuses) {
        finding_risk(c, "cascade", "children: delete says that rows of other tables may go.",
            "rows of %s go with those of %s (foreign key %s, ON DELETE CASCADE%s)", child, parent,
            name, rows_text(c, key));
    } else if (refuses) {
        finding_risk(c, "children", "children: delete deletes them first.",
            "rows of %s that rows of %s refer to cannot be deleted (foreign key %s%s)", parent,
            child, name, rows_text(c, key));
    }
}

/* The server looks for such rows at each row that it deletes, whoever deletes the others. */
static void
check_index(const Collector *c, const ChildKey *key)
{
    const ChildTable *child = &c->facts->children->tables[key->child];
    STRBUF_AUTO columns = STRBUF_INIT;
    for (int i = 0; i < key->column_count; i++) {
        finding_put_name(&columns, finding_ident(c, key->columns[i]));
    }
    const char *name = table_name(c, child);
    finding_risk(c, "child-index",
        arena_printf(c->arena, "CREATE INDEX %sON %s (%s);%s",
            child->partitioned ? "" : "CONCURRENTLY ", name, strbuf_text(&columns),
            child->partitioned ? " It is partitioned: make them CONCURRENTLY on its partitions "
                                 "before, of which this is then made."
                               : ""),
        "%s has no index on (%s): for each row of %s to be deleted the server reads all of it",
        name, strbuf_text(&columns), name_at(c, key->parent));
}

static void
check_form(const Collector *c, const ChildKey *key)
{
    if (key->by_period || key->to_partition) {
        finding_add(c, FINDING_REFUSE, "child-key",
            "Drop the foreign key for the time of the purge, or purge what refers by it by hand.",
            "foreign key %s of %s %s", finding_ident(c, key->name), name_at(c, key->child),
            key->by_period ? "refers by a PERIOD, and rows that refer so are not found by their key"
                           : "refers to a single partition of a table whose rows go as well");
    }
}

static void
check_cycle(const Collector *c)
{
    const ChildKey *key = children_cycle(c->spec, c->facts->children);
    if (key != NULL) {
        finding_add(c, FINDING_REFUSE, "child-cycle",
            "Delete such rows by hand, from the last in each chain on; or drop the foreign key.",
            "rows of %s refer to rows of %s, and these to them in turn (foreign key %s): no order "
            "deletes them in batches",
            name_at(c, key->child), name_at(c, key->parent), finding_ident(c, key->name));
    }
}

/* ---- a table ---- */

static void
check_privileges(const Collector *c, const ChildNode *node, const char *name)
{
    const ChildTable *table = node->table;
    STRBUF_AUTO missing = STRBUF_INIT;
    bool is_said = strcmp(table->schema, c->facts->table.schema) == 0; /* by the job's table */
    if (!table->may_use_schema && !is_said) {
        const char *schema = finding_ident(c, table->schema);
        finding_add(c, FINDING_REFUSE, "privilege",
            arena_printf(c->arena, "GRANT USAGE ON SCHEMA %s TO %s;", schema, c->role),
            "role %s lacks USAGE on schema %s", c->role, schema);
    }
    if (!table->may_select) {
        finding_put_name(&missing, "SELECT");
    }
    if (!table->may_update) {
        finding_put_name(&missing, "UPDATE");
    }
    if (node->deleted && !table->may_delete) {
        finding_put_name(&missing, "DELETE");
    }
    if (missing.len > 0) {
        finding_add(c, FINDING_REFUSE, "privilege",
            arena_printf(c->arena, "GRANT %s ON %s TO %s;", strbuf_text(&missing), name, c->role),
            "role %s lacks %s on %s, whose rows are locked%s", c->role, strbuf_text(&missing), name,
            node->deleted ? " and deleted" : "");
    }
}

static void
check_code(const Collector *c, const ChildNode *node, const char *name)
{
    const ChildTable *table = node->table;
    const char *trigger = node->deleted ? table->delete_trigger : table->update_trigger;
    if (!table->owner_is_trusted) {
        const char *owner = finding_ident(c, table->owner);
        finding_risk(c, "untrusted-owner", arena_printf(c->arena, "Run as %s.", owner),
            "%s belongs to role %s, whose triggers would run with the rights of superuser %s", name,
            owner, c->role);
    }
    if (table->rules != NULL && node->deleted) {
        finding_add(c, FINDING_REFUSE, "rules",
            arena_printf(c->arena,
                "Drop them: SELECT rulename, definition FROM pg_rules WHERE schemaname = '%s' "
                "AND tablename = '%s';",
                table->schema, table->name),
            "%s has rewrite rules, which would turn a DELETE into something else: %s", name,
            table->rules);
    }
    if (trigger != NULL) {
        finding_risk(c, "user-triggers",
            "Make sure that it may run once for each row, or give it a WHEN clause.",
            "trigger %s of %s fires on each of its rows that is %s", trigger, name,
            node->deleted ? "deleted" : "set to refer to nothing");
    }
}

static void
check_columns(const Collector *c, const ChildTable *table, const char *name)
{
    for (int i = 0; i < table->column_count; i++) {
        const char *column = table->columns[i].name;
        if (strncmp(column, RESERVED_PREFIX, strlen(RESERVED_PREFIX)) == 0) {
            finding_add(c, FINDING_REFUSE, "reserved-name",
                "Names that begin with " RESERVED_PREFIX " are used by the generated functions; "
                "rename the column.",
                "column \"%s\" of %s has a reserved name", column, name);
        }
    }
}

/* A row that two nodes have would be deleted by one and missed by the other. */
static void
check_overlap(const Collector *c, const PurgePlan *purge, int node)
{
    const ChildTable *table = purge->children[node].table;
    for (int i = 0; i < node; i++) {
        const ChildTable *other = purge->children[i].table;
        if (other->root == table->root && other->oid != table->oid) {
            finding_add(c, FINDING_REFUSE, "child-key",
                "Declare the foreign keys on the partitioned table only.",
                "%s and %s are parts of one partitioned table, each with foreign keys of its own",
                table_name(c, table), table_name(c, other));
            return;
        }
    }
}

/* Places of rows in files are those of one table. */
static void
check_archive(const Collector *c, const ChildTable *table, const char *name)
{
    if (c->spec->archive.path != NULL && table->partitioned) {
        finding_add(c, FINDING_REFUSE, "child-archive",
            "Purge it by a job for each of its partitions first, then this table.",
            "%s is partitioned, and rows of such a table are not archived with those that they "
            "refer to",
            name);
    }
}

static void
check_node(const Collector *c, const PurgePlan *purge, int at)
{
    const ChildNode *node = &purge->children[at];
    const char *name = table_name(c, node->table);
    check_privileges(c, node, name);
    check_code(c, node, name);
    check_columns(c, node->table, name);
    check_overlap(c, purge, at);
    check_archive(c, node->table, name);
    if (node->table->row_security_filters) {
        finding_add(c, FINDING_REFUSE, "row-security",
            arena_printf(c->arena, "Run as %s, or: ALTER ROLE %s BYPASSRLS;",
                finding_ident(c, node->table->owner), c->role),
            "row security hides rows of %s from role %s", name, c->role);
    }
}

void
findings_children(const Collector *c)
{
    const ChildGraph *graph = c->facts->children;
    if (graph == NULL) {
        return;
    }
    check_cycle(c);
    for (int i = 0; i < graph->key_count; i++) {
        const ChildKey *key = &graph->keys[i];
        if (key->child == CHILD_OF_JOB || key->child == key->parent) {
            continue;
        }
        check_form(c, key);
        check_action(c, key);
        if (key->index == NULL) {
            check_index(c, key);
        }
    }
    PurgePlan purge = {.children = NULL};
    plan_decide_children(c->spec, c->facts, c->arena, &purge);
    for (int i = 0; i < purge.child_count; i++) {
        check_node(c, &purge, i);
    }
}
