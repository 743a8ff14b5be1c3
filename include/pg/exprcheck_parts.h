/*
 * exprcheck_parts.h - the tests behind exprcheck_run(); for src/pg/exprcheck*.c only.
 */
#ifndef PG_EXPRCHECK_PARTS_H
#define PG_EXPRCHECK_PARTS_H

#include "base/strbuf.h"
#include "pg/exprcheck.h"
#include "pg/query.h"

typedef struct Checker {
    PgConn *conn;
    const JobSpec *spec;
    const Facts *facts;
    Arena *arena;
    const char *table; /* "schema"."name" */
    const char *alias; /* "name" */
    bool copies;       /* columns of facts->into are assigned to, not those of the table */
    bool parses_only;  /* nothing can be created here */
} Checker;

/* A statement with an expression of the user's inside; all members are set at creation. */
typedef struct Probe {
    const RawSql *expr;
    const char *sql;
    int start_chars; /* where the expression begins in `sql` */
} Probe;

/* Put the expression between `before` and `after`; a line end closes a comment at its end. */
Probe
exprcheck_probe(const Checker *checker, const RawSql *expr, const char *before, const char *after);

/* Parse it; *shape (may be NULL) is what it would return. */
bool exprcheck_parse(const Checker *checker, const Probe *probe, QueryShape *shape, Err *err)
    __attribute__((warn_unused_result));

/* The end of a probe: `before`, then FROM ONLY the table under its own name. */
const char *exprcheck_from(const Checker *checker, const char *before);

/*
 * Turn what the server said of a probe into an error with the place in the job file.
 *
 * Shape:   answers that are not about the expression (time-outs, a lost session) are passed on.
 */
bool exprcheck_refuse(const Checker *checker, const Probe *probe, const Err *answer, Err *err);

/* Run and undo a statement.  False when the session failed; else `answer` has the verdict. */
bool exprcheck_attempt(const Checker *checker, const char *sql, Err *answer, Err *err)
    __attribute__((warn_unused_result));

/*
 * Of a copy: the expression's type, whether it is a column as it is, whether it can be assigned to
 * the target's column (NULL = unknown) and loses by that.
 */
bool exprcheck_assign(const Checker *checker, const RawSql *expr, const ColumnFacts *target,
    ExprFacts *out, Err *err) __attribute__((warn_unused_result));

/* Of a copy: assign the source's column `source` to a column of the same name as it is. */
bool exprcheck_as_is(const Checker *checker, const ColumnFacts *source, const ColumnFacts *target,
    ExprFacts *out, Err *err) __attribute__((warn_unused_result));

/* It may mention any column. */
void exprcheck_all_columns(const Checker *checker, ExprFacts *out);

/* Columns it mentions, its type, and whether assigning it to `target` (NULL = none) loses. */
bool exprcheck_depends(const Checker *checker, const RawSql *expr, const ColumnFacts *target,
    ExprFacts *out, Err *err) __attribute__((warn_unused_result));

/* The rights that what the view pg_temp.pghaul_view mentions needs, and who lacks them. */
bool exprcheck_needs(const Checker *checker, ExprFacts *out, Err *err)
    __attribute__((warn_unused_result));

/* Does it give another value each time?  Over the twin, or where there is none, the table. */
bool exprcheck_volatile(const Checker *checker, const RawSql *expr, bool *verdict, Err *err)
    __attribute__((warn_unused_result));

/* How many rows of the table does the planner expect it to hold for?  -1 where it cannot be asked,
 * for want of a privilege. */
bool exprcheck_matches(const Checker *checker, const RawSql *where, double *rows, Err *err)
    __attribute__((warn_unused_result));

/* Could it stand in an index, and is it volatile? */
bool exprcheck_mutability(const Checker *checker, const RawSql *expr, ExprFacts *out, Err *err)
    __attribute__((warn_unused_result));

#endif
