/*
 * common_table.c - tables as an ordinary application has them: about 170 bytes a row, a column to
 * fill that no index has, and no fillfactor of its own.
 */
#include "common_table.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/harness.h"
#include "harness/session.h"

#define COUNTERS_LIMIT_US SECONDS_US(60)

#define INDEX_ONE "CREATE INDEX ON " BENCH_TABLE " (customer_id);"
#define INDEX_FIVE                                                                                 \
    INDEX_ONE "CREATE INDEX ON " BENCH_TABLE " (created_at);"                                      \
              "CREATE INDEX ON " BENCH_TABLE " (product_id);"                                      \
              "CREATE INDEX ON " BENCH_TABLE " (customer_id, created_at);"                         \
              "CREATE INDEX ON " BENCH_TABLE " (product_id, status);"

const char BENCH_CONFIG[] = "fsync = on\n"
                            "synchronous_commit = on\n"
                            "full_page_writes = on\n"
                            "shared_buffers = 1GB\n"
                            "max_wal_size = 8GB\n"
                            "min_wal_size = 4GB\n"
                            "checkpoint_timeout = 30min\n"
                            "wal_level = replica\n"
                            "maintenance_work_mem = 256MB\n";

const BenchTable BENCH_TABLES[] = {
    {.name = "two",
        .title = "bigint key, two indexes",
        .key_type = "bigint",
        .key_sql = "i",
        .lowest_key = "0",
        .index_sql = INDEX_ONE},
    {.name = "six",
        .title = "bigint key, six indexes",
        .key_type = "bigint",
        .key_sql = "i",
        .lowest_key = "0",
        .index_sql = INDEX_FIVE},
    {.name = "uuid",
        .title = "random UUID key, two indexes",
        .key_type = "uuid",
        .key_sql = "md5(i::text)::uuid",
        .lowest_key = "00000000-0000-0000-0000-000000000000",
        .index_sql = INDEX_ONE},
};
const int BENCH_TABLE_COUNT = sizeof(BENCH_TABLES) / sizeof(BENCH_TABLES[0]);

static const char SQL_CREATE[] = "CREATE TABLE " BENCH_TABLE " ("
                                 "id %s NOT NULL,"
                                 "customer_id bigint NOT NULL,"
                                 "created_at timestamptz NOT NULL,"
                                 "product_id integer NOT NULL,"
                                 "status integer NOT NULL,"
                                 "amount numeric(12,2) NOT NULL,"
                                 "payload text NOT NULL,"
                                 "amount_cents bigint)";

/* Columns by arithmetic on the row number, so that every run measures the same rows. */
static const char SQL_FILL[] =
    "INSERT INTO " BENCH_TABLE " SELECT %s, i * 7919 %% 100003,"
    " timestamptz '2024-01-01 00:00:00Z' + i * interval '1 second', i * 104729 %% 5003,"
    " i %% 7, (i * 7919 %% 1000003)::numeric / 100, %s, NULL"
    " FROM pg_catalog.generate_series(1, %lld::bigint) i";

static const char SQL_STATE[] =
    "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0')::bigint,"
    " pg_catalog.pg_relation_size(relid), pg_catalog.pg_indexes_size(relid), n_tup_upd,"
    " n_tup_hot_upd FROM pg_catalog.pg_stat_user_tables WHERE relname = '" BENCH_TABLE "'";

void
table_create(PGconn *conn, const BenchTable *table)
{
    pg_execf(conn, SQL_CREATE, table->key_type);
}

void
table_load(PgCluster *cluster, const BenchTable *table, int64_t rows)
{
    PGconn *conn = pg_open(cluster_uri(cluster, "postgres"));
    pg_execf(conn, "CREATE DATABASE template_%s", table->name);
    pg_close(conn);

    char dbname[40];
    (void)snprintf(dbname, sizeof(dbname), "template_%s", table->name);
    conn = pg_open(cluster_uri(cluster, dbname));
    table_create(conn, table);
    pg_execf(conn, SQL_FILL, table->key_sql,
        table->payload_sql == NULL ? "left(repeat(md5(i::text), 4), 106)" : table->payload_sql,
        (long long)rows);
    pg_exec(conn, "ALTER TABLE " BENCH_TABLE " ADD PRIMARY KEY (id)");
    pg_exec(conn, table->index_sql);
    if (table->more_sql != NULL) {
        pg_exec(conn, table->more_sql);
    }
    pg_exec(conn, "VACUUM (FREEZE, ANALYZE)");
    pg_close(conn);
}

void
table_restore(PgCluster *cluster, const BenchTable *table)
{
    PGconn *conn = pg_open(cluster_uri(cluster, "postgres"));
    pg_exec(conn, "DROP DATABASE IF EXISTS " BENCH_DATABASE " WITH (FORCE)");
    /* As files: through the WAL the copy would leave its pages in shared buffers, dirty. */
    pg_execf(conn, "CREATE DATABASE " BENCH_DATABASE " TEMPLATE template_%s STRATEGY file_copy",
        table->name);
    pg_exec(conn, "CHECKPOINT");
    pg_close(conn);
}

TableState
table_state(PGconn *conn)
{
    PGresult *result = PQexec(conn, SQL_STATE);
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1) {
        harness_fail("cannot read the state of the table: %s", PQerrorMessage(conn));
    }
    int64_t values[5];
    assert(PQnfields(result) == 5);
    for (int i = 0; i < 5; i++) {
        values[i] = strtoll(PQgetvalue(result, 0, i), NULL, 10);
    }
    PQclear(result);
    return (TableState){.wal_bytes = values[0],
        .table_bytes = values[1],
        .index_bytes = values[2],
        .updated_rows = values[3],
        .hot_rows = values[4]};
}

void
table_wait_counted(PGconn *conn, int64_t rows)
{
    char sql[160];
    (void)snprintf(sql, sizeof(sql),
        "SELECT n_tup_upd >= %lld FROM pg_catalog.pg_stat_user_tables"
        " WHERE relname = '" BENCH_TABLE "'",
        (long long)rows);
    pg_wait_true(conn, sql, COUNTERS_LIMIT_US);
}

int64_t
table_wrong_rows(PGconn *conn)
{
    return pg_int(conn, "SELECT count(*) FROM " BENCH_TABLE " WHERE " BENCH_COLUMN
                        " IS DISTINCT FROM " BENCH_EXPRESSION);
}
