/*
 * test_preflight_copy.c - each reason not to start a copy, on real tables, and what its plan says.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

#include "cli/preflight.h"
#include "harness/harness.h"
#include "harness/session.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define S         "CREATE TABLE s (id bigint PRIMARY KEY, a text, b text);"
#define T_COLUMNS "(id bigint PRIMARY KEY, a text, b text)"
#define T         "CREATE TABLE t " T_COLUMNS ";"
#define JOB       "copy: s\ninto: t\n"

Test(preflight_copy, targets_that_cannot_take_the_rows)
{
    static const Situation SITUATIONS[] = {
        {"itself", S, "copy: s\ninto: public.s\n", "target-is-source", NULL, "another table", 0,
            NULL},
        {"view", S "CREATE VIEW t AS SELECT * FROM s", JOB, "target-kind", NULL, "is a view", 0,
            NULL},
        {"unlogged", S "CREATE UNLOGGED TABLE t " T_COLUMNS, JOB, "target-unlogged", NULL,
            "SET LOGGED;", 0, NULL},
        {"not empty", S T "INSERT INTO t VALUES (1)", JOB, "target-not-empty", NULL, "on_conflict",
            0, NULL},
        {"rules", S T "CREATE RULE r AS ON INSERT TO t DO ALSO NOTHING", JOB, "rules", NULL,
            "an INSERT into something else", 0, NULL},
        {"trigger",
            S T "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
                "CREATE TRIGGER audit AFTER INSERT ON t EXECUTE FUNCTION f()",
            JOB, "user-triggers", NULL, "\"audit\"", true, NULL},
        {"referenced", S T "CREATE TABLE item (t bigint REFERENCES t)", JOB, "target-referenced",
            NULL, "the first of public.item", 0, NULL},
        {"refers to itself", S T "ALTER TABLE t ADD up bigint REFERENCES t", JOB,
            "target-referenced", NULL, "the first of public.t", 0, NULL},
        {"published", S T "CREATE PUBLICATION feed FOR TABLE t", JOB, "published", "warning",
            "\"feed\"", true, "DROP PUBLICATION feed"},
        {"no unique index", S "CREATE TABLE t (id bigint NOT NULL, a text, b text)", JOB,
            "target-key", NULL, "CREATE UNIQUE INDEX ON \"public\".\"t\" (\"id\")", 0, NULL},
        {"narrower key", S "CREATE TABLE t (id int PRIMARY KEY, a text, b text)", JOB, "target-key",
            NULL, "as it is", 0, NULL},
        {"partitioned", S "CREATE TABLE t " T_COLUMNS " PARTITION BY RANGE (id)", JOB,
            "target-partitioned", "note", "default partition", 0, NULL},
        {"no index to walk by",
            S "CREATE TABLE t (id bigint, a text, b text, PRIMARY KEY (a, id))"
              " PARTITION BY LIST (a)",
            JOB, "target-scan", NULL, "CREATE INDEX ON \"public\".\"t\" (\"id\");", true, NULL},
        {"deferrable", S T "ALTER TABLE t ADD CONSTRAINT late UNIQUE (b) DEFERRABLE", JOB,
            "target-deferrable", NULL, "\"late\"", true, NULL},
        {"its own foreign key",
            S T "CREATE TABLE b (b text PRIMARY KEY);"
                "ALTER TABLE t ADD CONSTRAINT of_b FOREIGN KEY (b) REFERENCES b",
            JOB, "target-foreign-key", "warning", "of_b to public.b", 0, NULL},
        {"parent of the source",
            "CREATE TABLE t (id bigint PRIMARY KEY, a text, b text) PARTITION BY RANGE (id);"
            "CREATE TABLE s PARTITION OF t DEFAULT",
            JOB, "target-is-source", NULL, "is a partition or a child", 0, NULL},
        {"parent of others", S T "CREATE TABLE older () INHERITS (t)", JOB, "target-inheritance",
            NULL, "public.older", 0, NULL},
        {"unlogged partition",
            S "CREATE TABLE t " T_COLUMNS " PARTITION BY RANGE (id);"
              "CREATE UNLOGGED TABLE t1 PARTITION OF t DEFAULT",
            JOB, "target-unlogged", NULL, "ALTER TABLE public.t1 SET LOGGED;", 0, NULL},
        {"partition",
            S "CREATE TABLE p " T_COLUMNS " PARTITION BY RANGE (id);"
              "CREATE TABLE t PARTITION OF p DEFAULT",
            JOB, "target-partition", "warning", "a partition of public.p", 0, NULL},
        {"trigger of a partition",
            S "CREATE TABLE t " T_COLUMNS " PARTITION BY RANGE (id);"
              "CREATE TABLE t1 PARTITION OF t DEFAULT;"
              "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
              "CREATE TRIGGER audit BEFORE INSERT ON t1 FOR EACH ROW EXECUTE FUNCTION f()",
            JOB, "user-triggers", NULL, "\"audit\" of public.t1", true, NULL},
        {"table of the server", S, "copy: s\ninto: pg_catalog.pg_class\n", "system-table", NULL,
            "\"pg_class\" is a table of the server", 0, NULL},
        {"narrower", S "CREATE TABLE t (id bigint PRIMARY KEY, a varchar(5), b text)", JOB,
            "target-constraint", "warning", "\"a\" (character varying(5))", 0, NULL},
        {"constraints", S T "ALTER TABLE t ALTER a SET NOT NULL, ADD CHECK (b <> '')", JOB,
            "target-constraint", "warning", "\"a\" (NOT NULL), \"b\" (check constraint)", 0, NULL},
    };
    situations_check(SITUATIONS, COUNT_OF(SITUATIONS));
}

Test(preflight_copy, maps_that_leave_something_open)
{
    static const Situation SITUATIONS[] = {
        {"misspelt", S T "ALTER TABLE t ADD amount text", JOB "map: {amuont: a}\n", "map-column",
            NULL, "Did you mean amount?", 0, NULL},
        {"generated",
            S "CREATE TABLE t (id bigint PRIMARY KEY, a text, b text,"
              " n int GENERATED ALWAYS AS (length(a)) STORED)",
            JOB "map: {n: length(b)}\n", "map-generated", NULL, "leave it out", 0, NULL},
        {"nothing goes there", S T "ALTER TABLE t ADD n int NOT NULL", JOB, "map-missing", NULL,
            "\"n\"", 0, NULL},
        {"left out", S "CREATE TABLE t (id bigint PRIMARY KEY, a text)", JOB, "source-column",
            "warning", "not copied: b", 0, NULL},
        {"lossy", S T "ALTER TABLE s ADD n numeric; ALTER TABLE t ADD n int", JOB, "lossy", NULL,
            "is numeric in the source", true, NULL},
        {"stable", S T, JOB "map: {a: \"to_char(now(), 'YYYY') || b\"}\n", "stable", NULL,
            "not immutable", true, NULL},
        {"identity",
            S "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text, b text)",
            JOB, "map-identity", "note", "its counter stays behind", 0, NULL},
        {"gap of no sync", S T, JOB "sync: none\n", "append-only", "warning", "is not seen", true,
            NULL},
        {"two schemas",
            S "DROP SCHEMA IF EXISTS x CASCADE; CREATE SCHEMA x;"
              "CREATE TABLE x.t " T_COLUMNS,
            "copy: s\ninto: x.t\n", "no-cutover", "note", "SET SCHEMA \"public\"; before", 0,
            "DROP SCHEMA x CASCADE"},
        {"no key", "CREATE TABLE s (id bigint, a text, b text);" T, JOB, "key", NULL,
            "CREATE UNIQUE INDEX CONCURRENTLY", 0, NULL},
        {"partitioned source", "CREATE TABLE s " T_COLUMNS " PARTITION BY RANGE (id);" T, JOB,
            "table-kind", NULL, "WHERE isleaf;", 0, NULL},
        {"unlogged source", "CREATE UNLOGGED TABLE s " T_COLUMNS ";" T, JOB, "unlogged", "warning",
            "keeps rows that are gone", 0, NULL},
    };
    situations_check(SITUATIONS, COUNT_OF(SITUATIONS));
}

Test(preflight_copy, each_missing_right_comes_with_its_grant)
{
    CliBase base = cli_base_new(1);
    char role[96];
    (void)snprintf(role, sizeof(role), "%s_mover", base.dbname);
    pg_execf(base.conn, S T "CREATE ROLE %s LOGIN; GRANT CREATE ON DATABASE \"%s\" TO %s", role,
        base.dbname, role);
    cli_base_write_job(&base, "job: c\n" JOB "sync: none\non_conflict: update\n"
                              "throttle: {standbys: none}\n");
    static const char *const GRANTS[] = {"GRANT SELECT (\"id\") ON \"public\".\"s\" TO ",
        "GRANT SELECT (\"a\") ON \"public\".\"s\" TO ",
        "GRANT INSERT (\"id\", \"a\", \"b\") ON \"public\".\"t\" TO ",
        "GRANT SELECT (\"id\", \"a\", \"b\") ON \"public\".\"t\" TO ",
        "GRANT UPDATE (\"id\", \"a\", \"b\") ON \"public\".\"t\" TO "};
    for (size_t i = 0; i < COUNT_OF(GRANTS); i++) {
        preflight_expect(&base, preflight_uri_of(&base, role),
            &(Situation){.title = GRANTS[i], .code = "privilege", .help = GRANTS[i]});
    }
    pg_execf(base.conn,
        "GRANT SELECT (id, a, b) ON s TO %s;"
        "GRANT SELECT, INSERT (id, a, b), UPDATE (id, a, b) ON t TO %s",
        role, role);
    CliResult result = CLI("check", base.job_file, "-d", preflight_uri_of(&base, role));
    cr_expect(eq(int, 0, result.code), "%s%s", result.out, result.err);
    cli_free(&result);
    pg_execf(base.conn, "DROP OWNED BY %s CASCADE; DROP ROLE %s", role, role);
    cli_base_free(&base);
}

static void
expect_parts(const CliBase *base, const char *const *parts, size_t count)
{
    CliResult result = CLI("plan", base->job_file, "-d", base->uri);
    cr_expect(eq(int, 0, result.code), "%s%s", result.out, result.err);
    for (size_t i = 0; i < count; i++) {
        cr_expect(cli_has(result.out, parts[i]), "%s\n%s", parts[i], result.out);
    }
    cli_free(&result);
}

Test(preflight_copy, plan_says_what_goes_where_and_every_statement)
{
    static const char *const SYNCED[] = {"copy of public.s", "into public.t, empty, with 1 index",
        "\nsame name   id\n", "\nmap         a = upper(a)", "\nkey         id (index s_pkey)",
        "\ntarget key  id (index t_pkey)", "\non conflict a row whose key", "change log of at most",
        "\nindexes     secondary indexes", "SHARE ROW EXCLUSIVE on the source",
        "no lock on its rows", "CREATE INDEX CONCURRENTLY", "about 150 bytes of WAL",
        "refused without allow: [no-rollback]:", "CREATE TABLE pghaul.log_0_",
        "CREATE FUNCTION pghaul.capture_0_", "CREATE FUNCTION pghaul.drain_0_",
        "CREATE FUNCTION pghaul.move_0_", "CREATE TRIGGER zzzz_pghaul_0 AFTER",
        "CREATE TRIGGER zzzz_pghaul_0_t AFTER TRUNCATE", "ENABLE ALWAYS TRIGGER"};
    static const char *const ALONE[] = {
        "\nsync        none: what the application changes", "it needs the change log of sync"};
    static const char *const REVERSED[] = {"reverse_map: does not say what column \"b\""};
    CliBase base = cli_base_new(1);
    pg_exec(base.conn, S "CREATE TABLE t (id bigint PRIMARY KEY, a text)");
    cli_base_write_job(&base, "job: c\n" JOB "map: {a: upper(a)}\nindexes: after\n");
    expect_parts(&base, SYNCED, COUNT_OF(SYNCED));
    cli_base_write_job(&base, "job: c\n" JOB "map: {a: upper(a)}\nsync: none\n");
    expect_parts(&base, ALONE, COUNT_OF(ALONE));
    cli_base_write_job(&base, "job: c\n" JOB "map: {a: upper(a)}\nreverse_map: {a: lower(a)}\n");
    expect_parts(&base, REVERSED, COUNT_OF(REVERSED));
    const char *dbname = cluster_create_database(base.cluster, NULL);
    PGconn *other = pg_open(cluster_uri(base.cluster, dbname));
    pg_exec(other, S);
    char job[512];
    (void)snprintf(
        job, sizeof(job), "job: c\ncopy: s\nto: '%s'\n", cluster_uri(base.cluster, dbname));
    cli_base_write_job(&base, job);
    const char *remote[] = {"\nsource: PostgreSQL", "\ntarget: PostgreSQL", dbname,
        "rows go to another database", "by COPY in binary", "TO STDOUT (FORMAT binary)",
        "FROM STDIN (FORMAT binary)"};
    expect_parts(&base, remote, COUNT_OF(remote));
    pg_close(other);
    cluster_drop_database(base.cluster, dbname);
    cli_base_free(&base);
}
