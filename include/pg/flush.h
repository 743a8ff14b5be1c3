/*
 * flush.h - wait until what was read from a server is safe on its disk.
 *
 * With synchronous_commit = off a row can be seen before its commit is flushed, and is gone after a
 * crash; whoever copied it to another server would have a row that never was.
 */
#ifndef PG_FLUSH_H
#define PG_FLUSH_H

#include "base/err.h"
#include "pg/conn.h"

/*
 * Wait for all that the server has written to its log by now; outside of a transaction.
 *
 * Shape:   a standby has nothing but what is flushed on its primary.
 * Errors:  ERR_RETRY when it takes unusually long.
 */
bool flush_wait(PgConn *conn, Err *err) __attribute__((warn_unused_result));

#endif
