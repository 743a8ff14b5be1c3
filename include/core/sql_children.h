/*
 * sql_children.h - the rows of other tables that go with those of a purge's batch.
 *
 * Only core/sql_*.c use it.  In a batch function: declare; sql_put_lock_children() once the rows of
 * the job's table are locked FOR UPDATE and their places are in pghaul_tids; then
 * sql_put_delete_children(); then the DELETE of the rows themselves; at the guards
 * sql_put_children_guards().
 *
 * Whoever inserts a row that refers to another holds a lock on that other until he commits.  So
 * when the parents are locked FOR UPDATE nobody has such a row in flight, and a later statement
 * sees all that there are; from there on nobody can add one.  That is why parents come first, and
 * why each step is a statement, with a snapshot, of its own.
 */
#ifndef CORE_SQL_CHILDREN_H
#define CORE_SQL_CHILDREN_H

#include "base/strbuf.h"
#include "core/plan.h"
#include "core/plan_children.h"

/* DECLAREs: pghaul_c1.. (tid[]) has the places of the rows of each node, counted from 1, with
 * pghaul_o1.. (oid[]) where they are in partitions; pghaul_gone counts what was deleted.  Nothing
 * without children. */
void sql_put_children_declare(StrBuf *out, const Plan *plan);

/* Locks that the DELETEs take, before weaker ones; parents before children. */
void sql_put_children_table_lock(StrBuf *out, const Plan *plan);

/*
 * Lock all rows that refer to those of pghaul_tids, level by level; then judge the predicate again,
 * and take the rows on which it is not true any more out of pghaul_tids.  The DELETE of the rows
 * must not ask for it once more: it may look at rows that refer, and these are gone by then.
 *
 * With `skips`: rows that somebody holds are passed over; rows of pghaul_tids which such ones
 * refer to, at whatever level, are taken out of it, and pghaul_holders gets who holds them.
 */
void sql_put_lock_children(StrBuf *out, const Plan *plan, bool skips);

/* Delete the rows that are locked, deepest first; PH004 when fewer are gone. */
void sql_put_delete_children(StrBuf *out, const Plan *plan);

/* PH001 when the server would act on other foreign keys than those that were planned for; of every
 * purge, also without children. */
void sql_put_children_guards(StrBuf *out, const Plan *plan);

/* "schema"."table", with ONLY where it is not partitioned, AS pghaul_child. */
void sql_put_child_table(StrBuf *out, const ChildNode *node);

/*
 * FROM .. WHERE that yields the rows of a node, as pghaul_child, that refer by `link` to rows of
 * its parent, as pghaul_parent; `tids_sql` is a tid[] of these, and `oids_sql` the oid[] of their
 * partitions (NULL where the parent is not partitioned).
 */
void sql_put_children_of(StrBuf *out, const Plan *plan, const ChildNode *node,
    const ChildLink *link, const char *tids_sql, const char *oids_sql);

#endif
