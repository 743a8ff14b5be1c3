/*
 * catalog_table.c - facts about the table as a whole, its indexes, triggers and publications.
 */
#include <stdlib.h>

#include "base/strbuf.h"
#include "core/ident.h"
#include "core/jobspec.h"
#include "pg/catalog_parts.h"
#include "pg/params.h"

/*
 * owned_by_us is about what we may do (a superuser may do everything), owner_is_trusted about what
 * could be done to us: code of the owner's runs in our session.  A row costs 32 bytes beside its
 * values: header, place in the page, alignment.  Statistics of columns that we may not read are
 * hidden, and a part of a row's width is worse than none.
 */
static const char SQL_TABLE[] =
    "SELECT n.nspname, c.relname, c.relkind, c.relpersistence, COALESCE(m.amname, ''),\n"
    "       o.rolname,\n"
    "       pg_catalog.pg_has_role(current_user, c.relowner, 'USAGE'),\n"
    "       o.rolname = current_user OR o.rolsuper OR NOT r.rolsuper,\n"
    "       c.relispartition,\n"
    "       pg_catalog.row_security_active(c.oid),\n"
    "       (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(w.rulename), ', '\n"
    "                                     ORDER BY w.rulename)\n"
    "          FROM pg_catalog.pg_rewrite w\n"
    "         WHERE w.ev_class = c.oid AND w.rulename <> '_RETURN'),\n"
    "       c.reltuples,\n"
    "       pg_catalog.pg_relation_size(c.oid)\n"
    "       / pg_catalog.current_setting('block_size')::pg_catalog.int8,\n"
    "       pg_catalog.pg_total_relation_size(c.oid), pg_catalog.pg_indexes_size(c.oid),\n"
    "       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid),\n"
    "       COALESCE(pg_catalog.pg_relation_filenode(c.oid), 0),\n"
    "       pg_catalog.has_table_privilege(c.oid, 'SELECT'),\n"
    "       pg_catalog.has_table_privilege(c.oid, 'UPDATE'),\n"
    "       pg_catalog.has_table_privilege(c.oid, 'TRIGGER'),\n"
    "       pg_catalog.has_schema_privilege(n.oid, 'USAGE'), o.rolsuper,\n"
    "       CASE WHEN c.relkind = 'r'\n"
    "            THEN pg_catalog.has_column_privilege(c.oid, 'ctid', 'SELECT')\n"
    "                 AND pg_catalog.has_column_privilege(c.oid, 'xmax', 'SELECT') END,\n"
    "       pg_catalog.pg_has_role(current_user, c.relowner, 'USAGE')\n"
    "       OR CASE WHEN $2::pg_catalog.bool\n"
    "               THEN pg_catalog.has_table_privilege(c.oid, 'MAINTAIN') ELSE false END,\n"
    "       pg_catalog.has_table_privilege(c.oid, 'INSERT'),\n"
    "       pg_catalog.has_table_privilege(c.oid, 'DELETE'),\n"
    "       c.relreplident = 'f' OR EXISTS (\n"
    "           SELECT FROM pg_catalog.pg_index i\n"
    "            WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate\n"
    "              AND (c.relreplident = 'd' AND i.indisprimary\n"
    "                   OR c.relreplident = 'i' AND i.indisreplident)),\n"
    "       c.relpersistence <> 't'\n"
    "       AND (n.nspname ~ '^pg_' OR n.nspname IN ('information_schema', 'pghaul')),\n"
    "       c.reltoastrelid <> 0,\n"
    "       EXISTS (SELECT FROM pg_catalog.pg_options_to_table(c.reloptions) o\n"
    "                WHERE o.option_name = 'vacuum_truncate'\n"
    "                  AND NOT o.option_value::pg_catalog.bool),\n"
    "       COALESCE((SELECT o.option_value::pg_catalog.float8\n"
    "                   FROM pg_catalog.pg_options_to_table(c.reloptions) o\n"
    "                  WHERE o.option_name = 'fillfactor'), 100) / 100\n"
    "       * pg_catalog.pg_relation_size(c.oid)\n"
    "       / (SELECT 32 + pg_catalog.sum(s.avg_width * (1 - s.null_frac))\n"
    "            FROM pg_catalog.pg_stats s\n"
    "           WHERE s.schemaname = n.nspname AND s.tablename = c.relname AND NOT s.inherited\n"
    "          HAVING pg_catalog.count(*) = (\n"
    "                 SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute a\n"
    "                  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))\n"
    "  FROM pg_catalog.pg_class c\n"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    "  JOIN pg_catalog.pg_roles o ON o.oid = c.relowner\n"
    "  JOIN pg_catalog.pg_roles r ON r.rolname = current_user\n"
    "  LEFT JOIN pg_catalog.pg_am m ON m.oid = c.relam\n"
    " WHERE c.oid = $1::pg_catalog.oid";

/*
 * An autovacuum against wraparound holds SHARE UPDATE EXCLUSIVE and, unlike any other, does not
 * end when a session waits for the table.  Without pg_monitor the text of its activity is hidden.
 */
static const char SQL_WRAPAROUND[] =
    "SELECT COALESCE(pg_catalog.max(l.pid), 0)\n"
    "  FROM pg_catalog.pg_locks l\n"
    "  JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid\n"
    " WHERE l.locktype = 'relation' AND l.granted AND l.relation = $1::pg_catalog.oid\n"
    "   AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d\n"
    "                      WHERE d.datname = pg_catalog.current_database())\n"
    "   AND a.backend_type = 'autovacuum worker'\n"
    "   AND a.query LIKE '%(to prevent wraparound)'";

/* All levels below; the leaves of a partitioned table are not inheritance children. */
static const char SQL_CHILDREN[] =
    "WITH RECURSIVE child(oid) AS (\n"
    "    SELECT i.inhrelid FROM pg_catalog.pg_inherits i\n"
    "     WHERE i.inhparent = $1::pg_catalog.oid\n"
    "    UNION\n"
    "    SELECT i.inhrelid FROM pg_catalog.pg_inherits i, child\n"
    "     WHERE i.inhparent = child.oid)\n"
    "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)\n"
    "  FROM child\n"
    "  JOIN pg_catalog.pg_class c ON c.oid = child.oid AND NOT c.relispartition\n"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    " ORDER BY 1";

/* How many foreign keys point here or to a partition, its own too, and where one of them is. */
static const char SQL_REFERENCED[] =
    "SELECT pg_catalog.count(*),\n"
    "       pg_catalog.min(pg_catalog.format('%I.%I', n.nspname, c.relname) COLLATE \"C\")\n"
    "  FROM pg_catalog.pg_constraint k\n"
    "  JOIN pg_catalog.pg_class c ON c.oid = k.conrelid\n"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    " WHERE k.contype = 'f' AND k.conparentid = 0\n"
    "   AND (k.confrelid = $1::pg_catalog.oid OR k.confrelid IN (\n"
    "           SELECT t.relid FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid) AS t))";

/* All that it is a partition or a child of. */
static const char SQL_ANCESTORS[] =
    "WITH RECURSIVE above(oid, level) AS (\n"
    "    SELECT i.inhparent, 1 FROM pg_catalog.pg_inherits i\n"
    "     WHERE i.inhrelid = $1::pg_catalog.oid\n"
    "    UNION ALL\n"
    "    SELECT i.inhparent, above.level + 1 FROM pg_catalog.pg_inherits i, above\n"
    "     WHERE i.inhrelid = above.oid)\n"
    "SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname)\n"
    "  FROM above\n"
    "  JOIN pg_catalog.pg_class c ON c.oid = above.oid\n"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    " ORDER BY above.level, c.oid";

/* Its own and those of single partitions; one to a partitioned table is one. */
static const char SQL_FOREIGN_KEYS[] =
    "SELECT pg_catalog.format('%I to %I.%I', k.conname, n.nspname, c.relname)\n"
    "  FROM pg_catalog.pg_constraint k\n"
    "  JOIN pg_catalog.pg_class c ON c.oid = k.confrelid\n"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    " WHERE k.contype = 'f' AND k.confrelid <> $1::pg_catalog.oid\n"
    "   AND (k.conrelid = $1::pg_catalog.oid AND NOT EXISTS (\n"
    "            SELECT FROM pg_catalog.pg_constraint p\n"
    "             WHERE p.oid = k.conparentid AND p.conrelid = k.conrelid)\n"
    "        OR k.conparentid = 0 AND k.conrelid IN (\n"
    "            SELECT t.relid FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid) AS t))\n"
    " ORDER BY k.conname, k.oid";

static const char SQL_ODD_LEAF[] =
    "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), c.relkind\n"
    "  FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid) AS t\n"
    "  JOIN pg_catalog.pg_class c ON c.oid = t.relid\n"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    " WHERE t.isleaf AND c.oid <> $1\n"
    "   AND (c.relkind <> 'r' OR c.relpersistence <> 'p')\n"
    " ORDER BY 1 LIMIT 1";

/* Columns of the table by which its rows go to a partition, on all levels; an expression is none.
 */
static const char SQL_PARTITION_COLUMNS[] =
    "SELECT DISTINCT r.attnum\n"
    "  FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid) AS t(relid)\n"
    "  JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = t.relid\n"
    "  JOIN pg_catalog.pg_attribute a\n"
    "    ON a.attrelid = p.partrelid AND a.attnum = ANY (p.partattrs::pg_catalog.int2[])\n"
    "   AND a.attnum > 0\n"
    "  JOIN pg_catalog.pg_attribute r\n"
    "    ON r.attrelid = $1::pg_catalog.oid AND r.attname = a.attname\n"
    " ORDER BY r.attnum";

/*
 * default_order: btree, ascending, NULLS LAST, default operator class, and the collation of the
 * column itself: then the index yields the order of a plain ORDER BY and of the row comparison.
 */
static const char SQL_INDEXES[] =
    "SELECT i.indexrelid, c.relname, i.indisunique, i.indisprimary, i.indisvalid, i.indisready,\n"
    "       i.indimmediate, i.indpred IS NOT NULL, i.indexprs IS NOT NULL,\n"
    "       m.amname = 'btree' AND NOT EXISTS (\n"
    "           SELECT\n"
    "             FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) AS k(n)\n"
    "             JOIN pg_catalog.pg_opclass o ON o.oid = i.indclass[k.n]\n"
    "             LEFT JOIN pg_catalog.pg_attribute a\n"
    "               ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.n]\n"
    "            WHERE i.indoption[k.n] <> 0 OR NOT o.opcdefault\n"
    "               OR i.indcollation[k.n] <> a.attcollation),\n"
    "       (SELECT pg_catalog.string_agg(i.indkey[k.n]::pg_catalog.text, ' ' ORDER BY k.n)\n"
    "          FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) AS k(n)),\n"
    "       i.indnkeyatts, i.indisexclusion\n"
    "  FROM pg_catalog.pg_index i\n"
    "  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid\n"
    "  JOIN pg_catalog.pg_am m ON m.oid = c.relam\n"
    " WHERE i.indrelid = $1::pg_catalog.oid AND i.indislive\n"
    " ORDER BY c.relname";

/*
 * The bits of tgtype are those of pg_trigger.h: 1 row, 2 before, 4 insert, 8 delete, 16 update,
 * 64 instead.  An ordinary session fires triggers that are enabled (O) or ALWAYS (A).  The order
 * by name, a type of its own that sorts by bytes, is the firing order.  Of a partitioned target
 * ($3) also those that single partitions have for rows; for a statement only the table's own fire,
 * and rules are those of the table that it names.
 */
static const char SQL_TRIGGERS[] =
    "SELECT t.oid, t.tgname, pg_catalog.format('%I.%I', n.nspname, p.proname),\n"
    "       t.tgtype & 2 <> 0, t.tgtype & 66 = 0, t.tgtype & 1 <> 0,\n"
    "       t.tgtype & 4 <> 0, t.tgtype & 16 <> 0, t.tgtype & 8 <> 0,\n"
    "       t.tgenabled IN ('O', 'A'), n.nspname = 'pghaul',\n"
    "       t.tgtype & 16 <> 0 AND (pg_catalog.cardinality(t.tgattr::pg_catalog.int2[]) = 0\n"
    "           OR EXISTS (SELECT FROM pg_catalog.pg_attribute a\n"
    "                       WHERE a.attrelid = t.tgrelid AND a.attnum = ANY (t.tgattr)\n"
    "                         AND a.attname = ANY ($2::pg_catalog.text[]))),\n"
    "       CASE WHEN c.oid <> $1 THEN pg_catalog.format('%I.%I', s.nspname, c.relname) END\n"
    "  FROM pg_catalog.pg_trigger t\n"
    "  JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid\n"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace\n"
    "  JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid\n"
    "  JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace\n"
    " WHERE NOT t.tgisinternal AND (t.tgrelid = $1::pg_catalog.oid\n"
    "       OR $3::pg_catalog.bool AND t.tgparentid = 0 AND t.tgtype & 1 <> 0\n"
    "          AND t.tgrelid IN (SELECT p.relid\n"
    "                  FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid) AS p(relid)))\n"
    " ORDER BY c.oid <> $1, t.tgname, c.oid";

/* A partition may be published under the name of its root.  $2: only those that publish deletes. */
static const char SQL_PUBLICATIONS[] =
    "SELECT DISTINCT p.pubname\n"
    "  FROM pg_catalog.pg_publication_tables p\n"
    "  JOIN pg_catalog.pg_publication d\n"
    "    ON d.pubname = p.pubname AND (d.pubdelete OR NOT $2::pg_catalog.bool)\n"
    "  JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname\n"
    "  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename\n"
    " WHERE c.oid = $1::pg_catalog.oid\n"
    "    OR c.oid IN (SELECT a.relid\n"
    "                   FROM pg_catalog.pg_partition_ancestors($1::pg_catalog.oid) AS a(relid))\n"
    " ORDER BY 1";

static const char SQL_SUBSCRIBERS[] =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_publication p WHERE p.puballtables),\n"
    "       (SELECT pg_catalog.count(*)\n"
    "          FROM pg_catalog.pg_replication_slots s\n"
    "         WHERE s.slot_type = 'logical' AND s.active\n"
    "           AND s.database = pg_catalog.current_database())";

/* ---- table ---- */

/* One column of names. */
static bool
read_names_with(const CatalogReader *reader, const char *sql, const Params *params,
    const char ***names, int *count, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!query_with(reader->conn, sql, params, &result, err)) {
        return false;
    }
    *count = result_rows(result);
    *names = arena_alloc(reader->arena, ((size_t)*count + 1) * sizeof(**names));
    for (int i = 0; i < *count; i++) {
        (*names)[i] = result_dup(result, i, 0, reader->arena);
    }
    return true;
}

/* The same, asked about the table. */
static bool
read_names(const CatalogReader *reader, const char *sql, const char ***names, int *count, Err *err)
{
    Params params = PARAMS_INIT;
    params_text(&params, reader->oid);
    return read_names_with(reader, sql, &params, names, count, err);
}

/* Rows of a copy's target; what cannot be looked into counts as full. */
static bool
read_has_rows(const CatalogReader *reader, Err *err)
{
    TableFacts *table = &reader->facts->table;
    table->has_rows = true;
    bool is_table = table->relkind == 'r' || table->relkind == 'p';
    if (!is_table || !table->may_select || !table->may_use_schema || table->row_security_filters) {
        return true;
    }
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_puts(&sql, "SELECT EXISTS (SELECT FROM ");
    PGRESULT_AUTO *row = NULL;
    if (!quote_qualified(&sql, table->schema, table->name, err)) {
        return false;
    }
    strbuf_puts(&sql, ")");
    if (!query_one(reader->conn, strbuf_text(&sql), 0, NULL, &row, err)) {
        return false;
    }
    table->has_rows = result_bool(row, 0, 0);
    return true;
}

static bool
read_partition_columns(const CatalogReader *reader, Err *err)
{
    TableFacts *table = &reader->facts->table;
    Params params = PARAMS_INIT;
    params_text(&params, reader->oid);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(reader->conn, SQL_PARTITION_COLUMNS, &params, &result, err)) {
        return false;
    }
    int count = result_rows(result);
    table->partition_attnum_count = count;
    table->partition_attnums =
        arena_alloc(reader->arena, ((size_t)count + 1) * sizeof(*table->partition_attnums));
    for (int i = 0; i < count; i++) {
        table->partition_attnums[i] = (int)result_int(result, i, 0);
    }
    return true;
}

static bool
read_ancestors(const CatalogReader *reader, Err *err)
{
    TableFacts *table = &reader->facts->table;
    Params params = PARAMS_INIT;
    params_text(&params, reader->oid);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(reader->conn, SQL_ANCESTORS, &params, &result, err)) {
        return false;
    }
    int count = result_rows(result);
    table->ancestor_count = count;
    table->ancestors = arena_alloc(reader->arena, ((size_t)count + 1) * sizeof(*table->ancestors));
    for (int i = 0; i < count; i++) {
        table->ancestors[i] = (uint32_t)result_int(result, i, 0);
    }
    table->parent = count == 0 ? NULL : result_dup(result, 0, 1, reader->arena);
    return true;
}

/* What only the target is asked. */
static bool
read_of_target(const CatalogReader *reader, Err *err)
{
    TableFacts *table = &reader->facts->table;
    Params params = PARAMS_INIT;
    params_text(&params, reader->oid);
    PGRESULT_AUTO *leaf = NULL;
    if (!read_has_rows(reader, err) || !read_partition_columns(reader, err) ||
        !read_names(
            reader, SQL_FOREIGN_KEYS, &table->foreign_keys, &table->foreign_key_count, err) ||
        !query_with(reader->conn, SQL_ODD_LEAF, &params, &leaf, err)) {
        return false;
    }
    if (result_rows(leaf) == 1) {
        table->odd_leaf = result_dup(leaf, 0, 0, reader->arena);
        table->odd_leaf_kind = result_text(leaf, 0, 1)[0];
    }
    return true;
}

bool
catalog_read_of_copy(const CatalogReader *reader, Err *err)
{
    TableFacts *table = &reader->facts->table;
    Params params = PARAMS_INIT;
    params_text(&params, reader->oid);
    PGRESULT_AUTO *row = NULL;
    if (!query_one_with(reader->conn, SQL_REFERENCED, &params, &row, err)) {
        return false;
    }
    table->referenced_count = (int)result_int(row, 0, 0);
    table->referenced_by = result_dup(row, 0, 1, reader->arena);
    return read_ancestors(reader, err) && (!reader->table.is_target || read_of_target(reader, err));
}

bool
catalog_read_table(const CatalogReader *reader, Err *err)
{
    Params of_table = PARAMS_INIT;
    Params params = PARAMS_INIT;
    params_text(&of_table, reader->oid);
    params_bool(&of_table, reader->facts->server.version_num >= FACTS_FIRST_WITH_MAINTAIN);
    params_text(&params, reader->oid);
    PGRESULT_AUTO *row = NULL;
    PGRESULT_AUTO *vacuum = NULL;
    if (!query_one_with(reader->conn, SQL_TABLE, &of_table, &row, err) ||
        !query_one_with(reader->conn, SQL_WRAPAROUND, &params, &vacuum, err)) {
        return false;
    }
    Arena *arena = reader->arena;
    TableFacts *table = &reader->facts->table;
    *table = (TableFacts){
        .oid = (uint32_t)strtoul(reader->oid, NULL, 10),
        .schema = result_dup(row, 0, 0, arena),
        .name = result_dup(row, 0, 1, arena),
        .relkind = result_text(row, 0, 2)[0],
        .persistence = result_text(row, 0, 3)[0],
        .access_method = result_dup(row, 0, 4, arena),
        .owner = result_dup(row, 0, 5, arena),
        .owned_by_us = result_bool(row, 0, 6),
        .owner_is_trusted =
            result_bool(row, 0, 7) || jobspec_allows(reader->spec, "untrusted-owner"),
        .is_partition = result_bool(row, 0, 8),
        .row_security_filters = result_bool(row, 0, 9),
        .rules = result_dup(row, 0, 10, arena),
        .rows = result_float(row, 0, 11),
        .blocks = result_int(row, 0, 12),
        .total_bytes = result_int(row, 0, 13),
        .index_bytes = result_int(row, 0, 14),
        .index_count = (int)result_int(row, 0, 15),
        .filenode = (uint32_t)result_int(row, 0, 16),
        .may_select = result_bool(row, 0, 17),
        .may_update = result_bool(row, 0, 18),
        .may_trigger = result_bool(row, 0, 19),
        .may_use_schema = result_bool(row, 0, 20),
        .owner_is_superuser = result_bool(row, 0, 21),
        .may_select_system = result_bool(row, 0, 22),
        .may_vacuum = result_bool(row, 0, 23),
        .may_insert = result_bool(row, 0, 24),
        .may_delete = result_bool(row, 0, 25),
        .has_identity = result_bool(row, 0, 26),
        .is_system = result_bool(row, 0, 27),
        .has_toast = result_bool(row, 0, 28),
        .keeps_tail = result_bool(row, 0, 29),
        .full_rows = result_float(row, 0, 30),
        .wraparound_vacuum_pid = (int)result_int(vacuum, 0, 0),
    };
    return read_names(reader, SQL_CHILDREN, &table->children, &table->child_count, err);
}

/* ---- indexes ---- */

static void
read_attnums(const CatalogReader *reader, const char *text, IndexFacts *index)
{
    index->attnums =
        arena_alloc(reader->arena, ((size_t)index->attnum_count + 1) * sizeof(*index->attnums));
    char *end = NULL;
    for (int i = 0; i < index->attnum_count; i++) {
        index->attnums[i] = (int)strtol(text, &end, 10);
        text = end;
    }
}

bool
catalog_read_indexes(const CatalogReader *reader, Err *err)
{
    Params params = PARAMS_INIT;
    params_text(&params, reader->oid);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(reader->conn, SQL_INDEXES, &params, &result, err)) {
        return false;
    }
    int count = result_rows(result);
    IndexFacts *indexes = arena_alloc(reader->arena, ((size_t)count + 1) * sizeof(*indexes));
    for (int i = 0; i < count; i++) {
        indexes[i] = (IndexFacts){
            .oid = (uint32_t)result_int(result, i, 0),
            .name = result_dup(result, i, 1, reader->arena),
            .unique = result_bool(result, i, 2),
            .primary = result_bool(result, i, 3),
            .valid = result_bool(result, i, 4),
            .ready = result_bool(result, i, 5),
            .immediate = result_bool(result, i, 6),
            .partial = result_bool(result, i, 7),
            .has_expressions = result_bool(result, i, 8),
            .default_order = result_bool(result, i, 9),
            .attnum_count = (int)result_int(result, i, 11),
            .exclusion = result_bool(result, i, 12),
        };
        read_attnums(reader, result_text(result, i, 10), &indexes[i]);
    }
    reader->facts->indexes = indexes;
    reader->facts->index_count = count;
    return true;
}

/* ---- triggers ---- */

bool
catalog_read_triggers(const CatalogReader *reader, Err *err)
{
    const JobSpec *spec = reader->spec;
    const char **columns =
        arena_alloc(reader->arena, ((size_t)spec->set_count + 1) * sizeof(*columns));
    for (int i = 0; i < spec->set_count; i++) {
        columns[i] = spec->set[i].column;
    }
    Params params = PARAMS_INIT;
    params_text(&params, reader->oid);
    params_text(&params, pg_array_format(columns, spec->set_count, reader->arena));
    params_bool(&params, reader->table.is_target);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(reader->conn, SQL_TRIGGERS, &params, &result, err)) {
        return false;
    }
    int count = result_rows(result);
    TriggerFacts *triggers = arena_alloc(reader->arena, ((size_t)count + 1) * sizeof(*triggers));
    for (int i = 0; i < count; i++) {
        triggers[i] = (TriggerFacts){
            .oid = (uint32_t)result_int(result, i, 0),
            .name = result_dup(result, i, 1, reader->arena),
            .function = result_dup(result, i, 2, reader->arena),
            .before = result_bool(result, i, 3),
            .after = result_bool(result, i, 4),
            .row = result_bool(result, i, 5),
            .on_insert = result_bool(result, i, 6),
            .on_update = result_bool(result, i, 7),
            .on_delete = result_bool(result, i, 8),
            .enabled = result_bool(result, i, 9),
            .is_ours = result_bool(result, i, 10),
            .fires_on_set = result_bool(result, i, 11),
            .table = result_dup(result, i, 12, reader->arena),
        };
    }
    reader->facts->triggers = triggers;
    reader->facts->trigger_count = count;
    return true;
}

/* ---- publications ---- */

bool
catalog_read_publications(const CatalogReader *reader, Err *err)
{
    Facts *facts = reader->facts;
    PGRESULT_AUTO *row = NULL;
    Params params = PARAMS_INIT;
    params_text(&params, reader->oid);
    params_bool(&params, reader->spec->kind == KIND_PURGE && !reader->table.is_target);
    if (!read_names_with(reader, SQL_PUBLICATIONS, &params, &facts->publications,
            &facts->publication_count, err) ||
        !query_one(reader->conn, SQL_SUBSCRIBERS, 0, NULL, &row, err)) {
        return false;
    }
    facts->publication_for_all = result_bool(row, 0, 0);
    facts->subscriber_count = (int)result_int(row, 0, 1);
    return true;
}
