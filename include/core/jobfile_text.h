/*
 * jobfile_text.h - the bytes of a job file: places in them, and errors that show the place.
 *
 * Lines end with LF, CRLF or CR; a column is one character, whatever its width or length.
 */
#ifndef CORE_JOBFILE_TEXT_H
#define CORE_JOBFILE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "core/jobspec.h"

#define JOBTEXT_MAX_BYTES 1048576

typedef struct JobText {
    const char *file; /* for messages */
    const char *bytes;
    size_t len;
} JobText;

/* A position that moves forward through the text. */
typedef struct TextCursor {
    size_t offset; /* in bytes */
    size_t chars;  /* characters before it; CRLF counts as two */
    Place place;
} TextCursor;

#define TEXT_CURSOR_INIT ((TextCursor){.place = {1, 1}})

/* Move to the character with this index; starts again when the cursor is already behind it. */
void jobtext_seek_char(const JobText *text, TextCursor *cursor, size_t index);

/* The place of the byte at `offset`. */
Place jobtext_place(const JobText *text, size_t offset);

/* Where the line that contains `offset` ends, without its line break. */
size_t jobtext_line_end(const JobText *text, size_t offset);

/* Where the line after the one that contains `offset` begins; text->len when there is none. */
size_t jobtext_next_line(const JobText *text, size_t offset);

/*
 * Check size, encoding and control characters of a whole file.
 *
 * Errors:  ERR_USER with its place.
 */
bool jobtext_check(const JobText *text, Err *err) __attribute__((warn_unused_result));

/*
 * Make an ERR_USER "FILE:LINE:COLUMN: message" with the line and a caret as its excerpt; returns
 * false.  In the excerpt a long line is cut around the caret and control characters become '?'; of
 * a line that may be part of a connection string nothing is shown, nor of a message with one.
 */
bool jobtext_error(const JobText *text, Place place, Err *err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
