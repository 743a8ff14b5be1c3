#include "core/sql_walk.h"

#include "core/sql_parts.h"

void
sql_walk_matching_in(
    StrBuf *out, const Plan *plan, const char *schema, const char *table, const char *now_sql)
{
    strbuf_puts(out, "SELECT ");
    sql_put_column(out, plan, "ctid"); /* no index has it: none is read for its size alone */
    strbuf_puts(out, "\n  FROM ONLY ");
    sql_put_ident(out, schema);
    strbuf_putc(out, '.');
    sql_put_ident(out, table);
    strbuf_puts(out, " AS ");
    sql_put_ident(out, plan->facts->table.name);
    strbuf_puts(out, "\n WHERE true");
    sql_put_pinned_where(out, plan, now_sql);
}

/* The predicate is asked of a row that has that value and no other column: it mentions none. */
void
sql_walk_remembered(StrBuf *out, const Plan *plan)
{
    const ColumnFacts *least = plan->purge->least;
    strbuf_puts(out, "SELECT r.no, r.high, r.est_rows,\n"
                     "       r.state <> 'done' OR r.least IS NULL OR EXISTS (\n"
                     "       SELECT FROM (SELECT r.least::");
    strbuf_printf(out, "%s AS ", least->base_type);
    sql_put_ident(out, least->name);
    strbuf_puts(out, ") AS ");
    sql_put_ident(out, plan->facts->table.name);
    strbuf_puts(out, "\n        WHERE true");
    sql_put_pinned_where(out, plan, "$4::pg_catalog.timestamptz");
    strbuf_puts(out, ")\n"
                     "  FROM pghaul.ranges AS r\n"
                     " WHERE r.job = $1::pg_catalog.int8 AND r.pass = $2::pg_catalog.int4\n"
                     "   AND r.high IS NOT NULL AND r.high IS DISTINCT FROM r.low\n"
                     "   AND $4::pg_catalog.timestamptz IS NOT NULL\n"
                     "   AND r.no >= (\n"
                     "       SELECT o.no FROM pghaul.ranges AS o\n"
                     "        WHERE o.job = $1 AND o.pass = $2\n"
                     "          AND o.high IS DISTINCT FROM o.low\n"
                     "          AND o.low IS NOT DISTINCT FROM $3::pg_catalog.text[]\n"
                     "        ORDER BY o.no LIMIT 1)\n"
                     " ORDER BY r.no\n"
                     " LIMIT 1000");
}

void
sql_walk_bounds(StrBuf *out, const Plan *plan)
{
    const ColumnFacts *column = plan->purge->least;
    strbuf_puts(out,
        "SELECT u.at\n"
        "  FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY AS u(bound, at)\n"
        " WHERE EXISTS (SELECT FROM (SELECT u.bound::");
    strbuf_printf(out, "%s AS ", column->base_type);
    sql_put_ident(out, column->name);
    strbuf_puts(out, ") AS ");
    sql_put_ident(out, plan->facts->table.name);
    strbuf_puts(out, "\n        WHERE true");
    sql_put_pinned_where(out, plan, "pg_catalog.now()");
    strbuf_puts(out, ")\n ORDER BY u.at");
}

static const char *
search_path(const Plan *plan, Arena *arena)
{
    const NameList *names = &plan->spec->search_path;
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_puts(&sql, "SET LOCAL search_path = ");
    sql_put_ident(&sql, names->count == 0 ? plan->facts->table.schema : names->names[0]);
    for (int i = 1; i < names->count; i++) {
        strbuf_puts(&sql, ", ");
        sql_put_ident(&sql, names->names[i]);
    }
    strbuf_puts(&sql, ", pg_temp");
    return arena_strdup(arena, strbuf_text(&sql));
}

int
sql_walk_begin(
    const Plan *plan, WalkMethod method, Arena *arena, const char *begin[SQL_WALK_BEGIN_MAX])
{
    int count = 0;
    begin[count++] = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY";
    begin[count++] = "SET LOCAL transform_null_equals = off";
    begin[count++] = "SET LOCAL constraint_exclusion = off";
    if (method == WALK_BY_INDEX) {
        begin[count++] = "SET LOCAL enable_seqscan = off";
        begin[count++] = "SET LOCAL enable_incremental_sort = on";
    }
    if (method == WALK_BY_TABLE) {
        begin[count++] = "SET LOCAL enable_indexscan = off";
    }
    if (method != WALK_AS_IT_LIKES) {
        begin[count++] = "SET LOCAL enable_bitmapscan = off";
    }
    begin[count++] = search_path(plan, arena);
    return count;
}
