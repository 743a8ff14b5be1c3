/*
 * exprcheck_facts.c - what an expression mentions and how far its value may be trusted.
 *
 * Both are asked of the server.  A temporary view over the expression records in pg_depend which
 * columns it mentions; a whole-row reference leaves no such trace but stands in the stored tree as
 * attribute 0 of the table's row type.  Whether it is immutable is told by the attempt to index it,
 * whether it is volatile by the planner, which must not pull up a sub-select of a volatile value.
 */
#include <stdlib.h>
#include <string.h>

#include "core/castrules.h"
#include "core/jobfile.h"
#include "pg/exprcheck_parts.h"
#include "pg/params.h"

static const char SQL_MENTIONED[] =
    "SELECT v.oid,\n"
    "       r.ev_action::pg_catalog.text LIKE\n"
    "           '%:varattno 0 :vartype ' || t.reltype::pg_catalog.text || ' %',\n"
    "       pg_catalog.count(d.attnum),\n"
    "       pg_catalog.string_agg(d.attnum::pg_catalog.text, ' ' ORDER BY d.attnum)\n"
    "  FROM pg_catalog.pg_class v\n"
    "  JOIN pg_catalog.pg_rewrite r ON r.ev_class = v.oid\n"
    "  JOIN pg_catalog.pg_class t ON t.oid = $1::pg_catalog.oid\n"
    "  LEFT JOIN LATERAL (\n"
    "       SELECT DISTINCT p.refobjsubid AS attnum\n"
    "         FROM pg_catalog.pg_depend p\n"
    "        WHERE p.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid\n"
    "          AND p.objid = r.oid\n"
    "          AND p.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid\n"
    "          AND p.refobjid = t.oid AND p.refobjsubid > 0) d ON true\n"
    " WHERE v.oid = 'pg_temp.pghaul_view'::pg_catalog.regclass::pg_catalog.oid\n"
    " GROUP BY v.oid, r.oid, r.ev_action::pg_catalog.text, t.reltype";

/* Type of a column with domains resolved. */
static const char SQL_TYPE[] =
    "WITH RECURSIVE base(depth, oid, typmod) AS (\n"
    "    SELECT 0, a.atttypid, a.atttypmod\n"
    "      FROM pg_catalog.pg_attribute a\n"
    "     WHERE a.attrelid = $1::pg_catalog.oid AND a.attnum = $2::pg_catalog.int2\n"
    "    UNION ALL\n"
    "    SELECT base.depth + 1, t.typbasetype, t.typtypmod\n"
    "      FROM base\n"
    "      JOIN pg_catalog.pg_type t ON t.oid = base.oid AND t.typtype = 'd'\n"
    ")\n"
    "SELECT t.typname, base.typmod,\n"
    "       (SELECT pg_catalog.format_type(b.oid, b.typmod) FROM base b WHERE b.depth = 0)\n"
    "  FROM base\n"
    "  JOIN pg_catalog.pg_type t ON t.oid = base.oid AND t.typtype <> 'd'";

/* ---- what it mentions ---- */

static void
read_sources(const Checker *checker, const PgResult *row, ExprFacts *out)
{
    out->source_count = (int)result_int(row, 0, 2);
    out->sources =
        arena_alloc(checker->arena, ((size_t)out->source_count + 1) * sizeof(*out->sources));
    const char *text = result_text(row, 0, 3);
    for (int i = 0; i < out->source_count; i++) {
        char *end = NULL;
        out->sources[i] = (int)strtol(text, &end, 10);
        text = end;
        const ColumnFacts *column = facts_column_by_attnum(checker->facts, out->sources[i]);
        if (column == NULL) {
            continue; /* added since the facts were read */
        }
        if (checker->copies) {
            continue; /* nothing is set in the table that is read */
        }
        out->self_referring = out->self_referring || jobspec_sets(checker->spec, column->name);
        if (column->generated && out->generated_source == NULL) {
            out->generated_source = column->name;
        }
    }
}

void
exprcheck_all_columns(const Checker *checker, ExprFacts *out)
{
    const Facts *facts = checker->facts;
    out->source_count = facts->column_count;
    out->sources =
        arena_alloc(checker->arena, ((size_t)facts->column_count + 1) * sizeof(*out->sources));
    for (int i = 0; i < facts->column_count; i++) {
        out->sources[i] = facts->columns[i].attnum;
    }
}

static bool
refuse_whole_row(const Checker *checker, const RawSql *expr, Err *err)
{
    (void)jobfile_sql_error(checker->spec, expr, -1,
        "the expression takes in the whole row, and so the columns that the job sets", err);
    return err_hint(err, "Name the columns: ROW(a, b), or jsonb_build_object('a', a, 'b', b).");
}

/* Type and modifier of a column; the names live in the arena. */
static bool
read_type(const Checker *checker, const char *relation, int attnum, CastType *type,
    const char **spelled, Err *err)
{
    Params params = PARAMS_INIT;
    params_text(&params, relation);
    params_int(&params, attnum);
    PGRESULT_AUTO *row = NULL;
    if (!query_one_with(checker->conn, SQL_TYPE, &params, &row, err)) {
        return false;
    }
    type->name = result_dup(row, 0, 0, checker->arena);
    type->modifier = (int)result_int(row, 0, 1);
    *spelled = result_dup(row, 0, 2, checker->arena);
    return true;
}

static const char *
table_oid(const Checker *checker)
{
    return arena_printf(checker->arena, "%u", checker->facts->table.oid);
}

static bool
read_types(
    const Checker *checker, const char *view, const ColumnFacts *target, ExprFacts *out, Err *err)
{
    CastType from;
    CastType to;
    const char *spelled = NULL;
    if (!read_type(checker, view, 1, &from, &out->result_type, err)) {
        return false;
    }
    if (target == NULL) {
        return true;
    }
    if (!read_type(checker, table_oid(checker), target->attnum, &to, &spelled, err)) {
        return false;
    }
    out->lossy = castrules_lossy(from, to);
    return true;
}

/*
 * A view cannot have columns of an anonymous row type or of conflicting collations, an expression
 * can; its type is then of no interest, but what it mentions is.
 */
static bool
create_view(const Checker *checker, const RawSql *expr, bool *typed, Err *err)
{
    const char *after = arena_printf(
        checker->arena, ") AS x\n  FROM ONLY %s AS %s", checker->table, checker->alias);
    Probe probe =
        exprcheck_probe(checker, expr, "CREATE TEMPORARY VIEW pghaul_view AS\nSELECT (", after);
    Err answer = ERR_INIT;
    if (!exprcheck_attempt(checker, probe.sql, &answer, err)) {
        return false;
    }
    *typed = answer.cls == ERR_NONE;
    if (!*typed && strcmp(answer.sqlstate, "42P16") != 0 && strcmp(answer.sqlstate, "42P22") != 0) {
        return exprcheck_refuse(checker, &probe, &answer, err);
    }
    if (!*typed) {
        after = arena_printf(
            checker->arena, ") IS NULL AS x\n  FROM ONLY %s AS %s", checker->table, checker->alias);
        probe =
            exprcheck_probe(checker, expr, "CREATE TEMPORARY VIEW pghaul_view AS\nSELECT (", after);
    }
    answer = ERR_INIT;
    return query_run(checker->conn, probe.sql, NULL, &answer) ||
           exprcheck_refuse(checker, &probe, &answer, err);
}

bool
exprcheck_depends(
    const Checker *checker, const RawSql *expr, const ColumnFacts *target, ExprFacts *out, Err *err)
{
    bool typed = false;
    PGRESULT_AUTO *row = NULL;
    Params params = PARAMS_INIT;
    params_text(&params, table_oid(checker));
    if (!create_view(checker, expr, &typed, err) ||
        !query_one_with(checker->conn, SQL_MENTIONED, &params, &row, err)) {
        return false;
    }
    bool whole_row = result_bool(row, 0, 1);
    if (whole_row && checker->spec->kind == KIND_BACKFILL) {
        return refuse_whole_row(checker, expr, err);
    }
    if (whole_row) {
        exprcheck_all_columns(checker, out);
    } else {
        read_sources(checker, row, out);
    }
    if (!exprcheck_needs(checker, out, err)) {
        return false;
    }
    if (typed && !read_types(checker, result_text(row, 0, 0), target, out, err)) {
        return false;
    }
    return query_run(checker->conn, "DROP VIEW pg_temp.pghaul_view", NULL, err);
}

/* ---- how far its value may be trusted ---- */

bool
exprcheck_volatile(const Checker *checker, const RawSql *expr, bool *verdict, Err *err)
{
    const char *twin = arena_printf(checker->arena, "pg_temp.%s", checker->alias);
    const char *after = arena_printf(checker->arena,
        ") AS x\n          FROM ONLY %s AS %s) AS pghaul_value\n WHERE x IS NOT NULL",
        checker->parses_only ? checker->table : twin, checker->alias);
    Probe probe = exprcheck_probe(
        checker, expr, "EXPLAIN (FORMAT JSON, COSTS OFF)\nSELECT x\n  FROM (SELECT (", after);
    PGRESULT_AUTO *plan = NULL;
    Err answer = ERR_INIT;
    if (!query_run(checker->conn, probe.sql, &plan, &answer)) {
        return exprcheck_refuse(checker, &probe, &answer, err);
    }
    /* Text of the user's appears in the plan only inside strings, where quotes are escaped. */
    *verdict = result_rows(plan) == 1 &&
               strstr(result_text(plan, 0, 0), "\"Alias\": \"pghaul_value\"") != NULL;
    return true;
}

bool
exprcheck_matches(const Checker *checker, const RawSql *where, double *rows, Err *err)
{
    static const char ROWS[] = "\"Plan Rows\": "; /* first of the topmost node */
    const char *before =
        arena_printf(checker->arena, "EXPLAIN (FORMAT JSON)\nSELECT FROM ONLY %s AS %s\n WHERE (",
            checker->table, checker->alias);
    Probe probe = exprcheck_probe(checker, where, before, ")");
    PGRESULT_AUTO *plan = NULL;
    Err answer = ERR_INIT;
    *rows = -1;
    if (!exprcheck_attempt(checker, probe.sql, &answer, err)) {
        return false;
    }
    if (answer.cls != ERR_NONE) {
        return true; /* the findings say which right is missing */
    }
    if (!query_run(checker->conn, probe.sql, &plan, err)) {
        return false;
    }
    const char *at = result_rows(plan) == 1 ? strstr(result_text(plan, 0, 0), ROWS) : NULL;
    *rows = at == NULL ? -1 : strtod(at + strlen(ROWS), NULL);
    return true;
}

bool
exprcheck_mutability(const Checker *checker, const RawSql *expr, ExprFacts *out, Err *err)
{
    /* IS NULL, because not every type has an order to index by. */
    const char *before =
        arena_printf(checker->arena, "CREATE INDEX ON pg_temp.%s (((", checker->alias);
    Probe probe = exprcheck_probe(checker, expr, before, ") IS NULL))");
    Err answer = ERR_INIT;
    if (!exprcheck_attempt(checker, probe.sql, &answer, err)) {
        return false;
    }
    out->immutable = answer.cls == ERR_NONE;
    if (out->immutable) {
        return true;
    }
    /* 42P17: a function that is not immutable; 0A000: a subquery. */
    if (strcmp(answer.sqlstate, "42P17") != 0 && strcmp(answer.sqlstate, "0A000") != 0) {
        return exprcheck_refuse(checker, &probe, &answer, err);
    }
    return exprcheck_volatile(checker, expr, &out->is_volatile, err);
}
