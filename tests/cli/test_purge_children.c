/*
 * test_purge_children.c - a purge of a table that others refer to: their rows go first, in any
 * shape of the graph, and none that the application wrote meanwhile goes unseen.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdlib.h>

#include "base/strbuf.h"
#include "cli/preflight.h"
#include "harness/harness.h"
#include "harness/session.h"

/* Half of 200 rows are old. */
#define PARENT                                                                                     \
    "CREATE TABLE t (id int PRIMARY KEY, old bool NOT NULL);"                                      \
    "INSERT INTO t SELECT i, i % 2 = 0 FROM generate_series(1, 200) AS i;"
#define PURGE  "purge: t\nwhere: old\n"
#define DELETE PURGE "children: delete\n"

/* Three rows for each. */
#define CHILD(action)                                                                              \
    "CREATE TABLE c (id int PRIMARY KEY, t int REFERENCES t " action ");"                          \
    "CREATE INDEX ON c (t); INSERT INTO c SELECT i, 1 + i % 200 FROM generate_series(1, 600) i;"

/* What must be true: no old row, all others, and children of those only. */
#define T_WRONG "SELECT (SELECT count(*) FROM t WHERE old) + 100 - (SELECT count(*) FROM t)"
#define C_WRONG " + 300 - (SELECT count(*) FROM c)"

typedef struct ChildCase {
    const char *title;
    const char *setup;
    const char *job;
    const char *wrong;
    int64_t gone; /* rows of children that were deleted */
} ChildCase;

static void
start_over(const CliBase *base, const char *setup)
{
    pg_exec(base->conn, "SET client_min_messages = error;"
                        "DROP SCHEMA public CASCADE; CREATE SCHEMA public;"
                        "DROP SCHEMA IF EXISTS pghaul CASCADE");
    pg_exec(base->conn, setup);
}

static void
write_job(const CliBase *base, const char *job)
{
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&text, "job: test\n%sbatch: {rows: 7}\nthrottle: {standbys: none}\n", job);
    cli_base_write_job(base, strbuf_text(&text));
}

static void
expect_totals(const CliBase *base, int64_t rows, int64_t gone)
{
    cr_expect(
        eq(i64, rows, pg_int(base->conn, "SELECT coalesce(sum(rows), 0) FROM pghaul.ranges")));
    cr_expect(
        eq(i64, gone, pg_int(base->conn, "SELECT coalesce(sum(updated), 0) FROM pghaul.ranges")));
    cr_expect(
        eq(i64, 0, pg_int(base->conn, "SELECT count(*) FROM pghaul.ranges WHERE state <> 'done'")));
}

static void
run_cases(const ChildCase *cases, size_t count)
{
    CliBase base = cli_base_new(1);
    for (size_t i = 0; i < count; i++) {
        start_over(&base, cases[i].setup);
        write_job(&base, cases[i].job);
        CliResult result = CLI("run", base.job_file, "-d", base.uri, "--yes");
        cr_expect(zero(int, result.code), "%s:\n%s%s", cases[i].title, result.out, result.err);
        cr_expect(eq(i64, 0, pg_int(base.conn, cases[i].wrong)), "%s", cases[i].title);
        expect_totals(&base, 100, cases[i].gone);
        cli_free(&result);
    }
    cli_base_free(&base);
}
#define RUN_CASES(cases) run_cases(cases, sizeof(cases) / sizeof((cases)[0]))

Test(purge_children, rows_go_with_their_parents_by_every_action)
{
    static const ChildCase CASES[] = {
        {.title = "no action",
            .setup = PARENT CHILD(""),
            .job = DELETE,
            .wrong = T_WRONG C_WRONG,
            .gone = 300},
        {.title = "restrict",
            .setup = PARENT CHILD("ON DELETE RESTRICT"),
            .job = DELETE,
            .wrong = T_WRONG C_WRONG,
            .gone = 300},
        {.title = "cascade",
            .setup = PARENT CHILD("ON DELETE CASCADE"),
            .job = DELETE,
            .wrong = T_WRONG C_WRONG,
            .gone = 300},
        {.title = "cascade, allowed",
            .setup = PARENT CHILD("ON DELETE CASCADE"),
            .job = PURGE "allow: [cascade]\n",
            .wrong = T_WRONG C_WRONG,
            .gone = 300},
        {.title = "deferred",
            .setup = PARENT CHILD("DEFERRABLE INITIALLY DEFERRED"),
            .job = DELETE,
            .wrong = T_WRONG C_WRONG,
            .gone = 300},
        {.title = "set null",
            .setup = PARENT CHILD("ON DELETE SET NULL"),
            .job = DELETE "allow: [set-null]\n",
            .wrong = T_WRONG " + 600 - (SELECT count(*) FROM c)"
                             " + 300 - (SELECT count(*) FROM c WHERE t IS NULL)"},
        {.title = "set default",
            .setup = PARENT CHILD("ON DELETE SET DEFAULT") "ALTER TABLE c ALTER t SET DEFAULT 1",
            .job = PURGE "allow: [set-null]\n",
            .wrong = T_WRONG " + 303 - (SELECT count(*) FROM c WHERE t = 1)"},
        {.title = "without an index",
            .setup = PARENT CHILD("") "DROP INDEX c_t_idx",
            .job = DELETE "allow: [child-index]\n",
            .wrong = T_WRONG C_WRONG,
            .gone = 300},
    };
    RUN_CASES(CASES);
}

#define GRANDCHILD                                                                                 \
    "CREATE TABLE g (c int REFERENCES c);"                                                         \
    "CREATE INDEX ON g (c); INSERT INTO g SELECT 1 + i % 600 FROM generate_series(1, 1200) i;"
#define G_WRONG " + 600 - (SELECT count(*) FROM g)"

Test(purge_children, any_graph_without_a_cycle)
{
    static const ChildCase CASES[] = {
        {.title = "grandchildren",
            .setup = PARENT CHILD("") GRANDCHILD,
            .job = DELETE,
            .wrong = T_WRONG C_WRONG G_WRONG,
            .gone = 900},
        {.title = "grandchildren behind a cascade",
            .setup = PARENT CHILD("ON DELETE CASCADE") GRANDCHILD,
            .job = DELETE,
            .wrong = T_WRONG C_WRONG G_WRONG,
            .gone = 900},
        {.title = "two keys to one parent",
            .setup = PARENT "CREATE TABLE c (a int REFERENCES t, b int REFERENCES t);"
                            "CREATE INDEX ON c (a); CREATE INDEX ON c (b);"
                            "INSERT INTO c SELECT 1 + i % 200, 1 + (i / 2) % 200"
                            "  FROM generate_series(1, 400) i",
            .job = DELETE,
            .wrong = T_WRONG " + 100 - (SELECT count(*) FROM c)",
            .gone = 300},
        {.title = "one key deletes, one sets null",
            .setup = PARENT "CREATE TABLE c (a int REFERENCES t, b int REFERENCES t ON DELETE SET"
                            "  NULL);"
                            "CREATE INDEX ON c (a); CREATE INDEX ON c (b);"
                            "INSERT INTO c SELECT 1 + i % 200, 1 + (i / 2) % 200"
                            "  FROM generate_series(1, 400) i",
            .job = DELETE "allow: [set-null]\n",
            .wrong = T_WRONG " + 200 - (SELECT count(*) FROM c)"
                             " + 100 - (SELECT count(*) FROM c WHERE b IS NULL)",
            .gone = 200},
        {.title = "diamond",
            .setup = PARENT CHILD(
                "") "CREATE TABLE d (id int PRIMARY KEY, t int REFERENCES t ON DELETE CASCADE);"
                    "CREATE INDEX ON d (t); INSERT INTO d SELECT i, 1 + i % 200"
                    "  FROM generate_series(1, 600) i;"
                    "CREATE TABLE e (c int REFERENCES c, d int REFERENCES d);"
                    "CREATE INDEX ON e (c); CREATE INDEX ON e (d);"
                    "INSERT INTO e SELECT i, 1 + i % 600 FROM generate_series(1, 600) i",
            .job = DELETE,
            .wrong = T_WRONG C_WRONG " + 300 - (SELECT count(*) FROM d)"
                                     " + (SELECT count(*) FROM e)",
            .gone = 1200},
        {.title = "a table below both its parent and its grandparent",
            .setup = PARENT CHILD(
                "") "CREATE TABLE e (c int REFERENCES c, t int REFERENCES t);"
                    "CREATE INDEX ON e (c); CREATE INDEX ON e (t);"
                    "INSERT INTO e SELECT i, 1 + i % 200 FROM generate_series(1, 600) i",
            .job = DELETE,
            .wrong = T_WRONG C_WRONG " + 300 - (SELECT count(*) FROM e)",
            .gone = 600},
    };
    RUN_CASES(CASES);
}

Test(purge_children, keys_of_several_columns_types_and_collations)
{
    static const ChildCase CASES[] = {
        {.title = "two columns, of other types, in another order",
            .setup =
                PARENT "ALTER TABLE t ADD s text COLLATE \"C\"; UPDATE t SET s = 'x' || id % 7;"
                       "ALTER TABLE t ADD UNIQUE (id, s);"
                       "CREATE TABLE c (\"sel ect\" text COLLATE \"POSIX\", n bigint, FOREIGN"
                       "  KEY (\"sel ect\", n) REFERENCES t (s, id));"
                       "CREATE INDEX ON c (n, \"sel ect\");"
                       "INSERT INTO c SELECT s, id FROM t, generate_series(1, 3);"
                       "INSERT INTO c VALUES (NULL, 2), ('nobody', NULL)",
            .job = DELETE,
            .wrong = T_WRONG " + 302 - (SELECT count(*) FROM c)",
            .gone = 300},
        {.title = "another unique key than that of the job",
            .setup = PARENT "ALTER TABLE t ADD u uuid UNIQUE DEFAULT gen_random_uuid();"
                            "CREATE TABLE c (u uuid REFERENCES t (u)); CREATE INDEX ON c (u);"
                            "INSERT INTO c SELECT u FROM t",
            .job = DELETE,
            .wrong = T_WRONG " + 100 - (SELECT count(*) FROM c)",
            .gone = 100},
    };
    RUN_CASES(CASES);
}

#define PARTITIONED                                                                                \
    "CREATE TABLE c (id int, t int REFERENCES t, PRIMARY KEY (id)) PARTITION BY RANGE (id);"       \
    "CREATE TABLE c1 PARTITION OF c FOR VALUES FROM (0) TO (300);"                                 \
    "CREATE TABLE c2 PARTITION OF c DEFAULT PARTITION BY HASH (id);"                               \
    "CREATE TABLE c20 PARTITION OF c2 FOR VALUES WITH (MODULUS 2, REMAINDER 0);"                   \
    "CREATE TABLE c21 PARTITION OF c2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);"                   \
    "CREATE INDEX ON c (t); INSERT INTO c SELECT i, 1 + i % 200 FROM generate_series(1, 600) i;"

Test(purge_children, partitions_on_either_side)
{
    static const ChildCase CASES[] = {
        {.title = "child",
            .setup = PARENT PARTITIONED,
            .job = DELETE,
            .wrong = T_WRONG C_WRONG,
            .gone = 300},
        {.title = "child with children, and two keys",
            .setup = PARENT PARTITIONED GRANDCHILD "ALTER TABLE c ADD b int REFERENCES t;"
                                                   "UPDATE c SET b = t; CREATE INDEX ON c (b)",
            .job = DELETE,
            .wrong = T_WRONG C_WRONG G_WRONG,
            .gone = 900},
        {.title = "the leaf of a table that is referred to",
            .setup = "CREATE TABLE r (id int PRIMARY KEY, old bool) PARTITION BY RANGE (id);"
                     "CREATE TABLE t PARTITION OF r FOR VALUES FROM (1) TO (201);"
                     "CREATE TABLE u PARTITION OF r DEFAULT;"
                     "INSERT INTO r SELECT i, i % 2 = 0 FROM generate_series(1, 400) i;"
                     "CREATE TABLE c (id int PRIMARY KEY, r int REFERENCES r);"
                     "CREATE INDEX ON c (r); INSERT INTO c SELECT i, i FROM generate_series(1, 400)"
                     "  i",
            .job = DELETE,
            .wrong = T_WRONG C_WRONG,
            .gone = 100},
    };
    RUN_CASES(CASES);
}
