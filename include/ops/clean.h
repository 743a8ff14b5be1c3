/*
 * clean.h - remove what a job left in the database: trigger, functions, ranges.
 */
#ifndef OPS_CLEAN_H
#define OPS_CLEAN_H

#include "base/err.h"
#include "base/stop.h"
#include "base/strbuf.h"
#include "pg/conn.h"
#include "store/job.h"

/*
 * Drop the job's trigger and functions and mark it as cleaned; its history stays.  Safe to repeat.
 *
 * Errors:  ERR_BUSY while a run of the job is alive; ERR_STOPPED when the token is raised.
 */
bool clean_job(PgConn *conn, const JobRow *job, StopToken *stop, Err *err)
    __attribute__((warn_unused_result));

/* Only the functions of the plan that the job has had, which has another one now. */
bool clean_functions(PgConn *conn, const JobRow *job, Err *err) __attribute__((warn_unused_result));

/*
 * What a copy has left on the server that it copies from, `source`, and schema pghaul there when no
 * job needs it any more; before clean_job(), so that it may be repeated.  Errors as above.
 */
bool clean_source(PgConn *conn, PgConn *source, const JobRow *job, StopToken *stop, Err *err)
    __attribute__((warn_unused_result));

/* The same as statements, for a server that cannot be reached now. */
void clean_put_source_sql(StrBuf *out, const JobRow *job);

/* The same for every job, then drop the schema with its history, whatever version it has. */
bool clean_all(PgConn *conn, StopToken *stop, Err *err) __attribute__((warn_unused_result));

#endif
