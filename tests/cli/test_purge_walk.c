/*
 * test_purge_walk.c - a purge that walks by an index finds every row that matches, and reads few
 * others.
 *
 * PGHAUL_SOAK=1 draws many more tables.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/strbuf.h"
#include "cli/cli.h"
#include "harness/harness.h"
#include "harness/session.h"

#define DRAWS      8
#define DRAWS_SOAK 300

/* ---- every row that matches ---- */

typedef struct Shape {
    const char *type;
    const char *value; /* of row g; r() is a random number from 0 to 1 */
    const char *where; /* with NOW where now() stands */
} Shape;

/* Values with ties, ends of the range of their type, and texts that sort otherwise than bytes. */
static const Shape SHAPES[] = {
    {"timestamptz", "date_trunc('second', now() - r() * '180 days'::interval)",
        "c < NOW - interval '90 days'"},
    {"timestamptz",
        "CASE WHEN r() < 0.05 THEN '-infinity' WHEN r() < 0.05 THEN '4000-01-01 BC'"
        " ELSE now() - r() * '180 days'::interval END",
        "c <= NOW - interval '150 days'"},
    {"timestamp", "localtimestamp - (r() * 1000)::int * '1 day'::interval",
        "c < date '2024-06-01'"},
    {"date", "current_date - (r() * 500)::int", "c < current_date - 100"},
    {"int", "(r() * 4000 - 2000)::int", "c BETWEEN -700 AND 800"},
    {"int", "(r() * 90 - 45)::int", "c IN (1, 2, 3, 40, -7) AND other < 5"},
    {"bigint", "(9223372036854775807 * (r() * 2 - 1)::numeric)::bigint", "c > 0"},
    {"numeric", "CASE WHEN r() < 0.02 THEN 'NaN' ELSE round((r() * 900)::numeric, (g % 4)) END",
        "c < 300.5"},
    {"text",
        "CASE WHEN r() < 0.1 THEN '{\"' || g || ',\\\"}' ELSE chr(65 + (r() * 57)::int) ||"
        " (r() * 300)::int END",
        "c < 'm'"},
    {"text COLLATE \"C\"", "md5(((r() * 2000)::int)::text)", "c LIKE 'a%' AND other <> 3"},
    {"varchar(20)", "left(md5(((r() * 2000)::int)::text), 12)", "c >= 'c'"},
    {"uuid", "md5(((r() * 2000)::int)::text)::uuid", "c < '80000000-0000-0000-0000-000000000000'"},
    {"char(8)", "left(md5(((r() * 2000)::int)::text), 1 + g % 8)", "c < 'd'"},
    {"interval", "(r() * 4000)::int * '6 hours'::interval", "c > '300 days'"},
};

/* Indexes over c, with and without the key behind it. */
static const char *const INDEXES[] = {
    "(c)",
    "(c DESC)",
    "(c, id)",
    "(c) INCLUDE (other)",
    "(c) WHERE other < 8",
    "(c DESC, id DESC)",
    "(c, other)",
};

static const char *
replaced(Arena *arena, const char *text, const char *by)
{
    const char *at = strstr(text, "NOW");
    return at == NULL ? text : arena_printf(arena, "%.*s%s%s", (int)(at - text), text, by, at + 3);
}

/* A purge with this predicate, of table t. */
static void
write_purge(const CliBase *base, const char *where, const char *more)
{
    STRBUF_AUTO job = STRBUF_INIT;
    strbuf_printf(&job,
        "job: test\npurge: t\nwhere: |\n  %s\nworkers: 2\nthrottle: {standbys: none}\n%s", where,
        more);
    cli_base_write_job(base, strbuf_text(&job));
}

static void
run_purge(const CliBase *base, int code)
{
    CliResult result = CLI("run", base->job_file, "-d", base->uri, "--yes", "--quiet");
    cr_assert(eq(int, code, result.code), "%s", result.err);
    cli_free(&result);
}

/* Does the plan say that an index serves? */
static bool
is_served(const CliBase *base)
{
    CliResult result = CLI("plan", base->job_file, "-d", base->uri, "--json");
    cr_assert(eq(int, 0, result.code), "%s", result.err);
    bool served = cli_has(result.out, "\"served\":true");
    cli_free(&result);
    return served;
}

static void
draw_table(const CliBase *base, const Shape *shape, const char *index, const char *where)
{
    pg_exec(base->conn, "SET client_min_messages = error; DROP TABLE IF EXISTS t, kept;"
                        "DROP SCHEMA IF EXISTS pghaul CASCADE;"
                        "CREATE OR REPLACE FUNCTION r() RETURNS float8 LANGUAGE sql VOLATILE"
                        " AS 'SELECT random()'");
    pg_execf(base->conn, "CREATE TABLE t (id bigint PRIMARY KEY, c %s, other int NOT NULL)",
        shape->type);
    pg_execf(base->conn,
        "INSERT INTO t SELECT g * 3, CASE WHEN r() < 0.1 THEN NULL ELSE %s END, (r() * 9)::int"
        "  FROM generate_series(1, 3000) AS g ORDER BY r()",
        shape->value);
    pg_execf(base->conn, "CREATE INDEX ON t %s", index);
    pg_exec(base->conn, "ANALYZE t; CREATE TABLE kept AS SELECT * FROM t");
    write_purge(base, where, "batch: {rows: 40}\n");
}

/* A partial index serves only those that ask for no other rows. */
static const char *
job_where(Arena *arena, const Shape *shape, const char *index, const char *now)
{
    const char *where = replaced(arena, shape->where, now);
    return strstr(index, "WHERE") == NULL ? where : arena_printf(arena, "%s AND other < 8", where);
}

Test(purge_walk, by_an_index_it_deletes_what_one_delete_would)
{
    Prng prng;
    Arena arena = ARENA_INIT;
    CliBase base = cli_base_new(1);
    int draws = harness_env("PGHAUL_SOAK", NULL) == NULL ? DRAWS : DRAWS_SOAK;
    prng_init(&prng, harness_seed());
    pg_execf(base.conn, "SELECT setseed(%f)", (double)(prng_next(&prng) % 1000) / 1000.0);
    int64_t all_gone = 0;
    for (int i = 0; i < draws; i++) {
        const Shape *shape =
            &SHAPES[prng_between(&prng, 0, (int64_t)(sizeof(SHAPES) / sizeof(SHAPES[0])) - 1)];
        const char *index =
            INDEXES[prng_between(&prng, 0, (int64_t)(sizeof(INDEXES) / sizeof(INDEXES[0])) - 1)];
        const char *where = job_where(&arena, shape, index, "now()");
        draw_table(&base, shape, index, where);
        cr_expect(is_served(&base), "%s | %s", index, where);
        run_purge(&base, 0);
        pg_execf(base.conn, "SET timezone = 'UTC'; DELETE FROM kept WHERE %s",
            job_where(&arena, shape, index, "(SELECT pinned FROM pghaul.job)"));
        char *difference = NULL;
        int64_t wrong = pg_compare(base.conn, "SELECT * FROM t", "SELECT * FROM kept", &difference);
        cr_expect(eq(i64, 0, wrong), "%s | %s: %s", index, where, difference);
        free(difference);
        int64_t gone = 3000 - pg_int(base.conn, "SELECT count(*) FROM kept");
        cr_expect(eq(i64, gone, pg_int(base.conn, "SELECT sum(rows)::int FROM pghaul.ranges")));
        all_gone += gone;
    }
    cr_expect(lt(i64, 0, all_gone), "no draw matches anything"); /* one of them alone may not */
    arena_reset(&arena);
    cli_base_free(&base);
}

/* ---- few others ---- */

/* Nothing but the run reads the table by an index. */
#define READS "SELECT idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 't'"

Test(purge_walk, of_200000_rows_it_reads_about_as_many_as_it_deletes)
{
    CliBase base = cli_base_new(1);
    pg_exec(base.conn, "CREATE TABLE t (id bigint PRIMARY KEY, at timestamptz NOT NULL);"
                       "INSERT INTO t SELECT g, CASE WHEN g % 200 = 7"
                       " THEN now() - '100 days'::interval ELSE now() END - g * '1 ms'::interval"
                       "  FROM generate_series(1, 200000) AS g;"
                       "CREATE INDEX t_at ON t (at)");
    pg_exec(base.conn, "VACUUM (ANALYZE) t");
    write_purge(&base, "at < now() - interval '90 days'", "vacuum: off\n");
    run_purge(&base, 0);
    pg_wait_true(base.conn,
        "SELECT pg_stat_clear_snapshot() IS NOT NULL AND n_tup_del = 1000"
        " FROM pg_stat_user_tables WHERE relname = 't'",
        HARNESS_TIMEOUT_US);
    int64_t reads = pg_int(base.conn, READS);
    cr_expect(le(i64, 1000, reads));
    cr_expect(lt(i64, reads, 8000), "%lld rows were read for 1,000", (long long)reads);
    cli_base_free(&base);
}

/* ---- an application that changes the column ---- */

/* Old rows become young (and are noted as saved, in the same transaction), young ones old. */
static int
change_rows(PGconn *conn, Prng *prng)
{
    long long id = prng_between(prng, 1, 6000);
    switch (prng_between(prng, 0, 2)) {
    case 0:
        pg_execf(conn,
            "WITH u AS (UPDATE t SET at = now() + random() * '1 day'::interval, touched = true"
            "            WHERE id %% 50 = %lld RETURNING id)"
            "INSERT INTO saved SELECT id FROM u ON CONFLICT DO NOTHING",
            id % 50);
        return 0;
    case 1:
        pg_execf(conn,
            "UPDATE t SET at = at - random() * '200 days'::interval, touched = true"
            " WHERE id BETWEEN %lld AND %lld + 20 AND id NOT IN (SELECT id FROM saved)",
            id, id);
        return 0;
    default:
        pg_execf(conn, "INSERT INTO t SELECT nextval('s'), now() - random() * '300 days'::interval,"
                       " true FROM generate_series(1, 5)");
        return 1;
    }
}

Test(purge_walk, rows_that_change_their_place_meanwhile_are_kept_or_met_by_the_next_pass)
{
    Prng prng;
    CliBase base = cli_base_new(1);
    prng_init(&prng, harness_seed());
    pg_exec(base.conn, "CREATE TABLE t (id bigint PRIMARY KEY, at timestamptz NOT NULL,"
                       " touched bool NOT NULL DEFAULT false);"
                       "CREATE TABLE saved (id bigint PRIMARY KEY); CREATE SEQUENCE s START 10000;"
                       "INSERT INTO t SELECT g, now() - random() * '180 days'::interval"
                       "  FROM generate_series(1, 6000) AS g;"
                       "CREATE INDEX t_at ON t (at); ANALYZE t");
    write_purge(&base, "at < now() - interval '90 days'", "batch: {rows: 10}\nvacuum: off\n");
    cr_assert(is_served(&base));
    const char *const args[] = {"run", base.job_file, "-d", base.uri, "--yes", "--quiet", NULL};
    Proc *run = proc_start_pghaul(args);
    int inserted = 0;
    while (!proc_wait(run, 1000)) {
        inserted += change_rows(base.conn, &prng);
    }
    char *said = proc_stderr(run);
    cr_assert(eq(int, 0, proc_exit_code(run)), "%s", said);
    free(said);
    proc_free(run);
    cr_expect(lt(int, 0, inserted));
    cr_expect(eq(i64, 0,
                  pg_int(base.conn, "SELECT count(*) FROM t, pghaul.job j"
                                    " WHERE at < pinned - interval '90 days' AND NOT touched")),
        "rows that matched all the time are left");
    cr_expect(eq(i64, 0,
                  pg_int(base.conn, "SELECT count(*) FROM saved"
                                    " WHERE id NOT IN (SELECT id FROM t)")),
        "a row that the application made young is gone");
    cli_base_free(&base);
}

/* ---- what the job was begun with ---- */

Test(purge_walk, a_pass_goes_on_as_it_was_begun_and_the_next_one_takes_the_index_of_the_day)
{
    CliBase base = cli_base_new(1);
    pg_exec(base.conn, "CREATE TABLE t (id bigint PRIMARY KEY, at timestamptz NOT NULL,"
                       " n int NOT NULL);"
                       "INSERT INTO t SELECT g, now() - g * '1 h'::interval, g"
                       "  FROM generate_series(1, 4000) AS g;"
                       "CREATE INDEX t_at ON t (at); ANALYZE t");
    write_purge(&base, "at < now() - interval '90 days' AND n > 3990", "");
    run_purge(&base, 0);
    pg_exec(base.conn, "CREATE INDEX t_n ON t (n); INSERT INTO t SELECT g,"
                       " now() - g * '1 h'::interval, g FROM generate_series(5000, 5100) AS g;"
                       "ANALYZE t");
    CliResult plan = CLI("plan", base.job_file, "-d", base.uri, "--json");
    cr_expect(eq(int, 0, plan.code), "%s", plan.err);
    cr_expect(cli_has(plan.out, "\"columns\":[\"n\",\"id\"]"), "%s", plan.out);
    cli_free(&plan);

    pg_exec(base.conn, "UPDATE pghaul.job SET state = 'stopped'");
    plan = CLI("plan", base.job_file, "-d", base.uri, "--json");
    cr_expect(eq(int, 0, plan.code), "%s", plan.err);
    cr_expect(cli_has(plan.out, "\"columns\":[\"at\",\"id\"]"), "%s", plan.out);
    cr_expect(cli_has(plan.out, "begun with it"), "%s", plan.out);
    cr_expect(cli_has(plan.out, "walks by index t_n"), "%s", plan.out);
    cli_free(&plan);

    pg_exec(base.conn, "DROP INDEX t_at, t_n");
    run_purge(&base, 0);
    cr_expect(eq(i64, 0,
        pg_int(base.conn, "SELECT count(*) FROM t, pghaul.job"
                          " WHERE at < pinned - interval '90 days'"
                          "   AND n > 3990")));
    cli_base_free(&base);
}

/* ---- remembered between runs ---- */

#define MATCHING "SELECT count(*) FROM t WHERE at < cutoff()"

/* 350,000 rows of 100 days in the order of the key, in four ranges; no index over the time. */
static CliBase
growing_table(const char *allow)
{
    CliBase base = cli_base_new(1);
    pg_exec(base.conn, "CREATE TABLE t (id bigint PRIMARY KEY, at date, note text);"
                       "INSERT INTO t SELECT g, date '2020-01-01' + g / 3500"
                       "  FROM generate_series(1, 350000) AS g;"
                       "CREATE TABLE clock (day date); INSERT INTO clock VALUES ('2020-01-11');"
                       "CREATE FUNCTION cutoff() RETURNS date STABLE LANGUAGE sql"
                       " AS 'SELECT day FROM public.clock'; ANALYZE t");
    write_purge(&base, "at < cutoff()", allow);
    return base;
}

static void
run_night(const CliBase *base, const char *day)
{
    pg_execf(base->conn, "UPDATE clock SET day = '%s'", day);
    run_purge(base, 0);
    cr_expect(eq(i64, 0, pg_int(base->conn, MATCHING)), "%s", day);
}

/* Ranges of the last pass that were looked into. */
static int64_t
ranges_walked(const CliBase *base)
{
    return pg_int(base->conn, "SELECT count(*) FROM pghaul.ranges r, pghaul.job j"
                              " WHERE r.pass = j.pass AND r.batches > 0");
}

Test(purge_walk, a_later_night_steps_over_ranges_in_which_no_row_can_be_old_yet)
{
    CliBase base = growing_table("allow: [stable, append-only]\nvacuum: off\n");
    run_night(&base, "2020-01-11");
    cr_expect(eq(i64, 4, ranges_walked(&base)));
    run_night(&base, "2020-01-15");
    cr_expect(eq(i64, 1, ranges_walked(&base)));

    pg_exec(base.conn, "INSERT INTO t SELECT g, date '2020-01-01' + g / 3500"
                       "  FROM generate_series(350001, 360000) AS g");
    run_night(&base, "2020-01-16");
    cr_expect(eq(i64, 2, ranges_walked(&base)), "the first, and what is new");

    /* The least value of the second range comes of age. */
    run_night(&base, "2020-02-10");
    cr_expect(eq(i64, 2, ranges_walked(&base)));
    run_night(&base, "2020-02-11");
    cr_expect(eq(i64, 2, ranges_walked(&base)), "one that is empty by now, and one that is not");
    cr_expect(eq(i64, 360000 - 41 * 3500 + 1, pg_int(base.conn, "SELECT count(*) FROM t")));
    cli_base_free(&base);
}

Test(purge_walk, the_end_of_the_table_may_go_and_come_back_between_nights)
{
    CliBase base = growing_table("allow: [stable, append-only]\nvacuum: off\n");
    run_night(&base, "2020-01-11");
    pg_exec(base.conn, "DELETE FROM t WHERE id > 120000");
    run_night(&base, "2020-01-12");
    pg_exec(base.conn, "INSERT INTO t SELECT g, date '2020-01-01' + (g - 350000) / 1000"
                       "  FROM generate_series(350001, 380000) AS g");
    run_night(&base, "2020-01-20");
    run_night(&base, "2020-01-21");
    run_night(&base, "2020-02-28");
    cli_base_free(&base);
}

Test(purge_walk, without_the_word_nothing_is_stepped_over)
{
    CliBase base = growing_table("allow: [stable]\nvacuum: off\n");
    run_night(&base, "2020-01-11");
    pg_exec(base.conn, "UPDATE t SET at = '2019-01-01' WHERE id = 222222");
    run_night(&base, "2020-01-12");
    cr_expect(eq(i64, 4, ranges_walked(&base)));
    cli_base_free(&base);
}

typedef struct LeastCase {
    const char *where;
    bool remembers;
} LeastCase;

Test(purge_walk, only_a_column_that_is_less_than_something_is_remembered)
{
    static const LeastCase CASES[] = {
        {"at < current_date - 90", true},
        {"current_date - 90 >= at", true},
        {"id <= 1000 + 5", true},
        {"at > current_date", false},
        {"at < current_date AND id < 7", false},
        {"at < current_date OR note IS NULL", false},
        {"at + 90 < current_date", false},
        {"at < date '2020-01-01' + id::int", false},
        {"note < 'a'", false},
        {"at < (SELECT max(id)::int FROM orders) + current_date", false},
        {"NOT (at >= current_date)", true},
    };
    CliBase base = cli_base_new(1);
    pg_exec(base.conn, "CREATE TABLE t (id bigint NOT NULL, at date, note text, k int PRIMARY KEY);"
                       "INSERT INTO t SELECT g, current_date - g, 'x', g"
                       "  FROM generate_series(1, 100) AS g; ANALYZE t");
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        write_purge(&base, CASES[i].where, "allow: [append-only, stable]\n");
        CliResult result = CLI("plan", base.job_file, "-d", base.uri, "--json");
        bool remembers = !cli_has(result.out, "\"remembers\":null");
        cr_expect(eq(int, 0, result.code), "%s: %s%s", CASES[i].where, result.err, result.out);
        cr_expect(eq(int, remembers, CASES[i].remembers), "%s", CASES[i].where);
        cli_free(&result);
    }
    cli_base_free(&base);
}
