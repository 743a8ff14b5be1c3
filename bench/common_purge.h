/*
 * common_purge.h - the ways to delete old rows that are measured against each other, with and
 * without keeping them.
 */
#ifndef BENCH_COMMON_PURGE_H
#define BENCH_COMMON_PURGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "common_table.h"

typedef enum PurgeKind {
    PURGE_IDLE,   /* nothing: what the application has without a purge */
    PURGE_DELETE, /* one DELETE; with children, by ON DELETE CASCADE */
    PURGE_LOOP,   /* one connection, 1,000 rows a batch, on from the last key */
    PURGE_ROWS, /* as pt-archiver: read 1,000 rows, write them to a file, delete each by its key */
    PURGE_CTE,  /* one WITH .. (DELETE .. RETURNING *) INSERT into another table */
    PURGE_PSQL, /* psql COPY (DELETE .. RETURNING *) TO STDOUT | zstd -1 */
    PURGE_PGHAUL, /* the real binary, from its start to its end */
} PurgeKind;

#define PURGE_AGAINST 4

typedef struct PurgeContender {
    const char *name; /* as the command line selects it */
    const char *title;
    PurgeKind kind;
    int workers; /* of pghaul */
    int level;   /* of its archive; 0 = none */
    bool into;   /* a table keeps the rows */
    bool with_children;
    const char *against[PURGE_AGAINST]; /* contenders that it is compared with; NULL = no more */
    double wanted[PURGE_AGAINST];       /* times as fast as those; 0 = no target */
} PurgeContender;

extern const PurgeContender PURGE_CONTENDERS[];
extern const int PURGE_CONTENDER_COUNT;

/* Append the predicate of the old rows: three of ten, in one piece or (`scattered`) on every page.
 */
void purge_put_where(StrBuf *out, bool scattered, int64_t rows);

typedef struct PurgeRun {
    PgCluster *cluster;
    const BenchTable *table;
    const PurgeContender *contender;
    const char *where;      /* which rows are old */
    int64_t old_rows;       /* that match it */
    int64_t slow_rows;      /* so many of them for contenders that take rows one by one */
    const char *folder;     /* for job file and files of rows */
    const char *log_folder; /* keeps what programs print; NULL: shown only when they fail */
    int repetition;
    int idle_s; /* how long doing nothing takes */
} PurgeRun;

/* Two tables of a row for each order, indexed by what they refer to it with. */
extern const char PURGE_CHILDREN_SQL[];

/* Restore the database and remove the files of the run before. */
void purge_prepare(const PurgeRun *run);

/* Rows that the contender is to delete. */
int64_t purge_rows(const PurgeRun *run);

/* Delete; false, with the reason on standard error, when that failed. */
bool purge_run(const PurgeRun *run);

/* Are the right rows gone, and all of them kept where they are to be?  Says what is wrong. */
bool purge_check(const PurgeRun *run);

/* Bytes of the files that keep the rows; 0 when there are none. */
int64_t purge_file_bytes(const PurgeRun *run);

/* How long pghaul's run took by its own account: without the start of the process, the making of
 * schema and plan; NaN for others. */
double purge_run_s(const PurgeRun *run);

/* Position in the server's WAL. */
int64_t purge_wal_bytes(const PurgeRun *run);

#endif
