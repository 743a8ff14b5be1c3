/*
 * test_harness_proxy.c - the proxy loses exactly what it is told to lose.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "harness/harness.h"
#include "harness/pgcluster.h"
#include "harness/proxy.h"
#include "harness/session.h"

typedef struct Fixture {
    PgCluster *cluster;
    const char *dbname;
    PGconn *direct;
    Proxy *proxy;
    Session *session; /* through the proxy */
} Fixture;

static Fixture
set_up(void)
{
    Fixture fixture = {.cluster = cluster_shared()};
    fixture.dbname = cluster_create_database(fixture.cluster, NULL);
    fixture.direct = pg_open(cluster_uri(fixture.cluster, fixture.dbname));
    pg_exec(fixture.direct, "CREATE TABLE t (id int)");
    fixture.proxy = proxy_start(fixture.cluster);
    fixture.session = session_open(proxy_uri(fixture.proxy, fixture.dbname));
    return fixture;
}

static void
tear_down(Fixture *fixture)
{
    session_close(fixture->session);
    proxy_stop(fixture->proxy);
    pg_close(fixture->direct);
    cluster_drop_database(fixture->cluster, fixture->dbname);
    cluster_stop(fixture->cluster);
}

static void
insert_in_transaction(Fixture *fixture)
{
    pg_exec(session_conn(fixture->session), "BEGIN; INSERT INTO t VALUES (1)");
}

Test(harness_proxy, passes_large_statements_and_results)
{
    Fixture fixture = set_up();
    PGconn *conn = session_conn(fixture.session);
    pg_exec(conn, "INSERT INTO t SELECT generate_series(1, 300000)");
    char *text = pg_text(conn, "SELECT string_agg(id::text, ',' ORDER BY id) FROM t");
    cr_expect(lt(sz, 1000000, strlen(text)));
    pg_execf(conn, "SELECT '%s'", text);
    free(text);
    tear_down(&fixture);
}

Test(harness_proxy, cut_after_commit_keeps_the_rows_and_loses_the_answer)
{
    Fixture fixture = set_up();
    insert_in_transaction(&fixture);
    proxy_cut(fixture.proxy, PROXY_CUT_AFTER, "COMMIT", 1);
    session_send(fixture.session, "COMMIT");
    session_expect_error(fixture.session, "", HARNESS_TIMEOUT_US);
    cr_expect(proxy_wait_cut(fixture.proxy, HARNESS_TIMEOUT_US));
    cr_expect(eq(i64, 1, pg_int(fixture.direct, "SELECT count(*) FROM t")));

    PGconn *again = pg_open(proxy_uri(fixture.proxy, fixture.dbname));
    pg_exec(again, "BEGIN; INSERT INTO t VALUES (2); COMMIT");
    cr_expect(eq(i64, 2, pg_int(again, "SELECT count(*) FROM t")));
    pg_close(again);
    tear_down(&fixture);
}

Test(harness_proxy, cut_before_commit_loses_the_rows)
{
    Fixture fixture = set_up();
    insert_in_transaction(&fixture);
    proxy_cut(fixture.proxy, PROXY_CUT_BEFORE, "COMMIT", 1);
    session_send(fixture.session, "COMMIT");
    session_expect_error(fixture.session, "", HARNESS_TIMEOUT_US);
    pg_wait_true(fixture.direct,
        "SELECT count(*) = 1 FROM pg_stat_activity"
        " WHERE datname = current_database() AND backend_type = 'client backend'",
        HARNESS_TIMEOUT_US);
    cr_expect(eq(i64, 0, pg_int(fixture.direct, "SELECT count(*) FROM t")));
    tear_down(&fixture);
}

/* The shape of a batch: everything up to the COMMIT is sent at once, one Sync at the end. */
static void
send_pipeline(PGconn *conn)
{
    cr_assert(eq(int, 1, PQenterPipelineMode(conn)));
    const char *statements[] = {"BEGIN", "INSERT INTO t VALUES (7)", "COMMIT"};
    for (size_t i = 0; i < 3; i++) {
        cr_assert(eq(int, 1, PQsendQueryParams(conn, statements[i], 0, NULL, NULL, NULL, NULL, 0)));
    }
    cr_assert(eq(int, 1, PQpipelineSync(conn)));
}

static bool
pipeline_answers(PGconn *conn)
{
    PGresult *result = PQgetResult(conn);
    bool ok = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    return ok;
}

Test(harness_proxy, cut_after_a_pipelined_commit_keeps_the_rows)
{
    Fixture fixture = set_up();
    PGconn *conn = session_conn(fixture.session);
    proxy_cut(fixture.proxy, PROXY_CUT_AFTER, "COMMIT", 1);
    send_pipeline(conn);
    cr_expect(not(pipeline_answers(conn)));
    cr_expect(proxy_wait_cut(fixture.proxy, HARNESS_TIMEOUT_US));
    cr_expect(eq(i64, 1, pg_int(fixture.direct, "SELECT count(*) FROM t WHERE id = 7")));
    tear_down(&fixture);
}

Test(harness_proxy, cut_before_a_pipelined_commit_loses_the_rows)
{
    Fixture fixture = set_up();
    PGconn *conn = session_conn(fixture.session);
    proxy_cut(fixture.proxy, PROXY_CUT_BEFORE, "COMMIT", 1);
    send_pipeline(conn);
    cr_expect(not(pipeline_answers(conn)));
    pg_wait_true(fixture.direct,
        "SELECT count(*) = 1 FROM pg_stat_activity"
        " WHERE datname = current_database() AND backend_type = 'client backend'",
        HARNESS_TIMEOUT_US);
    cr_expect(eq(i64, 0, pg_int(fixture.direct, "SELECT count(*) FROM t")));
    tear_down(&fixture);
}

Test(harness_proxy, cut_waits_for_the_nth_message)
{
    Fixture fixture = set_up();
    proxy_cut(fixture.proxy, PROXY_CUT_AFTER, "INSERT", 3);
    PGconn *conn = session_conn(fixture.session);
    pg_exec(conn, "INSERT INTO t VALUES (1)");
    pg_exec(conn, "INSERT INTO t VALUES (2)");
    char sqlstate[6];
    cr_expect(not(pg_try(conn, "INSERT INTO t VALUES (3)", sqlstate)));
    cr_expect(eq(i64, 3, pg_int(fixture.direct, "SELECT count(*) FROM t")));
    tear_down(&fixture);
}

Test(harness_proxy, stalled_answer_arrives_when_the_stall_ends)
{
    Fixture fixture = set_up();
    proxy_stall(fixture.proxy, PROXY_TO_CLIENT);
    session_send(fixture.session, "INSERT INTO t VALUES (1)");
    pg_wait_true(fixture.direct, "SELECT count(*) = 1 FROM t", HARNESS_TIMEOUT_US);
    cr_expect(not(session_wait(fixture.session, 50000)));
    proxy_pass(fixture.proxy);
    session_expect_ok(fixture.session, HARNESS_TIMEOUT_US);
    tear_down(&fixture);
}

Test(harness_proxy, stalled_statement_does_not_reach_the_server_nor_does_the_end)
{
    Fixture fixture = set_up();
    int backend_pid = session_backend_pid(fixture.session);
    proxy_stall(fixture.proxy, PROXY_BOTH);
    session_send(fixture.session, "INSERT INTO t VALUES (1)");
    cr_expect(not(session_wait(fixture.session, 50000)));
    session_close(fixture.session);
    fixture.session = NULL;
    cr_expect(eq(i64, 0, pg_int(fixture.direct, "SELECT count(*) FROM t")));
    cr_expect(eq(i64, 1,
        pg_intf(
            fixture.direct, "SELECT count(*) FROM pg_stat_activity WHERE pid = %d", backend_pid)));
    tear_down(&fixture);
}

Test(harness_proxy, delay_adds_to_every_round_trip)
{
    Fixture fixture = set_up();
    proxy_delay(fixture.proxy, PROXY_BOTH, 20000);
    int64_t start_us = clock_mono_us();
    pg_exec(session_conn(fixture.session), "SELECT 1");
    cr_expect(le(i64, 40000, clock_mono_us() - start_us));
    tear_down(&fixture);
}

Test(harness_proxy, reset_cuts_and_refusal_keeps_out_until_it_passes)
{
    Fixture fixture = set_up();
    cr_expect(eq(int, 1, proxy_reset(fixture.proxy)));
    char sqlstate[6];
    cr_expect(not(pg_try(session_conn(fixture.session), "SELECT 1", sqlstate)));
    cr_expect(eq(str, sqlstate, ""));

    proxy_refuse(fixture.proxy);
    PGconn *refused = PQconnectdb(proxy_uri(fixture.proxy, fixture.dbname));
    cr_expect(eq(int, CONNECTION_BAD, PQstatus(refused)));
    PQfinish(refused);

    proxy_pass(fixture.proxy);
    pg_close(pg_open(proxy_uri(fixture.proxy, fixture.dbname)));
    tear_down(&fixture);
}
