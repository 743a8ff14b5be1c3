#include "core/sql_walk.h"

#include "core/sql_parts.h"

void
sql_walk_matching(StrBuf *out, const Plan *plan, const char *now_sql)
{
    strbuf_puts(out, "SELECT ");
    sql_put_column(out, plan, "ctid"); /* no index has it: none is read for its size alone */
    strbuf_puts(out, "\n  FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n WHERE true");
    sql_put_pinned_where(out, plan, now_sql);
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
