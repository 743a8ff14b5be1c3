#include "base/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/strbuf.h"

static struct {
    pthread_mutex_t lock; /* everything below is under it */
    LogLevel level;
    FILE *file; /* NULL = standard error only */
    LogHook *hook;
    void *hook_arg;
} sink = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = LOG_INFO};

static const char *const LEVEL_NAMES[] = {"ERROR", "WARNING", "INFO", "DEBUG"};

void
log_set_level(LogLevel level)
{
    (void)pthread_mutex_lock(&sink.lock);
    sink.level = level;
    (void)pthread_mutex_unlock(&sink.lock);
}

bool
log_open_file(const char *path)
{
    /* Names of tables and jobs are nobody else's business, whatever the umask. */
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, S_IRUSR | S_IWUSR);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "a");
    if (file == NULL) {
        return false;
    }
    (void)setvbuf(file, NULL, _IOLBF, 0);
    (void)pthread_mutex_lock(&sink.lock);
    FILE *old = sink.file;
    sink.file = file;
    (void)pthread_mutex_unlock(&sink.lock);
    if (old != NULL) {
        (void)fclose(old);
    }
    return true;
}

void
log_set_hook(LogHook *hook, void *arg)
{
    (void)pthread_mutex_lock(&sink.lock);
    sink.hook = hook;
    sink.hook_arg = arg;
    (void)pthread_mutex_unlock(&sink.lock);
}

/* Bytes of the control character at `text`, 0 for any other: also those of Unicode that a terminal
 * obeys (C1) or that hide or turn text (line separators, bidirectional overrides). */
static int
control_bytes(const char *text)
{
    unsigned char first = (unsigned char)text[0];
    unsigned char second = first < 0x80 ? 0 : (unsigned char)text[1];
    unsigned char third = second < 0x80 ? 0 : (unsigned char)text[2];
    if (first < 0x20 || first == 0x7f) {
        return 1;
    }
    if (first == 0xc2 && second >= 0x80 && second < 0xa0) {
        return 2;
    }
    bool turns = first == 0xe2 && ((second == 0x80 && third >= 0xa8 && third <= 0xae) ||
                                      (second == 0x81 && third >= 0xa6 && third <= 0xa9));
    return turns ? 3 : 0;
}

/* Other bytes above 0x7f pass: messages are UTF-8. */
static void
put_escaped(StrBuf *line, const char *text)
{
    while (*text != '\0') {
        int bytes = control_bytes(text);
        if (*text == '\n') {
            strbuf_puts(line, "\\n");
            text++;
            continue;
        }
        if (bytes == 0) {
            strbuf_putc(line, *text++);
        }
        for (; bytes > 0; bytes--) {
            strbuf_printf(line, "\\x%02x", (unsigned char)*text++);
        }
    }
}

static void
write_line(LogLevel level, const char *who, const char *text)
{
    char now[32];
    clock_format_now(now, sizeof(now));
    STRBUF_AUTO line = STRBUF_INIT;
    strbuf_printf(&line, "%s %s ", now, LEVEL_NAMES[level]);
    if (who != NULL) {
        strbuf_printf(&line, "%s: ", who);
    }
    put_escaped(&line, text);
    strbuf_putc(&line, '\n');

    (void)pthread_mutex_lock(&sink.lock);
    if (level <= sink.level) {
        if (sink.hook != NULL) {
            sink.hook(sink.hook_arg, true);
        }
        (void)fputs(strbuf_text(&line), stderr);
        if (sink.hook != NULL) {
            sink.hook(sink.hook_arg, false);
        }
    }
    if (sink.file != NULL) {
        (void)fputs(strbuf_text(&line), sink.file);
    }
    (void)pthread_mutex_unlock(&sink.lock);
}

void
log_line(LogLevel level, const char *who, const char *fmt, ...)
{
    char text[2048];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    write_line(level, who, text);
}

void
log_err(const char *who, const Err *err)
{
    STRBUF_AUTO text = STRBUF_INIT;
    if (err->context[0] != '\0') {
        strbuf_printf(&text, "%s: ", err->context);
    }
    strbuf_puts(&text, err->message);
    if (err->sqlstate[0] != '\0' && strstr(err->message, err->sqlstate) == NULL) {
        strbuf_printf(&text, " (SQLSTATE %s)", err->sqlstate);
    }
    if (err->hint[0] != '\0') {
        strbuf_printf(&text, "; %s", err->hint);
    }
    write_line(LOG_ERROR, who, strbuf_text(&text));
}
