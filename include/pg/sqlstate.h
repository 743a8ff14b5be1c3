/*
 * sqlstate.h - from SQLSTATE to what may be done about it (hazards: retry classes).
 */
#ifndef PG_SQLSTATE_H
#define PG_SQLSTATE_H

#include <stdbool.h>

#include "base/err.h"

/* `sqlstate` is five characters, or "" for a failure without one. */
ErrClass sqlstate_class(const char *sqlstate);

/* The condition's name, or that of its class: "invalid_text_representation". */
const char *sqlstate_name(const char *sqlstate);

/* Where an error came from; texts are "" when the server did not say. */
typedef struct ErrorOrigin {
    const char *sqlstate;
    const char *function;    /* of the server's source code */
    const char *inner_query; /* that a function ran */
    const char *context;     /* innermost first */
} ErrorOrigin;

/* Did code of a user put it into words (RAISE), not the server? */
bool sqlstate_is_raised(const ErrorOrigin *origin);

/* May the message quote a value of a row?  Only conditions that never do are trusted. */
bool sqlstate_may_quote_row(const ErrorOrigin *origin);

#define SQLSTATE_OURS "PH" /* how all of those begin that schema pghaul raises */
/* Raised by our own functions (core/sql_batch.h). */
#define SQLSTATE_DRIFT_TABLE "PH001"
#define SQLSTATE_DRIFT_FILE  "PH002"
#define SQLSTATE_LIMIT       "PH003"
#define SQLSTATE_KEPT        "PH004" /* rows that were to be deleted are still there */
#define SQLSTATE_CHANGED     "PH005" /* rows are not as they were read any more */
#define SQLSTATE_DENIED      "42501"
#define SQLSTATE_READ_ONLY   "25006"
#define SQLSTATE_LOCKED      "55P03"
#define SQLSTATE_UNIQUE      "23505"
#define SQLSTATE_EXCLUSION   "23P01"
/* Raised by the functions of schema pghaul that people call. */
#define SQLSTATE_NOT_DONE  "PH010"
#define SQLSTATE_UNKNOWN   "PH011"
#define SQLSTATE_JOB_STATE "PH012"

#endif
