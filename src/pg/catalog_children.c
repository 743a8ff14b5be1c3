#include "pg/catalog_children.h"

#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "pg/params.h"

/* ---- what is asked ---- */

/* A partitioned table has what its leaves have; its own count is as old as its last ANALYZE. */
#define ROWS(relation)                                                                             \
    "(SELECT CASE WHEN pg_catalog.max(l.reltuples) >= 0\n"                                         \
    "             THEN pg_catalog.sum(GREATEST(l.reltuples, 0)) ELSE -1 END\n"                     \
    "   FROM pg_catalog.pg_class l\n"                                                              \
    "  WHERE l.oid = " relation " AND l.relkind = 'r'\n"                                           \
    "     OR l.relkind = 'r' AND l.oid IN (SELECT p.relid\n"                                       \
    "            FROM pg_catalog.pg_partition_tree(" relation ") AS p(relid)))"

#define QUALIFIED_NAME(schema, name) "pg_catalog.format('%I.%I', " schema ", " name ")"

/*
 * `top` leads from a constraint to the one that was declared: a partition has a copy for itself,
 * and for each partition of the table that it refers to there is another one.  An edge is the
 * declared one, or its copy for just the referenced table.
 */
#define GRAPH                                                                                      \
    "WITH RECURSIVE top(oid, table_oid, refers) AS (\n"                                            \
    "    SELECT k.oid, k.conrelid, k.confrelid FROM pg_catalog.pg_constraint k\n"                  \
    "     WHERE k.contype = 'f' AND k.conparentid = 0\n"                                           \
    "       AND COALESCE((pg_catalog.to_jsonb(k) ->> 'conenforced')::pg_catalog.bool, true)\n"     \
    "    UNION ALL\n"                                                                              \
    "    SELECT k.oid, t.table_oid, t.refers\n"                                                    \
    "      FROM top t\n"                                                                           \
    "      JOIN pg_catalog.pg_constraint k ON k.conparentid = t.oid AND k.contype = 'f'),\n"       \
    "edge(oid, parent, child, refers, action, to_partition) AS (\n"                                \
    "    SELECT k.oid, k.confrelid, k.conrelid, t.refers, k.confdeltype, false\n"                  \
    "      FROM top t\n"                                                                           \
    "      JOIN pg_catalog.pg_constraint k ON k.oid = t.oid AND k.conrelid = t.table_oid\n"        \
    "    UNION ALL\n"                                                                              \
    "    SELECT k.oid, a.relid, k.conrelid, t.refers, k.confdeltype, true\n"                       \
    "      FROM top t\n"                                                                           \
    "      JOIN pg_catalog.pg_constraint k ON k.oid = t.oid AND k.conparentid = 0\n"               \
    "      JOIN pg_catalog.pg_class c ON c.oid = k.confrelid AND c.relispartition,\n"              \
    "           pg_catalog.pg_partition_ancestors(k.confrelid) AS a(relid)\n"                      \
    "     WHERE a.relid <> k.confrelid),\n"                                                        \
    "node(oid) AS (\n"                                                                             \
    "    SELECT $1::pg_catalog.oid\n"                                                              \
    "    UNION\n"                                                                                  \
    "    SELECT e.child FROM node n JOIN edge e ON e.parent = n.oid\n"                             \
    "     WHERE e.action = 'c' OR $2::pg_catalog.bool AND e.action IN ('a', 'r'))\n"

/* The names of columns `numbers` of a table, in that order. */
#define COLUMN_NAMES(table, numbers)                                                               \
    "ARRAY(SELECT a.attname::pg_catalog.text\n"                                                    \
    "        FROM pg_catalog.unnest(" numbers ") WITH ORDINALITY AS x(attnum, n)\n"                \
    "        JOIN pg_catalog.pg_attribute a\n"                                                     \
    "          ON a.attrelid = " table " AND a.attnum = x.attnum\n"                                \
    "       ORDER BY x.n)"

/*
 * An index finds the rows when it begins with the columns, in any order, and its operator families
 * know the foreign key's operators.
 */
#define INDEX_NAME                                                                                 \
    "(SELECT r.relname\n"                                                                          \
    "   FROM pg_catalog.pg_index i\n"                                                              \
    "   JOIN pg_catalog.pg_class r ON r.oid = i.indexrelid\n"                                      \
    "   JOIN pg_catalog.pg_am m ON m.oid = r.relam AND m.amname IN ('btree', 'hash')\n"            \
    "  WHERE i.indrelid = k.conrelid AND i.indisvalid AND i.indisready AND i.indislive\n"          \
    "    AND i.indnkeyatts >= pg_catalog.cardinality(k.conkey)\n"                                  \
    "    AND (i.indpred IS NULL OR pg_catalog.pg_get_expr(i.indpred, i.indrelid) IN (\n"           \
    "             SELECT pg_catalog.format('(%I IS NOT NULL)', a.attname)\n"                       \
    "               FROM pg_catalog.pg_attribute a\n"                                              \
    "              WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)))\n"                \
    "    AND NOT EXISTS (\n"                                                                       \
    "        SELECT FROM ROWS FROM (pg_catalog.unnest(k.conkey),\n"                                \
    "                               pg_catalog.unnest(k.conpfeqop)) AS x(attnum, operator)\n"      \
    "         WHERE NOT EXISTS (\n"                                                                \
    "            SELECT FROM pg_catalog.generate_series(\n"                                        \
    "                     0, pg_catalog.cardinality(k.conkey) - 1) AS s(n)\n"                      \
    "              JOIN pg_catalog.pg_attribute a\n"                                               \
    "                ON a.attrelid = i.indrelid AND a.attnum = x.attnum\n"                         \
    "              JOIN pg_catalog.pg_opclass o ON o.oid = i.indclass[s.n]\n"                      \
    "              JOIN pg_catalog.pg_amop p ON p.amopfamily = o.opcfamily\n"                      \
    "              JOIN pg_catalog.pg_operator q ON q.oid = p.amopopr\n"                           \
    "             WHERE i.indkey[s.n] = x.attnum AND i.indcollation[s.n] = a.attcollation\n"       \
    "               AND (q.oid = x.operator OR q.oprcom = x.operator)))\n"                         \
    "  ORDER BY i.indnatts, r.relname LIMIT 1)"

/* Between collations that are deterministic equality is one; else the parent's says what is equal,
 * as the server itself has it. */
#define COLLATIONS                                                                                 \
    "ARRAY(SELECT COALESCE((\n"                                                                    \
    "          SELECT pg_catalog.format(' COLLATE %I.%I', cn.nspname, co.collname)\n"              \
    "            FROM pg_catalog.pg_collation pc\n"                                                \
    "            JOIN pg_catalog.pg_collation co ON co.oid = CASE WHEN pc.collisdeterministic\n"   \
    "                 THEN f.attcollation ELSE p.attcollation END\n"                               \
    "            JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace\n"                   \
    "           WHERE pc.oid = p.attcollation AND f.attcollation <> 0\n"                           \
    "             AND f.attcollation <> p.attcollation), '')\n"                                    \
    "        FROM ROWS FROM (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey))\n"         \
    "             WITH ORDINALITY AS x(attnum, key, n)\n"                                          \
    "        JOIN pg_catalog.pg_attribute f\n"                                                     \
    "          ON f.attrelid = k.conrelid AND f.attnum = x.attnum\n"                               \
    "        JOIN pg_catalog.pg_attribute p\n"                                                     \
    "          ON p.attrelid = k.confrelid AND p.attnum = x.key\n"                                 \
    "       ORDER BY x.n)"

/* The share of rows that refer to any is known of the first column only. */
static const char SQL_EDGES[] =
    GRAPH "SELECT e.parent, e.child, e.oid, e.to_partition,\n"
          "       CASE WHEN z.child_rows >= 0 AND z.parent_rows > 0\n"
          "            THEN z.child_rows * (1 - COALESCE((SELECT s.null_frac\n"
          "                     FROM pg_catalog.pg_stats s\n"
          "                    WHERE s.schemaname = w.nspname AND s.tablename = c.relname\n"
          "                      AND s.inherited = (c.relkind = 'p')\n"
          "                      AND s.attname = (SELECT a.attname FROM pg_catalog.pg_attribute a\n"
          "                            WHERE a.attrelid = c.oid AND a.attnum = k.conkey[1])), 0))\n"
          "                 / z.parent_rows ELSE -1 END\n"
          "  FROM node n\n"
          "  JOIN edge e ON e.parent = n.oid\n"
          "  JOIN pg_catalog.pg_constraint k ON k.oid = e.oid\n"
          "  JOIN pg_catalog.pg_class c ON c.oid = e.child\n"
          "  JOIN pg_catalog.pg_namespace w ON w.oid = c.relnamespace,\n"
          "       LATERAL (SELECT " ROWS(
              "e.child") " AS child_rows,\n"
                         "               " ROWS("e.refers") " AS parent_rows) AS z\n"
                                                            " ORDER BY e.parent <> $1, w.nspname, "
                                                            "c.relname, k.conname, k.oid";

static const char SQL_KEYS[] =
    "SELECT k.conname, k.confdeltype, k.condeferrable,\n"
    "       COALESCE((pg_catalog.to_jsonb(k) ->> 'conperiod')::pg_catalog.bool, false),\n"
    "       " COLUMN_NAMES("k.conrelid",
        "k.conkey") ",\n"
                    "       " COLUMN_NAMES("k.confrelid",
                        "k.confkey") ",\n"
                                     "       ARRAY(SELECT pg_catalog.format('%I.%s', n.nspname, "
                                     "o.oprname)\n"
                                     "               FROM pg_catalog.unnest(k.conpfeqop) WITH "
                                     "ORDINALITY AS x(operator, n)\n"
                                     "               JOIN pg_catalog.pg_operator o ON o.oid = "
                                     "x.operator\n"
                                     "               JOIN pg_catalog.pg_namespace n ON n.oid = "
                                     "o.oprnamespace\n"
                                     "              ORDER BY x.n),\n"
                                     "       " COLLATIONS ",\n"
                                     "       " INDEX_NAME "\n"
                                     "  FROM pg_catalog.pg_constraint k\n"
                                     " WHERE k.oid = $1::pg_catalog.oid";

#define TRIGGER(bit)                                                                               \
    "(SELECT pg_catalog.format('%I (function %I.%I)', t.tgname, n.nspname, p.proname)\n"           \
    "   FROM pg_catalog.pg_trigger t\n"                                                            \
    "   JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid\n"                                           \
    "   JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace\n"                                \
    "  WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgtype & " bit " <> 0\n"       \
    "    AND (t.tgrelid = c.oid OR t.tgtype & 1 <> 0 AND t.tgrelid IN (SELECT l.relid\n"           \
    "             FROM pg_catalog.pg_partition_tree(c.oid) AS l(relid)))\n"                        \
    "  ORDER BY t.tgname LIMIT 1)"

/* $1 are the children's oids. */
static const char SQL_TABLES[] =
    "SELECT c.oid, COALESCE(pg_catalog.pg_partition_root(c.oid)::pg_catalog.oid, c.oid),\n"
    "       n.nspname, c.relname, c.relkind = 'p', " ROWS(
        "c.oid") ",\n"
                 "       o.rolname, o.rolname = current_user OR o.rolsuper OR NOT r.rolsuper,\n"
                 "       pg_catalog.row_security_active(c.oid),\n"
                 "       (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(u.rulename), ', '\n"
                 "                                     ORDER BY u.rulename)\n"
                 "          FROM pg_catalog.pg_rewrite u WHERE u.ev_class = c.oid),\n"
                 "       " TRIGGER(
                     "8") ",\n"
                          "       " TRIGGER(
                              "16") ",\n"
                                    "       pg_catalog.has_schema_privilege(n.oid, 'USAGE'),\n"
                                    "       pg_catalog.has_table_privilege(c.oid, 'SELECT'),\n"
                                    "       pg_catalog.has_any_column_privilege(c.oid, 'UPDATE'),\n"
                                    "       pg_catalog.has_table_privilege(c.oid, 'DELETE'),\n"
                                    "       " CHILDREN_SIGNATURE(
                                        "c.oid") "\n"
                                                 "  FROM pg_catalog.unnest($1::pg_catalog.oid[]) "
                                                 "WITH ORDINALITY AS x(oid, no)\n"
                                                 "  JOIN pg_catalog.pg_class c ON c.oid = x.oid\n"
                                                 "  JOIN pg_catalog.pg_namespace n ON n.oid = "
                                                 "c.relnamespace\n"
                                                 "  JOIN pg_catalog.pg_roles o ON o.oid = "
                                                 "c.relowner\n"
                                                 "  JOIN pg_catalog.pg_roles r ON r.rolname = "
                                                 "current_user\n"
                                                 " ORDER BY x.no";

static const char SQL_COLUMNS[] =
    "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attgenerated <> ''\n"
    "  FROM pg_catalog.pg_attribute a\n"
    " WHERE a.attrelid = $1::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped\n"
    " ORDER BY a.attnum";

static const char SQL_OF_JOB[] =
    "SELECT COALESCE(pg_catalog.pg_partition_root($1::pg_catalog.oid)::pg_catalog.oid, $1),\n"
    "       " CHILDREN_SIGNATURE("$1::pg_catalog.oid");

/* ---- tables ---- */

/* Index of the table in the graph; it is added when it is new. */
static int
table_index(ChildGraph *graph, uint32_t oid)
{
    for (int i = 0; i < graph->table_count; i++) {
        if (graph->tables[i].oid == oid) {
            return i;
        }
    }
    graph->tables[graph->table_count] = (ChildTable){.oid = oid};
    return graph->table_count++;
}

static bool
read_columns(const CatalogReader *reader, ChildTable *table, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, table->oid);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(reader->conn, SQL_COLUMNS, &params, &result, err)) {
        return false;
    }
    table->column_count = result_rows(result);
    table->columns =
        arena_alloc(reader->arena, ((size_t)table->column_count + 1) * sizeof(*table->columns));
    for (int i = 0; i < table->column_count; i++) {
        table->columns[i] = (ChildColumn){
            .name = result_dup(result, i, 0, reader->arena),
            .type = result_dup(result, i, 1, reader->arena),
            .generated = result_bool(result, i, 2),
        };
    }
    return true;
}

static void
fill_table(const PgResult *result, int row, Arena *arena, ChildTable *table)
{
    *table = (ChildTable){
        .oid = (uint32_t)result_int(result, row, 0),
        .root = (uint32_t)result_int(result, row, 1),
        .schema = result_dup(result, row, 2, arena),
        .name = result_dup(result, row, 3, arena),
        .partitioned = result_bool(result, row, 4),
        .rows = result_float(result, row, 5),
        .owner = result_dup(result, row, 6, arena),
        .owner_is_trusted = result_bool(result, row, 7),
        .row_security_filters = result_bool(result, row, 8),
        .rules = result_dup(result, row, 9, arena),
        .delete_trigger = result_dup(result, row, 10, arena),
        .update_trigger = result_dup(result, row, 11, arena),
        .may_use_schema = result_bool(result, row, 12),
        .may_select = result_bool(result, row, 13),
        .may_update = result_bool(result, row, 14),
        .may_delete = result_bool(result, row, 15),
        .signature = result_dup(result, row, 16, arena),
    };
}

static bool
read_tables(const CatalogReader *reader, ChildGraph *graph, Err *err)
{
    STRBUF_AUTO oids = STRBUF_INIT;
    for (int i = 0; i < graph->table_count; i++) {
        strbuf_printf(&oids, "%s%u", i == 0 ? "{" : ",", graph->tables[i].oid);
    }
    strbuf_putc(&oids, '}');
    Params params = PARAMS_INIT;
    params_text(&params, strbuf_text(&oids));
    PGRESULT_AUTO *result = NULL;
    if (!query_with(reader->conn, SQL_TABLES, &params, &result, err)) {
        return false;
    }
    if (result_rows(result) != graph->table_count) {
        return err_set(err, ERR_RETRY, "a table that refers to it was dropped meanwhile");
    }
    bool ok = true;
    for (int i = 0; ok && i < graph->table_count; i++) {
        fill_table(result, i, reader->arena, &graph->tables[i]);
        ok = read_columns(reader, &graph->tables[i], err);
    }
    return ok;
}

/* Whoever refers to the job's table and has its rows as well is not another table. */
static bool
read_own(const CatalogReader *reader, ChildGraph *graph, Err *err)
{
    Params params = PARAMS_INIT;
    params_text(&params, reader->oid);
    PGRESULT_AUTO *row = NULL;
    if (!query_one_with(reader->conn, SQL_OF_JOB, &params, &row, err)) {
        return false;
    }
    uint32_t root = (uint32_t)result_int(row, 0, 0);
    graph->signature = result_dup(row, 0, 1, reader->arena);
    for (int i = 0; i < graph->key_count; i++) {
        ChildKey *key = &graph->keys[i];
        key->child = graph->tables[key->child].root == root ? CHILD_OF_JOB : key->child;
    }
    return true;
}

/* ---- keys ---- */

static bool
read_key(const CatalogReader *reader, const char *oid, ChildKey *key, Err *err)
{
    Arena *arena = reader->arena;
    Params params = PARAMS_INIT;
    params_text(&params, oid);
    PGRESULT_AUTO *row = NULL;
    if (!query_one_with(reader->conn, SQL_KEYS, &params, &row, err)) {
        return false;
    }
    key->name = result_dup(row, 0, 0, arena);
    key->action = (ChildAction)result_text(row, 0, 1)[0];
    key->deferrable = result_bool(row, 0, 2);
    key->by_period = result_bool(row, 0, 3);
    key->index = result_dup(row, 0, 8, arena);
    const char ***const lists[] = {&key->columns, &key->keys, &key->operators, &key->collations};
    for (int i = 0; i < 4; i++) {
        if (!pg_array_parse(result_text(row, 0, 4 + i), arena, lists[i], &key->column_count, err)) {
            return false;
        }
    }
    return true;
}

static bool
read_keys(const CatalogReader *reader, const PgResult *edges, ChildGraph *graph, Err *err)
{
    bool ok = true;
    for (int i = 0; ok && i < graph->key_count; i++) {
        uint32_t parent = (uint32_t)result_int(edges, i, 0);
        bool of_job = parent == reader->facts->table.oid;
        graph->keys[i] = (ChildKey){
            .parent = of_job ? CHILD_OF_JOB : table_index(graph, parent),
            .child = table_index(graph, (uint32_t)result_int(edges, i, 1)),
            .to_partition = result_bool(edges, i, 3),
            .rows_per_parent = result_float(edges, i, 4),
        };
        ok = read_key(reader, result_text(edges, i, 2), &graph->keys[i], err);
    }
    return ok;
}

bool
catalog_read_children(const CatalogReader *reader, Err *err)
{
    const JobSpec *spec = reader->spec;
    if (spec->kind != KIND_PURGE || reader->table.is_target) {
        return true;
    }
    Params params = PARAMS_INIT;
    params_text(&params, reader->oid);
    params_bool(&params, spec->children == CHILDREN_DELETE);
    PGRESULT_AUTO *edges = NULL;
    if (!query_with(reader->conn, SQL_EDGES, &params, &edges, err)) {
        return false;
    }
    size_t count = (size_t)result_rows(edges);
    ChildGraph *graph = arena_alloc(reader->arena, sizeof(*graph));
    graph->key_count = (int)count;
    graph->keys = arena_alloc(reader->arena, (count + 1) * sizeof(*graph->keys));
    graph->tables = arena_alloc(reader->arena, (2 * count + 1) * sizeof(*graph->tables));
    reader->facts->children = graph;
    return read_keys(reader, edges, graph, err) &&
           (count == 0 || read_tables(reader, graph, err)) && read_own(reader, graph, err);
}
