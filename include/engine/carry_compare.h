/*
 * carry_compare.h - one batch of a verify or repair pass whose source is on another server.
 *
 * Two servers have no common snapshot.  A slice of keys whose rows are as many and hash to the same
 * sums is right; one that is not is halved until its rows can be looked at one by one.  A row that
 * differs may be on its way: it is none of ours while its key has an entry in the change log, and
 * else it is looked at again, with the source's row locked, so that neither side can change
 * meanwhile: a change that is no entry any more has been brought over.
 *
 * No transaction is open on the target until the checkpoint, which is one statement.
 */
#ifndef ENGINE_CARRY_COMPARE_H
#define ENGINE_CARRY_COMPARE_H

#include "engine/carrier.h"

/*
 * Of the vtable in carrier.h: compare one batch.
 *
 * Shape:   result->left are rows that differ.  In a repair pass their keys are appended to the
 *          change log, and result->rows counts them.  Asked to stop in the middle, the range stays
 *          where it was.
 */
bool carry_compare(Worker *worker, int64_t size, bool skip_locked, CarryResult *result, Err *err)
    __attribute__((warn_unused_result));
bool
carry_compare_locate(Worker *worker, int64_t size, Err *err) __attribute__((warn_unused_result));

#endif
