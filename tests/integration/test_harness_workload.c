/*
 * test_harness_workload.c - the oracle agrees with an undisturbed table and finds planted faults.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "harness/harness.h"
#include "harness/pgcluster.h"
#include "harness/session.h"
#include "harness/workload.h"

#define INVARIANT "amount IS NOT DISTINCT FROM amount_text::numeric"

static const WorkloadColumn COLUMNS[] = {
    {"amount_text", "(r % 1000)::text"},
    {"note", "CASE WHEN r % 3 = 0 THEN NULL ELSE md5(r::text) END"},
};

typedef struct Fixture {
    PgCluster *cluster;
    const char *dbname;
    PGconn *conn;
    WorkloadSpec spec;
} Fixture;

/* A table whose column `amount` is kept right by a trigger: what a finished backfill looks like. */
static Fixture
set_up(void)
{
    Fixture fixture = {.cluster = cluster_shared()};
    fixture.dbname = cluster_create_database(fixture.cluster, NULL);
    fixture.spec = (WorkloadSpec){
        .uri = cluster_uri(fixture.cluster, fixture.dbname),
        .table = "app",
        .key = "id",
        .columns = COLUMNS,
        .column_count = 2,
        .key_low = 1,
        .key_high = 1000,
        .clients = 4,
        .transactions = 300,
        .hold_us = 1000,
    };
    fixture.conn = pg_open(fixture.spec.uri);
    pg_exec(fixture.conn,
        "CREATE TABLE app (id bigint PRIMARY KEY, amount_text text, note text, amount numeric);"
        "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN NEW.amount := NEW.amount_text::numeric; RETURN NEW; END';"
        "CREATE TRIGGER fill BEFORE INSERT OR UPDATE ON app FOR EACH ROW EXECUTE FUNCTION fill();"
        "INSERT INTO app SELECT i, i::text, NULL FROM generate_series(1, 900, 2) i");
    workload_prepare(fixture.conn, &fixture.spec);
    return fixture;
}

static void
tear_down(Fixture *fixture)
{
    pg_close(fixture->conn);
    cluster_drop_database(fixture->cluster, fixture->dbname);
    cluster_stop(fixture->cluster);
}

/* Do something to the table behind the oracle's back; the check must count `rows` and say `text`.
 */
static void
expect_found(Fixture *fixture, const char *fault_sql, int64_t rows, const char *text)
{
    pg_exec(fixture->conn, "SET session_replication_role = replica"); /* no trigger helps */
    pg_exec(fixture->conn, fault_sql);
    char *message = NULL;
    cr_expect(eq(i64, rows, workload_check(fixture->conn, &fixture->spec, INVARIANT, &message)));
    cr_assert(message != NULL);
    cr_expect(strstr(message, text) != NULL, "%s", message);
    free(message);
    tear_down(fixture);
}

Test(harness_workload, undisturbed_table_equals_the_replayed_log)
{
    Fixture fixture = set_up();
    WorkloadStats stats = workload_finish(workload_start(&fixture.spec));
    char *message = NULL;
    int64_t differences = workload_check(fixture.conn, &fixture.spec, INVARIANT, &message);
    cr_expect(eq(i64, 0, differences), "%s", message == NULL ? "" : message);
    cr_expect(message == NULL);
    cr_expect(eq(i64, 0, workload_unexpected_errors(&stats)), "%s", stats.first_unexpected);
    cr_expect(eq(i64, 0, stats.lost_connections));
    cr_expect(lt(i64, 600, stats.committed));
    cr_expect(lt(i64, 0, stats.rolled_back));
    cr_expect(lt(i64, 50, stats.inserts));
    cr_expect(lt(i64, 50, stats.updates));
    cr_expect(lt(i64, 50, stats.deletes));
    cr_expect(lt(i64, 20, stats.key_changes));
    cr_expect(lt(i64, 0, stats.longest_statement_us));
    tear_down(&fixture);
}

Test(harness_workload, runs_until_it_is_told_to_finish)
{
    Fixture fixture = set_up();
    fixture.spec.transactions = 0;
    fixture.spec.think_us = 500;
    Workload *workload = workload_start(&fixture.spec);
    while (workload_committed(workload) < 50) {
        harness_nap_us(1000);
    }
    WorkloadStats stats = workload_finish(workload);
    cr_expect(le(i64, 50, stats.committed));
    cr_expect(eq(i64, 0, workload_check(fixture.conn, &fixture.spec, INVARIANT, NULL)));
    tear_down(&fixture);
}

Test(harness_workload, fixed_keys_only_change_columns)
{
    Fixture fixture = set_up();
    fixture.spec.keys_fixed = true;
    WorkloadStats stats = workload_finish(workload_start(&fixture.spec));
    cr_expect(lt(i64, 100, stats.updates));
    cr_expect(eq(i64, 0, stats.inserts + stats.deletes + stats.key_changes));
    cr_expect(eq(i64, 0, workload_check(fixture.conn, &fixture.spec, INVARIANT, NULL)));
    cr_expect(eq(i64, 450, pg_int(fixture.conn, "SELECT count(*) FROM app WHERE id % 2 = 1")));
    tear_down(&fixture);
}

Test(harness_workload, lost_row_is_found)
{
    Fixture fixture = set_up();
    expect_found(&fixture, "DELETE FROM app WHERE id = 7", 1, "only left: (7,7,)");
}

Test(harness_workload, row_that_came_back_is_found)
{
    Fixture fixture = set_up();
    (void)workload_finish(workload_start(&fixture.spec));
    pg_exec(fixture.conn, "DELETE FROM app WHERE id = 2000");
    expect_found(
        &fixture, "INSERT INTO app VALUES (2000, '5', NULL, 5)", 1, "only right: (2000,5,)");
}

Test(harness_workload, overwritten_value_is_found_on_both_sides)
{
    Fixture fixture = set_up();
    expect_found(&fixture, "UPDATE app SET note = 'x' WHERE id = 9", 2, "only right: (9,9,x)");
}

Test(harness_workload, column_that_was_not_filled_is_found)
{
    Fixture fixture = set_up();
    expect_found(&fixture, "UPDATE app SET amount = NULL WHERE id = 11", 1, "1 rows where not");
}

Test(harness_workload, deadlock_with_somebody_else_is_told_apart)
{
    Fixture fixture = set_up();
    /* The application takes the advisory lock, then waits for our row; then we want its lock. */
    pg_exec(fixture.conn,
        "CREATE FUNCTION collide() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END';"
        "CREATE TRIGGER collide BEFORE UPDATE ON app FOR EACH STATEMENT EXECUTE FUNCTION collide();"
        "DELETE FROM app WHERE id <> 1; TRUNCATE oracle.oplog");
    pg_exec(fixture.conn, "INSERT INTO oracle.oplog VALUES (0, 'I', NULL, 1, '{1}')");
    fixture.spec.keys_fixed = true;
    fixture.spec.clients = 1;
    fixture.spec.transactions = 0;
    fixture.spec.seed = 20260131; /* one that begins with an UPDATE: a mere row lock would wait */

    Session *session = session_open(fixture.spec.uri);
    pg_exec(session_conn(session), "SET deadlock_timeout = '10min'"); /* the other is the victim */
    session_lock_rows(session, "app", "id = 1");
    Workload *workload = workload_start(&fixture.spec);
    pg_wait_true(fixture.conn,
        "SELECT count(*) > 0 FROM pg_locks a JOIN pg_locks w USING (pid)"
        " WHERE a.locktype = 'advisory' AND a.granted AND NOT w.granted AND a.database ="
        " (SELECT oid FROM pg_database WHERE datname = current_database())",
        HARNESS_TIMEOUT_US);
    session_send(session, "SELECT pg_advisory_xact_lock(1)");
    session_expect_ok(session, HARNESS_TIMEOUT_US);
    session_release(session);
    WorkloadStats stats = workload_finish(workload);
    cr_expect(eq(i64, 1, stats.deadlocks_with_others));
    cr_expect(eq(i64, 1, workload_errors(&stats, "40P01")));
    cr_expect(eq(i64, 1, workload_unexpected_errors(&stats)));
    cr_expect(strstr(stats.first_unexpected, "deadlock") != NULL);
    session_close(session);
    tear_down(&fixture);
}

Test(harness_workload, survives_a_crash_of_the_server)
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.with_standby = false});
    Fixture fixture = {.cluster = cluster};
    fixture.spec = (WorkloadSpec){
        .uri = cluster_uri(cluster, "postgres"),
        .table = "app",
        .key = "id",
        .columns = COLUMNS,
        .column_count = 2,
        .key_low = 1,
        .key_high = 1000,
        .clients = 2,
    };
    PGconn *conn = pg_open(fixture.spec.uri);
    pg_exec(conn, "CREATE TABLE app (id bigint PRIMARY KEY, amount_text text, note text)");
    workload_prepare(conn, &fixture.spec);
    pg_close(conn);

    Workload *workload = workload_start(&fixture.spec);
    while (workload_committed(workload) < 50) {
        harness_nap_us(1000);
    }
    cluster_stop_immediate(cluster);
    cluster_restart(cluster);
    int64_t before = workload_committed(workload);
    while (workload_committed(workload) < before + 50) {
        harness_nap_us(1000);
    }
    WorkloadStats stats = workload_finish(workload);
    cr_expect(eq(i64, 2, stats.lost_connections));
    cr_expect(eq(i64, 0, workload_unexpected_errors(&stats)), "%s", stats.first_unexpected);
    conn = pg_open(fixture.spec.uri);
    cr_expect(eq(i64, 0, workload_check(conn, &fixture.spec, NULL, NULL)));
    pg_close(conn);
    cluster_stop(cluster);
}
