#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#include "core/prng.h"
#include "pg/query.h"

static void
expect_items(const char *text, const char *const *expected, int expected_count)
{
    Arena arena = ARENA_INIT;
    Err err = ERR_INIT;
    const char **items = NULL;
    int count = -1;
    cr_assert(pg_array_parse(text, &arena, &items, &count, &err), "%s: %s", text, err.message);
    cr_assert(eq(int, count, expected_count), "%s", text);
    for (int i = 0; i < count; i++) {
        if (expected[i] == NULL) {
            cr_expect(items[i] == NULL, "%s: item %d", text, i);
        } else {
            cr_assert(items[i] != NULL, "%s: item %d", text, i);
            cr_expect(
                zero(int, strcmp(items[i], expected[i])), "%s: item %d is %s", text, i, items[i]);
        }
    }
    arena_reset(&arena);
}
#define ITEMS(text, ...)                                                                           \
    expect_items(text, (const char *const[]){__VA_ARGS__},                                         \
        (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)))

Test(array, empty_array_has_no_items)
{
    expect_items("{}", NULL, 0);
}

Test(array, items_as_the_server_prints_them)
{
    ITEMS("{a}", "a");
    ITEMS("{a,b c,-1.5}", "a", "b c", "-1.5");
    ITEMS("{\"\"}", "");
    ITEMS("{\"a,b\",\"{}\",\"say \\\"hi\\\"\",\"back\\\\slash\"}", "a,b", "{}", "say \"hi\"",
        "back\\slash");
    ITEMS("{\"line\nbreak\",\"\xf0\x9f\x98\x80\"}", "line\nbreak", "\xf0\x9f\x98\x80");
}

Test(array, only_an_unquoted_null_is_null)
{
    ITEMS("{NULL,\"NULL\",NULLS}", NULL, "NULL", "NULLS");
}

Test(array, text_that_no_server_prints_is_an_error)
{
    static const char *const HOSTILE[] = {"", "a", "{", "{a", "{a,", "{\"a", "{\"a\\", "{\"a\"b}",
        "{a}b", "{}}", "{\\", "[0:1]={a,b}", "}"};
    for (size_t i = 0; i < sizeof(HOSTILE) / sizeof(HOSTILE[0]); i++) {
        Arena arena = ARENA_INIT;
        Err err = ERR_INIT;
        const char **items = NULL;
        int count = 0;
        cr_expect(not(pg_array_parse(HOSTILE[i], &arena, &items, &count, &err)), "%s", HOSTILE[i]);
        cr_expect(eq(int, err.cls, ERR_FATAL), "%s", HOSTILE[i]);
        arena_reset(&arena);
    }
}

Test(array, hostile_items_survive_the_way_there_and_back)
{
    static const char *const ITEMS_THERE[] = {"", "NULL", "null", NULL, "{", "}", "{}", ",", "\"",
        "\\", "\\\"", "\\\\", " ", "\t\n\r", "'; DROP TABLE t; --", "\x01\x7f", "\xc3\xa9", "a\\"};
    Arena arena = ARENA_INIT;
    int count = (int)(sizeof(ITEMS_THERE) / sizeof(ITEMS_THERE[0]));
    expect_items(pg_array_format(ITEMS_THERE, count, &arena), ITEMS_THERE, count);
    arena_reset(&arena);
}

Test(array, any_bytes_survive_the_way_there_and_back)
{
    static const char ALPHABET[] = "{},\"\\ NULab\n\xc3\xa9";
    Prng prng;
    prng_init(&prng, 42);
    for (int round = 0; round < 2000; round++) {
        Arena arena = ARENA_INIT;
        const char *items[4];
        int count = (int)prng_between(&prng, 0, 4);
        for (int i = 0; i < count; i++) {
            size_t len = (size_t)prng_between(&prng, 0, 7);
            char *text = arena_alloc(&arena, len + 1);
            for (size_t c = 0; c < len; c++) {
                text[c] = ALPHABET[prng_between(&prng, 0, (int64_t)sizeof(ALPHABET) - 2)];
            }
            text[len] = '\0';
            items[i] = text;
        }
        expect_items(pg_array_format(items, count, &arena), items, count);
        arena_reset(&arena);
    }
}
