/*
 * common_load.c - every latency is kept (300 a second are few), so percentiles are exact.
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

#define PERIOD_US     (SECONDS_US(1) / LOAD_UPDATES_PER_S)
#define FIRST_ROOM    16384
#define UPDATE_NAME   "touch"
#define LOAD_KEY_SEED 42

typedef struct Update {
    int64_t due_us;
    int64_t latency_us;
} Update;

struct Load {
    /* set at creation */
    PGconn *conn;
    int64_t rows;
    pthread_t thread;
    /* the thread's own until it has been joined */
    Prng prng;
    Update *updates;
    size_t count;
    size_t room;
    int64_t errors;
    /* what is due after this is not begun */
    _Atomic int64_t until_us;
};

static void
prepare(Load *load, const BenchTable *table)
{
    char sql[200];
    /* The payload is in no index and keeps its length: an update that can be HOT. */
    (void)snprintf(sql, sizeof(sql),
        "UPDATE " BENCH_TABLE " SET payload = pg_catalog.reverse(payload) WHERE id ="
        " (SELECT %s FROM (VALUES ($1::bigint)) v(i))",
        table->key_sql);
    PGresult *result = PQprepare(load->conn, UPDATE_NAME, sql, 0, NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        harness_fail("cannot prepare the load: %s", PQerrorMessage(load->conn));
    }
    PQclear(result);
}

static void
update_one(Load *load)
{
    char key[24];
    (void)snprintf(key, sizeof(key), "%lld", (long long)prng_between(&load->prng, 1, load->rows));
    const char *const values[] = {key};
    PGresult *result = PQexecPrepared(load->conn, UPDATE_NAME, 1, values, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_COMMAND_OK || PQcmdTuples(result)[0] != '1') {
        load->errors++;
    }
    PQclear(result);
}

static void
keep(Load *load, int64_t due_us, int64_t latency_us)
{
    if (load->count == load->room) {
        load->room = load->room == 0 ? FIRST_ROOM : 2 * load->room;
        load->updates = mem_resize(load->updates, load->room, sizeof(*load->updates));
    }
    load->updates[load->count++] = (Update){.due_us = due_us, .latency_us = latency_us};
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
run_load(void *arg)
{
    Load *load = arg;
    int64_t due_us = clock_mono_us();
    for (;;) {
        sleep_until(due_us);
        if (due_us > atomic_load(&load->until_us)) {
            return NULL;
        }
        update_one(load);
        keep(load, due_us, clock_mono_us() - due_us);
        due_us += PERIOD_US;
    }
}

Load *
load_start(const char *uri, const BenchTable *table, int64_t rows)
{
    Load *load = mem_new(sizeof(*load));
    load->conn = pg_open(uri);
    load->rows = rows;
    prng_init(&load->prng, LOAD_KEY_SEED);
    atomic_store(&load->until_us, INT64_MAX);
    prepare(load, table);
    if (pthread_create(&load->thread, NULL, run_load, load) != 0) {
        harness_fail("cannot start a thread");
    }
    return load;
}

static int
compare_latencies(const void *left, const void *right)
{
    int64_t a = ((const Update *)left)->latency_us;
    int64_t b = ((const Update *)right)->latency_us;
    return (a > b) - (a < b);
}

/* Nearest rank: the smallest latency that `percent` of the updates do not exceed. */
static double
percentile_ms(const Update *sorted, size_t count, size_t percent)
{
    size_t rank = (count * percent + 99) / 100;
    return (double)sorted[rank == 0 ? 0 : rank - 1].latency_us / 1000.0;
}

LoadStats
load_finish(Load *load, int64_t from_us)
{
    atomic_store(&load->until_us, clock_mono_us());
    (void)pthread_join(load->thread, NULL);

    size_t skipped = 0; /* they are in the order of their due times */
    while (skipped < load->count && load->updates[skipped].due_us < from_us) {
        skipped++;
    }
    size_t count = load->count - skipped;
    LoadStats stats = {.updates = (int64_t)count, .errors = load->errors};
    if (count > 0) {
        Update *counted = load->updates + skipped;
        qsort(counted, count, sizeof(*counted), compare_latencies);
        stats.p50_ms = percentile_ms(counted, count, 50);
        stats.p99_ms = percentile_ms(counted, count, 99);
        stats.max_ms = percentile_ms(counted, count, 100);
    }
    pg_close(load->conn);
    free(load->updates);
    free(load);
    return stats;
}
