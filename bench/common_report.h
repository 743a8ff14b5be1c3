/*
 * common_report.h - measurements, their medians, and what is printed about them.
 */
#ifndef BENCH_COMMON_REPORT_H
#define BENCH_COMMON_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "common_contender.h"
#include "common_load.h"
#include "common_table.h"

/* One run of one contender. */
typedef struct Measurement {
    const BenchTable *table;
    const Contender *contender;
    int repetition; /* from 1 */
    int64_t rows;   /* of the table */
    double duration_s;
    double verify_s;     /* the verify pass, measured apart; 0 when it was not */
    double catch_up_s;   /* until the standby had replayed all, after the end; 0 without one */
    double hot_share;    /* of the updated rows */
    double wal_bytes;    /* of the whole server, from start to end */
    double table_growth; /* 0.1 is 10 % */
    double index_growth;
    LoadStats load; /* without updates: the contender ran alone */
} Measurement;

typedef struct Report {
    Measurement *items;
    size_t count;
} Report;

void report_add(Report *report, const Measurement *item);
void report_free(Report *report);

/* Append everything as one line, for standard error as it happens and for the end of the report. */
void report_line(const Measurement *item, StrBuf *line);

/* Tables, targets and every measurement, to standard output. */
void report_print(const Report *report);

#endif
