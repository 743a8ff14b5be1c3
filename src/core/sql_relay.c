#include "core/sql_relay.h"

#include <string.h>

#include "core/sql_copy.h"
#include "core/sql_frame.h"
#include "core/sql_parts.h"

/* ---- text or binary ---- */

/* Types of the server itself whose binary form holds nothing but the value: no OID of an object,
 * which is another one elsewhere. */
static const char *const PORTABLE[] = {"bit", "bool", "box", "bpchar", "bytea", "char", "cid",
    "cidr", "circle", "date", "datemultirange", "daterange", "float4", "float8", "inet", "int2",
    "int4", "int4multirange", "int4range", "int8", "int8multirange", "int8range", "interval",
    "json", "jsonb", "jsonpath", "line", "lseg", "macaddr", "macaddr8", "money", "name", "numeric",
    "nummultirange", "numrange", "oid", "path", "pg_lsn", "pg_snapshot", "point", "polygon",
    "refcursor", "text", "tid", "time", "timestamp", "timestamptz", "timetz", "tsmultirange",
    "tsquery", "tsrange", "tstzmultirange", "tstzrange", "tsvector", "uuid", "varbit", "varchar",
    "xid", "xid8", "xml"};

/* The session's search_path has nothing but the server's own: all else is qualified. */
static bool
is_builtin(const ColumnFacts *column)
{
    return strchr(column->base_type, '.') == NULL;
}

static bool
is_portable(const ColumnFacts *column)
{
    if (!is_builtin(column)) {
        return false;
    }
    const char *name = column->base_type_name;
    name += name[0] == '_' ? 1 : 0; /* array of */
    for (size_t i = 0; i < sizeof(PORTABLE) / sizeof(PORTABLE[0]); i++) {
        if (strcmp(name, PORTABLE[i]) == 0) {
            return true;
        }
    }
    return false;
}

bool
relay_is_binary(const Plan *plan, const char **why)
{
    const CopyPlan *copy = plan->copy;
    if (plan->facts->server.version_num / 10000 != copy->into->server.version_num / 10000) {
        *why = "the servers are of different releases";
        return false;
    }
    for (int i = 0; i < copy->map_count; i++) {
        if (!is_portable(copy->map[i].target)) {
            *why = "a type is not one of the server's own, or refers to objects";
            return false;
        }
    }
    *why = "both servers are of one release, and all types are the server's own";
    return true;
}

/* ---- the source ---- */

static void
put_value(StrBuf *out, const Plan *plan, const MapColumn *column)
{
    const ColumnFacts *target = column->target;
    sql_put_map_value(out, plan, column);
    bool same = column->source != NULL && strcmp(column->source->base_type, target->base_type) == 0;
    if (!same && is_builtin(target)) {
        strbuf_puts(out, "::pg_catalog.");
        sql_put_ident(out, target->base_type_name);
    }
}

void
sql_put_setting_bound(StrBuf *out, const Plan *plan, const char *bound, const char *operation)
{
    bool many = plan->key_count > 1;
    strbuf_puts(out, "\n   AND ");
    sql_put_key_row(out, plan);
    strbuf_printf(out, " %s %s", operation, many ? "(" : "");
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_printf(out, "%spg_catalog.current_setting('pghaul.%s%d')::%s", i == 0 ? "" : ", ",
            bound, i + 1, plan->key[i].type);
    }
    strbuf_puts(out, many ? ")" : "");
}

static void
put_format(StrBuf *out, const Plan *plan)
{
    const char *why = NULL;
    strbuf_printf(out, " (FORMAT %s)", relay_is_binary(plan, &why) ? "binary" : "text");
}

/* COPY (SELECT .. FROM the source WHERE, up to the predicate */
static void
put_copy_out(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "COPY (SELECT ");
    for (int i = 0; i < plan->copy->map_count; i++) {
        strbuf_puts(out, i == 0 ? "" : ", ");
        put_value(out, plan, &plan->copy->map[i]);
    }
    strbuf_puts(out, "\n  FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n WHERE ");
}

void
sql_relay_source(StrBuf *out, const Plan *plan, const RelayRows *rows)
{
    put_copy_out(out, plan);
    strbuf_puts(out, "true");
    if (!rows->from_open) {
        sql_put_setting_bound(out, plan, "from", ">");
    }
    if (!rows->to_open) {
        sql_put_setting_bound(out, plan, "to", "<=");
    }
    sql_put_where(out, plan);
    if (rows->around_log_of > 0) {
        sql_put_not_logged(out, plan, rows->around_log_of, "true");
    }
    strbuf_puts(out, "\n ORDER BY ");
    sql_put_key_list(out, plan);
    strbuf_puts(out, ") TO STDOUT");
    put_format(out, plan);
}

void
sql_relay_rows(StrBuf *out, const Plan *plan, const char *predicate)
{
    put_copy_out(out, plan);
    strbuf_puts(out, predicate);
    sql_put_where(out, plan);
    strbuf_puts(out, ") TO STDOUT");
    put_format(out, plan);
}

/* COPY takes no parameters; values reach it as settings of the transaction. */
void
sql_relay_bounds(StrBuf *out)
{
    static const char *const BOUNDS[] = {"from", "to"};
    strbuf_puts(out, "SELECT ");
    for (int i = 0; i < 2; i++) {
        strbuf_printf(out,
            "%s(SELECT pg_catalog.count(pg_catalog.set_config('pghaul.%s' || s.i,\n"
            "               ($%d::pg_catalog.text[])[s.i], true))\n"
            "          FROM pg_catalog.generate_subscripts($%d::pg_catalog.text[], 1) AS s(i))",
            i == 0 ? "" : ",\n       ", BOUNDS[i], i + 1, i + 1);
    }
}

/* ---- the target ---- */

bool
relay_is_staged(const Plan *plan)
{
    return plan->spec->on_conflict != ON_CONFLICT_ERROR;
}

/* COPY of the rows into this table. */
static void
put_copy_in(StrBuf *out, const Plan *plan, const char *table)
{
    strbuf_printf(out, "COPY %s (", table);
    sql_put_map_columns(out, plan);
    strbuf_puts(out, ") FROM STDIN");
    put_format(out, plan);
}

void
sql_relay_into(StrBuf *out, const Plan *plan)
{
    STRBUF_AUTO table = STRBUF_INIT;
    sql_put_into_table(&table, plan);
    put_copy_in(out, plan, strbuf_text(&table));
}

void
sql_relay_staged(StrBuf *out, const Plan *plan)
{
    put_copy_in(out, plan, RELAY_STAGE);
}

void
sql_relay_target(StrBuf *out, const Plan *plan)
{
    if (relay_is_staged(plan)) {
        sql_relay_staged(out, plan);
    } else {
        sql_relay_into(out, plan);
    }
}

/* Columns and types only: what the target demands of a row is for the rows that go there. */
void
sql_relay_stage(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "CREATE TEMPORARY TABLE pghaul_relay ON COMMIT DELETE ROWS AS SELECT ");
    sql_put_map_columns(out, plan);
    strbuf_puts(out, " FROM ");
    sql_put_into_table(out, plan);
    strbuf_puts(out, " WITH NO DATA");
}

void
sql_claim_function(StrBuf *out, const Plan *plan, int64_t job)
{
    STRBUF_AUTO body = STRBUF_INIT;
    sql_put_frame_declare(&body, plan, SLICE_KEY);
    strbuf_puts(&body, "BEGIN\n");
    sql_put_frame_claim(&body, job);
    strbuf_puts(&body, "    pghaul_outcome := 'more';\n"
                       "    RETURN NEXT;\nEND\n");
    sql_put_batch_function(out, plan, "claim", job, SLICE_KEY, strbuf_text(&body));
}

/* Rows from the stage; those whose key the target has are left alone or changed.  All counts are of
 * the INSERT's own snapshot. */
static void
put_staged_insert(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "    WITH pghaul_put AS (\n    INSERT INTO ");
    sql_put_into_table(out, plan);
    strbuf_puts(out, " AS pghaul_into (");
    sql_put_map_columns(out, plan);
    strbuf_puts(out, ")\n    OVERRIDING SYSTEM VALUE\n    SELECT ");
    sql_put_map_columns(out, plan);
    strbuf_puts(out, "\n      FROM " RELAY_STAGE " AS pghaul_row");
    sql_put_on_conflict(out, plan);
    strbuf_puts(out, "\n    RETURNING 1)\n"
                     "    SELECT (SELECT pg_catalog.count(*) FROM pghaul_put),\n"
                     "           (SELECT pg_catalog.count(*) FROM " RELAY_STAGE
                     " AS pghaul_row\n             WHERE EXISTS (SELECT FROM ");
    sql_put_into_table(out, plan);
    strbuf_puts(out, " AS pghaul_into\n                 WHERE ");
    for (int i = 0; i < plan->key_count; i++) {
        const char *column = plan->copy->key[i]->name;
        strbuf_puts(out, i == 0 ? "pghaul_row." : " AND pghaul_row.");
        sql_put_ident(out, column);
        strbuf_puts(out, " = ");
        sql_put_into_column(out, column);
    }
    strbuf_puts(out, "))\n      INTO pghaul_rows, pghaul_had;\n"
                     "    pghaul_skipped := $7 - pghaul_rows;\n");
    if (plan->spec->on_conflict == ON_CONFLICT_UPDATE) {
        strbuf_puts(out, "    pghaul_updated := GREATEST(pghaul_had - pghaul_skipped, 0);\n"
                         "    pghaul_rows := pghaul_rows - pghaul_updated;\n");
    }
}

void
sql_settle_function(StrBuf *out, const Plan *plan, int64_t job)
{
    STRBUF_AUTO body = STRBUF_INIT;
    sql_put_frame_declare(&body, plan, SLICE_KEY);
    strbuf_puts(&body, "    pghaul_had pg_catalog.int8;\n"
                       "BEGIN\n"
                       "    -- the claim has locked the range's row and compared it\n"
                       "    pghaul_rows := $7;\n"
                       "    pghaul_left := 0;\n"
                       "    pghaul_aside := 0;\n"
                       "    pghaul_before := 0;\n"
                       "    pghaul_stripes := 1;\n"
                       "    pghaul_last := $8;\n"
                       "    pghaul_high := $6;\n");
    sql_put_key_bounds(&body, plan);
    if (relay_is_staged(plan)) {
        put_staged_insert(&body, plan);
    }
    sql_put_frame_guards(&body, plan, job, SLICE_KEY);
    sql_put_frame_checkpoint(&body, plan, job, SLICE_KEY);
    strbuf_puts(&body, "    RETURN NEXT;\nEND\n");
    sql_put_batch_function(out, plan, "settle", job, SLICE_KEY, strbuf_text(&body));
}

/* ---- sessions ---- */

void
sql_relay_source_settings(StrBuf *out)
{
    strbuf_puts(out, "SELECT pg_catalog.set_config('enable_seqscan', 'off', false),\n"
                     "       pg_catalog.set_config('enable_bitmapscan', 'off', false)");
}

void
sql_relay_target_settings(StrBuf *out, const Plan *plan)
{
    const NameList *names = &plan->spec->search_path;
    strbuf_puts(out, "SET search_path = ");
    if (names->count == 0) {
        sql_put_ident(out, plan->copy->into->table.schema);
    }
    for (int i = 0; i < names->count; i++) {
        strbuf_puts(out, i == 0 ? "" : ", ");
        sql_put_ident(out, names->names[i]);
    }
    strbuf_puts(out, ", pg_temp");
}
