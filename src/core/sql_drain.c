#include "core/sql_drain.h"

#include "core/sql_log.h"
#include "core/sql_parts.h"
#include "core/sql_relay.h"

void
sql_drain_pick(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, "SELECT pghaul_log.id, CASE WHEN pghaul_log.k1 IS NOT NULL THEN ");
    sql_log_put_key_text(out, plan);
    strbuf_puts(out, " END\n  FROM ");
    sql_log_name(out, plan, job);
    strbuf_puts(out, " AS pghaul_log\n WHERE pghaul_log.id > $2::pg_catalog.int8\n   AND ");
    sql_log_put_in_slice(out, plan, "$1::pg_catalog.int4", "$4::pg_catalog.int4");
    strbuf_puts(out, "\n ORDER BY pghaul_log.id LIMIT $3::pg_catalog.int8");
}

void
sql_drain_forget(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, "DELETE FROM ");
    sql_log_name(out, plan, job);
    strbuf_puts(out, " AS pghaul_log WHERE pghaul_log.id = ANY ($1::pg_catalog.int8[])");
}

/* The list's keys, each as the source has its columns. */
static void
put_listed(StrBuf *out, const Plan *plan)
{
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_printf(out, "%s(pghaul_keys.pghaul_key::pg_catalog.text[])[%d]::%s",
            i == 0 ? "" : ", ", i + 1, sql_bound_type(plan, i));
    }
}

/* (key) IN (the list) */
static void
put_in_list(StrBuf *out, const Plan *plan, const char *key_list, const char *list)
{
    strbuf_printf(out, "(%s) IN (\n       SELECT ", key_list);
    put_listed(out, plan);
    strbuf_printf(out,
        "\n         FROM pg_catalog.unnest(%s::pg_catalog.text[]) AS pghaul_keys(pghaul_key))",
        list);
}

void
sql_drain_delete(StrBuf *out, const Plan *plan)
{
    STRBUF_AUTO key = STRBUF_INIT;
    sql_put_into_key_list(&key, plan);
    strbuf_puts(out, "DELETE FROM ");
    sql_put_into_table(out, plan);
    strbuf_puts(out, " AS pghaul_into\n WHERE ");
    put_in_list(out, plan, strbuf_text(&key), "$1");
}

/* COPY takes no parameters; the list reaches it as a setting of the transaction. */
void
sql_drain_keys(StrBuf *out)
{
    strbuf_puts(out, "SELECT pg_catalog.length(pg_catalog.set_config('pghaul.keys', "
                     "$1::pg_catalog.text, true))");
}

void
sql_drain_source(StrBuf *out, const Plan *plan)
{
    STRBUF_AUTO key = STRBUF_INIT;
    STRBUF_AUTO rows = STRBUF_INIT;
    sql_put_key_list(&key, plan);
    put_in_list(&rows, plan, strbuf_text(&key), "pg_catalog.current_setting('pghaul.keys')");
    sql_relay_rows(out, plan, strbuf_text(&rows));
}

bool
sql_drain_is_staged(const Plan *plan)
{
    const CopyPlan *copy = plan->copy;
    if (plan->spec->indexes == INDEXES_AFTER) {
        return sql_log_tells_conflicts(plan); /* unique ones may be there later */
    }
    for (int i = 0; i < copy->into->index_count; i++) {
        const IndexFacts *index = &copy->into->indexes[i];
        if ((index->unique || index->exclusion) && index->oid != copy->arbiter->oid) {
            return sql_log_tells_conflicts(plan);
        }
    }
    return false;
}

void
sql_drain_insert(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "INSERT INTO ");
    sql_put_into_table(out, plan);
    strbuf_puts(out, " AS pghaul_into (");
    sql_put_map_columns(out, plan);
    strbuf_puts(out, ")\n    OVERRIDING SYSTEM VALUE\n    SELECT ");
    sql_put_map_columns(out, plan);
    strbuf_puts(out, "\n      FROM " RELAY_STAGE " AS pghaul_row\n        ON CONFLICT DO NOTHING");
}

/* By the types' own equality: a key may be written in several ways. */
void
sql_drain_kept(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "SELECT pghaul_keys.pghaul_place\n"
                     "  FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY\n"
                     "       AS pghaul_keys(pghaul_key, pghaul_place)\n WHERE (");
    put_listed(out, plan);
    strbuf_puts(out, ") IN (\n       SELECT ");
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_puts(out, i == 0 ? "pghaul_row." : ", pghaul_row.");
        sql_put_ident(out, plan->copy->key[i]->name);
    }
    strbuf_puts(out,
        "\n         FROM " RELAY_STAGE " AS pghaul_row\n        WHERE NOT EXISTS (SELECT FROM ");
    sql_put_into_table(out, plan);
    strbuf_puts(out, " AS pghaul_into\n            WHERE ");
    for (int i = 0; i < plan->key_count; i++) {
        const char *column = plan->copy->key[i]->name;
        strbuf_puts(out, i == 0 ? "pghaul_row." : " AND pghaul_row.");
        sql_put_ident(out, column);
        strbuf_puts(out, " = ");
        sql_put_into_column(out, column);
    }
    strbuf_puts(out, "))\n ORDER BY 1");
}
