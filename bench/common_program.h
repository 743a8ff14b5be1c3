/*
 * common_program.h - running the programs that are measured.
 */
#ifndef BENCH_COMMON_PROGRAM_H
#define BENCH_COMMON_PROGRAM_H

#include <stdbool.h>

#include "base/strbuf.h"
#include "harness/pgcluster.h"

typedef struct BenchProgram {
    const char *title;
    const char *const *argv;
    const char *const *env; /* "NAME=value", NULL-ended */
    const char *log_path;   /* keeps what it prints; NULL: shown only when it fails */
} BenchProgram;

/* Run it to its end; what it prints is shown when its exit code is not 0. */
bool program_run(const BenchProgram *program);

/* Append a script for bash in which $BIN is the folder of the server's programs. */
void program_put_script(StrBuf *out, PgCluster *cluster, const char *script);

#endif
