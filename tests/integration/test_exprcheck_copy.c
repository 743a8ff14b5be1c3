/*
 * test_exprcheck_copy.c - what is said of the expressions of a copy, which become another table's
 * columns, and of columns that are copied as they are.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/jobfile.h"
#include "harness/harness.h"
#include "harness/pgcluster.h"
#include "harness/session.h"
#include "ops/survey.h"

static const char TABLES[] =
    "CREATE TYPE mood AS ENUM ('ok', 'sad');"
    "CREATE DOMAIN short AS varchar(5);"
    "CREATE TABLE src (id bigint PRIMARY KEY, n numeric, t text, m mood, at timestamptz,"
    " twice numeric GENERATED ALWAYS AS (n * 2) STORED, f float8, \"user\" text);"
    "CREATE TABLE dst (id bigint PRIMARY KEY, whole int, s short, m mood, day date, n numeric(8,2),"
    " j jsonb, g int GENERATED ALWAYS AS (1) STORED, f real, who text);";

typedef struct Copy {
    PgCluster *cluster;
    const char *dbname;
    PGconn *sql;
    PgConn *conn;
    PgConn *source; /* NULL = conn */
    Arena arena;
    JobSpec spec;
    Survey survey;
    Err err;
} Copy;

static PgConn *
connect_to(const char *uri)
{
    ConnTarget target = {.dbname = uri};
    Err err = ERR_INIT;
    PgConn *conn = NULL;
    cr_assert(
        conn_open(&target, CONN_CATALOG, "test", SECONDS_US(20), &conn, &err), "%s", err.message);
    return conn;
}

static void
copy_open(Copy *f)
{
    *f = (Copy){.cluster = cluster_shared(), .arena = ARENA_INIT};
    f->dbname = cluster_create_database(f->cluster, NULL);
    f->sql = pg_open(cluster_uri(f->cluster, f->dbname));
    pg_exec(f->sql, TABLES);
    f->conn = connect_to(cluster_uri(f->cluster, f->dbname));
}

static void
copy_close(Copy *f)
{
    conn_close(f->source);
    conn_close(f->conn);
    pg_close(f->sql);
    cluster_drop_database(f->cluster, f->dbname);
    cluster_stop(f->cluster);
    arena_reset(&f->arena);
}

/* Survey a copy with this `map:`, and what else the file has. */
static bool
survey(Copy *f, const char *map, const char *rest)
{
    const char *text =
        arena_printf(&f->arena, "job: j\ncopy: src\ninto: dst\nsync: none\nmap:\n%s%s", map, rest);
    f->err = ERR_INIT;
    if (!jobfile_parse("j.yaml", text, strlen(text), &f->arena, &f->spec, &f->err)) {
        harness_fail("%s", f->err.message);
    }
    bool ok = survey_run(f->conn, f->source, &f->spec, &f->arena, &f->survey, &f->err);
    cr_expect(conn_is_idle(f->conn), "a transaction was left open");
    return ok;
}

static const ExprFacts *
must_pass(Copy *f, const char *map)
{
    cr_assert(survey(f, map, ""), "%s: %s", map, f->err.message);
    return &f->survey.exprs.set[0];
}

static void
must_fail(Copy *f, const char *map, const char *message)
{
    cr_expect(not(survey(f, map, "")), "%s was accepted", map);
    cr_expect(eq(int, f->err.cls, ERR_USER), "%s: %s", map, f->err.message);
    cr_expect(strstr(f->err.message, message) != NULL, "%s: %s", map, f->err.message);
}

#define FINE "  f: f::real\n  n: n::numeric(8,2)\n"

Test(exprcheck_copy, a_column_as_it_is_is_told_from_an_expression)
{
    Copy f;
    copy_open(&f);
    cr_expect(eq(int, must_pass(&f, "  who: t\n" FINE)->column, 3));
    cr_expect(eq(int, must_pass(&f, "  who: (src.t)\n" FINE)->column, 3));
    cr_expect(eq(int, must_pass(&f, "  who: '\"user\"'\n" FINE)->column, 8));
    cr_expect(zero(int, must_pass(&f, "  who: user\n" FINE)->column), "the function of that name");
    cr_expect(zero(int, must_pass(&f, "  who: t || ''\n" FINE)->column));
    cr_expect(zero(int, must_pass(&f, "  who: (select t)\n" FINE)->column));
    copy_close(&f);
}

Test(exprcheck_copy, expressions_may_take_the_whole_row_and_generated_columns)
{
    Copy f;
    copy_open(&f);
    const ExprFacts *row = must_pass(&f, "  j: to_jsonb(src)\n" FINE);
    cr_expect(eq(int, row->source_count, 8));
    const ExprFacts *twice = must_pass(&f, "  n: twice\n  f: f::real\n");
    cr_expect(twice->generated_source == NULL && !twice->self_referring);
    copy_close(&f);
}

Test(exprcheck_copy, values_are_assigned_to_the_types_of_the_target)
{
    Copy f;
    copy_open(&f);
    cr_expect(must_pass(&f, "  whole: n\n" FINE)->lossy);
    cr_expect(must_pass(&f, "  day: at\n" FINE)->lossy);
    cr_expect(not(must_pass(&f, "  s: t\n" FINE)->lossy), "what is too long raises");
    must_fail(&f, "  whole: t\n", "\"whole\" is of type integer");
    must_fail(&f, "  m: t\n", "\"m\" is of type");
    must_fail(&f, "  who: nothing\n", "j.yaml:6:8: column \"nothing\" does not exist");
    cr_expect(not(survey(&f, "  who: t\n" FINE, "where: nothing > 1\n")));
    cr_expect(strstr(f.err.message, "nothing") != NULL, "%s", f.err.message);
    copy_close(&f);
}

Test(exprcheck_copy, columns_that_no_assignment_names_are_judged_too)
{
    Copy f;
    copy_open(&f);
    (void)must_pass(&f, "  who: t\n  n: n::numeric(8,2)\n");
    const Facts *into = f.survey.facts.into;
    for (int i = 0; i < into->column_count; i++) {
        bool is_real = strcmp(into->columns[i].name, "f") == 0;
        cr_expect(eq(int, f.survey.exprs.as_is[i].lossy, is_real), "%s", into->columns[i].name);
    }
    pg_exec(f.sql, "ALTER TABLE dst DROP m, ADD m int");
    must_fail(&f, "  who: t\n", "column \"m\" is public.mood at the source and integer in");
    cr_expect(strstr(f.err.hint, "m: m::integer") != NULL, "%s", f.err.hint);
    copy_close(&f);
}

Test(exprcheck_copy, types_that_only_the_target_has_are_left_to_it)
{
    Copy f;
    copy_open(&f);
    const char *other = cluster_create_database(f.cluster, NULL);
    PGconn *sql = pg_open(cluster_uri(f.cluster, other));
    pg_exec(sql, "CREATE TABLE src (id bigint PRIMARY KEY, t text, m text)");
    f.source = connect_to(cluster_uri(f.cluster, other));
    (void)must_pass(&f, "  s: t\n");
    cr_expect(f.survey.planned && f.survey.plan.copy->remote);
    conn_close(f.source);
    f.source = NULL;
    pg_close(sql);
    cluster_drop_database(f.cluster, other);
    copy_close(&f);
}

Test(exprcheck_copy, on_a_standby_expressions_are_parsed)
{
    Copy f;
    copy_open(&f);
    cluster_wait_catch_up(f.cluster, HARNESS_TIMEOUT_US);
    f.source = connect_to(cluster_standby_uri(f.cluster, f.dbname));
    const ExprFacts *who = must_pass(&f, "  who: t\n" FINE);
    cr_expect(eq(int, who->column, 3));
    cr_expect(eq(int, who->source_count, 8), "any column");
    cr_expect(must_pass(&f, "  who: random()::text\n" FINE "allow: [volatile]\n")->is_volatile);
    cr_expect(must_pass(&f, "  day: at\n" FINE)->lossy);
    must_fail(&f, "  who: nothing\n", "\"nothing\" does not exist");
    copy_close(&f);
}
