/*
 * sql_backfill.h - the statements of a backfill: what a batch does to its rows, and the trigger
 * that keeps rows right which the application writes meanwhile.
 */
#ifndef CORE_SQL_BACKFILL_H
#define CORE_SQL_BACKFILL_H

#include "base/strbuf.h"
#include "core/plan.h"

/* The trigger function pghaul.sync_..: evaluates the expressions from the new row. */
void sql_sync_function(StrBuf *out, const Plan *plan, int64_t job);

/* CREATE TRIGGER, and ALTER TABLE .. ENABLE ALWAYS TRIGGER (fires under replication too). */
void sql_sync_trigger(StrBuf *out, const Plan *plan, int64_t job);
void sql_sync_enable(StrBuf *out, const Plan *plan, int64_t job);

/* zzzz_pghaul_<job>, not quoted; on another server, where jobs of several targets may have one
 * number, with the plan's fingerprint behind it. */
void sql_sync_name(StrBuf *out, const Plan *plan, int64_t job);

/* The contract steps for the operator, as SQL to be read and run by hand. */
void sql_contract_steps(StrBuf *out, const Plan *plan);

#endif
