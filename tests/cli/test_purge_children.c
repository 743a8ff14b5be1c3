/*
 * test_purge_children.c - a purge of a table that others refer to: their rows go first, in any
 * shape of the graph.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdlib.h>

#include "base/strbuf.h"
#include "cli/children_case.h"
#include "cli/preflight.h"
#include "harness/harness.h"
#include "harness/session.h"

typedef struct ChildCase {
    const char *title;
    const char *setup;
    const char *job;
    const char *wrong;
    int64_t gone; /* rows of children that were deleted */
} ChildCase;

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
        children_start_over(&base, cases[i].setup);
        children_write_job(&base, cases[i].job);
        CliResult result = CLI("run", base.job_file, "-d", base.uri, "--yes");
        cr_expect(zero(int, result.code), "%s:\n%s%s", cases[i].title, result.out, result.err);
        cr_expect(eq(i64, 0, pg_int(base.conn, cases[i].wrong)), "%s", cases[i].title);
        STRBUF_AUTO line = STRBUF_INIT;
        strbuf_printf(&line, "other tables    %lld rows deleted", (long long)cases[i].gone);
        bool says = cases[i].gone > 999 || cli_has(result.out, strbuf_text(&line)) ||
                    cli_has(result.err, strbuf_text(&line));
        cr_expect(says, "%s:\n%s%s", cases[i].title, result.out, result.err);
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

Test(purge_children, a_predicate_may_look_at_the_rows_that_go)
{
    static const ChildCase CASES[] = {
        {.title = "only those with children",
            .setup =
                PARENT CHILD("") "INSERT INTO t SELECT i, true FROM generate_series(201, 210) i",
            .job = "purge: t\nwhere: old AND EXISTS (SELECT FROM c WHERE c.t = t.id)\nchildren: "
                   "delete\n"
                   "allow: [stable]\n",
            .wrong = "SELECT 110 - count(*) FROM t",
            .gone = 300},
    };
    RUN_CASES(CASES);
}

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

/* ---- what is refused ---- */

Test(purge_children, what_would_go_unasked_is_refused)
{
    static const Situation SITUATIONS[] = {
        {.title = "no action",
            .setup = PARENT CHILD(""),
            .job = PURGE,
            .code = "children",
            .help = "children: delete",
            .is_risk = true},
        {.title = "cascade",
            .setup = PARENT CHILD("ON DELETE CASCADE") "ANALYZE t; ANALYZE c",
            .job = PURGE,
            .code = "cascade",
            .help = "ON DELETE CASCADE, about 3.0 for each",
            .is_risk = true},
        {.title = "cascade, rows of which would not be archived",
            .setup = PARENT CHILD("ON DELETE CASCADE"),
            .job = PURGE "archive: /var/tmp/pghaul-none\nallow: [cascade]\n",
            .code = "cascade",
            .help = "children: delete archives"},
        {.title = "set null",
            .setup = PARENT CHILD("ON DELETE SET NULL"),
            .job = DELETE,
            .code = "set-null",
            .help = "lose what they refer to",
            .is_risk = true},
        {.title = "no index",
            .setup = PARENT CHILD("") "DROP INDEX c_t_idx",
            .job = DELETE,
            .code = "child-index",
            .help = "CREATE INDEX CONCURRENTLY ON \"public\".\"c\" (\"t\");",
            .is_risk = true},
        {.title = "no index of a partitioned table",
            .setup = PARENT PARTITIONED "DROP INDEX c_t_idx",
            .job = DELETE,
            .code = "child-index",
            .help = "CREATE INDEX ON \"public\".\"c\" (\"t\");",
            .is_risk = true},
        {.title = "a table that refers to itself",
            .setup = PARENT "ALTER TABLE t ADD up int REFERENCES t; CREATE INDEX ON t (up)",
            .job = DELETE,
            .code = "child-cycle",
            .help = "t_up_fkey"},
        {.title = "tables that refer to each other",
            .setup = PARENT CHILD("") "CREATE TABLE d (id int PRIMARY KEY, c int REFERENCES c);"
                                      "ALTER TABLE c ADD d int REFERENCES d",
            .job = DELETE,
            .code = "child-cycle",
            .help = "\"c_d_fkey\""},
        {.title = "trigger of a child",
            .setup = PARENT CHILD(
                "") "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; "
                    "END';"
                    "CREATE TRIGGER g BEFORE DELETE ON c FOR EACH ROW EXECUTE FUNCTION f()",
            .job = DELETE,
            .code = "user-triggers",
            .help = "g (function public.f) of \"public\".\"c\"",
            .is_risk = true},
        {.title = "rule of a child",
            .setup = PARENT CHILD("") "CREATE RULE q AS ON DELETE TO c DO INSTEAD NOTHING",
            .job = DELETE,
            .code = "rules",
            .help = "\"c\" has rewrite rules"},
        {.title = "a partition and its table, each with a key",
            .setup = PARENT PARTITIONED "ALTER TABLE c1 ADD FOREIGN KEY (id) REFERENCES t"
                                        "  NOT VALID",
            .job = DELETE "allow: [child-index]\n",
            .code = "child-key",
            .help = "parts of one partitioned table"},
    };
    situations_check(SITUATIONS, sizeof(SITUATIONS) / sizeof(SITUATIONS[0]));
}

Test(purge_children, a_role_without_rights_on_a_child_is_told_which)
{
    static const Situation LACKS = {.title = "privileges",
        .code = "privilege",
        .help = "GRANT UPDATE, DELETE ON \"public\".\"c\" TO \"mover_c\";"};
    CliBase base = cli_base_new(1);
    children_start_over(&base,
        PARENT CHILD("") "CREATE ROLE mover_c LOGIN;"
                         "GRANT ALL ON t TO mover_c; GRANT SELECT ON c TO mover_c;"
                         "GRANT USAGE ON SCHEMA public TO mover_c");
    pg_execf(base.conn, "GRANT ALL ON DATABASE %s TO mover_c", base.dbname);
    children_write_job(&base, DELETE);
    preflight_expect(&base, preflight_uri_of(&base, "mover_c"), &LACKS);
    pg_exec(base.conn, "GRANT UPDATE, DELETE ON c TO mover_c");
    CliResult result = CLI("run", base.job_file, "-d", preflight_uri_of(&base, "mover_c"), "--yes");
    cr_expect(zero(int, result.code), "%s%s", result.out, result.err);
    cr_expect(eq(i64, 0, pg_int(base.conn, T_WRONG C_WRONG)));
    cli_free(&result);
    pg_execf(base.conn, "DROP SCHEMA pghaul CASCADE; DROP OWNED BY mover_c; DROP ROLE mover_c");
    cli_base_free(&base);
}

Test(purge_children, a_row_that_is_referred_to_ends_the_run_where_that_is_allowed)
{
    CliBase base = cli_base_new(1);
    children_start_over(&base, PARENT CHILD("") "DELETE FROM c WHERE t <> 100");
    children_write_job(&base, PURGE "allow: [children]\n");
    CliResult result = CLI("run", base.job_file, "-d", base.uri, "--yes");
    cr_expect(eq(int, 1, result.code), "%s%s", result.out, result.err);
    cr_expect(cli_has(result.err, "23503"), "%s", result.err);
    cr_expect(eq(i64, 1, pg_int(base.conn, "SELECT count(*) FROM t WHERE id = 100")));
    cr_expect(eq(i64, 3, pg_int(base.conn, "SELECT count(*) FROM c")));
    cli_free(&result);
    cli_base_free(&base);
}

Test(purge_children, a_trigger_that_keeps_rows_ends_the_run_without_a_loss)
{
    CliBase base = cli_base_new(1);
    children_start_over(&base,
        PARENT CHILD("") "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
                         "  'BEGIN RETURN CASE WHEN OLD.t <> 100 THEN OLD END; END';"
                         "CREATE TRIGGER g BEFORE DELETE ON c FOR EACH ROW EXECUTE FUNCTION f()");
    children_write_job(&base, DELETE "allow: [user-triggers]\n");
    CliResult result = CLI("run", base.job_file, "-d", base.uri, "--yes");
    cr_expect(eq(int, 1, result.code), "%s%s", result.out, result.err);
    cr_expect(cli_has(result.err, "kept from being deleted"), "%s", result.err);
    cr_expect(eq(i64, 3,
        pg_int(base.conn, "SELECT count(*) FROM c JOIN t ON t.id = c.t"
                          " WHERE t.id = 100")));
    cli_free(&result);
    cli_base_free(&base);
}

/* ---- what plan shows ---- */

Test(purge_children, plan_shows_the_tree_with_estimates)
{
    CliBase base = cli_base_new(1);
    children_start_over(&base, PARENT CHILD("ON DELETE CASCADE") GRANDCHILD
        "CREATE TABLE n (t int REFERENCES t ON DELETE SET NULL); CREATE INDEX ON n (t);"
        "ANALYZE t; ANALYZE c; ANALYZE g");
    children_write_job(&base, DELETE "allow: [set-null]\n");
    CliResult text = CLI("plan", base.job_file, "-d", base.uri);
    cr_expect(
        cli_has(text.out, "children    public.c: about 300 rows are deleted, by c_t_fkey (t)"),
        "%s", text.out);
    cr_expect(cli_has(text.out, "public.g: about 600 rows are deleted"), "%s", text.out);
    cr_expect(
        cli_has(text.out, "public.n: nobody knows how many rows are kept and set"), "%s", text.out);
    cli_free(&text);
    CliResult json = CLI("plan", base.job_file, "-d", base.uri, "--json");
    cr_expect(cli_has(json.out, "\"children\":[{\"schema\":\"public\",\"table\":\"c\",\"level\":1,"
                                "\"deleted\":true,\"rows\":300,\"keys\":[{\"name\":\"c_t_fkey\","),
        "%s", json.out);
    cli_free(&json);
    cli_base_free(&base);
}
