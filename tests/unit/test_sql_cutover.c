/*
 * test_sql_cutover.c - each thing that is carried over becomes statements, and statements that take
 * it back, for the names that the tables have then.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/sql_cutover.h"

static const CutoverNames NAMES = {
    .schema = "shop", .source = "or\"ders", .into = "v2", .old = "or\"ders_old"};

#define LIVE "\"shop\".\"or\"\"ders\""
#define OLD  "\"shop\".\"or\"\"ders_old\""
#define INTO "\"shop\".\"v2\""

static void
expect_text(const char *is, const char *wanted)
{
    cr_assert(eq(int, wanted == NULL, is == NULL), "%s", is == NULL ? "NULL" : is);
    if (is != NULL) {
        cr_expect(zero(int, strcmp(is, wanted)), "%s\ninstead of\n%s", is, wanted);
    }
}

typedef struct Expected {
    CarryItem item;
    const char *sql, *undo, *later, *undo_later;
} Expected;

static const Expected CASES[] = {
    {{CARRY_OWNER, "a b", NULL, INTO, NULL, NULL, false}, "ALTER TABLE " INTO " OWNER TO \"a b\"",
        NULL, NULL, NULL},
    {{CARRY_GRANT, NULL, NULL, NULL, "SELECT", NULL, false},
        "GRANT SELECT ON TABLE " INTO " TO PUBLIC", NULL, NULL, NULL},
    {{CARRY_GRANT, "app", "c\"d", NULL, "UPDATE", NULL, true},
        "GRANT UPDATE (\"c\"\"d\") ON TABLE " INTO " TO \"app\" WITH GRANT OPTION", NULL, NULL,
        NULL},
    {{CARRY_GRANT, "app", NULL, "s.seq", "USAGE", NULL, false},
        "GRANT USAGE ON SEQUENCE s.seq TO \"app\"", NULL, NULL, NULL},
    {{CARRY_COMMENT, NULL, "c", NULL, "it's\\", NULL, false},
        "COMMENT ON COLUMN " INTO ".\"c\" IS 'it''s\\'", NULL, NULL, NULL},
    {{CARRY_CHECK, "k", NULL, NULL, "CHECK (a)", NULL, true},
        "ALTER TABLE " INTO " ADD CONSTRAINT \"k\" CHECK (a) NOT VALID", NULL,
        "ALTER TABLE " INTO " VALIDATE CONSTRAINT \"k\"", NULL},
    {{CARRY_CHECK, "k", NULL, NULL, "CHECK (a)", "there", true}, NULL, NULL,
        "ALTER TABLE " INTO " VALIDATE CONSTRAINT \"k\"", NULL},
    {{CARRY_OWNED, "id", "key", "s.seq", NULL, NULL, false},
        "ALTER SEQUENCE s.seq OWNED BY " LIVE ".\"key\"",
        "ALTER SEQUENCE s.seq OWNED BY " LIVE ".\"id\"", NULL, NULL},
    {{CARRY_OWNED, "id", "key", "s.seq", NULL, "bigint", false},
        "ALTER SEQUENCE s.seq AS bigint OWNED BY " LIVE ".\"key\"",
        "ALTER SEQUENCE s.seq OWNED BY " LIVE ".\"id\"", NULL, NULL},
    {{CARRY_FOREIGN, "f", NULL, NULL, "FK", "FK", true},
        "ALTER TABLE " OLD " DROP CONSTRAINT IF EXISTS \"f\";\n"
        "ALTER TABLE " LIVE " ADD CONSTRAINT \"f\" FK NOT VALID",
        "ALTER TABLE " INTO " DROP CONSTRAINT IF EXISTS \"f\";\n"
        "ALTER TABLE " LIVE " ADD CONSTRAINT \"f\" FK NOT VALID",
        "ALTER TABLE " LIVE " VALIDATE CONSTRAINT \"f\"",
        "ALTER TABLE " LIVE " VALIDATE CONSTRAINT \"f\""},
    {{CARRY_FOREIGN, "f", NULL, NULL, NULL, "FK", false},
        "ALTER TABLE " OLD " DROP CONSTRAINT IF EXISTS \"f\"",
        "ALTER TABLE " LIVE " ADD CONSTRAINT \"f\" FK NOT VALID", NULL, NULL},
    {{CARRY_TRIGGER, "t", NULL, NULL, "CREATE TRIGGER t", "A", false},
        "ALTER TABLE " OLD " DISABLE TRIGGER \"t\";\nCREATE TRIGGER t;\n"
        "ALTER TABLE " LIVE " ENABLE ALWAYS TRIGGER \"t\"",
        "DROP TRIGGER IF EXISTS \"t\" ON " INTO ";\n"
        "ALTER TABLE " LIVE " ENABLE ALWAYS TRIGGER \"t\"",
        NULL, NULL},
    {{CARRY_TRIGGER, "t", NULL, NULL, NULL, "O", false},
        "ALTER TABLE " OLD " DISABLE TRIGGER \"t\"", "ALTER TABLE " LIVE " ENABLE TRIGGER \"t\"",
        NULL, NULL},
    {{CARRY_VIEW, NULL, NULL, "s.v", "SELECT 1", "security_barrier=true", false},
        "CREATE OR REPLACE VIEW s.v WITH (security_barrier=true) AS\nSELECT 1",
        "CREATE OR REPLACE VIEW s.v WITH (security_barrier=true) AS\nSELECT 1", NULL, NULL},
    {{CARRY_LOST, NULL, NULL, NULL, "a rule", NULL, false}, NULL, NULL, NULL, NULL},
};

Test(sql_cutover, each_thing_has_its_statements_there_and_back)
{
    Arena arena = ARENA_INIT;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        CutoverStep step;
        sql_cutover_step(&NAMES, &CASES[i].item, &arena, &step);
        cr_expect(step.what != NULL && step.what[0] != '\0');
        expect_text(step.sql, CASES[i].sql);
        expect_text(step.undo, CASES[i].undo);
        expect_text(step.later, CASES[i].later);
        expect_text(step.undo_later, CASES[i].undo_later);
    }
    arena_reset(&arena);
}

Test(sql_cutover, rename_makes_room_before_it_takes_the_name)
{
    Arena arena = ARENA_INIT;
    CutoverStep step;
    sql_cutover_rename(&NAMES, &arena, &step);
    expect_text(step.sql, "ALTER TABLE " LIVE " RENAME TO \"or\"\"ders_old\";\n"
                          "ALTER TABLE " INTO " RENAME TO \"or\"\"ders\"");
    expect_text(step.undo, "ALTER TABLE " LIVE " RENAME TO \"v2\";\n"
                           "ALTER TABLE " OLD " RENAME TO \"or\"\"ders\"");
    arena_reset(&arena);
}

Test(sql_cutover, tables_beside_are_locked_first_or_last)
{
    static const char *const TABLES[] = {INTO, LIVE};
    static const char *const OTHERS[] = {"a.b", "c.d"};
    STRBUF_AUTO last = STRBUF_INIT;
    STRBUF_AUTO first = STRBUF_INIT;
    sql_cutover_lock(&last, TABLES, OTHERS, 2, false);
    expect_text(
        strbuf_text(&last), "LOCK TABLE " INTO ", " LIVE ", a.b, c.d IN ACCESS EXCLUSIVE MODE");
    sql_cutover_lock(&first, TABLES, OTHERS, 2, true);
    expect_text(
        strbuf_text(&first), "LOCK TABLE a.b, c.d, " INTO ", " LIVE " IN ACCESS EXCLUSIVE MODE");
}

Test(sql_cutover, kinds_that_wait_for_the_swap_come_after_those_that_do_not)
{
    for (int kind = 1; kind < CARRY_KIND_COUNT; kind++) {
        cr_expect(
            sql_cutover_is_early((CarryKind)(kind - 1)) || !sql_cutover_is_early((CarryKind)kind),
            "%s", carrykind_name((CarryKind)kind));
    }
}
