/*
 * worker_session.h - the session of a worker: open it, and find out where things stand.
 */
#ifndef ENGINE_WORKER_SESSION_H
#define ENGINE_WORKER_SESSION_H

#include "engine/engine_state.h"

/*
 * Connect (of a copy between two databases to both), make sure that it is the server that we know,
 * and read the range at hand again under its lock: how the last COMMIT ended stands there.
 *
 * Errors:  ERR_RECONNECT when it may work later; ERR_REFUSED for another or an older server.
 */
bool worker_open_session(Worker *worker, Err *err) __attribute__((warn_unused_result));

/* Close it, or both; the monitor no longer sees it before that. */
void worker_drop_session(Worker *worker);

/* The session is gone: may another one be tried?  False, with ERR_CONNECT, when the server has been
 * away for too long. */
bool worker_may_reconnect(Worker *worker, const Err *cause, Err *err)
    __attribute__((warn_unused_result));

/* Count a failure of the worker by what it was: a lock that was not had, a cancel of the monitor's,
 * or else. */
void worker_count_failure(Worker *worker, const Err *cause);

/* Move the watermark of a lease that was read just now into the worker's own buffer. */
void worker_keep_watermark(Worker *worker);

#endif
