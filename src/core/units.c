#include "core/units.h"

#include <string.h>

#include "core/utf8.h"

#define SHOWN_BYTES 48

typedef struct Unit {
    const char *name;
    int64_t factor;
} Unit;

static const Unit count_units[] = {{"", 1}, {"k", 1000}, {"M", 1000000}, {NULL, 0}};
static const Unit duration_units[] = {
    {"ms", 1000},
    {"s", 1000000},
    {"m", INT64_C(60) * 1000000},
    {"h", INT64_C(3600) * 1000000},
    {"d", INT64_C(86400) * 1000000},
    {NULL, 0},
};
static const Unit size_units[] = {
    {"B", 1},
    {"kB", INT64_C(1) << 10},
    {"MB", INT64_C(1) << 20},
    {"GB", INT64_C(1) << 30},
    {"TB", INT64_C(1) << 40},
    {NULL, 0},
};

static const struct {
    const Unit *units;
    const char *noun;
    const char *hint;
} kinds[] = {
    [UNIT_COUNT] = {count_units, "a count",
        "Write a whole number such as 500, 1_000_000, 10k or 5M."},
    [UNIT_DURATION] = {duration_units, "a duration",
        "Write a whole number and a unit: 200ms, 2s, 5m (minutes), 1h or 1d."},
    [UNIT_SIZE] = {size_units, "a size",
        "Write a whole number and a unit: 512B, 10kB, 256MB, 1GB or 2TB; capitals matter."},
};

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool
fail(UnitKind kind, const char *text, Err *err)
{
    char shown[SHOWN_BYTES];
    utf8_shorten(shown, sizeof(shown), text);
    (void)err_set(err, ERR_USER, "\"%s\" is not %s", shown, kinds[kind].noun);
    return err_hint(err, "%s", kinds[kind].hint);
}

static bool
fail_too_large(const char *text, Err *err)
{
    char shown[SHOWN_BYTES];
    utf8_shorten(shown, sizeof(shown), text);
    return err_set(err, ERR_USER, "\"%s\" is too large", shown);
}

static bool
fail_no_unit(UnitKind kind, const char *text, Err *err)
{
    const char *const *examples =
        kind == UNIT_SIZE ? (const char *const[]){"kB", "MB"} : (const char *const[]){"ms", "s"};
    char shown[SHOWN_BYTES];
    utf8_shorten(shown, sizeof(shown), text);
    (void)err_set(err, ERR_USER, "\"%s\" has no unit", shown);
    return err_hint(
        err, "Write for instance %s%s or %s%s.", shown, examples[0], shown, examples[1]);
}

/*
 * The digits at the start of `text`; `_` may stand between two of them.
 *
 * Returns where they end, NULL when there is no number; *fits is false when it overflowed.
 */
static const char *
read_digits(const char *text, int64_t *value, bool *fits)
{
    *value = 0;
    *fits = true;
    const char *c = text;
    if (!is_digit(*c)) {
        return NULL;
    }
    while (is_digit(*c) || (*c == '_' && is_digit(c[-1]) && is_digit(c[1]))) {
        int digit = *c - '0';
        if (*c != '_' && *fits) {
            *fits = *value <= (INT64_MAX - digit) / 10;
            *value = *fits ? *value * 10 + digit : 0;
        }
        c++;
    }
    return c;
}

bool
units_parse(UnitKind kind, const char *text, int64_t *value, Err *err)
{
    int64_t number;
    bool fits;
    const char *end = read_digits(text, &number, &fits);
    if (end == NULL) {
        return fail(kind, text, err);
    }
    if (*end == '\0' && kind != UNIT_COUNT) {
        return fail_no_unit(kind, text, err);
    }
    for (const Unit *unit = kinds[kind].units; unit->name != NULL; unit++) {
        if (strcmp(end, unit->name) != 0) {
            continue;
        }
        if (!fits || number > INT64_MAX / unit->factor) {
            return fail_too_large(text, err);
        }
        *value = number * unit->factor;
        return true;
    }
    return fail(kind, text, err);
}

void
units_put_pattern(UnitKind kind, StrBuf *out)
{
    strbuf_puts(out, "[0-9](_?[0-9])*(");
    for (const Unit *unit = kinds[kind].units; unit->name != NULL; unit++) {
        strbuf_printf(out, "%s%s", unit == kinds[kind].units ? "" : "|", unit->name);
    }
    strbuf_putc(out, ')');
}
