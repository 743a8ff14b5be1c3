/*
 * probe.h - questions that are asked again and again while a job runs.
 *
 * All are cheap: they read shared memory of the server, not tables.
 */
#ifndef PG_PROBE_H
#define PG_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "core/signals.h"
#include "pg/conn.h"

/* Sessions that wait for locks. */
typedef struct LockSignals {
    int table_waiters; /* of others, for a lock on the table or one of its rows */
    int blocked_by_us; /* of others, by one of ours, however short */
    int *overdue_pids; /* ours that somebody has waited for longer than the threshold */
    int overdue_count;
} LockSignals;

/*
 * Shape:   `ours` are the backends of this run's workers.
 * Owner:   overdue_pids live in `arena`.
 */
typedef struct LockQuestion {
    uint32_t table_oid;
    const int *ours;
    int our_count;
    int64_t overdue_us;
} LockQuestion;

bool probe_locks(PgConn *conn, const LockQuestion *question, Arena *arena, LockSignals *signals,
    Err *err) __attribute__((warn_unused_result));

/* Write position and standbys, into *signals (lock fields are left alone); names in `arena`. */
bool probe_replication(PgConn *conn, Arena *arena, Signals *signals, Err *err)
    __attribute__((warn_unused_result));

/* Which server is this, and may it be written to? */
typedef struct ServerIdentity {
    char system_id[24];
    int64_t timeline; /* of the WAL being written; in recovery of the last restart point */
    char started[40]; /* when the postmaster did, as the server prints it */
    bool in_recovery;
    bool read_only;
} ServerIdentity;

bool probe_identity(PgConn *conn, ServerIdentity *identity, Err *err)
    __attribute__((warn_unused_result));

/* Updates of the table since the statistics began, and how many of them were HOT. */
typedef struct TableActivity {
    int64_t updated;
    int64_t hot_updated;
} TableActivity;

bool probe_activity(PgConn *conn, uint32_t table_oid, TableActivity *activity, Err *err)
    __attribute__((warn_unused_result));

/* The oldest snapshot of others, in words; "" when there is none older than `older_s`. */
bool probe_oldest_snapshot(PgConn *conn, int older_s, char *text, int size, Err *err)
    __attribute__((warn_unused_result));

/* Sessions by pid for people: "pid 123 (app_name)"; holders of row locks. */
bool probe_describe_pids(PgConn *conn, const char *pids, char *text, int size, Err *err)
    __attribute__((warn_unused_result));

/* Blocks of the table's main fork now. */
bool probe_blocks(PgConn *conn, uint32_t table_oid, int64_t *blocks, Err *err)
    __attribute__((warn_unused_result));

/*
 * Fence for work without a trigger: take a transaction id, and ask later whether every transaction
 * that is older has ended.
 */
bool probe_fence_take(PgConn *conn, char xid[24], Err *err) __attribute__((warn_unused_result));
bool probe_fence_passed(PgConn *conn, const char *xid, bool *passed, Err *err)
    __attribute__((warn_unused_result));

#endif
