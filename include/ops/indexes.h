/*
 * indexes.h - `indexes: after`: which indexes the target gets after the bulk, and their building.
 */
#ifndef OPS_INDEXES_H
#define OPS_INDEXES_H

#include "base/arena.h"
#include "base/err.h"
#include "base/stop.h"
#include "base/strbuf.h"
#include "core/sql_index.h"
#include "engine/engine.h"
#include "pg/conn.h"

/*
 * Decide: the target's own ones, else those of the source.  Writes nothing.
 *
 * Shape:   *indexes is NULL unless the job file says `indexes: after`.
 * Owner:   all of it lives in `arena`.
 */
bool indexes_decide(PgConn *target, PgConn *source, const Plan *plan, Arena *arena,
    const IndexPlan **indexes, Err *err) __attribute__((warn_unused_result));

/*
 * Record what plan->copy->indexes has and drop those of the target, in one transaction; nothing
 * when that was done.  Before the first pass begins.
 *
 * Errors:  ERR_STOPPED when the token is raised while waiting for a lock.
 */
bool indexes_prepare(PgConn *conn, const Plan *plan, int64_t job, StopToken *stop, Err *err)
    __attribute__((warn_unused_result));

typedef struct IndexBuilder {
    /* set by the caller */
    const Plan *plan;
    const ConnTarget *target;
    int64_t job;
    int64_t run;
    /* of the thread that builds */
    PgConn *conn;
    Arena arena;
} IndexBuilder;

/*
 * Build the next index, if the move pass is done and no other run is building.
 *
 * Errors:  whatever may pass: call again.  ERR_STOPPED when the token ended the build.  ERR_POISON:
 *          rows that a unique index refuses.
 * Threads: one; `arg` is an IndexBuilder, for EngineSetup.builder.
 */
bool indexes_build_next(void *arg, StopToken *stop, BuildStep *step, Err *err)
    __attribute__((warn_unused_result));

/* Close the session of an IndexBuilder (`arg`), by the thread that built. */
void indexes_end_builder(void *arg);

/* The statements that build what is not built yet, for somebody who cleans the job before. */
bool indexes_left_sql(PgConn *conn, const char *job, StrBuf *out, Err *err)
    __attribute__((warn_unused_result));

#endif
