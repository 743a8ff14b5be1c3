/*
 * text.h - text for people: safe characters, wrapped lines, findings, errors.
 *
 * Pure: everything is appended to a StrBuf.
 */
#ifndef APP_TEXT_H
#define APP_TEXT_H

#include "app/term.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "core/findings.h"

/* Append `text` without anything that a terminal would obey; line breaks stay. */
void text_put_safe(StrBuf *out, const char *text);

/*
 * Append `text` in lines of at most `width` columns and a final line break.  The first line begins
 * with `first`, the others with as many blanks, or with two when that were half the line; a word
 * that is too long stands alone.
 */
void text_put_wrapped(StrBuf *out, const char *first, const char *text, int width);

/* Append the first `width` columns of `text`, all of it when `width` is 0. */
void text_put_cut(StrBuf *out, const char *text, int width);

/* Append "row security hides ..": severity, code, text and hint of each finding. */
void text_put_findings(StrBuf *out, const Findings *findings, const Terminal *term, int width);

/* Append "2 refusals, 1 warning, 3 notes". */
void text_put_counts(StrBuf *out, const Findings *findings);

/* Append "pghaul: error: context: message", the excerpt and the hint. */
void text_put_error(StrBuf *out, const Err *err);

#endif
