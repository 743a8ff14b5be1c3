#include "app/status_text.h"

#include <stdio.h>
#include <string.h>

#include "app/exits.h"
#include "app/text.h"
#include "app/window.h"
#include "core/format.h"

#define NARROW_WIDTH 80
#define LINE_SIZE    160

/* ---- pieces ---- */

static const char *
pass_name(const StatusRow *row)
{
    return row->pass == 0 ? "-" : passkind_name(row->facts.pass_kind);
}

static const char *
rate_text(const StatusRow *row, char buf[static FORMAT_SIZE])
{
    return row->rows_per_s < 0 ? "-" : format_count((int64_t)row->rows_per_s, buf);
}

static const char *
seconds_text(double seconds, char buf[static FORMAT_SIZE])
{
    return seconds < 0 ? "-" : format_duration((int64_t)(seconds * 1e6), buf);
}

static const char *
plural(int64_t count)
{
    return count == 1 ? "" : "s";
}

/* "paused by ann" says it all; "throttled: lag is 3 s". */
static void
put_word_and_reason(StrBuf *out, const char *word, const char *reason)
{
    if (strncmp(reason, word, strlen(word)) != 0) {
        strbuf_printf(out, "%s: ", word);
    }
    strbuf_puts(out, reason);
}

/* ---- all jobs ---- */

static int
name_column(const StatusRow *rows, int count, int width)
{
    int longest = 8;
    for (int i = 0; i < count; i++) {
        int len = (int)strlen(rows[i].facts.job);
        longest = len > longest ? len : longest;
    }
    bool narrow = width > 0 && width < NARROW_WIDTH;
    return narrow && longest > 16 ? 16 : longest;
}

/* What does not fit is cut off at the end, where the least important stands. */
static void
put_columns(StrBuf *out, const char *const cells[static 7], int name_width, int width)
{
    STRBUF_AUTO line = STRBUF_INIT;
    strbuf_printf(
        &line, "%-*.*s %-11s %7s  ", name_width, name_width, cells[0], cells[1], cells[2]);
    if (width == 0 || width >= NARROW_WIDTH) {
        strbuf_printf(&line, "%-6s %8s %8s  ", cells[3], cells[4], cells[5]);
    }
    strbuf_puts(&line, cells[6]);
    text_put_cut(out, strbuf_text(&line), width);
    strbuf_putc(out, '\n');
}

static void
put_table_row(StrBuf *out, const StatusRow *row, int name_width, int width)
{
    char percent[FORMAT_SIZE];
    char rate[FORMAT_SIZE];
    char eta[FORMAT_SIZE];
    const char *cells[] = {row->facts.job, health_name(row->verdict.health),
        format_percent(row->done_ratio, percent), pass_name(row), rate_text(row, rate),
        seconds_text(row->eta_s, eta), row->verdict.reason};
    put_columns(out, cells, name_width, width);
}

void
status_put_table(StrBuf *out, const StatusRow *rows, int count, int width)
{
    static const char *const TITLES[] = {
        "job", "health", "done", "pass", "rows/s", "ETA", "reason"};
    if (count == 0) {
        strbuf_puts(out, "no jobs\n");
        return;
    }
    int name_width = name_column(rows, count, width);
    put_columns(out, TITLES, name_width, width);
    for (int health = 0; health < HEALTH_COUNT; health++) {
        for (int i = 0; i < count; i++) {
            if ((int)rows[i].verdict.health == health) {
                put_table_row(out, &rows[i], name_width, width);
            }
        }
    }
}

void
status_put_line(StrBuf *out, const StatusRow *row)
{
    char percent[FORMAT_SIZE];
    char rate[FORMAT_SIZE];
    strbuf_printf(out, "%s: %s, %s %s, %s rows/s: ", row->facts.job,
        health_name(row->verdict.health), pass_name(row), format_percent(row->done_ratio, percent),
        rate_text(row, rate));
    text_put_safe(out, row->verdict.reason);
    strbuf_putc(out, '\n');
}

/* ---- one job ---- */

static void
put_pass(StrBuf *out, const StatusRow *row, int width)
{
    char first[FORMAT_SIZE];
    char second[FORMAT_SIZE];
    char line[LINE_SIZE];
    bool verify = row->facts.pass_kind == PASS_VERIFY;
    (void)snprintf(line, sizeof(line), "%s (%d), %s of about %s rows", pass_name(row), row->pass,
        format_percent(row->done_ratio, first), format_count(row->est_rows, second));
    text_put_wrapped(out, "  pass     ", line, width);
    bool mends = row->facts.kind == KIND_COPY && row->facts.pass_kind == PASS_REPAIR;
    strbuf_printf(out, "  rows     %s %s\n", format_count(row->rows, first),
        verify  ? "compared"
        : mends ? "to be mended"
                : jobspec_kind_done(row->facts.kind));
    strbuf_printf(out, "  ranges   %lld of %lld done%s\n", (long long)row->ranges_done,
        (long long)row->ranges, row->carved ? "" : " so far");
    if (verify) {
        strbuf_printf(out, "  differ   %lld row%s\n", (long long)row->facts.differing_rows,
            plural(row->facts.differing_rows));
    }
    if (row->leftover > 0) {
        (void)snprintf(line, sizeof(line), "%lld row%s left behind locks, to be visited again",
            (long long)row->leftover, plural(row->leftover));
        text_put_wrapped(out, "  locked   ", line, width);
    }
    bool passes = row->facts.state != JOB_CUT_OVER && row->facts.state != JOB_SYNCED;
    if (row->facts.runs_alive > 0 && passes) {
        (void)snprintf(line, sizeof(line), "%s rows/s, ETA %s", rate_text(row, first),
            seconds_text(row->eta_s, second));
        text_put_wrapped(out, "  pace     ", line, width);
    }
    if (row->facts.backlog_rows >= 0 && row->facts.kind == KIND_PURGE) {
        strbuf_printf(out, "  backlog  about %s row%s still match%s\n",
            format_count(row->facts.backlog_rows, first), plural(row->facts.backlog_rows),
            row->facts.backlog_rows == 1 ? "es" : "");
    } else if (row->facts.backlog_rows >= 0) {
        strbuf_printf(out, "  behind   %s change%s, %.1f s%s\n",
            format_count(row->facts.backlog_rows, first), plural(row->facts.backlog_rows),
            row->facts.backlog_s, row->facts.state == JOB_CUT_OVER ? ", of the old table" : "");
    }
    if (row->last_batch_age_s >= 0) {
        strbuf_printf(
            out, "  batch    the last %s ago\n", seconds_text(row->last_batch_age_s, first));
    }
}

static void
put_runs(StrBuf *out, const StatusView *view, int width)
{
    for (int i = 0; i < view->run_count; i++) {
        const StatusRun *run = &view->runs[i];
        char first[32];
        char rows[FORMAT_SIZE];
        STRBUF_AUTO line = STRBUF_INIT;
        (void)snprintf(first, sizeof(first), "  run %-4lld ", (long long)run->id);
        strbuf_printf(&line, "%s pid %d, %d worker%s, %s rows %s, heartbeat %.0f s ago", run->host,
            run->pid, run->workers, plural(run->workers), format_count(run->rows, rows),
            jobspec_kind_done(view->row.facts.kind), run->heartbeat_age_s);
        if (run->throttle != NULL) {
            strbuf_puts(&line, ", ");
            put_word_and_reason(&line,
                strncmp(run->throttle, "paused", 6) == 0 ? "paused" : "throttled", run->throttle);
        }
        text_put_wrapped(out, first, strbuf_text(&line), width);
    }
    if (view->run_count == 0) {
        strbuf_puts(out, "  runs     none alive\n");
    }
}

void
status_put_job(StrBuf *out, const StatusView *view, int width)
{
    const StatusRow *row = &view->row;
    STRBUF_AUTO line = STRBUF_INIT;
    strbuf_printf(&line, "job %s, %s of %s: %s", row->facts.job, jobspec_kind_name(row->facts.kind),
        row->table_name, jobstate_name(row->facts.state));
    text_put_wrapped(out, "", strbuf_text(&line), width);
    strbuf_clear(&line);
    put_word_and_reason(&line, health_name(row->verdict.health), row->verdict.reason);
    text_put_wrapped(out, "  health   ", strbuf_text(&line), width);
    if (view->in_the_way != NULL) {
        text_put_wrapped(out, "  held by  ", view->in_the_way, width);
    }
    text_put_wrapped(out, "  next     ", row->verdict.next_step, width);
    if (view->window != NULL) {
        strbuf_clear(&line);
        window_put_state(&line, view->window, &view->window_state);
        text_put_wrapped(out, "  window   ", strbuf_text(&line), width);
    }
    if (row->pass > 0) {
        put_pass(out, row, width);
    }
    if (row->facts.quarantined_rows > 0) {
        strbuf_printf(out, "  refused  %lld row%s in quarantine\n",
            (long long)row->facts.quarantined_rows, plural(row->facts.quarantined_rows));
    }
    put_runs(out, view, width);
}

/* ---- history ---- */

static const char *
end_of(const HistoryRun *run)
{
    if (!run->has_ended) {
        return run->is_alive ? "alive" : "died";
    }
    for (size_t i = 0; i < exit_code_count(); i++) {
        if (exit_code_at(i)->code == run->exit_code) {
            return exit_code_at(i)->text;
        }
    }
    return "ended";
}

static double
rate_of(const HistoryRun *run)
{
    return run->duration_s > 0 ? (double)run->rows / run->duration_s : -1;
}

static void
put_left(StrBuf *line, const HistoryRun *run)
{
    char number[FORMAT_SIZE];
    if (run->archived_bytes >= 0) {
        strbuf_printf(line, ", %s archived", format_bytes(run->archived_bytes, number));
    }
    if (run->freed_bytes >= 0) {
        strbuf_printf(line, ", about %s freed", format_bytes(run->freed_bytes, number));
    }
    if (run->backlog_rows >= 0) {
        strbuf_printf(line, ", %s%s rows left", run->freed_bytes >= 0 ? "about " : "",
            format_count(run->backlog_rows, number));
    }
}

static void
put_history_run(StrBuf *out, const HistoryRun *run, int width)
{
    char first[32];
    char duration[FORMAT_SIZE];
    char rows[FORMAT_SIZE];
    char rate[FORMAT_SIZE];
    STRBUF_AUTO line = STRBUF_INIT;
    (void)snprintf(first, sizeof(first), "  run %-4lld ", (long long)run->id);
    strbuf_printf(&line, "%s, job %lld%s: %s", run->started, (long long)run->job,
        run->is_cleaned ? " (cleaned)" : "", end_of(run));
    if (run->has_ended) {
        strbuf_printf(&line, " (exit %d)", run->exit_code);
    }
    strbuf_printf(&line, " after %s, %s rows %s, %s rows/s, %d worker%s, %s pid %d",
        seconds_text(run->duration_s, duration), format_count(run->rows, rows),
        jobspec_kind_done(run->kind),
        rate_of(run) < 0 ? "-" : format_count((int64_t)rate_of(run), rate), run->workers,
        plural(run->workers), run->host, run->pid);
    put_left(&line, run);
    text_put_wrapped(out, first, strbuf_text(&line), width);
}

/* The first of them are missing when there is no room for more. */
static void
put_title(StrBuf *out, const char *title, int count, const char *none)
{
    strbuf_puts(out, title);
    if (count == HISTORY_MAX) {
        strbuf_printf(out, ", the last %d", HISTORY_MAX);
    }
    strbuf_printf(out, "%s\n", count == 0 ? none : "");
}

void
status_put_history(StrBuf *out, const History *history, int width)
{
    char total[FORMAT_SIZE];
    put_title(out, "runs", history->run_count, ": none");
    for (int i = 0; i < history->run_count; i++) {
        put_history_run(out, &history->runs[i], width);
    }
    put_title(out, "throttled or paused", history->throttle_count, ": never");
    for (int i = 0; i < history->throttle_count; i++) {
        const HistoryThrottle *throttle = &history->throttles[i];
        STRBUF_AUTO line = STRBUF_INIT;
        strbuf_printf(&line, "%lld time%s, %s in all, last at %s: %s", (long long)throttle->count,
            plural(throttle->count), seconds_text(throttle->total_s, total), throttle->last_at,
            throttle->reason);
        text_put_wrapped(out, "  ", strbuf_text(&line), width);
    }
    put_title(out, "events", history->event_count, ": none");
    for (int i = 0; i < history->event_count; i++) {
        const HistoryEvent *event = &history->events[i];
        STRBUF_AUTO line = STRBUF_INIT;
        strbuf_printf(&line, "%s by %s, job %lld, %s: %s", event->at, event->who,
            (long long)event->job, event->what, event->reason);
        text_put_wrapped(out, "  ", strbuf_text(&line), width);
    }
}
