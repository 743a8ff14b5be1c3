/*
 * test_preflight.c - each reason not to start, on a real table: the refusal, and what helps.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/preflight.h"
#include "harness/harness.h"
#include "harness/session.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define T          "CREATE TABLE t (id bigint PRIMARY KEY, src text, c text);"
#define KEYLESS    "CREATE TABLE t (id bigint NOT NULL, src text, c text);"
#define JOB        "backfill: t\nset: {c: upper(src)}\n"
#define JOB_BY_KEY JOB "key: [id]\n"

Test(preflight, keys_that_cannot_be_walked_by)
{
    static const Situation SITUATIONS[] = {
        {"no key", KEYLESS, JOB, "key", NULL, "CREATE UNIQUE INDEX CONCURRENTLY", 0, NULL},
        {"a key that was not named", KEYLESS "CREATE UNIQUE INDEX ON t (id)", JOB, "key", NULL,
            "Use key: [id].", 0, NULL},
        {"nullable", "CREATE TABLE t (id bigint UNIQUE, src text, c text)", JOB_BY_KEY, "key", NULL,
            "a column may be NULL", 0, NULL},
        {"not unique", KEYLESS "CREATE INDEX ON t (id)", JOB_BY_KEY, "key", NULL, "not unique", 0,
            NULL},
        {"deferrable", "CREATE TABLE t (id bigint PRIMARY KEY DEFERRABLE, src text, c text)", JOB,
            "key", NULL, "deferrable constraint", 0, NULL},
        {"partial", KEYLESS "CREATE UNIQUE INDEX ON t (id) WHERE id > 0", JOB_BY_KEY, "key", NULL,
            "the index is partial", 0, NULL},
        {"invalid",
            T "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_pkey'::regclass", JOB,
            "key", NULL, "the index is not valid", 0, NULL},
        {"floating-point", "CREATE TABLE t (id float8 PRIMARY KEY, src text, c text)", JOB, "key",
            NULL, "floating-point", 0, NULL},
        {"unknown column", T, JOB "key: [idd]\n", "key-column", NULL, "Did you mean id?", 0, NULL},
        {"another version of the collation",
            "CREATE COLLATION nordic (provider = icu, locale = 'da');"
            "UPDATE pg_collation SET collversion = '1.0' WHERE collname = 'nordic';"
            "CREATE TABLE t (id text COLLATE nordic PRIMARY KEY, src text, c text)",
            JOB, "collation-drift", NULL, "REINDEX INDEX CONCURRENTLY", true, NULL},
    };
    situations_check(SITUATIONS, COUNT_OF(SITUATIONS));
}

Test(preflight, relations_that_hold_no_rows_to_move)
{
    static const Situation SITUATIONS[] = {
        {"view", "CREATE VIEW t AS SELECT 1 AS id, 'a' AS src, 'b' AS c", JOB, "table-kind", NULL,
            "is a view", 0, NULL},
        {"materialized view", "CREATE MATERIALIZED VIEW t AS SELECT 1 AS id, 'a' AS src, 'b' AS c",
            JOB, "table-kind", NULL, "is a materialized view", 0, NULL},
        {"foreign table",
            "CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER far FOREIGN DATA WRAPPER nowhere;"
            "CREATE FOREIGN TABLE t (id bigint, src text, c text) SERVER far",
            JOB, "table-kind", NULL, "is a foreign table", 0,
            "DROP FOREIGN DATA WRAPPER nowhere CASCADE"},
        {"partitioned",
            "CREATE TABLE t (id bigint PRIMARY KEY, src text, c text) PARTITION BY RANGE (id)", JOB,
            "table-kind", NULL, "WHERE isleaf;", 0, NULL},
        {"unlogged", "CREATE UNLOGGED TABLE t (id bigint PRIMARY KEY, src text, c text)", JOB,
            "unlogged", NULL, "SET LOGGED;", 0, NULL},
        {"children", T "CREATE TABLE kid () INHERITS (t)", JOB, "inheritance", "warning",
            "public.kid", true, NULL},
        {"another access method",
            "CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler;"
            "CREATE TABLE t (id bigint PRIMARY KEY, src text, c text) USING other",
            JOB "path: block\n", "access-method", NULL, "Use path: key.", 0,
            "DROP ACCESS METHOD other CASCADE"},
        {"rules", T "CREATE RULE r AS ON UPDATE TO t DO ALSO NOTHING", JOB, "rules", NULL,
            "pg_rules", 0, NULL},
        {"reserved name", T "ALTER TABLE t ADD pghaul_rows int", JOB, "reserved-name", NULL,
            "rename the column", 0, NULL},
    };
    situations_check(SITUATIONS, COUNT_OF(SITUATIONS));
}

Test(preflight, temporary_table_of_another_session)
{
    CliBase base = cli_base_new(1);
    PGconn *other = pg_open(base.uri);
    pg_exec(other, "CREATE TEMPORARY TABLE t (id bigint PRIMARY KEY, src text, c text)");
    char *schema =
        pg_text(other, "SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()");
    char job[256];
    (void)snprintf(job, sizeof(job), "job: test\nbackfill: %s.t\nset: {c: upper(src)}\n", schema);
    cli_base_write_job(&base, job);
    preflight_expect(&base, base.uri,
        &(Situation){.title = "temporary", .code = "temporary", .help = "other sessions see"});
    free(schema);
    pg_close(other);
    cli_base_free(&base);
}

Test(preflight, columns_that_cannot_or_should_not_be_set)
{
    static const Situation SITUATIONS[] = {
        {"misspelt", T "ALTER TABLE t ADD amount int", "backfill: t\nset: {amuont: '1'}\n",
            "set-column", NULL, "Did you mean amount?", 0, NULL},
        {"missing", T, "backfill: t\nset: {price: '1'}\n", "set-column", NULL,
            "ADD COLUMN \"price\"", 0, NULL},
        {"generated",
            "CREATE TABLE t (id bigint PRIMARY KEY, src text,"
            " c text GENERATED ALWAYS AS (src || 'x') STORED)",
            JOB, "set-generated", NULL, "leave it out", 0, NULL},
        {"identity",
            "CREATE TABLE t (id bigint PRIMARY KEY, src text, c int GENERATED ALWAYS AS IDENTITY)",
            "backfill: t\nset: {c: length(src)}\n", "set-identity", NULL, "DROP IDENTITY;", 0,
            NULL},
        {"key", T, "backfill: t\nset: {id: length(src)}\n", "set-key", NULL, "another key:", 0,
            NULL},
        {"unique index, strict", T "CREATE UNIQUE INDEX ON t (c)", JOB "strict: true\n",
            "set-unique", NULL, "strict: false", 0, NULL},
        {"unique index", T "CREATE UNIQUE INDEX ON t (c)", JOB, "set-unique", "warning",
            "after the job", 0, NULL},
        {"foreign key, strict",
            T "CREATE TABLE other (k text PRIMARY KEY);"
              "ALTER TABLE t ADD FOREIGN KEY (c) REFERENCES other",
            JOB "strict: true\n", "set-unique", NULL, "is in a foreign key", 0, NULL},
        {"check constraint", T "ALTER TABLE t ADD CHECK (c <> '')", JOB, "set-check", "warning",
            "satisfies it", 0, NULL},
    };
    situations_check(SITUATIONS, COUNT_OF(SITUATIONS));
}

#define WITH_TWICE                                                                                 \
    "CREATE TABLE t (id bigint PRIMARY KEY, src text, c text, n numeric(6,2),"                     \
    " twice text GENERATED ALWAYS AS (src || src) STORED)"

Test(preflight, expressions_that_would_give_another_value)
{
    static const Situation SITUATIONS[] = {
        {"generated source", WITH_TWICE, "backfill: t\nset: {c: upper(twice)}\n",
            "generated-source", NULL, "sync: none", 0, NULL},
        {"lossy", WITH_TWICE, "backfill: t\nset: {n: 'src::numeric'}\n", "lossy", NULL,
            "::numeric(6,2).", true, NULL},
        {"stable", T, "backfill: t\nset: {c: 'src || current_date'}\n", "stable", NULL,
            "not immutable", true, NULL},
        {"volatile", T, "backfill: t\nset: {c: 'src || random()'}\n", "volatile", NULL,
            "is volatile", true, NULL},
        {"predicate on a SET column", T, JOB "where: c IS NULL\n", "where-set", NULL,
            "Leave it out", 0, NULL},
        {"own result under a trigger", T, "backfill: t\nset: {c: c || src}\nsync: trigger\n",
            "self-trigger", NULL, "sync: none", 0, NULL},
        {"own result by block", T, "backfill: t\nset: {c: c || src}\npath: block\n", "self-block",
            NULL, "path: key", 0, NULL},
        {"by block without a trigger", T, JOB "path: block\nsync: none\n", "block-trigger", NULL,
            "sync: trigger", 0, NULL},
    };
    situations_check(SITUATIONS, COUNT_OF(SITUATIONS));
}

/* An expression that is no expression ends with 2, as everything that is wrong in the file; what
 * else speaks against the job is listed all the same. */
Test(preflight, expressions_that_the_server_refuses_have_a_place_and_hide_nothing)
{
    static const struct {
        const char *set;
        const char *place;
        const char *help;
    } CASES[] = {
        {"  n: src\n", ":4:6: ", "cast"},
        {"  n: upper(srcc)::int\n", ":4:12: column \"srcc\" does not exist", "src"},
        {"  c: to_jsonb(t)::text\n", ":4:6: ", "jsonb_build_object"},
        {"  c: t::text\n", ":4:6: ", "Name the columns"},
        {"  c: row_to_json(t.*)::text\n", ":4:6: ", "Name the columns"},
    };
    CliBase base = cli_base_new(1);
    pg_exec(base.conn, "CREATE TABLE t (id bigint PRIMARY KEY, src text, c text, n int);"
                       "CREATE RULE r AS ON UPDATE TO t DO ALSO NOTHING");
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char job[256];
        (void)snprintf(job, sizeof(job),
            "job: test\nbackfill: t\nset:\n%s  id: 1 +\nthrottle: {standbys: none}\n",
            CASES[i].set);
        cli_base_write_job(&base, job);
        CliResult result = CLI("check", base.job_file, "-d", base.uri);
        cr_expect(eq(int, 2, result.code), "%s: %s", CASES[i].set, result.err);
        cr_expect(cli_has(result.err, CASES[i].place), "%s", result.err);
        cr_expect(cli_has(result.err, CASES[i].help), "%s", result.err);
        cr_expect(cli_has(result.out, "refused (rules)"), "%s", result.out);
        cr_expect(cli_has(result.out, "job.yaml:5:"), "the second one as well: %s", result.out);
        cli_free(&result);
    }
    cli_base_free(&base);
}

#define NOOP                                                                                       \
    "CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"          \
    "CREATE TRIGGER "
#define EACH " BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION noop();"

Test(preflight, neighbours_who_see_the_changes)
{
    static const Situation SITUATIONS[] = {
        {"trigger of the application", T NOOP "audit" EACH, JOB, "user-triggers", NULL,
            "WHEN clause", true, NULL},
        {"trigger after ours", T NOOP "zzzzz" EACH, JOB "allow: [user-triggers]\n", "trigger-order",
            NULL, "RENAME TO", 0, NULL},
        {"publication", T "CREATE PUBLICATION feed FOR TABLE t", JOB, "published", "warning",
            "is published by \"feed\"", true, "DROP PUBLICATION feed"},
    };
    situations_check(SITUATIONS, COUNT_OF(SITUATIONS));
}

#define SYNC_7                                                                                     \
    "CREATE SCHEMA pghaul; CREATE FUNCTION pghaul.sync_7_0123456789abcdef() RETURNS trigger"       \
    " LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"

Test(preflight, leftovers_of_jobs_that_are_gone)
{
    static const Situation SITUATIONS[] = {
        {"trigger",
            T SYNC_7 "CREATE TRIGGER zzzz_pghaul_7 BEFORE UPDATE ON t FOR EACH ROW"
                     " EXECUTE FUNCTION pghaul.sync_7_0123456789abcdef()",
            JOB, "leftovers", NULL, "DROP TRIGGER zzzz_pghaul_7 ON public.t;", 0, NULL},
        {"function", T SYNC_7, JOB, "leftovers", "warning",
            "DROP FUNCTION pghaul.sync_7_0123456789abcdef();", 0, NULL},
        {"either", T SYNC_7, JOB, "leftovers", "warning", "pghaul clean --all", 0, NULL},
    };
    situations_check(SITUATIONS, COUNT_OF(SITUATIONS));
}

Test(preflight, objects_of_a_job_that_is_at_work_are_no_leftovers)
{
    CliBase base = cli_base_new(50);
    CliResult result = CLI("run", base.job_file, "-d", base.uri, "--yes", "--quiet");
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cli_free(&result);
    result = CLI("check", base.job_file, "-d", base.uri);
    cr_expect(eq(int, 0, result.code), "%s%s", result.out, result.err);
    cr_expect(not(cli_has(result.out, "leftovers")), "%s", result.out);
    cli_free(&result);

    pg_exec(base.conn, "DELETE FROM pghaul.job");
    preflight_expect(&base, base.uri,
        &(Situation){.title = "its row was deleted", .code = "leftovers", .help = "DROP TRIGGER"});
    cli_base_free(&base);
}

Test(preflight, server_that_cannot_take_the_job)
{
    CliBase base = cli_base_new(1);
    pg_execf(base.conn, "ALTER DATABASE \"%s\" CONNECTION LIMIT 3", base.dbname);
    preflight_expect(&base, base.uri,
        &(Situation){.title = "connections", .code = "connections", .help = "the job needs 4"});
    pg_execf(base.conn,
        "ALTER DATABASE \"%s\" CONNECTION LIMIT -1;"
        "ALTER DATABASE \"%s\" SET default_transaction_read_only = on",
        base.dbname, base.dbname);
    preflight_expect(&base, base.uri,
        &(Situation){.title = "read-only", .code = "read-only", .help = "Find out who set"});
    cluster_wait_catch_up(base.cluster, HARNESS_TIMEOUT_US);
    preflight_expect(&base, cluster_standby_uri(base.cluster, base.dbname),
        &(Situation){.title = "standby", .code = "in-recovery", .help = "Connect to the primary"});
    cli_base_free(&base);
}

Test(preflight, subscribers_of_a_publication_for_all_tables)
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.config = "wal_level = logical\n"});
    CliBase base = {.cluster = cluster, .dbname = "postgres", .folder = harness_scratch_new()};
    base.uri = cluster_uri(cluster, "postgres");
    base.conn = pg_open(base.uri);
    (void)snprintf(base.job_file, sizeof(base.job_file), "%s/job.yaml", base.folder);
    pg_exec(base.conn, T "CREATE PUBLICATION feed FOR ALL TABLES");
    cli_base_write_job(&base, "job: test\n" JOB "throttle: {standbys: none}\n");
    char uri[512];
    (void)snprintf(uri, sizeof(uri),
        "host=%s port=%d dbname=postgres user=postgres "
        "replication=database",
        cluster_socket_dir(cluster), cluster_port(cluster));
    PGconn *subscriber = pg_open(uri);
    PQclear(PQexec(subscriber, "CREATE_REPLICATION_SLOT s LOGICAL pgoutput"));
    PGresult *stream = PQexec(subscriber, "START_REPLICATION SLOT s LOGICAL 0/0"
                                          " (proto_version '1', publication_names 'feed')");
    cr_expect(eq(int, PQresultStatus(stream), PGRES_COPY_BOTH), "%s", PQerrorMessage(subscriber));
    preflight_expect(&base, base.uri,
        &(Situation){.title = "subscriber", .code = "published", .help = "on every subscriber"});
    preflight_expect(&base, base.uri,
        &(Situation){.title = "risk", .code = "published", .help = "allow: [published]"});
    PQclear(stream);
    pg_close(subscriber);
    pg_close(base.conn);
    harness_scratch_remove(base.folder);
    cluster_stop(cluster);
}

Test(preflight, job_file_that_changed_since_the_job_was_begun)
{
    CliBase base = cli_base_new(50);
    CliResult result = CLI("run", base.job_file, "-d", base.uri, "--yes", "--quiet");
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cli_free(&result);
    cli_base_write_job(&base, "job: orders-amount\nbackfill: orders\nset:\n"
                              "  amount: amount_text::numeric * 2\nwhere: id > 3\n"
                              "throttle: {standbys: none}\n");
    preflight_expect(&base, base.uri,
        &(Situation){.title = "check",
            .code = "job-changed",
            .help = "set.amount was \"amount_text::numeric\", is \"amount_text::numeric * 2\"; "
                    "where was absent, is \"id > 3\""});
    preflight_expect(&base, base.uri,
        &(Situation){.title = "what helps", .code = "job-changed", .help = "pghaul clean orders"});
    static const char *const VERBS[] = {"plan", "run", "verify"};
    for (size_t i = 0; i < COUNT_OF(VERBS); i++) {
        result = CLI(VERBS[i], base.job_file, "-d", base.uri, "--no-color", "--json");
        cr_expect(eq(int, 4, result.code), "%s: %s", VERBS[i], result.err);
        cr_expect(cli_has(result.out, "job-changed"), "%s: %s", VERBS[i], result.out);
        cli_free(&result);
    }
    cr_expect(eq(i64, 0,
        pg_int(base.conn, "SELECT count(*) FROM orders WHERE amount <> amount_text::numeric")));
    cli_base_free(&base);
}
