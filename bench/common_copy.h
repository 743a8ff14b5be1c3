/*
 * common_copy.h - the ways to copy a table that are measured against each other, within a database
 * and to another server.
 */
#ifndef BENCH_COMMON_COPY_H
#define BENCH_COMMON_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "common_table.h"

typedef enum CopyKind {
    COPY_IDLE,     /* nothing: what the application has without a copy */
    COPY_INSERT,   /* one INSERT .. SELECT */
    COPY_PGHAUL,   /* the real binary, from its start to its end, without a verify pass */
    COPY_PSQL,     /* psql COPY | psql COPY, in the binary format */
    COPY_DUMP,     /* pg_dump | pg_restore, uncompressed */
    COPY_PGCOPYDB, /* pgcopydb clone, the table in parts */
} CopyKind;

/* What the target has before the rows come; the rest is built after them. */
typedef enum CopyTarget { TARGET_INDEXED, TARGET_KEYED, TARGET_BARE, TARGET_ABSENT } CopyTarget;

typedef struct CopyContender {
    const char *name; /* as the command line selects it */
    const char *title;
    CopyKind kind;
    CopyTarget target;
    bool remote;         /* to another server */
    const char *against; /* contender that it is compared with; NULL = none */
    double wanted;       /* times as fast as that; 0 = no target */
} CopyContender;

extern const CopyContender COPY_CONTENDERS[];
extern const int COPY_CONTENDER_COUNT;

#define COPY_JOBS 2

typedef struct CopyRun {
    PgCluster *source;
    PgCluster *target; /* another server */
    const BenchTable *table;
    const CopyContender *contender;
    const char *folder;     /* for job file and work folders */
    const char *log_folder; /* keeps what programs print; NULL: shown only when they fail */
    int repetition;
    int idle_s; /* how long doing nothing takes */
} CopyRun;

/* Restore the source's database and make the target as the contender finds it. */
void copy_prepare(const CopyRun *run);

/* Copy; false, with the reason on standard error, when that failed. */
bool copy_run(const CopyRun *run);

/* Has the target every row, and every index?  With an application beside it only their number is
 * compared.  Says what is wrong. */
bool copy_check(const CopyRun *run, bool is_loaded);

/* Position in the WAL of the server that was written. */
int64_t copy_wal_bytes(const CopyRun *run);

#endif
