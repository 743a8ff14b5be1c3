#include "core/jobfile_text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "core/utf8.h"

#define EXCERPT_CHARS    72 /* four bytes each, twice with the caret's blanks, fit in Err.excerpt */
#define FILE_SHOWN_BYTES 160
#define EXCERPT_AHEAD    24 /* characters kept after the caret when the line is cut */

/* Bytes of the character at `offset`; an invalid byte counts as one character. */
static size_t
char_bytes(const JobText *text, size_t offset, uint32_t *code)
{
    size_t width = utf8_decode(text->bytes + offset, text->len - offset, code);
    return width == 0 ? 1 : width;
}

static bool
ends_line(const JobText *text, size_t offset)
{
    char c = text->bytes[offset];
    return c == '\n' || (c == '\r' && (offset + 1 == text->len || text->bytes[offset + 1] != '\n'));
}

static void
step(const JobText *text, TextCursor *cursor)
{
    uint32_t code;
    bool breaks = ends_line(text, cursor->offset);
    cursor->offset += char_bytes(text, cursor->offset, &code);
    cursor->chars++;
    cursor->place.line += breaks ? 1 : 0;
    cursor->place.column = breaks ? 1 : cursor->place.column + 1;
}

void
jobtext_seek_char(const JobText *text, TextCursor *cursor, size_t index)
{
    if (index < cursor->chars) {
        *cursor = TEXT_CURSOR_INIT;
    }
    while (cursor->chars < index && cursor->offset < text->len) {
        step(text, cursor);
    }
}

Place
jobtext_place(const JobText *text, size_t offset)
{
    TextCursor cursor = TEXT_CURSOR_INIT;
    while (cursor.offset < offset && cursor.offset < text->len) {
        step(text, &cursor);
    }
    return cursor.place;
}

size_t
jobtext_line_end(const JobText *text, size_t offset)
{
    while (offset < text->len && text->bytes[offset] != '\n' && text->bytes[offset] != '\r') {
        offset++;
    }
    return offset;
}

size_t
jobtext_next_line(const JobText *text, size_t offset)
{
    size_t end = jobtext_line_end(text, offset);
    if (end + 1 < text->len && text->bytes[end] == '\r' && text->bytes[end + 1] == '\n') {
        return end + 2;
    }
    return end < text->len ? end + 1 : end;
}

/* Control characters that YAML does not permit, not even in quotes; and a byte order mark behind
 * the beginning, which nobody sees and libyaml takes for something else. */
static bool
is_forbidden(uint32_t code)
{
    bool is_layout = code == '\t' || code == '\n' || code == '\r' || code == 0x85;
    return (code < 0xA0 && utf8_is_control(code) && !is_layout) || code == 0xFEFF ||
           code == 0xFFFE || code == 0xFFFF;
}

static bool
check_char(const JobText *text, size_t offset, size_t *width, Err *err)
{
    uint32_t code;
    *width = utf8_decode(text->bytes + offset, text->len - offset, &code);
    if (*width == 0) {
        (void)jobtext_error(text, jobtext_place(text, offset), err,
            "byte 0x%02x is not valid UTF-8", (unsigned char)text->bytes[offset]);
        return err_hint(err, "Save the job file in UTF-8.");
    }
    if (code == 0) {
        return jobtext_error(
            text, jobtext_place(text, offset), err, "a job file must not contain a NUL byte");
    }
    if (is_forbidden(code)) {
        return jobtext_error(text, jobtext_place(text, offset), err,
            "control character U+%04X is not permitted", (unsigned int)code);
    }
    return true;
}

bool
jobtext_check(const JobText *text, Err *err)
{
    if (text->len > JOBTEXT_MAX_BYTES) {
        return err_set(err, ERR_USER, "%s:1:1: the job file is larger than 1 MiB", text->file);
    }
    size_t width;
    for (size_t offset = 0; offset < text->len; offset += width) {
        if (!check_char(text, offset, &width, err)) {
            return false;
        }
    }
    return true;
}

static size_t
line_start(const JobText *text, int line)
{
    TextCursor cursor = TEXT_CURSOR_INIT;
    while (cursor.place.line < line && cursor.offset < text->len) {
        step(text, &cursor);
    }
    return cursor.offset;
}

/* One character of the line into the excerpt, and blanks of its width into the caret's line. */
static void
put_excerpt_char(
    const JobText *text, size_t offset, StrBuf *shown, StrBuf *blanks, bool before_caret)
{
    uint32_t code;
    size_t width = utf8_decode(text->bytes + offset, text->len - offset, &code);
    if (code == '\t') { /* the same tab in both lines ends in the same column */
        strbuf_putc(shown, '\t');
        strbuf_puts(blanks, before_caret ? "\t" : "");
        return;
    }
    bool printable = width > 0 && !utf8_is_control(code);
    strbuf_put(shown, printable ? text->bytes + offset : "?", printable ? width : 1);
    int columns = printable ? utf8_width(code) : 1;
    for (int i = 0; i < columns && before_caret; i++) {
        strbuf_putc(blanks, ' ');
    }
}

/* ---- what is not shown ---- */

/* "password = .." or "..://user:..@host", whatever key it stands behind. */
static bool
holds_password(const char *text)
{
    for (const char *at = strcasestr(text, "password"); at != NULL;
         at = strcasestr(at + 1, "password")) {
        const char *end = at + strlen("password");
        if (end[strspn(end, " \t\r\n")] == '=') {
            return true;
        }
    }
    const char *scheme = strstr(text, "://");
    return scheme != NULL && strchr(scheme, '@') != NULL;
}

/* `key` and a colon, perhaps in quotes and with something before it. */
static bool
holds_key(const char *text, const char *key)
{
    for (const char *at = strstr(text, key); at != NULL; at = strstr(at + 1, key)) {
        const char *end = at + strlen(key);
        end += *end == '"' || *end == '\'' ? 1 : 0;
        bool begins = at == text || strchr(" \t\r\n{,\"'?", at[-1]) != NULL;
        if (begins && end[strspn(end, " \t")] == ':') {
            return true;
        }
    }
    return false;
}

/* A line at the left margin that may be a key and what belongs to it. */
static bool
begins_entry(const JobText *text, size_t offset)
{
    size_t end = jobtext_line_end(text, offset);
    bool indented = offset == end || text->bytes[offset] == ' ' || text->bytes[offset] == '\t';
    return !indented && memchr(text->bytes + offset, ':', end - offset) != NULL;
}

/* Is the line part of a connection string?  The file could not be read, or not yet: so the lines
 * from the key above it are looked at as they are. */
static bool
is_confidential(const JobText *text, size_t offset)
{
    size_t end = jobtext_line_end(text, offset);
    bool more = !begins_entry(text, offset);
    while (more && offset > 0) {
        offset--;
        while (offset > 0 && text->bytes[offset - 1] != '\n' && text->bytes[offset - 1] != '\r') {
            offset--;
        }
        more = !begins_entry(text, offset);
    }
    STRBUF_AUTO entry = STRBUF_INIT;
    strbuf_put(&entry, text->bytes + offset, end - offset);
    const char *shown = strbuf_text(&entry);
    return holds_key(shown, "from") || holds_key(shown, "to") || holds_password(shown);
}

static void
set_excerpt(const JobText *text, Place place, Err *err)
{
    STRBUF_AUTO shown = STRBUF_INIT;
    STRBUF_AUTO blanks = STRBUF_INIT;
    size_t offset = line_start(text, place.line);
    size_t end = jobtext_line_end(text, offset);
    if (is_confidential(text, offset)) {
        (void)snprintf(err->excerpt, sizeof(err->excerpt), "...\n^");
        return;
    }
    int first = place.column > EXCERPT_CHARS - EXCERPT_AHEAD
                    ? place.column - (EXCERPT_CHARS - EXCERPT_AHEAD)
                    : 1;
    if (first > 1) {
        strbuf_puts(&shown, "...");
        strbuf_puts(&blanks, "   ");
    }
    int column = 1;
    while (offset < end && column < first + EXCERPT_CHARS) {
        uint32_t code;
        if (column >= first) {
            put_excerpt_char(text, offset, &shown, &blanks, column < place.column);
        }
        offset += char_bytes(text, offset, &code);
        column++;
    }
    (void)snprintf(err->excerpt, sizeof(err->excerpt), "%s%s\n%s^", strbuf_text(&shown),
        offset < end ? "..." : "", strbuf_text(&blanks));
}

bool
jobtext_error(const JobText *text, Place place, Err *err, const char *fmt, ...)
{
    char message[sizeof(err->message)];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    if (holds_password(message)) {
        (void)snprintf(message, sizeof(message),
            "what stands here looks like a connection string with a password and is not shown");
    }
    char file[FILE_SHOWN_BYTES]; /* both may hold what a terminal obeys, such as a column's name */
    char shown[sizeof(err->message) - FILE_SHOWN_BYTES - sizeof(":2147483647:2147483647: ")];
    utf8_shorten(file, sizeof(file), text->file);
    utf8_shorten(shown, sizeof(shown), message);
    (void)err_set(err, ERR_USER, "%s:%d:%d: %s", file, place.line, place.column, shown);
    set_excerpt(text, place, err);
    return false;
}
