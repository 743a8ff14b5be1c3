/*
 * carry_relay.h - one batch of the move of a copy between two databases.
 *
 * At the target one transaction: claim, COPY FROM STDIN, checkpoint.  Its range is locked before
 * the source's snapshot is taken, so that what is written is never older than what stands there
 * already; and it commits only when the source has flushed what was read.
 */
#ifndef ENGINE_CARRY_RELAY_H
#define ENGINE_CARRY_RELAY_H

#include "engine/carrier.h"

/* Of each statement of a batch. */
#define CARRY_RELAY_TIMEOUT_MS 10000

/* Of the vtable in carrier.h. */
bool carry_relay(Worker *worker, int64_t size, bool skip_locked, CarryResult *result, Err *err)
    __attribute__((warn_unused_result));
bool carry_relay_locate(Worker *worker, int64_t size, Err *err) __attribute__((warn_unused_result));
int64_t carry_relay_size_max(const Worker *worker);

#endif
