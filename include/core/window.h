/*
 * window.h - when runs may work: "01:00-05:00 Europe/Berlin".
 *
 * Only the text is read here.  Whether a window is open is for the server to say, by its clock and
 * its knowledge of time zones: pg/window.h.
 */
#ifndef CORE_WINDOW_H
#define CORE_WINDOW_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "core/jobspec.h"

/*
 * Read window->text into the other fields but `place`.
 *
 * Shape:   the begin belongs to the window, the end does not; an end before the begin is on the
 *          next day; 24:00 is the end of the day.
 * Errors:  ERR_USER, without a place; *at is the index of the character that is wrong.
 */
bool window_parse(WindowSpec *window, Arena *arena, int *at, Err *err)
    __attribute__((warn_unused_result));

#endif
