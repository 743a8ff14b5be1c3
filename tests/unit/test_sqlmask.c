/*
 * test_sqlmask.c - what of a statement is shown, and that no value is.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#include "core/sqlmask.h"

static void
expect_masked(const char *sql, const char *masked)
{
    STRBUF_AUTO out = STRBUF_INIT;
    sql_mask(&out, sql);
    cr_expect_str_eq(strbuf_text(&out), masked);
}

Test(sqlmask, names_and_operators_stay)
{
    expect_masked("SELECT a.b, c->>d FROM t1 WHERE x = y", "SELECT a.b, c->>d FROM t1 WHERE x = y");
    expect_masked("", "");
    expect_masked("COMMIT", "COMMIT");
}

Test(sqlmask, string_constants_are_masked)
{
    expect_masked("SELECT 'secret', x", "SELECT ?, x");
    expect_masked("SELECT 'it''s secret', x", "SELECT ?, x");
    expect_masked("SELECT '', x", "SELECT ?, x");
    expect_masked("SELECT b'0101', X'1f', n'secret', U&'d\\0061t', x", "SELECT ?, ?, ?, ?, x");
    expect_masked("ALTER ROLE a PASSWORD'secret'", "ALTER ROLE a PASSWORD?");
}

Test(sqlmask, escapes_are_followed_in_escape_strings)
{
    expect_masked("SELECT E'it\\'s secret', x", "SELECT ?, x");
    expect_masked("SELECT e'secret\\\\', x", "SELECT ?, x");
    expect_masked("SELECT E'a''secret\\n', x", "SELECT ?, x");
    expect_masked("SELECT E'secret\\", "SELECT ?");
}

/* With standard_conforming_strings = on the first one ends before the comma, else it does not. */
Test(sqlmask, backslash_before_a_quote_masks_the_rest)
{
    expect_masked("SELECT 'C:\\', 'secret' FROM t", "SELECT ? ...");
    expect_masked("SELECT 'it\\'s secret' FROM t", "SELECT ? ...");
    expect_masked("SELECT 'a\\b', x", "SELECT ?, x");
}

Test(sqlmask, dollar_quotes_are_masked)
{
    expect_masked("SELECT $$secret 'x'$$, y", "SELECT ?, y");
    expect_masked("DO $a1$ x $$ secret $a $a1$ LANGUAGE l", "DO ? LANGUAGE l");
    expect_masked("SELECT $\xc3\xa9$secret$\xc3\xa9$, y", "SELECT ?, y");
    expect_masked("SELECT a$b$c", "SELECT a$b$c");
}

Test(sqlmask, parameters_stay)
{
    expect_masked("SELECT $1, $23 FROM t", "SELECT $1, $23 FROM t");
    expect_masked("SELECT $1$2", "SELECT $1$2");
}

Test(sqlmask, numbers_are_masked)
{
    expect_masked(
        "SELECT 1, 2.5, .5, 1e10, 1.5E-7, 0x1F, 1_000, -3", "SELECT ?, ?, ?, ?, ?, ?, ?, -?");
    expect_masked("SELECT t1.c2, x2y FROM a_3 LIMIT 10", "SELECT t1.c2, x2y FROM a_3 LIMIT ?");
    expect_masked("SELECT 123abc", "SELECT ?");
    expect_masked("a[1:2]", "a[?:?]");
    expect_masked("1-1", "?-?");
}

Test(sqlmask, quoted_names_stay)
{
    expect_masked("SELECT \"Odd \"\"name\"\" 7's\", 'x'", "SELECT \"Odd \"\"name\"\" 7's\", ?");
    expect_masked("SELECT U&\"d\\0061t\"", "SELECT U&\"d\\0061t\"");
    expect_masked("SELECT \"never closed", "SELECT \"never closed");
    expect_masked("SELECT \"a\nb\"", "SELECT \"a b\"");
}

Test(sqlmask, comments_are_left_out)
{
    expect_masked("SELECT a -- 'secret\n, b", "SELECT a , b");
    expect_masked("/* user=7 /* nested ' */ */ SELECT/**/a", "SELECT a");
    expect_masked("SELECT a /* secret", "SELECT a");
    expect_masked("SELECT a -- secret", "SELECT a");
    expect_masked("SELECT '--', a", "SELECT ?, a");
    expect_masked("SELECT a - -b / c", "SELECT a - -b / c");
}

Test(sqlmask, text_that_was_cut_off_is_masked_to_its_end)
{
    expect_masked("INSERT INTO t VALUES ('secr", "INSERT INTO t VALUES (?");
    expect_masked("SELECT $$secret", "SELECT ?");
    expect_masked("SELECT $tag$secret$ta", "SELECT ?");
    expect_masked("SELECT 'secret''", "SELECT ?");
    expect_masked("SELECT 1e", "SELECT ?");
    expect_masked("SELECT E'", "SELECT ?");
    expect_masked("SELECT $", "SELECT $");
}

Test(sqlmask, blanks_and_control_characters_become_one_blank)
{
    expect_masked("  SELECT\t\r\n  a \x1b[31m ,\x7f b  ", "SELECT a [? , b");
    expect_masked("a\xc2\x85\xe2\x80\xae"
                  "b",
        "a b");
}

Test(sqlmask, multibyte_text_stays_in_names_and_goes_from_values)
{
    expect_masked("SELECT \xc3\xa9t\xc3\xa9, '\xc3\xa9' FROM \"\xe6\xbc\xa2\"",
        "SELECT \xc3\xa9t\xc3\xa9, ? FROM \"\xe6\xbc\xa2\"");
    expect_masked("SELECT a\xff, b", "SELECT a?, b");
}

Test(sqlmask, text_is_appended)
{
    STRBUF_AUTO out = STRBUF_INIT;
    strbuf_puts(&out, "query:");
    sql_mask(&out, " SELECT 1");
    cr_expect_str_eq(strbuf_text(&out), "query:SELECT ?");
}

/* The words of a value are nowhere in the output, wherever the statement is cut off. */
Test(sqlmask, no_cut_shows_a_value)
{
    static const char SQL[] =
        "UPDATE \"T\" SET a = 'secret''secret', b = E'\\'secret', /* secret */"
        " c = $x$ secret $x$, d = U&'secret' WHERE e = 'C:\\'' AND 'secret'";
    for (size_t len = 0; len <= strlen(SQL); len++) {
        char part[sizeof(SQL)];
        (void)snprintf(part, sizeof(part), "%.*s", (int)len, SQL);
        STRBUF_AUTO out = STRBUF_INIT;
        sql_mask(&out, part);
        cr_expect(eq(ptr, strstr(strbuf_text(&out), "se"), NULL), "%s", strbuf_text(&out));
    }
}
