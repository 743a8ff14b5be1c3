/*
 * sql_relay.h - the statements of a copy between two databases, whose rows travel through us.
 *
 * One batch is two transactions.  At the target: claim_.. (compare-and-set, the range's row stays
 * locked), COPY FROM STDIN, settle_.. (guards and checkpoint), COMMIT.  At the source, begun after
 * the claim: the end of the batch, its bounds as settings, COPY TO STDOUT.  The source has no
 * objects of ours for that.
 *
 * Types: a value is cast at the source to the base type of the target's column, where that is one
 * of the server's own; length, precision and domain are applied by the target as it reads.
 */
#ifndef CORE_SQL_RELAY_H
#define CORE_SQL_RELAY_H

#include <stdbool.h>

#include "base/strbuf.h"
#include "core/plan.h"

/* Where rows wait for their INSERT when the target may have some of the keys. */
#define RELAY_STAGE "pg_temp.pghaul_relay"

/* Arguments and result are those of a batch function (core/sql_batch.h); 'more' = it is ours. */
void sql_claim_function(StrBuf *out, const Plan *plan, int64_t job);

/* $6 the place that was reached, $7 rows that came, $8 whether the range ends there; else as a
 * batch function.  Needs the claim in the same transaction. */
void sql_settle_function(StrBuf *out, const Plan *plan, int64_t job);

/* Does COPY travel in binary?  *why is a phrase for people. */
bool relay_is_binary(const Plan *plan, const char **why);

/* Does the target's COPY go to RELAY_STAGE? */
bool relay_is_staged(const Plan *plan);

/* Give the source's transaction the bounds $1 and $2, text[] or NULL. */
void sql_relay_bounds(StrBuf *out);

/* AND key > (or <=) that bound: "from" or "to". */
void sql_put_setting_bound(StrBuf *out, const Plan *plan, const char *bound, const char *operation);

/* Rows of the source between the bounds of its transaction. */
typedef struct RelayRows {
    bool from_open;
    bool to_open;
    int64_t around_log_of; /* without those that the change log of this job has; 0 = all */
} RelayRows;

/* COPY TO STDOUT of these rows, in order of the key; COPY FROM STDIN. */
void sql_relay_source(StrBuf *out, const Plan *plan, const RelayRows *rows);
void sql_relay_target(StrBuf *out, const Plan *plan);

/* The same for rows of the source chosen by a predicate of ours, and straight into the target. */
void sql_relay_rows(StrBuf *out, const Plan *plan, const char *predicate);
void sql_relay_into(StrBuf *out, const Plan *plan);
void sql_relay_staged(StrBuf *out, const Plan *plan);

/* CREATE TABLE of RELAY_STAGE, once a session. */
void sql_relay_stage(StrBuf *out, const Plan *plan);

/* For the sessions of a worker, beside sql_compare_settings(): the key's index for the walk over
 * the source; names as the target's own triggers are used to. */
void sql_relay_source_settings(StrBuf *out);
void sql_relay_target_settings(StrBuf *out, const Plan *plan);

#endif
