/*
 * jobspec_diff.h - what two job files of one job say otherwise, as far as it decides what the rows
 * become.
 *
 * Pure.  Settings that a later run may have otherwise (workers, batch, throttle, ..) do not count.
 */
#ifndef CORE_JOBSPEC_DIFF_H
#define CORE_JOBSPEC_DIFF_H

#include "base/arena.h"
#include "base/strbuf.h"
#include "core/jobspec.h"

/*
 * Append each key that differs, with both values: `set.amount was "a", is "b"; where was absent,
 * is "id > 3"`.  Returns how many there are.
 *
 * Shape:   long values are cut.  `orders` and `public.orders` count as the same table.
 */
int jobspec_compare(StrBuf *out, const JobSpec *was, const JobSpec *is);

/*
 * The sentence for a job whose fingerprint is no longer that of its plan, and what helps.
 *
 * Shape:   `was` NULL: what the job was begun with cannot be read any more.
 */
const char *jobspec_changed_text(const JobSpec *was, const JobSpec *is, Arena *arena);
const char *jobspec_changed_hint(const JobSpec *is, Arena *arena);

#endif
