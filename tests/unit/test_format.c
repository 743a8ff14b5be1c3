#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "core/format.h"

#define MS ((int64_t)1000)
#define S  ((int64_t)1000000)

typedef struct Case {
    int64_t value;
    char *text;
} Case;

typedef const char *FormatFunction(int64_t value, char buf[static FORMAT_SIZE]);

static void
check(FormatFunction *format, const Case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char buf[FORMAT_SIZE];
        cr_assert(format(cases[i].value, buf) == buf);
        cr_assert(eq(str, buf, cases[i].text));
    }
}

#define CHECK(format, cases) check((format), (cases), sizeof(cases) / sizeof((cases)[0]))

Test(format, durations_read_naturally_at_every_scale)
{
    static const Case CASES[] = {
        {-1, "unknown"},
        {0, "0 us"},
        {420, "420 us"},
        {999, "999 us"},
        {1 * MS, "1 ms"},
        {350 * MS, "350 ms"},
        {999 * MS + 499, "999 ms"},
        {999 * MS + 500, "1.0 s"},
        {3200 * MS, "3.2 s"},
        {9949 * MS, "9.9 s"},
        {9950 * MS, "10 s"},
        {41 * S, "41 s"},
        {59499 * MS, "59 s"},
        {59500 * MS, "1m 00s"},
        {60 * S, "1m 00s"},
        {185 * S, "3m 05s"},
        {3600 * S - 1, "59m 59s"},
        {3600 * S, "1h 00m"},
        {7380 * S, "2h 03m"},
        {86400 * S - 1, "23h 59m"},
        {86400 * S, "1d 00h"},
        {(3 * 86400 + 4 * 3600) * S, "3d 04h"},
        {INT64_MAX, "106751991d 04h"},
    };
    CHECK(format_duration, CASES);
}

Test(format, counts_have_three_digits)
{
    static const Case CASES[] = {
        {0, "0"},
        {7, "7"},
        {999, "999"},
        {1000, "1.00 k"},
        {1239, "1.24 k"},
        {9994, "9.99 k"},
        {9996, "10.0 k"},
        {99940, "99.9 k"},
        {99960, "100 k"},
        {999499, "999 k"},
        {999500, "1.00 M"},
        {1240000, "1.24 M"},
        {12400000, "12.4 M"},
        {10000000000, "10.0 G"},
        {INT64_MAX, "9223372 T"},
        {-5, "-5"},
    };
    CHECK(format_count, CASES);
}

Test(format, bytes_step_by_1024_as_the_servers_do)
{
    static const Case CASES[] = {
        {0, "0 bytes"},
        {999, "999 bytes"},
        {1000, "1000 bytes"},
        {1023, "1023 bytes"},
        {1024, "1.00 kB"},
        {1536, "1.50 kB"},
        {12897485, "12.3 MB"},
        {(int64_t)256 << 20, "256 MB"},
        {(int64_t)1023 << 20, "1023 MB"},
        {((int64_t)1 << 30) - 1, "1.00 GB"},
        {(int64_t)10 << 30, "10.0 GB"},
        {(int64_t)3 << 40, "3.00 TB"},
        {INT64_MAX, "8192 PB"},
    };
    CHECK(format_bytes, CASES);
}

Test(format, percent_is_cut_off_so_that_100_means_all)
{
    static const struct {
        double share;
        char *text;
    } CASES[] = {
        {0.0, "0.0 %"},
        {0.29, "29.0 %"},
        {0.5, "50.0 %"},
        {0.9985, "99.8 %"},
        {0.9999, "99.9 %"},
        {0.999999, "99.9 %"},
        {1.0, "100.0 %"},
        {1.7, "100.0 %"},
        {-0.1, "0.0 %"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        char buf[FORMAT_SIZE];
        (void)format_percent(CASES[i].share, buf);
        cr_assert(eq(str, buf, CASES[i].text));
    }
}
