#include "core/sql_children.h"

#include <stdio.h>

#include "core/sql_parts.h"

/* Names of variables. */
#define NAME_SIZE 24

typedef struct Names {
    char tids[NAME_SIZE];
    char oids[NAME_SIZE]; /* "" = its rows are in one table */
} Names;

static const ChildNode *
node_at(const Plan *plan, int node)
{
    return &plan->purge->children[node];
}

static Names
names_of(const Plan *plan, int node)
{
    Names names = {.tids = "pghaul_tids"};
    if (node != CHILD_OF_JOB) {
        (void)snprintf(names.tids, sizeof(names.tids), "pghaul_c%d", node + 1);
        if (node_at(plan, node)->table->partitioned) {
            (void)snprintf(names.oids, sizeof(names.oids), "pghaul_o%d", node + 1);
        }
    }
    return names;
}

/* ---- tables ---- */

static void
put_name(StrBuf *out, const ChildTable *table)
{
    sql_put_ident(out, table->schema);
    strbuf_putc(out, '.');
    sql_put_ident(out, table->name);
}

static void
put_only(StrBuf *out, const ChildTable *table)
{
    strbuf_puts(out, table->partitioned ? "" : "ONLY ");
    put_name(out, table);
}

void
sql_put_child_table(StrBuf *out, const ChildNode *node)
{
    put_only(out, node->table);
    strbuf_puts(out, " AS pghaul_child");
}

static void
put_parent_table(StrBuf *out, const Plan *plan, int parent)
{
    if (parent == CHILD_OF_JOB) {
        strbuf_puts(out, "ONLY ");
        sql_put_table(out, plan);
    } else {
        put_only(out, node_at(plan, parent)->table);
    }
    strbuf_puts(out, " AS pghaul_parent");
}

/* ---- rows ---- */

/* The row `alias` is one of those places. */
static void
put_is_at(StrBuf *out, const char *alias, const char *tids_sql, const char *oids_sql)
{
    strbuf_printf(out, "%s.ctid = ANY (%s)", alias, tids_sql);
    if (oids_sql != NULL && oids_sql[0] != '\0') {
        strbuf_printf(out,
            " AND (%s.tableoid, %s.ctid) IN (SELECT u.o, u.t\n"
            "           FROM ROWS FROM (pg_catalog.unnest(%s), pg_catalog.unnest(%s)) AS u(o, t))",
            alias, alias, oids_sql, tids_sql);
    }
}

static void
put_refers(StrBuf *out, const ChildKey *key)
{
    for (int i = 0; i < key->column_count; i++) {
        strbuf_puts(out, i == 0 ? "" : " AND ");
        strbuf_puts(out, "pghaul_parent.");
        sql_put_ident(out, key->keys[i]);
        strbuf_printf(out, " OPERATOR(%s) pghaul_child.", key->operators[i]);
        sql_put_ident(out, key->columns[i]);
        strbuf_puts(out, key->collations[i]);
    }
}

void
sql_put_children_of(StrBuf *out, const Plan *plan, const ChildNode *node, const ChildLink *link,
    const char *tids_sql, const char *oids_sql)
{
    strbuf_puts(out, "      FROM ");
    put_parent_table(out, plan, link->parent);
    strbuf_puts(out, "\n      JOIN ");
    sql_put_child_table(out, node);
    strbuf_puts(out, "\n        ON ");
    put_refers(out, link->key);
    strbuf_puts(out, "\n     WHERE ");
    put_is_at(out, "pghaul_parent", tids_sql, oids_sql);
}

static void
put_children_of(StrBuf *out, const Plan *plan, int node, const ChildLink *link)
{
    Names parent = names_of(plan, link->parent);
    sql_put_children_of(out, plan, node_at(plan, node), link, parent.tids, parent.oids);
}

/* ---- declare ---- */

void
sql_put_children_declare(StrBuf *out, const Plan *plan)
{
    if (plan->purge->child_count == 0) {
        return;
    }
    strbuf_puts(out, "    pghaul_gone pg_catalog.int8 := 0;\n"
                     "    pghaul_deleted pg_catalog.int8;\n"
                     "    pghaul_more_tids pg_catalog.tid[];\n"
                     "    pghaul_more_oids pg_catalog.oid[];\n");
    for (int i = 0; i < plan->purge->child_count; i++) {
        Names names = names_of(plan, i);
        strbuf_printf(out, "    %s pg_catalog.tid[];\n", names.tids);
        if (names.oids[0] != '\0') {
            strbuf_printf(out, "    %s pg_catalog.oid[];\n", names.oids);
        }
    }
}

void
sql_put_children_table_lock(StrBuf *out, const Plan *plan)
{
    for (int i = 0; i < plan->purge->child_count; i++) {
        const ChildNode *node = node_at(plan, i);
        if (node->deleted) {
            strbuf_puts(out, "    LOCK TABLE ");
            put_only(out, node->table);
            strbuf_puts(out, " IN ROW EXCLUSIVE MODE;\n");
        }
    }
}

/* ---- lock ---- */

/* Rows that refer by one key, into pghaul_more_tids (and _oids).  An application that waits for
 * the lock sees the rows in a fixed order: two batches do not deadlock. */
static void
put_lock_link(StrBuf *out, const Plan *plan, int node, const ChildLink *link, bool skips)
{
    bool parts = node_at(plan, node)->table->partitioned;
    strbuf_printf(out,
        "    SELECT COALESCE(pg_catalog.array_agg(s.t), '{}')%s\n"
        "      INTO pghaul_more_tids%s\n"
        "      FROM (SELECT pghaul_child.ctid AS t%s\n",
        parts ? ", COALESCE(pg_catalog.array_agg(s.o), '{}')" : "",
        parts ? ", pghaul_more_oids" : "", parts ? ", pghaul_child.tableoid AS o" : "");
    put_children_of(out, plan, node, link);
    strbuf_printf(out,
        "\n     ORDER BY %spghaul_child.ctid\n       FOR UPDATE OF pghaul_child%s) AS s;\n",
        parts ? "pghaul_child.tableoid, " : "", skips ? " SKIP LOCKED" : "");
}

/* A row may refer by several keys. */
static void
put_union(StrBuf *out, const Names *names)
{
    if (names->oids[0] == '\0') {
        strbuf_printf(out,
            "    %s := ARRAY(SELECT DISTINCT u.t\n"
            "        FROM pg_catalog.unnest(pg_catalog.array_cat(%s, pghaul_more_tids)) AS "
            "u(t));\n",
            names->tids, names->tids);
        return;
    }
    strbuf_printf(out,
        "    SELECT COALESCE(pg_catalog.array_agg(s.t), '{}'),\n"
        "           COALESCE(pg_catalog.array_agg(s.o), '{}') INTO %s, %s\n"
        "      FROM (SELECT DISTINCT u.t, u.o FROM ROWS FROM (\n"
        "               pg_catalog.unnest(pg_catalog.array_cat(%s, pghaul_more_tids)),\n"
        "               pg_catalog.unnest(pg_catalog.array_cat(%s, pghaul_more_oids))) AS u(t, o)) "
        "AS s;\n",
        names->tids, names->oids, names->tids, names->oids);
}

static void
put_lock_node(StrBuf *out, const Plan *plan, int node, bool skips)
{
    Names names = names_of(plan, node);
    for (int i = 0; i < node_at(plan, node)->link_count; i++) {
        put_lock_link(out, plan, node, &node_at(plan, node)->links[i], skips);
        if (i > 0) {
            put_union(out, &names);
            continue;
        }
        strbuf_printf(out, "    %s := pghaul_more_tids;\n", names.tids);
        if (names.oids[0] != '\0') {
            strbuf_printf(out, "    %s := pghaul_more_oids;\n", names.oids);
        }
    }
}

static void
put_lock_all(StrBuf *out, const Plan *plan, bool skips)
{
    for (int i = 0; i < plan->purge->child_count; i++) {
        put_lock_node(out, plan, i, skips);
    }
}

/* ---- rows that somebody holds ---- */

/* Who holds rows that refer by the key and are not ours. */
static void
put_holders(StrBuf *out, const Plan *plan, int node, const ChildLink *link)
{
    Names child = names_of(plan, node);
    strbuf_puts(out, "    pghaul_holders := pg_catalog.array_cat(pghaul_holders, ARRAY(\n"
                     "        SELECT DISTINCT l.pid FROM pg_catalog.pg_locks AS l\n"
                     "         WHERE l.locktype = 'transactionid' AND l.granted\n"
                     "           AND l.pid <> pg_catalog.pg_backend_pid()\n"
                     "           AND l.transactionid IN (SELECT pghaul_child.xmax\n");
    put_children_of(out, plan, node, link);
    strbuf_puts(out, "\n       AND NOT (");
    put_is_at(out, "pghaul_child", child.tids, child.oids);
    strbuf_puts(out, ")\n     LIMIT 100)));\n");
}

/* Leave the parents whose rows are not all ours.  What is read again are rows that we have locked,
 * so they are as they were. */
static void
put_prune(StrBuf *out, const Plan *plan, int node, const ChildLink *link)
{
    Names parent = names_of(plan, link->parent);
    Names child = names_of(plan, node);
    bool parts = parent.oids[0] != '\0';
    strbuf_printf(out, "    SELECT COALESCE(pg_catalog.array_agg(pghaul_parent.ctid), '{}')");
    if (parts) {
        strbuf_puts(
            out, ",\n           COALESCE(pg_catalog.array_agg(pghaul_parent.tableoid), '{}')");
    }
    strbuf_printf(
        out, "\n      INTO %s%s%s\n      FROM ", parent.tids, parts ? ", " : "", parent.oids);
    put_parent_table(out, plan, link->parent);
    strbuf_puts(out, "\n     WHERE ");
    put_is_at(out, "pghaul_parent", parent.tids, parent.oids);
    strbuf_puts(out, "\n       AND NOT EXISTS (SELECT FROM ");
    sql_put_child_table(out, node_at(plan, node));
    strbuf_puts(out, "\n            WHERE ");
    put_refers(out, link->key);
    strbuf_puts(out, "\n              AND NOT (");
    put_is_at(out, "pghaul_child", child.tids, child.oids);
    strbuf_puts(out, "));\n");
}

/* From the deepest up: who loses a row loses its place with its own parents. */
static void
put_leave_held(StrBuf *out, const Plan *plan)
{
    for (int i = plan->purge->child_count - 1; i >= 0; i--) {
        const ChildNode *node = node_at(plan, i);
        for (int k = 0; k < node->link_count; k++) {
            put_holders(out, plan, i, &node->links[k]);
            put_prune(out, plan, i, &node->links[k]);
        }
    }
}

/*
 * The predicate may look at the very rows that refer: those that came while we waited were not
 * there when it was judged, and when they are deleted it is too late.
 */
static void
put_judge_again(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "    pghaul_more_tids := ARRAY(SELECT ");
    sql_put_column(out, plan, "ctid");
    strbuf_puts(out, "\n      FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n     WHERE ");
    sql_put_column(out, plan, "ctid");
    strbuf_puts(out, " = ANY (pghaul_tids)");
    sql_put_where(out, plan);
    strbuf_puts(out, ");\n");
}

void
sql_put_lock_children(StrBuf *out, const Plan *plan, bool skips)
{
    if (plan->purge->child_count == 0) {
        return;
    }
    put_lock_all(out, plan, skips);
    if (skips) {
        put_leave_held(out, plan);
    }
    put_judge_again(out, plan);
    strbuf_printf(out,
        "    IF %s OR pg_catalog.cardinality(pghaul_more_tids)\n"
        "            < pg_catalog.cardinality(pghaul_tids) THEN\n"
        "    pghaul_tids := pghaul_more_tids;\n",
        skips ? "true" : "false");
    put_lock_all(out, plan, skips); /* all of them are locked by us already */
    strbuf_puts(out, "    END IF;\n");
}

/* ---- delete ---- */

void
sql_put_delete_children(StrBuf *out, const Plan *plan)
{
    if (plan->purge->child_count > 0) {
        /* The server's own statements, which look for rows that refer to each deleted one, obey it
         * too and would be planned anew every time; rows by ctid have the same plan always. */
        strbuf_puts(out, "    PERFORM pg_catalog.set_config('plan_cache_mode', 'auto', true);\n");
    }
    for (int i = plan->purge->child_count - 1; i >= 0; i--) {
        const ChildNode *node = node_at(plan, i);
        Names names = names_of(plan, i);
        if (!node->deleted) {
            continue; /* the server sets their columns when the parents go */
        }
        STRBUF_AUTO message = STRBUF_INIT;
        STRBUF_AUTO name = STRBUF_INIT;
        put_name(&name, node->table);
        strbuf_printf(&message, "rows of %s were kept from being deleted", strbuf_text(&name));
        strbuf_puts(out, "    DELETE FROM ");
        sql_put_child_table(out, node);
        strbuf_puts(out, "\n     WHERE ");
        put_is_at(out, "pghaul_child", names.tids, names.oids);
        strbuf_printf(out,
            ";\n    GET DIAGNOSTICS pghaul_deleted = ROW_COUNT;\n"
            "    IF pghaul_deleted <> pg_catalog.cardinality(%s) THEN\n"
            "        RAISE EXCEPTION USING ERRCODE = 'PH004', MESSAGE = ",
            names.tids);
        sql_put_literal(out, strbuf_text(&message));
        strbuf_puts(out, ";\n    END IF;\n"
                         "    pghaul_gone := pghaul_gone + pghaul_deleted;\n");
    }
}

/* ---- guards ---- */

static void
put_guard(StrBuf *out, uint32_t oid, const char *signature)
{
    char number[32];
    (void)snprintf(number, sizeof(number), "%u::pg_catalog.oid", oid);
    strbuf_printf(out, "    IF " CHILDREN_SIGNATURE("%s"), number);
    strbuf_puts(out, " <> ");
    sql_put_literal(out, signature);
    strbuf_puts(out,
        " THEN\n"
        "        RAISE EXCEPTION USING ERRCODE = 'PH001',\n"
        "            MESSAGE = 'the foreign keys that lead to its rows are not as they "
        "were when the job began';\n"
        "    END IF;\n");
}

void
sql_put_children_guards(StrBuf *out, const Plan *plan)
{
    const Facts *facts = plan->facts;
    if (facts->children == NULL) {
        return;
    }
    put_guard(out, facts->table.oid, facts->children->signature);
    for (int i = 0; i < plan->purge->child_count; i++) {
        const ChildNode *node = node_at(plan, i);
        if (node->deleted) {
            put_guard(out, node->table->oid, node->table->signature);
        }
    }
}
