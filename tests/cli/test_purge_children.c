/*
 * test_purge_children.c - a purge of a table that others refer to: their rows go first, in any
 * shape of the graph, and none that the application wrote meanwhile goes unseen.
 *
 * PGHAUL_SOAK=1 asks for the full counts.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdlib.h>

#include "base/strbuf.h"
#include "cli/preflight.h"
#include "core/prng.h"
#include "harness/harness.h"
#include "harness/session.h"

/* Half of 200 rows are old. */
#define PARENT                                                                                     \
    "CREATE TABLE t (id int PRIMARY KEY, old bool NOT NULL);"                                      \
    "INSERT INTO t SELECT i, i % 2 = 0 FROM generate_series(1, 200) AS i;"
#define KILLS      3
#define KILLS_SOAK 100
#define CLIENTS    2

#define PURGE  "purge: t\nwhere: old\n"
#define DELETE PURGE "children: delete\n"

/* Three rows for each. */
#define CHILD(action)                                                                              \
    "CREATE TABLE c (id int PRIMARY KEY, t int REFERENCES t " action ");"                          \
    "CREATE INDEX ON c (t); INSERT INTO c SELECT i, 1 + i % 200 FROM generate_series(1, 600) i;"

/* So that something can happen while it goes on. */
#define SLOW                                                                                       \
    "CREATE FUNCTION slow(b bool) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS"                      \
    "  'BEGIN PERFORM pg_sleep(0.002); RETURN b; END';"

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
    start_over(&base, PARENT CHILD("") "CREATE ROLE mover_c LOGIN;"
                                       "GRANT ALL ON t TO mover_c; GRANT SELECT ON c TO mover_c;"
                                       "GRANT USAGE ON SCHEMA public TO mover_c");
    pg_execf(base.conn, "GRANT ALL ON DATABASE %s TO mover_c", base.dbname);
    write_job(&base, DELETE);
    preflight_expect(&base, preflight_uri_of(&base, "mover_c"), &LACKS);
    pg_exec(base.conn, "GRANT UPDATE, DELETE ON c TO mover_c");
    CliResult result = CLI("run", base.job_file, "-d", preflight_uri_of(&base, "mover_c"), "--yes");
    cr_expect(zero(int, result.code), "%s%s", result.out, result.err);
    cr_expect(eq(i64, 0, pg_int(base.conn, T_WRONG C_WRONG)));
    cli_free(&result);
    pg_execf(base.conn, "DROP SCHEMA pghaul CASCADE; DROP OWNED BY mover_c; DROP ROLE mover_c");
    cli_base_free(&base);
}

Test(purge_children, a_trigger_that_keeps_rows_ends_the_run_without_a_loss)
{
    CliBase base = cli_base_new(1);
    start_over(&base,
        PARENT CHILD("") "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
                         "  'BEGIN RETURN CASE WHEN OLD.t <> 100 THEN OLD END; END';"
                         "CREATE TRIGGER g BEFORE DELETE ON c FOR EACH ROW EXECUTE FUNCTION f()");
    write_job(&base, DELETE "allow: [user-triggers]\n");
    CliResult result = CLI("run", base.job_file, "-d", base.uri, "--yes");
    cr_expect(eq(int, 1, result.code), "%s%s", result.out, result.err);
    cr_expect(cli_has(result.err, "kept from being deleted"), "%s", result.err);
    cr_expect(eq(i64, 3,
        pg_int(base.conn, "SELECT count(*) FROM c JOIN t ON t.id = c.t"
                          " WHERE t.id = 100")));
    cli_free(&result);
    cli_base_free(&base);
}

Test(purge_children, a_foreign_key_that_is_new_stops_the_job)
{
    CliBase base = cli_base_new(1);
    start_over(&base, PARENT SLOW);
    write_job(&base, "purge: t\nwhere: slow(old)\n");
    Proc *proc = proc_start_pghaul(
        (const char *const[]){"run", base.job_file, "-d", base.uri, "--yes", NULL});
    pg_wait_true(base.conn, "SELECT count(*) < 195 FROM t", SECONDS_US(20));
    pg_exec(base.conn, "CREATE TABLE c (t int REFERENCES t ON DELETE CASCADE)");
    pg_exec(base.conn, "INSERT INTO c SELECT id FROM t");
    cr_expect(lt(int, 0, proc_finish(proc, SECONDS_US(30))));
    char *text = proc_stderr(proc);
    cr_expect(cli_has(text, "foreign keys"), "%s", text);
    free(text);
    proc_free(proc);
    cr_expect(eq(i64, pg_int(base.conn, "SELECT count(*) FROM t"),
        pg_int(base.conn, "SELECT count(*) FROM c")));
    cli_base_free(&base);
}

/* ---- while the application writes ---- */

static Proc *
start_run(const CliBase *base)
{
    return proc_start_pghaul(
        (const char *const[]){"run", base->job_file, "-d", base->uri, "--yes", NULL});
}

/* While a transaction of the application is open everything goes but what it holds on to; then
 * the rest. */
static void
expect_left_behind(const CliBase *base, const char *holds, const char *end, const char *kept)
{
    start_over(base, PARENT CHILD("") GRANDCHILD SLOW);
    write_job(base, "purge: t\nwhere: slow(old)\nchildren: delete\n");
    Session *application = session_open(base->uri);
    Proc *proc = start_run(base);
    pg_wait_true(base->conn, "SELECT count(*) < 100 FROM t WHERE old", SECONDS_US(30));
    pg_exec(session_conn(application), "BEGIN");
    pg_exec(session_conn(application), holds);
    pg_wait_true(base->conn, "SELECT count(*) = 1 FROM t WHERE old", SECONDS_US(30));
    cr_expect(proc_wait_output(proc, "locked by", SECONDS_US(20)), "%s", holds);
    cr_expect(eq(i64, 1, pg_int(base->conn, "SELECT count(*) FROM t WHERE old AND id = 100")));
    cr_expect(eq(i64, 3, pg_int(base->conn, "SELECT count(*) FROM c WHERE t = 100")));
    pg_exec(session_conn(application), end);
    cr_expect(zero(int, proc_finish(proc, SECONDS_US(30))), "%s", holds);
    cr_expect(eq(i64, 0, pg_int(base->conn, kept)), "%s", holds);
    proc_free(proc);
    session_close(application);
}

Test(purge_children, rows_that_the_application_holds_are_left_with_their_parents)
{
#define ALL_GONE T_WRONG C_WRONG G_WRONG
    static const struct {
        const char *holds;
        const char *end;
        const char *kept;
    } CASES[] = {
        {"UPDATE c SET id = id WHERE id = 99", "COMMIT", ALL_GONE},
        {"UPDATE g SET c = 99 WHERE ctid = (SELECT min(ctid) FROM g WHERE c = 99)", "ROLLBACK",
            ALL_GONE},
        {"DELETE FROM g WHERE c = 99", "COMMIT", ALL_GONE},
        {"INSERT INTO g VALUES (99)", "COMMIT", ALL_GONE},
        {"INSERT INTO c VALUES (1000, 100)", "COMMIT", ALL_GONE},
        {"INSERT INTO c VALUES (1000, 100)", "UPDATE t SET old = false WHERE id = 100; COMMIT",
            "SELECT count(*) - 4 FROM c WHERE t = 100"},
        {"UPDATE c SET t = 101 WHERE id = 99", "COMMIT",
            "SELECT count(*) - 4 FROM c WHERE t = 101"},
        {"SELECT FROM c WHERE id = 99 FOR SHARE", "UPDATE c SET t = 101 WHERE id = 99; COMMIT",
            "SELECT count(*) - 4 FROM c WHERE t = 101"},
    };
    CliBase base = cli_base_new(1);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        expect_left_behind(&base, CASES[i].holds, CASES[i].end, CASES[i].kept);
    }
    cli_base_free(&base);
}

/*
 * An application that adds, moves and takes away children, and changes its mind about parents.  In
 * the transaction of each change it writes down what must be true then: of a child, whose it is
 * (NULL: it is gone), of a parent, whether it may go.
 */
#define APPLICATION                                                                                \
    "CREATE TABLE stop ();"                                                                        \
    "CREATE TABLE said_c (c int PRIMARY KEY, t int); INSERT INTO said_c SELECT id, t FROM c;"      \
    "CREATE TABLE said_t (t int PRIMARY KEY, old bool); INSERT INTO said_t SELECT id, old FROM t;" \
    "CREATE SEQUENCE of_c START 1000;"                                                             \
    "CREATE FUNCTION act(what int, who int, other int) RETURNS void LANGUAGE plpgsql AS $$"        \
    "DECLARE new int; BEGIN "                                                                      \
    "IF what < 4 THEN"                                                                             \
    "  INSERT INTO c VALUES (nextval('of_c'), who) RETURNING id INTO new;"                         \
    "  INSERT INTO said_c VALUES (new, who);"                                                      \
    "  IF what = 0 THEN INSERT INTO g VALUES (new); END IF;"                                       \
    "ELSIF what < 6 THEN"                                                                          \
    "  UPDATE c SET t = who WHERE id = other RETURNING id INTO new;"                               \
    "  UPDATE said_c SET t = who WHERE c = new;"                                                   \
    "ELSIF what < 7 THEN"                                                                          \
    "  DELETE FROM c WHERE id = other AND NOT EXISTS (SELECT FROM g WHERE g.c = c.id)"             \
    "    RETURNING id INTO new;"                                                                   \
    "  UPDATE said_c SET t = NULL WHERE c = new;"                                                  \
    "ELSE"                                                                                         \
    "  UPDATE t SET old = what > 8 WHERE id = who RETURNING id INTO new;"                          \
    "  UPDATE said_t SET old = what > 8 WHERE t = new;"                                            \
    "END IF; PERFORM pg_sleep(0.002 * random());"                                                  \
    "EXCEPTION WHEN foreign_key_violation THEN NULL; END $$;"                                      \
    "CREATE PROCEDURE work(seed float8) LANGUAGE plpgsql AS $$BEGIN PERFORM setseed(seed);"        \
    "WHILE NOT EXISTS (SELECT FROM stop) LOOP"                                                     \
    "  PERFORM act((random() * 10)::int, 1 + (random() * 199)::int, 1 + (random() * 1999)::int);"  \
    "  COMMIT; END LOOP; END $$;"

/* Rows of which something else is true than what was said last.  A child may be gone with its
 * parent only, and a parent only when it was old. */
#define BROKEN                                                                                     \
    "SELECT (SELECT count(*) FROM said_c s LEFT JOIN c ON c.id = s.c"                              \
    "         WHERE CASE WHEN c.id IS NULL THEN EXISTS (SELECT FROM t WHERE t.id = s.t)"           \
    "                    ELSE c.t IS DISTINCT FROM s.t END)"                                       \
    "     + (SELECT count(*) FROM said_t s LEFT JOIN t ON t.id = s.t"                              \
    "         WHERE CASE WHEN t.id IS NULL THEN NOT s.old ELSE t.old <> s.old END)"

static void
kill_runs(const CliBase *base)
{
    Prng prng;
    prng_init(&prng, harness_seed());
    int kills = harness_env("PGHAUL_SOAK", NULL) == NULL ? KILLS : KILLS_SOAK;
    for (int killed = 0; killed < kills;) {
        Proc *proc = start_run(base);
        if (proc_wait(proc, prng_between(&prng, 50000, 400000))) {
            cr_expect(zero(int, proc_exit_code(proc)), "%s", proc_stderr(proc));
            pg_exec(base->conn, "UPDATE said_c s SET t = NULL"
                                " WHERE NOT EXISTS (SELECT FROM c WHERE c.id = s.c);"
                                "INSERT INTO t SELECT i, true FROM generate_series(1, 200) AS i"
                                " ON CONFLICT DO NOTHING;"
                                "INSERT INTO said_t SELECT id, old FROM t"
                                " ON CONFLICT (t) DO NOTHING");
        } else {
            proc_signal(proc, SIGKILL);
            (void)proc_finish(proc, HARNESS_TIMEOUT_US);
            killed++;
        }
        proc_free(proc);
    }
}

Test(purge_children, no_row_goes_unseen_while_an_application_writes_and_runs_are_killed)
{
    CliBase base = cli_base_new(1);
    start_over(&base, PARENT CHILD("") GRANDCHILD SLOW APPLICATION);
    write_job(&base, "purge: t\nwhere: slow(old)\nchildren: delete\nworkers: 2\n");
    Session *clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        char text[64];
        (void)snprintf(text, sizeof(text), "CALL work(0.%d)", i + 1);
        clients[i] = session_open(base.uri);
        session_send(clients[i], text);
    }
    kill_runs(&base);
    pg_exec(base.conn, "ALTER TABLE stop ADD x int; INSERT INTO stop VALUES (1)");
    for (int i = 0; i < CLIENTS; i++) {
        session_expect_ok(clients[i], SECONDS_US(20));
        session_close(clients[i]);
    }
    cr_expect(eq(i64, 0, pg_int(base.conn, BROKEN)));
    Proc *proc = start_run(&base);
    cr_expect(zero(int, proc_finish(proc, SECONDS_US(60))));
    proc_free(proc);
    cr_expect(eq(i64, 0, pg_int(base.conn, BROKEN)));
    cr_expect(eq(i64, 0, pg_int(base.conn, "SELECT count(*) FROM t WHERE old")));
    cli_base_free(&base);
}

/* ---- what plan shows ---- */

Test(purge_children, plan_shows_the_tree_with_estimates)
{
    CliBase base = cli_base_new(1);
    start_over(&base, PARENT CHILD("ON DELETE CASCADE") GRANDCHILD
        "CREATE TABLE n (t int REFERENCES t ON DELETE SET NULL); CREATE INDEX ON n (t);"
        "ANALYZE t; ANALYZE c; ANALYZE g");
    write_job(&base, DELETE "allow: [set-null]\n");
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
