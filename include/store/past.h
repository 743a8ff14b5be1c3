/*
 * past.h - what schema pghaul of any version knows of jobs, for a look before anything is changed.
 */
#ifndef STORE_PAST_H
#define STORE_PAST_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "pg/conn.h"

typedef struct Past {
    const char *job_ids; /* of all jobs that are not cleaned: an int8[] as text */
    bool exists;         /* one of them has the name that was asked for */
    const char *spec;    /* of that one: the text of the job file, */
    const char *fingerprint;
    bool has_trigger; /* and whether its sync trigger was made, */
    bool complete;    /* and it is complete */
} Past;

/*
 * Read it; without the schema there are no jobs.
 *
 * Owner:   texts live in `arena`.
 */
bool past_read(PgConn *conn, const char *job, Arena *arena, Past *past, Err *err)
    __attribute__((warn_unused_result));

#endif
