/*
 * clean.h - remove what a job left in the database: trigger, functions, ranges.
 */
#ifndef OPS_CLEAN_H
#define OPS_CLEAN_H

#include "base/err.h"
#include "base/stop.h"
#include "pg/conn.h"
#include "store/job.h"

/*
 * Drop the job's trigger and functions and mark it as cleaned; its history stays.  Safe to repeat.
 *
 * Errors:  ERR_BUSY while a run of the job is alive; ERR_STOPPED when the token is raised.
 */
bool clean_job(PgConn *conn, const JobRow *job, StopToken *stop, Err *err)
    __attribute__((warn_unused_result));

/*
 * What a copy has left on the server that it copies from, `source`; before clean_job(), so that it
 * may be repeated.  Errors as below.
 */
bool clean_source(PgConn *conn, PgConn *source, const JobRow *job, StopToken *stop, Err *err)
    __attribute__((warn_unused_result));

/* The same for every job, then drop the schema with its history, whatever version it has. */
bool clean_all(PgConn *conn, StopToken *stop, Err *err) __attribute__((warn_unused_result));

#endif
