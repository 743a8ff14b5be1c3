/*
 * castrules.h - which assignments between types lose something without an error.
 *
 * The server converts an expression to the type of its column by itself and rounds or cuts where
 * it has to: 2.5 becomes 2, a timestamp loses its time of day.  An assignment that raises instead
 * (text too long for varchar(n), a number out of range) is not lossy: nothing is lost in silence.
 * Pure and total: pairs that are not listed, among them every cast of an extension, are taken as
 * lossless.
 */
#ifndef CORE_CASTRULES_H
#define CORE_CASTRULES_H

#include <stdbool.h>

/* A type with domains resolved. */
typedef struct CastType {
    const char *name; /* pg_type.typname: "int8", "numeric", "_text" */
    int modifier;     /* as in pg_attribute.atttypmod; -1 = none */
} CastType;

/* True when two different values of `from` may become the same value of `to`. */
bool castrules_lossy(CastType from, CastType to);

/* True when some value of `from` raises an error as `to`: too long, or too many digits. */
bool castrules_narrower(CastType from, CastType to);

#endif
