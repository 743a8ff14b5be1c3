/*
 * index_build.h - the indexes that a copy builds after its bulk, and who is building.
 *
 * One session builds at a time: whoever has claimed the first index that is not built.  A session
 * advisory lock would be lost behind a pooler, and with the session that a CREATE INDEX
 * CONCURRENTLY outlives; a claim holds for as long as the backend that made it is there.
 */
#ifndef STORE_INDEX_BUILD_H
#define STORE_INDEX_BUILD_H

#include "core/sql_index.h"
#include "pg/conn.h"

typedef struct IndexBuildRow {
    int no;                 /* from 1 */
    const char *table_name; /* quoted */
    IndexBuild build;
    bool dropped; /* it was the target's own */
    bool built;
} IndexBuildRow;

/* Those of a job that is not cleaned, by its name, in order; none without schema pghaul. */
bool index_build_list(PgConn *conn, const char *job, Arena *arena, IndexBuildRow **rows, int *count,
    Err *err) __attribute__((warn_unused_result));

/* Under the job's lock. */
bool index_build_record(PgConn *conn, int64_t job, const IndexBuildRow *row, Err *err)
    __attribute__((warn_unused_result));

typedef enum IndexClaimKind {
    INDEX_CLAIM_NONE = 0, /* all are built */
    INDEX_CLAIM_HELD,     /* another session is building */
    INDEX_CLAIM_OURS,
} IndexClaimKind;

typedef struct IndexClaim {
    IndexClaimKind kind;
    int no; /* of the index, when it is ours */
} IndexClaim;

/* Take the first one that is not built. */
bool index_build_claim(PgConn *conn, int64_t job, int64_t run, int64_t lease_us, IndexClaim *claim,
    Err *err) __attribute__((warn_unused_result));

bool index_build_mark_built(PgConn *conn, int64_t job, int no, Err *err)
    __attribute__((warn_unused_result));

/* How many are not built yet? */
bool index_build_left(PgConn *conn, int64_t job, int *count, Err *err)
    __attribute__((warn_unused_result));

/* What the server says of the build that goes on now, by any run: "building .., 45 %"; "" = none.
 */
bool index_build_progress(PgConn *conn, int64_t job, char *text, size_t size, Err *err)
    __attribute__((warn_unused_result));

#endif
