/*
 * common_load.h - a steady application beside a backfill: single-row updates at a fixed rate.
 *
 * A pool of connections with one thread each, as an application has it: an update that waits for a
 * row holds up its own connection only.  Each connection has its own schedule, an equal part of the
 * rate and evenly staggered.  Each update has a time at which it should start; its latency counts
 * from that time, so that a stall is charged to every update of the connection that it holds up and
 * not only to the one that met it (no coordinated omission).
 */
#ifndef BENCH_COMMON_LOAD_H
#define BENCH_COMMON_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "common_table.h"

#define LOAD_CONNECTIONS   10
#define LOAD_UPDATES_PER_S 300 /* of all connections together */

typedef struct Load Load;

typedef struct LoadStats {
    int64_t updates; /* 0: there was no load */
    int64_t errors;
    double p50_ms;
    double p99_ms;
    double max_ms;
} LoadStats;

/* Connect and begin; `uri` and `table` must outlive the load.  When `rows_may_go`, an update that
 * finds no row is no error. */
Load *load_start(const char *uri, const BenchTable *table, int64_t rows, bool rows_may_go);

/* Let what is due until now finish, end the load and free it; the result is about the updates that
 * were due from `from_us` (clock_mono_us()) on. */
LoadStats load_finish(Load *load, int64_t from_us);

#endif
