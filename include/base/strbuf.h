/*
 * strbuf.h - a growing, always zero-terminated string.
 */
#ifndef BASE_STRBUF_H
#define BASE_STRBUF_H

#include <stddef.h>

typedef struct StrBuf {
    char *text; /* never NULL after the first append; use strbuf_text() to read */
    size_t len; /* without the terminator */
    size_t size;
} StrBuf;

#define STRBUF_INIT ((StrBuf){.text = NULL})

void strbuf_putc(StrBuf *buf, char c);
void strbuf_puts(StrBuf *buf, const char *text);
void strbuf_put(StrBuf *buf, const char *bytes, size_t len);
void strbuf_printf(StrBuf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The contents, "" when nothing was appended; borrowed until the next append. */
const char *strbuf_text(const StrBuf *buf);

/* Forget the contents and keep the memory. */
void strbuf_clear(StrBuf *buf);

/* Free the memory; also the cleanup attribute of a local: see STRBUF_AUTO. */
void strbuf_free(StrBuf *buf);

/* A local that frees itself at the end of its block. */
#define STRBUF_AUTO __attribute__((cleanup(strbuf_free))) StrBuf

#endif
