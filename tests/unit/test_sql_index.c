#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/sql_index.h"

#define COLUMN(column, of_type) (&(const ColumnFacts){.name = (column), .type = (of_type)})

typedef struct Case {
    const char *definition;
    const char *suffixes[3];
    const char *columns[3]; /* NULL ends them */
    int key_count;
    bool has_expression;
    bool unique;
    const char *partition; /* column of the target's partition key */
    const char *expected;  /* definition, or a part of why not */
} Case;

static IndexBuild
translate(const Case *one, Arena *arena)
{
    /* The source has a, b, c, d; the target a, bee (of b), c (a bigint) and d (an expression). */
    MapColumn map[] = {
        {.target = COLUMN("a", "integer"), .source = COLUMN("a", "integer")},
        {.target = COLUMN("bee", "text"), .source = COLUMN("b", "text")},
        {.target = COLUMN("c", "bigint"), .source = COLUMN("c", "integer")},
        {.target = COLUMN("d", "text")},
    };
    CopyPlan copy = {.map = map, .map_count = 4};
    const char *partition[] = {one->partition};
    IndexDefs target = {.partition = partition, .partition_count = one->partition == NULL ? 0 : 1};
    const char *columns[3] = {one->columns[0], one->columns[1], one->columns[2]};
    const char *suffixes[3];
    int count = 0;
    while (count < 3 && columns[count] != NULL) {
        suffixes[count] = one->suffixes[count] == NULL ? "" : one->suffixes[count];
        count++;
    }
    IndexDef def = {
        .name = "i",
        .unique = one->unique,
        .plain = !one->has_expression,
        .definition = one->definition,
        .method = "btree",
        .key_count = one->key_count,
        .columns = columns,
        .quoted = columns,
        .suffixes = suffixes,
        .column_count = count,
        .mentions = columns,
        .mention_count = count,
    };
    IndexBuild build;
    sql_index_translate(&def, &target, &copy, arena, &build);
    return build;
}

Test(sql_index, definitions_of_the_source_become_those_of_the_target)
{
    static const Case CASES[] = {
        {"USING btree (a)", {""}, {"a"}, 1, false, false, NULL, "USING btree (a)"},
        {"USING btree (b)", {""}, {"b"}, 1, false, false, NULL, "USING btree (\"bee\")"},
        {"USING btree (a DESC, b COLLATE \"C\" text_pattern_ops NULLS FIRST)",
            {" DESC", " COLLATE \"C\" text_pattern_ops NULLS FIRST"}, {"a", "b"}, 2, false, false,
            NULL, "USING btree (\"a\" DESC, \"bee\" COLLATE \"C\" text_pattern_ops NULLS FIRST)"},
        {"USING btree (a) INCLUDE (b, c) WITH (fillfactor='70')", {""}, {"a", "b", "c"}, 1, false,
            true, NULL, "USING btree (\"a\") INCLUDE (\"bee\", \"c\") WITH (fillfactor='70')"},
        {"USING btree (c) NULLS NOT DISTINCT", {""}, {"c"}, 1, false, true, NULL,
            "USING btree (c) NULLS NOT DISTINCT"},
        {"USING btree (abs(a)) WHERE (a > 0)", {""}, {"a"}, 1, true, false, NULL,
            "USING btree (abs(a)) WHERE (a > 0)"},
        {"USING btree (a, b)", {"", ""}, {"a", "b"}, 2, false, true, "bee",
            "USING btree (\"a\", \"bee\")"},
        {"USING btree (a)", {""}, {"a"}, 1, false, false, "bee", "USING btree (a)"},
    };
    Arena arena = ARENA_INIT;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        IndexBuild build = translate(&CASES[i], &arena);
        cr_expect(build.why_not == NULL, "%s: %s", CASES[i].definition, build.why_not);
        cr_expect_str_eq(build.definition, CASES[i].expected);
    }
    arena_reset(&arena);
}

Test(sql_index, what_cannot_be_carried_is_named_with_its_reason)
{
    static const Case CASES[] = {
        {"USING btree (d)", {""}, {"d"}, 1, false, false, NULL,
            "column \"d\" is not copied as it is"},
        {"USING btree (lower(b))", {""}, {"b"}, 1, true, false, NULL,
            "column \"b\", which has another name there"},
        {"USING btree (abs(c))", {""}, {"c"}, 1, true, false, NULL,
            "column \"c\", which is bigint there"},
        {"USING btree (a)", {""}, {"a"}, 1, false, true, "bee", "unique without column \"bee\""},
        {"USING btree (b siglen)", {""}, {"b"}, 1, false, false, NULL, "more than columns"},
        {NULL, {""}, {"a"}, 1, false, false, NULL, "not known"},
    };
    Arena arena = ARENA_INIT;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        IndexBuild build = translate(&CASES[i], &arena);
        cr_assert(build.why_not != NULL, "%s", CASES[i].expected);
        cr_expect(strstr(build.why_not, CASES[i].expected) != NULL, "%s", build.why_not);
    }
    arena_reset(&arena);
}

Test(sql_index, names_follow_the_table_and_fit)
{
    Arena arena = ARENA_INIT;
    static const char LONG[] = "a_table_with_a_name_that_leaves_no_room_for_anything_behind_it";
    cr_expect_str_eq(
        sql_index_name("orders_at_idx", "orders", "orders_v2", 0, &arena), "orders_v2_at_idx");
    cr_expect_str_eq(
        sql_index_name("by_date", "orders", "orders_v2", 0, &arena), "orders_v2_by_date");
    cr_expect_str_eq(sql_index_name("ordersat", "orders", "new", 2, &arena), "new_ordersat_2");
    const char *cut = sql_index_name("orders_at_idx", "orders", LONG, 12, &arena);
    cr_expect(le(sz, strlen(cut), 63));
    cr_expect(strstr(cut, "_at_idx_12") != NULL, "%s", cut);
    const char *wide = sql_index_name(
        "o_ññññññññññññññññññññññññññññññññññññññññ", "o", "ñññññññññññññññññññññññññ", 0, &arena);
    cr_expect(le(sz, strlen(wide), 63));
    size_t len = strlen(wide);
    bool ends_whole = (unsigned char)wide[len - 2] == 0xC3;
    cr_expect(ends_whole, "it is cut between two characters: %s", wide);
    arena_reset(&arena);
}

Test(sql_index, statements_quote_and_say_how)
{
    IndexBuild build = {.name = "A \"b\"",
        .unique = true,
        .definition = "USING btree (a)",
        .comment = "it's",
        .tablespace = "fast"};
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_index_create(&sql, &build, build.name, "\"s\".\"t\"", INDEX_CONCURRENTLY);
    cr_expect_str_eq(strbuf_text(&sql),
        "CREATE UNIQUE INDEX CONCURRENTLY \"A \"\"b\"\"\" ON \"s\".\"t\" USING btree (a)");
    strbuf_clear(&sql);
    build.unique = false;
    sql_index_create(&sql, &build, "p", "\"s\".\"p\"", INDEX_ONLY);
    cr_expect_str_eq(strbuf_text(&sql), "CREATE INDEX \"p\" ON ONLY \"s\".\"p\" USING btree (a)");
    strbuf_clear(&sql);
    sql_index_comment(&sql, &build, "s");
    cr_expect_str_eq(strbuf_text(&sql), "COMMENT ON INDEX \"s\".\"A \"\"b\"\"\" IS 'it''s'");
    strbuf_clear(&sql);
    sql_index_tablespace(&sql, &build);
    cr_expect_str_eq(strbuf_text(&sql), "SET default_tablespace = 'fast'");
}
