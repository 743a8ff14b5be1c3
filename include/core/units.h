/*
 * units.h - numbers with a unit, as job files and options write them.
 */
#ifndef CORE_UNITS_H
#define CORE_UNITS_H

#include <stdint.h>

#include "base/err.h"
#include "base/strbuf.h"

typedef enum UnitKind {
    UNIT_COUNT = 0, /* 500, 1_000_000, 10k, 5M */
    UNIT_DURATION,  /* 200ms 2s 5m 1h 1d, in microseconds */
    UNIT_SIZE,      /* 512B 10kB 256MB 1GB 2TB, in bytes; binary multiples as in PostgreSQL */
} UnitKind;

/*
 * Read the whole of `text` as one number.
 *
 * Errors:  ERR_USER with a hint: no number, a fraction, a sign, no unit, unknown unit, too large.
 */
bool units_parse(UnitKind kind, const char *text, int64_t *value, Err *err)
    __attribute__((warn_unused_result));

/* Append a regular expression for the form of such numbers. */
void units_put_pattern(UnitKind kind, StrBuf *out);

#endif
