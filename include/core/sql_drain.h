/*
 * sql_drain.h - statements that drain the change log of a copy between two databases.
 *
 * What pghaul.drain_.. (core/sql_log.h) does in one call is done here in steps, on two sessions.  A
 * list of keys is one text[] whose items are the text form of keys (text[]).
 */
#ifndef CORE_SQL_DRAIN_H
#define CORE_SQL_DRAIN_H

#include <stdbool.h>

#include "base/strbuf.h"
#include "core/plan.h"

/* Id and key (NULL = TRUNCATE) of at most $3 entries of slice $1 of $4 with ids above $2, by id. */
void sql_drain_pick(StrBuf *out, const Plan *plan, int64_t job);

/* Delete the entries with the ids of $1. */
void sql_drain_forget(StrBuf *out, const Plan *plan, int64_t job);

/* Delete the target's rows with the keys of $1. */
void sql_drain_delete(StrBuf *out, const Plan *plan);

/* May a row of one entry break a unique constraint because of a row of another?  Then rows go by
 * RELAY_STAGE (core/sql_relay.h), and those that do are kept out. */
bool sql_drain_is_staged(const Plan *plan);

/* From RELAY_STAGE into the target, but those; and the places in the list of keys $1 of those. */
void sql_drain_insert(StrBuf *out, const Plan *plan);
void sql_drain_kept(StrBuf *out, const Plan *plan);

/* Give the source's transaction the keys $1; COPY TO STDOUT of its rows with these keys. */
void sql_drain_keys(StrBuf *out);
void sql_drain_source(StrBuf *out, const Plan *plan);

#endif
