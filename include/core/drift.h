/*
 * drift.h - what changed under a job: two signatures of its table, compared and put into words.
 *
 * Pure.  A signature is made by pghaul.table_signature() (store/schema_routines.c): one item for
 * the table, for each column that the job uses, for the key's index and for each trigger; the
 * fields of an item are separated by tabs, kind and number first.
 */
#ifndef CORE_DRIFT_H
#define CORE_DRIFT_H

#include "base/strbuf.h"
#include "core/plan.h"

typedef enum DriftKind {
    DRIFT_NONE = 0,
    DRIFT_TABLE,
    DRIFT_COLUMN,
    DRIFT_KEY,
    DRIFT_TRIGGER, /* rows written since may be wrong, but all else is as it was */
} DriftKind;

/*
 * Append the most serious difference: "column amount was renamed to amount_old".
 *
 * Shape:   nothing is appended for DRIFT_NONE.
 */
DriftKind drift_describe(const NameList *recorded, const NameList *present, StrBuf *out);

/* Append what pghaul.table_signature() has to look at, as int2[] in text form: the columns that the
 * job sets or reads, ascending; the key in its order; what it sets. */
void drift_put_used_columns(StrBuf *out, const Plan *plan);
void drift_put_key_columns(StrBuf *out, const Plan *plan);
void drift_put_set_columns(StrBuf *out, const Plan *plan);

/* Of the target of a copy: the columns that it writes, and those of the arbiter in its order. */
void drift_put_into_columns(StrBuf *out, const Plan *plan);
void drift_put_into_key(StrBuf *out, const Plan *plan);

#endif
