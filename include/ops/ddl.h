/*
 * ddl.h - one short DDL transaction on a busy table, without making anybody queue behind us.
 */
#ifndef OPS_DDL_H
#define OPS_DDL_H

#include "base/err.h"
#include "base/stop.h"
#include "pg/conn.h"

typedef struct DdlStep {
    uint32_t table_oid;            /* whose lock is wanted; 0 = none */
    const char *what;              /* for messages: "create the sync trigger" */
    const char *const *statements; /* run in one transaction */
    int count;
} DdlStep;

/*
 * Run the step with a lock_timeout of at most 200 ms (yield_after), again and again with jitter
 * until it gets the lock.  A running autovacuum would only give way after a second of waiting, so
 * it is waited for without a lock request; the log says who is in the way.
 *
 * Errors:  ERR_STOPPED when the token is raised; of the server.
 */
bool ddl_run(PgConn *conn, const DdlStep *step, int64_t yield_after_us, StopToken *stop, Err *err)
    __attribute__((warn_unused_result));

/* Who holds a lock on the table that a strong one would wait for, and will not let go in a moment;
 * "" when nobody is seen. */
bool ddl_in_the_way(PgConn *conn, uint32_t table_oid, char *who, size_t size, Err *err)
    __attribute__((warn_unused_result));

#endif
