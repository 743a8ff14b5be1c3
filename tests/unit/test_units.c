#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/units.h"

static void
expect_value(UnitKind kind, const char *text, int64_t value)
{
    int64_t got = -1;
    Err err = ERR_INIT;
    cr_expect(units_parse(kind, text, &got, &err), "%s: %s", text, err.message);
    cr_expect(eq(i64, got, value), "%s", text);
}

static void
expect_refused(UnitKind kind, const char *text, const char *message)
{
    int64_t got;
    Err err = ERR_INIT;
    cr_expect(not(units_parse(kind, text, &got, &err)), "%s", text);
    cr_expect(eq(int, (int)err.cls, ERR_USER));
    cr_expect(strstr(err.message, message) != NULL, "'%s': %s", text, err.message);
}

Test(units, durations_are_microseconds)
{
    expect_value(UNIT_DURATION, "0ms", 0);
    expect_value(UNIT_DURATION, "200ms", 200000);
    expect_value(UNIT_DURATION, "2s", 2000000);
    expect_value(UNIT_DURATION, "5m", 300000000);
    expect_value(UNIT_DURATION, "1h", INT64_C(3600000000));
    expect_value(UNIT_DURATION, "1d", INT64_C(86400000000));
    expect_value(UNIT_DURATION, "1_000ms", 1000000);
}

Test(units, sizes_are_bytes_in_binary_multiples)
{
    expect_value(UNIT_SIZE, "512B", 512);
    expect_value(UNIT_SIZE, "10kB", 10240);
    expect_value(UNIT_SIZE, "256MB", 268435456);
    expect_value(UNIT_SIZE, "1GB", 1073741824);
    expect_value(UNIT_SIZE, "2TB", INT64_C(2199023255552));
}

Test(units, counts_may_have_separators_and_a_suffix)
{
    expect_value(UNIT_COUNT, "0", 0);
    expect_value(UNIT_COUNT, "007", 7);
    expect_value(UNIT_COUNT, "1_000_000", 1000000);
    expect_value(UNIT_COUNT, "10k", 10000);
    expect_value(UNIT_COUNT, "5M", 5000000);
}

Test(units, the_largest_values_fit_and_one_more_does_not)
{
    expect_value(UNIT_COUNT, "9223372036854775807", INT64_MAX);
    expect_refused(UNIT_COUNT, "9223372036854775808", "too large");
    expect_refused(UNIT_COUNT, "99999999999999999999999999999999999999999", "too large");
    expect_value(UNIT_COUNT, "9223372036854775k", INT64_C(9223372036854775000));
    expect_refused(UNIT_COUNT, "9223372036854776k", "too large");
    expect_value(UNIT_DURATION, "9223372036854775ms", INT64_C(9223372036854775000));
    expect_refused(UNIT_DURATION, "9223372036854776ms", "too large");
    expect_refused(UNIT_DURATION, "106751992d", "too large");
    expect_value(UNIT_SIZE, "8388607TB", INT64_C(8388607) << 40);
    expect_refused(UNIT_SIZE, "8388608TB", "too large");
    expect_refused(UNIT_SIZE, "9223372036854775808B", "too large");
}

Test(units, a_number_without_a_unit_is_refused_with_an_example)
{
    int64_t value;
    Err err = ERR_INIT;
    cr_assert(not(units_parse(UNIT_DURATION, "50", &value, &err)));
    cr_expect_str_eq(err.message, "\"50\" has no unit");
    cr_expect_str_eq(err.hint, "Write for instance 50ms or 50s.");
    err = ERR_INIT;
    cr_assert(not(units_parse(UNIT_SIZE, "256", &value, &err)));
    cr_expect_str_eq(err.hint, "Write for instance 256kB or 256MB.");
}

Test(units, what_is_not_a_number_with_a_known_unit_is_refused)
{
    static const char *const WRONG[] = {"", " ", "-1s", "+1s", "1.5s", "1e3s", "0x10s", "s", "1 s",
        " 1s", "1s ", "1_s", "_1s", "1__0s", "1S", "1ss", "1sec", "1min", "1us", "1h30m",
        "\xd9\xa1s", "1s\n"};
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        expect_refused(UNIT_DURATION, WRONG[i], "is not a duration");
    }
    expect_refused(UNIT_SIZE, "1KB", "is not a size");
    expect_refused(UNIT_SIZE, "1mb", "is not a size");
    expect_refused(UNIT_SIZE, "1MiB", "is not a size");
    expect_refused(UNIT_COUNT, "1K", "is not a count");
    expect_refused(UNIT_COUNT, "1m", "is not a count");
    expect_refused(UNIT_COUNT, "1,000", "is not a count");
    expect_refused(UNIT_COUNT, "ten", "is not a count");
}

Test(units, control_characters_of_a_value_do_not_reach_the_message)
{
    expect_refused(UNIT_COUNT, "\x1b[31m", "\"?[31m\" is not a count");
}
