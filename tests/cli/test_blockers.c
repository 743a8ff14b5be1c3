/*
 * test_blockers.c - `pghaul blockers`: what it says of real sessions, and that the statements that
 * it prints free those who wait.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
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

static CliResult
blockers(const CliBase *base, const char *job)
{
    CliResult result = job == NULL ? CLI("blockers", "-d", base->uri)
                                   : CLI("blockers", job, "-d", base->uri);
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cr_expect(not(cli_has(result.out, "secret")), "%s", result.out);
    return result;
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

static void
expect_has(const char *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

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
    CliResult result = blockers(&base, NULL);
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
    CliResult result = blockers(&base, NULL);
    expect_has(result.out, "2 sessions wait for a lock\n\npid %d (root), role postgres, local, idle",
        session_backend_pid(root));
    expect_has(result.out, "\n\xe2\x94\x94\xe2\x94\x80 pid %d (middle)", session_backend_pid(middle));
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
    CliResult result = blockers(&base, NULL);
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
    CliResult result = blockers(&base, NULL);
    expect_has(result.out, "\nprepared transaction it's %s, role postgres", base.dbname);
    char begin[128];
    (void)snprintf(begin, sizeof(begin), "ROLLBACK PREPARED 'it''s %s';", base.dbname);
    run_printed(&base, result.out, begin);
    session_expect_ok(waiter, HARNESS_TIMEOUT_US);
    cli_free(&result);
    session_close(waiter);
    cli_base_free(&base);
}
