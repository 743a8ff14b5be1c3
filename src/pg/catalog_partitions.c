/*
 * catalog_partitions.c - which partitions hold nothing but rows that match.
 *
 * A partition ends below its upper bound.  Where `column < something` holds for the bound itself it
 * holds for every row in the partition.
 */
#include "pg/catalog_partitions.h"

#include <string.h>

#include "base/strbuf.h"
#include "core/sql_walk.h"
#include "core/sqlscan.h"
#include "pg/catalog_walk.h"

/* Of the table and all below it, those that have ranges of one column. */
static const char SQL_PARTITIONS[] =
    "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname),\n"
    "       pg_catalog.format('%I.%I', m.nspname, p.relname), a.attname,\n"
    "       pg_catalog.pg_get_expr(c.relpartbound, c.oid), n.nspname, c.relname, c.relkind\n"
    "  FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid) AS t(relid)\n"
    "  JOIN pg_catalog.pg_class c ON c.oid = t.relid AND c.relispartition\n"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    "  JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid\n"
    "  JOIN pg_catalog.pg_class p ON p.oid = i.inhparent\n"
    "  JOIN pg_catalog.pg_namespace m ON m.oid = p.relnamespace\n"
    "  JOIN pg_catalog.pg_partitioned_table k ON k.partrelid = p.oid\n"
    "   AND k.partstrat = 'r' AND k.partnatts = 1\n"
    "  JOIN pg_catalog.pg_attribute a ON a.attrelid = p.oid AND a.attnum = k.partattrs[0]\n"
    " ORDER BY c.oid";

/* The value behind TO ( as the server would read it; NULL when the partition has no upper bound. */
static const char *
upper_bound(const char *bound, Arena *arena)
{
    SqlToken token = sql_scan_next(bound);
    while (token.kind != SQL_TOKEN_END && !sql_token_is(&token, "TO")) {
        token = sql_scan_next(token.text + token.len);
    }
    SqlToken open = sql_scan_next(token.text + token.len);
    SqlToken value = sql_scan_next(open.text + open.len);
    if (value.kind != SQL_TOKEN_STRING && value.kind != SQL_TOKEN_NUMBER) {
        return NULL;
    }
    const char *text = value.text;
    size_t len = value.len;
    if (value.kind == SQL_TOKEN_STRING) {
        text++;
        len -= 2;
    }
    return memchr(text, '\'', len) == NULL ? arena_strndup(arena, text, len) : NULL;
}

/* The column that the predicate compares, asked where rows can be: of the first leaf. */
static bool
find_column(PgConn *conn, const JobSpec *spec, const Facts *facts, const PgResult *rows,
    const ColumnFacts **column, Err *err)
{
    *column = NULL;
    for (int i = 0; i < result_rows(rows); i++) {
        if (result_text(rows, i, 6)[0] == 'r') {
            WalkTable table = {.schema = result_text(rows, i, 4), .name = result_text(rows, i, 5)};
            return catalog_walk_column(conn, spec, facts, &table, column, err);
        }
    }
    return true;
}

/* Bounds for which the predicate holds, by their place in the list. */
static bool
ask_bounds(PgConn *conn, const Plan *plan, const char *bounds, PgResult **matching, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_walk_bounds(&sql, plan);
    Params params = PARAMS_INIT;
    params_text(&params, bounds);
    return catalog_walk_query(conn, plan, strbuf_text(&sql), &params, matching, err) ||
           err_wrap(err, "bounds of partitions");
}

static void
take_matching(const PgResult *rows, const PgResult *matching, Facts *facts, Arena *arena)
{
    WholePartition *whole =
        arena_alloc(arena, ((size_t)result_rows(matching) + 1) * sizeof(*whole));
    for (int i = 0; i < result_rows(matching); i++) {
        int row = (int)result_int(matching, i, 0) - 1;
        whole[i] = (WholePartition){
            .name = result_dup(rows, row, 0, arena),
            .parent = result_dup(rows, row, 1, arena),
        };
    }
    facts->whole = whole;
    facts->whole_count = result_rows(matching);
}

bool
catalog_partitions_read(PgConn *conn, const JobSpec *spec, Facts *facts, Arena *arena, Err *err)
{
    const ColumnFacts *column = NULL;
    PGRESULT_AUTO *rows = NULL;
    PGRESULT_AUTO *matching = NULL;
    Params params = PARAMS_INIT;
    params_int(&params, facts->table.oid);
    if (!query_with(conn, SQL_PARTITIONS, &params, &rows, err)) {
        return err_wrap(err, "partitions");
    }
    if (!find_column(conn, spec, facts, rows, &column, err) || column == NULL) {
        return column == NULL && err->cls == ERR_NONE;
    }
    int count = result_rows(rows);
    const char **bounds = arena_alloc(arena, ((size_t)count + 1) * sizeof(*bounds));
    for (int i = 0; i < count; i++) {
        bool same = strcmp(result_text(rows, i, 2), column->name) == 0;
        bounds[i] = same ? upper_bound(result_text(rows, i, 3), arena) : NULL;
    }
    const PurgePlan purge = {.least = column};
    const Plan plan = {.spec = spec, .facts = facts, .purge = &purge};
    if (!ask_bounds(conn, &plan, pg_array_format(bounds, count, arena), &matching, err)) {
        return false;
    }
    take_matching(rows, matching, facts, arena);
    return true;
}
