/*
 * sql_pin.h - SQL of the job file in which the time of the transaction is another one.
 *
 * A purge deletes what was old when its pass began.  Each of its batches is a transaction of its
 * own, whose now() would be later; so now() and its kin are replaced where SQL is generated.
 */
#ifndef CORE_SQL_PIN_H
#define CORE_SQL_PIN_H

#include "base/strbuf.h"

/* The variable of a purge's functions that holds job.pinned. */
#define SQL_PIN_VARIABLE "pghaul_now"

/* The same for statements outside of functions, once the transaction was given the setting; a
 * query, so that its text is read once a statement and not for each row. */
#define SQL_PIN_SETTING "SELECT pg_catalog.current_setting('pghaul.now')::pg_catalog.timestamptz"

/*
 * Append `sql` with `now_sql`, an expression of type timestamptz, in place of now(),
 * transaction_timestamp(), statement_timestamp(), also with pg_catalog. before them, and of
 * current_timestamp, localtimestamp, current_date, current_time and localtime; types and
 * precisions stay.
 *
 * Shape:   strings, comments and names in double quotes are left alone, and so are names of
 *          columns behind a point or AS.  The zone of local times is the session's.
 */
void sql_pin(StrBuf *out, const char *sql, const char *now_sql);

#endif
