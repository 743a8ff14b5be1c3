/*
 * test_walkterm.c - conditions as EXPLAIN prints them, taken apart.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "base/strbuf.h"
#include "core/walkterm.h"

static ColumnFacts columns[] = {
    {.attnum = 1, .name = "id"},
    {.attnum = 2, .name = "at"},
    {.attnum = 3, .name = "AND \" (x"},
    {.attnum = 4, .name = "code"},
};

static const Facts FACTS = {.table = {.name = "log"}, .columns = columns, .column_count = 4};

typedef struct TermCase {
    const char *condition;
    const char
        *terms; /* "at<", with ' after a cast column and ! where the other side is not plain */
    bool whole;
} TermCase;

static void
put_term(StrBuf *out, const WalkTerm *term)
{
    static const char *const NAMES[] = {"<", "<=", "=", "?"};
    strbuf_printf(out, "%s%s%s%s%s", out->len == 0 ? "" : " ", term->column->name,
        NAMES[term->comparison], term->bare ? "" : "'", term->plain ? "" : "!");
}

static void
expect_terms(const TermCase *expected)
{
    WalkTerm terms[WALK_TERMS_MAX];
    bool whole = false;
    STRBUF_AUTO text = STRBUF_INIT;
    int count = walkterm_parse(&FACTS, expected->condition, terms, &whole);
    for (int i = 0; i < count; i++) {
        put_term(&text, &terms[i]);
    }
    cr_expect(zero(int, strcmp(strbuf_text(&text), expected->terms)), "%s: %s", expected->condition,
        strbuf_text(&text));
    cr_expect(eq(int, whole, expected->whole), "%s", expected->condition);
}

Test(walkterm, takes_comparisons_of_columns_and_nothing_else)
{
    static const TermCase CASES[] = {
        {"", "", false},
        {"(at < '2020-01-01'::date)", "at<", true},
        {"(at <= (now() - '90 days'::interval))", "at<=", true},
        {"((now() - '90 days'::interval) > at)", "at<", true},
        {"(5 >= id)", "id<=", true},
        {"(5 < id)", "id?", true},
        {"(log.at < now())", "at<", true},
        {"(other.at < now())", "", false},
        {"((code)::text < 'm'::text)", "code<'", true},
        {"((id = 7) AND (at < now()))", "id= at<", false},
        {"((id = 7) AND f(id) AND (at < now()))", "id= at<", false},
        {"((id = 7) OR (at < now()))", "", false},
        {"(NOT (at < now()))", "", false},
        {"(id = ANY ('{1,2}'::bigint[]))", "id?", true},
        {"(id > ALL ('{}'::bigint[]))", "", false},
        {"(at IS NULL)", "", false},
        {"(at IS NOT NULL)", "at?'!", true},
        {"(ROW(at, id) < ROW(now(), 7))", "at?'", true},
        {"((at + '1 day'::interval) < now())", "", false},
        {"(at < CASE WHEN (id > 5) THEN now() ELSE now() END)", "", false},
        {"(at < (now() - (id * '1 day'::interval)))", "at<!", true},
        {"(at < $0)", "at<!", true},
        {"(at < (SubPlan 1))", "at<!", true},
        {"(code < 'm'::text COLLATE \"C\")", "code<!", true},
        {"(code < 'at AND ) id'::text)", "code<", true},
        {"(code < E'\\\\'' AND (at'::text)", "code<", true},
        {"(\"AND \"\" (x\" < 5)", "AND \" (x<", true},
        {"(id % 7 = 5)", "", false},
        {"(id <> 7)", "", false},
        {"(at < now()", "", false},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        expect_terms(&CASES[i]);
    }
}
