/*
 * sql_log.h - the change log of a copy: table, triggers and the function that drains it.
 *
 * The application's writes only append keys to it; the drain reads the rows of those keys again and
 * brings the target up to date with them.  An entry whose key is NULL says that the source was
 * truncated.  A sequence beside the log that was called says that changes went unrecorded.
 *
 * Keys belong to slices, by hash; whoever leases a slice (pghaul.slice) is the only one who drains
 * its keys.  Two drainers of one key would lose rows: the absence of a row cannot be locked.
 */
#ifndef CORE_SQL_LOG_H
#define CORE_SQL_LOG_H

#include "base/strbuf.h"
#include "core/plan.h"

/* Slices that every job has. */
#define LOG_SLICES 4

/*
 * Into how many of them a new job's keys are cut: one, and the others stay empty, where equal keys
 * may not have equal hashes.  Another version of the target's constraints might say otherwise later
 * on, so a job keeps the number that it began with: in the text of its drain function, and in
 * pghaul.slice for the change log on another server.
 */
int sql_log_slices(const Plan *plan);

/* Can the target tell, without failing, that a row breaks a unique constraint? */
bool sql_log_tells_conflicts(const Plan *plan);

/* pghaul.log_.. and pghaul.overflow_.. */
void sql_log_name(StrBuf *out, const Plan *plan, int64_t job);
void sql_log_overflow_name(StrBuf *out, const Plan *plan, int64_t job);

/* CREATE TABLE, CREATE SEQUENCE. */
void sql_log_table(StrBuf *out, const Plan *plan, int64_t job);
void sql_log_overflow(StrBuf *out, const Plan *plan, int64_t job);

/*
 * CREATE FUNCTION pghaul.capture_..: what both triggers run.  It never makes the application's
 * write fail: with the log gone it does nothing, and with the log at limits.log_bytes, or a key
 * that cannot be read any more, it calls the sequence.
 */
void sql_capture_function(StrBuf *out, const Plan *plan, int64_t job);

/* zzzz_pghaul_<job>_t, not quoted; the row trigger is called as a backfill's (sql_sync_name). */
void sql_log_truncate_name(StrBuf *out, const Plan *plan, int64_t job);

/* CREATE TRIGGER for each row, and for TRUNCATE; ALTER TABLE .. ENABLE ALWAYS TRIGGER of the latter
 * (of the former: sql_sync_enable). */
void sql_log_trigger(StrBuf *out, const Plan *plan, int64_t job);
void sql_log_truncate_trigger(StrBuf *out, const Plan *plan, int64_t job);
void sql_log_truncate_enable(StrBuf *out, const Plan *plan, int64_t job);

/*
 * CREATE FUNCTION pghaul.drain_..: drain some entries of a slice, in one transaction of the
 * database that holds log, source and target.
 *
 * Parameters $1 slice, $2 epoch, $3 lease, $4 entries wanted, $5 only those after this id, $6 raise
 *            where a unique value is taken
 * Result     one row, see DrainColumn
 *
 * A unique value of the target may be handed from a row of one slice to a row of another, or of a
 * later entry.  Where it still is with the former the new row is not written, and its entry is
 * kept: the next batches take the old row away, and then the value is free.
 */
typedef enum DrainColumn {
    DRAIN_OUTCOME = 0, /* 'drained', 'lost', 'truncated' (and nothing was done) */
    DRAIN_ENTRIES,     /* looked at; fewer than wanted when these were the last */
    DRAIN_DELETED,     /* rows of the target */
    DRAIN_WRITTEN,
    DRAIN_LAST,  /* id of the last entry looked at; NULL = none */
    DRAIN_KEPT,  /* entries whose row a unique value kept out */
    DRAIN_FIRST, /* id of the first of them; NULL = none */
} DrainColumn;

void sql_drain_function(StrBuf *out, const Plan *plan, int64_t job);
void sql_drain_call(StrBuf *out, const Plan *plan, int64_t job);

/* A repair may fill this part of limits.log_bytes with entries of about this size. */
#define LOG_REPAIR_DIVISOR 2
#define LOG_ENTRY_BYTES    100

/* VACUUM of the log, which gives pages at its end back; not while another one is at it. */
void sql_log_vacuum(StrBuf *out, const Plan *plan, int64_t job);

/* ---- pieces, for core/sql_*.c ---- */

/* FROM pghaul.log_.. AS pghaul_log */
void sql_log_put_from(StrBuf *out, const Plan *plan, int64_t job);

/* "<before>1, <before>2", for each column of the key */
void sql_log_put_numbered(StrBuf *out, const Plan *plan, const char *before);

/* The predicate "entry belongs to slice `slice_sql` of `slices_sql`, or to all of them", over the
 * log as pghaul_log. */
void
sql_log_put_in_slice(StrBuf *out, const Plan *plan, const char *slice_sql, const char *slices_sql);

/* ARRAY[pghaul_log.k1::text, ..]: the key as a checkpoint stores it. */
void sql_log_put_key_text(StrBuf *out, const Plan *plan);

/* pghaul_log.k1 or (pghaul_log.k1, pghaul_log.k2) */
void sql_log_put_key(StrBuf *out, const Plan *plan);

/* ---- questions ---- */

typedef enum LogColumn {
    LOG_OVERFLOWED = 0,
    LOG_ROWS,  /* exact up to LOG_ROWS_EXACT, else an estimate */
    LOG_AGE_S, /* of the oldest entry; 0 when there is none */
    LOG_LAST,  /* greatest id; 0 when there is none */
    LOG_BYTES, /* of the table, with entries that are dead */
} LogColumn;

#define LOG_ROWS_EXACT 100000

/* One row, see LogColumn; of the entries above id $1. */
void sql_log_state(StrBuf *out, const Plan *plan, int64_t job);

/* Is no entry left with an id above $1 and up to $2? */
void sql_log_is_drained(StrBuf *out, const Plan *plan, int64_t job);

/* The key, as text[], of the first entry after id $2 of slice $1 of $3. */
void sql_log_next_key(StrBuf *out, const Plan *plan, int64_t job);

/* Does any entry say that the source was truncated? */
void sql_log_truncated(StrBuf *out, const Plan *plan, int64_t job);

/*
 * Statements that forget TRUNCATE and overflow, to be run in one transaction of their own: nobody
 * who writes the source is under way between them, so whatever was not recorded has committed.
 */
#define LOG_RESET_COUNT 3
void sql_log_reset(StrBuf *out, const Plan *plan, int64_t job, int step);

#endif
