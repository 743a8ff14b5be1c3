#include "base/err.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool
err_set_at(Err *err, ErrClass cls, const char *file, int line, const char *fmt, ...)
{
    assert(cls != ERR_NONE);
    assert(err->cls == ERR_NONE); /* an error is set once; outer layers only wrap it */

    *err = (Err){.cls = cls, .file = file, .line = line};

    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(err->message, sizeof(err->message), fmt, args);
    va_end(args);
    return false;
}

bool
err_hint(Err *err, const char *fmt, ...)
{
    assert(err->cls != ERR_NONE);

    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(err->hint, sizeof(err->hint), fmt, args);
    va_end(args);
    return false;
}

bool
err_wrap(Err *err, const char *fmt, ...)
{
    assert(err->cls != ERR_NONE);

    char outer[64]; /* one step of the path, such as "range 3" */
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(outer, sizeof(outer), fmt, args);
    va_end(args);

    /* Shift the inner context right and put the new step in front; the innermost words are the
     * ones to lose when the line is full. */
    size_t size = sizeof(err->context);
    size_t step = strlen(outer);
    size_t sep = err->context[0] == '\0' ? 0 : 2;
    memmove(err->context + step + sep, err->context, size - step - sep);
    memcpy(err->context, outer, step);
    memcpy(err->context + step, ": ", sep);
    if (sep == 0) {
        err->context[step] = '\0';
    }
    err->context[size - 1] = '\0';
    return false;
}

int
err_exit_code(const Err *err)
{
    switch (err->cls) {
    case ERR_NONE:
        return 0;
    case ERR_USER:
        return 2;
    case ERR_CONNECT:
        return 3;
    case ERR_REFUSED:
        return 4;
    case ERR_DIFFERENCE:
        return 6;
    case ERR_STOPPED:
        return 7;
    case ERR_BUSY:
        return 8;
    case ERR_LIMIT:
        return 9;
    case ERR_RETRY:
    case ERR_TIMEOUT:
    case ERR_RECONNECT:
    case ERR_SLOTS:
    case ERR_RESOURCE:
    case ERR_POISON:
    case ERR_CORRUPT:
    case ERR_DRIFT:
    case ERR_FATAL:
        break;
    }
    return 1;
}
