/*
 * blockers_text.h - who waits for whom, drawn as trees, and the statements that end it.
 *
 * Pure: nothing here is ever executed.
 */
#ifndef APP_BLOCKERS_TEXT_H
#define APP_BLOCKERS_TEXT_H

#include "app/term.h"
#include "base/arena.h"
#include "base/strbuf.h"
#include "core/waits.h"

typedef struct BlockersView {
    const Waits *waits;
    const WaitLine *lines; /* the trees to show */
    int line_count;
    const char *job;   /* NULL: the whole database */
    const char *table; /* of the job, for people; NULL without a job */
    int old_s;         /* as it was asked */
} BlockersView;

/*
 * Append all of it: trees, holders of the job's table, old transactions.
 *
 * Shape:   lines at most `width` wide, but for statements that are longer: those are never broken.
 */
void blockers_put_text(
    StrBuf *out, const BlockersView *view, const Terminal *term, int width, Arena *arena);

#endif
