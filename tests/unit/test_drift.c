/*
 * test_drift.c - two signatures of a table, and the words for their difference.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "core/drift.h"

#define ITEMS 5

static const char *const RECORDED[ITEMS] = {
    "table\t16384\tpublic.app\tr\tp\tf",
    "column\t1\tid\tbigint\t0\t\tt",
    "column\t4\tamount\tnumeric\t0\t\tt",
    "key",
    "trigger\t16500\tzzzz_pghaul_1\tA\t739\t737",
};

static NameList
list_of(const char **items, int count)
{
    return (NameList){.names = items, .count = count};
}

/* What is said when item `index` is `present` (NULL: gone). */
static void
check_change(int index, const char *present, DriftKind kind, const char *words)
{
    const char *recorded[ITEMS];
    const char *now[ITEMS];
    int count = 0;
    for (int i = 0; i < ITEMS; i++) {
        recorded[i] = RECORDED[i];
        const char *item = i == index ? present : RECORDED[i];
        if (item != NULL) {
            now[count++] = item;
        }
    }
    NameList before = list_of(recorded, ITEMS);
    NameList after = list_of(now, count);
    STRBUF_AUTO text = STRBUF_INIT;
    cr_expect(eq(int, kind, drift_describe(&before, &after, &text)), "%s", words);
    cr_expect(eq(str, (char *)(uintptr_t)words, (char *)(uintptr_t)strbuf_text(&text)));
}

Test(drift, same_signatures_have_no_difference)
{
    check_change(0, RECORDED[0], DRIFT_NONE, "");
}

Test(drift, changes_of_the_table_are_named)
{
    check_change(0, "table\t16384\tpublic.app_old\tr\tp\tf", DRIFT_TABLE,
        "the table was renamed to public.app_old");
    check_change(
        0, "table\t16384\tpublic.app\tv\tp\tf", DRIFT_TABLE, "the table is of another kind now");
    check_change(0, "table\t16384\tpublic.app\tr\tu\tf", DRIFT_TABLE, "the table was set UNLOGGED");
    check_change(0, "table\t16384\tpublic.app\tr\tp\tt", DRIFT_TABLE,
        "the table has row security now that hides rows from the role of the job");
    check_change(0, NULL, DRIFT_TABLE, "the table was dropped");
}

Test(drift, changes_of_a_column_are_named)
{
    check_change(2, "column\t4\tamount_old\tnumeric\t0\t\tt", DRIFT_COLUMN,
        "column amount was renamed to amount_old");
    check_change(2, "column\t4\tamount\tnumeric(9,2)\t0\t\tt", DRIFT_COLUMN,
        "column amount has type numeric(9,2) now, it had numeric");
    check_change(2, "column\t4\tamount\tnumeric\t950\t\tt", DRIFT_COLUMN,
        "column amount has another collation now");
    check_change(2, "column\t4\tamount\tnumeric\t0\ts\tt", DRIFT_COLUMN,
        "column amount is generated otherwise now");
    check_change(
        1, "column\t1\tid\tbigint\t0\t\tf", DRIFT_COLUMN, "column id of the key may be NULL now");
    check_change(2, NULL, DRIFT_COLUMN, "column amount was dropped");
}

Test(drift, changes_of_key_and_triggers_are_named)
{
    check_change(3, NULL, DRIFT_KEY, "the unique index on the key was dropped");
    check_change(4, NULL, DRIFT_TRIGGER, "trigger zzzz_pghaul_1 was dropped");
    check_change(4, "trigger\t16500\tother\tA\t740\t737", DRIFT_TRIGGER,
        "trigger zzzz_pghaul_1 was renamed to other");
    check_change(4, "trigger\t16500\tzzzz_pghaul_1\tD\t740\t737", DRIFT_TRIGGER,
        "trigger zzzz_pghaul_1 was disabled");
    check_change(4, "trigger\t16500\tzzzz_pghaul_1\tO\t740\t737", DRIFT_TRIGGER,
        "trigger zzzz_pghaul_1 fires at other times now (ENABLE ..)");
    check_change(4, "trigger\t16500\tzzzz_pghaul_1\tA\t740\t737", DRIFT_TRIGGER,
        "trigger zzzz_pghaul_1 was changed, or disabled for a while");
    check_change(4, "trigger\t16500\tzzzz_pghaul_1\tA\t739\t741", DRIFT_TRIGGER,
        "trigger zzzz_pghaul_1 has another version of its function now");
}

Test(drift, what_was_added_is_named)
{
    const char *recorded[] = {RECORDED[0], RECORDED[4]};
    const char *now[] = {RECORDED[0], "trigger\t16490\tmine\tO\t740", RECORDED[4]};
    NameList before = list_of(recorded, 2);
    NameList after = list_of(now, 3);
    STRBUF_AUTO text = STRBUF_INIT;
    cr_expect(eq(int, DRIFT_TRIGGER, drift_describe(&before, &after, &text)));
    cr_expect(eq(str, (char *)(uintptr_t)strbuf_text(&text), "trigger mine was added"));
}

/* Names swapped: the table comes first, then the lowest column. */
Test(drift, first_of_several_differences_is_named)
{
    const char *recorded[] = {"column\t2\ta\ttext", "column\t3\tb\ttext"};
    const char *now[] = {"column\t2\tb\ttext", "column\t3\ta\ttext"};
    NameList before = list_of(recorded, 2);
    NameList after = list_of(now, 2);
    STRBUF_AUTO text = STRBUF_INIT;
    cr_expect(eq(int, DRIFT_COLUMN, drift_describe(&before, &after, &text)));
    cr_expect(eq(str, (char *)(uintptr_t)strbuf_text(&text), "column a was renamed to b"));
}
