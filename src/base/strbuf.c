#include "base/strbuf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static void
reserve(StrBuf *buf, size_t more)
{
    size_t needed = buf->len + more + 1;
    assert(needed > buf->len);
    if (needed <= buf->size) {
        return;
    }
    size_t size = buf->size == 0 ? 64 : buf->size;
    while (size < needed) {
        size *= 2;
    }
    buf->text = mem_resize(buf->text, size, 1);
    buf->size = size;
}

void
strbuf_put(StrBuf *buf, const char *bytes, size_t len)
{
    reserve(buf, len);
    memcpy(buf->text + buf->len, bytes, len);
    buf->len += len;
    buf->text[buf->len] = '\0';
}

void
strbuf_putc(StrBuf *buf, char c)
{
    strbuf_put(buf, &c, 1);
}

void
strbuf_puts(StrBuf *buf, const char *text)
{
    strbuf_put(buf, text, strlen(text));
}

void
strbuf_printf(StrBuf *buf, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    assert(len >= 0);

    reserve(buf, (size_t)len);
    (void)vsnprintf(buf->text + buf->len, (size_t)len + 1, fmt, again);
    va_end(again);
    buf->len += (size_t)len;
}

const char *
strbuf_text(const StrBuf *buf)
{
    return buf->text == NULL ? "" : buf->text;
}

void
strbuf_clear(StrBuf *buf)
{
    buf->len = 0;
    if (buf->text != NULL) {
        buf->text[0] = '\0';
    }
}

void
strbuf_free(StrBuf *buf)
{
    free(buf->text);
    *buf = STRBUF_INIT;
}
