#include "core/sql_parts.h"

#include <assert.h>
#include <string.h>

#include "core/ident.h"
#include "core/plan_children.h"
#include "core/sql_pin.h"

void
sql_put_ident(StrBuf *out, const char *name)
{
    Err err = ERR_INIT;
    bool ok = quote_ident(out, name, &err);
    assert(ok); /* names come from the catalog */
    (void)ok;
}

void
sql_put_literal(StrBuf *out, const char *text)
{
    quote_literal_append(out, text);
}

void
sql_put_table(StrBuf *out, const Plan *plan)
{
    sql_put_ident(out, plan->facts->table.schema);
    strbuf_putc(out, '.');
    sql_put_ident(out, plan->facts->table.name);
}

void
sql_put_only_table(StrBuf *out, const Plan *plan)
{
    /* of a partitioned one, which a copy may be turned round to, ONLY would be no row at all */
    strbuf_puts(out, plan->facts->table.relkind == 'p' ? "" : "ONLY ");
    sql_put_table(out, plan);
    strbuf_puts(out, " AS ");
    sql_put_ident(out, plan->facts->table.name);
}

void
sql_put_column(StrBuf *out, const Plan *plan, const char *column)
{
    sql_put_ident(out, plan->facts->table.name);
    strbuf_putc(out, '.');
    sql_put_ident(out, column);
}

void
sql_put_key_list(StrBuf *out, const Plan *plan)
{
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_puts(out, i == 0 ? "" : ", ");
        sql_put_column(out, plan, plan->key[i].name);
    }
}

void
sql_put_key_row(StrBuf *out, const Plan *plan)
{
    bool many = plan->key_count > 1;
    strbuf_puts(out, many ? "(" : "");
    sql_put_key_list(out, plan);
    strbuf_puts(out, many ? ")" : "");
}

void
sql_put_key_text(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "ARRAY[");
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_puts(out, i == 0 ? "" : ", ");
        sql_put_column(out, plan, plan->key[i].name);
        strbuf_puts(out, "::pg_catalog.text");
    }
    strbuf_puts(out, "]");
}

const char *
sql_bound_type(const Plan *plan, int column)
{
    return plan->copy == NULL ? plan->key[column].type : plan->copy->key[column]->base_type;
}

/* pghaul_from1 or (pghaul_from1, pghaul_from2) */
static void
put_bound_row(StrBuf *out, const Plan *plan, const char *bound)
{
    strbuf_puts(out, plan->key_count > 1 ? "(" : "");
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_printf(out, "%s%s%d", i == 0 ? "" : ", ", bound, i + 1);
    }
    strbuf_puts(out, plan->key_count > 1 ? ")" : "");
}

void
sql_put_slice_declare(StrBuf *out, const Plan *plan, SliceKind kind)
{
    if (kind == SLICE_BLOCK) {
        strbuf_puts(out, "    pghaul_from pg_catalog.tid;\n    pghaul_to pg_catalog.tid;\n");
        return;
    }
    static const char *const BOUNDS[] = {"pghaul_from", "pghaul_to"};
    for (int b = 0; b < 2; b++) {
        for (int i = 0; i < plan->key_count; i++) {
            strbuf_printf(out, "    %s%d %s;\n", BOUNDS[b], i + 1, sql_bound_type(plan, i));
        }
        strbuf_printf(out, "    %s_open pg_catalog.bool := false;\n", BOUNDS[b]);
    }
}

/* (from, to] of a key's columns, "t"."a" or ("t"."a", "t"."b"). */
static void
put_key_slice(StrBuf *out, const Plan *plan, const char *key_row)
{
    strbuf_printf(out, "(pghaul_from_open OR %s > ", key_row);
    put_bound_row(out, plan, "pghaul_from");
    strbuf_printf(out, ")\n       AND (pghaul_to_open OR %s <= ", key_row);
    put_bound_row(out, plan, "pghaul_to");
    strbuf_puts(out, ")");
}

void
sql_put_slice(StrBuf *out, const Plan *plan, SliceKind kind)
{
    if (kind == SLICE_BLOCK) {
        sql_put_column(out, plan, "ctid");
        strbuf_puts(out, " >= pghaul_from\n       AND ");
        sql_put_column(out, plan, "ctid");
        strbuf_puts(out, " < pghaul_to");
        return;
    }
    STRBUF_AUTO row = STRBUF_INIT;
    sql_put_key_row(&row, plan);
    put_key_slice(out, plan, strbuf_text(&row));
}

/* The stripe by key is even over each page only where keys follow each other in the heap. */
static void
put_stripe_of_key(StrBuf *out, const Plan *plan, const char *stripes_sql)
{
    const KeyColumn *last = &plan->key[plan->key_count - 1];
    bool integer = strcmp(last->type_name, "int2") == 0 || strcmp(last->type_name, "int4") == 0 ||
                   strcmp(last->type_name, "int8") == 0;
    if (integer) {
        /* mod() of a negative number is negative; adding and taking it again is not. */
        strbuf_puts(out, "pg_catalog.mod(pg_catalog.mod(");
        sql_put_column(out, plan, last->name);
        strbuf_printf(
            out, "::pg_catalog.int8, %s) + %s, %s)", stripes_sql, stripes_sql, stripes_sql);
        return;
    }
    strbuf_puts(out, "pg_catalog.mod((pg_catalog.hashtextextended(");
    sql_put_column(out, plan, last->name);
    strbuf_printf(out, "::pg_catalog.text, 0) & 1048575::pg_catalog.int8)::pg_catalog.int8, %s)",
        stripes_sql);
}

void
sql_put_in_stripe(
    StrBuf *out, const Plan *plan, SliceKind kind, const char *stripe_sql, const char *stripes_sql)
{
    strbuf_printf(out, "(%s = 1 OR ", stripes_sql);
    if (kind == SLICE_BLOCK) {
        /* The line pointer's low byte: any key, the same share of every page. */
        strbuf_puts(out, "pg_catalog.mod(pg_catalog.get_byte(pg_catalog.tidsend(");
        sql_put_column(out, plan, "ctid");
        strbuf_printf(out, "), 5), %s)", stripes_sql);
    } else {
        put_stripe_of_key(out, plan, stripes_sql);
    }
    strbuf_printf(out, " = %s)", stripe_sql);
}

void
sql_put_expr(StrBuf *out, const RawSql *expr)
{
    strbuf_puts(out, "(");
    strbuf_puts(out, expr->text);
    /* A line break, so that a comment at the end of the text does not swallow the parenthesis. */
    strbuf_puts(out, strstr(expr->text, "--") != NULL ? "\n)" : ")");
}

void
sql_put_pinned_where(StrBuf *out, const Plan *plan, const char *now_sql)
{
    RawSql where = plan->spec->where;
    STRBUF_AUTO pinned = STRBUF_INIT;
    if (where.text == NULL) {
        return;
    }
    if (plan->purge != NULL) {
        sql_pin(&pinned, where.text, now_sql);
        where.text = strbuf_text(&pinned);
    }
    strbuf_puts(out, "\n       AND ");
    sql_put_expr(out, &where);
}

void
sql_put_where(StrBuf *out, const Plan *plan)
{
    sql_put_pinned_where(out, plan, SQL_PIN_VARIABLE);
}

/*
 * A cast is explicit coercion, which is the same as an assignment's but for the character and bit
 * types with a length: there it cuts silently where an assignment raises.  Their length coercion
 * functions take a flag for that.
 */
void
sql_put_coerced(StrBuf *out, const ColumnFacts *column, const char *value)
{
    static const char *const WITH_LENGTH[] = {"varchar", "bpchar", "bit", "varbit"};
    for (size_t i = 0; i < sizeof(WITH_LENGTH) / sizeof(WITH_LENGTH[0]); i++) {
        if (column->type_mod >= 0 && strcmp(column->base_type_name, WITH_LENGTH[i]) == 0) {
            strbuf_printf(out, "pg_catalog.\"%s\"(%s::pg_catalog.\"%s\", %d, false)",
                WITH_LENGTH[i], value, WITH_LENGTH[i], column->type_mod);
            return;
        }
    }
    strbuf_printf(out, "%s::%s", value, column->type);
}

static void
put_coerced_set(StrBuf *out, const Plan *plan, const Assignment *set)
{
    const ColumnFacts *column = facts_column(plan->facts, set->column);
    assert(column != NULL);
    STRBUF_AUTO value = STRBUF_INIT;
    sql_put_expr(&value, &set->expr);
    sql_put_coerced(out, column, strbuf_text(&value));
}

void
sql_put_differs(StrBuf *out, const Plan *plan)
{
    const JobSpec *spec = plan->spec;
    bool single = spec->set_count == 1;
    if (single) {
        /* A fresh column is NULL everywhere: the cheap test first. */
        strbuf_puts(out, "(");
        sql_put_column(out, plan, spec->set[0].column);
        strbuf_puts(out, " IS NULL AND ");
        sql_put_expr(out, &spec->set[0].expr);
        strbuf_puts(out, " IS NOT NULL OR ");
    }
    /* Image inequality: right for json, 1.0 and 1.00, -0, and collations where 'a' equals 'A'. */
    strbuf_puts(out, "pg_catalog.record_image_ne(ROW(");
    for (int i = 0; i < spec->set_count; i++) {
        strbuf_puts(out, i == 0 ? "" : ", ");
        sql_put_column(out, plan, spec->set[i].column);
    }
    strbuf_puts(out, "), ROW(");
    for (int i = 0; i < spec->set_count; i++) {
        strbuf_puts(out, i == 0 ? "" : ", ");
        put_coerced_set(out, plan, &spec->set[i]);
    }
    strbuf_puts(out, single ? ")))" : "))");
}

void
sql_put_needs_work(StrBuf *out, const Plan *plan)
{
    if (plan->self_referring) {
        return;
    }
    strbuf_puts(out, "\n       AND ");
    sql_put_differs(out, plan);
}

void
sql_put_assignments(StrBuf *out, const Plan *plan)
{
    for (int i = 0; i < plan->spec->set_count; i++) {
        strbuf_puts(out, i == 0 ? "" : ",\n           ");
        sql_put_ident(out, plan->spec->set[i].column);
        strbuf_puts(out, " = ");
        sql_put_expr(out, &plan->spec->set[i].expr);
    }
}

void
sql_put_function_name(StrBuf *out, const Plan *plan, const char *what, int64_t job)
{
    strbuf_printf(out, "pghaul.%s_%lld_%s", what, (long long)job, plan->fingerprint);
}

/* Does this stand anywhere in the SQL of the job file? */
static bool
is_in_sql(const Plan *plan, const char *part)
{
    const JobSpec *spec = plan->spec;
    bool found = spec->where.text != NULL && strcasestr(spec->where.text, part) != NULL;
    for (int i = 0; i < spec->set_count && !found; i++) {
        found = strcasestr(spec->set[i].expr.text, part) != NULL;
    }
    return found;
}

void
sql_put_search_path(StrBuf *out, const Plan *plan)
{
    if (plan->spec->search_path.count == 0) {
        sql_put_ident(out, plan->facts->table.schema);
    }
    for (int i = 0; i < plan->spec->search_path.count; i++) {
        strbuf_puts(out, i == 0 ? "" : ", ");
        sql_put_ident(out, plan->spec->search_path.names[i]);
    }
    /* Named last, else temporary tables of the caller would come first. */
    strbuf_puts(out, ", pg_temp");
}

void
sql_put_parser_settings(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "SET search_path = ");
    sql_put_search_path(out, plan);
    strbuf_putc(out, '\n');
    /* The application may read 'a\b' or x = NULL in another way than we do. */
    if (is_in_sql(plan, "\\")) {
        strbuf_puts(out, "SET standard_conforming_strings = 'on'\n");
    }
    if (is_in_sql(plan, "null")) {
        strbuf_puts(out, "SET transform_null_equals = 'off'\n");
    }
}

void
sql_put_meaning_settings(StrBuf *out, const Plan *plan)
{
    sql_put_parser_settings(out, plan);
    strbuf_puts(out, "SET \"DateStyle\" = 'ISO, YMD'\n"
                     "SET \"IntervalStyle\" = 'postgres'\n"
                     "SET \"TimeZone\" = 'UTC'\n"
                     "SET extra_float_digits = 3\n"
                     "SET bytea_output = 'hex'\n");
}

void
sql_vacuum(StrBuf *out, const Plan *plan)
{
    /* What a purge has left the planner shall know, also for the estimate of its backlog. */
    strbuf_printf(
        out, "VACUUM (%sTRUNCATE off, PARALLEL 0) ", plan->purge != NULL ? "ANALYZE, " : "");
    sql_put_table(out, plan);
    for (int i = 0; plan->purge != NULL && i < plan->purge->child_count; i++) {
        const ChildNode *node = &plan->purge->children[i];
        if (node->deleted) {
            strbuf_puts(out, ", ");
            sql_put_ident(out, node->table->schema);
            strbuf_putc(out, '.');
            sql_put_ident(out, node->table->name);
        }
    }
}

void
sql_keep_tail(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "ALTER TABLE ");
    sql_put_table(out, plan);
    strbuf_printf(out, " SET (vacuum_truncate = off%s)",
        plan->facts->table.has_toast ? ", toast.vacuum_truncate = off" : "");
}

/* ---- the target of a copy ---- */

static const CopyPlan *
copy_of(const Plan *plan)
{
    assert(plan->copy != NULL);
    return plan->copy;
}

void
sql_put_into_table(StrBuf *out, const Plan *plan)
{
    const TableFacts *into = &plan_into(plan)->table;
    sql_put_ident(out, into->schema);
    strbuf_putc(out, '.');
    sql_put_ident(out, into->name);
}

void
sql_put_into_column(StrBuf *out, const char *column)
{
    strbuf_puts(out, "pghaul_into.");
    sql_put_ident(out, column);
}

void
sql_put_into_key_list(StrBuf *out, const Plan *plan)
{
    const CopyPlan *copy = copy_of(plan);
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_puts(out, i == 0 ? "" : ", ");
        sql_put_into_column(out, copy->key[i]->name);
    }
}

void
sql_put_into_key_text(StrBuf *out, const Plan *plan)
{
    const CopyPlan *copy = copy_of(plan);
    strbuf_puts(out, "ARRAY[");
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_puts(out, i == 0 ? "" : ", ");
        sql_put_into_column(out, copy->key[i]->name);
        strbuf_puts(out, "::pg_catalog.text");
    }
    strbuf_puts(out, "]");
}

void
sql_put_into_slice(StrBuf *out, const Plan *plan)
{
    STRBUF_AUTO row = STRBUF_INIT;
    strbuf_puts(&row, plan->key_count > 1 ? "(" : "");
    sql_put_into_key_list(&row, plan);
    strbuf_puts(&row, plan->key_count > 1 ? ")" : "");
    put_key_slice(out, plan, strbuf_text(&row));
}

void
sql_put_same_key(StrBuf *out, const Plan *plan)
{
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_puts(out, i == 0 ? "" : " AND ");
        sql_put_column(out, plan, plan->key[i].name);
        strbuf_puts(out, " = ");
        sql_put_into_column(out, copy_of(plan)->key[i]->name);
    }
}

void
sql_put_map_columns(StrBuf *out, const Plan *plan)
{
    const CopyPlan *copy = copy_of(plan);
    for (int i = 0; i < copy->map_count; i++) {
        strbuf_puts(out, i == 0 ? "" : ", ");
        sql_put_ident(out, copy->map[i].target->name);
    }
}

void
sql_put_map_value(StrBuf *out, const Plan *plan, const MapColumn *column)
{
    if (column->source != NULL) {
        sql_put_column(out, plan, column->source->name);
    } else {
        sql_put_expr(out, column->expr);
    }
}

void
sql_put_map_values(StrBuf *out, const Plan *plan)
{
    const CopyPlan *copy = copy_of(plan);
    for (int i = 0; i < copy->map_count; i++) {
        strbuf_puts(out, i == 0 ? "" : ", ");
        sql_put_map_value(out, plan, &copy->map[i]);
    }
}

void
sql_put_map_coerced(StrBuf *out, const Plan *plan, const MapColumn *column)
{
    const ColumnFacts *source = column->source;
    const ColumnFacts *target = column->target;
    bool same = source != NULL && source->type_oid == target->type_oid &&
                (source->type_mod == target->type_mod || target->type_mod < 0);
    STRBUF_AUTO value = STRBUF_INIT;
    sql_put_map_value(&value, plan, column);
    if (same) {
        strbuf_puts(out, strbuf_text(&value));
    } else {
        sql_put_coerced(out, target, strbuf_text(&value));
    }
}
