/*
 * What a window may look like, and where the caret points when it does not.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/jobfile.h"
#include "core/window.h"

Test(window, begin_end_and_zone_are_read)
{
    static const struct {
        const char *text;
        int begin, end;
        const char *zone;
    } GOOD[] = {
        {"01:00-05:00 Europe/Berlin", 60, 300, "Europe/Berlin"},
        {"22:30-02:15 America/New_York", 1350, 135, "America/New_York"},
        {"00:00-24:00 UTC", 0, 1440, "UTC"},
        {"22:00-24:00\tEtc/GMT+5", 1320, 1440, "Etc/GMT+5"},
        {"23:59-00:00   Asia/Kathmandu", 1439, 0, "Asia/Kathmandu"},
    };
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++) {
        Arena arena = ARENA_INIT;
        Err err = ERR_INIT;
        int at = 0;
        WindowSpec window = {.text = GOOD[i].text};
        cr_assert(window_parse(&window, &arena, &at, &err), "%s: %s", GOOD[i].text, err.message);
        cr_expect(eq(int, window.begin_minute, GOOD[i].begin));
        cr_expect(eq(int, window.end_minute, GOOD[i].end));
        cr_expect(eq(int, strcmp(window.zone, GOOD[i].zone), 0), "%s", window.zone);
        arena_reset(&arena);
    }
}

Test(window, what_is_wrong_is_pointed_at)
{
    static const struct {
        const char *text;
        int at;
        const char *message;
    } BAD[] = {
        {"1:00-5:00 UTC", 0, "begins with a time"},
        {"24:00-05:00 UTC", 0, "begins with a time"},
        {"01:60-05:00 UTC", 0, "begins with a time"},
        {"always", 0, "begins with a time"},
        {"", 0, "begins with a time"},
        {"01:00", 5, "must follow"},
        {"01:00 - 05:00 UTC", 5, "must follow"},
        {"01:00-24:01 UTC", 6, "ends with a time"},
        {"01:00-5", 6, "ends with a time"},
        {"01:00-", 6, "ends with a time"},
        {"01:00-01:00 UTC", 6, "ends when it begins"},
        {"01:00-05:00", 11, "a time zone is missing"},
        {"01:00-05:00  ", 13, "a time zone is missing"},
        {"01:00-05:00UTC", 11, "a time zone is missing"},
        {"01:00-05:00 'x'", 12, "a time zone is missing"},
        {"01:00-05:00 Europe/Berlin x", 25, "not the name of a time zone"},
        {"01:00-05:00 UTC; DROP", 15, "not the name of a time zone"},
    };
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        Arena arena = ARENA_INIT;
        Err err = ERR_INIT;
        int at = -1;
        WindowSpec window = {.text = BAD[i].text};
        cr_expect(not(window_parse(&window, &arena, &at, &err)), "%s", BAD[i].text);
        cr_expect(eq(int, at, BAD[i].at), "%s: at %d", BAD[i].text, at);
        cr_expect(strstr(err.message, BAD[i].message) != NULL, "%s: %s", BAD[i].text, err.message);
        cr_expect(eq(int, (int)err.cls, (int)ERR_USER));
        arena_reset(&arena);
    }
}

Test(window, error_in_a_job_file_has_its_place)
{
    static const char FILE_TEXT[] =
        "job: j\nbackfill: t\nset: {a: b}\nschedule:\n  window: 01:00-25:00 Europe/Berlin\n";
    Arena arena = ARENA_INIT;
    Err err = ERR_INIT;
    JobSpec spec;
    cr_assert(not(jobfile_parse("f.yaml", FILE_TEXT, strlen(FILE_TEXT), &arena, &spec, &err)));
    cr_expect(strncmp(err.message, "f.yaml:5:17: schedule.window: ", 30) == 0, "%s", err.message);
    cr_expect(strstr(err.hint, "01:00-05:00 Europe/Berlin") != NULL, "%s", err.hint);
    arena_reset(&arena);
}
