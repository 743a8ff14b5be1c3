/*
 * test_catalog_walk.c - by which index a purge walks, as the planner's answers decide it.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "base/strbuf.h"
#include "core/jobfile.h"
#include "harness/harness.h"
#include "harness/pgcluster.h"
#include "harness/session.h"
#include "ops/survey.h"
#include "pg/catalog_walk.h"

/* 5,000 rows, of which the first have the least values in every column but `id`. */
#define TABLE                                                                                      \
    "CREATE TABLE t (id bigint PRIMARY KEY, at timestamptz NOT NULL, gone timestamptz,"            \
    " day date NOT NULL, n int, name text COLLATE \"C\", word text, part int NOT NULL,"            \
    " state text NOT NULL, score float8 NOT NULL, flag bool NOT NULL);"                            \
    "INSERT INTO t SELECT g, now() - '100 days'::interval + g * '20 min'::interval,"               \
    " CASE WHEN g % 10 = 0 THEN now() - '100 days'::interval + g * '20 min'::interval END,"        \
    " current_date - 100 + g / 4000, g, lpad(g::text, 6, '0'), lpad(g::text, 6, '0'), g % 4,"      \
    " CASE WHEN g % 50 = 0 THEN 'done' ELSE 'open' END, g, g % 100 = 0"                            \
    "  FROM generate_series(1, 5000) AS g;"

typedef struct Fixture {
    PgCluster *cluster;
    const char *dbname;
    PGconn *sql;
    PgConn *conn;
    Arena arena;
    JobSpec spec;
    Survey survey;
} Fixture;

static Fixture
fixture_new(const char *setup)
{
    Fixture f = {.cluster = cluster_shared(), .arena = ARENA_INIT};
    Err err = ERR_INIT;
    f.dbname = cluster_create_database(f.cluster, NULL);
    ConnTarget target = {.dbname = cluster_uri(f.cluster, f.dbname)};
    f.sql = pg_open(target.dbname);
    pg_exec(f.sql, setup);
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

/* The plan of a purge of t where `where`. */
static const Plan *
plan_of(Fixture *f, const char *where, const char *more)
{
    Err err = ERR_INIT;
    const char *text = arena_printf(
        &f->arena, "job: j\npurge: t\nwhere: |\n  %s\nthrottle: {standbys: none}\n%s", where, more);
    if (!jobfile_parse("j.yaml", text, strlen(text), &f->arena, &f->spec, &err) ||
        !survey_run(f->conn, NULL, &f->spec, &f->arena, &f->survey, &err)) {
        harness_fail("%s: %s %s", where, err.message, err.excerpt);
    }
    for (int i = 0; !f->survey.planned && i < f->survey.findings.count; i++) {
        cr_log_error("%s", f->survey.findings.items[i].text);
    }
    cr_assert(f->survey.planned, "%s", where);
    return &f->survey.plan;
}

/* "at, id" */
static const char *
walk_columns(Fixture *f, const Plan *plan)
{
    STRBUF_AUTO text = STRBUF_INIT;
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_printf(&text, "%s%s", i == 0 ? "" : ", ", plan->key[i].name);
    }
    return arena_strdup(&f->arena, strbuf_text(&text));
}

typedef struct WalkCase {
    const char *indexes;
    const char *where;
    const char *columns; /* of the walk */
    const char *reason;  /* part of why it is by the key; NULL = an index serves */
} WalkCase;

static void
expect_walk(Fixture *f, const WalkCase *expected)
{
    pg_exec(f->sql, "DO $$DECLARE i record; BEGIN FOR i IN SELECT indexname FROM pg_indexes WHERE"
                    " tablename = 't' AND indexname <> 't_pkey' LOOP"
                    " EXECUTE format('DROP INDEX %I', i.indexname); END LOOP; END$$");
    pg_exec(f->sql, expected->indexes);
    const Plan *plan = plan_of(f, expected->where, "");
    const PurgePlan *purge = plan->purge;
    const char *columns = walk_columns(f, plan);
    cr_expect(zero(int, strcmp(columns, expected->columns)), "%s | %s: %s (%s)", expected->indexes,
        expected->where, columns, purge->walk_reason);
    cr_expect(eq(int, purge->served, expected->reason == NULL), "%s | %s: %s", expected->indexes,
        expected->where, purge->walk_reason);
    if (expected->reason != NULL) {
        cr_expect(strstr(purge->walk_reason, expected->reason) != NULL, "%s | %s: %s",
            expected->indexes, expected->where, purge->walk_reason);
    }
    cr_expect(zero(int, strcmp(plan->identity[0].name, "id")));
    cr_expect(eq(int, plan->identity_count, 1));
}

static void
expect_walks(const WalkCase *cases, size_t count)
{
    Fixture f = fixture_new(TABLE "ANALYZE t;");
    for (size_t i = 0; i < count; i++) {
        expect_walk(&f, &cases[i]);
    }
    fixture_free(&f);
}

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define OLD             "at < now() - interval '90 days'"

Test(catalog_walk, is_by_the_columns_of_an_index_that_serves_the_predicate)
{
    static const WalkCase CASES[] = {
        {"CREATE INDEX ON t (at)", OLD, "at, id", NULL},
        {"CREATE INDEX ON t (at)", "now() - interval '90 days' >= at", "at, id", NULL},
        {"CREATE INDEX ON t (at)", "t.at < now() - interval '90 days' AND n > 3", "at, id", NULL},
        {"CREATE INDEX ON t (at DESC)", OLD, "at, id", NULL},
        {"CREATE INDEX ON t (at) INCLUDE (n)", OLD, "at, id", NULL},
        {"CREATE INDEX ON t (at, id)", OLD, "at, id", NULL},
        {"CREATE INDEX ON t (at, part)", OLD, "at, part, id", NULL},
        {"CREATE INDEX ON t (at, part DESC)", OLD, "at, id", NULL},
        {"CREATE INDEX ON t (at, gone)", OLD, "at, id", NULL},
        {"CREATE INDEX ON t (gone)", "gone < now() - interval '90 days'", "gone, id", NULL},
        {"CREATE INDEX ON t (gone)", "gone IS NOT NULL", "gone, id", NULL},
        {"CREATE INDEX ON t (n)", "n BETWEEN 5 AND 50", "n, id", NULL},
        {"CREATE INDEX ON t (n)", "n IN (5, 50, 70)", "n, id", NULL},
        {"CREATE INDEX ON t (name)", "name < '000100'", "name, id", NULL},
        {"CREATE INDEX ON t (name)", "name LIKE '0001%'", "name, id", NULL},
        {"CREATE INDEX ON t (part, at)", "part = 2 AND " OLD, "part, at, id", NULL},
        {"CREATE INDEX ON t (state, id)", "state = 'done'", "state, id", NULL},
        {"CREATE INDEX ON t (at) WHERE flag", "flag AND " OLD, "at, id", NULL},
        {"CREATE INDEX ON t (at) WHERE flag", "flag", "at, id", NULL},
        {"CREATE INDEX ON t (id) WHERE flag", "flag", "id", NULL},
        {"", "id < 100", "id", NULL},
        {"CREATE INDEX ON t (at)", OLD " AND id NOT IN (SELECT 7)", "at, id", NULL},
        {"CREATE INDEX ON t (at)", "(at, id) < (now() - interval '90 days', 7)", "at, id", NULL},
    };
    expect_walks(CASES, COUNT_OF(CASES));
}

Test(catalog_walk, is_by_the_key_where_no_index_has_an_order_of_all_rows_that_match)
{
    static const WalkCase CASES[] = {
        {"", OLD, "id", "no index serves"},
        {"CREATE INDEX ON t (part, at)", OLD, "id", "nothing is looked up by its first column"},
        {"CREATE INDEX ON t (at NULLS FIRST)", OLD, "id", "does not sort"},
        {"CREATE INDEX ON t (gone)", "gone IS NULL", "id", "may be NULL"},
        {"CREATE INDEX ON t (gone) WHERE flag", "flag", "id", "column gone may be NULL"},
        {"CREATE INDEX ON t (word COLLATE \"C\")", "word COLLATE \"C\" < '000100'", "id",
            "does not sort"},
        {"CREATE INDEX ON t (name text_pattern_ops)", "name LIKE '0001%'", "id", "does not sort"},
        {"CREATE INDEX ON t (lower(name))", "lower(name) < '0001'", "id", "over an expression"},
        {"CREATE INDEX ON t USING hash (n)", "n = 7", "id", "of type hash"},
        {"CREATE INDEX ON t (score)", "score < 100", "id", "floating-point"},
        {"CREATE INDEX ON t (day)", "day < current_date - 99", "id",
            "same value in its column day"},
        {"CREATE INDEX ON t (state)", "state = 'done'", "id", "the same values"},
        {"CREATE INDEX ON t (at)", "at + interval '90 days' < now()", "id", "no index serves"},
    };
    expect_walks(CASES, COUNT_OF(CASES));
}

Test(catalog_walk, says_how_many_rows_match_and_what_index_would_help)
{
    Fixture f = fixture_new(TABLE "ANALYZE t;");
    const Plan *plan = plan_of(&f, OLD, "");
    double rows = plan->where->match_rows;
    cr_expect(lt(dbl, 500, rows));
    cr_expect(lt(dbl, rows, 1000), "720 rows are that old, said %f", rows);
    cr_expect(strstr(plan->purge->walk_hint, "(at, id)") != NULL, "%s", plan->purge->walk_hint);
    fixture_free(&f);
}

Test(catalog_walk, without_statistics_nothing_is_known_of_ties)
{
    Fixture f = fixture_new(TABLE "CREATE INDEX ON t (at); CREATE INDEX ON t (n, id);");
    const Plan *plan = plan_of(&f, OLD, "");
    cr_expect(not(plan->purge->served));
    cr_expect(strstr(plan->purge->walk_reason, "ANALYZE") != NULL, "%s", plan->purge->walk_reason);
    plan = plan_of(&f, "n < 100", "");
    cr_expect(plan->purge->served, "an index with the key behind it needs no statistics: %s",
        plan->purge->walk_reason);
    fixture_free(&f);
}

/* Statistics of long ago say that values differ. */
Test(catalog_walk, many_rows_with_one_value_of_many_keep_it_to_the_key)
{
    Fixture f = fixture_new(TABLE "INSERT INTO t SELECT g, '2001-01-01', NULL, current_date, g,"
                                  " '', '', 1, 'open', 1, false"
                                  " FROM generate_series(10001, 40000) AS g;"
                                  "ANALYZE t; CREATE INDEX ON t (at)");
    const Plan *plan = plan_of(&f, OLD, "");
    cr_expect(not(plan->purge->served));
    cr_expect(strstr(plan->purge->walk_reason, "have the same value in its column at") != NULL,
        "%s", plan->purge->walk_reason);
    fixture_free(&f);
}

Test(catalog_walk, the_job_file_can_ask_for_the_key)
{
    Fixture f = fixture_new(TABLE "ANALYZE t; CREATE INDEX ON t (at);");
    const Plan *plan = plan_of(&f, OLD, "key: [id]\n");
    cr_expect(not(plan->purge->served));
    cr_expect(zero(int, strcmp(plan->purge->walk_reason, "the job file names the key")));
    fixture_free(&f);
}

Test(catalog_walk, settings_of_the_role_and_of_the_questions_stay_apart)
{
    Fixture f = fixture_new(TABLE "ANALYZE t; CREATE INDEX ON t (at);");
    const Plan *plan = plan_of(&f, OLD, "");
    cr_expect(plan->purge->served);
    PGRESULT_AUTO *result = NULL;
    Err err = ERR_INIT;
    cr_assert(query_one(f.conn,
        "SELECT current_setting('enable_seqscan') || current_setting('enable_indexscan')"
        " || current_setting('enable_bitmapscan') || current_setting('search_path')",
        0, NULL, &result, &err));
    cr_expect(zero(int, strcmp(result_text(result, 0, 0), "onononpg_catalog")));
    fixture_free(&f);
}

Test(catalog_walk, a_predicate_that_fails_when_it_is_planned_is_walked_by_key)
{
    Fixture f = fixture_new(TABLE "ANALYZE t; CREATE INDEX ON t (n);"
                                  "CREATE FUNCTION bad() RETURNS int STABLE LANGUAGE sql"
                                  " AS 'SELECT 1 / (count(*)::int - count(*)::int) FROM t';");
    const Plan *plan = plan_of(&f, "n < public.bad()", "");
    cr_expect(not(plan->purge->served));
    cr_expect(strstr(plan->purge->walk_reason, "22012") != NULL, "%s", plan->purge->walk_reason);
    fixture_free(&f);
}

/* The table and its columns are called as they like. */
Test(catalog_walk, finds_its_way_through_odd_names)
{
    Fixture f = fixture_new("CREATE TABLE t (id bigint PRIMARY KEY, \"AND \"\" (at)\" timestamptz);"
                            "INSERT INTO t SELECT g, now() - g * '1 h'::interval"
                            " FROM generate_series(1, 3000) AS g; ANALYZE t;"
                            "CREATE INDEX ON t (\"AND \"\" (at)\")");
    const Plan *plan = plan_of(&f, "\"AND \"\" (at)\" < now() - interval '100 days'", "");
    cr_expect(plan->purge->served, "%s", plan->purge->walk_reason);
    fixture_free(&f);
}
