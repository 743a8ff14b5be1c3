#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/utf8.h"

static void
expect_code(const char *text, size_t width, uint32_t code)
{
    uint32_t got;
    cr_expect(eq(sz, utf8_decode(text, strlen(text), &got), width), "%s", text);
    cr_expect(eq(u32, got, code), "%s", text);
}

Test(utf8, characters_of_every_length_are_decoded)
{
    expect_code("a", 1, 'a');
    expect_code("\x7f", 1, 0x7F);
    expect_code("\xc2\x80", 2, 0x80);
    expect_code("\xdf\xbf", 2, 0x7FF);
    expect_code("\xe0\xa0\x80", 3, 0x800);
    expect_code("\xed\x9f\xbf", 3, 0xD7FF);
    expect_code("\xee\x80\x80", 3, 0xE000);
    expect_code("\xef\xbf\xbf", 3, 0xFFFF);
    expect_code("\xf0\x90\x80\x80", 4, 0x10000);
    expect_code("\xf4\x8f\xbf\xbf", 4, 0x10FFFF);
}

Test(utf8, a_nul_inside_the_length_is_a_character)
{
    uint32_t code = 1;
    cr_expect(eq(sz, utf8_decode("\0", 1, &code), 1));
    cr_expect(eq(u32, code, 0));
}

Test(utf8, what_is_not_utf8_is_refused)
{
    expect_code("", 0, 0);
    expect_code("\x80", 0, 0);
    expect_code("\xc0\x80", 0, 0);
    expect_code("\xc1\xbf", 0, 0);
    expect_code("\xc3", 0, 0);
    expect_code("\xc3(", 0, 0);
    expect_code("\xe0\x9f\xbf", 0, 0);
    expect_code("\xed\xa0\x80", 0, 0);
    expect_code("\xe2\x82", 0, 0);
    expect_code("\xf0\x8f\xbf\xbf", 0, 0);
    expect_code("\xf4\x90\x80\x80", 0, 0);
    expect_code("\xf5\x80\x80\x80", 0, 0);
    expect_code("\xff", 0, 0);
}

Test(utf8, validity_is_of_the_whole_text)
{
    cr_expect(utf8_is_valid("", 0));
    cr_expect(utf8_is_valid("a\xc3\xa9z", 4));
    cr_expect(not(utf8_is_valid("a\xc3\xa9\xc3", 4)));
}

Test(utf8, widths_are_those_of_a_terminal)
{
    cr_expect(eq(int, utf8_width('a'), 1));
    cr_expect(eq(int, utf8_width(0xE9), 1));
    cr_expect(eq(int, utf8_width(0x0301), 0));
    cr_expect(eq(int, utf8_width(0x6F22), 2));
    cr_expect(eq(int, utf8_width(0x1F418), 2));
}

static void
expect_shortened(size_t size, const char *text, const char *shortened)
{
    char out[32];
    memset(out, '!', sizeof(out));
    utf8_shorten(out, size, text);
    cr_expect_str_eq(out, shortened);
}

Test(utf8, text_is_cut_between_characters)
{
    expect_shortened(32, "short", "short");
    expect_shortened(6, "short", "short");
    expect_shortened(8, "too long for it", "too ...");
    expect_shortened(8, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", "\xc3\xa9\xc3\xa9...");
    expect_shortened(7, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", "\xc3\xa9...");
    expect_shortened(4, "long", "...");
    expect_shortened(4, "", "");
}

Test(utf8, control_characters_and_invalid_bytes_are_replaced)
{
    expect_shortened(32, "a\x1b[0m\n\xff\xc2\x9b\xe2\x80\xae", "a?[0m????");
}
