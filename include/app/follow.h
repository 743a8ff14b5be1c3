/*
 * follow.h - `pghaul run` on a job that was cut over: the old table follows the new one.
 */
#ifndef APP_FOLLOW_H
#define APP_FOLLOW_H

#include "app/app.h"

/*
 * Drain the reverse change log, with --follow until a signal or `pghaul stop` comes, else once.
 *
 * Errors:  ERR_STOPPED when it was stopped and is still behind; ERR_REFUSED when there is no way
 * back, or the log is not complete.
 */
bool follow_cut_over(App *app, PgConn *conn, const JobSpec *spec, const JobRow *job, Err *err)
    __attribute__((warn_unused_result));

#endif
