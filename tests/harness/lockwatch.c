/*
 * lockwatch.c - one session that polls pg_locks.
 */
#include "harness/lockwatch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "harness/harness.h"
#include "harness/session.h"

#define LOOK_EVERY_US 4000
#define WAITS_OPEN    64

struct LockWatch {
    char *uri;
    pthread_t thread;
    atomic_bool is_ending;
    LockWatchStats stats;      /* of the thread until it has ended */
    char open[WAITS_OPEN][64]; /* "pid since": the waits of the last look */
    int open_count;
};

static const char SQL_WAITS[] =
    "SELECT w.pid || ' ' || w.waitstart,"
    "       (extract(epoch FROM clock_timestamp() - w.waitstart) * 1e6)::int8,"
    "       left(a.query, 150), left(b.query, 150)"
    "  FROM pg_locks w JOIN pg_stat_activity a ON a.pid = w.pid"
    "  JOIN LATERAL (SELECT m.query FROM unnest(pg_blocking_pids(w.pid)) AS p(pid)"
    "                  JOIN pg_stat_activity m ON m.pid = p.pid"
    "                 WHERE m.application_name LIKE 'pghaul/%' LIMIT 1) AS b ON true"
    " WHERE NOT w.granted AND w.waitstart IS NOT NULL"
    "   AND a.application_name NOT LIKE 'pghaul/%'"
    "   AND a.datname = current_database()";

static bool
was_open(const LockWatch *watch, const char *wait)
{
    for (int i = 0; i < watch->open_count; i++) {
        if (strcmp(watch->open[i], wait) == 0) {
            return true;
        }
    }
    return false;
}

static void
take_row(LockWatch *watch, const PGresult *rows, int row)
{
    LockWatchStats *stats = &watch->stats;
    if (!was_open(watch, PQgetvalue(rows, row, 0))) {
        stats->waits++;
    }
    int64_t wait_us = strtoll(PQgetvalue(rows, row, 1), NULL, 10);
    if (wait_us > stats->longest_us) {
        stats->longest_us = wait_us;
        (void)snprintf(
            stats->longest_query, sizeof(stats->longest_query), "%.159s", PQgetvalue(rows, row, 2));
        (void)snprintf(stats->longest_blocker, sizeof(stats->longest_blocker), "%.159s",
            PQgetvalue(rows, row, 3));
    }
}

static void
look(LockWatch *watch, PGconn *conn)
{
    PGresult *rows = PQexec(conn, SQL_WAITS);
    if (PQresultStatus(rows) != PGRES_TUPLES_OK) {
        harness_fail("cannot watch locks: %s", PQerrorMessage(conn));
    }
    int count = PQntuples(rows);
    for (int row = 0; row < count; row++) {
        take_row(watch, rows, row);
    }
    watch->open_count = count < WAITS_OPEN ? count : WAITS_OPEN;
    for (int row = 0; row < watch->open_count; row++) {
        (void)snprintf(watch->open[row], sizeof(watch->open[row]), "%s", PQgetvalue(rows, row, 0));
    }
    watch->stats.looks++;
    PQclear(rows);
}

static void *
watch_main(void *arg)
{
    LockWatch *watch = arg;
    PGconn *conn = pg_open(watch->uri);
    pg_exec(conn, "SET application_name = 'lockwatch'");
    while (!atomic_load(&watch->is_ending)) {
        look(watch, conn);
        harness_nap_us(LOOK_EVERY_US);
    }
    pg_close(conn);
    return NULL;
}

LockWatch *
lockwatch_start(const char *uri)
{
    LockWatch *watch = mem_new(sizeof(*watch));
    watch->uri = mem_strdup(uri);
    atomic_init(&watch->is_ending, false);
    if (pthread_create(&watch->thread, NULL, watch_main, watch) != 0) {
        harness_fail("cannot start a thread");
    }
    return watch;
}

LockWatchStats
lockwatch_finish(LockWatch *watch)
{
    atomic_store(&watch->is_ending, true);
    (void)pthread_join(watch->thread, NULL);
    LockWatchStats stats = watch->stats;
    free(watch->uri);
    free(watch);
    return stats;
}
