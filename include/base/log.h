/*
 * log.h - one line per event on standard error: "2026-01-31 12:00:00.123Z INFO w03: text".
 *
 * The log sink is the only mutable global of the program.  Control characters in a message are
 * escaped, so that a hostile identifier cannot write lines of its own.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#include "base/err.h"

typedef enum LogLevel {
    LOG_ERROR = 0,
    LOG_WARNING,
    LOG_INFO,
    LOG_DEBUG,
} LogLevel;

/* Called under the log's lock around each line, so that a progress line on a terminal can be
 * wiped before and drawn again after it. */
typedef void LogHook(void *arg, bool before);

void log_set_level(LogLevel level);

/* Where lines go besides standard error; false with errno set when it cannot be opened. */
bool log_open_file(const char *path);

void log_set_hook(LogHook *hook, void *arg);

/* `who` names the thread ("w03", "monitor") or is NULL. */
void log_line(LogLevel level, const char *who, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* An error with its place, message, excerpt and hint. */
void log_err(const char *who, const Err *err);

#endif
