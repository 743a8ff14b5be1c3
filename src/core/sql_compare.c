#include "core/sql_compare.h"

#include <string.h>

#include "core/sql_parts.h"

/* Objects of every installation have numbers below it: access/transam.h, FirstNormalObjectId. */
#define FIRST_NORMAL_OID 16384

/* ---- values ---- */

/* How the value of a column is written on both sides, so that equal ones read the same. */
typedef enum ValueForm {
    FORM_AS_IS, /* the source has the target's type already */
    FORM_CAST,  /* the source casts to the target's type */
    FORM_BASE,  /* a domain that the source may not have: both cast to what it is made of */
    FORM_TEXT,  /* a type that the source may not have: both cast to text */
} ValueForm;

static bool
is_builtin(const ColumnFacts *column)
{
    return column->type_oid < FIRST_NORMAL_OID;
}

static bool
same(const char *a, const char *b)
{
    return a != NULL && strcmp(a, b) == 0;
}

/* Columns as they are have their modifiers; an expression has none that would be known. */
static bool
has_type_already(const MapColumn *column)
{
    const ColumnFacts *target = column->target;
    if (column->source != NULL) {
        return same(column->source->type, target->type);
    }
    return target->type_mod < 0 && column->facts != NULL &&
           same(column->facts->result_type, target->type);
}

const char *
sql_compare_type(const MapColumn *column)
{
    bool asked = !is_builtin(column->target) && !has_type_already(column);
    return asked ? column->target->type : NULL;
}

static ValueForm
form_of(const Comparison *comparison, int index)
{
    const MapColumn *column = &comparison->plan->copy->map[index];
    if (has_type_already(column)) {
        return FORM_AS_IS;
    }
    if (is_builtin(column->target) || comparison->known_types[index]) {
        return FORM_CAST;
    }
    /* Names of user's types are qualified, those of builtin ones are not. */
    return strchr(column->target->base_type, '.') == NULL ? FORM_BASE : FORM_TEXT;
}

static bool
is_padded(const ColumnFacts *column)
{
    return strcmp(column->base_type_name, "bpchar") == 0;
}

/* The cast of FORM_BASE and FORM_TEXT, the same on both sides.  The length of a domain's character
 * is not known here; as text, both sides are without trailing blanks. */
static void
put_common_cast(StrBuf *out, ValueForm form, const ColumnFacts *target)
{
    if (form == FORM_BASE) {
        strbuf_printf(out, "::%s", target->base_type);
    }
    if (form == FORM_TEXT || (form == FORM_BASE && is_padded(target))) {
        strbuf_puts(out, "::pg_catalog.text");
    }
}

static void
put_source_value(StrBuf *out, const Comparison *comparison, int index)
{
    const MapColumn *column = &comparison->plan->copy->map[index];
    ValueForm form = form_of(comparison, index);
    if (form == FORM_CAST) {
        sql_put_map_coerced(out, comparison->plan, column);
        return;
    }
    sql_put_map_value(out, comparison->plan, column);
    put_common_cast(out, form, column->target);
}

/* ---- the two tables ---- */

static const Facts *
facts_of(const Plan *plan, CompareSide side)
{
    return side == COMPARE_SOURCE ? plan->facts : plan->copy->into;
}

static void
put_from(StrBuf *out, const Plan *plan, CompareSide side)
{
    strbuf_puts(out, "\n      FROM ");
    if (side == COMPARE_SOURCE) {
        sql_put_only_table(out, plan);
        return;
    }
    sql_put_into_table(out, plan);
    strbuf_puts(out, " AS pghaul_into");
}

static void
put_key_list(StrBuf *out, const Plan *plan, CompareSide side)
{
    if (side == COMPARE_SOURCE) {
        sql_put_key_list(out, plan);
    } else {
        sql_put_into_key_list(out, plan);
    }
}

static void
put_key_text(StrBuf *out, const Plan *plan, CompareSide side)
{
    if (side == COMPARE_SOURCE) {
        sql_put_key_text(out, plan);
    } else {
        sql_put_into_key_text(out, plan);
    }
}

/* Only the source's rows are chosen. */
static void
put_where(StrBuf *out, const Plan *plan, CompareSide side)
{
    if (side == COMPARE_SOURCE) {
        sql_put_where(out, plan);
    }
}

/* ($1 IS NULL OR key > $1) */
static void
put_bound(StrBuf *out, const Plan *plan, CompareSide side, int number, const char *operation)
{
    bool many = plan->key_count > 1;
    strbuf_printf(out, "($%d::pg_catalog.text[] IS NULL OR %s", number, many ? "(" : "");
    put_key_list(out, plan, side);
    strbuf_printf(out, "%s %s %s", many ? ")" : "", operation, many ? "(" : "");
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_printf(out, "%s($%d::pg_catalog.text[])[%d]::%s", i == 0 ? "" : ", ", number, i + 1,
            sql_bound_type(plan, i));
    }
    strbuf_puts(out, many ? "))" : ")");
}

static void
put_slice(StrBuf *out, const Plan *plan, CompareSide side)
{
    put_bound(out, plan, side, 1, ">");
    strbuf_puts(out, "\n       AND ");
    put_bound(out, plan, side, 2, "<=");
}

/* ---- hashes ---- */

/* The bytes that are hashed must not hang on the encoding of the database. */
static bool
is_converted(const Plan *plan, CompareSide side)
{
    const char *mine = facts_of(plan, side)->server.encoding;
    const char *other =
        facts_of(plan, side == COMPARE_SOURCE ? COMPARE_TARGET : COMPARE_SOURCE)->server.encoding;
    return strcmp(mine, other) != 0 && strcmp(mine, "UTF8") != 0 && strcmp(mine, "SQL_ASCII") != 0;
}

/* ROW(..): all columns that are compared. */
static void
put_row(StrBuf *out, const Comparison *comparison, CompareSide side)
{
    const Plan *plan = comparison->plan;
    strbuf_puts(out, "ROW(");
    for (int i = 0; i < plan->copy->map_count; i++) {
        const ColumnFacts *target = plan->copy->map[i].target;
        strbuf_puts(out, i == 0 ? "" : ", ");
        if (side == COMPARE_SOURCE) {
            put_source_value(out, comparison, i);
            continue;
        }
        sql_put_into_column(out, target->name);
        put_common_cast(out, form_of(comparison, i), target);
    }
    strbuf_puts(out, ")::pg_catalog.text");
}

static void
put_hash(StrBuf *out, const Comparison *comparison, CompareSide side)
{
    bool converted = is_converted(comparison->plan, side);
    strbuf_puts(out, converted ? "pg_catalog.md5(pg_catalog.convert_to(" : "pg_catalog.md5(");
    put_row(out, comparison, side);
    strbuf_puts(out, converted ? ", 'UTF8'))" : ")");
}

/*
 * The server's own hash of texts, with two seeds, takes less than half the time of md5.  It is not
 * promised to be the same in another release, nor on another machine; what it calls different is
 * looked at again row by row, by md5.
 */
static bool
sums_quickly(const Plan *plan)
{
    const ServerFacts *source = &plan->facts->server;
    const ServerFacts *target = &plan->copy->into->server;
    return source->version_num / 10000 == target->version_num / 10000 &&
           strcmp(source->encoding, target->encoding) == 0;
}

/* The middle of a query, after its SELECT: the rows of the slice. */
static void
put_rows_of_slice(StrBuf *out, const Comparison *comparison, CompareSide side)
{
    const Plan *plan = comparison->plan;
    put_from(out, plan, side);
    strbuf_puts(out, "\n     WHERE ");
    put_slice(out, plan, side);
    put_where(out, plan, side);
    strbuf_puts(out, "\n    OFFSET 0) AS s");
}

/* ---- statements ---- */

void
sql_compare_settings(StrBuf *out, const Plan *plan, CompareSide side)
{
    /* The number of digits of a currency is that of its locale. */
    strbuf_puts(out, "SELECT pg_catalog.set_config('lc_monetary', 'C', false),\n"
                     "       pg_catalog.set_config('transform_null_equals', 'off', false),\n"
                     "       pg_catalog.set_config('xmloption', 'content', false)");
    if (side == COMPARE_TARGET) {
        return;
    }
    STRBUF_AUTO path = STRBUF_INIT;
    sql_put_search_path(&path, plan);
    strbuf_puts(out, ",\n       pg_catalog.set_config('search_path', ");
    sql_put_literal(out, strbuf_text(&path));
    strbuf_puts(out, ", false)");
}

void
sql_compare_end(StrBuf *out, const Comparison *comparison, CompareSide side)
{
    const Plan *plan = comparison->plan;
    strbuf_puts(out, "SELECT ");
    put_key_text(out, plan, side);
    strbuf_puts(out, "\n  FROM (SELECT ");
    put_key_list(out, plan, side);
    put_from(out, plan, side);
    strbuf_puts(out, "\n     WHERE ");
    put_slice(out, plan, side);
    strbuf_puts(out, "\n     ORDER BY ");
    put_key_list(out, plan, side);
    strbuf_puts(out, "\n    OFFSET $3::pg_catalog.int8 - 1 LIMIT 1) AS ");
    sql_put_ident(out, side == COMPARE_SOURCE ? plan->facts->table.name : "pghaul_into");
}

/* A sum and not an exclusive or, in which two wrong rows that are equal would hide each other. */
void
sql_compare_sums(StrBuf *out, const Comparison *comparison, CompareSide side)
{
    static const char *const OF_TEXT[] = {
        "pg_catalog.hashtextextended(s.pghaul_row, 1)",
        "pg_catalog.hashtextextended(s.pghaul_row, 2)",
    };
    static const char *const OF_HASH[] = {
        "('x' || pg_catalog.substr(s.pghaul_row, 1, 16))::pg_catalog.bit(64)::pg_catalog.int8",
        "('x' || pg_catalog.substr(s.pghaul_row, 17, 16))::pg_catalog.bit(64)::pg_catalog.int8",
    };
    bool quickly = sums_quickly(comparison->plan);
    strbuf_puts(out, "SELECT pg_catalog.count(*)");
    for (int i = 0; i < 2; i++) {
        strbuf_printf(out, ",\n       pg_catalog.sum(%s)", quickly ? OF_TEXT[i] : OF_HASH[i]);
    }
    strbuf_puts(out, "\n  FROM (SELECT ");
    if (quickly) {
        put_row(out, comparison, side);
        strbuf_puts(out, " COLLATE pg_catalog.\"C\"");
    } else {
        put_hash(out, comparison, side);
    }
    strbuf_puts(out, " AS pghaul_row");
    put_rows_of_slice(out, comparison, side);
}

void
sql_compare_slice(StrBuf *out, const Comparison *comparison, CompareSide side)
{
    strbuf_puts(out, "SELECT s.pghaul_key,\n"
                     "       pg_catalog.string_agg(s.pghaul_hash, ',' ORDER BY s.pghaul_hash)"
                     "\n  FROM (SELECT ");
    put_key_text(out, comparison->plan, side);
    strbuf_puts(out, " AS pghaul_key, ");
    put_hash(out, comparison, side);
    strbuf_puts(out, " AS pghaul_hash");
    put_rows_of_slice(out, comparison, side);
    strbuf_puts(out, "\n GROUP BY s.pghaul_key");
}

/* ---- lists of keys ---- */

static const char KEY_LIST[] = "pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY\n"
                               "       AS pghaul_keys(pghaul_key, pghaul_place)";

/* Column `index` of a key of the list. */
static void
put_listed(StrBuf *out, const char *type, int index)
{
    strbuf_printf(out, "(pghaul_keys.pghaul_key::pg_catalog.text[])[%d]::%s", index + 1, type);
}

/* The row's key is this one of the list. */
static void
put_is_listed(StrBuf *out, const Plan *plan, CompareSide side)
{
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_puts(out, i == 0 ? "" : " AND ");
        if (side == COMPARE_SOURCE) {
            sql_put_column(out, plan, plan->key[i].name);
        } else {
            sql_put_into_column(out, plan->copy->key[i]->name);
        }
        strbuf_puts(out, " = ");
        put_listed(out, sql_bound_type(plan, i), i);
    }
}

void
sql_compare_rows(StrBuf *out, const Comparison *comparison, CompareSide side)
{
    const Plan *plan = comparison->plan;
    /* OFFSET 0 keeps it one probe of the key's index for each key. */
    strbuf_printf(out,
        "SELECT pghaul_keys.pghaul_place, pghaul_row.pghaul_hashes\n  FROM %s,\n"
        "       LATERAL (SELECT pg_catalog.string_agg(s.pghaul_hash, ','\n"
        "           ORDER BY s.pghaul_hash) AS pghaul_hashes FROM (SELECT ",
        KEY_LIST);
    put_hash(out, comparison, side);
    strbuf_puts(out, " AS pghaul_hash");
    put_from(out, plan, side);
    strbuf_puts(out, "\n     WHERE ");
    put_is_listed(out, plan, side);
    put_where(out, plan, side);
    strbuf_puts(out, "\n    OFFSET 0) AS s) AS pghaul_row");
}

void
sql_compare_lock(StrBuf *out, const Comparison *comparison)
{
    const Plan *plan = comparison->plan;
    strbuf_printf(
        out, "SELECT pg_catalog.count(*)\n  FROM %s,\n       LATERAL (SELECT 1", KEY_LIST);
    put_from(out, plan, COMPARE_SOURCE);
    strbuf_puts(out, "\n     WHERE ");
    put_is_listed(out, plan, COMPARE_SOURCE);
    strbuf_puts(out, "\n       FOR NO KEY UPDATE SKIP LOCKED) AS pghaul_row");
}

static void
put_log(StrBuf *out, const Comparison *comparison)
{
    sql_put_function_name(out, comparison->plan, "log", comparison->job);
}

/* (pghaul_key[1]::type, ..): a key of the list as the change log has it. */
static void
put_listed_values(StrBuf *out, const Plan *plan)
{
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_puts(out, i == 0 ? "" : ", ");
        put_listed(out, sql_bound_type(plan, i), i);
    }
}

static void
put_log_columns(StrBuf *out, const Plan *plan, const char *prefix)
{
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_printf(out, "%s%sk%d", i == 0 ? "" : ", ", prefix, i + 1);
    }
}

void
sql_compare_pending(StrBuf *out, const Comparison *comparison)
{
    const Plan *plan = comparison->plan;
    strbuf_printf(out, "SELECT pghaul_keys.pghaul_place\n  FROM %s\n WHERE (", KEY_LIST);
    put_listed_values(out, plan);
    strbuf_puts(out, ") IN (SELECT ");
    put_log_columns(out, plan, "l.");
    strbuf_puts(out, " FROM ");
    put_log(out, comparison);
    strbuf_puts(out, " AS l WHERE l.k1 IS NOT NULL)");
}

void
sql_compare_append(StrBuf *out, const Comparison *comparison)
{
    const Plan *plan = comparison->plan;
    strbuf_puts(out, "INSERT INTO ");
    put_log(out, comparison);
    strbuf_puts(out, " (");
    put_log_columns(out, plan, "");
    strbuf_puts(out, ")\nSELECT ");
    put_listed_values(out, plan);
    strbuf_printf(out, "\n  FROM %s", KEY_LIST);
}
