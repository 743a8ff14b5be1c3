/*
 * move_case.h - one table, one job, one run of the binary, and what must be true afterwards.
 */
#ifndef CLI_MOVE_CASE_H
#define CLI_MOVE_CASE_H

#include <stdint.h>

#include "cli/cli.h"

typedef struct MoveCase {
    const char *title;
    const char *setup; /* statements; schema public is empty before them */
    const char *job;   /* the job file without name, path, batch and throttle */
    const char *wrong; /* query: how many rows are not what they should be; must be 0 */
    int64_t rows;      /* rows that the move must have changed */
    int code;          /* exit code */
} MoveCase;

/* Run the job by key, by block, or both, in batches of a few rows; reports by cr_expect. */
#define BY_KEY   1u
#define BY_BLOCK 2u
void move_case_run(const CliBase *base, const MoveCase *move, unsigned paths);

/* Several of them, each after the statements of `prelude`. */
void move_cases_run(
    const CliBase *base, const char *prelude, const MoveCase *moves, int count, unsigned paths);

#endif
