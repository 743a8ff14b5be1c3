/*
 * window.h - what schedule.window means for a verb.
 */
#ifndef APP_WINDOW_H
#define APP_WINDOW_H

#include "app/app.h"
#include "pg/window.h"

/*
 * May a run of this job begin now?
 *
 * Errors:  ERR_STOPPED when the window is closed, with the time at which it opens.
 */
bool window_admits(App *app, PgConn *conn, const JobSpec *spec, Err *err)
    __attribute__((warn_unused_result));

/* "01:00-05:00 Europe/Berlin, open until 2026-01-31 05:00 Europe/Berlin (in 2h 03m)" */
void window_put_state(StrBuf *out, const WindowSpec *window, const WindowState *state);

#endif
