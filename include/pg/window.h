/*
 * window.h - is the window of a job open?  Judged by the server's clock and its time zones.
 *
 * What counts is the local time on a clock in that zone.  So of an hour that comes twice, when
 * summer time ends, both are in the window or none; an hour that is skipped is never there, and
 * neither is a window that lies in it, that night.
 */
#ifndef PG_WINDOW_H
#define PG_WINDOW_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "core/facts.h"
#include "core/jobspec.h"
#include "pg/conn.h"

typedef struct WindowState {
    bool is_open;
    bool changes;        /* false: it is always open */
    double change_s;     /* until it closes, or opens */
    char change_at[128]; /* "2026-01-31 01:00 Europe/Berlin" */
} WindowState;

/*
 * Shape:   window->text is not NULL; `at` is the moment to judge, NULL = now.
 */
bool window_ask(PgConn *conn, const WindowSpec *window, const char *at, WindowState *state,
    Err *err) __attribute__((warn_unused_result));

/* Only whether it is open now; cheap enough to ask each second. */
bool window_is_open(PgConn *conn, const WindowSpec *window, bool *is_open, Err *err)
    __attribute__((warn_unused_result));

/*
 * Look the zone up; fills server->zone_unknown and zone_near.  Nothing without a window.
 *
 * Owner:   texts live in `arena`.
 */
bool window_find_zone(PgConn *conn, const WindowSpec *window, Arena *arena, ServerFacts *server,
    Err *err) __attribute__((warn_unused_result));

#endif
