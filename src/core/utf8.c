#include "core/utf8.h"

#include <assert.h>
#include <string.h>

/* Ranges that are not one column wide: combining marks and joiners, East Asian wide, emoji. */
static const struct {
    uint32_t first;
    uint32_t last;
    int width;
} widths[] = {
    {0x0300, 0x036F, 0},
    {0x0483, 0x0489, 0},
    {0x0591, 0x05BD, 0},
    {0x064B, 0x065F, 0},
    {0x1100, 0x115F, 2},
    {0x1AB0, 0x1AFF, 0},
    {0x1DC0, 0x1DFF, 0},
    {0x200B, 0x200F, 0},
    {0x20D0, 0x20FF, 0},
    {0x2E80, 0xA4CF, 2},
    {0xAC00, 0xD7A3, 2},
    {0xF900, 0xFAFF, 2},
    {0xFE00, 0xFE0F, 0},
    {0xFE20, 0xFE2F, 0},
    {0xFE30, 0xFE6F, 2},
    {0xFEFF, 0xFEFF, 0},
    {0xFF00, 0xFF60, 2},
    {0xFFE0, 0xFFE6, 2},
    {0x1F300, 0x1F64F, 2},
    {0x1F680, 0x1F6FF, 2},
    {0x1F900, 0x1FAFF, 2},
    {0x20000, 0x3FFFD, 2},
};

static size_t
sequence_length(unsigned char lead)
{
    if (lead < 0x80) {
        return 1;
    }
    if (lead >= 0xC2 && lead < 0xE0) {
        return 2;
    }
    if (lead >= 0xE0 && lead < 0xF0) {
        return 3;
    }
    return lead >= 0xF0 && lead < 0xF5 ? 4 : 0;
}

size_t
utf8_decode(const char *text, size_t len, uint32_t *code)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};

    *code = 0;
    if (len == 0) {
        return 0;
    }
    unsigned char lead = (unsigned char)text[0];
    size_t need = sequence_length(lead);
    if (need == 0 || need > len) {
        return 0;
    }
    uint32_t value = need == 1 ? lead : lead & (0xFFU >> (need + 1));
    for (size_t i = 1; i < need; i++) {
        unsigned char next = (unsigned char)text[i];
        if ((next & 0xC0U) != 0x80) {
            return 0;
        }
        value = value << 6 | (next & 0x3FU);
    }
    if (value < smallest[need] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) {
        return 0;
    }
    *code = value;
    return need;
}

bool
utf8_is_valid(const char *text, size_t len)
{
    size_t at = 0;
    while (at < len) {
        uint32_t code;
        size_t width = utf8_decode(text + at, len - at, &code);
        if (width == 0) {
            return false;
        }
        at += width;
    }
    return true;
}

int
utf8_width(uint32_t code)
{
    for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
        if (code >= widths[i].first && code <= widths[i].last) {
            return widths[i].width;
        }
    }
    return 1;
}

bool
utf8_is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || (code >= 0x2028 && code <= 0x202E) ||
           (code >= 0x2066 && code <= 0x2069); /* the bidirectional overrides hide text */
}

void
utf8_shorten(char *out, size_t size, const char *text)
{
    assert(size >= 4);

    size_t len = strlen(text);
    size_t room = len < size ? size - 1 : size - 4; /* keep three bytes for the dots */
    size_t from = 0;
    size_t to = 0;
    while (from < len) {
        uint32_t code;
        size_t width = utf8_decode(text + from, len - from, &code);
        bool printable = width > 0 && !utf8_is_control(code);
        size_t wanted = printable ? width : 1;
        if (to + wanted > room) {
            break;
        }
        memcpy(out + to, printable ? text + from : "?", wanted);
        to += wanted;
        from += width > 0 ? width : 1;
    }
    if (from < len) {
        memcpy(out + to, "...", 3);
        to += 3;
    }
    out[to] = '\0';
}
