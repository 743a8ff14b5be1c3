#include "app/text.h"

#include <string.h>

#include "core/utf8.h"
#include "pg/sqlstate.h"

#define COLOR_RED    "\033[31m"
#define COLOR_YELLOW "\033[33m"
#define COLOR_OFF    "\033[0m"

#define NARROW_INDENT 2

/* ---- pieces ---- */

void
text_put_safe(StrBuf *out, const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        uint32_t code = 0;
        size_t bytes = utf8_decode(text, left, &code);
        if (bytes == 0) {
            strbuf_putc(out, '?');
            bytes = 1;
        } else if (code != '\n' && utf8_is_control(code)) {
            strbuf_putc(out, '?');
        } else {
            strbuf_put(out, text, bytes);
        }
        text += bytes;
        left -= bytes;
    }
}

/* Columns of the first `len` bytes. */
static size_t
columns_of(const char *text, size_t len)
{
    size_t columns = 0;
    while (len > 0) {
        uint32_t code = 0;
        size_t bytes = utf8_decode(text, len, &code);
        if (bytes == 0) {
            return columns + len;
        }
        columns += (size_t)utf8_width(code);
        text += bytes;
        len -= bytes;
    }
    return columns;
}

static void
put_blanks(StrBuf *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        strbuf_putc(out, ' ');
    }
}

void
text_put_wrapped(StrBuf *out, const char *first, const char *text, int width)
{
    STRBUF_AUTO safe = STRBUF_INIT;
    text_put_safe(&safe, text);
    const char *word = strbuf_text(&safe);
    word += strspn(word, " \n");
    size_t column = columns_of(first, strlen(first));
    size_t indent = column > (size_t)width / 2 ? NARROW_INDENT : column;
    bool at_start = true;
    strbuf_puts(out, first);
    while (*word != '\0') {
        size_t len = strcspn(word, " \n");
        size_t columns = columns_of(word, len);
        if (column > indent && column + !at_start + columns > (size_t)width) {
            strbuf_putc(out, '\n');
            put_blanks(out, indent);
            column = indent;
        } else if (!at_start) {
            strbuf_putc(out, ' ');
            column++;
        }
        at_start = false;
        strbuf_put(out, word, len);
        column += columns;
        word += len;
        word += strspn(word, " \n");
    }
    strbuf_putc(out, '\n');
}

void
text_put_cut(StrBuf *out, const char *text, int width)
{
    STRBUF_AUTO safe = STRBUF_INIT;
    text_put_safe(&safe, text);
    size_t len = 0;
    int columns = 0;
    while (len < safe.len) {
        uint32_t code = 0;
        size_t bytes = utf8_decode(safe.text + len, safe.len - len, &code);
        columns += utf8_width(code);
        if (width > 0 && columns > width) {
            break;
        }
        len += bytes;
    }
    strbuf_put(out, strbuf_text(&safe), len);
}

/* ---- findings ---- */

static const struct {
    const char *word;
    const char *color;
} SEVERITIES[] = {
    [FINDING_NOTE] = {"note", ""},
    [FINDING_WARN] = {"warning", COLOR_YELLOW},
    [FINDING_REFUSE] = {"refused", COLOR_RED},
};

static void
put_finding(StrBuf *out, const Finding *finding, const Terminal *term, int width)
{
    const char *color = term->color ? SEVERITIES[finding->severity].color : "";
    strbuf_printf(out, "%s%s%s (%s)\n", color, SEVERITIES[finding->severity].word,
        color[0] == '\0' ? "" : COLOR_OFF, finding->code);
    text_put_wrapped(out, "  ", finding->text, width);
    if (finding->hint != NULL) {
        text_put_wrapped(out, "  hint: ", finding->hint, width);
    }
}

void
text_put_findings(StrBuf *out, const Findings *findings, const Terminal *term, int width)
{
    for (int i = 0; i < findings->count; i++) {
        put_finding(out, &findings->items[i], term, width);
    }
}

static void
put_count(StrBuf *out, int count, const char *word)
{
    strbuf_printf(out, "%s%d %s%s", out->len == 0 ? "" : ", ", count, word, count == 1 ? "" : "s");
}

void
text_put_counts(StrBuf *out, const Findings *findings)
{
    int counts[] = {[FINDING_NOTE] = 0, [FINDING_WARN] = 0, [FINDING_REFUSE] = 0};
    for (int i = 0; i < findings->count; i++) {
        counts[findings->items[i].severity]++;
    }
    STRBUF_AUTO text = STRBUF_INIT;
    put_count(&text, counts[FINDING_REFUSE], "refusal");
    put_count(&text, counts[FINDING_WARN], "warning");
    put_count(&text, counts[FINDING_NOTE], "note");
    strbuf_puts(out, strbuf_text(&text));
}

/* ---- errors ---- */

void
text_put_error(StrBuf *out, const Err *err)
{
    strbuf_puts(out, err->cls == ERR_STOPPED ? "pghaul: " : "pghaul: error: ");
    if (err->context[0] != '\0') {
        text_put_safe(out, err->context);
        strbuf_puts(out, ": ");
    }
    text_put_safe(out, err->message);
    /* Nobody looks up one that schema pghaul made. */
    if (err->sqlstate[0] != '\0' &&
        strncmp(err->sqlstate, SQLSTATE_OURS, strlen(SQLSTATE_OURS)) != 0 &&
        strstr(err->message, err->sqlstate) == NULL) {
        strbuf_printf(out, " (SQLSTATE %s)", err->sqlstate);
    }
    strbuf_putc(out, '\n');
    if (err->excerpt[0] != '\0') {
        text_put_safe(out, err->excerpt);
        if (err->excerpt[strlen(err->excerpt) - 1] != '\n') {
            strbuf_putc(out, '\n');
        }
    }
    if (err->hint[0] != '\0') {
        strbuf_puts(out, "hint: ");
        text_put_safe(out, err->hint);
        strbuf_putc(out, '\n');
    }
}
