/*
 * swap.h - exchange two tables in one short transaction: drain what is left, run a script, commit.
 *
 * Both directions use it: the cutover drains the change log into the new table, the rollback the
 * reverse one into the old table.
 */
#ifndef OPS_SWAP_H
#define OPS_SWAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/stop.h"
#include "core/plan.h"
#include "core/sql_cutover.h"
#include "pg/conn.h"
#include "store/changelog.h"
#include "store/job.h"

typedef struct Swap Swap;

struct Swap {
    /* set by the caller */
    PgConn *conn;
    const JobRow *job;
    StopToken *stop;
    int64_t yield_us;
    const char *fingerprint; /* of the plan whose change log is drained */
    const char *what;        /* for messages: "cut over" */
    JobState from, to;
    uint32_t live_oid;  /* the table that the application uses until then, */
    const char *live;   /* quoted */
    const char *other;  /* and the one that takes its place */
    const char *script; /* in the transaction, after the drain */
    FreshTrigger fresh; /* on that one, under its new name; xid is filled in */
    bool (*settle)(const Swap *swap, Err *err); /* in the transaction, after the script */
    const void *arg;                            /* of `settle` */
    int64_t run;                                /* whose leases the slices are; 0 = the session's */
    int64_t after;                              /* entries up to this id are not looked for */
    /* Asked before each batch; NULL = always more. */
    bool (*may_go_on)(Swap *swap, bool *more, Err *err);
    void *may_go_on_arg;

    /* as it went */
    SliceSet slices;
    int attempts;
    int64_t blocked_us; /* from the request for the locks to the answer to COMMIT */
    int64_t drained;    /* entries of the change log, all attempts */
};

/*
 * Do it, as often as it takes: while somebody holds a lock on a table for longer than yield_us, or
 * has a snapshot that could see the other table without its last rows, it is put off, and the log
 * says who.
 *
 * Errors:  ERR_BUSY while a run of the job is alive, or when the job is in another state;
 *          ERR_REFUSED when the change log is not complete; ERR_STOPPED when the token is raised.
 */
bool swap_run(Swap *swap, Err *err) __attribute__((warn_unused_result));

/*
 * Lease all slices and drain once what there is, without a lock on anything; *state is what is
 * left.
 *
 * Errors:  ERR_RETRY while another session has a slice; ERR_REFUSED as above.
 */
bool
swap_drain_once(Swap *swap, ChangelogState *state, Err *err) __attribute__((warn_unused_result));

#endif
