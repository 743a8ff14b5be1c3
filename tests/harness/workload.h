/*
 * workload.h - an application that keeps writing while a mover runs, and an oracle that knows what
 * the table must hold afterwards.
 *
 * Each transaction of the application also appends what it did to oracle.oplog.  The number of an
 * entry is taken while the row's lock (or its place in the unique index) is held, so entries of
 * one key are in the order of their commits.  The last entry of each key says whether the row must
 * be there and with which values, no matter what anybody else did to the table.
 *
 * One workload per database; the oracle lives in schema "oracle".
 */
#ifndef HARNESS_WORKLOAD_H
#define HARNESS_WORKLOAD_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#define WORKLOAD_MAX_COLUMNS 8
#define WORKLOAD_ERROR_KINDS 16

/* A column that the application fills. */
typedef struct WorkloadColumn {
    const char *name;      /* as SQL wants it, quoted where needed */
    const char *value_sql; /* expression over the random bigint `r`, of the column's exact type */
} WorkloadColumn;

typedef struct WorkloadSpec {
    const char *uri;
    const char *table; /* as SQL wants it */
    const char *key;   /* its bigint primary key */
    const WorkloadColumn *columns;
    int column_count; /* 1..WORKLOAD_MAX_COLUMNS */
    int64_t key_low;  /* random keys are from key_low .. key_high */
    int64_t key_high;
    int clients;
    int64_t transactions; /* of each client; 0: until workload_finish() */
    bool keys_fixed;      /* only UPDATE of the columns, no row comes, goes or changes its key */
    int64_t hold_us;      /* row locks are held at random up to so long; 0: not at all */
    int64_t think_us;     /* pause after each transaction */
    uint64_t seed;        /* 0: harness_seed() */
} WorkloadSpec;

typedef struct WorkloadErrors {
    char sqlstate[6];
    int64_t count;
} WorkloadErrors;

typedef struct WorkloadStats {
    int64_t committed;
    int64_t rolled_back; /* on purpose */
    int64_t inserts;     /* rows, of committed transactions or not */
    int64_t updates;
    int64_t deletes;
    int64_t key_changes;
    int64_t longest_statement_us;
    int64_t lost_connections;                    /* not among the errors; each is opened again */
    WorkloadErrors errors[WORKLOAD_ERROR_KINDS]; /* by SQLSTATE */
    int error_kinds;
    int64_t deadlocks_with_others; /* 40P01 in a cycle with a backend that is not the workload's */
    char first_unexpected[256];    /* message of the first error that an application has not by
                                      itself; "" when there was none */
} WorkloadStats;

typedef struct Workload Workload;

/* Make the oracle and put the table's present rows into it; call once, before workload_start(). */
void workload_prepare(PGconn *conn, const WorkloadSpec *spec);

/* Start the clients; the spec and what it points to must outlive them. */
Workload *workload_start(const WorkloadSpec *spec);

/* Transactions committed until now; for tests that wait until the application has begun. */
int64_t workload_committed(Workload *workload);

/* Stop the clients (or wait for them, when their transactions are limited), free the workload. */
WorkloadStats workload_finish(Workload *workload);

/* Errors with this SQLSTATE. */
int64_t workload_errors(const WorkloadStats *stats, const char *sqlstate);

/* Errors besides those that such an application has by itself: 40001, 23505 and 55P03 (its own
 * bounded waits), deadlocks among its own clients. */
int64_t workload_unexpected_errors(const WorkloadStats *stats);

/* Replay the log into a fresh table oracle.expected (key and columns, named and typed as in the
 * table). */
void workload_expect(PGconn *conn, const WorkloadSpec *spec);

/*
 * Replay the log and compare; the clients must have ended.
 *
 * Shape:   number of differing rows, both ways, plus rows on which `invariant_sql` is not true
 *          (NULL: none is asked); *message (owned by the caller; may be NULL) names some of them,
 *          NULL when all is right.
 */
int64_t
workload_check(PGconn *conn, const WorkloadSpec *spec, const char *invariant_sql, char **message);

#endif
