#include "core/window.h"

#include <string.h>

#define DAY_MINUTES (24 * 60)
#define TIME_LEN    5 /* "01:00" */
#define ZONE_MAX    63

static const char HOW[] = "Write from, to and a time zone: 01:00-05:00 Europe/Berlin.";

/* Two digits, or -1. */
static int
two_digits(const char *text)
{
    bool are = text[0] >= '0' && text[0] <= '9' && text[1] >= '0' && text[1] <= '9';
    return are ? (text[0] - '0') * 10 + (text[1] - '0') : -1;
}

/* -1 = no time of the day. */
static int
read_minute(const char *text)
{
    int hour = two_digits(text);
    int minute = hour < 0 || text[2] != ':' ? -1 : two_digits(text + 3);
    bool exists = minute >= 0 && minute < 60 && hour * 60 + minute <= DAY_MINUTES;
    return exists ? hour * 60 + minute : -1;
}

static bool
fail(Err *err, int *at, size_t where, const char *what)
{
    *at = (int)where;
    (void)err_set(err, ERR_USER, "%s", what);
    return err_hint(err, "%s", HOW);
}

static bool
read_zone(const char *text, WindowSpec *window, Arena *arena, int *at, Err *err)
{
    static const char PERMITTED[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/";
    const char *zone = text + strspn(text, " \t");
    size_t start = (size_t)(zone - window->text);
    size_t len = strspn(zone, PERMITTED);
    if (zone == text || len == 0) {
        return fail(err, at, start, "a time zone is missing");
    }
    if (zone[len] != '\0' || len > ZONE_MAX) {
        return fail(err, at, start + len, "this is not the name of a time zone");
    }
    window->zone = arena_strdup(arena, zone);
    return true;
}

bool
window_parse(WindowSpec *window, Arena *arena, int *at, Err *err)
{
    const char *text = window->text;
    window->begin_minute = read_minute(text);
    if (window->begin_minute < 0 || window->begin_minute == DAY_MINUTES) {
        return fail(err, at, 0, "a window begins with a time between 00:00 and 23:59");
    }
    if (text[TIME_LEN] != '-') {
        return fail(err, at, TIME_LEN, "\"-\" and the time of its end must follow");
    }
    window->end_minute = read_minute(text + TIME_LEN + 1);
    if (window->end_minute < 0) {
        return fail(err, at, TIME_LEN + 1, "a window ends with a time between 00:00 and 24:00");
    }
    if (window->begin_minute == window->end_minute) {
        (void)fail(err, at, TIME_LEN + 1, "the window ends when it begins");
        return err_hint(err, "Without schedule.window runs may work at any time.");
    }
    return read_zone(text + (size_t)2 * TIME_LEN + 1, window, arena, at, err);
}
