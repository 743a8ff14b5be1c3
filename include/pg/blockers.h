/*
 * blockers.h - ask the server who waits for whom, who holds a lock on a table, and whose
 * transaction has been open for long.
 *
 * Reads shared memory of the server only.  Any role may ask; what it may not see is marked.
 */
#ifndef PG_BLOCKERS_H
#define PG_BLOCKERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "core/waits.h"
#include "pg/conn.h"

typedef struct WaitQuestion {
    uint32_t table_oid; /* whose locks are of interest; 0 = of no table */
    int old_s;          /* a transaction of this database open for longer is old */
} WaitQuestion;

/*
 * Sessions that wait for a lock and those that they wait for, sessions with a lock on the table,
 * old transactions; prepared ones too.  Not the session that asks.
 *
 * Owner:   everything in *waits lives in `arena`.
 */
bool probe_waits(PgConn *conn, const WaitQuestion *question, Arena *arena, Waits *waits, Err *err)
    __attribute__((warn_unused_result));

/*
 * The one other than ours whose lock on the table our next DDL would wait for longest, as
 * "pid 123 (psql), idle in transaction, open for 5m 03s, RowExclusiveLock".
 *
 * Shape:   *text is NULL when there is none.  Locks that exclude CREATE TRIGGER come first.
 * Owner:   *text lives in `arena`.
 */
bool probe_table_holders(PgConn *conn, uint32_t table_oid, Arena *arena, const char **text,
    Err *err) __attribute__((warn_unused_result));

#endif
