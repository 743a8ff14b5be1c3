/*
 * carry_restore.h - one frame of an archive, in one transaction: claim, COPY FROM STDIN,
 * checkpoint.
 *
 * A range is a frame: its lower bound is {file, frame, offset, hash}, its rows are counted when the
 * job begins.  What the file has by now is compared with that before a row reaches the server, and
 * the rows are hashed and counted before they commit.
 */
#ifndef ENGINE_CARRY_RESTORE_H
#define ENGINE_CARRY_RESTORE_H

#include "engine/carrier.h"

/*
 * Of the vtable in carrier.h; size and `skip_locked` mean nothing here.
 *
 * Errors:  ERR_CORRUPT when the file is not what it was: file and offset are named.
 */
bool carry_restore(Worker *worker, int64_t size, bool skip_locked, CarryResult *result, Err *err)
    __attribute__((warn_unused_result));

/* Restore the frame again, and record what the server says of it. */
bool
carry_restore_locate(Worker *worker, int64_t size, Err *err) __attribute__((warn_unused_result));

#endif
