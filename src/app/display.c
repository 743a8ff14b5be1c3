/*
 * display.c - two lines that are wiped and drawn again.
 *
 * Log lines come from every thread; the hook wipes our lines before one and draws them after it,
 * both under Display.lock.  The log's lock is taken first, always: nothing is logged while
 * Display.lock is held.
 */
#include "app/display.h"

#include <assert.h>
#include <stdio.h>

#include "app/json.h"
#include "base/clock.h"
#include "base/log.h"

#define LOG_EVERY_US  ((int64_t)10 * 1000000)
#define JSON_EVERY_US ((int64_t)1000000)

/* Erase both lines; the cursor stands at the end of the second. */
#define WIPE "\r\033[2K\033[1A\033[2K"

static void
wipe(Display *display)
{
    if (display->drawn) {
        (void)fputs(WIPE, stderr);
    }
}

static void
draw(Display *display)
{
    if (display->drawn) {
        (void)fprintf(stderr, "%s\n%s", strbuf_text(&display->lines.first),
            strbuf_text(&display->lines.second));
        (void)fflush(stderr);
    }
}

static void
around_log_line(void *arg, bool before)
{
    Display *display = arg;
    if (before) {
        (void)pthread_mutex_lock(&display->lock);
        wipe(display);
    } else {
        draw(display);
        (void)pthread_mutex_unlock(&display->lock);
    }
}

static DisplayMode
choose_mode(const App *app)
{
    if (app->options.quiet) {
        return DISPLAY_OFF;
    }
    if (app->options.json) {
        return DISPLAY_JSON;
    }
    return app->err.is_tty ? DISPLAY_TERMINAL : DISPLAY_LOG;
}

void
display_begin(Display *display, const App *app, const char *job)
{
    *display = (Display){.mode = choose_mode(app),
        .term = app->err,
        .job = job,
        .shown_us = clock_mono_us(),
        .lines = PROGRESS_LINES_INIT};
    int rc = pthread_mutex_init(&display->lock, NULL);
    assert(rc == 0);
    (void)rc;
    if (display->mode == DISPLAY_TERMINAL) {
        log_set_hook(around_log_line, display);
    }
}

static void
redraw(Display *display, const Progress *progress)
{
    (void)pthread_mutex_lock(&display->lock);
    wipe(display);
    progress_lines(progress, term_width(&display->term), display->term.utf8, &display->lines);
    display->drawn = true;
    draw(display);
    (void)pthread_mutex_unlock(&display->lock);
}

static bool
is_due(Display *display, int64_t every_us)
{
    int64_t now_us = clock_mono_us();
    if (now_us - display->shown_us < every_us) {
        return false;
    }
    display->shown_us = now_us;
    return true;
}

void
display_observe(void *arg, const Progress *progress)
{
    Display *display = arg;
    if (display->mode == DISPLAY_TERMINAL) {
        redraw(display, progress);
    } else if (display->mode == DISPLAY_LOG && is_due(display, LOG_EVERY_US)) {
        STRBUF_AUTO text = STRBUF_INIT;
        progress_log_line(progress, &text);
        log_line(LOG_INFO, NULL, "%s", strbuf_text(&text));
    } else if (display->mode == DISPLAY_JSON && is_due(display, JSON_EVERY_US)) {
        json_print(json_progress(display->job, progress));
    }
}

void
display_end(Display *display)
{
    if (display->mode == DISPLAY_TERMINAL) {
        log_set_hook(NULL, NULL);
        wipe(display);
        (void)fflush(stderr);
    }
    progress_lines_free(&display->lines);
    (void)pthread_mutex_destroy(&display->lock);
}
