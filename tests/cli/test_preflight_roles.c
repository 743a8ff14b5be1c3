/*
 * test_preflight_roles.c - who may what: each missing right with its GRANT, and a role made from
 * `plan --grants` that runs a job from start to clean.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#include "cli/preflight.h"
#include "harness/harness.h"
#include "harness/session.h"

/* Roles belong to the whole cluster, so their names begin with that of the test's database. */
typedef struct Roles {
    CliBase base;
    char mover[96]; /* runs pghaul */
    char owner[96]; /* owns table orders */
    char web[96];   /* writes it */
} Roles;

static void
roles_open(Roles *roles)
{
    roles->base = cli_base_new(50);
    const CliBase *base = &roles->base;
    (void)snprintf(roles->mover, sizeof(roles->mover), "%s_mover", base->dbname);
    (void)snprintf(roles->owner, sizeof(roles->owner), "%s_owner", base->dbname);
    (void)snprintf(roles->web, sizeof(roles->web), "%s_web", base->dbname);
    pg_execf(base->conn,
        "SET client_min_messages = error; CREATE ROLE %s LOGIN; CREATE ROLE %s; CREATE ROLE %s;"
        "GRANT CREATE ON DATABASE \"%s\" TO %s; ALTER TABLE orders OWNER TO %s",
        roles->mover, roles->owner, roles->web, base->dbname, roles->mover, roles->owner);
}

static void
roles_close(Roles *roles)
{
    PGconn *conn = roles->base.conn;
    pg_execf(conn, "DROP OWNED BY %s, %s, %s CASCADE; DROP ROLE %s, %s, %s", roles->mover,
        roles->owner, roles->web, roles->mover, roles->owner, roles->web);
    cli_base_free(&roles->base);
}

static void
expect_as_mover(const Roles *roles, const char *code, const char *help)
{
    preflight_expect(&roles->base, preflight_uri_of(&roles->base, roles->mover),
        &(Situation){.title = code, .code = code, .help = help});
}

#define JOB_NONE                                                                                   \
    "job: j\nbackfill: orders\nset: {amount: 'amount_text::numeric'}\nsync: none\nvacuum: off\n"   \
    "throttle: {standbys: none}\n"

Test(preflight_roles, sync_trigger_needs_the_owner_and_less_needs_less)
{
    Roles roles;
    roles_open(&roles);
    PGconn *conn = roles.base.conn;
    expect_as_mover(&roles, "owner", "GRANT \"");
    cli_base_write_job(&roles.base, JOB_NONE);
    expect_as_mover(&roles, "privilege", "GRANT SELECT (\"id\") ON \"public\".\"orders\" TO ");
    expect_as_mover(&roles, "privilege", "GRANT UPDATE (\"amount\") ON \"public\".\"orders\" TO ");
    expect_as_mover(&roles, "privilege", "GRANT SELECT (\"amount_text\")");
    expect_as_mover(&roles, "privilege", "GRANT SELECT (ctid, xmax)");
    pg_execf(conn,
        "GRANT SELECT (id, amount_text, amount, ctid, xmax), UPDATE (amount) ON orders TO %s",
        roles.mover);
    CliResult result =
        CLI("check", roles.base.job_file, "-d", preflight_uri_of(&roles.base, roles.mover));
    cr_expect(eq(int, 0, result.code), "%s%s", result.out, result.err);
    cli_free(&result);
    roles_close(&roles);
}

Test(preflight_roles, rights_on_database_and_schema_come_with_the_grant)
{
    Roles roles;
    roles_open(&roles);
    PGconn *conn = roles.base.conn;
    pg_execf(conn, "GRANT %s TO %s", roles.owner, roles.mover);
    CliResult result =
        CLI("check", roles.base.job_file, "-d", preflight_uri_of(&roles.base, roles.mover));
    cr_expect(eq(int, 0, result.code), "%s%s", result.out, result.err);
    cli_free(&result);
    pg_execf(conn, "REVOKE CREATE ON DATABASE \"%s\" FROM %s", roles.base.dbname, roles.mover);
    expect_as_mover(&roles, "schema-privilege", "GRANT CREATE ON DATABASE");
    pg_execf(conn, "REVOKE TEMPORARY ON DATABASE \"%s\" FROM PUBLIC", roles.base.dbname);
    expect_as_mover(&roles, "privilege", "GRANT TEMPORARY ON DATABASE");
    pg_exec(conn, "REVOKE USAGE ON SCHEMA public FROM PUBLIC");
    expect_as_mover(&roles, "privilege", "GRANT USAGE ON SCHEMA \"public\"");
    roles_close(&roles);
}

Test(preflight_roles, rows_that_row_security_hides)
{
    Roles roles;
    roles_open(&roles);
    pg_execf(roles.base.conn,
        "GRANT %s TO %s; ALTER TABLE orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        roles.owner, roles.mover);
    expect_as_mover(&roles, "row-security", "BYPASSRLS;");
    roles_close(&roles);
}

Test(preflight_roles, lag_of_standbys_that_is_hidden)
{
    Roles roles;
    roles_open(&roles);
    pg_execf(roles.base.conn, "GRANT %s TO %s", roles.owner, roles.mover);
    cli_base_write_job(
        &roles.base, "job: j\nbackfill: orders\nset: {amount: 'amount_text::numeric'}\n");
    expect_as_mover(&roles, "blind-lag", "GRANT pg_monitor TO");
    expect_as_mover(&roles, "blind-lag", "allow: [blind-lag]");
    roles_close(&roles);
}

Test(preflight_roles, superuser_does_not_run_code_of_lesser_roles)
{
    Roles roles;
    roles_open(&roles);
    preflight_expect(&roles.base, roles.base.uri,
        &(Situation){
            .title = "table", .code = "untrusted-owner", .help = "allow: [untrusted-owner]"});
    pg_execf(roles.base.conn, "CREATE SCHEMA pghaul AUTHORIZATION %s", roles.mover);
    preflight_expect(&roles.base, roles.base.uri,
        &(Situation){
            .title = "schema", .code = "schema-owner", .help = "ALTER SCHEMA pghaul OWNER TO"});
    roles_close(&roles);
}

Test(preflight_roles, objects_of_strangers_in_our_schema)
{
    Roles roles;
    roles_open(&roles);
    pg_execf(roles.base.conn,
        "GRANT %s TO %s; CREATE SCHEMA pghaul AUTHORIZATION %s;"
        "GRANT USAGE, CREATE ON SCHEMA pghaul TO %s; SET ROLE %s;"
        "CREATE FUNCTION pghaul.boo(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; RESET ROLE",
        roles.owner, roles.mover, roles.mover, roles.web, roles.web);
    expect_as_mover(&roles, "schema-object", "ALTER FUNCTION pghaul.boo(");
    pg_exec(roles.base.conn, "DROP FUNCTION pghaul.boo(int)");
    CliResult result =
        CLI("check", roles.base.job_file, "-d", preflight_uri_of(&roles.base, roles.mover));
    cr_expect(eq(int, 0, result.code), "%s%s", result.out, result.err);
    cli_free(&result);
    roles_close(&roles);
}

/* ---- rights of the expressions ---- */

#define PRICE                                                                                      \
    "CREATE SCHEMA app; CREATE FUNCTION app.price(text) RETURNS numeric LANGUAGE sql IMMUTABLE AS" \
    " 'SELECT $1::numeric'; REVOKE ALL ON FUNCTION app.price(text) FROM PUBLIC;"

static const char JOB_PRICE[] = "job: j\nbackfill: orders\nset: {amount: app.price(amount_text)}\n"
                                "throttle: {standbys: none}\n";

Test(preflight_roles, functions_that_we_may_not_call)
{
    Roles roles;
    roles_open(&roles);
    pg_execf(roles.base.conn, PRICE "GRANT USAGE ON SCHEMA app TO PUBLIC; GRANT %s TO %s",
        roles.owner, roles.mover);
    cli_base_write_job(&roles.base, JOB_PRICE);
    expect_as_mover(&roles, "privilege", "GRANT EXECUTE ON FUNCTION app.price(");
    roles_close(&roles);
}

/* Whoever writes the table, by whatever way. */
Test(preflight_roles, functions_that_a_writer_may_not_call)
{
    Roles roles;
    roles_open(&roles);
    PGconn *conn = roles.base.conn;
    pg_execf(conn,
        PRICE "GRANT %s TO %s; GRANT USAGE ON SCHEMA app TO %s;"
              "GRANT EXECUTE ON FUNCTION app.price(text) TO %s; GRANT INSERT (id, amount_text) ON"
              " orders TO %s",
        roles.owner, roles.mover, roles.owner, roles.owner, roles.web);
    cli_base_write_job(&roles.base, JOB_PRICE);
    expect_as_mover(&roles, "writer-privilege", "GRANT USAGE ON SCHEMA app TO ");
    expect_as_mover(&roles, "writer-privilege", "GRANT EXECUTE ON FUNCTION app.price(");
    expect_as_mover(&roles, "writer-privilege", "allow: [writer-privilege]");
    pg_execf(conn,
        "REVOKE ALL ON orders FROM %s; CREATE VIEW recent AS SELECT * FROM orders WHERE id > 5;"
        "GRANT UPDATE ON recent TO %s",
        roles.web, roles.web);
    expect_as_mover(&roles, "writer-privilege", "GRANT EXECUTE ON FUNCTION app.price(");
    pg_execf(conn,
        "DROP VIEW recent; CREATE TABLE parent (LIKE orders); ALTER TABLE parent OWNER TO %s;"
        "ALTER TABLE orders INHERIT parent; GRANT UPDATE ON parent TO %s",
        roles.owner, roles.web);
    expect_as_mover(&roles, "writer-privilege", "GRANT EXECUTE ON FUNCTION app.price(");
    pg_execf(conn,
        "GRANT USAGE ON SCHEMA app TO %s; GRANT EXECUTE ON FUNCTION app.price(text) TO %s",
        roles.web, roles.web);
    CliResult result =
        CLI("check", roles.base.job_file, "-d", preflight_uri_of(&roles.base, roles.mover));
    cr_expect(eq(int, 0, result.code), "%s%s", result.out, result.err);
    cli_free(&result);
    roles_close(&roles);
}

/* What the refusal is for. */
Test(preflight_roles, write_of_a_role_without_the_right_leaves_null)
{
    Roles roles;
    roles_open(&roles);
    PGconn *conn = roles.base.conn;
    pg_execf(conn,
        PRICE "ALTER TABLE orders OWNER TO postgres; GRANT INSERT, UPDATE, SELECT ON orders TO %s",
        roles.web);
    cli_base_write_job(&roles.base, JOB_PRICE);
    CliResult result = CLI("run", roles.base.job_file, "-d", roles.base.uri, "--yes");
    cr_expect(eq(int, 4, result.code), "%s", result.err);
    cli_free(&result);
    cli_base_write_job(&roles.base, "job: j\nbackfill: orders\n"
                                    "set: {amount: app.price(amount_text)}\n"
                                    "allow: [writer-privilege]\nthrottle: {standbys: none}\n");
    result = CLI("run", roles.base.job_file, "-d", roles.base.uri, "--yes", "--quiet");
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cli_free(&result);
    pg_execf(conn, "SET ROLE %s; INSERT INTO orders VALUES (1001, '7'); RESET ROLE", roles.web);
    cr_expect(eq(i64, 1, pg_int(conn, "SELECT amount IS NULL FROM orders WHERE id = 1001")));
    pg_execf(conn,
        "GRANT USAGE ON SCHEMA app TO %s; GRANT EXECUTE ON FUNCTION app.price(text) TO %s;"
        "SET ROLE %s; INSERT INTO orders VALUES (1002, '7'); RESET ROLE",
        roles.web, roles.web, roles.web);
    cr_expect(eq(i64, 7, pg_int(conn, "SELECT amount FROM orders WHERE id = 1002")));
    roles_close(&roles);
}

/* ---- plan --grants ---- */

static void
expect_verb(const CliBase *base, const char *uri, const char *const *args)
{
    const char *argv[8] = {args[0], base->job_file, "-d", uri, args[1], NULL};
    if (strcmp(args[0], "clean") == 0 && args[1] != NULL) {
        argv[1] = "--all";
        argv[4] = NULL;
    }
    CliResult result = cli_run(argv);
    cr_expect(eq(int, 0, result.code), "%s\n%s%s", args[0], result.out, result.err);
    cli_free(&result);
}

/* The role may run the whole life of the job, and is no more than what was printed. */
static void
live_by_grants(Roles *roles)
{
    static const char *const VERBS[][2] = {{"check", NULL}, {"plan", NULL}, {"run", "--yes"},
        {"verify", NULL}, {"status", NULL}, {"clean", NULL}, {"clean", "--all"}};
    CliBase *base = &roles->base;
    cluster_claim_roles(base->cluster);
    pg_execf(base->conn, "REVOKE ALL ON DATABASE \"%s\" FROM PUBLIC", base->dbname);
    CliResult grants = CLI("plan", base->job_file, "-d", base->uri, "--grants");
    cr_assert(eq(int, 0, grants.code), "%s", grants.err);
    pg_exec(base->conn, grants.out);
    cli_free(&grants);
    for (size_t i = 0; i < sizeof(VERBS) / sizeof(VERBS[0]); i++) {
        expect_verb(base, preflight_uri_of(base, "pghaul_mover"), VERBS[i]);
    }
    cr_expect(eq(i64, 0,
        pg_int(base->conn,
            "SELECT count(*) FROM orders WHERE amount IS DISTINCT FROM amount_text::numeric")));
    cr_expect(eq(i64, 1,
        pg_int(base->conn, "SELECT NOT (rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls"
                           " OR rolreplication) FROM pg_roles WHERE rolname = 'pghaul_mover'")));
    pg_exec(base->conn, "DROP OWNED BY pghaul_mover; DROP ROLE pghaul_mover");
}

Test(preflight_roles, role_made_from_the_grants_runs_a_job_from_start_to_clean)
{
    Roles roles;
    roles_open(&roles);
    pg_execf(roles.base.conn,
        PRICE "GRANT USAGE ON SCHEMA app TO %s;"
              "GRANT EXECUTE ON FUNCTION app.price(text) TO %s",
        roles.owner, roles.owner);
    cli_base_write_job(
        &roles.base, "job: j\nbackfill: orders\nset: {amount: app.price(amount_text)}\n");
    live_by_grants(&roles);
    roles_close(&roles);
}

Test(preflight_roles, without_trigger_and_vacuum_columns_are_enough)
{
    Roles roles;
    roles_open(&roles);
    pg_exec(roles.base.conn, PRICE);
    cli_base_write_job(&roles.base,
        "job: j\nbackfill: orders\nset: {amount: app.price(amount_text)}\nsync: none\n"
        "vacuum: off\nwhere: length(amount_text) > 0\n");
    CliResult grants = CLI("plan", roles.base.job_file, "-d", roles.base.uri, "--grants");
    cr_expect(
        cli_has(grants.out, "GRANT SELECT (ctid, xmax, \"id\", \"amount_text\", \"amount\") ON"),
        "%s", grants.out);
    cr_expect(not(cli_has(grants.out, roles.owner)), "%s", grants.out);
    cli_free(&grants);
    live_by_grants(&roles);
    roles_close(&roles);
}

Test(preflight_roles, membership_in_a_superuser_is_never_granted)
{
    Roles roles;
    roles_open(&roles);
    pg_exec(roles.base.conn, "ALTER TABLE orders OWNER TO postgres");
    CliResult grants = CLI("plan", roles.base.job_file, "-d", roles.base.uri, "--grants");
    cr_expect(not(cli_has(grants.out, "GRANT \"postgres\"")), "%s", grants.out);
    cr_expect(cli_has(grants.out, "ALTER TABLE \"public\".\"orders\" OWNER TO"), "%s", grants.out);
    cli_free(&grants);
    roles_close(&roles);
}
