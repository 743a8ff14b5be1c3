/*
 * common_contender.h - the ways to fill a column that are measured against each other.
 */
#ifndef BENCH_COMMON_CONTENDER_H
#define BENCH_COMMON_CONTENDER_H

#include <stdbool.h>
#include <stdint.h>

#include "common_table.h"

typedef enum ContenderKind {
    CONTENDER_IDLE,   /* nothing: what the application has without a backfill */
    CONTENDER_UPDATE, /* one UPDATE of the whole table */
    CONTENDER_LOOP,   /* what frameworks do: one connection, 1,000 rows a batch */
    CONTENDER_PGHAUL, /* the real binary, from its start to its end, without a verify pass */
} ContenderKind;

typedef struct Contender {
    const char *name; /* as the command line selects it */
    const char *title;
    ContenderKind kind;
    int workers; /* of pghaul */
} Contender;

extern const Contender CONTENDERS[];
extern const int CONTENDER_COUNT;

typedef struct ContenderRun {
    PgCluster *cluster;
    const BenchTable *table;
    const Contender *contender;
    const char *job_folder; /* for the job file */
    const char *log_folder; /* keeps what pghaul prints; NULL: shown only when it fails */
    int idle_s;             /* how long doing nothing takes */
} ContenderRun;

/* Fill the column in BENCH_DATABASE; false, with the reason on standard error, when that failed. */
bool contender_run(const ContenderRun *run);

/* `pghaul verify` of the job that contender_run() has done there. */
bool contender_verify(const ContenderRun *run);

#endif
