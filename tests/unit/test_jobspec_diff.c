#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#include "core/jobfile.h"
#include "core/jobspec_diff.h"

#define FILE_OF(rest) "job: j\nbackfill: orders\n" rest
#define SET_ONE       "set:\n  amount: amount_text::numeric\n"

static JobSpec
parse(Arena *arena, const char *text)
{
    JobSpec spec;
    Err err = ERR_INIT;
    cr_assert(jobfile_parse("j.yaml", text, strlen(text), arena, &spec, &err), "%s", err.message);
    return spec;
}

static void
expect_changes(const char *was_text, const char *is_text, int count, const char *expected)
{
    Arena arena = ARENA_INIT;
    JobSpec was = parse(&arena, was_text);
    JobSpec is = parse(&arena, is_text);
    STRBUF_AUTO changes = STRBUF_INIT;
    cr_expect(eq(int, jobspec_compare(&changes, &was, &is), count));
    cr_expect(zero(int, strcmp(strbuf_text(&changes), expected)), "%s, expected %s",
        strbuf_text(&changes), expected);
    arena_reset(&arena);
}

Test(jobspec_diff, settings_that_may_change_do_not_count)
{
    expect_changes(FILE_OF(SET_ONE),
        FILE_OF(SET_ONE "workers: 7\nthrottle: {lag: 9s}\nlimits: {rows: 5}\nstripes: 3\n"
                        "allow: [stable]\nverify: none\nvacuum: off\nstrict: true\n"),
        0, "");
}

Test(jobspec_diff, every_key_that_decides_is_named_with_both_values)
{
    static const struct {
        const char *rest;
        const char *expected;
    } CASES[] = {
        {"set:\n  amount: amount_text::int\n",
            "set.amount was \"amount_text::numeric\", is \"amount_text::int\""},
        {SET_ONE "where: id > 3\n", "where was absent, is \"id > 3\""},
        {SET_ONE "key: [a, b]\n", "key was absent, is \"a, b\""},
        {SET_ONE "path: key\n", "path was \"auto\", is \"key\""},
        {SET_ONE "sync: none\n", "sync was absent, is \"none\""},
        {SET_ONE "search_path: [app]\n", "search_path was absent, is \"app\""},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        char text[256];
        (void)snprintf(text, sizeof(text), FILE_OF("%s"), CASES[i].rest);
        expect_changes(FILE_OF(SET_ONE), text, 1, CASES[i].expected);
    }
    expect_changes(FILE_OF(SET_ONE "where: id > 3\nsync: trigger\n"), FILE_OF(SET_ONE), 2,
        "where was \"id > 3\", is absent; sync was \"trigger\", is absent");
}

Test(jobspec_diff, table_is_compared_as_sql_reads_names)
{
    static const char OTHER[] = "job: j\nbackfill: %s\n" SET_ONE;
    static const struct {
        const char *table;
        int count;
        const char *expected;
    } CASES[] = {
        {"Orders", 0, ""},
        {"public.orders", 0, ""},
        {"'\"Orders\"'", 1, "backfill was \"orders\", is '\"Orders\"'"},
        {"order", 1, "backfill was \"orders\", is \"order\""},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        char text[256];
        (void)snprintf(text, sizeof(text), OTHER, CASES[i].table);
        expect_changes(FILE_OF(SET_ONE), text, CASES[i].count, CASES[i].expected);
    }
}

Test(jobspec_diff, columns_that_come_go_and_change_places_are_told)
{
    expect_changes(FILE_OF("set: {a: '1', b: '2'}\n"), FILE_OF("set: {b: '2', c: '3'}\n"), 2,
        "set.a was \"1\", is absent; set.c was absent, is \"3\"");
    expect_changes(FILE_OF("set: {a: '1', b: '2'}\n"), FILE_OF("set: {b: '2', a: '1'}\n"), 1,
        "the columns of set are in another order");
}

#define COPY_OF(rest) "job: j\ncopy: orders\ninto: new_orders\n" rest

Test(jobspec_diff, every_key_of_a_copy_that_decides_is_named)
{
    static const struct {
        const char *rest;
        const char *expected;
    } CASES[] = {
        {"map: {a: b}\n", "map.a was absent, is \"b\""},
        {"reverse_map: {a: b}\n", "reverse_map.a was absent, is \"b\""},
        {"on_conflict: skip\n", "on_conflict was \"error\", is \"skip\""},
        {"indexes: after\n", "indexes was \"before\", is \"after\""},
        {"from: host=secret\n", "from is another connection string"},
        {"to: host=secret\n", "to is another connection string"},
        {"limits: {log_bytes: 1GB}\n", "limits.log_bytes was \"10.0 GB\", is \"1.00 GB\""},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        char text[256];
        (void)snprintf(text, sizeof(text), COPY_OF("%s"), CASES[i].rest);
        expect_changes(COPY_OF(""), text, CASES[i].expected[0] == '\0' ? 0 : 1, CASES[i].expected);
    }
    expect_changes(COPY_OF(""), "job: j\ncopy: old\ninto: public.new_orders\n", 1,
        "copy was \"orders\", is \"old\"");
    expect_changes(COPY_OF(""), "job: j\ncopy: orders\ninto: newer\n", 1,
        "into was \"new_orders\", is \"newer\"");
    expect_changes(COPY_OF(""), FILE_OF(SET_ONE), 2,
        "the kind was \"copy\", is \"backfill\"; "
        "set.amount was absent, is \"amount_text::numeric\"");
}

#define PURGE_OF(rest) "job: j\npurge: orders\nwhere: old\n" rest

Test(jobspec_diff, of_a_purge_only_what_becomes_of_the_rows_decides)
{
    static const struct {
        const char *rest;
        const char *expected;
    } CASES[] = {
        {"archive: /b\n", "archive was \"/a\", is \"/b\""},
        {"into: kept\n", "into was absent, is \"kept\"; archive was \"/a\", is absent"},
        {"archive: /a\nchildren: delete\n", "children was \"refuse\", is \"delete\""},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        char text[256];
        (void)snprintf(text, sizeof(text), PURGE_OF("%s"), CASES[i].rest);
        expect_changes(PURGE_OF("archive: /a\n"), text, i == 1 ? 2 : 1, CASES[i].expected);
    }
    expect_changes(PURGE_OF("archive: /a\n"),
        PURGE_OF("archive: {path: /a, level: 19}\nschedule: {window: 01:00-02:00 UTC}\n"
                 "limits: {rows: 5}\nvacuum_truncate: off\n"),
        0, "");
    expect_changes("job: j\nrestore: t\narchive: /a\n",
        "job: j\nrestore: t\narchive: /a\narchive_run: 12\n", 1,
        "archive_run was absent, is \"12\"");
}

Test(jobspec_diff, long_values_are_shown_from_shortly_before_their_first_difference)
{
#define LONG "upper(amount_text) || upper(amount_text) || upper(amount_text) || upper("
    expect_changes(FILE_OF("set: {a: '" LONG "x)'}\n"), FILE_OF("set: {a: '" LONG "y)'}\n"), 1,
        "set.a was ..., \"nt_text) || upper(x)\", is ..., \"nt_text) || upper(y)\"");
}

Test(jobspec_diff, sentence_says_what_changed_or_that_the_table_did)
{
    Arena arena = ARENA_INIT;
    JobSpec was = parse(&arena, FILE_OF(SET_ONE));
    JobSpec is = parse(&arena, FILE_OF(SET_ONE "where: id > 3\n"));
    const char *text = jobspec_changed_text(&was, &is, &arena);
    cr_expect(ne(ptr, (void *)strstr(text, "the job file of j no longer says"), NULL));
    cr_expect(ne(ptr, (void *)strstr(text, ": where was absent"), NULL), "%s", text);
    text = jobspec_changed_text(&was, &was, &arena);
    cr_expect(ne(ptr, (void *)strstr(text, "the table of job j changed"), NULL), "%s", text);
    text = jobspec_changed_text(NULL, &is, &arena);
    cr_expect(ne(ptr, (void *)strstr(text, "something else"), NULL), "%s", text);
    text = jobspec_changed_hint(&is, &arena);
    cr_expect(ne(ptr, (void *)strstr(text, "pghaul clean j"), NULL), "%s", text);
    arena_reset(&arena);
}
