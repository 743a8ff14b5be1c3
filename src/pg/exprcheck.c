/*
 * exprcheck.c - the SQL of a job file, judged by the server's own parser.
 *
 * The expression is raw text that later stands in parentheses inside longer statements, so it must
 * be one expression and must not be able to end those parentheses: (a) OR (b), or (x), (y).  Two
 * frames with different ends are tried, (..) and CASE .. END; only balanced text fits both.
 *
 * The last test looks at it the way the batch function and the trigger do: inside PL/pgSQL, over a
 * row that comes from a sub-select.  Names that meet variables there, and names that only a real
 * table offers (ctid, schema.table.column), show up then and not before.
 */
#include "pg/exprcheck.h"

#include <string.h>

#include "core/ident.h"
#include "core/jobfile.h"
#include "pg/exprcheck_parts.h"
#include "pg/params.h"

/* ---- probes ---- */

/* Positions of the server count characters; continuation bytes of UTF-8 are 10xxxxxx. */
static int
count_chars(const char *text)
{
    int count = 0;
    for (; *text != '\0'; text++) {
        count += ((unsigned char)*text & 0xc0U) != 0x80U ? 1 : 0;
    }
    return count;
}

Probe
exprcheck_probe(const Checker *checker, const RawSql *expr, const char *before, const char *after)
{
    return (Probe){
        .expr = expr,
        .sql = arena_printf(checker->arena, "%s%s\n%s", before, expr->text, after),
        .start_chars = count_chars(before),
    };
}

static bool
is_about_the_sql(const Err *answer)
{
    switch (answer->cls) {
    case ERR_RETRY:
    case ERR_TIMEOUT:
    case ERR_RECONNECT:
    case ERR_SLOTS:
    case ERR_RESOURCE:
    case ERR_STOPPED:
    case ERR_CONNECT:
        return false;
    case ERR_NONE:
    case ERR_POISON:
    case ERR_CORRUPT:
    case ERR_DRIFT:
    case ERR_USER:
    case ERR_REFUSED:
    case ERR_DIFFERENCE:
    case ERR_BUSY:
    case ERR_LIMIT:
    case ERR_FATAL:
        break;
    }
    return answer->sqlstate[0] != '\0';
}

bool
exprcheck_refuse(const Checker *checker, const Probe *probe, const Err *answer, Err *err)
{
    if (!is_about_the_sql(answer)) {
        *err = *answer;
        return false;
    }
    int offset = answer->position - 1 - probe->start_chars;
    (void)jobfile_sql_error(
        checker->spec, probe->expr, offset < 0 ? -1 : offset, answer->message, err);
    memcpy(err->sqlstate, answer->sqlstate, sizeof(err->sqlstate));
    return answer->hint[0] == '\0' ? false : err_hint(err, "%s", answer->hint);
}

bool
exprcheck_attempt(const Checker *checker, const char *sql, Err *answer, Err *err)
{
    *answer = ERR_INIT;
    if (!query_run(checker->conn, "SAVEPOINT pghaul_attempt", NULL, err)) {
        return false;
    }
    if (!query_run(checker->conn, sql, NULL, answer) && !is_about_the_sql(answer)) {
        *err = *answer;
        return false;
    }
    return query_run(checker->conn, "ROLLBACK TO SAVEPOINT pghaul_attempt", NULL, err);
}

/* ---- is it one expression, and does it fit? ---- */

bool
exprcheck_parse(const Checker *checker, const Probe *probe, QueryShape *shape, Err *err)
{
    QueryShape unused;
    shape = shape == NULL ? &unused : shape;
    Err answer = ERR_INIT;
    if (!query_parse(checker->conn, probe->sql, shape, &answer)) {
        return exprcheck_refuse(checker, probe, &answer, err);
    }
    if (shape->column_count > 1) {
        (void)jobfile_sql_error(
            checker->spec, probe->expr, -1, "this is more than one expression", err);
        return err_hint(err, "Write one expression for each column.");
    }
    return true;
}

const char *
exprcheck_from(const Checker *checker, const char *before)
{
    return arena_printf(
        checker->arena, "%s\n  FROM ONLY %s AS %s", before, checker->table, checker->alias);
}

static bool
check_frames(const Checker *checker, const RawSql *expr, Err *err)
{
    Probe plain = exprcheck_probe(checker, expr, "SELECT (", exprcheck_from(checker, ")"));
    if (!exprcheck_parse(checker, &plain, NULL, err)) {
        return false;
    }
    Probe framed = exprcheck_probe(
        checker, expr, "SELECT CASE WHEN true THEN ", exprcheck_from(checker, "END"));
    if (exprcheck_parse(checker, &framed, NULL, err)) {
        return true;
    }
    if (strcmp(err->sqlstate, "42601") == 0 && err->hint[0] == '\0') {
        (void)err_hint(err, "Write one expression with balanced parentheses; a subquery needs "
                            "parentheses of its own.");
    }
    return false;
}

/* Columns that cannot be assigned to are left to the findings. */
static bool
check_assignment(const Checker *checker, const RawSql *expr, const ColumnFacts *target, Err *err)
{
    if (target == NULL || target->generated || target->identity) {
        return true;
    }
    STRBUF_AUTO before = STRBUF_INIT;
    strbuf_printf(&before, "UPDATE ONLY %s AS %s\n   SET ", checker->table, checker->alias);
    if (!quote_ident(&before, target->name, err)) {
        return false;
    }
    strbuf_puts(&before, " = (");
    Probe probe = exprcheck_probe(checker, expr, strbuf_text(&before), ")");
    return exprcheck_parse(checker, &probe, NULL, err);
}

static bool
check_condition(const Checker *checker, const RawSql *expr, Err *err)
{
    const char *before = arena_printf(
        checker->arena, "SELECT 1\n  FROM ONLY %s AS %s\n WHERE (", checker->table, checker->alias);
    Probe probe = exprcheck_probe(checker, expr, before, ")");
    return exprcheck_parse(checker, &probe, NULL, err);
}

/* No row passes WHERE false, so that nothing of the user's is evaluated. */
static bool
check_in_function(const Checker *checker, const RawSql *expr, Err *err)
{
    STRBUF_AUTO body = STRBUF_INIT;
    strbuf_printf(&body,
        "#variable_conflict use_column\n"
        "DECLARE\n"
        "    pghaul_row record;\n"
        "BEGIN\n"
        "    SELECT (%s\n) AS pghaul_value INTO pghaul_row\n"
        "      FROM (SELECT (NULL::%s).*) AS %s\n"
        "     WHERE false;\n"
        "END",
        expr->text, checker->table, checker->alias);
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_puts(&sql, "DO LANGUAGE plpgsql ");
    quote_literal_append(&sql, strbuf_text(&body));

    Err answer = ERR_INIT;
    if (!exprcheck_attempt(checker, strbuf_text(&sql), &answer, err)) {
        return false;
    }
    if (answer.cls == ERR_NONE || strncmp(answer.sqlstate, "42", 2) != 0) {
        return true; /* values that the planner computed from NULL are no fault of the text */
    }
    Probe probe = {.expr = expr, .sql = strbuf_text(&sql)};
    answer.position = 0; /* it counts inside the quoted body */
    (void)exprcheck_refuse(checker, &probe, &answer, err);
    (void)err_hint(err, "It is evaluated in a function over the columns of one row: columns "
                        "like ctid and names like schema.table.column are not known there.");
    return false;
}

/* ---- all of it ---- */

static const ExprFacts HARMLESS = {.result_type = "unknown", .immutable = true, .match_rows = -1};

static bool
may_evaluate(const ExprFacts *expr)
{
    for (int i = 0; i < expr->need_count; i++) {
        if (!expr->needs[i].granted) {
            return false;
        }
    }
    return true;
}

/* The rest looks at an expression through the executor, which asks for privileges; where one is
 * missing the findings name it. */
static bool
check_expression(
    const Checker *checker, const RawSql *expr, const ColumnFacts *target, ExprFacts *out, Err *err)
{
    if (checker->parses_only) {
        exprcheck_all_columns(checker, out);
        return exprcheck_volatile(checker, expr, &out->is_volatile, err);
    }
    if (checker->copies) {
        return exprcheck_depends(checker, expr, NULL, out, err) &&
               (!may_evaluate(out) || exprcheck_mutability(checker, expr, out, err));
    }
    return exprcheck_depends(checker, expr, target, out, err) &&
           (!may_evaluate(out) || (check_in_function(checker, expr, err) &&
                                      exprcheck_mutability(checker, expr, out, err)));
}

static bool
check_set(const Checker *checker, const Assignment *assignment, ExprFacts *out, Err *err)
{
    const Facts *facts = checker->copies ? checker->facts->into : checker->facts;
    const ColumnFacts *target = facts_column(facts, assignment->column);
    if (checker->copies) {
        return check_frames(checker, &assignment->expr, err) &&
               check_expression(checker, &assignment->expr, NULL, out, err) &&
               exprcheck_assign(checker, &assignment->expr, target, out, err);
    }
    return check_frames(checker, &assignment->expr, err) &&
           check_assignment(checker, &assignment->expr, target, err) &&
           check_expression(checker, &assignment->expr, target, out, err);
}

static bool
check_where(const Checker *checker, const RawSql *where, ExprFacts *out, Err *err)
{
    return check_condition(checker, where, err) && check_frames(checker, where, err) &&
           check_expression(checker, where, NULL, out, err) &&
           (checker->spec->kind != KIND_PURGE || !may_evaluate(out) ||
               exprcheck_matches(checker, where, &out->match_rows, err));
}

static const char SAVEPOINT[] = "SAVEPOINT pghaul_expression";

/* Keep what is wrong with one expression and go on with the next. */
static bool
keep_refusal(const Checker *checker, ExprFacts *out, Err *first, Err *err)
{
    if (err->cls != ERR_USER) {
        return false;
    }
    *out = HARMLESS;
    out->refusal = arena_strdup(checker->arena, err->message);
    out->refusal_hint = err->hint[0] == '\0' ? NULL : arena_strdup(checker->arena, err->hint);
    if (first->cls == ERR_NONE) {
        *first = *err;
    }
    *err = ERR_INIT;
    return query_run(checker->conn, "ROLLBACK TO SAVEPOINT pghaul_expression", NULL, err);
}

/* Columns of the target that no assignment names and the source has. */
static bool
check_as_is(const Checker *checker, ExprReport *report, Err *first, Err *err)
{
    const Facts *into = checker->facts->into;
    for (int i = 0; i < into->column_count; i++) {
        const ColumnFacts *target = &into->columns[i];
        const ColumnFacts *source = facts_column(checker->facts, target->name);
        if (source == NULL || target->generated || jobspec_sets(checker->spec, target->name)) {
            continue;
        }
        if (!query_run(checker->conn, SAVEPOINT, NULL, err) ||
            (!exprcheck_as_is(checker, source, target, &report->as_is[i], err) &&
                !keep_refusal(checker, &report->as_is[i], first, err))) {
            return false;
        }
    }
    return true;
}

static bool
check_all(const Checker *checker, ExprReport *report, Err *err)
{
    const JobSpec *spec = checker->spec;
    Err first = ERR_INIT;
    for (int i = 0; i < spec->set_count; i++) {
        if (!query_run(checker->conn, SAVEPOINT, NULL, err) ||
            (!check_set(checker, &spec->set[i], &report->set[i], err) &&
                !keep_refusal(checker, &report->set[i], &first, err))) {
            return false;
        }
    }
    if (report->where != NULL && (!query_run(checker->conn, SAVEPOINT, NULL, err) ||
                                     (!check_where(checker, &spec->where, report->where, err) &&
                                         !keep_refusal(checker, report->where, &first, err)))) {
        return false;
    }
    if (checker->copies && !check_as_is(checker, report, &first, err)) {
        return false;
    }
    *err = first;
    return first.cls == ERR_NONE;
}

/* The path of the generated functions; pg_catalog comes first unless the job names it itself, and
 * temporary objects come last. */
static bool
set_search_path(const Checker *checker, Err *err)
{
    const JobSpec *spec = checker->spec;
    STRBUF_AUTO path = STRBUF_INIT;
    int count = spec->search_path.count;
    for (int i = 0; i < count; i++) {
        if (!quote_ident(&path, spec->search_path.names[i], err)) {
            return false;
        }
        strbuf_puts(&path, ", ");
    }
    if (count == 0) {
        if (!quote_ident(&path, checker->facts->table.schema, err)) {
            return false;
        }
        strbuf_puts(&path, ", ");
    }
    strbuf_puts(&path, "pg_temp");

    Params params = PARAMS_INIT;
    params_text(&params, strbuf_text(&path));
    return query_with(checker->conn,
        "SELECT pg_catalog.set_config('search_path', $1::pg_catalog.text, true)", &params, NULL,
        err);
}

/* An empty table of our own with the same name and columns, where an index may be tried. */
static bool
create_twin(const Checker *checker, Err *err)
{
    const char *sql = arena_printf(checker->arena,
        "CREATE TEMPORARY TABLE %s AS\nSELECT * FROM ONLY %s WITH NO DATA", checker->alias,
        checker->table);
    if (query_run(checker->conn, sql, NULL, err)) {
        return true;
    }
    if (strcmp(err->sqlstate, "42501") == 0) {
        (void)err_hint(err, "Expressions are tried on an empty temporary table: GRANT TEMPORARY "
                            "ON DATABASE .. TO the role.");
    }
    return err_wrap(err, "temporary table");
}

static bool
checker_init(Checker *checker, Err *err)
{
    const TableFacts *table = &checker->facts->table;
    STRBUF_AUTO qualified = STRBUF_INIT;
    STRBUF_AUTO alias = STRBUF_INIT;
    if (!quote_qualified(&qualified, table->schema, table->name, err) ||
        !quote_ident(&alias, table->name, err)) {
        return false;
    }
    checker->table = arena_strdup(checker->arena, strbuf_text(&qualified));
    checker->alias = arena_strdup(checker->arena, strbuf_text(&alias));
    return true;
}

static ExprFacts *
harmless(int count, Arena *arena)
{
    ExprFacts *facts = arena_alloc(arena, ((size_t)count + 1) * sizeof(*facts));
    for (int i = 0; i < count; i++) {
        facts[i] = HARMLESS;
    }
    return facts;
}

static void
report_init(const JobSpec *spec, const Facts *facts, Arena *arena, ExprReport *report)
{
    *report = (ExprReport){
        .set = harmless(spec->set_count, arena),
        .as_is = facts->into == NULL ? NULL : harmless(facts->into->column_count, arena),
        .where = spec->where.text == NULL ? NULL : harmless(1, arena),
    };
}

/* A standby may be read by a copy, and a role that may only read. */
static bool
may_create(const Facts *facts)
{
    return facts->server.may_create_temporary && !facts->server.in_recovery;
}

bool
exprcheck_run(PgConn *conn, const JobSpec *spec, const Facts *facts, Arena *arena,
    ExprReport *report, Err *err)
{
    const TableFacts *table = &facts->table;
    Checker checker = {.conn = conn,
        .spec = spec,
        .facts = facts,
        .arena = arena,
        .copies = spec->kind == KIND_COPY};
    checker.parses_only = checker.copies && !may_create(facts);
    report_init(spec, facts, arena, report);
    if (table->relkind != 'r' || table->persistence == 't' || !table->may_use_schema ||
        table->row_security_filters || (!checker.copies && !may_create(facts))) {
        return true;
    }
    if (!checker_init(&checker, err) ||
        !query_run(conn, checker.parses_only ? "BEGIN" : "BEGIN READ WRITE", NULL, err)) {
        return false;
    }
    bool ok = set_search_path(&checker, err) &&
              (checker.parses_only || create_twin(&checker, err)) &&
              check_all(&checker, report, err);
    Err undo = ERR_INIT;
    if (!query_run(conn, "ROLLBACK", NULL, &undo) && ok) {
        *err = undo;
        return false;
    }
    return ok;
}
