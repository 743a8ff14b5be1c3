/*
 * test_secrets.c - passwords, values and keys of rows are canaries, and none of them may be found
 * in anything that a run leaves behind or shows while it works.
 *
 * scripts/run-suite looks for the canary once more, in the output of the whole suite.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "cli/cli.h"
#include "harness/harness.h"
#include "harness/session.h"

#define CANARY   "xyzzy-canary"
#define PASSWORD CANARY "-password"
#define ROWS     "40"

/* A server that wants a password of role mover, and what a run leaves. */
typedef struct Vault {
    PgCluster *cluster;
    const char *dbname;
    PGconn *conn; /* of the superuser, who needs none */
    char *folder;
    char uri[256];
    char job[128];
    char log[128];
    char passfile[128];
} Vault;

/* The server reads its file of rules some time after it was told to. */
static void
wait_for_rules(const Vault *vault)
{
    int64_t deadline_us = clock_mono_us() + HARNESS_TIMEOUT_US;
    for (;;) {
        PGconn *conn = PQconnectdb(vault->uri);
        bool wants_password = PQconnectionNeedsPassword(conn) != 0;
        PQfinish(conn);
        if (wants_password) {
            return;
        }
        cr_assert(lt(i64, clock_mono_us(), deadline_us), "the server wants no password");
        harness_nap_us(5000);
    }
}

static Vault
vault_open(void)
{
    Vault vault = {.cluster = cluster_start(&(ClusterOptions){.with_standby = false})};
    vault.dbname = cluster_create_database(vault.cluster, NULL);
    vault.conn = pg_open(cluster_uri(vault.cluster, vault.dbname));
    vault.folder = harness_scratch_new();
    (void)snprintf(vault.job, sizeof(vault.job), "%s/job.yaml", vault.folder);
    (void)snprintf(vault.log, sizeof(vault.log), "%s/pghaul.log", vault.folder);
    (void)snprintf(vault.passfile, sizeof(vault.passfile), "%s/passfile", vault.folder);
    (void)snprintf(vault.uri, sizeof(vault.uri), "postgresql://mover@/%s?host=%s&port=%d",
        vault.dbname, cluster_socket_dir(vault.cluster), cluster_port(vault.cluster));

    pg_exec(vault.conn, "CREATE ROLE mover LOGIN PASSWORD '" PASSWORD "' IN ROLE pg_monitor");
    pg_execf(vault.conn, "ALTER DATABASE \"%s\" OWNER TO mover; ALTER SCHEMA public OWNER TO mover",
        vault.dbname);
    char rules[160];
    (void)snprintf(
        rules, sizeof(rules), "%s/primary/pg_hba.conf", cluster_socket_dir(vault.cluster));
    harness_write_file(rules, "local all mover scram-sha-256\nlocal all all trust\n");
    pg_exec(vault.conn, "SELECT pg_reload_conf()");
    wait_for_rules(&vault);
    harness_write_file(vault.passfile, "*:*:*:mover:" PASSWORD "\n");
    cr_assert(eq(int, 0, chmod(vault.passfile, S_IRUSR | S_IWUSR)));
    return vault;
}

static void
vault_close(Vault *vault)
{
    pg_close(vault->conn);
    cluster_stop(vault->cluster);
    harness_scratch_remove(vault->folder);
}

/* The assertion shows where, not what: this output is searched too. */
static void
expect_no_canary(const char *title, const char *where, char *text)
{
    bool found = strcasestr(text, CANARY) != NULL;
    cr_expect(not(found), "%s: in %s", title, where);
    free(text);
}

static Proc *
vault_start(const Vault *vault, const char *verb, const char *secret, const char *more)
{
    const char *argv[] = {harness_env("PGHAUL_BIN", "build/release/pghaul"), verb, vault->job, "-d",
        vault->uri, "-v", "--log-file", vault->log, more, NULL, NULL};
    if (strcmp(verb, "run") == 0) {
        argv[more == NULL ? 8 : 9] = "--yes";
    }
    const char *env[] = {secret, NULL};
    return proc_start(&(ProcSpec){.argv = argv, .env = env, .cwd = vault->folder});
}

/* Let it end and look through all that there is of it; returns its exit code. */
static int
vault_finish(const Vault *vault, const char *title, Proc *proc)
{
    int code = proc_finish(proc, HARNESS_TIMEOUT_US);
    expect_no_canary(title, "stdout", proc_stdout(proc));
    expect_no_canary(title, "stderr", proc_stderr(proc));
    expect_no_canary(title, "the log file", harness_read_file(vault->log));
    proc_free(proc);
    return code;
}

static int
vault_verb(const Vault *vault, const char *verb, const char *title, const char *more)
{
    Proc *proc = vault_start(vault, verb, "PGPASSWORD=" PASSWORD, more);
    return vault_finish(vault, title, proc);
}

/* Table t with keys and values that are canaries, and a job that fills c. */
static void
make_table(const Vault *vault, const char *column, const char *expression, const char *more)
{
    pg_exec(vault->conn, "SET client_min_messages = error; DROP SCHEMA IF EXISTS pghaul CASCADE;"
                         "DROP TABLE IF EXISTS t");
    pg_execf(vault->conn,
        "CREATE TABLE t (k text PRIMARY KEY, src text NOT NULL, c %s); ALTER TABLE t OWNER TO "
        "mover;"
        "INSERT INTO t (k, src) SELECT '" CANARY "-key-' || g, '" CANARY "-value-' || g"
        " FROM generate_series(1, " ROWS ") AS g; ANALYZE t",
        column);
    STRBUF_AUTO job = STRBUF_INIT;
    strbuf_printf(&job, "job: secret\nbackfill: t\nset:\n  c: |\n    %s\n%sbatch: {rows: 7}\n",
        expression, more);
    harness_write_file(vault->job, strbuf_text(&job));
}

Test(secrets, a_run_that_succeeds_shows_no_password_value_or_key)
{
    Vault vault = vault_open();
    static const char *const PATHS[] = {"path: key\n", "path: block\n"};
    for (int i = 0; i < 2; i++) {
        make_table(&vault, "text", "src || '!'", PATHS[i]);
        static const char *const BEFORE[] = {"check", "plan"};
        for (int k = 0; k < 2; k++) {
            cr_expect(eq(int, 0, vault_verb(&vault, BEFORE[k], BEFORE[k], NULL)));
        }
        cr_expect(eq(int, 0, vault_verb(&vault, "run", "run", i == 0 ? NULL : "--json")));
        cr_expect(eq(i64, 0, pg_int(vault.conn, "SELECT count(*) FROM t WHERE c <> src || '!'")));
        static const char *const AFTER[] = {"status", "verify", "clean"};
        for (int k = 0; k < 3; k++) {
            cr_expect(eq(int, 0, vault_verb(&vault, AFTER[k], AFTER[k], "--json")), "%s", AFTER[k]);
        }
    }
    vault_close(&vault);
}

Test(secrets, a_pass_file_serves_as_well_as_the_environment)
{
    Vault vault = vault_open();
    make_table(&vault, "text", "src", "");
    char secret[160];
    (void)snprintf(secret, sizeof(secret), "PGPASSFILE=%s", vault.passfile);
    Proc *proc = vault_start(&vault, "run", secret, NULL);
    cr_expect(eq(int, 0, vault_finish(&vault, "pass file", proc)));
    cr_expect(eq(i64, 40, pg_int(vault.conn, "SELECT count(*) FROM t WHERE c = src")));
    vault_close(&vault);
}

/* Errors that a row raises: what the server says of each quotes its value, its key or both. */
static const struct Refusal {
    const char *title;
    const char *column;
    const char *expression;
    const char *words; /* that the operator needs */
} REFUSALS[] = {
    {"conversion", "numeric", "src::numeric", "22P02"},
    {"length", "varchar(5)", "src", "22001"},
    {"check", "text CONSTRAINT is_short CHECK (length(c) < 5)", "src", "23514"},
    {"unique", "text UNIQUE", "left(src, 14)", "23505"},
    {"raise", "text", "raise_it(src)", "P0001"},
    {"raise with a state of the server", "text", "raise_as(src)", "42501"},
    {"statement put together", "text", "run_it(src)", "42601"},
    {"division", "numeric", "1 / (length(src) - length(src))", "22012"},
};

static void
make_functions(const Vault *vault)
{
    pg_exec(vault->conn, "CREATE FUNCTION raise_it(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS"
                         " $$BEGIN RAISE EXCEPTION 'bad %', $1 USING HINT = $1, DETAIL = $1; END$$;"
                         "CREATE FUNCTION raise_as(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS"
                         " $$BEGIN RAISE EXCEPTION 'bad %', $1 USING ERRCODE = '42501', HINT = $1,"
                         "   CONSTRAINT = $1, COLUMN = $1; END$$;"
                         "CREATE FUNCTION run_it(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS"
                         " $$DECLARE r text; BEGIN EXECUTE 'SELECT 1 ' || quote_literal($1) INTO "
                         "r; RETURN r; END$$");
}

static void
expect_refusals(const char *path, const char *more)
{
    Vault vault = vault_open();
    make_functions(&vault);
    for (size_t i = 0; i < sizeof(REFUSALS) / sizeof(REFUSALS[0]); i++) {
        const struct Refusal *refusal = &REFUSALS[i];
        make_table(&vault, refusal->column, refusal->expression, path);
        Proc *proc = vault_start(&vault, "run", "PGPASSWORD=" PASSWORD, more);
        cr_expect(proc_wait(proc, HARNESS_TIMEOUT_US), "%s", refusal->title);
        char *err = proc_stderr(proc);
        cr_expect(ne(ptr, strstr(err, refusal->words), NULL), "%s: no %s", refusal->title,
            refusal->words);
        free(err);
        cr_expect(eq(int, 1, vault_finish(&vault, refusal->title, proc)), "%s", refusal->title);
        cr_expect(eq(int, 0, vault_verb(&vault, "status", refusal->title, more)));
    }
    vault_close(&vault);
}

Test(secrets, an_error_about_a_row_names_its_state_and_no_value_by_key)
{
    expect_refusals("path: key\nallow: [lossy]\n", NULL);
}

Test(secrets, an_error_about_a_row_names_its_state_and_no_value_by_block_in_json)
{
    expect_refusals("path: block\nallow: [lossy]\n", "--json");
}

Test(secrets, differences_that_verify_finds_show_no_value_or_key_in_the_log)
{
    Vault vault = vault_open();
    make_table(&vault, "text", "src", "sync: none\n");
    cr_expect(eq(int, 0, vault_verb(&vault, "run", "run", NULL)));
    pg_exec(vault.conn, "UPDATE t SET c = '" CANARY "-other' WHERE k LIKE '%7'");
    Proc *proc = vault_start(&vault, "verify", "PGPASSWORD=" PASSWORD, NULL);
    cr_expect(proc_wait(proc, HARNESS_TIMEOUT_US));
    expect_no_canary("verify", "stderr", proc_stderr(proc));
    expect_no_canary("verify", "the log file", harness_read_file(vault.log));
    cr_expect(eq(int, 6, proc_exit_code(proc)));
    proc_free(proc);
    vault_close(&vault);
}

Test(secrets, a_session_that_the_server_ends_shows_no_value)
{
    Vault vault = vault_open();
    make_table(&vault, "text", "slow(src)", "workers: 1\n");
    pg_exec(vault.conn, "CREATE FUNCTION slow(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS"
                        " $$BEGIN PERFORM pg_sleep(0.05); RETURN $1; END$$");
    Proc *proc = vault_start(&vault, "run", "PGPASSWORD=" PASSWORD, NULL);
    pg_wait_true(vault.conn,
        "SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_activity"
        " WHERE application_name = 'pghaul/secret/w01' AND query LIKE '%pghaul.move%'",
        HARNESS_TIMEOUT_US);
    pg_exec(vault.conn, "CREATE OR REPLACE FUNCTION slow(text) RETURNS text IMMUTABLE LANGUAGE sql"
                        " AS 'SELECT $1'");
    cr_expect(proc_wait_output(proc, "connecting again", HARNESS_TIMEOUT_US));
    cr_expect(eq(int, 0, vault_finish(&vault, "terminated", proc)));
    vault_close(&vault);
}

Test(secrets, a_connection_that_fails_shows_no_password)
{
    Vault vault = vault_open();
    make_table(&vault, "text", "src", "");
    Proc *proc = vault_start(&vault, "run", "PGPASSWORD=" CANARY "-wrong", NULL);
    cr_expect(proc_wait_output(proc, "password authentication failed", HARNESS_TIMEOUT_US));
    cr_expect(eq(int, 3, vault_finish(&vault, "wrong password", proc)));
    proc = vault_start(&vault, "run", "PGPASSFILE=/nowhere", "--json");
    cr_expect(proc_wait_output(proc, "no password supplied", HARNESS_TIMEOUT_US));
    cr_expect(eq(int, 3, vault_finish(&vault, "no password", proc)));
    (void)snprintf(vault.uri, sizeof(vault.uri), "postgresql://mover@127.0.0.1:1/x");
    cr_expect(eq(int, 3, vault_verb(&vault, "run", "no server", NULL)));
    vault_close(&vault);
}

/* The command line is public already; what comes of it is not to repeat it in a log. */
Test(secrets, a_password_on_the_command_line_is_refused_and_not_repeated)
{
    static const char *const STRINGS[] = {"postgresql://u:" CANARY "@127.0.0.1:1/x",
        "postgresql://u:p@" CANARY "@127.0.0.1:1/x", "postgresql://u:1/" CANARY "@127.0.0.1:1/x",
        "host=127.0.0.1 password=" CANARY, "host=127.0.0.1 password=a " CANARY,
        "u:" CANARY "@127.0.0.1/x", "postgresql://127.0.0.1/x?p%61ssword=" CANARY};
    for (size_t i = 0; i < sizeof(STRINGS) / sizeof(STRINGS[0]); i++) {
        CliResult result = CLI("status", "-d", STRINGS[i], "--json");
        cr_expect(eq(int, 2, result.code), "case %zu", i);
        cr_expect(cli_has(result.err, "PGPASSFILE"), "case %zu", i);
        expect_no_canary("-d", "stdout", result.out);
        expect_no_canary("-d", "stderr", result.err);
    }
}

/* ---- core dumps ---- */

Test(secrets, a_crash_leaves_no_core_dump)
{
    struct rlimit limit;
    cr_assert(eq(int, 0, getrlimit(RLIMIT_CORE, &limit)));
    limit.rlim_cur = limit.rlim_max;
    cr_assert(eq(int, 0, setrlimit(RLIMIT_CORE, &limit))); /* the program must forbid it itself */
    Vault vault = vault_open();
    static const int SIGNALS[] = {SIGABRT, SIGSEGV, SIGQUIT};
    for (size_t i = 0; i < sizeof(SIGNALS) / sizeof(SIGNALS[0]); i++) {
        make_table(&vault, "text", "pg_sleep(0.05)::text || src", "allow: [volatile]\n");
        Proc *proc = vault_start(&vault, "run", "PGPASSWORD=" PASSWORD, NULL);
        pg_wait_true(vault.conn,
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE '%pghaul.move%'"
            " AND application_name LIKE 'pghaul/%/w%'",
            HARNESS_TIMEOUT_US);
        char path[64];
        (void)snprintf(path, sizeof(path), "/proc/%d/limits", (int)proc_pid(proc));
        char *limits = harness_read_file(path);
        cr_expect(
            ne(ptr, strstr(limits, "Max core file size        0                    0 "), NULL),
            "%s", limits);
        free(limits);
        proc_signal(proc, SIGNALS[i]);
        cr_expect(proc_wait(proc, HARNESS_TIMEOUT_US));
        cr_expect(not(proc_dumped_core(proc)), "signal %d", SIGNALS[i]);
        cr_expect(eq(int, 128 + SIGNALS[i], vault_finish(&vault, "crash", proc)));
    }
    vault_close(&vault);
}

/* ---- job files ---- */

static CliResult
check_with_mode(const char *path, mode_t mode, uid_t owner, gid_t group)
{
    cr_assert(eq(int, 0, chown(path, owner, group)));
    cr_assert(eq(int, 0, chmod(path, mode)));
    return CLI("check", path, "-h", "/nowhere");
}

/* Exit code 3 is a file that was read and a server that is not there. */
Test(secrets, a_job_file_that_others_may_write_is_refused)
{
    static const struct {
        mode_t mode;
        bool foreign_group; /* these two need root to set up */
        bool foreign_owner;
        int code;
        const char *words;
    } CASES[] = {
        {0644, false, false, 3, ""},
        {0664, false, false, 3, ""},
        {0666, false, false, 2, "hint: Look at it, then: chmod go-w"},
        {0602, false, false, 2, "chmod go-w"},
        {0644, true, false, 3, ""},
        {0664, true, false, 2, "others may write"},
        {0644, false, true, 2, "belongs to another user"},
    };
    char *folder = harness_scratch_new();
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/job.yaml", folder);
    harness_write_file(path, "job: a\nbackfill: t\nset:\n  x: y\n");
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        if ((CASES[i].foreign_group || CASES[i].foreign_owner) && geteuid() != 0) {
            continue;
        }
        CliResult result = check_with_mode(path, CASES[i].mode,
            CASES[i].foreign_owner ? server_user().uid : geteuid(),
            CASES[i].foreign_group ? server_user().gid : getegid());
        cr_expect(eq(int, CASES[i].code, result.code), "case %zu: %s", i, result.err);
        cr_expect(cli_has(result.err, CASES[i].words), "case %zu: %s", i, result.err);
        cli_free(&result);
    }
    harness_scratch_remove(folder);
}

Test(secrets, a_job_file_may_come_through_a_pipe)
{
    const char *argv[] = {"/bin/sh", "-c",
        "printf 'job: a\\nbackfill: t\\nset:\\n  x: y\\n' | \"$0\" check /dev/stdin -h /nowhere",
        harness_env("PGHAUL_BIN", "build/release/pghaul"), NULL};
    Proc *proc = proc_start(&(ProcSpec){.argv = argv});
    cr_expect(eq(int, 3, proc_finish(proc, HARNESS_TIMEOUT_US)));
    proc_free(proc);
}
