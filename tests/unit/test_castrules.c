#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "core/castrules.h"

#define NUMERIC(p, s) ((((p) << 16) | ((s)&0x7ff)) + 4)

typedef struct Case {
    CastType from;
    CastType to;
    bool lossy;
} Case;

static void
check(const Case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cr_expect(eq(int, castrules_lossy(cases[i].from, cases[i].to), cases[i].lossy),
            "%s(%d) to %s(%d)", cases[i].from.name, cases[i].from.modifier, cases[i].to.name,
            cases[i].to.modifier);
    }
}
#define CHECK(cases) check(cases, sizeof(cases) / sizeof((cases)[0]))

Test(castrules, rounding_and_dropping_types_are_lossy)
{
    static const Case CASES[] = {
        {{"numeric", -1}, {"int4", -1}, true},
        {{"float8", -1}, {"float4", -1}, true},
        {{"int8", -1}, {"float8", -1}, true},
        {{"float8", -1}, {"numeric", -1}, true},
        {{"timestamptz", -1}, {"date", -1}, true},
        {{"timestamptz", -1}, {"timestamp", -1}, true},
        {{"text", -1}, {"name", -1}, true},
        {{"json", -1}, {"jsonb", -1}, true},
        {{"inet", -1}, {"cidr", -1}, true},
    };
    CHECK(CASES);
}

Test(castrules, raising_and_widening_assignments_are_not_lossy)
{
    static const Case CASES[] = {
        {{"int8", -1}, {"int2", -1}, false},
        {{"int4", -1}, {"float8", -1}, false},
        {{"int4", -1}, {"numeric", NUMERIC(10, 2)}, false},
        {{"text", -1}, {"varchar", 3 + 4}, false},
        {{"text", -1}, {"bpchar", 3 + 4}, false},
        {{"date", -1}, {"timestamp", 0}, false},
        {{"int4", -1}, {"text", -1}, false},
        {{"jsonb", -1}, {"json", -1}, false},
        {{"cidr", -1}, {"inet", -1}, false},
        {{"money", -1}, {"numeric", -1}, false},
        {{"citext", -1}, {"hstore", -1}, false},
    };
    CHECK(CASES);
}

Test(castrules, a_smaller_scale_is_lossy)
{
    static const Case CASES[] = {
        {{"numeric", -1}, {"numeric", -1}, false},
        {{"numeric", -1}, {"numeric", NUMERIC(10, 2)}, true},
        {{"numeric", NUMERIC(10, 2)}, {"numeric", -1}, false},
        {{"numeric", NUMERIC(10, 2)}, {"numeric", NUMERIC(10, 2)}, false},
        {{"numeric", NUMERIC(10, 2)}, {"numeric", NUMERIC(5, 2)}, false},
        {{"numeric", NUMERIC(10, 3)}, {"numeric", NUMERIC(10, 2)}, true},
        {{"numeric", NUMERIC(10, 0)}, {"numeric", NUMERIC(10, -2)}, true},
        {{"int4", -1}, {"numeric", NUMERIC(5, -2)}, true},
        {{"money", -1}, {"numeric", NUMERIC(10, 2)}, true},
    };
    CHECK(CASES);
}

Test(castrules, fewer_digits_of_the_second_are_lossy)
{
    static const Case CASES[] = {
        {{"timestamp", -1}, {"timestamp", 0}, true},
        {{"timestamp", -1}, {"timestamptz", 6}, false},
        {{"timestamp", 3}, {"timestamp", 3}, false},
        {{"timestamp", 3}, {"timestamptz", 0}, true},
        {{"time", 2}, {"timetz", 4}, false},
        {{"interval", -1}, {"interval", 0x7fff0000}, true},
        {{"interval", 0x7fff0000}, {"interval", 0x7fff0000}, false},
        {{"interval", 0x7fff0000}, {"interval", -1}, false},
    };
    CHECK(CASES);
}

Test(castrules, arrays_follow_their_elements)
{
    static const Case CASES[] = {
        {{"_numeric", -1}, {"_int4", -1}, true},
        {{"_numeric", -1}, {"_numeric", NUMERIC(10, 2)}, true},
        {{"_int4", -1}, {"_int8", -1}, false},
        {{"_int4", -1}, {"text", -1}, false},
    };
    CHECK(CASES);
}

Test(castrules, what_may_be_too_long_or_have_too_many_digits_is_narrower)
{
    static const struct {
        CastType from;
        CastType to;
        bool narrower;
    } CASES[] = {
        {{"text", -1}, {"varchar", 14}, true},
        {{"varchar", 24}, {"varchar", 14}, true},
        {{"varchar", 14}, {"varchar", 14}, false},
        {{"varchar", 14}, {"text", -1}, false},
        {{"bpchar", 14}, {"varchar", 24}, false},
        {{"_varchar", 24}, {"_varchar", 14}, true},
        {{"int8", -1}, {"int4", -1}, true},
        {{"int4", -1}, {"int8", -1}, false},
        {{"int4", -1}, {"numeric", NUMERIC(10, 0)}, false},
        {{"int4", -1}, {"numeric", NUMERIC(10, 2)}, true},
        {{"numeric", -1}, {"int8", -1}, true},
        {{"numeric", -1}, {"numeric", NUMERIC(10, 2)}, true},
        {{"numeric", NUMERIC(12, 2)}, {"numeric", NUMERIC(10, 2)}, true},
        {{"numeric", NUMERIC(10, 4)}, {"numeric", NUMERIC(10, 2)}, false},
        {{"numeric", NUMERIC(10, 2)}, {"numeric", -1}, false},
        {{"bit", 8}, {"bit", 4}, true},
        {{"bit", 4}, {"bit", 8}, true},
        {{"bit", 4}, {"varbit", 8}, false},
        {{"text", -1}, {"int4", -1}, false},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        cr_expect(eq(int, CASES[i].narrower, castrules_narrower(CASES[i].from, CASES[i].to)),
            "%s(%d) to %s(%d)", CASES[i].from.name, CASES[i].from.modifier, CASES[i].to.name,
            CASES[i].to.modifier);
    }
}
