/*
 * sql_walk.h - statements that look for the rows of a purge's predicate outside of its functions.
 */
#ifndef CORE_SQL_WALK_H
#define CORE_SQL_WALK_H

#include "base/arena.h"
#include "base/strbuf.h"
#include "core/plan.h"

/* How the planner is to find rows. */
typedef enum WalkMethod {
    WALK_BY_INDEX = 0, /* in the order of one, unless there is none */
    WALK_BY_TABLE,     /* by reading all of it */
    WALK_AS_IT_LIKES,
} WalkMethod;

/* SELECT the places of all rows that match, of a table that has the columns of the job's, under its
 * name; now() is `now_sql`. */
void sql_walk_matching_in(
    StrBuf *out, const Plan *plan, const char *schema, const char *table, const char *now_sql);

/*
 * What is remembered of the ranges of pass $2 of job $1 from the key $3 on, with $4 for now(): at
 * most a thousand of them, in order.
 */
typedef enum RememberedColumn {
    REMEMBERED_NO = 0,
    REMEMBERED_HIGH,
    REMEMBERED_ROWS,
    REMEMBERED_MATCHES, /* a row in it may match */
} RememberedColumn;

void sql_walk_remembered(StrBuf *out, const Plan *plan);

/* Which values of the column plan->purge->least, given as text[] $1, does the predicate hold for?
 * Their places in the list, from 1. */
void sql_walk_bounds(StrBuf *out, const Plan *plan);

#define SQL_WALK_BEGIN_MAX 8

/*
 * The statements before one with the job's predicate in it: BEGIN, and what gives the predicate its
 * meaning and the planner its choice until the transaction ends.
 *
 * Shape:   returns how many; texts live in `arena` or are static.
 */
int sql_walk_begin(
    const Plan *plan, WalkMethod method, Arena *arena, const char *begin[SQL_WALK_BEGIN_MAX]);

#endif
