/*
 * status_text.h - how jobs are doing, in words and as objects.
 *
 * Pure: everything is appended to a StrBuf or made into JSON.
 */
#ifndef APP_STATUS_TEXT_H
#define APP_STATUS_TEXT_H

#include <jansson.h>

#include "base/strbuf.h"
#include "pg/window.h"
#include "store/history.h"
#include "store/status.h"

/* One job, as of one moment. */
typedef struct StatusView {
    StatusRow row;
    StatusRun *runs;
    int run_count;
    const WindowSpec *window; /* of the job file; NULL = none, or the server cannot tell */
    WindowState window_state;
    const char *in_the_way; /* who holds what we wait for; NULL = nobody known, or not asked */
} StatusView;

/*
 * A line for each job, the most urgent first.
 *
 * Shape:   no line is wider than `width`; 0 = as wide as it gets.
 */
void status_put_table(StrBuf *out, const StatusRow *rows, int count, int width);

/* One line, for a log: "fill: progressing, move 12.3 %, ...". */
void status_put_line(StrBuf *out, const StatusRow *row);

/* All about a job. */
void status_put_job(StrBuf *out, const StatusView *view, int width);

void status_put_history(StrBuf *out, const History *history, int width);

json_t *status_row_json(const StatusRow *row);
json_t *status_view_json(const StatusView *view);

/* Adds "history_runs", "history_throttled" and "history_events" to the object. */
void status_add_history(json_t *object, const History *history);

#endif
