/*
 * test_blockers.c - `pghaul blockers`: what it says of real sessions, and that the statements that
 * it prints free those who wait.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "harness/harness.h"
#include "harness/job.h"
#include "harness/session.h"

#define UPDATE_1 "UPDATE orders SET amount_text = 'secret' WHERE id = 1"

static Session *
named_session(const CliBase *base, const char *name)
{
    Session *session = session_open(base->uri);
    pg_execf(session_conn(session), "SET application_name = '%s'", name);
    return session;
}

/* Start a statement that must wait for a lock. */
static void
send_blocked(const CliBase *base, Session *session, const char *sql)
{
    session_send(session, sql);
    session_wait_blocked(session, base->conn, HARNESS_TIMEOUT_US);
}

/* Ask until it says so: sessions of other tests wait for locks too, and without a job all count. */
static CliResult
blockers(const CliBase *base, const char *job, const char *part)
{
    int64_t deadline_us = clock_mono_us() + HARNESS_TIMEOUT_US;
    for (;;) {
        CliResult result = CLI("blockers", "-d", base->uri, job);
        cr_expect(eq(int, 0, result.code), "%s", result.err);
        cr_expect(not(cli_has(result.out, "secret")), "%s", result.out);
        if (cli_has(result.out, part)) {
            return result;
        }
        cr_assert(lt(i64, clock_mono_us(), deadline_us), "no \"%s\" in:\n%s", part, result.out);
        cli_free(&result);
        harness_nap_us(20000);
    }
}

/* The statement on a line of its own that begins so; must be there. */
static void
run_printed(const CliBase *base, const char *out, const char *begin)
{
    const char *at = strstr(out, begin);
    cr_assert(at != NULL && at >= out + 3 && strncmp(at - 3, "\n  ", 3) == 0, "no %s in:\n%s",
        begin, out);
    char sql[300];
    (void)snprintf(sql, sizeof(sql), "%.*s", (int)strcspn(at, "\n"), at);
    pg_exec(base->conn, sql);
}

static void expect_has(const char *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
expect_has(const char *out, const char *fmt, ...)
{
    char part[300];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(part, sizeof(part), fmt, args);
    va_end(args);
    cr_expect(cli_has(out, part), "no \"%s\" in:\n%s", part, out);
}

Test(blockers, nobody_waits)
{
    CliBase base = cli_base_new(3);
    CliResult result = blockers(&base, NULL, "nobody waits for a lock\n");
    cr_expect(eq(str, result.out, "nobody waits for a lock\n"));
    cli_free(&result);
    cli_base_free(&base);
}

Test(blockers, chain_is_a_tree_and_ending_its_idle_root_frees_it)
{
    CliBase base = cli_base_new(3);
    Session *root = named_session(&base, "root");
    Session *middle = named_session(&base, "middle");
    Session *leaf = named_session(&base, "leaf");
    pg_exec(session_conn(root), "BEGIN; " UPDATE_1);
    pg_exec(session_conn(middle), "BEGIN; UPDATE orders SET amount = 7 WHERE id = 2");
    send_blocked(&base, middle, UPDATE_1);
    send_blocked(&base, leaf, "UPDATE orders SET amount = 8 WHERE id = 2");
    CliResult result = blockers(&base, NULL, "2 sessions wait for a lock\n");
    expect_has(result.out,
        "2 sessions wait for a lock\n\npid %d (root), role postgres, local, idle",
        session_backend_pid(root));
    expect_has(
        result.out, "\n\xe2\x94\x94\xe2\x94\x80 pid %d (middle)", session_backend_pid(middle));
    expect_has(
        result.out, "\n   \xe2\x94\x94\xe2\x94\x80 pid %d (leaf)", session_backend_pid(leaf));
    expect_has(result.out, "UPDATE orders SET amount = ? WHERE id = ?");
    expect_has(result.out, "a cancel does nothing there");
    cr_expect(not(cli_has(result.out, "pg_cancel_backend")), "%s", result.out);

    char begin[64];
    (void)snprintf(
        begin, sizeof(begin), "SELECT pg_terminate_backend(%d);", session_backend_pid(root));
    run_printed(&base, result.out, begin);
    session_expect_ok(middle, HARNESS_TIMEOUT_US);
    session_release(middle);
    session_expect_ok(leaf, HARNESS_TIMEOUT_US);
    cli_free(&result);
    session_close(root);
    session_close(middle);
    session_close(leaf);
    cli_base_free(&base);
}

Test(blockers, statement_at_work_is_cancelled)
{
    CliBase base = cli_base_new(3);
    Session *root = named_session(&base, "root");
    Session *waiter = named_session(&base, "waiter");
    pg_exec(session_conn(root), "BEGIN; LOCK TABLE orders");
    session_send(root, "SELECT pg_sleep(600)");
    send_blocked(&base, waiter, "SELECT count(*) FROM orders");
    CliResult result = blockers(&base, NULL, "1 session waits for a lock\n");
    expect_has(result.out, "waits ");
    expect_has(result.out, "AccessShareLock on public.orders");
    run_printed(&base, result.out, "SELECT pg_cancel_backend(");
    session_expect_ok(waiter, HARNESS_TIMEOUT_US);
    session_expect_error(root, "57014", HARNESS_TIMEOUT_US);
    cli_free(&result);
    session_close(root);
    session_close(waiter);
    cli_base_free(&base);
}

Test(blockers, prepared_transaction_is_named_and_its_rollback_frees_the_waiter)
{
    CliBase base = cli_base_new(3);
    Session *waiter = named_session(&base, "waiter");
    pg_execf(base.conn, "BEGIN; " UPDATE_1 "; PREPARE TRANSACTION 'it''s %s'", base.dbname);
    send_blocked(&base, waiter, UPDATE_1);
    CliResult result = blockers(&base, NULL, "1 session waits for a lock\n");
    expect_has(result.out, "\nprepared transaction it's %s, role postgres", base.dbname);
    char begin[128];
    (void)snprintf(begin, sizeof(begin), "ROLLBACK PREPARED 'it''s %s';", base.dbname);
    run_printed(&base, result.out, begin);
    session_expect_ok(waiter, HARNESS_TIMEOUT_US);
    cli_free(&result);
    session_close(waiter);
    cli_base_free(&base);
}

Test(blockers, job_shows_its_trees_and_who_holds_its_table)
{
    CliBase base = cli_base_new(3);
    pg_exec(base.conn, "CREATE TABLE other (id int); INSERT INTO other VALUES (1)");
    CliResult result = blockers(&base, base.job_file,
        "nobody waits for job orders-amount or for a lock on its table orders\n");
    expect_has(result.out, "nobody holds a lock on orders");
    cli_free(&result);

    Session *holder = named_session(&base, "holder");
    Session *elsewhere = named_session(&base, "elsewhere");
    Session *waiter = named_session(&base, "waiter");
    pg_exec(session_conn(holder), "BEGIN; " UPDATE_1);
    session_lock_rows(elsewhere, "other", "id = 1");
    send_blocked(&base, waiter, "UPDATE other SET id = 2");
    result = blockers(&base, base.job_file, "nobody waits for job orders-amount");
    expect_has(result.out, "pid %d (holder)", session_backend_pid(holder));
    expect_has(result.out, "RowExclusiveLock on orders");
    expect_has(result.out, "\n  SELECT pg_terminate_backend(%d);", session_backend_pid(holder));
    cr_expect(not(cli_has(result.out, "elsewhere")), "%s", result.out);
    cli_free(&result);

    session_release(elsewhere);
    session_expect_ok(waiter, HARNESS_TIMEOUT_US);
    send_blocked(&base, waiter, "BEGIN; LOCK TABLE orders; COMMIT");
    result = blockers(&base, base.job_file, "1 session waits for a lock\n");
    expect_has(result.out, "\nnobody else holds a lock on");
    run_printed(&base, result.out, "SELECT pg_terminate_backend(");
    session_expect_ok(waiter, HARNESS_TIMEOUT_US);
    cli_free(&result);
    session_close(holder);
    session_close(elsewhere);
    session_close(waiter);
    cli_base_free(&base);
}

Test(blockers, unknown_job_is_an_error)
{
    CliBase base = cli_base_new(3);
    CliResult result = CLI("blockers", "no-such-job", "-d", base.uri);
    cr_expect(eq(int, 2, result.code));
    expect_has(result.err, "there is no job \"no-such-job\"");
    cli_free(&result);
    cli_base_free(&base);
}

/* A batch of one row that ends when the lock is free, which the server does not see as a wait. */
static const char UNTIL_FREE[] =
    "CREATE OR REPLACE FUNCTION slowly(anyelement) RETURNS anyelement LANGUAGE plpgsql IMMUTABLE"
    " AS 'BEGIN WHILE NOT pg_catalog.pg_try_advisory_xact_lock_shared(7) LOOP"
    " PERFORM pg_catalog.pg_sleep(0.01); END LOOP; RETURN $1; END'";

Test(blockers, work_of_a_job_is_paused_and_never_ended, .timeout = 120)
{
    PgCluster *cluster = cluster_shared();
    JobTest test;
    job_open(&test, cluster, 40, 1100);
    job_write(&test, JOB_SET_AMOUNT "verify: none\npath: key\nstripes: 1\nworkers: 1\n"
                                    "batch: {rows: 1}\n"
                                    "throttle: {standbys: none, yield_after: 10s}\n");
    Proc *proc = job_start(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 1));
    pg_exec(test.conn, "SELECT pg_advisory_lock(7)");
    pg_exec(test.conn, UNTIL_FREE);
    pg_wait_true(test.conn,
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'pghaul/fill/w01' AND wait_event = 'PgSleep'"
        " AND clock_timestamp() - query_start > interval '0.5 s')",
        HARNESS_TIMEOUT_US);
    Session *ddl = session_open(test.uri);
    session_send(ddl, "BEGIN; LOCK TABLE app; COMMIT");
    session_wait_blocked(ddl, test.conn, HARNESS_TIMEOUT_US);
    CliResult all = CLI("blockers", "-d", test.uri);
    CliResult job = CLI("blockers", "fill", "-d", test.uri);
    pg_exec(test.conn, "SELECT pg_advisory_unlock(7)");
    expect_has(all.out, "(pghaul/fill/w01), ours, role postgres");
    expect_has(all.out, "\n\xe2\x94\x94\xe2\x94\x80 pid %d", session_backend_pid(ddl));
    expect_has(all.out, "gives way by itself");
    expect_has(all.out, "\n  pghaul pause fill\n");
    cr_expect(eq(int, 0, all.code), "%s", all.err);
    cr_expect(eq(int, 0, job.code), "%s", job.err);
    cr_expect(not(cli_has(job.out, "pg_cancel_backend")), "%s", job.out);
    cr_expect(not(cli_has(job.out, "pg_terminate_backend")), "%s", job.out);
    expect_has(job.out, "\n  pghaul pause fill\n");
    cli_free(&all);
    cli_free(&job);
    session_expect_ok(ddl, HARNESS_TIMEOUT_US);
    session_close(ddl);
    job_expect_exit(proc, 0);
    job_close_cluster(&test);
}

Test(blockers, role_without_pg_monitor_is_told_what_helps)
{
    CliBase base = cli_base_new(3);
    pg_execf(base.conn, "CREATE ROLE low_%s LOGIN", base.dbname);
    char role[64];
    (void)snprintf(role, sizeof(role), "low_%s", base.dbname);
    Session *holder = named_session(&base, "holder");
    Session *waiter = named_session(&base, "waiter");
    session_lock_rows(holder, "orders", "id = 1");
    send_blocked(&base, waiter, UPDATE_1);
    char uri[300];
    (void)snprintf(uri, sizeof(uri), "host=%s port=%d dbname=%s", cluster_socket_dir(base.cluster),
        cluster_port(base.cluster), base.dbname);
    CliResult result = CLI("blockers", "-d", uri, "-U", role);
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    expect_has(result.out, "pid %d (holder), role postgres\n", session_backend_pid(holder));
    expect_has(result.out, "pid %d (waiter), role postgres, waits ", session_backend_pid(waiter));
    expect_has(result.out,
        "\n  SELECT pg_cancel_backend(%d);\n  SELECT pg_terminate_backend(%d);\n",
        session_backend_pid(holder), session_backend_pid(holder));
    expect_has(result.out, "Role %s may not do that; role postgres or a superuser may.", role);
    expect_has(result.out, "\n  GRANT pg_monitor TO %s;\n", role);
    cr_expect(not(cli_has(result.out, "insufficient")), "%s", result.out);
    cli_free(&result);

    pg_execf(base.conn, "GRANT pg_monitor TO %s", role);
    result = CLI("blockers", "-d", uri, "-U", role);
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    expect_has(result.out, "pid %d (holder), role postgres, local, idle in transaction",
        session_backend_pid(holder));
    cr_expect(not(cli_has(result.out, "GRANT")), "%s", result.out);
    cli_free(&result);
    session_close(holder);
    session_expect_ok(waiter, HARNESS_TIMEOUT_US);
    session_close(waiter);
    pg_execf(base.conn, "DROP ROLE %s", role);
    cli_base_free(&base);
}

Test(blockers, tree_is_ascii_where_the_locale_is)
{
    CliBase base = cli_base_new(3);
    Session *holder = named_session(&base, "holder");
    Session *waiter = named_session(&base, "waiter");
    session_lock_rows(holder, "orders", "id = 1");
    send_blocked(&base, waiter, UPDATE_1);
    const char *argv[] = {harness_env("PGHAUL_BIN", ""), "blockers", "-d", base.uri, NULL};
    const char *const env[] = {"LC_ALL=C", NULL};
    Proc *proc = proc_start(&(ProcSpec){.argv = argv, .env = env});
    cr_expect(eq(int, 0, proc_finish(proc, HARNESS_TIMEOUT_US)));
    char *out = proc_stdout(proc);
    expect_has(out, "\n`- pid %d (waiter)", session_backend_pid(waiter));
    cr_expect(not(cli_has(out, "\xe2")), "%s", out);
    free(out);
    proc_free(proc);
    session_close(holder);
    session_expect_ok(waiter, HARNESS_TIMEOUT_US);
    session_close(waiter);
    cli_base_free(&base);
}

/* ---- JSON ---- */

static json_t *
session_of(json_t *result, int pid)
{
    size_t index;
    json_t *session;
    json_array_foreach(json_object_get(result, "sessions"), index, session)
    {
        if (json_integer_value(json_object_get(session, "pid")) == pid) {
            return session;
        }
    }
    return NULL;
}

static const char *
text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "" : text;
}

static bool
is_type(const json_t *object, const char *name, json_type type)
{
    const json_t *value = json_object_get(object, name);
    return value != NULL && json_typeof(value) == type;
}

Test(blockers, json_has_each_session_with_its_blockers_and_statements)
{
    CliBase base = cli_base_new(3);
    Session *holder = named_session(&base, "holder");
    Session *waiter = named_session(&base, "waiter");
    pg_execf(base.conn,
        "BEGIN; UPDATE orders SET amount = 1 WHERE id = 2;"
        "PREPARE TRANSACTION 'p %s'",
        base.dbname);
    session_lock_rows(holder, "orders", "id = 1");
    send_blocked(&base, waiter, UPDATE_1);
    CliResult out = CLI("blockers", base.job_file, "--json", "-d", base.uri);
    cr_expect(eq(int, 0, out.code), "%s", out.err);
    json_t *result = json_loads(out.out, 0, NULL);
    cr_assert(result != NULL, "%s", out.out);
    cr_expect_str_eq(text_of(result, "type"), "result");
    cr_expect_str_eq(text_of(result, "verb"), "blockers");
    cr_expect_str_eq(text_of(result, "job"), "orders-amount");
    cr_expect(eq(i64, 1, json_integer_value(json_object_get(result, "waiting"))));
    cr_expect(eq(sz, 3, json_array_size(json_object_get(result, "sessions"))), "%s", out.out);

    const json_t *w = session_of(result, session_backend_pid(waiter));
    const json_t *by = json_object_get(w, "blocked_by_pids");
    cr_expect(eq(sz, 1, json_array_size(by)));
    cr_expect(eq(i64, session_backend_pid(holder), json_integer_value(json_array_get(by, 0))));
    cr_expect(is_type(w, "waits", JSON_TRUE));
    cr_expect(is_type(w, "wait_s", JSON_REAL));
    cr_expect(is_type(w, "transaction_age_s", JSON_REAL));
    cr_expect_str_eq(text_of(w, "application_name"), "waiter");
    cr_expect_str_eq(text_of(w, "lock_mode"), "ShareLock");
    cr_expect_str_eq(text_of(w, "lock_object"), "a row of public.orders");
    cr_expect_str_eq(text_of(w, "query"), "UPDATE orders SET amount_text = ? WHERE id = ?");
    char sql[64];
    (void)snprintf(sql, sizeof(sql), "SELECT pg_cancel_backend(%d);", session_backend_pid(waiter));
    cr_expect_str_eq(text_of(w, "cancel_sql"), sql);

    const json_t *h = session_of(result, session_backend_pid(holder));
    (void)snprintf(
        sql, sizeof(sql), "SELECT pg_terminate_backend(%d);", session_backend_pid(holder));
    cr_expect_str_eq(text_of(h, "terminate_sql"), sql);
    cr_expect(is_type(h, "cancel_sql", JSON_NULL));
    cr_expect(is_type(h, "wait_s", JSON_NULL));
    cr_expect_str_eq(text_of(h, "table_lock_mode"), "RowShareLock");

    const json_t *p = session_of(result, 0);
    (void)snprintf(sql, sizeof(sql), "ROLLBACK PREPARED 'p %s';", base.dbname);
    cr_expect_str_eq(text_of(p, "rollback_sql"), sql);
    cr_expect_str_eq(text_of(p, "table_lock_mode"), "RowExclusiveLock");
    cr_expect(is_type(p, "terminate_sql", JSON_NULL));
    pg_exec(base.conn, sql);
    json_decref(result);
    cli_free(&out);
    session_close(holder);
    session_expect_ok(waiter, HARNESS_TIMEOUT_US);
    session_close(waiter);
    cli_base_free(&base);
}

Test(blockers, check_and_the_first_run_of_a_locked_table_send_people_here, .timeout = 60)
{
    JobTest test;
    job_open(&test, cluster_shared(), 100, 0);
    job_write(&test, JOB_SET_AMOUNT "throttle: {standbys: none}\n");
    Session *holder = session_open(test.uri);
    session_lock_table(holder, "app", "SHARE");
    static const char *const verbs[] = {"check", "plan", "run"};
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        char *out = job_verb_output(&test, verbs[i], NULL, 8);
        cr_expect(cli_has(out, "somebody holds a lock"), "%s", out);
        cr_expect(cli_has(out, "hint: pghaul blockers shows who"), "%s", out);
        free(out);
    }
    session_release(holder);
    session_close(holder);
    job_close_cluster(&test);
}
