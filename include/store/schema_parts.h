/*
 * schema_parts.h - the texts that make schema pghaul; only store/schema*.c include it.
 */
#ifndef STORE_SCHEMA_PARTS_H
#define STORE_SCHEMA_PARTS_H

#include "store/schema.h"

/* The tables in their present shape, scripts in order; ends with NULL. */
extern const char *const schema_tables[];

/* What brings the tables of version i + 1 to version i + 2; leaves functions and views alone. */
extern const char *const schema_upgrades[SCHEMA_VERSION - 1];

/* Functions and views, scripts in order; ends with NULL.  Before an upgrade makes them anew, those
 * of all earlier versions are dropped by the last script. */
extern const char *const schema_routines[];
extern const char schema_drop_routines[];

/* Of these, the functions by which people steer a job (schema_control.c). */
extern const char schema_set_state[];
extern const char schema_pause[];
extern const char schema_stop[];
extern const char schema_set[];
extern const char schema_assert[];

#endif
