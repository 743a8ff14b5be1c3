/*
 * snapshots.h - sessions whose snapshot may be older than what we are about to show them.
 */
#ifndef PG_SNAPSHOTS_H
#define PG_SNAPSHOTS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "pg/conn.h"

/*
 * Who of this database has a snapshot that outlives the statement, or may have one?
 *
 * Shape:   *who is "pid 12 (psql), idle in transaction, open for 5 s", at most three of them, or
 *          NULL.  A session that waits for a lock of ours is none: in READ COMMITTED it takes
 *          another snapshot when it goes on.  A single statement in a transaction of its own has
 *          locked its tables already.  Nor is one whose snapshot is another or gone within some
 *          30 ms, which are waited for: it takes a new one for each statement.
 * Owner:   *who lives in `arena`.
 */
bool probe_lasting_snapshots(PgConn *conn, Arena *arena, const char **who, Err *err)
    __attribute__((warn_unused_result));

#endif
