/*
 * common_table.h - the tables that bench programs move: made once each as a template database, and
 * copied from it before every measurement, so that all contenders start from the same bytes.
 */
#ifndef BENCH_COMMON_TABLE_H
#define BENCH_COMMON_TABLE_H

#include <libpq-fe.h>
#include <stdint.h>

#include "harness/pgcluster.h"

/* The database that is measured, and the job's column in it: a plain expression of another one. */
#define BENCH_DATABASE   "bench_run"
#define BENCH_TABLE      "orders"
#define BENCH_COLUMN     "amount_cents"
#define BENCH_EXPRESSION "(amount * 100)::bigint"

/*
 * A server for a bench: real commits, no checkpoint within a measurement, and segments of WAL that
 * are used again, or the contender that is first would pay for making them.  Everything else is
 * PostgreSQL's default, autovacuum too.
 */
extern const char BENCH_CONFIG[];

typedef struct BenchTable {
    const char *name; /* as the command line selects it */
    const char *title;
    const char *key_type;
    const char *key_sql;     /* the key of row number i */
    const char *lowest_key;  /* below every key */
    const char *index_sql;   /* the indexes besides the primary key */
    const char *payload_sql; /* 106 characters of text of row i; NULL: hex digits that repeat */
    const char *more_sql;    /* what else the template has; NULL: nothing */
} BenchTable;

extern const BenchTable BENCH_TABLES[];
extern const int BENCH_TABLE_COUNT;

/* What the server knows about the table at one moment. */
typedef struct TableState {
    int64_t wal_bytes; /* position in the WAL */
    int64_t table_bytes;
    int64_t index_bytes;
    int64_t updated_rows;
    int64_t hot_rows;
} TableState;

/* An empty one, without indexes. */
void table_create(PGconn *conn, const BenchTable *table);

/* Make and fill the template database of a table. */
void table_load(PgCluster *cluster, const BenchTable *table, int64_t rows);

/* Put BENCH_DATABASE back into the state of the template, with nothing left to write. */
void table_restore(PgCluster *cluster, const BenchTable *table);

/* `conn` is a connection to BENCH_DATABASE. */
TableState table_state(PGconn *conn);

/* Wait until the counters of ended sessions have arrived: at least `rows` updated. */
void table_wait_counted(PGconn *conn, int64_t rows);

/* Rows whose column is not what the expression gives. */
int64_t table_wrong_rows(PGconn *conn);

#endif
