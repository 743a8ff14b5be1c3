/*
 * catalog_walk.h - ask the planner how the rows of a purge's predicate are found.
 *
 * Nothing is read from the table, and the settings that the questions need end with their
 * transactions.
 */
#ifndef PG_CATALOG_WALK_H
#define PG_CATALOG_WALK_H

#include "core/plan.h"
#include "pg/params.h"

/*
 * Which index serves the predicate of `spec`, and how many rows match?
 *
 * Shape:   a predicate that the server refuses to plan is no error: walk->refusal says so.
 * Owner:   everything in **walk lives in `arena`.
 */
bool catalog_walk_read(PgConn *conn, const JobSpec *spec, const Facts *facts, Arena *arena,
    const WalkFacts **walk, Err *err) __attribute__((warn_unused_result));

typedef struct WalkTable {
    const char *schema;
    const char *name;
} WalkTable;

/* The column of a predicate `column < something without columns`, asked of a table that has the
 * columns of facts->table; NULL when it has another form, or the server refuses it. */
bool
catalog_walk_column(PgConn *conn, const JobSpec *spec, const Facts *facts, const WalkTable *table,
    const ColumnFacts **column, Err *err) __attribute__((warn_unused_result));

/*
 * Run one statement over the table of a purge with its predicate in it: in a transaction of its
 * own that reads only, with the job's search_path, and by an index.
 */
bool catalog_walk_query(PgConn *conn, const Plan *plan, const char *sql, const Params *params,
    PgResult **result, Err *err) __attribute__((warn_unused_result));

#endif
