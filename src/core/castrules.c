/*
 * castrules.c - lossy assignment casts, as a table of type pairs and the rules of type modifiers.
 */
#include "core/castrules.h"

#include <stddef.h>
#include <string.h>

#define NO_MODIFIER  (-1)
#define VARHDR_BYTES 4 /* the server stores the modifier of numeric with this added */

typedef struct CastPair {
    const char *from;
    const char *to;
} CastPair;

/* Assignment casts of the server that lose something for some value whatever the modifiers. */
static const CastPair LOSSY_PAIRS[] = {
    /* fractions are rounded */
    {"numeric", "int2"},
    {"numeric", "int4"},
    {"numeric", "int8"},
    {"float4", "int2"},
    {"float4", "int4"},
    {"float4", "int8"},
    {"float8", "int2"},
    {"float8", "int4"},
    {"float8", "int8"},
    {"numeric", "money"},
    /* digits beyond the mantissa are rounded */
    {"int4", "float4"},
    {"int8", "float4"},
    {"int8", "float8"},
    {"numeric", "float4"},
    {"numeric", "float8"},
    {"float8", "float4"},
    /* only 6 and 15 digits are converted */
    {"float4", "numeric"},
    {"float8", "numeric"},
    /* time of day, day or zone is dropped */
    {"timestamp", "date"},
    {"timestamp", "time"},
    {"timestamptz", "date"},
    {"timestamptz", "time"},
    {"timestamptz", "timetz"},
    {"timestamptz", "timestamp"},
    {"timetz", "time"},
    {"interval", "time"},
    /* cut to 63 bytes, and to one byte */
    {"text", "name"},
    {"varchar", "name"},
    {"bpchar", "name"},
    {"text", "char"},
    {"varchar", "char"},
    {"bpchar", "char"},
    /* repeated keys, their order, the spelling of numbers */
    {"json", "jsonb"},
    /* host bits */
    {"inet", "cidr"},
};

static const char *const TIME_TYPES[] = {"time", "timetz", "timestamp", "timestamptz"};

static bool
is_listed(const char *from, const char *to)
{
    for (size_t i = 0; i < sizeof(LOSSY_PAIRS) / sizeof(LOSSY_PAIRS[0]); i++) {
        if (strcmp(LOSSY_PAIRS[i].from, from) == 0 && strcmp(LOSSY_PAIRS[i].to, to) == 0) {
            return true;
        }
    }
    return false;
}

static bool
has_time_precision(const char *name)
{
    for (size_t i = 0; i < sizeof(TIME_TYPES) / sizeof(TIME_TYPES[0]); i++) {
        if (strcmp(TIME_TYPES[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static bool
is_integer(const char *name)
{
    return strcmp(name, "int2") == 0 || strcmp(name, "int4") == 0 || strcmp(name, "int8") == 0;
}

/* The scale is the low 11 bits of the modifier, signed since PostgreSQL 15. */
static int
numeric_scale(int modifier)
{
    return (((modifier - VARHDR_BYTES) & 0x7ff) ^ 1024) - 1024;
}

static bool
loses_scale(CastType from, CastType to)
{
    if (to.modifier == NO_MODIFIER) {
        return false;
    }
    int to_scale = numeric_scale(to.modifier);
    if (is_integer(from.name)) {
        return to_scale < 0;
    }
    if (strcmp(from.name, "money") == 0) {
        return true; /* how many digits it has is a setting of the server */
    }
    return strcmp(from.name, "numeric") == 0 &&
           (from.modifier == NO_MODIFIER || numeric_scale(from.modifier) > to_scale);
}

/* Fewer digits of the second; without a modifier there are six. */
static bool
loses_precision(CastType from, CastType to)
{
    if (to.modifier == NO_MODIFIER || !has_time_precision(from.name)) {
        return false;
    }
    int from_digits = from.modifier == NO_MODIFIER ? 6 : from.modifier;
    return from_digits > to.modifier;
}

bool
castrules_lossy(CastType from, CastType to)
{
    if (from.name[0] == '_' && to.name[0] == '_') {
        /* arrays convert element by element and carry the modifier of the element */
        from.name++;
        to.name++;
    }
    if (is_listed(from.name, to.name)) {
        return true;
    }
    if (strcmp(to.name, "numeric") == 0) {
        return loses_scale(from, to);
    }
    if (has_time_precision(to.name)) {
        return loses_precision(from, to);
    }
    if (strcmp(to.name, "interval") == 0) {
        /* fields and precision share the modifier; every other one may cut something off */
        return to.modifier != NO_MODIFIER && to.modifier != from.modifier;
    }
    return false;
}

/* ---- what raises an error ---- */

static bool
is_character(const char *name)
{
    return strcmp(name, "text") == 0 || strcmp(name, "varchar") == 0 || strcmp(name, "bpchar") == 0;
}

static bool
is_bits(const char *name)
{
    return strcmp(name, "bit") == 0 || strcmp(name, "varbit") == 0;
}

/* Decimal digits before the point; 0 = as many as one likes. */
static int
whole_digits(CastType type)
{
    if (is_integer(type.name)) {
        return type.name[3] == '2' ? 5 : type.name[3] == '4' ? 10 : 19;
    }
    if (strcmp(type.name, "numeric") != 0 || type.modifier == NO_MODIFIER) {
        return 0;
    }
    return ((type.modifier - VARHDR_BYTES) >> 16) - numeric_scale(type.modifier);
}

static bool
is_shorter(CastType from, CastType to)
{
    return to.modifier != NO_MODIFIER &&
           (from.modifier == NO_MODIFIER || from.modifier > to.modifier);
}

bool
castrules_narrower(CastType from, CastType to)
{
    if (from.name[0] == '_' && to.name[0] == '_') {
        from.name++;
        to.name++;
    }
    if (is_character(from.name) && is_character(to.name)) {
        return is_shorter(from, to);
    }
    if (is_bits(from.name) && is_bits(to.name)) {
        bool exact = strcmp(to.name, "bit") == 0 && from.modifier != to.modifier;
        return exact || is_shorter(from, to);
    }
    bool from_number = is_integer(from.name) || strcmp(from.name, "numeric") == 0;
    bool to_number = is_integer(to.name) || strcmp(to.name, "numeric") == 0;
    int room = whole_digits(to);
    return from_number && to_number && room > 0 &&
           (whole_digits(from) == 0 || whole_digits(from) > room);
}
