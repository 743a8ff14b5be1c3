#include "pg/catalog_indexes.h"

#include <stdlib.h>
#include <string.h>

#include "pg/params.h"

/*
 * The definition is what follows the table's name in pg_get_indexdef(), which prints ONLY for an
 * index of a partitioned table.  Suffixes are put together as it does it; whoever relies on them
 * compares with the definition first.
 */
#define SPELLED                                                                                    \
    "       CROSS JOIN LATERAL (SELECT pg_catalog.pg_get_indexdef(i.indexrelid) AS whole,\n"       \
    "           pg_catalog.format('CREATE %sINDEX %I ON %s%I.%I ',\n"                              \
    "               CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, c.relname,\n"              \
    "               CASE WHEN c.relkind = 'I' THEN 'ONLY ' ELSE '' END, n.nspname,\n"              \
    "               t.relname) AS head) AS d\n"
#define DEFINITION                                                                                 \
    "CASE WHEN pg_catalog.starts_with(d.whole, d.head)\n"                                          \
    "     THEN pg_catalog.substr(d.whole, pg_catalog.length(d.head) + 1) END"

static const char SQL_INDEXES[] =
    "SELECT i.indexrelid, c.relname, i.indisunique, i.indisprimary,\n"
    "       i.indisexclusion OR NOT i.indimmediate,\n"
    "       i.indexprs IS NULL AND i.indpred IS NULL,\n"
    "       CASE WHEN i.indisprimary THEN 'the primary key'\n"
    "            WHEN EXISTS (SELECT FROM pg_catalog.pg_constraint k\n"
    "                          WHERE k.conindid = i.indexrelid) THEN 'a constraint'\n"
    "            WHEN i.indisreplident THEN 'the replica identity'\n"
    "            WHEN c.relispartition THEN 'an index of the table above' END,\n"
    "       " DEFINITION ",\n"
    "       s.spcname, pg_catalog.obj_description(i.indexrelid, 'pg_class'),\n"
    "       pg_catalog.quote_ident(m.amname), i.indnkeyatts,\n"
    "       l.columns, l.quoted, l.suffixes,\n"
    "       ARRAY(SELECT DISTINCT a.attname::pg_catalog.text\n"
    "               FROM pg_catalog.pg_depend p\n"
    "               JOIN pg_catalog.pg_attribute a\n"
    "                 ON a.attrelid = i.indrelid AND a.attnum = p.refobjsubid\n"
    "              WHERE p.classid = 'pg_catalog.pg_class'::pg_catalog.regclass\n"
    "                AND p.objid = i.indexrelid\n"
    "                AND p.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass\n"
    "                AND p.refobjid = i.indrelid AND p.refobjsubid > 0\n"
    "              ORDER BY 1)\n"
    "  FROM pg_catalog.pg_index i\n"
    "  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid\n"
    "  JOIN pg_catalog.pg_class t ON t.oid = i.indrelid\n"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace\n"
    "  JOIN pg_catalog.pg_am m ON m.oid = c.relam\n"
    "  LEFT JOIN pg_catalog.pg_tablespace s ON s.oid = c.reltablespace\n" SPELLED
    "       CROSS JOIN LATERAL (\n"
    "       SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY k.n) AS columns,\n"
    "              pg_catalog.array_agg(pg_catalog.quote_ident(a.attname) ORDER BY k.n) AS "
    "quoted,\n"
    "              pg_catalog.array_agg(\n"
    "                  CASE WHEN k.n >= i.indnkeyatts OR a.attname IS NULL THEN ''\n"
    "                       ELSE COALESCE(f.collation, '') || COALESCE(f.opclass, '')\n"
    "                            || CASE i.indoption[k.n] WHEN 1 THEN ' DESC NULLS LAST'\n"
    "                                   WHEN 2 THEN ' NULLS FIRST' WHEN 3 THEN ' DESC'\n"
    "                                   ELSE '' END END\n"
    "                  ORDER BY k.n) AS suffixes\n"
    "         FROM pg_catalog.generate_series(0, i.indnatts - 1) AS k(n)\n"
    "         LEFT JOIN pg_catalog.pg_attribute a\n"
    "           ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.n] AND a.attnum > 0\n"
    "         CROSS JOIN LATERAL (\n"
    "              SELECT (SELECT ' COLLATE ' || o.oid::pg_catalog.regcollation\n"
    "                        FROM pg_catalog.pg_collation o\n"
    "                       WHERE k.n < i.indnkeyatts AND o.oid = i.indcollation[k.n]\n"
    "                         AND o.oid <> a.attcollation) AS collation,\n"
    "                     (SELECT CASE WHEN pg_catalog.pg_opclass_is_visible(o.oid)\n"
    "                                  THEN pg_catalog.format(' %I', o.opcname)\n"
    "                                  ELSE pg_catalog.format(' %I.%I', w.nspname,\n"
    "                                                         o.opcname) END\n"
    "                        FROM pg_catalog.pg_opclass o\n"
    "                        JOIN pg_catalog.pg_namespace w ON w.oid = o.opcnamespace\n"
    "                       WHERE k.n < i.indnkeyatts AND o.oid = i.indclass[k.n]\n"
    "                         AND NOT o.opcdefault) AS opclass) AS f) AS l\n"
    " WHERE i.indrelid = $1::pg_catalog.oid AND i.indislive\n"
    " ORDER BY c.relname";

static const char SQL_TABLE[] =
    "SELECT pg_catalog.has_schema_privilege(c.relnamespace, 'CREATE'),\n"
    "       ARRAY(SELECT DISTINCT a.attname::pg_catalog.text\n"
    "               FROM pg_catalog.pg_partition_tree(c.oid) p\n"
    "               JOIN pg_catalog.pg_partitioned_table y ON y.partrelid = p.relid\n"
    "               CROSS JOIN pg_catalog.unnest(y.partattrs::pg_catalog.int2[]) AS k(attnum)\n"
    "               JOIN pg_catalog.pg_attribute a\n"
    "                 ON a.attrelid = p.relid AND a.attnum = k.attnum\n"
    "              ORDER BY 1),\n"
    "       EXISTS (SELECT FROM pg_catalog.pg_partition_tree(c.oid) p\n"
    "                 JOIN pg_catalog.pg_partitioned_table y ON y.partrelid = p.relid\n"
    "                WHERE y.partexprs IS NOT NULL)\n"
    "  FROM pg_catalog.pg_class c\n"
    " WHERE c.oid = $1::pg_catalog.oid";

static const char SQL_STATE[] =
    "SELECT i.indrelid = $3::pg_catalog.oid, i.indisvalid, i.indisunique,\n"
    "       " DEFINITION " = $4::pg_catalog.text\n"
    "  FROM pg_catalog.pg_class c\n"
    "  JOIN pg_catalog.pg_namespace w ON w.oid = c.relnamespace\n"
    "  LEFT JOIN (pg_catalog.pg_index i\n"
    "       JOIN pg_catalog.pg_class t ON t.oid = i.indrelid\n"
    "       JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace) ON i.indexrelid = "
    "c.oid\n" SPELLED " WHERE w.nspname = $1::pg_catalog.name AND c.relname = $2::pg_catalog.name";

static const char SQL_MISSING[] =
    "WITH RECURSIVE x(oid) AS (\n"
    "    SELECT c.oid\n"
    "      FROM pg_catalog.pg_class c\n"
    "      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    "     WHERE n.nspname = $2::pg_catalog.name AND c.relname = $3::pg_catalog.name\n"
    "    UNION ALL\n"
    "    SELECT h.inhrelid FROM pg_catalog.pg_inherits h JOIN x ON h.inhparent = x.oid\n"
    "), part AS (\n"
    "    SELECT i.indrelid, n.nspname, c.relname\n"
    "      FROM x\n"
    "      JOIN pg_catalog.pg_index i ON i.indexrelid = x.oid\n"
    "      JOIN pg_catalog.pg_class c ON c.oid = x.oid\n"
    "      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace)\n"
    "SELECT p.relid::pg_catalog.oid, p.isleaf, n.nspname, c.relname, up.nspname, up.relname\n"
    "  FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid) p\n"
    "  JOIN pg_catalog.pg_class c ON c.oid = p.relid AND c.relkind IN ('r', 'p')\n"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    "  JOIN part up ON up.indrelid = p.parentrelid\n"
    " WHERE NOT EXISTS (SELECT FROM part WHERE part.indrelid = p.relid)\n"
    " ORDER BY p.level, n.nspname, c.relname\n"
    " LIMIT 1";

static const char SQL_LEFT[] =
    "SELECT t.relkind = 'p', n.nspname, x.indisvalid IS NOT NULL, COALESCE(x.indisvalid, false)\n"
    "  FROM pg_catalog.pg_class t\n"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace\n"
    "  LEFT JOIN (SELECT i.indrelid, c.relname, i.indisvalid\n"
    "               FROM pg_catalog.pg_index i\n"
    "               JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid) AS x\n"
    "    ON x.indrelid = t.oid AND x.relname = $2::pg_catalog.name\n"
    " WHERE t.oid = pg_catalog.to_regclass($1::pg_catalog.text)";

/* ---- definitions ---- */

enum {
    COL_OID,
    COL_NAME,
    COL_UNIQUE,
    COL_PRIMARY,
    COL_SPECIAL,
    COL_PLAIN,
    COL_KEPT_FOR,
    COL_DEFINITION,
    COL_TABLESPACE,
    COL_COMMENT,
    COL_METHOD,
    COL_KEY_COUNT,
    COL_COLUMNS,
    COL_QUOTED,
    COL_SUFFIXES,
    COL_MENTIONS
};

/* A text[] of the row. */
typedef struct RowReader {
    const PgResult *result;
    int row;
    Arena *arena;
} RowReader;

static bool
read_list(const RowReader *r, int column, const char ***names, int *count, Err *err)
{
    const char *text = result_dup(r->result, r->row, column, r->arena);
    return pg_array_parse(text, r->arena, names, count, err);
}

static bool
take_def(const PgResult *result, int row, Arena *arena, IndexDef *def, Err *err)
{
    *def = (IndexDef){
        .oid = (uint32_t)result_int(result, row, COL_OID),
        .name = result_dup(result, row, COL_NAME, arena),
        .unique = result_bool(result, row, COL_UNIQUE),
        .primary = result_bool(result, row, COL_PRIMARY),
        .special = result_bool(result, row, COL_SPECIAL),
        .plain = result_bool(result, row, COL_PLAIN),
        .kept_for = result_dup(result, row, COL_KEPT_FOR, arena),
        .definition = result_dup(result, row, COL_DEFINITION, arena),
        .tablespace = result_dup(result, row, COL_TABLESPACE, arena),
        .comment = result_dup(result, row, COL_COMMENT, arena),
        .method = result_dup(result, row, COL_METHOD, arena),
        .key_count = (int)result_int(result, row, COL_KEY_COUNT),
    };
    RowReader r = {.result = result, .row = row, .arena = arena};
    int *columns = &def->column_count;
    return read_list(&r, COL_COLUMNS, &def->columns, columns, err) &&
           read_list(&r, COL_QUOTED, &def->quoted, columns, err) &&
           read_list(&r, COL_SUFFIXES, &def->suffixes, columns, err) &&
           read_list(&r, COL_MENTIONS, &def->mentions, &def->mention_count, err);
}

bool
catalog_indexes_read(PgConn *conn, uint32_t table_oid, Arena *arena, IndexDefs *defs, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, table_oid);
    PGRESULT_AUTO *table = NULL;
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_TABLE, &params, &table, err) ||
        !query_with(conn, SQL_INDEXES, &params, &result, err)) {
        return err_wrap(err, "indexes");
    }
    *defs = (IndexDefs){
        .count = result_rows(result),
        .may_create = result_bool(table, 0, 0),
        .partition_by_expression = result_bool(table, 0, 2),
    };
    RowReader r = {.result = table, .row = 0, .arena = arena};
    if (!read_list(&r, 1, &defs->partition, &defs->partition_count, err)) {
        return false;
    }
    defs->items = arena_alloc(arena, ((size_t)defs->count + 1) * sizeof(*defs->items));
    for (int i = 0; i < defs->count; i++) {
        if (!take_def(result, i, arena, &defs->items[i], err)) {
            return err_wrap(err, "indexes");
        }
    }
    return true;
}

/* ---- a trial ---- */

#define TRIAL_TABLE "pg_temp.pghaul_index"
#define TRIAL_INDEX "pghaul_index_trial"

static const char SQL_TRIAL[] =
    "SELECT " DEFINITION "\n"
    "  FROM pg_catalog.pg_index i\n"
    "  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid\n"
    "  JOIN pg_catalog.pg_class t ON t.oid = i.indrelid\n"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace\n" SPELLED
    " WHERE i.indexrelid = 'pg_temp." TRIAL_INDEX "'::pg_catalog.regclass";

static bool
try_definition(PgConn *conn, const IndexBuild *build, Arena *arena, const char **spelled, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_index_create(&sql, build, TRIAL_INDEX, TRIAL_TABLE, INDEX_PLAIN);
    PGRESULT_AUTO *result = NULL;
    if (!query_run(conn, strbuf_text(&sql), NULL, err) ||
        !query_one(conn, SQL_TRIAL, 0, NULL, &result, err)) {
        return false;
    }
    *spelled = result_dup(result, 0, 0, arena);
    return true;
}

bool
catalog_indexes_try(PgConn *conn, const Facts *into, Arena *arena, IndexBuild *build, Err *err)
{
    const char *create = arena_printf(arena, "CREATE TEMPORARY TABLE pghaul_index (LIKE %s)",
        sql_index_qualified(into->table.schema, into->table.name, arena));
    if (!into->server.may_create_temporary) {
        return true;
    }
    const char *spelled = NULL;
    Err refusal = ERR_INIT;
    bool ok = query_run(conn, "BEGIN", NULL, err) && query_run(conn, create, NULL, err);
    bool taken = ok && try_definition(conn, build, arena, &spelled, &refusal);
    if (refusal.cls == ERR_RECONNECT) {
        *err = refusal;
        return false;
    }
    if (!query_run(conn, "ROLLBACK", NULL, ok ? err : &(Err){.cls = ERR_NONE}) || !ok) {
        return err_wrap(err, "try an index");
    }
    if (!taken) {
        build->why_not = arena_printf(arena, "the server says: %s", refusal.message);
    } else if (spelled != NULL) {
        build->definition = spelled;
    }
    return true;
}

/* ---- what is there ---- */

bool
catalog_indexes_state(
    PgConn *conn, const IndexPlace *at, const char *definition, IndexState *state, Err *err)
{
    Params params = PARAMS_INIT;
    params_text(&params, at->schema);
    params_text(&params, at->name);
    params_int(&params, at->table_oid);
    params_text(&params, definition);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_STATE, &params, &result, err)) {
        return err_wrap(err, "look for index %s", at->name);
    }
    *state = (IndexState){.exists = result_rows(result) == 1};
    if (state->exists) {
        state->on_table = result_bool(result, 0, 0);
        state->valid = result_bool(result, 0, 1);
        state->unique = result_bool(result, 0, 2);
        state->same = result_bool(result, 0, 3);
    }
    return true;
}

bool
catalog_indexes_left(
    PgConn *conn, const char *table_name, const char *name, Arena *arena, IndexLeft *left, Err *err)
{
    Params params = PARAMS_INIT;
    params_text(&params, table_name);
    params_text(&params, name);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_LEFT, &params, &result, err)) {
        return err_wrap(err, "look for index %s", name);
    }
    *left = (IndexLeft){.table_exists = result_rows(result) == 1};
    if (left->table_exists) {
        left->partitioned = result_bool(result, 0, 0);
        left->schema = result_dup(result, 0, 1, arena);
        left->exists = result_bool(result, 0, 2);
        left->valid = result_bool(result, 0, 3);
    }
    return true;
}

bool
catalog_indexes_missing(
    PgConn *conn, const IndexPlace *root, Arena *arena, IndexPart *part, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, root->table_oid);
    params_text(&params, root->schema);
    params_text(&params, root->name);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_MISSING, &params, &result, err)) {
        return err_wrap(err, "partitions without index %s", root->name);
    }
    *part = (IndexPart){.table_oid = 0};
    if (result_rows(result) == 1) {
        *part = (IndexPart){
            .table_oid = (uint32_t)result_int(result, 0, 0),
            .leaf = result_bool(result, 0, 1),
            .schema = result_dup(result, 0, 2, arena),
            .table = result_dup(result, 0, 3, arena),
            .parent_schema = result_dup(result, 0, 4, arena),
            .parent_index = result_dup(result, 0, 5, arena),
        };
    }
    return true;
}
