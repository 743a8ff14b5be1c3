/*
 * common_load.c - every latency is kept (300 a second are few), so percentiles are exact.
 *
 * A connection and what it has kept belong to its thread until that has been joined; only then are
 * the latencies of all put together.
 */
#include "common_load.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "core/prng.h"
#include "harness/harness.h"
#include "harness/session.h"

/* Between two updates of one connection, and between the first ones of two neighbours. */
#define PERIOD_US     (SECONDS_US(LOAD_CONNECTIONS) / LOAD_UPDATES_PER_S)
#define STAGGER_US    (PERIOD_US / LOAD_CONNECTIONS)
#define FIRST_ROOM    2048
#define UPDATE_NAME   "touch"
#define LOAD_KEY_SEED 42

typedef struct Update {
    int64_t due_us;
    int64_t latency_us;
} Update;

typedef struct Connection {
    /* set at creation */
    PGconn *conn;
    int64_t rows;
    bool rows_may_go;
    int64_t first_due_us;
    const _Atomic int64_t *until_us; /* the load's */
    pthread_t thread;
    /* the thread's own until it has been joined */
    Prng prng;
    Update *updates;
    size_t count;
    size_t room;
    int64_t errors;
} Connection;

struct Load {
    Connection connections[LOAD_CONNECTIONS];
    /* what is due after this is not begun */
    _Atomic int64_t until_us;
};

static void
prepare(PGconn *conn, const BenchTable *table)
{
    char sql[200];
    /* The payload is in no index and keeps its length: an update that can be HOT. */
    (void)snprintf(sql, sizeof(sql),
        "UPDATE " BENCH_TABLE " SET payload = pg_catalog.reverse(payload) WHERE id ="
        " (SELECT %s FROM (VALUES ($1::bigint)) v(i))",
        table->key_sql);
    PGresult *result = PQprepare(conn, UPDATE_NAME, sql, 0, NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        harness_fail("cannot prepare the load: %s", PQerrorMessage(conn));
    }
    PQclear(result);
}

static void
update_one(Connection *connection)
{
    char key[24];
    (void)snprintf(
        key, sizeof(key), "%lld", (long long)prng_between(&connection->prng, 1, connection->rows));
    const char *const values[] = {key};
    PGresult *result = PQexecPrepared(connection->conn, UPDATE_NAME, 1, values, NULL, NULL, 0);
    bool found = PQresultStatus(result) == PGRES_COMMAND_OK && PQcmdTuples(result)[0] == '1';
    bool gone = PQresultStatus(result) == PGRES_COMMAND_OK && connection->rows_may_go;
    if (!found && !gone) {
        connection->errors++;
    }
    PQclear(result);
}

static void
keep(Connection *connection, int64_t due_us, int64_t latency_us)
{
    if (connection->count == connection->room) {
        connection->room = connection->room == 0 ? FIRST_ROOM : 2 * connection->room;
        connection->updates =
            mem_resize(connection->updates, connection->room, sizeof(*connection->updates));
    }
    connection->updates[connection->count++] = (Update){.due_us = due_us, .latency_us = latency_us};
}

static void
sleep_until(int64_t due_us)
{
    struct timespec due = {
        .tv_sec = (time_t)(due_us / 1000000),
        .tv_nsec = (long)(due_us % 1000000 * 1000),
    };
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
}

static void *
run_connection(void *arg)
{
    Connection *connection = arg;
    int64_t due_us = connection->first_due_us;
    for (;;) {
        sleep_until(due_us);
        if (due_us > atomic_load(connection->until_us)) {
            return NULL;
        }
        update_one(connection);
        keep(connection, due_us, clock_mono_us() - due_us);
        due_us += PERIOD_US;
    }
}

Load *
load_start(const char *uri, const BenchTable *table, int64_t rows, bool rows_may_go)
{
    Load *load = mem_new(sizeof(*load));
    atomic_store(&load->until_us, INT64_MAX);
    for (int i = 0; i < LOAD_CONNECTIONS; i++) {
        Connection *connection = &load->connections[i];
        connection->conn = pg_open(uri);
        connection->rows = rows;
        connection->rows_may_go = rows_may_go;
        connection->until_us = &load->until_us;
        prng_init(&connection->prng, LOAD_KEY_SEED + (uint64_t)i);
        prepare(connection->conn, table);
    }
    /* Only now: the schedules do not wait for each other's connecting. */
    int64_t start_us = clock_mono_us();
    for (int i = 0; i < LOAD_CONNECTIONS; i++) {
        Connection *connection = &load->connections[i];
        connection->first_due_us = start_us + i * STAGGER_US;
        if (pthread_create(&connection->thread, NULL, run_connection, connection) != 0) {
            harness_fail("cannot start a thread");
        }
    }
    return load;
}

static int
compare_latencies(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/* Nearest rank: the smallest latency that `percent` of the updates do not exceed. */
static double
percentile_ms(const int64_t *sorted_us, size_t count, size_t percent)
{
    size_t rank = (count * percent + 99) / 100;
    return (double)sorted_us[rank == 0 ? 0 : rank - 1] / 1000.0;
}

/* The latencies of all connections for what was due from `from_us` on, sorted; returns owned, NULL
 * when nothing was updated at all. */
static int64_t *
merged_latencies(const Load *load, int64_t from_us, size_t *count)
{
    size_t room = 0;
    for (int i = 0; i < LOAD_CONNECTIONS; i++) {
        room += load->connections[i].count;
    }
    *count = 0;
    if (room == 0) {
        return NULL;
    }
    int64_t *latencies_us = mem_resize(NULL, room, sizeof(*latencies_us));
    for (int i = 0; i < LOAD_CONNECTIONS; i++) {
        const Connection *connection = &load->connections[i];
        for (size_t j = 0; j < connection->count; j++) {
            if (connection->updates[j].due_us >= from_us) {
                latencies_us[(*count)++] = connection->updates[j].latency_us;
            }
        }
    }
    qsort(latencies_us, *count, sizeof(*latencies_us), compare_latencies);
    return latencies_us;
}

LoadStats
load_finish(Load *load, int64_t from_us)
{
    LoadStats stats = {0};
    atomic_store(&load->until_us, clock_mono_us());
    for (int i = 0; i < LOAD_CONNECTIONS; i++) {
        (void)pthread_join(load->connections[i].thread, NULL);
        stats.errors += load->connections[i].errors;
    }

    size_t count = 0;
    int64_t *latencies_us = merged_latencies(load, from_us, &count);
    stats.updates = (int64_t)count;
    if (count > 0) {
        stats.p50_ms = percentile_ms(latencies_us, count, 50);
        stats.p99_ms = percentile_ms(latencies_us, count, 99);
        stats.max_ms = percentile_ms(latencies_us, count, 100);
    }
    free(latencies_us);
    for (int i = 0; i < LOAD_CONNECTIONS; i++) {
        pg_close(load->connections[i].conn);
        free(load->connections[i].updates);
    }
    free(load);
    return stats;
}
