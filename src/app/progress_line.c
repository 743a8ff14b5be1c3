#include "app/progress_line.h"

#include <stdio.h>
#include <string.h>

#include "core/format.h"
#include "core/utf8.h"

#define BAR_MIN     8
#define BAR_MAX     30
#define LOG_COLUMNS 400
#define CTRL_C      2 /* columns of the "^C" that a terminal adds where the cursor stands */

/* A line that is filled item by item. */
typedef struct Line {
    StrBuf *out;
    int room; /* columns left */
    bool utf8;
    const char *separator;
} Line;

/* ---- pieces ---- */

static int
columns_of(const char *text, bool utf8)
{
    int columns = 0;
    size_t left = strlen(text);
    while (left > 0) {
        uint32_t code = 0;
        size_t bytes = utf8_decode(text, left, &code);
        bool shown = bytes > 0 && !utf8_is_control(code) && (utf8 || code < 0x80);
        columns += shown ? utf8_width(code) : 1;
        bytes = bytes == 0 ? 1 : bytes;
        text += bytes;
        left -= bytes;
    }
    return columns;
}

/* Append what fits; characters that the terminal cannot show become '?'. */
static void
put_fitting(Line *line, const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        uint32_t code = 0;
        size_t bytes = utf8_decode(text, left, &code);
        bool shown = bytes > 0 && !utf8_is_control(code) && (line->utf8 || code < 0x80);
        int columns = shown ? utf8_width(code) : 1;
        if (columns > line->room) {
            return;
        }
        bytes = bytes == 0 ? 1 : bytes;
        strbuf_put(line->out, shown ? text : "?", shown ? bytes : 1);
        line->room -= columns;
        text += bytes;
        left -= bytes;
    }
}

/* Append the item when there is room for the whole of it. */
static void
put_item(Line *line, const char *text)
{
    const char *separator = line->out->len == 0 ? "" : line->separator;
    int columns = columns_of(separator, line->utf8) + columns_of(text, line->utf8);
    if (columns <= line->room) {
        put_fitting(line, separator);
        put_fitting(line, text);
    }
}

static void
put_bar(Line *line, double share, int cells)
{
    int filled = (int)(share * cells);
    STRBUF_AUTO bar = STRBUF_INIT;
    strbuf_putc(&bar, '[');
    for (int i = 0; i < cells; i++) {
        const char *full = line->utf8 ? "\xe2\x96\x88" : "#";
        const char *empty = line->utf8 ? "\xe2\x96\x91" : ".";
        strbuf_puts(&bar, i < filled ? full : empty);
    }
    strbuf_putc(&bar, ']');
    put_item(line, strbuf_text(&bar));
}

/* Never over 1, whatever the estimate says. */
static double
share_of(const Progress *progress)
{
    double share = progress->share;
    return share < 0 ? 0 : share > 1 ? 1 : share;
}

int64_t
progress_paused_us(const Progress *progress)
{
    int64_t total_us = 0;
    for (int i = SIGNAL_FIRST; i < SIGNAL_COUNT; i++) {
        total_us += progress->paused_us[i];
    }
    return total_us;
}

/* ---- items ---- */

static void
put_pace(Line *line, const Progress *progress)
{
    char number[FORMAT_SIZE];
    char item[64];
    (void)snprintf(
        item, sizeof(item), "%s rows/s", format_count((int64_t)progress->rows_per_s, number));
    put_item(line, item);
    if (progress->eta_s >= 0) {
        (void)snprintf(
            item, sizeof(item), "ETA %s", format_duration(progress->eta_s * 1000000, number));
        put_item(line, item);
    }
    (void)snprintf(item, sizeof(item), "%s rows", format_count(progress->rows, number));
    put_item(line, item);
    if (progress->backlog_rows > 0) {
        (void)snprintf(item, sizeof(item), "behind %s changes, %.1f s",
            format_count(progress->backlog_rows, number), progress->backlog_s);
        put_item(line, item);
    }
}

static void
put_batch(Line *line, const Progress *progress)
{
    char number[FORMAT_SIZE];
    char item[80];
    (void)snprintf(item, sizeof(item), "%d/%d workers", progress->workers_busy, progress->workers);
    put_item(line, item);
    (void)snprintf(item, sizeof(item), "batch %s rows %.0f ms",
        format_count(progress->batch_rows, number), progress->batch_ms);
    put_item(line, item);
}

static void
put_standbys(Line *line, const Progress *progress)
{
    char item[128];
    for (int i = 0; i < progress->standby_count; i++) {
        const StandbyProgress *standby = &progress->standbys[i];
        if (standby->connected) {
            (void)snprintf(item, sizeof(item), "lag %s %.1f s", standby->name, standby->lag_s);
        } else {
            (void)snprintf(item, sizeof(item), "%s is gone", standby->name);
        }
        put_item(line, item);
    }
}

static void
put_count(Line *line, int64_t count, const char *word)
{
    char item[64];
    if (count > 0) {
        (void)snprintf(item, sizeof(item), "%s %lld", word, (long long)count);
        put_item(line, item);
    }
}

/* What is worth a look when it is there. */
static void
put_troubles(Line *line, const Progress *progress)
{
    char number[FORMAT_SIZE];
    char item[64];
    put_count(line, progress->differing, "differ");
    put_count(line, progress->lock_waiters, "lock waiters");
    put_count(line, progress->errors, "errors");
    int64_t paused_us = progress_paused_us(progress);
    if (paused_us > 0 && !progress->verdict.pause) {
        (void)snprintf(
            item, sizeof(item), "throttled %s so far", format_duration(paused_us, number));
        put_item(line, item);
    }
    put_count(line, progress->lock_retries, "gave way");
    put_count(line, progress->cancels, "cancelled");
    put_count(line, progress->leftover, "left behind locks");
    put_count(line, progress->other_runs, "other runs");
    if (progress->hot_ratio >= 0) {
        (void)snprintf(item, sizeof(item), "HOT %s", format_percent(progress->hot_ratio, number));
        put_item(line, item);
    }
}

static void
put_throttle(Line *line, const Progress *progress)
{
    char number[FORMAT_SIZE];
    char item[64];
    (void)snprintf(item, sizeof(item),
        "throttled (%s so far): ", format_duration(progress_paused_us(progress), number));
    put_item(line, item);
    put_fitting(line, progress->verdict.reason);
}

/* ---- lines ---- */

static void
put_head(Line *line, const Progress *progress)
{
    char percent[FORMAT_SIZE];
    put_item(line, progress->pass == 0 ? "starting" : passkind_name(progress->pass_kind));
    put_item(line, format_percent(share_of(progress), percent));
}

void
progress_lines(const Progress *progress, int width, bool utf8, ProgressLines *lines)
{
    strbuf_clear(&lines->first);
    strbuf_clear(&lines->second);
    Line first = {.out = &lines->first, .room = width - 1, .utf8 = utf8, .separator = "  "};
    put_head(&first, progress);
    int cells = (width - 60) / 2;
    if (cells >= BAR_MIN) {
        put_bar(&first, share_of(progress), cells > BAR_MAX ? BAR_MAX : cells);
    }
    put_pace(&first, progress);

    Line second = {
        .out = &lines->second, .room = width - 1 - CTRL_C, .utf8 = utf8, .separator = "  "};
    if (progress->verdict.pause) {
        put_throttle(&second, progress);
        return;
    }
    put_batch(&second, progress);
    put_standbys(&second, progress);
    put_troubles(&second, progress);
    if (progress->note[0] != '\0' && second.room > 12) {
        put_fitting(&second, "  ");
        put_fitting(&second, progress->note);
    }
}

void
progress_lines_free(ProgressLines *lines)
{
    strbuf_free(&lines->first);
    strbuf_free(&lines->second);
}

void
progress_log_line(const Progress *progress, StrBuf *out)
{
    Line line = {.out = out, .room = LOG_COLUMNS, .utf8 = true, .separator = ", "};
    put_head(&line, progress);
    put_pace(&line, progress);
    put_batch(&line, progress);
    put_standbys(&line, progress);
    put_troubles(&line, progress);
    if (progress->verdict.pause) {
        put_fitting(&line, ", ");
        put_throttle(&line, progress);
    }
}
