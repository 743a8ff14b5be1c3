/*
 * display.h - progress of a run: drawn on a terminal, logged elsewhere, or JSON lines.
 */
#ifndef APP_DISPLAY_H
#define APP_DISPLAY_H

#include <pthread.h>

#include "app/app.h"
#include "app/progress_line.h"

typedef enum DisplayMode {
    DISPLAY_OFF = 0,
    DISPLAY_TERMINAL, /* redrawn on standard error */
    DISPLAY_LOG,      /* a log line now and then */
    DISPLAY_JSON,     /* an object a second on standard output */
} DisplayMode;

typedef struct Display {
    /* set at creation */
    DisplayMode mode;
    Terminal term;
    const char *job;

    /* the observing thread only */
    int64_t shown_us;

    pthread_mutex_t lock;
    ProgressLines lines; /* under lock */
    bool drawn;          /* under lock: the lines stand on the terminal */
} Display;

/* From now on log lines go above the drawn ones. */
void display_begin(Display *display, const App *app, const char *job);

/* EngineSetup.observe; `arg` is the Display. */
void display_observe(void *arg, const Progress *progress);

/* Wipe what is drawn. */
void display_end(Display *display);

#endif
