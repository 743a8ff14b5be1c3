/*
 * test_query.c - batch transactions against a server that interferes.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <pthread.h>
#include <stdatomic.h>

#include "harness/pgcluster.h"
#include "pg/conn.h"
#include "pg/query.h"

/* One in some thousand is hit. */
#define BATCHES 20000

typedef struct Canceller {
    PgConn *conn;
    _Atomic bool stop;
} Canceller;

static void *
cancel_all_the_time(void *arg)
{
    Canceller *canceller = arg;
    while (!atomic_load(&canceller->stop)) {
        conn_cancel(canceller->conn);
    }
    return NULL;
}

/* A cancel may arrive late and hit the ROLLBACK after a failed batch instead. */
Test(query, late_cancel_leaves_no_failed_transaction_behind)
{
    PgCluster *cluster = cluster_shared();
    const char *dbname = cluster_create_database(cluster, NULL);
    ConnTarget target = {.dbname = cluster_uri(cluster, dbname)};
    PgConn *conn = NULL;
    Err err = ERR_INIT;
    cr_assert(conn_open(&target, CONN_WORKER, "test", 10000000, &conn, &err), "%s", err.message);

    Canceller canceller = {.conn = conn};
    pthread_t thread;
    cr_assert(eq(int, 0, pthread_create(&thread, NULL, cancel_all_the_time, &canceller)));
    static const char *const BEGIN[] = {"BEGIN"};
    BatchCall call = {
        .begin = BEGIN, .begin_count = 1, .sql = "SELECT 1 / 0", .timeout_us = 10000000};
    for (int i = 0; i < BATCHES; i++) {
        PGRESULT_AUTO *result = NULL;
        err = ERR_INIT;
        cr_assert(not(query_batch(conn, &call, &result, &err)));
        cr_assert(err.cls == ERR_POISON || err.cls == ERR_TIMEOUT, "%s", err.message);
        cr_assert(conn_is_idle(conn), "batch %d: %s", i, err.message);
    }
    atomic_store(&canceller.stop, true);
    cr_assert(eq(int, 0, pthread_join(thread, NULL)));
    conn_close(conn);
    cluster_drop_database(cluster, dbname);
    cluster_stop(cluster);
}
