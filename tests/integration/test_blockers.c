/*
 * test_blockers.c - what probe_waits() says of real sessions and prepared transactions.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#include "harness/harness.h"
#include "harness/pgcluster.h"
#include "harness/session.h"
#include "pg/blockers.h"

typedef struct Fixture {
    PgCluster *cluster;
    const char *dbname;
    const char *uri;
    PGconn *sql;
    PgConn *conn;
    Arena arena;
    uint32_t table_oid;
    Waits waits;
} Fixture;

static PgConn *
connect_as(Fixture *f, const char *role)
{
    PgConn *conn = NULL;
    Err err = ERR_INIT;
    ConnTarget target = {
        .dbname = arena_printf(&f->arena, "host=%s port=%d dbname=%s user=%s",
            cluster_socket_dir(f->cluster), cluster_port(f->cluster), f->dbname, role)};
    cr_assert(
        conn_open(&target, CONN_CATALOG, "test", SECONDS_US(20), &conn, &err), "%s", err.message);
    return conn;
}

static Fixture
fixture_new(void)
{
    Fixture f = {.cluster = cluster_shared(), .arena = ARENA_INIT};
    f.dbname = cluster_create_database(f.cluster, NULL);
    f.uri = cluster_uri(f.cluster, f.dbname);
    f.sql = pg_open(f.uri);
    pg_exec(f.sql, "CREATE TABLE t (id int PRIMARY KEY, v text);"
                   "INSERT INTO t SELECT g FROM generate_series(1, 9) AS g");
    f.table_oid = (uint32_t)pg_int(f.sql, "SELECT 't'::regclass::oid::int8");
    f.conn = connect_as(&f, "postgres");
    return f;
}

static void
fixture_free(Fixture *f)
{
    conn_close(f->conn);
    pg_close(f->sql);
    cluster_drop_database(f->cluster, f->dbname);
    cluster_stop(f->cluster);
    arena_reset(&f->arena);
}

static void
ask(Fixture *f, int old_s)
{
    Err err = ERR_INIT;
    WaitQuestion question = {.table_oid = f->table_oid, .old_s = old_s};
    cr_assert(probe_waits(f->conn, &question, &f->arena, &f->waits, &err), "%s", err.message);
}

static int
node_of(const Fixture *f, const Session *session)
{
    for (int i = 0; i < f->waits.graph.node_count; i++) {
        if (f->waits.sessions[i].pid == session_backend_pid(session)) {
            return i;
        }
    }
    return -1;
}

static const WaitSession *
find(const Fixture *f, const Session *session)
{
    int node = node_of(f, session);
    cr_assert(le(int, 0, node), "pid %d is not in the picture", session_backend_pid(session));
    return &f->waits.sessions[node];
}

static bool
has_edge(const Fixture *f, int waiter, int blocker)
{
    for (int i = 0; i < f->waits.graph.edge_count; i++) {
        const WaitEdge *edge = &f->waits.graph.edges[i];
        if (edge->waiter == waiter && edge->blocker == blocker) {
            return true;
        }
    }
    return false;
}

/* How many it waits for. */
static int
count_edges(const Fixture *f, const Session *session)
{
    int count = 0;
    for (int i = 0; i < f->waits.graph.edge_count; i++) {
        count += f->waits.graph.edges[i].waiter == node_of(f, session);
    }
    return count;
}

static void
expect_text(const char *actual, const char *expected)
{
    cr_expect(actual != NULL && strcmp(actual, expected) == 0, "%s, expected %s",
        actual == NULL ? "none" : actual, expected);
}

Test(blockers, row_and_table_waiters_are_linked_to_who_blocks_them)
{
    Fixture f = fixture_new();
    Session *holder = session_open(f.uri);
    Session *writer = session_open(f.uri);
    Session *ddl = session_open(f.uri);
    Session *reader = session_open(f.uri);
    pg_exec(session_conn(holder), "SET application_name = 'holder'; BEGIN;"
                                  "UPDATE t SET v = 'secret' WHERE id = 1");
    session_send(writer, "BEGIN; UPDATE t SET v = 'secret' WHERE id = 1");
    session_wait_blocked(writer, f.sql, HARNESS_TIMEOUT_US);
    session_send(ddl, "ALTER TABLE t ADD COLUMN w int");
    session_wait_blocked(ddl, f.sql, HARNESS_TIMEOUT_US);
    session_send(reader, "SELECT count(*) FROM t");
    session_wait_blocked(reader, f.sql, HARNESS_TIMEOUT_US);
    ask(&f, 3600);

    /* Sessions of other tests wait as well: all of the server are in the picture. */
    cr_expect(le(int, 4, f.waits.graph.node_count));
    cr_expect(not(f.waits.hides));
    expect_text(f.waits.role, "postgres");
    cr_expect(has_edge(&f, node_of(&f, writer), node_of(&f, holder)));
    cr_expect(has_edge(&f, node_of(&f, ddl), node_of(&f, holder)));
    cr_expect(has_edge(&f, node_of(&f, ddl), node_of(&f, writer)));
    cr_expect(has_edge(&f, node_of(&f, reader), node_of(&f, ddl)));
    cr_expect(eq(int, 0, count_edges(&f, holder)));
    cr_expect(eq(int, 1, count_edges(&f, writer)));
    cr_expect(eq(int, 2, count_edges(&f, ddl)));
    cr_expect(eq(int, 1, count_edges(&f, reader)));

    const WaitSession *root = find(&f, holder);
    expect_text(root->application, "holder");
    expect_text(root->role, "postgres");
    expect_text(root->client, "local");
    expect_text(root->state, "idle in transaction");
    expect_text(root->query, "SET application_name = ?; BEGIN;UPDATE t SET v = ? WHERE id = ?");
    expect_text(root->table_mode, "RowExclusiveLock");
    cr_expect(not(root->waits));
    cr_expect(root->may_end);
    cr_expect(not(root->is_old));
    cr_expect(le(dbl, 0, root->transaction_age_s));
    expect_text(find(&f, writer)->lock_object, "a row of public.t");
    expect_text(find(&f, writer)->lock_mode, "ShareLock");
    expect_text(find(&f, ddl)->lock_object, "public.t");
    expect_text(find(&f, ddl)->lock_mode, "AccessExclusiveLock");
    cr_expect(find(&f, ddl)->waits);
    cr_expect(find(&f, ddl)->touches_table);
    cr_expect(find(&f, ddl)->table_mode == NULL, "it has none yet");
    expect_text(find(&f, reader)->lock_mode, "AccessShareLock");

    session_release(holder);
    session_expect_ok(writer, HARNESS_TIMEOUT_US);
    session_close(holder);
    session_close(writer);
    session_close(ddl);
    session_close(reader);
    fixture_free(&f);
}

Test(blockers, prepared_transaction_is_named_where_it_is_in_the_way)
{
    Fixture f = fixture_new();
    char gids[3][64];
    static const char *const WORK[] = {
        "SELECT count(*) FROM t", "UPDATE t SET v = 'x' WHERE id = 2", "CREATE TABLE u ()"};
    for (int i = 0; i < 3; i++) {
        (void)snprintf(gids[i], sizeof(gids[i]), "it's %s %d", f.dbname, i);
        pg_execf(f.sql, "BEGIN; %s; PREPARE TRANSACTION 'it''s %s %d'", WORK[i], f.dbname, i);
    }
    Session *ddl = session_open(f.uri);
    Session *writer = session_open(f.uri);
    session_send(writer, "UPDATE t SET v = 'y' WHERE id = 2");
    session_wait_blocked(writer, f.sql, HARNESS_TIMEOUT_US);
    session_send(ddl, "CREATE TRIGGER g AFTER INSERT ON t EXECUTE FUNCTION f()");
    session_wait_blocked(ddl, f.sql, HARNESS_TIMEOUT_US);
    ask(&f, 3600);

    static const char *const MODES[] = {"AccessShareLock", "RowExclusiveLock", NULL};
    int found = 0;
    for (int i = 0; i < f.waits.graph.node_count; i++) {
        const WaitSession *session = &f.waits.sessions[i];
        for (int j = 0; session->gid != NULL && j < 3; j++) {
            if (strcmp(session->gid, gids[j]) == 0) {
                found++;
                cr_expect(eq(int, 0, session->pid));
                cr_expect(session->may_end);
                cr_expect(eq(int, j < 2, session->touches_table));
                cr_expect(session->table_mode == NULL
                              ? MODES[j] == NULL
                              : MODES[j] != NULL && strcmp(MODES[j], session->table_mode) == 0);
                /* A lock that a mere reader holds is not in the way of CREATE TRIGGER. */
                cr_expect(eq(int, j == 1, has_edge(&f, node_of(&f, ddl), i)), "%d", j);
                cr_expect(eq(int, j == 1, has_edge(&f, node_of(&f, writer), i)), "%d", j);
            }
        }
    }
    cr_expect(eq(int, 3, found));
    cr_expect(eq(int, 1, find(&f, writer)->blocked_by_count));
    cr_expect(eq(int, 0, find(&f, writer)->blocked_by[0]));
    for (int i = 0; i < 3; i++) {
        pg_execf(f.sql, "ROLLBACK PREPARED 'it''s %s %d'", f.dbname, i);
    }
    session_expect_ok(writer, HARNESS_TIMEOUT_US);
    session_expect_error(ddl, "42883", HARNESS_TIMEOUT_US);
    session_close(ddl);
    session_close(writer);
    fixture_free(&f);
}

Test(blockers, only_transactions_with_a_snapshot_or_changes_get_old)
{
    Fixture f = fixture_new();
    Session *snapshot = session_open(f.uri);
    Session *idle = session_open(f.uri);
    pg_exec(session_conn(snapshot), "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
    pg_exec(session_conn(idle), "BEGIN; SELECT 1");
    ask(&f, 0);
    cr_expect(find(&f, snapshot)->is_old);
    cr_expect(not(find(&f, snapshot)->touches_table));
    cr_expect(eq(int, -1, node_of(&f, idle)));
    ask(&f, 3600);
    cr_expect(eq(int, -1, node_of(&f, snapshot)));
    session_close(snapshot);
    session_close(idle);
    fixture_free(&f);
}

Test(blockers, role_without_pg_monitor_sees_who_but_not_what)
{
    Fixture f = fixture_new();
    char role[64];
    (void)snprintf(role, sizeof(role), "Low %s", f.dbname);
    pg_execf(f.sql, "CREATE ROLE \"%s\" LOGIN", role);
    conn_close(f.conn);
    f.conn = connect_as(&f, arena_printf(&f.arena, "'%s'", role));
    Session *holder = session_open(f.uri);
    Session *writer = session_open(f.uri);
    session_lock_rows(holder, "t", "id = 3");
    session_send(writer, "UPDATE t SET v = 'y' WHERE id = 3");
    session_wait_blocked(writer, f.sql, HARNESS_TIMEOUT_US);
    ask(&f, 0);
    cr_expect(f.waits.hides);
    expect_text(f.waits.role, arena_printf(&f.arena, "\"%s\"", role));
    cr_expect(has_edge(&f, node_of(&f, writer), node_of(&f, holder)));
    const WaitSession *waiter = find(&f, writer);
    cr_expect(waiter->is_hidden);
    cr_expect(not(waiter->may_end));
    cr_expect(waiter->query == NULL);
    cr_expect(waiter->state == NULL);
    expect_text(waiter->role, "postgres");
    expect_text(waiter->lock_object, "a row of public.t");
    session_close(holder);
    session_expect_ok(writer, HARNESS_TIMEOUT_US);
    session_close(writer);
    conn_close(f.conn);
    f.conn = NULL;
    pg_execf(f.sql, "DROP ROLE \"%s\"", role);
    fixture_free(&f);
}

Test(blockers, advisory_locks_and_unique_keys_are_named_without_their_keys)
{
    Fixture f = fixture_new();
    Session *holder = session_open(f.uri);
    Session *advisory = session_open(f.uri);
    Session *unique = session_open(f.uri);
    pg_exec(session_conn(holder),
        "BEGIN; SELECT pg_advisory_xact_lock(4711); INSERT INTO t VALUES (77)");
    session_send(advisory, "SELECT pg_advisory_lock(4711)");
    session_wait_blocked(advisory, f.sql, HARNESS_TIMEOUT_US);
    session_send(unique, "INSERT INTO t VALUES (77)");
    session_wait_blocked(unique, f.sql, HARNESS_TIMEOUT_US);
    ask(&f, 3600);
    expect_text(find(&f, advisory)->lock_object, "an advisory lock");
    expect_text(find(&f, unique)->lock_object, "the end of a transaction");
    cr_expect(has_edge(&f, node_of(&f, unique), node_of(&f, holder)));
    session_close(holder);
    session_expect_ok(advisory, HARNESS_TIMEOUT_US);
    session_expect_ok(unique, HARNESS_TIMEOUT_US);
    session_close(advisory);
    session_close(unique);
    fixture_free(&f);
}

Test(blockers, holder_that_stops_our_trigger_is_named_before_an_older_reader)
{
    Fixture f = fixture_new();
    Err err = ERR_INIT;
    const char *text = "?";
    cr_assert(probe_table_holders(f.conn, f.table_oid, &f.arena, &text, &err), "%s", err.message);
    cr_expect(text == NULL);
    Session *reader = session_open(f.uri);
    Session *writer = session_open(f.uri);
    pg_exec(session_conn(reader), "BEGIN; SELECT count(*) FROM t");
    cr_assert(probe_table_holders(f.conn, f.table_oid, &f.arena, &text, &err), "%s", err.message);
    cr_assert(text != NULL && strstr(text, "AccessShareLock") != NULL, "%s", text);
    pg_exec(session_conn(writer), "SET application_name = 'writer'; BEGIN; DELETE FROM t");
    cr_assert(probe_table_holders(f.conn, f.table_oid, &f.arena, &text, &err), "%s", err.message);
    const char *begin = arena_printf(
        &f.arena, "pid %d (writer), idle in transaction, open for ", session_backend_pid(writer));
    cr_expect(text != NULL && strncmp(text, begin, strlen(begin)) == 0 &&
                  strstr(text, ", RowExclusiveLock") != NULL,
        "%s", text);
    session_close(reader);
    session_close(writer);
    fixture_free(&f);
}
