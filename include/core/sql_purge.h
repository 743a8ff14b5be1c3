/*
 * sql_purge.h - the statements of a purge that deletes rows, or moves them into another table,
 * within one transaction.
 */
#ifndef CORE_SQL_PURGE_H
#define CORE_SQL_PURGE_H

#include "base/strbuf.h"
#include "core/plan.h"

/*
 * CREATE FUNCTION pghaul.move_..: delete the rows of a batch.
 *
 * Shape:   with $8 true rows that somebody holds are left behind.  The whole predicate stands in
 * the DELETE itself: a row that stops matching while we wait for its lock stays.
 */
void sql_delete_function(StrBuf *out, const Plan *plan, int64_t job);

/* What a batch does to one row, which `is_row` finds; with its DECLAREs.  For core/sql_*.c only. */
void sql_put_purge_declare(StrBuf *out, const Plan *plan);
void sql_put_delete_row(StrBuf *out, const Plan *plan, const char *is_row);

#endif
