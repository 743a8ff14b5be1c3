/*
 * test_copy_survey.c - the two ends of a copy: which database is which, and what is said of both.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "harness/harness.h"
#include "harness/session.h"

#define TARGET                                                                                     \
    "CREATE TABLE orders_v2 (id bigint PRIMARY KEY, price numeric(12,2), amount_text text)"
#define MAP "map: {price: 'amount_text::numeric(12,2)'}\n"

typedef struct Ends {
    CliBase base; /* of the source */
    const char *dbname;
    char uri[256];
    PGconn *conn; /* to the target */
} Ends;

static Ends
ends_new(void)
{
    Ends ends = {.base = cli_base_new(3)};
    ends.dbname = cluster_create_database(ends.base.cluster, NULL);
    (void)snprintf(ends.uri, sizeof(ends.uri), "%s", cluster_uri(ends.base.cluster, ends.dbname));
    ends.conn = pg_open(ends.uri);
    pg_exec(ends.conn, TARGET);
    return ends;
}

static void
ends_free(Ends *ends)
{
    pg_close(ends->conn);
    cluster_drop_database(ends->base.cluster, ends->dbname);
    cli_base_free(&ends->base);
}

/* Lines of the job file behind job:, copy: and map:. */
static void
write_copy(const Ends *ends, const char *rest)
{
    char text[2048];
    (void)snprintf(text, sizeof(text), "job: c\ncopy: orders\n" MAP "%s", rest);
    cli_base_write_job(&ends->base, text);
}

static void
write_ends(const Ends *ends, const char *from, const char *to, const char *rest)
{
    char text[1024];
    (void)snprintf(text, sizeof(text), "%s%s%s%s%s%sinto: orders_v2\nsync: none\n%s",
        from == NULL ? "" : "from: '", from == NULL ? "" : from, from == NULL ? "" : "'\n",
        to == NULL ? "" : "to: '", to == NULL ? "" : to, to == NULL ? "" : "'\n", rest);
    write_copy(ends, text);
}

static void
expect(CliResult result, int code, const char *part, const char *what)
{
    cr_expect(eq(int, result.code, code), "%s: %s%s", what, result.out, result.err);
    cr_expect(cli_has(result.out, part) || cli_has(result.err, part), "%s: %s%s", what, result.out,
        result.err);
    cli_free(&result);
}

Test(copy_survey, a_copy_within_one_database_is_checked_and_planned)
{
    Ends ends = ends_new();
    const char *job = ends.base.job_file;
    const char *uri = ends.base.uri;
    pg_exec(ends.base.conn, TARGET);
    write_copy(&ends, "into: orders_v2\n");
    expect(CLI("check", job, "-d", uri), 0, "the job may start", "check");
    expect(CLI("plan", job, "-d", uri), 0, "fingerprint", "plan");
    write_ends(&ends, uri, NULL, "");
    expect(CLI("check", job, "-d", uri), 0, "the job may start", "both ends are one database");
    write_copy(&ends, "into: orders_v3\n");
    expect(CLI("check", job, "-d", uri), 2, "there is no table orders_v3", "unknown target");
    pg_exec(ends.base.conn, "CREATE TABLE orders_v3 (id bigint PRIMARY KEY, price date)");
    expect(CLI("check", job, "-d", uri), 2, "\"price\" is of type date", "wrong type");
    pg_exec(ends.base.conn, "ALTER TABLE orders_v3 DROP price, ADD price numeric(12,2),"
                            " ADD amount_text integer");
    expect(CLI("check", job, "-d", uri), 2, "amount_text: amount_text::integer", "as it is");
    ends_free(&ends);
}

Test(copy_survey, each_end_is_named_by_the_file_or_the_command_line)
{
    Ends ends = ends_new();
    const char *job = ends.base.job_file;
    const char *uri = ends.base.uri;
    write_ends(&ends, uri, ends.uri, "");
    expect(CLI("check", job), 0, ends.dbname, "both in the file");
    expect(CLI("check", job, "-d", uri), 2, "third database", "three ends");
    expect(CLI("check", job, "-U", "postgres"), 2, "third database", "three ends");
    write_ends(&ends, uri, NULL, "");
    expect(CLI("check", job, "-d", ends.uri), 0, ends.base.dbname, "the source in the file");
    write_ends(&ends, NULL, ends.uri, "");
    expect(CLI("plan", job, "-d", uri), 0, ends.dbname, "the target in the file");
    expect(CLI("status", "c", "-d", uri), 2, "in the database of its target", "looked for there");
    write_ends(&ends, "host=/nowhere", ends.uri, "");
    expect(CLI("check", job), 3, "source", "no source");
    ends_free(&ends);
}

Test(copy_survey, a_standby_may_be_the_source_of_a_copy_without_sync)
{
    Ends ends = ends_new();
    cluster_wait_catch_up(ends.base.cluster, HARNESS_TIMEOUT_US);
    write_ends(&ends, cluster_standby_uri(ends.base.cluster, ends.base.dbname), ends.uri, "");
    expect(CLI("plan", ends.base.job_file), 0, "fingerprint", "standby");
    write_ends(&ends, cluster_standby_uri(ends.base.cluster, ends.base.dbname), ends.uri,
        "where: no_such_column = 1\n");
    expect(CLI("check", ends.base.job_file), 2, "no_such_column", "expressions are parsed there");
    ends_free(&ends);
}

Test(copy_survey, no_password_in_a_job_file)
{
    Ends ends = ends_new();
    write_ends(&ends, "postgresql://u:hunter2@nowhere.invalid/shop", NULL, "");
    CliResult result = CLI("check", ends.base.job_file, "-d", ends.uri);
    cr_expect(eq(int, result.code, 2), "%s", result.err);
    cr_expect(cli_has(result.err, "from contains a password"), "%s", result.err);
    cr_expect(not(cli_has(result.err, "hunter2")));
    cli_free(&result);
    write_ends(&ends, "host=nowhere.invalid sslpassword=hunter2", NULL, "");
    expect(CLI("check", ends.base.job_file, "-d", ends.uri), 2, "contains a password", "of a key");
    write_ends(&ends, "postgresq://u@nowhere.invalid/shop", NULL, "");
    expect(CLI("check", ends.base.job_file, "-d", ends.uri), 2, "does not begin", "misspelt");
    ends_free(&ends);
}

/* ---- plan --grants ---- */

static const char *
uri_of_mover(const Ends *ends, const char *dbname)
{
    static char uris[2][256];
    static int next;
    char *uri = uris[next++ % 2];
    (void)snprintf(uri, sizeof(uris[0]), "host=%s port=%d dbname=%s user=pghaul_mover",
        cluster_socket_dir(ends->base.cluster), cluster_port(ends->base.cluster), dbname);
    return uri;
}

static void
expect_life(const Ends *ends, const char *uri)
{
    static const char *const VERBS[][2] = {
        {"check", NULL}, {"run", "--yes"}, {"status", NULL}, {"clean", NULL}};
    for (size_t i = 0; i < sizeof(VERBS) / sizeof(VERBS[0]); i++) {
        const char *verb = VERBS[i][0];
        const char *args[] = {verb, ends->base.job_file, uri == NULL ? VERBS[i][1] : "-d", uri,
            uri == NULL ? NULL : VERBS[i][1], NULL};
        expect(cli_run(args), 0, "", verb);
    }
}

static void
drop_mover(const Ends *ends)
{
    pg_exec(ends->conn, "DROP OWNED BY pghaul_mover");
    pg_exec(ends->base.conn, "DROP OWNED BY pghaul_mover; DROP ROLE pghaul_mover");
}

Test(copy_survey, role_made_from_the_grants_copies_within_a_database)
{
    Ends ends = ends_new();
    cluster_claim_roles(ends.base.cluster);
    PGconn *conn = ends.base.conn;
    pg_execf(conn,
        TARGET "; REVOKE ALL ON DATABASE \"%s\" FROM PUBLIC; CREATE ROLE %s_owner;"
               "ALTER TABLE orders OWNER TO %s_owner",
        ends.base.dbname, ends.base.dbname, ends.base.dbname);
    write_copy(&ends, "into: orders_v2\n");
    CliResult grants = CLI("plan", ends.base.job_file, "-d", ends.base.uri, "--grants");
    pg_exec(conn, grants.out);
    cli_free(&grants);
    expect_life(&ends, uri_of_mover(&ends, ends.base.dbname));
    cr_expect(eq(i64, 3, pg_int(conn, "SELECT count(price) FROM orders_v2")));
    drop_mover(&ends);
    pg_execf(conn, "DROP OWNED BY %s_owner CASCADE; DROP ROLE %s_owner", ends.base.dbname,
        ends.base.dbname);
    ends_free(&ends);
}

Test(copy_survey, role_made_from_both_parts_of_the_grants_copies_to_another_database)
{
    Ends ends = ends_new();
    cluster_claim_roles(ends.base.cluster);
    pg_execf(ends.conn, "REVOKE ALL ON DATABASE \"%s\", \"%s\" FROM PUBLIC", ends.base.dbname,
        ends.dbname);
    write_ends(&ends, ends.base.uri, ends.uri, "");
    CliResult grants = CLI("plan", ends.base.job_file, "--grants");
    char *source = strstr(grants.out, "-- ==== In database");
    source = source == NULL ? NULL : strstr(source + 1, "-- ==== In database");
    char *end = source == NULL ? NULL : strstr(source, "-- After the first run");
    cr_assert(end != NULL, "%s%s", grants.out, grants.err);
    *end = '\0';
    pg_execf(ends.conn, "%.*s", (int)(source - grants.out), grants.out);
    pg_exec(ends.base.conn, source);
    cli_free(&grants);
    write_ends(&ends, uri_of_mover(&ends, ends.base.dbname), uri_of_mover(&ends, ends.dbname),
        "verify: none\n");
    expect_life(&ends, NULL);
    cr_expect(eq(i64, 3, pg_int(ends.conn, "SELECT count(price) FROM orders_v2")));
    drop_mover(&ends);
    ends_free(&ends);
}
