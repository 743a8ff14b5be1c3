/*
 * sql_batch.h - the functions that a batch transaction calls, made from the Plan.
 *
 * One function per job and kind of pass, in schema pghaul; the shape is the same for every kind,
 * so one carrier (engine/carry_call.c) drives them all:
 *
 *   parameters $1 range no, $2 epoch, $3 lease token, $4 pass, $5 stripe, $6 watermark,
 *              $7 size wanted (rows by key, blocks by block), $8 skip locked rows,
 *              $9 signature of the table (core/drift.h), $10 its file
 *   result     see BatchColumn; exactly one row
 *
 * Each statement of the function has its own snapshot (READ COMMITTED), so "lock, then read in the
 * next statement" holds.  Only the functions that isolate refused rows have an EXCEPTION block: a
 * failure of the others fails the transaction.
 *
 * Rows that are set aside (pghaul.quarantine) are left out before an expression of the user's is
 * evaluated for them: it would raise again.
 */
#ifndef CORE_SQL_BATCH_H
#define CORE_SQL_BATCH_H

#include "base/strbuf.h"
#include "core/plan.h"
#include "core/sql_parts.h"

#define BATCH_PARAMS 10

/* Columns of the result of a batch function. */
typedef enum BatchColumn {
    BATCH_OUTCOME = 0, /* 'lost', 'more', 'done' or 'partial' (leftovers behind locks) */
    BATCH_ROWS,        /* rows changed (move) or looked at (verify) */
    BATCH_STRIPE,      /* where the range stands now */
    BATCH_WATERMARK,
    BATCH_LEFT,    /* rows left behind locks (move) or that differ (verify) */
    BATCH_HOLDERS, /* int[]: backends that hold them */
    BATCH_ASIDE,   /* rows that were refused and set aside */
} BatchColumn;

/* CREATE FUNCTION pghaul.move_..: change the rows that need work. */
void sql_move_function(StrBuf *out, const Plan *plan, int64_t job);

/* CREATE FUNCTION pghaul.repair_..: the same by key, for jobs whose move goes by block. */
void sql_repair_function(StrBuf *out, const Plan *plan, int64_t job);

/* CREATE FUNCTION pghaul.verify_..: count the rows that differ, by key; the keys of a few are
 * recorded in pghaul.difference. */
void sql_verify_function(StrBuf *out, const Plan *plan, int64_t job);

/*
 * CREATE FUNCTION pghaul.isolate_key_.. (isolate_block_..) and isolate_verify_..: the smallest
 * batch of the move or of the verify pass (one row by key, one block by block), row by row.  Those
 * that the server refuses are set aside, and the watermark moves past them.
 *
 * Shape:   $7 is the number of rows of the job that may be set aside; with one more the batch fails
 *          with PH003.
 */
void sql_isolate_function(StrBuf *out, const Plan *plan, int64_t job, SliceKind kind);
void sql_isolate_verify_function(StrBuf *out, const Plan *plan, int64_t job);

/*
 * CREATE FUNCTION pghaul.retry_..: try the row with key $6 that is set aside once more.  It leaves
 * quarantine, in the same transaction, when it is changed, needs no work any more or is gone.
 *
 * Shape:   outcome 'done', 'refused' (still in quarantine, with one attempt more) or 'lost' (it was
 *          not set aside); $1 to $5, $7 and $8 are not looked at.
 */
void sql_retry_function(StrBuf *out, const Plan *plan, int64_t job);

/*
 * CREATE FUNCTION pghaul.locate_..: find the first row of a slice that the server refuses, by
 * trying each for real and taking it back.
 *
 * Parameters $1 from, $2 to, $3 size, $4 stripe, $5 stripes, $6 take a census: go on until a row
 * is not refused, or a hundred are.  One row, see LocateColumn.
 */
typedef enum LocateColumn {
    LOCATE_KEY = 0, /* of the first row that is refused; NULL = none is */
    LOCATE_STATE,
    LOCATE_MESSAGE,
    LOCATE_TRIED,
    LOCATE_REFUSED,
} LocateColumn;

void sql_locate_function(StrBuf *out, const Plan *plan, int64_t job, SliceKind kind);

/* SELECT * FROM pghaul.move_..($1, ..) */
void sql_batch_call(StrBuf *out, const Plan *plan, const char *what, int64_t job);
void sql_locate_call(StrBuf *out, const Plan *plan, int64_t job, SliceKind kind);

/*
 * How a pass by key is cut into ranges: the key `$3` rows further on than $1 and not above $2
 * (text[] or NULL = open); no row when fewer are left.  Of a purge that an index serves only rows
 * that match count, and $4 is the time that now() means.
 */
void sql_carve_probe(StrBuf *out, const Plan *plan);

/* Rows left in ($1, $2], at most $3. */
void sql_carve_rest(StrBuf *out, const Plan *plan);

/* The greatest key as text[], no row in an empty table. */
void sql_last_key(StrBuf *out, const Plan *plan);

#endif
