/*
 * test_sql_pin.c - which tokens of a predicate are the pinned time, and which are not.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "core/sql_pin.h"

static void
expect_pinned(const char *sql, const char *pinned)
{
    STRBUF_AUTO out = STRBUF_INIT;
    sql_pin(&out, sql, "$4");
    cr_expect_str_eq(strbuf_text(&out), pinned);
}

static void
expect_untouched(const char *sql)
{
    expect_pinned(sql, sql);
}

Test(sql_pin, calls_of_the_transactions_time_are_pinned)
{
    expect_pinned("at < now() - interval '1 day'", "at < ($4) - interval '1 day'");
    expect_pinned("NOW ( )>at", "($4)>at");
    expect_pinned("transaction_timestamp()", "($4)");
    expect_pinned("a(statement_timestamp(), now())", "a(($4), ($4))");
    expect_pinned("now/* x */(-- y\n)", "($4)");
}

Test(sql_pin, calls_in_pg_catalog_are_pinned)
{
    expect_pinned("pg_catalog.now()", "($4)");
    expect_pinned("x < PG_Catalog . Now ()", "x < ($4)");
    expect_untouched("pg_catalog.timezone('utc', x)");
    expect_untouched("pg_catalog.current_date");
}

Test(sql_pin, keywords_keep_type_and_precision)
{
    expect_pinned("current_timestamp", "(($4)::pg_catalog.timestamptz)");
    expect_pinned("Current_Timestamp ( 3 )", "(($4)::pg_catalog.timestamptz(3))");
    expect_pinned("localtimestamp(0)>x", "(($4)::pg_catalog.timestamp(0))>x");
    expect_pinned("localtimestamp", "(($4)::pg_catalog.timestamp)");
    expect_pinned("day < current_date-90", "day < (($4)::pg_catalog.date)-90");
    expect_pinned("current_time, localtime", "(($4)::pg_catalog.timetz), (($4)::pg_catalog.time)");
}

Test(sql_pin, strings_comments_and_quoted_names_are_left_alone)
{
    expect_untouched("a = 'now()' AND \"now\"() AND \"current_date\" > 1");
    expect_untouched("a = E'it\\'s now()' AND b = $$now()$$ AND c = $x$ now() $x$");
    expect_untouched("a /* now() /* now() */ now() */ -- current_date\n > 1");
    expect_pinned("a = 'b\\' AND now() > c", "a = 'b\\' AND ($4) > c");
    expect_pinned("a = '''' || now() || ''''", "a = '''' || ($4) || ''''");
}

Test(sql_pin, other_names_are_left_alone)
{
    expect_untouched("app.now() < at");
    expect_untouched("t.current_date < at");
    expect_untouched("(SELECT 1 AS current_date)");
    expect_untouched("now < at AND known() AND now_() AND nowt(1) AND now(1)");
    expect_untouched("clock_timestamp() > at");
    expect_untouched("$1now() > 2e10now()");
}

Test(sql_pin, text_that_does_not_end_is_copied)
{
    expect_untouched("");
    expect_untouched("now(");
    expect_untouched("pg_catalog.");
    expect_untouched("a = 'now()");
    expect_untouched("a /* now()");
    expect_untouched("current_timestamp(");
}
