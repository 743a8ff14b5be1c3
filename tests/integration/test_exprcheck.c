/*
 * test_exprcheck.c - what the server says of expressions, and where in the job file it says it.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/jobfile.h"
#include "harness/harness.h"
#include "harness/pgcluster.h"
#include "harness/session.h"
#include "pg/catalog.h"
#include "pg/exprcheck.h"

typedef struct Fixture {
    PgCluster *cluster;
    const char *dbname;
    PGconn *sql;
    PgConn *conn;
    Arena arena;
    JobSpec spec;
    Facts facts;
    ExprReport report;
    Err err;
} Fixture;

static const char TABLE[] =
    "CREATE TABLE orders (gone int, id bigint PRIMARY KEY, amount_text text, amount numeric(10,2),"
    " hits int, day date, at timestamptz, doc json, note varchar(10), twice int GENERATED ALWAYS AS"
    " (hits * 2) STORED, \"new\" int, found int, \"Na\xc3\xafve\" text);"
    "ALTER TABLE orders DROP COLUMN gone;"
    "INSERT INTO orders (id, amount_text, hits) VALUES (1, 'not a number', 1);"
    "CREATE TABLE other (id bigint, v int);"
    "CREATE SEQUENCE seq;";

static Fixture
fixture_new(const char *setup)
{
    Fixture f = {.cluster = cluster_shared(), .arena = ARENA_INIT, .err = ERR_INIT};
    f.dbname = cluster_create_database(f.cluster, NULL);
    const char *uri = cluster_uri(f.cluster, f.dbname);
    f.sql = pg_open(uri);
    pg_exec(f.sql, TABLE);
    pg_exec(f.sql, setup);
    ConnTarget target = {.dbname = uri};
    Err err = ERR_INIT;
    if (!conn_open(&target, CONN_CATALOG, "test", SECONDS_US(20), &f.conn, &err)) {
        harness_fail("connect: %s", err.message);
    }
    return f;
}

static void
fixture_free(Fixture *f)
{
    conn_close(f->conn);
    pg_close(f->sql);
    cluster_drop_database(f->cluster, f->dbname);
    cluster_stop(f->cluster);
    arena_reset(&f->arena);
}

static bool
check_file(Fixture *f, const char *text)
{
    Err err = ERR_INIT;
    f->err = ERR_INIT;
    if (!jobfile_parse("j.yaml", text, strlen(text), &f->arena, &f->spec, &err) ||
        !catalog_read(f->conn, &f->spec, catalog_source(&f->spec), &f->arena, &f->facts, &err)) {
        harness_fail("%s", err.message);
    }
    bool ok = exprcheck_run(f->conn, &f->spec, &f->facts, &f->arena, &f->report, &f->err);
    cr_expect(conn_is_idle(f->conn), "a transaction was left open");
    return ok;
}

/* One assignment, as a block scalar so that no character means anything to YAML. */
static bool
check(Fixture *f, const char *column, const char *expr)
{
    return check_file(f,
        arena_printf(&f->arena, "job: j\nbackfill: orders\nset:\n  %s: |\n    %s\n", column, expr));
}

static const ExprFacts *
must_pass(Fixture *f, const char *column, const char *expr)
{
    cr_assert(check(f, column, expr), "%s: %s", expr, f->err.message);
    return &f->report.set[0];
}

static void
must_fail(Fixture *f, const char *column, const char *expr, const char *message)
{
    cr_expect(not(check(f, column, expr)), "%s was accepted", expr);
    cr_expect(eq(int, f->err.cls, ERR_USER), "%s: %s", expr, f->err.message);
    cr_expect(strstr(f->err.message, message) != NULL, "%s: %s", expr, f->err.message);
}

static void
expect_hint(const Fixture *f, const char *part)
{
    cr_expect(strstr(f->err.hint, part) != NULL, "hint of %s: %s", f->err.message, f->err.hint);
}

/* ---- facts ---- */

Test(exprcheck, type_sources_and_immutability_are_read)
{
    Fixture f = fixture_new("");
    const ExprFacts *expr = must_pass(&f, "amount", "amount_text::numeric(10,2)");
    cr_expect(zero(int, strcmp(expr->result_type, "numeric(10,2)")), "%s", expr->result_type);
    cr_expect(expr->immutable && !expr->is_volatile && !expr->self_referring && !expr->lossy);
    cr_expect(expr->generated_source == NULL);
    cr_assert(eq(int, expr->source_count, 1));
    cr_expect(eq(int, expr->sources[0], 3));

    expr = must_pass(&f, "amount", "CASE WHEN id > 3 AND orders.amount_text <> '' THEN hits END");
    cr_assert(eq(int, expr->source_count, 3));
    cr_expect(expr->sources[0] == 2 && expr->sources[1] == 3 && expr->sources[2] == 5);
    expr = must_pass(&f, "hits", "42 -- the answer");
    cr_expect(expr->immutable && expr->source_count == 0);
    fixture_free(&f);
}

Test(exprcheck, self_reference_is_seen_also_through_another_set_column)
{
    Fixture f = fixture_new("");
    cr_expect(must_pass(&f, "hits", "hits * 10")->self_referring);
    cr_expect(must_pass(&f, "hits", "(orders).hits + 1")->self_referring);
    cr_assert(
        check_file(&f, "job: j\nbackfill: orders\nset:\n  hits: id::int\n  amount: hits * 2\n"));
    cr_expect(not(f.report.set[0].self_referring));
    cr_expect(f.report.set[1].self_referring);
    fixture_free(&f);
}

Test(exprcheck, generated_source_is_named)
{
    Fixture f = fixture_new("");
    const ExprFacts *expr = must_pass(&f, "amount", "twice + 1");
    cr_assert(expr->generated_source != NULL);
    cr_expect(zero(int, strcmp(expr->generated_source, "twice")));
    fixture_free(&f);
}

Test(exprcheck, stable_and_volatile_are_told_apart)
{
    Fixture f = fixture_new("CREATE FUNCTION twist(int) RETURNS int LANGUAGE plpgsql VOLATILE"
                            " AS 'BEGIN RETURN $1; END'");
    static const struct {
        const char *column, *expr;
        bool immutable, is_volatile;
    } CASES[] = {
        {"day", "(at AT TIME ZONE 'UTC')::date", true, false},
        {"day", "at::date", false, false},
        {"at", "now()", false, false},
        {"amount", "(SELECT max(v) FROM other WHERE other.id = orders.id)", false, false},
        {"amount", "random()", false, true},
        {"hits", "twist(id::int)", false, true},
        {"hits", "nextval('seq')", false, true},
        {"amount_text", "gen_random_uuid()::text", false, true},
        {"amount", "(SELECT random())", false, true},
        {"note", "'\"Alias\": \"pghaul_value\"' || clock_timestamp()::date", false, true},
        {"amount_text", "'\"Alias\": \"pghaul_value\"' || now()", false, false},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        const ExprFacts *expr = must_pass(&f, CASES[i].column, CASES[i].expr);
        cr_expect(eq(int, expr->immutable, CASES[i].immutable), "%s", CASES[i].expr);
        cr_expect(eq(int, expr->is_volatile, CASES[i].is_volatile), "%s", CASES[i].expr);
    }
    fixture_free(&f);
}

Test(exprcheck, lossy_assignments_are_found_by_type_and_modifier)
{
    Fixture f = fixture_new("CREATE DOMAIN cents AS numeric(8,2); CREATE DOMAIN price AS cents;"
                            "ALTER TABLE orders ADD COLUMN price price");
    static const struct {
        const char *column, *expr;
        bool lossy;
    } CASES[] = {
        {"amount", "amount_text::numeric", true},
        {"amount", "amount_text::numeric(12,2)", false},
        {"amount", "hits", false},
        {"amount", "price", false},
        {"price", "amount", false},
        {"price", "amount_text::numeric", true},
        {"hits", "amount_text::float8", true},
        {"hits", "id", false},
        {"day", "at", true},
        {"note", "amount_text", false},
        {"amount_text", "NULL", false},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        const ExprFacts *expr = must_pass(&f, CASES[i].column, CASES[i].expr);
        cr_expect(eq(int, expr->lossy, CASES[i].lossy), "%s: %s", CASES[i].column, CASES[i].expr);
    }
    fixture_free(&f);
}

Test(exprcheck, types_without_an_order_or_a_name_are_fine)
{
    Fixture f =
        fixture_new("CREATE TYPE pair AS (a int, b text);"
                    "ALTER TABLE orders ADD COLUMN p pair,"
                    " ADD COLUMN c1 text COLLATE \"C\", ADD COLUMN c2 text COLLATE \"POSIX\"");
    cr_expect(must_pass(&f, "doc", "json_build_object('a', amount_text)")->source_count == 1);
    cr_expect(must_pass(&f, "p", "ROW(hits, amount_text)")->source_count == 2);
    cr_expect(must_pass(&f, "note", "c1 || c2")->source_count == 2);
    fixture_free(&f);
}

Test(exprcheck, columns_named_like_variables_of_functions_are_fine)
{
    Fixture f = fixture_new("");
    const ExprFacts *expr = must_pass(&f, "amount", "\"new\" + found + length(\"Na\xc3\xafve\")");
    cr_expect(eq(int, expr->source_count, 3));
    fixture_free(&f);
}

Test(exprcheck, names_resolve_by_the_search_path_of_the_job)
{
    Fixture f = fixture_new("CREATE SCHEMA util; CREATE SCHEMA shop;"
                            "CREATE FUNCTION util.clean(text) RETURNS text LANGUAGE sql IMMUTABLE"
                            " AS 'SELECT trim($1)';"
                            "CREATE FUNCTION shop.own(int) RETURNS int LANGUAGE sql IMMUTABLE"
                            " AS 'SELECT $1';"
                            "CREATE TABLE shop.items (id int PRIMARY KEY, a text, n int)");
    cr_expect(not(check(&f, "note", "clean(amount_text)")));
    cr_assert(check_file(&f, "job: j\nbackfill: orders\nset:\n  note: clean(amount_text)\n"
                             "search_path: [util]\n"),
        "%s", f.err.message);
    cr_assert(check_file(&f, "job: j\nbackfill: shop.items\nset:\n  n: own(items.id)\n"), "%s",
        f.err.message);
    cr_expect(f.report.set[0].immutable);
    fixture_free(&f);
}

/* ---- refusals ---- */

Test(exprcheck, server_errors_point_into_the_job_file)
{
    Fixture f = fixture_new("");
    must_fail(&f, "amount", "amount_txt::numeric", "j.yaml:5:5: column \"amount_txt\" does not");
    expect_hint(&f, "amount_text");
    cr_expect(zero(int, strcmp(f.err.sqlstate, "42703")));
    must_fail(&f, "amount", "hits +", "j.yaml:");
    must_fail(&f, "amount", "\"Na\xc3\xafve\" || oops", "j.yaml:5:16: column \"oops\"");
    must_fail(&f, "amount", "hits +\n    oops", "j.yaml:6:5: column \"oops\"");
    must_fail(&f, "amount", "amount_text", "j.yaml:5:5: column \"amount\" is of type numeric");
    expect_hint(&f, "cast");
    must_fail(&f, "amount", "'x'::int", "j.yaml:5:5: invalid input syntax");
    must_fail(&f, "amount", "no_such(hits)", "j.yaml:5:5: function no_such(integer)");
    must_fail(&f, "amount", "$1", "parameter");
    must_fail(&f, "amount", "sum(hits)", "aggregate");
    must_fail(&f, "amount", "generate_series(1, hits)", "set-returning");
    fixture_free(&f);
}

Test(exprcheck, text_that_leaves_its_parentheses_is_refused)
{
    Fixture f = fixture_new("");
    must_fail(&f, "amount", "hits), (id", "more than one");
    must_fail(&f, "amount", "hits) + (id", "syntax error");
    expect_hint(&f, "balanced");
    must_fail(&f, "amount", "1) UNION SELECT (2", "syntax error");
    must_fail(&f, "amount", "1); DROP TABLE other; SELECT (1", "multiple commands");
    must_fail(&f, "amount", "SELECT 1", "syntax error");
    expect_hint(&f, "subquery");
    must_fail(&f, "amount", "1 /* open", "unterminated");
    must_fail(&f, "amount", "1 END, CASE WHEN true THEN 2", "syntax error");
    cr_expect(eq(i64, 0, pg_int(f.sql, "SELECT count(*) FROM other")));
    fixture_free(&f);
}

Test(exprcheck, whole_rows_are_refused_in_every_spelling)
{
    Fixture f = fixture_new("");
    static const char *const EXPRS[] = {"to_json(orders)", "to_json(orders.*)",
        "(SELECT to_json(orders))", "CASE WHEN orders IS NULL THEN '{}'::json END",
        "(SELECT to_json(o) FROM public.orders o WHERE o.id = orders.id)"};
    for (size_t i = 0; i < sizeof(EXPRS) / sizeof(EXPRS[0]); i++) {
        must_fail(&f, "doc", EXPRS[i], "whole row");
        expect_hint(&f, "Name the columns");
    }
    /* of another table, or only as a text constant, it is no whole row of ours */
    (void)must_pass(&f, "doc", "(SELECT to_json(other) FROM other WHERE other.id = orders.id)");
    (void)must_pass(&f, "amount_text", "'{VAR :varno 1 :varattno 0 :vartype 1'");
    fixture_free(&f);
}

Test(exprcheck, names_that_only_a_real_table_has_are_refused)
{
    Fixture f = fixture_new("");
    must_fail(&f, "amount_text", "ctid::text", "ctid");
    expect_hint(&f, "function");
    must_fail(&f, "hits", "public.orders.id::int", "orders");
    fixture_free(&f);
}

/* ---- where ---- */

Test(exprcheck, where_is_checked_like_an_expression)
{
    Fixture f = fixture_new("");
    static const char FILE[] = "job: j\nbackfill: orders\nset:\n  hits: id::int\nwhere: %s\n";
#define WHERE(text) check_file(&f, arena_printf(&f.arena, FILE, (text)))
    cr_assert(WHERE("day > '2020-01-01'"), "%s", f.err.message);
    cr_assert(f.report.where != NULL);
    cr_expect(f.report.where->immutable && !f.report.where->self_referring);
    cr_expect(eq(int, f.report.where->source_count, 1));

    cr_assert(WHERE("hits IS NULL"), "%s", f.err.message);
    cr_expect(f.report.where->self_referring);
    cr_assert(WHERE("at < now()"), "%s", f.err.message);
    cr_expect(not(f.report.where->immutable));
    cr_assert(WHERE("random() < 0.5"), "%s", f.err.message);
    cr_expect(f.report.where->is_volatile);

    cr_expect(not(WHERE("id")));
    cr_expect(strstr(f.err.message, "j.yaml:5:8: argument of WHERE") != NULL, "%s", f.err.message);
    cr_expect(not(WHERE("id > 1) OR (true")));
    cr_expect(eq(int, f.err.cls, ERR_USER));
    cr_assert(check(&f, "hits", "id::int"));
    cr_expect(f.report.where == NULL);
    fixture_free(&f);
}

/* ---- manners ---- */

Test(exprcheck, predicate_of_a_purge_may_be_of_the_whole_row_and_its_rows_are_estimated)
{
    Fixture f = fixture_new("INSERT INTO orders (id, hits) SELECT g, g % 10 FROM"
                            " generate_series(2, 1000) g; ANALYZE orders");
    static const char PURGE[] = "job: j\npurge: orders\nwhere: |\n  ";
    cr_assert(check_file(&f, arena_printf(&f.arena, "%shits < 3\n", PURGE)), "%s", f.err.message);
    double rows = f.report.where->match_rows;
    cr_expect(rows > 250 && rows < 350, "%f", rows);
    cr_expect(check_file(&f, arena_printf(&f.arena, "%sorders IS NOT NULL\n", PURGE)), "%s",
        f.err.message);
    cr_expect(check_file(&f, arena_printf(&f.arena, "%sat < now()\n", PURGE)));
    cr_expect(not(f.report.where->immutable));
    cr_expect(not(f.report.where->is_volatile));
    cr_expect(check_file(&f, "job: j\nbackfill: orders\nset: {amount: hits}\nwhere: hits < 3\n"));
    cr_expect(eq(dbl, f.report.where->match_rows, -1), "nobody asked");
    fixture_free(&f);
}

Test(exprcheck, nothing_survives_and_nothing_is_evaluated)
{
    Fixture f = fixture_new("CREATE FUNCTION boom(bigint) RETURNS int LANGUAGE plpgsql VOLATILE AS"
                            " 'BEGIN RAISE EXCEPTION ''boom''; END'");
    int64_t objects = pg_int(f.sql, "SELECT count(*) FROM pg_class");
    (void)must_pass(&f, "hits", "boom(id) + nextval('seq')");
    (void)must_pass(&f, "amount", "amount_text::numeric(10,2)");
    cr_expect(not(check(&f, "amount", "oops")));
    cr_expect(eq(i64, objects, pg_int(f.sql, "SELECT count(*) FROM pg_class")));
    cr_expect(eq(i64, 0, pg_int(f.sql, "SELECT is_called FROM seq")));
    cr_expect(eq(i64, 1, pg_int(f.sql, "SELECT hits FROM orders WHERE id = 1")));
    fixture_free(&f);
}

Test(exprcheck, columns_and_tables_that_cannot_be_set_are_left_to_the_findings)
{
    Fixture f = fixture_new("CREATE VIEW v AS SELECT id, hits FROM orders");
    cr_expect(must_pass(&f, "amont", "hits + 1")->source_count == 1);
    cr_expect(must_pass(&f, "twice", "hits + 1")->source_count == 1);
    cr_assert(check_file(&f, "job: j\nbackfill: v\nset:\n  hits: no_such_function()\n"));
    cr_expect(f.report.set[0].immutable);
    fixture_free(&f);
}

Test(exprcheck, locked_table_is_not_blamed_on_the_expression)
{
    Fixture f = fixture_new("");
    (void)must_pass(&f, "hits", "id::int");
    pg_exec(f.sql, "BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    f.err = ERR_INIT;
    cr_expect(not(exprcheck_run(f.conn, &f.spec, &f.facts, &f.arena, &f.report, &f.err)));
    cr_expect(eq(int, f.err.cls, ERR_RETRY), "%s", f.err.message);
    cr_expect(zero(int, strcmp(f.err.sqlstate, "55P03")));
    cr_expect(conn_is_idle(f.conn));
    pg_exec(f.sql, "ROLLBACK");
    fixture_free(&f);
}

static void
reconnect_as(Fixture *f, const char *suffix)
{
    conn_close(f->conn);
    f->conn = NULL;
    ConnTarget target = {.dbname = arena_printf(&f->arena, "host=%s port=%d dbname=%s user=%s_%s",
                             cluster_socket_dir(f->cluster), cluster_port(f->cluster), f->dbname,
                             f->dbname, suffix)};
    cr_assert(conn_open(&target, CONN_CATALOG, "test", SECONDS_US(20), &f->conn, &f->err));
}

Test(exprcheck, role_without_privileges_on_the_table_gets_its_facts)
{
    Fixture f = fixture_new("");
    pg_execf(f.sql, "CREATE ROLE \"%s_p\" LOGIN", f.dbname);
    reconnect_as(&f, "p");
    cr_expect(must_pass(&f, "hits", "id::int")->immutable);
    cr_expect(must_pass(&f, "amount", "random() * id")->is_volatile);
    cr_expect(must_pass(&f, "day", "at::date")->source_count == 1);
    conn_close(f.conn);
    f.conn = NULL;
    pg_execf(f.sql, "DROP ROLE \"%s_p\"", f.dbname);
    fixture_free(&f);
}

Test(exprcheck, role_without_temporary_tables_is_told_the_grant)
{
    Fixture f = fixture_new("");
    pg_execf(f.sql, "REVOKE TEMPORARY ON DATABASE \"%s\" FROM PUBLIC; CREATE ROLE \"%s_r\" LOGIN",
        f.dbname, f.dbname);
    (void)must_pass(&f, "hits", "id::int");
    reconnect_as(&f, "r");
    cr_expect(not(exprcheck_run(f.conn, &f.spec, &f.facts, &f.arena, &f.report, &f.err)));
    expect_hint(&f, "GRANT TEMPORARY");
    conn_close(f.conn);
    f.conn = NULL;
    pg_execf(f.sql, "DROP ROLE \"%s_r\"", f.dbname);
    fixture_free(&f);
}

/* ---- rights ---- */

static const NeedFacts *
find_need(const ExprFacts *expr, const char *object)
{
    for (int i = 0; i < expr->need_count; i++) {
        if (strcmp(expr->needs[i].object, object) == 0) {
            return &expr->needs[i];
        }
    }
    harness_fail("%s is not needed", object);
}

Test(exprcheck, rights_on_what_an_expression_uses_are_listed_and_builtin_things_need_none)
{
    Fixture f = fixture_new(
        "CREATE SCHEMA app; CREATE FUNCTION app.f(int) RETURNS int LANGUAGE sql IMMUTABLE AS"
        " 'SELECT $1'; CREATE FUNCTION app.g(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS"
        " 'SELECT $1'; CREATE OPERATOR app.@@@ (FUNCTION = app.g, LEFTARG = int, RIGHTARG = int);"
        "CREATE DOMAIN app.small AS int;");
    cr_expect(zero(int, must_pass(&f, "hits", "length(amount_text) + abs(hits)")->need_count));
    static const char *const EXPRS[] = {"app.f(id::int)", "id::int OPERATOR(app.@@@) 1"};
    static const char *const OBJECTS[] = {
        "FUNCTION app.f(integer)", "FUNCTION app.g(integer,integer)"};
    for (int i = 0; i < 2; i++) {
        const ExprFacts *expr = must_pass(&f, "hits", EXPRS[i]);
        cr_expect(eq(int, expr->need_count, 2), "%s", EXPRS[i]);
        cr_expect(zero(int, strcmp(expr->needs[0].object, "SCHEMA app")));
        cr_expect(find_need(expr, OBJECTS[i])->granted);
    }
    const ExprFacts *expr =
        must_pass(&f, "hits", "(SELECT v FROM other WHERE other.id = orders.id) + nextval('seq')");
    cr_expect(eq(int, expr->need_count, 3));
    cr_expect(zero(int, strcmp(find_need(expr, "TABLE public.other")->privilege, "SELECT")));
    cr_expect(zero(int, strcmp(find_need(expr, "SEQUENCE public.seq")->privilege, "USAGE")));
    expr = must_pass(&f, "hits", "(id::int)::app.small");
    cr_expect(zero(int, strcmp(find_need(expr, "SCHEMA app")->privilege, "USAGE")));
    fixture_free(&f);
}

Test(exprcheck, writers_that_lack_a_right_are_counted_and_the_first_ones_named)
{
    Fixture f = fixture_new("CREATE SCHEMA app; CREATE FUNCTION app.f(int) RETURNS int LANGUAGE sql"
                            " IMMUTABLE AS 'SELECT $1'; GRANT USAGE ON SCHEMA app TO PUBLIC;"
                            "REVOKE ALL ON FUNCTION app.f(int) FROM PUBLIC");
    for (int i = 0; i <= NEED_WRITERS_NAMED; i++) {
        pg_execf(f.sql, "CREATE ROLE %s_%d; GRANT UPDATE (hits) ON orders TO %s_%d", f.dbname, i,
            f.dbname, i);
    }
    const NeedFacts *need =
        find_need(must_pass(&f, "hits", "app.f(id::int)"), "FUNCTION app.f(integer)");
    cr_expect(eq(int, need->writer_count, NEED_WRITERS_NAMED + 1));
    cr_expect(
        strstr(need->writers, arena_printf(&f.arena, "%s_0, %s_1", f.dbname, f.dbname)) != NULL,
        "%s", need->writers);
    cr_expect(strstr(need->writers, arena_printf(&f.arena, "%s_8", f.dbname)) == NULL);
    pg_execf(f.sql,
        "ALTER ROLE %s_0 SUPERUSER; GRANT EXECUTE ON FUNCTION app.f(int) TO %s_1;"
        "REVOKE UPDATE (hits) ON orders FROM %s_2",
        f.dbname, f.dbname, f.dbname);
    need = find_need(must_pass(&f, "hits", "app.f(id::int)"), "FUNCTION app.f(integer)");
    cr_expect(eq(int, need->writer_count, NEED_WRITERS_NAMED - 2));
    for (int i = 0; i <= NEED_WRITERS_NAMED; i++) {
        pg_execf(f.sql, "DROP OWNED BY %s_%d; DROP ROLE %s_%d", f.dbname, i, f.dbname, i);
    }
    fixture_free(&f);
}

Test(exprcheck, every_expression_that_is_refused_is_reported_and_the_first_one_returned)
{
    Fixture f = fixture_new("");
    cr_expect(not(check_file(&f, "job: j\nbackfill: orders\nset:\n  hits: oops\n  found: id::int\n"
                                 "  new: to_json(orders)\nwhere: id\n")));
    cr_expect(strstr(f.err.message, "j.yaml:4:9: column \"oops\"") != NULL, "%s", f.err.message);
    cr_expect(strstr(f.report.set[0].refusal, "j.yaml:4:9: ") != NULL);
    cr_expect(f.report.set[1].refusal == NULL && f.report.set[1].source_count == 1);
    cr_expect(strstr(f.report.set[2].refusal, "j.yaml:6:8: ") != NULL);
    cr_expect(strstr(f.report.where->refusal, "j.yaml:7:8: ") != NULL);
    fixture_free(&f);
}
