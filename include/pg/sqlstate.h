/*
 * sqlstate.h - from SQLSTATE to what may be done about it (hazards: retry classes).
 */
#ifndef PG_SQLSTATE_H
#define PG_SQLSTATE_H

#include "base/err.h"

/* `sqlstate` is five characters, or "" for a failure without one. */
ErrClass sqlstate_class(const char *sqlstate);

/* Raised by our own functions (core/sql_batch.h). */
#define SQLSTATE_DRIFT_TABLE "PH001"
#define SQLSTATE_DRIFT_FILE    "PH002"

#endif
