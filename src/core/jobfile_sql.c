/*
 * jobfile_sql.c - from a position in SQL back to the line of the job file that it came from.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/jobfile.h"
#include "core/jobfile_text.h"
#include "core/utf8.h"

#define NEAR_CHARS 32

/* The byte of `text` at this character, its end when it has fewer. */
static size_t
byte_of_char(const char *text, int offset)
{
    size_t len = strlen(text);
    size_t at = 0;
    for (int i = 0; i < offset && at < len; i++) {
        uint32_t code;
        size_t width = utf8_decode(text + at, len - at, &code);
        at += width == 0 ? 1 : width;
    }
    return at;
}

static Place
place_in_file(const RawSql *sql, size_t end)
{
    Place place = sql->place;
    size_t at = 0;
    while (at < end) {
        uint32_t code;
        size_t width = utf8_decode(sql->text + at, end - at, &code);
        at += width == 0 ? 1 : width;
        place.line += code == '\n' ? 1 : 0;
        place.column = code == '\n' ? sql->indent + 1 : place.column + 1;
    }
    return place;
}

/* The piece of SQL at `at` on one line, for text that cannot be found in the file by counting. */
static void
describe_piece(const char *sql, size_t at, char *out, size_t size)
{
    char piece[NEAR_CHARS * 4 + 1];
    size_t len = byte_of_char(sql + at, NEAR_CHARS);
    memcpy(piece, sql + at, len);
    piece[len] = '\0';
    for (char *c = piece; *c != '\0'; c++) {
        if (*c == '\n' || *c == '\t' || *c == '\r') {
            *c = ' ';
        }
    }
    utf8_shorten(out, size, piece);
}

bool
jobfile_sql_error(const JobSpec *spec, const RawSql *sql, int offset, const char *message, Err *err)
{
    assert(sql->text != NULL);

    JobText text = {.file = spec->file, .bytes = spec->source, .len = strlen(spec->source)};
    if (offset < 0) {
        return jobtext_error(&text, sql->place, err, "%s", message);
    }
    size_t at = byte_of_char(sql->text, offset);
    if (sql->exact) {
        return jobtext_error(&text, place_in_file(sql, at), err, "%s", message);
    }
    if (sql->text[at] == '\0') {
        return jobtext_error(&text, sql->place, err, "%s (at the end of the SQL)", message);
    }
    char piece[NEAR_CHARS * 4 + 4];
    describe_piece(sql->text, at, piece, sizeof(piece));
    return jobtext_error(&text, sql->place, err, "%s (near \"%s\")", message, piece);
}
