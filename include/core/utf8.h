/*
 * utf8.h - the little of Unicode that names, job files and error excerpts need.
 */
#ifndef CORE_UTF8_H
#define CORE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Bytes of the character at the start of `text`, or 0 when it is not valid UTF-8 (overlong forms,
 * surrogates and code points over U+10FFFF are not) or `len` is 0.  *code gets the code point.
 */
size_t utf8_decode(const char *text, size_t len, uint32_t *code);

bool utf8_is_valid(const char *text, size_t len);

/* Columns of a terminal that the character takes: 0, 1 or 2; independent of the locale. */
int utf8_width(uint32_t code);

/* A control character, which must never reach a terminal. */
bool utf8_is_control(uint32_t code);

/*
 * Copy `text` for use in a message: control characters and invalid bytes become '?', and what does
 * not fit is cut between two characters and marked with "...".  `size` is at least 4.
 */
void utf8_shorten(char *out, size_t size, const char *text);

#endif
