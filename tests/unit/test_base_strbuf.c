#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "base/strbuf.h"

Test(strbuf, is_empty_text_before_the_first_append)
{
    StrBuf buf = STRBUF_INIT;
    cr_assert(eq(chr, strbuf_text(&buf)[0], '\0'));
    strbuf_clear(&buf);
    strbuf_free(&buf);
}

Test(strbuf, appends_in_order)
{
    StrBuf buf = STRBUF_INIT;
    strbuf_putc(&buf, 'a');
    strbuf_puts(&buf, "bc");
    strbuf_put(&buf, "defgh", 2);
    strbuf_printf(&buf, "-%d-%s", 12, "x");
    cr_assert(eq(str, buf.text, "abcde-12-x"));
    cr_assert(eq(sz, buf.len, 10));
    strbuf_free(&buf);
}

Test(strbuf, grows_and_stays_terminated)
{
    StrBuf buf = STRBUF_INIT;
    for (int i = 0; i < 10000; i++) {
        strbuf_putc(&buf, (char)('a' + i % 26));
        cr_assert(eq(chr, buf.text[buf.len], '\0'));
    }
    cr_assert(eq(sz, strlen(buf.text), 10000));
    strbuf_printf(&buf, "%05000d", 7);
    cr_assert(eq(sz, strlen(buf.text), 15000));
    cr_assert(eq(chr, buf.text[14999], '7'));
    strbuf_free(&buf);
}

Test(strbuf, clear_forgets_the_contents_and_keeps_the_memory)
{
    StrBuf buf = STRBUF_INIT;
    strbuf_puts(&buf, "something");
    size_t size = buf.size;
    strbuf_clear(&buf);
    cr_assert(eq(chr, strbuf_text(&buf)[0], '\0'));
    cr_assert(eq(sz, buf.len, 0));
    cr_assert(eq(sz, buf.size, size));
    strbuf_puts(&buf, "else");
    cr_assert(eq(str, buf.text, "else"));
    strbuf_free(&buf);
    cr_assert(eq(ptr, buf.text, NULL));
}

Test(strbuf, keeps_zero_bytes_that_were_put)
{
    STRBUF_AUTO buf = STRBUF_INIT;
    strbuf_put(&buf, "a\0b", 3);
    cr_assert(eq(sz, buf.len, 3));
    cr_assert(eq(int, memcmp(buf.text, "a\0b", 4), 0));
}
