/*
 * sql_parts.h - the pieces that generated SQL is put together from: names, slices, predicates.
 *
 * Only core/sql_*.c use it.  Conventions of the generated functions, which keep the user's names
 * and ours apart (a table may have columns called moved, watermark, found, new):
 *   - the table is aliased to its own name, so `orders.amount` works in an expression;
 *   - parameters are $1.., variables begin with pghaul_, and #variable_conflict use_column makes
 *     a column win over a variable;
 *   - tables of schema pghaul are always aliased.
 */
#ifndef CORE_SQL_PARTS_H
#define CORE_SQL_PARTS_H

#include "base/strbuf.h"
#include "core/plan.h"

/* How a function walks over the table. */
typedef enum SliceKind { SLICE_KEY, SLICE_BLOCK } SliceKind;

void sql_put_ident(StrBuf *out, const char *name);

/* A text constant. */
void sql_put_literal(StrBuf *out, const char *text);

/* "schema"."table" */
void sql_put_table(StrBuf *out, const Plan *plan);

/* ONLY "schema"."table" AS "table": inheritance children are not touched. */
void sql_put_only_table(StrBuf *out, const Plan *plan);

/* "table"."column" */
void sql_put_column(StrBuf *out, const Plan *plan, const char *column);

/* "t"."a" or ("t"."a", "t"."b"): the key as it is compared. */
void sql_put_key_row(StrBuf *out, const Plan *plan);

/* "t"."a", "t"."b" */
void sql_put_key_list(StrBuf *out, const Plan *plan);

/* ARRAY["t"."a"::text, ..]: the key as a checkpoint stores it. */
void sql_put_key_text(StrBuf *out, const Plan *plan);

/* DECLAREs of the variables that bound a slice: pghaul_from1.., pghaul_to1.. by key with the flags
 * pghaul_from_open and pghaul_to_open, pghaul_from and pghaul_to (tid) by block. */
void sql_put_slice_declare(StrBuf *out, const Plan *plan, SliceKind kind);

/* The predicate (from, to] by key or [from, to) by block over those variables. */
void sql_put_slice(StrBuf *out, const Plan *plan, SliceKind kind);

/* Type of the variables that bound a slice by key, its column counted from 0.  A copy's are of the
 * target's types, which hold every key of both tables (int4 becomes int8). */
const char *sql_bound_type(const Plan *plan, int column);

/* The predicate "row belongs to stripe `stripe_sql` of `stripes_sql`". */
void sql_put_in_stripe(
    StrBuf *out, const Plan *plan, SliceKind kind, const char *stripe_sql, const char *stripes_sql);

/* AND the job's own predicate; nothing without `where:`.  In that of a purge now() is the variable
 * of its functions (core/sql_pin.h), or what is given for it. */
void sql_put_where(StrBuf *out, const Plan *plan);
void sql_put_pinned_where(StrBuf *out, const Plan *plan, const char *now_sql);

/* AND the column differs from the expression; nothing when the job is self-referring. */
void sql_put_needs_work(StrBuf *out, const Plan *plan);

/* The bare predicate of sql_put_needs_work(). */
void sql_put_differs(StrBuf *out, const Plan *plan);

/* "c1" = (expression), .. */
void sql_put_assignments(StrBuf *out, const Plan *plan);

/* The user's expression in parentheses, safe against a trailing comment. */
void sql_put_expr(StrBuf *out, const RawSql *expr);

/* A value, in parentheses where it is an expression, coerced as an assignment to the column would
 * do it. */
void sql_put_coerced(StrBuf *out, const ColumnFacts *column, const char *value);

/* pghaul.<what>_<job>_<fingerprint> */
void sql_put_function_name(StrBuf *out, const Plan *plan, const char *what, int64_t job);

/* SET clauses that give the expressions one meaning, whoever calls. */
void sql_put_meaning_settings(StrBuf *out, const Plan *plan);

/* VACUUM of the table, of a purge with those whose rows go as well, without truncation, which would
 * lock readers out. */
void sql_vacuum(StrBuf *out, const Plan *plan);

/* ALTER TABLE, so that no other VACUUM does it either. */
void sql_keep_tail(StrBuf *out, const Plan *plan);

/* The names under which the expressions look: those of the job, or the table's schema. */
void sql_put_search_path(StrBuf *out, const Plan *plan);

/* Of them only what decides how the parser reads the SQL of the job file: search_path, and where
 * the text has something that they change, two more. */
void sql_put_parser_settings(StrBuf *out, const Plan *plan);

/*
 * The target of a copy, which is always aliased to pghaul_into; the source keeps its own name.  Its
 * own name a purge's has as well.
 */

/* "schema"."table", without alias */
void sql_put_into_table(StrBuf *out, const Plan *plan);

/* pghaul_into."column" */
void sql_put_into_column(StrBuf *out, const char *column);

/* The key as the target has it, in order of the source's key. */
void sql_put_into_key_list(StrBuf *out, const Plan *plan);
void sql_put_into_key_text(StrBuf *out, const Plan *plan);

/* (from, to] of the target's keys, over the variables of sql_put_slice_declare(). */
void sql_put_into_slice(StrBuf *out, const Plan *plan);

/* "t"."a" = pghaul_into."x" AND .. */
void sql_put_same_key(StrBuf *out, const Plan *plan);

/* Columns of the target that get something, "x", "y"; and what they get of the source's row: not
 * coerced, as an INSERT wants it, or coerced as an INSERT would do it. */
void sql_put_map_columns(StrBuf *out, const Plan *plan);
void sql_put_map_values(StrBuf *out, const Plan *plan);
void sql_put_map_value(StrBuf *out, const Plan *plan, const MapColumn *column);
void sql_put_map_coerced(StrBuf *out, const Plan *plan, const MapColumn *column);

#endif
