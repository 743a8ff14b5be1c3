/*
 * cutover.h - what the verbs cutover and rollback share between one database and two servers.
 */
#ifndef APP_CUTOVER_H
#define APP_CUTOVER_H

#include "app/app.h"
#include "base/stop.h"

/* Agreed to with --yes, or on a terminal; else ERR_REFUSED. */
bool cutover_ask(App *app, const char *question, Err *err) __attribute__((warn_unused_result));

/* ERR_BUSY while a run of the job is alive. */
bool
cutover_check_idle(PgConn *conn, const JobRow *job, Err *err) __attribute__((warn_unused_result));

/* ERR_REFUSED when the job is not in this state. */
bool cutover_check_state(const JobRow *job, JobState wanted, Err *err)
    __attribute__((warn_unused_result));

typedef struct Elsewhere {
    App *app;
    PgConn **conn; /* of the target; opened anew when it is lost */
    PgConn *source;
    const JobSpec *spec;
    const JobRow *job;
    StopToken *stop;
} Elsewhere;

/* Of a copy to another server: the source takes no more writes, the target has them all. */
bool cutover_elsewhere(const Elsewhere *e, Err *err) __attribute__((warn_unused_result));

/* The source may be written again. */
bool rollback_elsewhere(const Elsewhere *e, Err *err) __attribute__((warn_unused_result));

#endif
