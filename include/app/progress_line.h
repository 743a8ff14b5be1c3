/*
 * progress_line.h - the one or two lines that a run draws again and again, and its log line.
 *
 * Pure.
 */
#ifndef APP_PROGRESS_LINE_H
#define APP_PROGRESS_LINE_H

#include <stdbool.h>

#include "base/strbuf.h"
#include "engine/progress.h"

typedef struct ProgressLines {
    StrBuf first;
    StrBuf second;
} ProgressLines;

#define PROGRESS_LINES_INIT ((ProgressLines){.first = {.text = NULL}})

/*
 * Fill both lines.
 *
 * Shape:   each is narrower than `width`, so that a terminal does not break it; what does not fit
 *          is left out, least important first.  ASCII only unless `utf8`.
 */
void progress_lines(const Progress *progress, int width, bool utf8, ProgressLines *lines);

void progress_lines_free(ProgressLines *lines);

/* All of it on one line, for a log. */
void progress_log_line(const Progress *progress, StrBuf *out);

/* Time throttled by any reason. */
int64_t progress_paused_us(const Progress *progress);

#endif
