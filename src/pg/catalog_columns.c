/*
 * catalog_columns.c - facts about the columns of the table.
 */
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "core/ident.h"
#include "pg/catalog_parts.h"
#include "pg/params.h"

/*
 * One row per live column.  `indexed` and `in_unique` also count expressions and predicates, by
 * the dependencies of the index.  `collation_drift` is the column's own collation; that of the
 * database is asked for apart, since its version is stored from PostgreSQL 15 on.  The last column
 * is "fresh as far as the statistics know": no default, and either all NULL when the table was
 * last analyzed or unknown to the statistics.  The base type is spelled with the modifier -1: with
 * none at all "character" and "bit" would mean a length of 1.
 */
static const char SQL_COLUMNS[] =
    "WITH RECURSIVE base(attnum, oid, typmod) AS (\n"
    "    SELECT a.attnum, a.atttypid, a.atttypmod\n"
    "      FROM pg_catalog.pg_attribute a\n"
    "     WHERE a.attrelid = $1::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped\n"
    "    UNION ALL\n"
    "    SELECT base.attnum, t.typbasetype, t.typtypmod\n"
    "      FROM base\n"
    "      JOIN pg_catalog.pg_type t ON t.oid = base.oid AND t.typtype = 'd'\n"
    "), idx(indisunique, attnum) AS (\n"
    "    SELECT i.indisunique OR i.indisexclusion, k.attnum\n"
    "      FROM pg_catalog.pg_index i, pg_catalog.unnest(i.indkey) AS k(attnum)\n"
    "     WHERE i.indrelid = $1::pg_catalog.oid\n"
    "    UNION ALL\n"
    "    SELECT i.indisunique OR i.indisexclusion, d.refobjsubid\n"
    "      FROM pg_catalog.pg_index i\n"
    "      JOIN pg_catalog.pg_depend d ON d.objid = i.indexrelid\n"
    "     WHERE i.indrelid = $1::pg_catalog.oid\n"
    "       AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass\n"
    "       AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass\n"
    "       AND d.refobjid = i.indrelid\n"
    ")\n"
    "SELECT a.attnum, a.attname, a.atttypid, a.atttypmod,\n"
    "       pg_catalog.format_type(a.atttypid, a.atttypmod),\n"
    "       pg_catalog.format_type(t.oid, -1), t.typname,\n"
    "       a.attnotnull, a.attgenerated <> '', a.attidentity <> '',\n"
    "       COALESCE(l.collisdeterministic, true),\n"
    "       COALESCE(l.collversion <> pg_catalog.pg_collation_actual_version(l.oid), false),\n"
    "       t.typname IN ('float4', 'float8'),\n"
    "       EXISTS (SELECT FROM idx WHERE idx.attnum = a.attnum),\n"
    "       EXISTS (SELECT FROM idx WHERE idx.attnum = a.attnum AND idx.indisunique),\n"
    "       EXISTS (SELECT FROM pg_catalog.pg_constraint k\n"
    "                WHERE k.contype = 'f'\n"
    "                  AND (k.conrelid = a.attrelid AND a.attnum = ANY (k.conkey)\n"
    "                       OR k.confrelid = a.attrelid AND a.attnum = ANY (k.confkey))),\n"
    "       EXISTS (SELECT FROM pg_catalog.pg_constraint k\n"
    "                WHERE k.contype = 'c' AND k.conrelid = a.attrelid\n"
    "                  AND a.attnum = ANY (k.conkey)),\n"
    "       pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'UPDATE'),\n"
    "       pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT'),\n"
    "       a.attcollation = 'pg_catalog.\"default\"'::pg_catalog.regcollation,\n"
    "       NOT a.atthasdef AND NOT a.atthasmissing AND a.attgenerated = ''\n"
    "       AND NOT EXISTS (SELECT\n"
    "                         FROM pg_catalog.pg_stats s\n"
    "                         JOIN pg_catalog.pg_class c ON c.oid = a.attrelid\n"
    "                         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    "                        WHERE s.schemaname = n.nspname AND s.tablename = c.relname\n"
    "                          AND s.attname = a.attname AND NOT s.inherited\n"
    "                          AND s.null_frac < 1),\n"
    "       pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'INSERT'),\n"
    "       a.atthasdef AND a.attgenerated = '' OR EXISTS (\n"
    "           SELECT FROM pg_catalog.pg_type y\n"
    "            WHERE y.oid = a.atttypid AND y.typdefault IS NOT NULL),\n"
    "       CASE WHEN l.oid IS NULL THEN ''\n"
    "            WHEN a.attcollation = 'pg_catalog.\"default\"'::pg_catalog.regcollation\n"
    "            THEN (SELECT pg_catalog.concat_ws(' ', d.datcollate, d.datctype,\n"
    "                             x.of ->> 'datlocprovider', x.of ->> 'daticulocale',\n"
    "                             x.of ->> 'datlocale')\n"
    "                    FROM pg_catalog.pg_database d,\n"
    "                         pg_catalog.to_jsonb(d) AS x(of)\n"
    "                   WHERE d.datname = pg_catalog.current_database())\n"
    "            ELSE l.oid::pg_catalog.regcollation::pg_catalog.text END,\n"
    "       (SELECT s.correlation\n"
    "          FROM pg_catalog.pg_stats s\n"
    "          JOIN pg_catalog.pg_class c ON c.oid = a.attrelid\n"
    "          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    "         WHERE s.schemaname = n.nspname AND s.tablename = c.relname\n"
    "           AND s.attname = a.attname AND NOT s.inherited),\n"
    "       base.typmod\n"
    "  FROM base\n"
    "  JOIN pg_catalog.pg_type t ON t.oid = base.oid AND t.typtype <> 'd'\n"
    "  JOIN pg_catalog.pg_attribute a\n"
    "    ON a.attrelid = $1::pg_catalog.oid AND a.attnum = base.attnum\n"
    "  LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation\n"
    " ORDER BY a.attnum";

static const char SQL_LABELS[] =
    "SELECT a.attnum, pg_catalog.array_agg(e.enumlabel ORDER BY e.enumsortorder)\n"
    "  FROM pg_catalog.pg_attribute a\n"
    "  JOIN pg_catalog.pg_enum e ON e.enumtypid = a.atttypid\n"
    " WHERE a.attrelid = $1::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped\n"
    " GROUP BY a.attnum";

#define DATABASE_COLLATION_VERSION_NUM 150000

static const char SQL_DATABASE_COLLATION[] =
    "SELECT COALESCE(d.datcollversion\n"
    "                <> pg_catalog.pg_database_collation_actual_version(d.oid), false)\n"
    "  FROM pg_catalog.pg_database d\n"
    " WHERE d.datname = pg_catalog.current_database()";

/* Blocks at the start of the table that a probe for values reads at most. */
#define PROBE_BLOCKS 32

static bool
database_collation_drifts(const CatalogReader *reader, bool *drifts, Err *err)
{
    *drifts = false;
    if (reader->facts->server.version_num < DATABASE_COLLATION_VERSION_NUM) {
        return true;
    }
    PGRESULT_AUTO *row = NULL;
    if (!query_one(reader->conn, SQL_DATABASE_COLLATION, 0, NULL, &row, err)) {
        return false;
    }
    *drifts = result_bool(row, 0, 0);
    return true;
}

static ColumnFacts
read_column(const PgResult *result, int row, bool database_drifts, Arena *arena)
{
    return (ColumnFacts){
        .attnum = (int)result_int(result, row, 0),
        .name = result_dup(result, row, 1, arena),
        .type_oid = (uint32_t)result_int(result, row, 2),
        .type_mod = (int)result_int(result, row, 3),
        .type = result_dup(result, row, 4, arena),
        .base_type = result_dup(result, row, 5, arena),
        .base_type_name = result_dup(result, row, 6, arena),
        .not_null = result_bool(result, row, 7),
        .generated = result_bool(result, row, 8),
        .identity = result_bool(result, row, 9),
        .collation_deterministic = result_bool(result, row, 10),
        .collation_version_drift =
            result_bool(result, row, 11) || (database_drifts && result_bool(result, row, 19)),
        .is_float = result_bool(result, row, 12),
        .indexed = result_bool(result, row, 13),
        .in_unique = result_bool(result, row, 14),
        .in_foreign_key = result_bool(result, row, 15),
        .in_check = result_bool(result, row, 16),
        .may_update = result_bool(result, row, 17),
        .may_select = result_bool(result, row, 18),
        .fresh = result_bool(result, row, 20),
        .base_type_mod = (int)result_int(result, row, 25),
        .may_insert = result_bool(result, row, 21),
        .has_default = result_bool(result, row, 22),
        .collation = result_dup(result, row, 23, arena),
        .correlation = result_is_null(result, row, 24) ? 1.0 : result_float(result, row, 24),
    };
}

/* Statistics that do not know a column say nothing: look at the first blocks. */
static bool
probe_fresh(const CatalogReader *reader, ColumnFacts *column, Err *err)
{
    const TableFacts *table = &reader->facts->table;
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_puts(&sql, "SELECT EXISTS (SELECT FROM ONLY ");
    if (!quote_qualified(&sql, table->schema, table->name, err)) {
        return false;
    }
    strbuf_printf(&sql, " AS t\n                WHERE t.ctid < '(%d,0)' AND t.", PROBE_BLOCKS);
    if (!quote_ident(&sql, column->name, err)) {
        return false;
    }
    strbuf_puts(&sql, " IS NOT NULL)");

    PGRESULT_AUTO *row = NULL;
    if (!query_one(reader->conn, strbuf_text(&sql), 0, NULL, &row, err)) {
        return false;
    }
    column->fresh = !result_bool(row, 0, 0);
    return true;
}

/* Only SET columns matter; a fresh one is advice, so what cannot be read is simply not fresh. */
static bool
settle_fresh(const CatalogReader *reader, ColumnFacts *column, Err *err)
{
    const TableFacts *table = &reader->facts->table;
    bool readable = table->relkind == 'r' && table->persistence != 't' && table->may_use_schema &&
                    column->may_select && !table->row_security_filters &&
                    strcmp(table->access_method, "heap") == 0;
    column->fresh = column->fresh && readable && reader->spec->kind == KIND_BACKFILL &&
                    jobspec_sets(reader->spec, column->name);
    return !column->fresh || probe_fresh(reader, column, err);
}

static bool
read_labels(const CatalogReader *reader, Err *err)
{
    Facts *facts = reader->facts;
    Params params = PARAMS_INIT;
    params_text(&params, reader->oid);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(reader->conn, SQL_LABELS, &params, &result, err)) {
        return false;
    }
    for (int i = 0; i < facts->column_count * result_rows(result); i++) {
        ColumnFacts *column = &facts->columns[i % facts->column_count];
        int row = i / facts->column_count;
        if (column->attnum == result_int(result, row, 0) &&
            !pg_array_parse(result_text(result, row, 1), reader->arena, &column->labels,
                &column->label_count, err)) {
            return false;
        }
    }
    return true;
}

bool
catalog_read_columns(const CatalogReader *reader, Err *err)
{
    bool database_drifts = false;
    if (!database_collation_drifts(reader, &database_drifts, err)) {
        return false;
    }
    Params params = PARAMS_INIT;
    params_text(&params, reader->oid);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(reader->conn, SQL_COLUMNS, &params, &result, err)) {
        return false;
    }
    int count = result_rows(result);
    ColumnFacts *columns = arena_alloc(reader->arena, ((size_t)count + 1) * sizeof(*columns));
    for (int i = 0; i < count; i++) {
        columns[i] = read_column(result, i, database_drifts, reader->arena);
        if (!settle_fresh(reader, &columns[i], err)) {
            return false;
        }
    }
    reader->facts->columns = columns;
    reader->facts->column_count = count;
    return reader->spec->kind == KIND_BACKFILL || read_labels(reader, err);
}
