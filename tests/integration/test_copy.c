/*
 * test_copy.c - rows from one database into another: whatever their width, and whichever side
 * fails.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "harness/harness.h"
#include "harness/pgcluster.h"
#include "harness/session.h"
#include "pg/copy.h"
#include "pg/query.h"

#define MIB ((int64_t)1 << 20)

typedef struct Two {
    PgCluster *cluster;
    const char *from;
    const char *into;
    PGconn *sql; /* the test's, in the target's database */
    PgConn *source;
    PgConn *target;
} Two;

static PgConn *
worker(PgCluster *cluster, const char *dbname)
{
    Err err = ERR_INIT;
    PgConn *conn = NULL;
    ConnTarget target = {.dbname = cluster_uri(cluster, dbname)};
    cr_assert(
        conn_open(&target, CONN_WORKER, "test", SECONDS_US(20), &conn, &err), "%s", err.message);
    cr_assert(query_script(conn, "BEGIN", &err));
    return conn;
}

static Two
two_new(const char *setup)
{
    Two two = {.cluster = cluster_shared()};
    two.from = cluster_create_database(two.cluster, NULL);
    two.into = cluster_create_database(two.cluster, NULL);
    two.sql = pg_open(cluster_uri(two.cluster, two.into));
    pg_exec(two.sql, setup);
    two.source = worker(two.cluster, two.from);
    two.target = worker(two.cluster, two.into);
    return two;
}

static void
two_free(Two *two)
{
    conn_close(two->source);
    conn_close(two->target);
    pg_close(two->sql);
    cluster_drop_database(two->cluster, two->from);
    cluster_drop_database(two->cluster, two->into);
    cluster_stop(two->cluster);
}

static bool
copy(const Two *two, const char *query, const char *format, CopyCount *count, Err *err)
{
    char from[1024];
    char into[256];
    (void)snprintf(from, sizeof(from), "COPY (%s) TO STDOUT (FORMAT %s)", query, format);
    (void)snprintf(into, sizeof(into), "COPY public.t FROM STDIN (FORMAT %s)", format);
    CopyStream stream = {
        .source = two->source,
        .source_sql = from,
        .target = two->target,
        .target_sql = into,
        .idle_us = SECONDS_US(20),
    };
    return copy_stream(&stream, count, err);
}

/* Both sessions can go on after a ROLLBACK. */
static void
expect_usable(const Two *two)
{
    Err err = ERR_INIT;
    cr_expect(query_roll_back(two->source, &err), "%s", err.message);
    cr_expect(query_roll_back(two->target, &err), "%s", err.message);
    CopyCount count;
    cr_expect(copy(two, "SELECT 1, 'x'", "text", &count, &err), "%s", err.message);
    cr_expect(eq(i64, 1, count.taken_rows));
}

/* ---- what arrives ---- */

#define ROWS_SQL                                                                                   \
    "SELECT i, CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN E'a\\tb\\\\n\\n' || i"                      \
    " ELSE pg_catalog.repeat('y', i % 1000) END FROM pg_catalog.generate_series(1, 50000) AS i"

static void
expect_rows(const char *format)
{
    Two two = two_new("CREATE TABLE t (id int, v text)");
    CopyCount count;
    Err err = ERR_INIT;
    cr_assert(copy(&two, ROWS_SQL, format, &count, &err), "%s", err.message);
    cr_expect(eq(i64, 50000, count.sent_rows));
    cr_expect(eq(i64, 50000, count.taken_rows));
    cr_assert(query_script(two.target, "COMMIT", &err));
    char *message = NULL;
    cr_expect(eq(i64, 0, pg_compare(two.sql, "SELECT * FROM t", ROWS_SQL, &message)), "%s",
        message == NULL ? "" : message);
    two_free(&two);
}

Test(copy, text_arrives_as_it_was)
{
    expect_rows("text");
}

Test(copy, binary_arrives_as_it_was)
{
    expect_rows("binary");
}

Test(copy, nothing_is_copied_as_nothing)
{
    Two two = two_new("CREATE TABLE t (id int, v text)");
    CopyCount count;
    Err err = ERR_INIT;
    cr_assert(copy(&two, "SELECT 1, 'x' WHERE false", "binary", &count, &err), "%s", err.message);
    cr_expect(eq(i64, 0, count.sent_rows));
    cr_expect(eq(i64, 0, count.taken_rows));
    two_free(&two);
}

Test(copy, rows_that_a_trigger_of_the_target_drops_are_missing_in_its_count)
{
    Two two = two_new("CREATE TABLE t (id int, v text);"
                      "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
                      " 'BEGIN IF NEW.id % 2 = 0 THEN RETURN NULL; END IF; RETURN NEW; END';"
                      "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()");
    CopyCount count;
    Err err = ERR_INIT;
    cr_assert(copy(&two, ROWS_SQL, "text", &count, &err), "%s", err.message);
    cr_expect(eq(i64, 50000, count.sent_rows));
    cr_expect(eq(i64, 25000, count.taken_rows));
    two_free(&two);
}

/* ---- memory ---- */

/* Most memory of this process since the last call, in bytes. */
static int64_t
peak_bytes(void)
{
    char *status = harness_read_file("/proc/self/status");
    const char *peak = strstr(status, "VmHWM:");
    cr_assert(peak != NULL);
    int64_t bytes = strtoll(peak + strlen("VmHWM:"), NULL, 10) * 1024;
    free(status);
    FILE *clear = fopen("/proc/self/clear_refs", "we");
    cr_assert(clear != NULL);
    cr_assert(fputs("5", clear) > 0);
    (void)fclose(clear);
    return bytes;
}

/* What the stream needs at most beyond two rows: libpq's buffer and the row taken out of it. */
static void
expect_memory(const char *query, const char *format, int64_t row_bytes)
{
    Two two =
        two_new("CREATE TABLE t (id int, v text); ALTER TABLE t ALTER v SET STORAGE EXTERNAL");
    (void)peak_bytes();
    int64_t before = peak_bytes();
    CopyCount count;
    Err err = ERR_INIT;
    cr_assert(copy(&two, query, format, &count, &err), "%s", err.message);
    int64_t used = peak_bytes() - before;
    cr_expect(le(i64, used, 2 * row_bytes + 4 * MIB), "%lld MiB", (long long)(used / MIB));
    two_free(&two);
}

Test(copy, memory_is_bound_by_the_widest_row_not_by_their_number)
{
    expect_memory("SELECT i, pg_catalog.repeat('x', 1048576)"
                  " FROM pg_catalog.generate_series(1, 60) i",
        "text", MIB);
    expect_memory(
        "SELECT i, 'x' || i FROM pg_catalog.generate_series(1, 300000) i", "binary", 1000);
}

Test(copy, row_of_100_mb_takes_two_of_them)
{
    expect_memory("SELECT 1, pg_catalog.repeat('x', 104857600)", "text", 100 * MIB);
    expect_memory("SELECT 1, pg_catalog.repeat('x', 104857600)", "binary", 100 * MIB);
}

Test(copy, more_bytes_than_wanted_are_given_up_unless_they_are_one_row)
{
    Two two = two_new("CREATE TABLE t (id int, v text)");
    CopyStream stream = {
        .source = two.source,
        .source_sql = "COPY (SELECT i, pg_catalog.repeat('x', 1048576)"
                      " FROM pg_catalog.generate_series(1, 100) i) TO STDOUT",
        .target = two.target,
        .target_sql = "COPY public.t FROM STDIN",
        .idle_us = SECONDS_US(20),
        .bytes_max = 3 * MIB,
    };
    CopyCount count;
    Err err = ERR_INIT;
    cr_assert(not(copy_stream(&stream, &count, &err)));
    cr_expect(eq(int, ERR_TIMEOUT, err.cls), "%s", err.message);
    cr_expect(le(i64, count.seen_rows, 5));
    cr_expect(lt(i64, 1, count.seen_rows));
    expect_usable(&two);
    stream.source_sql = "COPY (SELECT 1, pg_catalog.repeat('x', 4000000)) TO STDOUT";
    cr_expect(copy_stream(&stream, &count, &err), "%s", err.message);
    two_free(&two);
}

/* ---- failures ---- */

Test(copy, refusal_by_the_target_ends_both_and_names_no_value)
{
    Two two = two_new("CREATE TABLE t (id int CHECK (id <> 40000), v text)");
    CopyCount count;
    Err err = ERR_INIT;
    cr_assert(not(copy(&two, ROWS_SQL, "text", &count, &err)));
    cr_expect(eq(int, ERR_POISON, err.cls));
    cr_expect(eq(str, "23514", err.sqlstate));
    cr_expect(eq(str, "target", err.context));
    cr_expect(strstr(err.message, "40000") == NULL, "%s", err.message);
    expect_usable(&two);
    two_free(&two);
}

Test(copy, failure_of_the_source_midway_ends_both)
{
    Two two = two_new("CREATE TABLE t (id int, v text)");
    CopyCount count;
    Err err = ERR_INIT;
    cr_assert(
        not(copy(&two, "SELECT 1 / (40000 - i), 'x' FROM pg_catalog.generate_series(1, 50000) i",
            "binary", &count, &err)));
    cr_expect(eq(str, "22012", err.sqlstate), "%s", err.message);
    cr_expect(eq(str, "source", err.context));
    expect_usable(&two);
    two_free(&two);
}

Test(copy, statement_that_either_side_refuses_ends_both)
{
    Two two = two_new("CREATE TABLE t (id int, v text)");
    CopyCount count;
    Err err = ERR_INIT;
    cr_assert(not(copy(&two, "SELECT nothing", "text", &count, &err)));
    cr_expect(eq(str, "42703", err.sqlstate));
    cr_expect(eq(str, "source", err.context));
    expect_usable(&two);
    err = ERR_INIT;
    cr_assert(not(copy(&two, "SELECT 1", "nonsense", &count, &err)));
    cr_expect(eq(str, "22023", err.sqlstate), "%s", err.sqlstate);
    cr_expect(eq(str, "target", err.context));
    expect_usable(&two);
    two_free(&two);
}

#define ENDLESS "SELECT pg_catalog.generate_series(1, 1000000000), 'x'"

typedef struct Disturber {
    const char *uri;
    char sql[160];
} Disturber;

/* Waits for the COPY to be under way, then runs the statement. */
static void *
disturb(void *arg)
{
    const Disturber *disturber = arg;
    PGconn *sql = pg_open(disturber->uri);
    pg_wait_true(sql,
        "SELECT count(*) > 0 FROM pg_stat_activity"
        " WHERE query LIKE 'COPY public.t FROM%' AND datname = current_database()",
        HARNESS_TIMEOUT_US);
    pg_exec(sql, disturber->sql);
    pg_close(sql);
    return NULL;
}

static bool
copy_disturbed(const Two *two, const char *call, int pid, CopyCount *count, Err *err)
{
    Disturber disturber = {.uri = cluster_uri(two->cluster, two->into)};
    (void)snprintf(disturber.sql, sizeof(disturber.sql), "SELECT %s(%d)", call, pid);
    pthread_t thread;
    cr_assert(eq(int, 0, pthread_create(&thread, NULL, disturb, &disturber)));
    bool ok = copy(two, ENDLESS, "text", count, err);
    cr_assert(eq(int, 0, pthread_join(thread, NULL)));
    return ok;
}

static void
expect_lost(bool source)
{
    Two two = two_new("CREATE TABLE t (id int, v text)");
    CopyCount count;
    Err err = ERR_INIT;
    int pid = conn_backend_pid(source ? two.source : two.target);
    cr_assert(not(copy_disturbed(&two, "pg_terminate_backend", pid, &count, &err)));
    cr_expect(eq(int, ERR_RECONNECT, err.cls), "%s", err.message);
    cr_expect(eq(str, source ? "source" : "target", err.context));
    two_free(&two);
}

Test(copy, killed_backend_of_the_source_is_a_lost_session)
{
    expect_lost(true);
}

Test(copy, killed_backend_of_the_target_is_a_lost_session)
{
    expect_lost(false);
}

Test(copy, cancel_at_the_source_ends_both)
{
    Two two = two_new("CREATE TABLE t (id int, v text)");
    CopyCount count;
    Err err = ERR_INIT;
    int pid = conn_backend_pid(two.source);
    cr_assert(not(copy_disturbed(&two, "pg_cancel_backend", pid, &count, &err)));
    cr_expect(eq(int, ERR_TIMEOUT, err.cls), "%s", err.message);
    expect_usable(&two);
    two_free(&two);
}

Test(copy, slow_target_is_waited_for_and_the_source_with_it)
{
    Two two = two_new("CREATE TABLE t (id int, v text);"
                      "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
                      " 'BEGIN IF NEW.id % 20 = 0 THEN PERFORM pg_sleep(0.02); END IF;"
                      " RETURN NEW; END';"
                      "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()");
    (void)peak_bytes();
    int64_t before = peak_bytes();
    CopyCount count;
    Err err = ERR_INIT;
    cr_assert(copy(&two,
                  "SELECT i, pg_catalog.repeat('x', 100000)"
                  " FROM pg_catalog.generate_series(1, 400) AS i",
                  "text", &count, &err),
        "%s", err.message);
    cr_expect(eq(i64, 400, count.taken_rows));
    cr_expect(le(i64, peak_bytes() - before, 4 * MIB));
    two_free(&two);
}

Test(copy, target_that_does_not_move_at_all_is_a_lost_session)
{
    Two two = two_new("CREATE TABLE t (id int, v text);"
                      "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
                      " 'BEGIN PERFORM pg_sleep(30); RETURN NEW; END';"
                      "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()");
    CopyStream stream = {
        .source = two.source,
        .source_sql = "COPY (" ENDLESS ") TO STDOUT",
        .target = two.target,
        .target_sql = "COPY public.t FROM STDIN",
        .idle_us = SECONDS_US(1),
    };
    CopyCount count;
    Err err = ERR_INIT;
    int64_t begun_us = clock_mono_us();
    cr_assert(not(copy_stream(&stream, &count, &err)));
    cr_expect(eq(int, ERR_RECONNECT, err.cls), "%s", err.message);
    cr_expect(eq(str, "target", err.context));
    cr_expect(lt(i64, clock_mono_us() - begun_us, SECONDS_US(20)));
    two_free(&two);
}
