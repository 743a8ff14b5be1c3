#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/ident.h"

#define N63 "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"

static Arena arena;

static void
teardown(void)
{
    arena_reset(&arena);
}

TestSuite(ident, .fini = teardown);

static void
expect_quoted(const char *name, const char *quoted)
{
    STRBUF_AUTO out = STRBUF_INIT;
    Err err = ERR_INIT;
    cr_expect(quote_ident(&out, name, &err), "%s", err.message);
    cr_expect_str_eq(strbuf_text(&out), quoted);
}

Test(ident, a_name_is_always_quoted)
{
    expect_quoted("orders", "\"orders\"");
    expect_quoted("Select", "\"Select\"");
    expect_quoted("a b.c;--", "\"a b.c;--\"");
    expect_quoted("größe", "\"größe\"");
    expect_quoted("it's \\ $x", "\"it's \\ $x\"");
    expect_quoted(N63, "\"" N63 "\"");
}

Test(ident, double_quotes_in_a_name_are_doubled)
{
    expect_quoted("\"", "\"\"\"\"");
    expect_quoted("a\"b\"\"c", "\"a\"\"b\"\"\"\"c\"");
    expect_quoted("x\"; DROP TABLE t; --", "\"x\"\"; DROP TABLE t; --\"");
}

static void
expect_refused(const char *name, const char *message)
{
    STRBUF_AUTO out = STRBUF_INIT;
    Err err = ERR_INIT;
    cr_expect(not(quote_ident(&out, name, &err)), "%s", name);
    cr_expect(eq(int, (int)err.cls, ERR_USER));
    cr_expect(strstr(err.message, message) != NULL, "%s", err.message);
    cr_expect(eq(sz, out.len, 0));
}

Test(ident, names_that_the_server_would_change_or_refuse_are_refused)
{
    expect_refused("", "must not be empty");
    expect_refused(N63 "n", "longer than 63 bytes (it has 64)");
    expect_refused("\xff", "not valid UTF-8");
    expect_refused("a\xc3", "not valid UTF-8");
    expect_refused("\xc0\x80", "not valid UTF-8");
}

Test(ident, a_qualified_name_has_both_parts_quoted)
{
    STRBUF_AUTO out = STRBUF_INIT;
    Err err = ERR_INIT;
    cr_expect(quote_qualified(&out, "Shop", "or\"ders", &err));
    cr_expect_str_eq(strbuf_text(&out), "\"Shop\".\"or\"\"ders\"");
    strbuf_clear(&out);
    cr_expect(quote_qualified(&out, NULL, "orders", &err));
    cr_expect_str_eq(strbuf_text(&out), "\"orders\"");
}

Test(ident, a_qualified_name_with_a_bad_part_appends_nothing)
{
    STRBUF_AUTO out = STRBUF_INIT;
    Err err = ERR_INIT;
    cr_expect(not(quote_qualified(&out, "shop", "", &err)));
    cr_expect(eq(sz, out.len, 0));
    err = ERR_INIT;
    cr_expect(not(quote_qualified(&out, "", "orders", &err)));
    cr_expect(eq(sz, out.len, 0));
}

Test(ident, a_text_constant_doubles_only_single_quotes)
{
    STRBUF_AUTO out = STRBUF_INIT;
    quote_literal_append(&out, "it's \\'; $$ \"x\"");
    quote_literal_append(&out, "");
    cr_expect_str_eq(strbuf_text(&out), "'it''s \\''; $$ \"x\"'''");
}

static void
expect_parsed(const char *text, const char *schema, const char *name)
{
    const char *got_schema = "unset";
    const char *got_name = "unset";
    Err err = ERR_INIT;
    cr_expect(ident_parse_qualified(text, &arena, &got_schema, &got_name, &err), "%s", err.message);
    cr_expect_str_eq(got_name, name);
    if (schema == NULL) {
        cr_expect(got_schema == NULL, "%s", text);
    } else {
        cr_expect_str_eq(got_schema, schema);
    }
}

Test(ident, qualified_names_are_read_by_the_rules_of_sql)
{
    expect_parsed("orders", NULL, "orders");
    expect_parsed("Orders", NULL, "orders");
    expect_parsed("SHOP.Orders", "shop", "orders");
    expect_parsed("\"Weird \"\"Name\"\"\".T", "Weird \"Name\"", "t");
    expect_parsed("\"a.b\"", NULL, "a.b");
    expect_parsed("a.\"\"\"\"", "a", "\"");
    expect_parsed(" shop . \"Orders\" ", "shop", "Orders");
    expect_parsed("_a1$", NULL, "_a1$");
    expect_parsed("GRÖSSE", NULL, "grÖsse"); /* only ASCII folds */
    expect_parsed("\" a \"", NULL, " a ");
}

static void
expect_not_parsed(const char *text, const char *message)
{
    const char *schema;
    const char *name;
    Err err = ERR_INIT;
    cr_expect(not(ident_parse_qualified(text, &arena, &schema, &name, &err)), "'%s'", text);
    cr_expect(eq(int, (int)err.cls, ERR_USER));
    cr_expect(strstr(err.message, message) != NULL, "'%s': %s", text, err.message);
}

Test(ident, what_is_not_a_name_is_refused)
{
    expect_not_parsed("", "is not a table name");
    expect_not_parsed("  ", "is not a table name");
    expect_not_parsed(".", "is not a table name");
    expect_not_parsed("a.", "is not a table name");
    expect_not_parsed(".a", "is not a table name");
    expect_not_parsed("a..b", "is not a table name");
    expect_not_parsed("a.b.c", "is not a table name");
    expect_not_parsed("a b", "is not a table name");
    expect_not_parsed("1a", "is not a table name");
    expect_not_parsed("$a", "is not a table name");
    expect_not_parsed("a-b", "is not a table name");
    expect_not_parsed("a;drop table b", "is not a table name");
    expect_not_parsed("\"a\"b", "is not a table name");
    expect_not_parsed("a\"b\"", "is not a table name");
    expect_not_parsed("\"a", "never closed");
    expect_not_parsed("a.\"b\"\"", "never closed");
    expect_not_parsed("\"\"", "must not be empty");
    expect_not_parsed("a.\"\"", "must not be empty");
    expect_not_parsed(N63 "n", "longer than 63 bytes");
    expect_not_parsed("\"\xff\"", "not valid UTF-8");
    expect_not_parsed("\xff", "not valid UTF-8");
}

Test(ident, quoting_and_reading_are_inverse)
{
    static const char *const NAMES[] = {"a", "A", "a\"b", "\"\"", "a.b", "größe", " ", "'", "\\"};
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        STRBUF_AUTO out = STRBUF_INIT;
        Err err = ERR_INIT;
        cr_assert(quote_qualified(&out, NAMES[i], NAMES[i], &err));
        expect_parsed(strbuf_text(&out), NAMES[i], NAMES[i]);
    }
}
