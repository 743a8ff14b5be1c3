/*
 * sql_functions.h - the functions that a job has in schema pghaul, in one table.
 *
 * What `plan` prints and what `run` creates come from it.
 */
#ifndef CORE_SQL_FUNCTIONS_H
#define CORE_SQL_FUNCTIONS_H

#include <stddef.h>

#include "base/strbuf.h"
#include "core/plan.h"

/* Kinds of jobs, as bits. */
typedef enum JobKinds {
    FOR_BACKFILL = 1u,
    FOR_COPY = 2u,  /* within one database */
    FOR_RELAY = 4u, /* a copy between two */
    FOR_PURGE = 8u,
    FOR_ARCHIVE = 16u, /* a purge that writes files first */
    FOR_RESTORE = 32u,
} JobKinds;

typedef struct SqlFunction {
    unsigned kinds;    /* of JobKinds: whose it is */
    const char *what;  /* first part of its name: "move" of pghaul.move_.. */
    const char *title; /* what it is for, no final period */
    void (*text)(StrBuf *out, const Plan *plan, int64_t job); /* CREATE FUNCTION */
} SqlFunction;

/* In the order in which they are created. */
size_t sql_functions_count(void);
const SqlFunction *sql_functions_at(size_t index);

/* Does a job of this plan have it? */
bool sql_functions_needed(const SqlFunction *function, const Plan *plan);

#endif
