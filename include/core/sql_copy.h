/*
 * sql_copy.h - the statements of a copy within one database: what a batch does, and how its rows
 * are compared.
 *
 * The source's rows are read without locks: what the application changes behind the batch stands in
 * the change log, and is read again when that is drained.
 */
#ifndef CORE_SQL_COPY_H
#define CORE_SQL_COPY_H

#include "base/strbuf.h"
#include "core/plan.h"
#include "core/sql_parts.h"

/*
 * CREATE FUNCTION pghaul.move_..: insert the rows of a batch into the target.
 *
 * Shape:   with $8 true those that have an entry in the change log are left to whoever drains it.
 *          That is for a batch that has met a unique value which is taken: by block a row is met
 *          twice when an UPDATE has moved it ahead, and a value may go from a row that was copied
 *          to another one; the application wrote the row in both cases, so it has an entry.
 */
void sql_copy_function(StrBuf *out, const Plan *plan, int64_t job);

/*
 * CREATE FUNCTION pghaul.verify_..: compare the rows of a batch with the target's; those with an
 * entry in the change log are not looked at, since they are still to be written.
 *
 * Shape:   with $8 true the keys of all rows that differ become entries of the change log, and are
 *          what is counted.
 */
void sql_compare_function(StrBuf *out, const Plan *plan, int64_t job);

/* INSERT .. SELECT .. FROM ONLY the source, up to the predicate; and what follows the predicate. */
void sql_put_insert(StrBuf *out, const Plan *plan);
void sql_put_on_conflict(StrBuf *out, const Plan *plan);

/* AND NOT (`when` AND the row has an entry in the change log); nothing where there is none. */
void sql_put_not_logged(StrBuf *out, const Plan *plan, int64_t job, const char *when);

/* What comes after the copy, to be read and done by hand. */
void sql_copy_steps(StrBuf *out, const Plan *plan);

#endif
