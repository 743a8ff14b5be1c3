/*
 * carry_archive.h - one batch of a purge that writes its rows to a file before it deletes them.
 *
 * Read, write, delete: no lock is held while rows are read or written, and the delete is one round
 * trip, so nobody waits for a client that hangs.
 */
#ifndef ENGINE_CARRY_ARCHIVE_H
#define ENGINE_CARRY_ARCHIVE_H

#include "engine/carrier.h"

/* Of the statements that read. */
#define CARRY_ARCHIVE_TIMEOUT_MS 10000

/* Of the vtable in carrier.h. */
bool carry_archive(Worker *worker, int64_t size, bool skip_locked, CarryResult *result, Err *err)
    __attribute__((warn_unused_result));
bool
carry_archive_locate(Worker *worker, int64_t size, Err *err) __attribute__((warn_unused_result));
int64_t carry_archive_size_max(const Worker *worker);

#endif
