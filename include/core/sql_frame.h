/*
 * sql_frame.h - the parts of a batch function that every kind of move shares.
 *
 * Only core/sql_*.c use it.  A kind of move writes: declare, BEGIN, claim, slice, its own
 * statements (which set pghaul_rows, pghaul_left and pghaul_aside), guards, checkpoint, END.
 */
#ifndef CORE_SQL_FRAME_H
#define CORE_SQL_FRAME_H

#include "base/strbuf.h"
#include "core/plan.h"
#include "core/sql_parts.h"

void sql_put_frame_declare(StrBuf *out, const Plan *plan, SliceKind kind);

/* Mark the transaction as a batch of this job, for the WHEN clause of the sync trigger. */
void sql_put_batch_mark(StrBuf *out, int64_t job);

/* 1 The mark, and the compare-and-set on the range; returns 'lost' when the range is not ours. */
void sql_put_frame_claim(StrBuf *out, int64_t job);

/* Of a purge, after the claim: what now() means in its predicate. */
void sql_put_frame_pin(StrBuf *out, int64_t job);

/* The lock on the table that a change of its rows takes, before a statement that only reads it; not
 * for copies, which change no row of it. */
void sql_put_table_lock(StrBuf *out, const Plan *plan);

/* The predicate "row is not set aside". */
void sql_put_not_aside(StrBuf *out, const Plan *plan, int64_t job);

/* UPDATE .. SET .. WHERE, up to the predicate. */
void sql_put_update(StrBuf *out, const Plan *plan);

/* Add pghaul_differing to the range, and record the keys in pghaul_keys. */
void sql_put_differences(StrBuf *out, int64_t job);

/* 2 The bounds of the batch, `size_sql` units from the watermark on. */
void sql_put_frame_slice(StrBuf *out, const Plan *plan, SliceKind kind, const char *size_sql);

/* pghaul_from.. and pghaul_to.. from pghaul_at and pghaul_high, by key. */
void sql_put_key_bounds(StrBuf *out, const Plan *plan);

/* The same of a copy's target, after it: the batch ends with whichever key comes first. */
void sql_put_frame_into_end(StrBuf *out, const Plan *plan, const char *size_sql);

/* 4 The table's signature, and by block its file, are as recorded; checked after the rows, when our
 * lock on the table keeps them so. */
void sql_put_frame_guards(StrBuf *out, const Plan *plan, int64_t job, SliceKind kind);

/* The same of both tables of a copy in one database, for its drain. */
void sql_put_drain_guards(StrBuf *out, const Plan *plan, int64_t job);

/* 5 The checkpoint; sets all result columns but those of the kind's own statements. */
void sql_put_frame_checkpoint(StrBuf *out, const Plan *plan, int64_t job, SliceKind kind);

/* How long a batch waits for a lock. */
const char *sql_lock_timeout(const Plan *plan);

/* CREATE FUNCTION with the arguments, result and settings of a batch function. */
void sql_put_batch_function(
    StrBuf *out, const Plan *plan, const char *what, int64_t job, SliceKind kind, const char *body);

/* `head`, AS and the body in a dollar quote that does not occur in it. */
void sql_put_function(StrBuf *out, const char *head, const char *body);

#endif
