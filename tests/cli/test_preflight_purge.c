/*
 * test_preflight_purge.c - each reason not to start a purge, on real tables, what its plan says,
 * and a role made from its grants.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "cli/preflight.h"
#include "harness/harness.h"
#include "harness/session.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define S         "CREATE TABLE s (id bigint PRIMARY KEY, at timestamptz, n int);"
#define T_COLUMNS "(id bigint PRIMARY KEY, at timestamptz, n int)"
#define T         "CREATE TABLE t " T_COLUMNS ";"
#define F         "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
#define WHERE     "where: at < now() - interval '1 day'\n"
#define JOB       "purge: s\n" WHERE
#define INTO      JOB "into: t\n"

Test(preflight_purge, tables_whose_rows_do_not_just_go)
{
    static const Situation SITUATIONS[] = {
        {"view", "CREATE VIEW s AS SELECT 1 AS id, now() AS at", JOB, "table-kind", NULL,
            "is a view", 0, NULL},
        {"root", "CREATE TABLE s (id bigint PRIMARY KEY, at timestamptz) PARTITION BY RANGE (id)",
            JOB, "table-kind", NULL, "leaf partitions", 0, NULL},
        {"no key", "CREATE TABLE s (id bigint, at timestamptz)", JOB, "key", NULL, "no primary key",
            0, NULL},
        {"rule", S "CREATE RULE keep AS ON DELETE TO s DO INSTEAD NOTHING", JOB, "rules", NULL,
            "a DELETE into something else", 0, NULL},
        {"trigger", S F "CREATE TRIGGER keep BEFORE DELETE ON s FOR EACH ROW EXECUTE FUNCTION f()",
            JOB, "user-triggers", NULL, "where it returns NULL", true, NULL},
        {"trigger of the statement",
            S F "CREATE TRIGGER audit AFTER DELETE ON s EXECUTE FUNCTION f()", JOB, "user-triggers",
            NULL, "row or batch that the job deletes", true, NULL},
        {"published", S "CREATE PUBLICATION feed FOR TABLE s", JOB, "published", NULL,
            "subscribers lose the rows as well", true, "DROP PUBLICATION feed"},
        {"without an identity",
            S "ALTER TABLE s REPLICA IDENTITY NOTHING; CREATE PUBLICATION feed FOR TABLE s", JOB,
            "replica-identity", NULL, "REPLICA IDENTITY USING INDEX \"s_pkey\"", 0,
            "DROP PUBLICATION feed"},
        {"children", S "CREATE TABLE older () INHERITS (s)", JOB, "inheritance", "warning",
            "public.older", true, NULL},
        {"chance", S, "purge: s\nwhere: random() < 0.5\n", "volatile", NULL, "up to chance", true,
            NULL},
    };
    situations_check(SITUATIONS, COUNT_OF(SITUATIONS));
}

Test(preflight_purge, tables_that_cannot_keep_the_rows)
{
    static const Situation SITUATIONS[] = {
        {"itself", S, JOB "into: public.s\n", "target-is-source", NULL, "another table", 0, NULL},
        {"its root",
            "CREATE TABLE t " T_COLUMNS " PARTITION BY RANGE (id);"
            "CREATE TABLE s PARTITION OF t DEFAULT",
            INTO, "target-is-source", NULL, "is a partition or a child", 0, NULL},
        {"unlogged", S "CREATE UNLOGGED TABLE t " T_COLUMNS, INTO, "target-unlogged", NULL,
            "SET LOGGED;", 0, NULL},
        {"column missing", S "CREATE TABLE t (id bigint, at timestamptz)", INTO, "into-columns",
            NULL, "ADD COLUMN \"n\" integer;", 0, NULL},
        {"narrower", S "CREATE TABLE t (id int, at timestamptz, n int)", INTO, "into-columns", NULL,
            "does not keep every bigint", 0, NULL},
        {"less precise", S "CREATE TABLE t (id bigint, at timestamptz(0), n int)", INTO,
            "into-columns", NULL, "does not keep every timestamp with time zone", 0, NULL},
        {"more columns", S T "ALTER TABLE t ADD why text NOT NULL", INTO, "into-columns", NULL,
            "has no value for it", 0, NULL},
        {"NOT NULL", S T "ALTER TABLE t ALTER n SET NOT NULL", INTO, "into-not-null", "warning",
            "DROP NOT NULL", 0, NULL},
        {"trigger", S T F "CREATE TRIGGER audit AFTER INSERT ON t EXECUTE FUNCTION f()", INTO,
            "user-triggers", NULL, "\"audit\"", true, NULL},
        {"partitioned", S "CREATE TABLE t " T_COLUMNS " PARTITION BY RANGE (id)", INTO,
            "target-partitioned", "note", "ends the run", 0, NULL},
    };
    situations_check(SITUATIONS, COUNT_OF(SITUATIONS));
}

/* ---- the folder ---- */

static void
expect_folder(const CliBase *base, const char *path, int code, const char *part)
{
    STRBUF_AUTO job = STRBUF_INIT;
    strbuf_printf(&job, "job: j\npurge: orders\nwhere: id < 10\nvacuum: off\narchive: %s\n", path);
    cli_base_write_job(base, strbuf_text(&job));
    CliResult result = CLI("check", base->job_file, "-d", base->uri);
    cr_expect(eq(int, code, result.code), "%s\n%s%s", path, result.out, result.err);
    cr_expect(cli_has(result.out, part), "%s: %s", path, result.out);
    cli_free(&result);
}

Test(preflight_purge, folder_is_looked_at_and_not_made)
{
    CliBase base = cli_base_new(50);
    char *folder = harness_scratch_new();
    STRBUF_AUTO path = STRBUF_INIT;
    strbuf_printf(&path, "%s/new", folder);
    expect_folder(&base, strbuf_text(&path), 0, "may start");
    cr_expect(lt(int, access(strbuf_text(&path), F_OK), 0));
    cr_assert(zero(int, symlink(folder, strbuf_text(&path))));
    expect_folder(&base, strbuf_text(&path), 4, "is a symbolic link");
    cr_assert(zero(int, unlink(strbuf_text(&path))));
    cr_assert(zero(int, mkdir(strbuf_text(&path), 0700)));
    cr_assert(zero(int, chmod(strbuf_text(&path), 0770)));
    expect_folder(&base, strbuf_text(&path), 4, "may be written by others");
    strbuf_puts(&path, "/a/b");
    expect_folder(&base, strbuf_text(&path), 4, "mkdir -p");
    harness_scratch_remove(folder);
    cli_base_free(&base);
}

/* ---- plan ---- */

Test(preflight_purge, plan_says_which_rows_what_keeps_them_and_what_it_costs)
{
    static const char *const PARTS[] = {"purge of public.orders", " of 50 match (", "files in",
        "zstd level 3", "WAL", "become free", "Locks", "no snapshot is held",
        "now() is one moment"};
    CliBase base = cli_base_new(50);
    pg_exec(base.conn, "ANALYZE orders");
    cli_base_write_job(&base, "job: j\npurge: orders\nwhere: id <= 10\nvacuum: off\n"
                              "schedule: {window: '01:00-05:00 UTC'}\n");
    CliResult result = CLI("plan", base.job_file, "-d", base.uri);
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cr_expect(cli_has(result.out, "kept by     nothing"), "%s", result.out);
    cr_expect(cli_has(result.out, "window      01:00-05:00 UTC"), "%s", result.out);
    cli_free(&result);
    char *folder = harness_scratch_new();
    STRBUF_AUTO job = STRBUF_INIT;
    strbuf_printf(
        &job, "job: j\npurge: orders\nwhere: id <= 10\narchive: {path: %s/a, level: 3}\n", folder);
    cli_base_write_job(&base, strbuf_text(&job));
    result = CLI("plan", base.job_file, "-d", base.uri);
    for (size_t i = 0; i < COUNT_OF(PARTS); i++) {
        cr_expect(cli_has(result.out, PARTS[i]), "no %s in\n%s", PARTS[i], result.out);
    }
    cli_free(&result);
    harness_scratch_remove(folder);
    cli_base_free(&base);
}

/* ---- the role of plan --grants ---- */

static void
expect_verb(const CliBase *base, const char *verb, const char *option)
{
    const char *argv[] = {
        verb, base->job_file, "-d", preflight_uri_of(base, "pghaul_mover"), option, NULL};
    CliResult result = cli_run(argv);
    cr_expect(eq(int, 0, result.code), "%s\n%s%s", verb, result.out, result.err);
    cli_free(&result);
}

/* It may run the whole life of the job. */
static void
live_by_grants(const CliBase *base, const char *job)
{
    cli_base_write_job(base, job);
    CliResult grants = CLI("plan", base->job_file, "-d", base->uri, "--grants");
    cr_assert(eq(int, 0, grants.code), "%s", grants.err);
    pg_exec(base->conn, grants.out);
    cli_free(&grants);
    expect_verb(base, "check", NULL);
    expect_verb(base, "run", "--yes");
    expect_verb(base, "status", NULL);
    expect_verb(base, "clean", NULL);
    CliResult all = CLI("clean", "--all", "-d", preflight_uri_of(base, "pghaul_mover"));
    cr_expect(eq(int, 0, all.code), "%s", all.err);
    cli_free(&all);
    pg_exec(base->conn, "DROP OWNED BY pghaul_mover; DROP ROLE pghaul_mover");
}

Test(preflight_purge, role_made_from_the_grants_runs_it_from_start_to_clean)
{
    CliBase base = cli_base_new(50);
    char *folder = harness_scratch_new();
    cluster_claim_roles(base.cluster);
    pg_execf(base.conn,
        "CREATE SCHEMA attic; CREATE TABLE attic.old (LIKE orders);"
        "REVOKE ALL ON DATABASE \"%s\" FROM PUBLIC",
        base.dbname);
    live_by_grants(
        &base, "job: j\npurge: orders\nwhere: id <= 10 AND amount_text <> ''\nvacuum: off\n");
    live_by_grants(&base, "job: j\npurge: orders\nwhere: id <= 20\nvacuum: off\ninto: attic.old\n");
    STRBUF_AUTO job = STRBUF_INIT;
    strbuf_printf(
        &job, "job: j\npurge: orders\nwhere: id <= 30\nvacuum: off\narchive: %s/a\n", folder);
    live_by_grants(&base, strbuf_text(&job));
    cr_expect(eq(i64, 20, pg_int(base.conn, "SELECT count(*) FROM orders")));
    cr_expect(eq(i64, 10, pg_int(base.conn, "SELECT count(*) FROM attic.old")));
    harness_scratch_remove(folder);
    cli_base_free(&base);
}
