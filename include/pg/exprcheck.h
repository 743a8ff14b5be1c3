/*
 * exprcheck.h - let the server judge the SQL of a job file before anything runs.
 *
 * Expressions are parsed by the server itself, over the real table, in one transaction that is
 * rolled back: nothing survives and no row is read.
 */
#ifndef PG_EXPRCHECK_H
#define PG_EXPRCHECK_H

#include "base/arena.h"
#include "base/err.h"
#include "core/facts.h"
#include "core/jobspec.h"
#include "pg/conn.h"

/*
 * Check every expression of `set:` or `map:`, and `where:`.
 *
 * Of a copy the session is one to the source, whose columns the expressions are over; they are
 * assigned to the types of the target's columns, facts->into, where the source knows these types.
 * Columns that are copied as they are count as expressions.
 *
 * Shape:   a table that cannot be changed anyway (a view, a standby, hidden rows, no USAGE on its
 *          schema) is not looked at, and its expressions count as harmless: the findings name the
 *          real obstacle.
 *          The source of a copy may be a standby, or one where the role may not make temporary
 *          tables: then expressions are parsed only, and each counts as one over all columns.
 *          An assignment to a column that does not exist is checked as far as possible.
 * Errors:  ERR_USER with the place in the job file when the server refuses an expression, when it
 *          is not one expression, or when one of a backfill takes in the whole row; that of the
 * first one, while *report has them all.  Classes by SQLSTATE else. The session is idle again in
 * any case but ERR_RECONNECT. Owner:   everything in *report lives in `arena`.
 */
bool exprcheck_run(PgConn *conn, const JobSpec *spec, const Facts *facts, Arena *arena,
    ExprReport *report, Err *err) __attribute__((warn_unused_result));

#endif
