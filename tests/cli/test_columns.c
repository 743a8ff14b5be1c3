/*
 * test_columns.c - each type of column gets what the server itself would assign, and a second look
 * finds nothing to do.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdio.h>

#include "cli/move_case.h"
#include "harness/harness.h"
#include "harness/session.h"

typedef struct Target {
    const char *type;
    const char *expr;  /* one line, goes into the job file as a block scalar */
    const char *value; /* what the column must hold, to the last bit; NULL: the same */
} Target;

static const char TYPES[] = "CREATE TYPE mood AS ENUM ('a', 'b c');"
                            "CREATE DOMAIN short AS varchar(4) CHECK (value <> '');"
                            "CREATE TYPE pair AS (a int, b text);";

#define TABLE(columns)                                                                             \
    "CREATE TABLE t (id bigint PRIMARY KEY, src text, " columns ");"                               \
    "INSERT INTO t (id, src) SELECT g, g::text FROM generate_series(1, 60) AS g;"

static void
check_target(const CliBase *base, const Target *target)
{
    char setup[1024];
    char job[1024];
    char wrong[1024];
    (void)snprintf(setup, sizeof(setup),
        "CREATE TABLE t (id bigint PRIMARY KEY, src text, c %s);"
        "INSERT INTO t SELECT g, g::text FROM generate_series(1, 60) AS g",
        target->type);
    (void)snprintf(job, sizeof(job), "backfill: t\nallow: [lossy, stable]\nset:\n  c: |\n    %s\n",
        target->expr);
    (void)snprintf(wrong, sizeof(wrong),
        "SELECT count(*) FROM t WHERE NOT pg_catalog.record_image_eq(ROW(c), ROW(%s))",
        target->value == NULL ? target->expr : target->value);
    MoveCase move = {.title = target->type, .setup = setup, .job = job, .wrong = wrong, .rows = 60};
    move_cases_run(base, TYPES, &move, 1, BY_BLOCK);

    /* The same by key: every row has its value already. */
    CliResult again = CLI("verify", base->job_file, "-d", base->uri, "--quiet");
    cr_expect(eq(int, 0, again.code), "%s: %s", target->type, again.err);
    cli_free(&again);
}

static void
check_targets(const Target *targets, size_t count)
{
    CliBase base = cli_base_new(1);
    for (size_t i = 0; i < count; i++) {
        check_target(&base, &targets[i]);
    }
    cli_base_free(&base);
}

Test(columns, scalar_types_get_what_an_assignment_gives)
{
    static const Target TARGETS[] = {
        {"numeric(6,1)", "src::numeric / 7", "(src::numeric / 7)::numeric(6,1)"},
        {"varchar(5)", "'a' || src", "('a' || src)::varchar(5)"},
        {"char(8)", "'a' || src", "('a' || src)::char(8)"},
        {"bit(8)", "id::int::bit(8)", NULL},
        {"bytea", "convert_to(src, 'UTF8')", NULL},
        {"boolean", "id % 2 = 0", NULL},
        {"timestamptz", "timestamptz '2024-01-01 00:00+00' + id * interval '1 day'",
            "timestamptz '2024-01-01 00:00+00' + id * interval '1 day'"},
        {"timestamp(0)", "timestamp '2024-01-01' + id * interval '0.3 s'",
            "(timestamp '2024-01-01' + id * interval '0.3 s')::timestamp(0)"},
        {"interval", "id * interval '1 mon 1 day'", NULL},
        {"float8", "CASE id % 3 WHEN 0 THEN '-0'::float8 WHEN 1 THEN 'NaN' ELSE id / 3.0 END",
            NULL},
        {"float4", "id / 3.0", "(id / 3.0)::float4"},
        {"uuid", "md5(src)::uuid", NULL},
    };
    check_targets(TARGETS, sizeof(TARGETS) / sizeof(TARGETS[0]));
}

Test(columns, compound_types_get_what_an_assignment_gives)
{
    static const Target TARGETS[] = {
        {"json", "json_build_object('a', src, 'b', 1.0)", NULL},
        {"jsonb", "jsonb_build_object('a', src, 'b', 1.0)", NULL},
        {"text[]", "ARRAY[src, NULL, 'a,b']", NULL},
        {"text[]", "array_fill(repeat(src, 300), ARRAY[50])", NULL},
        {"varchar(4)[]", "ARRAY[src]::varchar(4)[]", NULL},
        {"mood", "CASE WHEN id % 2 = 0 THEN 'a'::mood ELSE 'b c' END", NULL},
        {"short", "src", "src::short"},
        {"pair", "ROW(id, src)::pair", NULL},
        {"pair", "ROW(id, repeat(src, 5000))::pair", NULL},
        {"int4range", "int4range(id::int, id::int + 5)", NULL},
    };
    check_targets(TARGETS, sizeof(TARGETS) / sizeof(TARGETS[0]));
}

static const MoveCase VALUES[] = {
    {.title = "zero is not minus zero",
        .setup = "CREATE TABLE t (id bigint PRIMARY KEY, c float8);"
                 "INSERT INTO t SELECT g, 0 FROM generate_series(1, 60) AS g",
        .job = "backfill: t\nset:\n  c: \"'-0'::float8\"\n",
        .wrong = "SELECT count(*) FROM t WHERE c::text <> '-0'",
        .rows = 60},
    {.title = "a NULL result leaves a NULL column alone",
        .setup = TABLE("c text"),
        .job = "backfill: t\nset:\n  c: NULLIF(src, '7')\n",
        .wrong = "SELECT count(*) FROM t WHERE c IS DISTINCT FROM NULLIF(src, '7')",
        .rows = 59},
    {.title = "a NULL result replaces a value",
        .setup = TABLE("c text DEFAULT 'old'"),
        .job = "backfill: t\nset:\n  c: NULLIF(src, src)\n",
        .wrong = "SELECT count(*) FROM t WHERE c IS NOT NULL",
        .rows = 60},
    {.title = "NOT NULL with a default",
        .setup = TABLE("c text NOT NULL DEFAULT 'z'"),
        .job = "backfill: t\nset:\n  c: src\n",
        .wrong = "SELECT count(*) FROM t WHERE c <> src",
        .rows = 60},
    {.title = "two columns at once",
        .setup = TABLE("c int, d text DEFAULT 'q'") "UPDATE t SET c = id WHERE id <= 10;",
        .job = "backfill: t\nset:\n  c: src::int\n  d: src || 'x'\n",
        .wrong = "SELECT count(*) FROM t WHERE (c, d) IS DISTINCT FROM (src::int, src || 'x')",
        .rows = 60},
    {.title = "predicate with a comment at its end",
        .setup = TABLE("c text"),
        .job = "backfill: t\nwhere: |\n  id % 2 = 0 -- even\nset:\n  c: |\n    src -- as it is\n",
        .wrong = "SELECT count(*) FROM t"
                 " WHERE c IS DISTINCT FROM CASE WHEN id % 2 = 0 THEN src END",
        .rows = 30},
    {.title = "dollar quotes, our own one too",
        .setup = TABLE("c text"),
        .job = "backfill: t\nset:\n  c: |\n    src || $pghaul$y$pghaul$ || $$z$$\n",
        .wrong = "SELECT count(*) FROM t WHERE c IS DISTINCT FROM src || 'yz'",
        .rows = 60},
    {.title = "scalar subquery",
        .setup = TABLE("c text") "CREATE TABLE names (k bigint PRIMARY KEY, v text);"
                                 "INSERT INTO names SELECT id, 'v' || id FROM t;",
        .job = "backfill: t\nallow: [stable]\n"
               "set:\n  c: (SELECT v FROM names WHERE k = t.id)\n",
        .wrong = "SELECT count(*) FROM t WHERE c IS DISTINCT FROM 'v' || id",
        .rows = 60},
    {.title = "stable function",
        .setup = TABLE("c text"),
        .job = "backfill: t\nallow: [stable]\nset:\n  c: current_setting('TimeZone') || src\n",
        .wrong = "SELECT count(*) FROM t WHERE c IS DISTINCT FROM 'UTC' || src",
        .rows = 60},
    {.title = "volatile function: once for each row",
        .setup = TABLE("c bigint") "CREATE SEQUENCE s;",
        .job = "backfill: t\nallow: [volatile]\nsync: none\nset:\n  c: nextval('s') * 0 + id\n",
        .wrong = "SELECT count(*) FROM t WHERE c IS DISTINCT FROM id",
        .rows = 60},
};

Test(columns, values_and_expressions_that_are_easily_taken_for_others)
{
    CliBase base = cli_base_new(1);
    for (size_t i = 0; i < sizeof(VALUES) / sizeof(VALUES[0]); i++) {
        move_case_run(&base, &VALUES[i],
            i + 1 == sizeof(VALUES) / sizeof(VALUES[0]) ? BY_KEY : BY_KEY | BY_BLOCK);
    }
    cli_base_free(&base);
}

Test(columns, a_volatile_expression_is_walked_by_key_even_when_blocks_are_asked_for)
{
    CliBase base = cli_base_new(1);
    pg_exec(base.conn, TABLE("c uuid"));
    cli_base_write_job(&base, "job: test\nbackfill: t\npath: block\nallow: [volatile]\n"
                              "set:\n  c: gen_random_uuid()\nbatch: {rows: 7}\n"
                              "throttle: {standbys: none}\n");
    CliResult result = CLI("run", base.job_file, "-d", base.uri, "--yes", "--quiet");
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cr_expect(eq(i64, 60, pg_int(base.conn, "SELECT sum(rows) FROM pghaul.ranges")));
    cr_expect(eq(i64, 60, pg_int(base.conn, "SELECT count(DISTINCT c) FROM t")));
    cli_free(&result);
    cli_base_free(&base);
}

/* The number of stripes may change between two runs of a job; the function was made by the first.
 */
Test(columns, self_referring_rows_change_once_when_a_later_run_has_more_stripes)
{
    CliBase base = cli_base_new(1);
    pg_exec(base.conn, "CREATE TABLE t (id bigint PRIMARY KEY, hits bigint NOT NULL);"
                       "INSERT INTO t SELECT g, g FROM generate_series(1, 1000) AS g;"
                       "CREATE INDEX by_hits ON t (hits)");
    cli_base_write_job(&base, "job: test\nbackfill: t\nset:\n  hits: hits * 10\n"
                              "throttle: {standbys: none}\n");
    /* An older transaction keeps the first run waiting when it has made the functions. */
    pg_exec(base.conn, "BEGIN; SELECT pg_current_xact_id()");
    Proc *first =
        proc_start_pghaul((const char *const[]){"run", base.job_file, "-d", base.uri, "-y", NULL});
    pg_wait_true(base.conn, "SELECT EXISTS (SELECT FROM pg_proc WHERE proname ~ '^move_')",
        HARNESS_TIMEOUT_US);
    proc_signal(first, SIGKILL);
    proc_free(first);
    pg_exec(base.conn, "COMMIT; DROP INDEX by_hits");
    CliResult second = CLI("run", base.job_file, "-d", base.uri, "--yes");
    cr_expect(eq(int, 0, second.code), "%s", second.err);
    cr_expect(eq(i64, 0, pg_int(base.conn, "SELECT count(*) FROM t WHERE hits <> id * 10")));
    cli_free(&second);
    cli_base_free(&base);
}
