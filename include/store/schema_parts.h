/*
 * schema_parts.h - the texts that make schema pghaul; only store/schema*.c and guards.c include it.
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

/*
 * What a job relies on in a table, one text for each item: the table's identity ($1), the columns
 * $2, and if a unique index is over just the key $3, "key".  Also for servers without the schema.
 */
#define SQL_SIGNATURE_ITEMS                                                                        \
    "ARRAY(\n"                                                                                     \
    "        SELECT concat_ws(E'\\t', 'table', c.oid, format('%I.%I', n.nspname, c.relname),\n"    \
    "                   c.relkind, c.relpersistence, row_security_active(c.oid))\n"                \
    "          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace\n"                    \
    "         WHERE c.oid = $1)\n"                                                                 \
    "        || ARRAY(\n"                                                                          \
    "        SELECT concat_ws(E'\\t', 'column', a.attnum, quote_ident(a.attname),\n"               \
    "                   format_type(a.atttypid, a.atttypmod), a.attcollation,\n"                   \
    "                   a.attgenerated::text || a.attidentity::text,\n"                            \
    "                   a.attnotnull OR a.attnum <> ALL ($3))\n"                                   \
    "          FROM pg_attribute a\n"                                                              \
    "         WHERE a.attrelid = $1 AND a.attnum = ANY ($2) AND NOT a.attisdropped\n"              \
    "         ORDER BY a.attnum)\n"                                                                \
    "        || CASE WHEN EXISTS (\n"                                                              \
    "        SELECT FROM pg_index i\n"                                                             \
    "         WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indimmediate\n"       \
    "           AND i.indpred IS NULL AND i.indexprs IS NULL\n"                                    \
    "           AND (i.indkey::int2[])[0:i.indnkeyatts - 1] = $3\n"                                \
    "           AND (i.indcollation::oid[])[0:i.indnkeyatts - 1] = ARRAY(\n"                       \
    "               SELECT k.attcollation\n"                                                       \
    "                 FROM unnest($3) WITH ORDINALITY AS s(attnum, at)\n"                          \
    "                 JOIN pg_attribute k ON k.attrelid = $1 AND k.attnum = s.attnum\n"            \
    "                ORDER BY s.at)) THEN ARRAY['key'] END\n"

/* One text for each trigger of table $1 that is called $4, or that with _t behind it. */
#define SQL_SIGNATURE_OF_LOG                                                                       \
    "ARRAY(\n"                                                                                     \
    "        SELECT concat_ws(E'\\t', 'trigger', g.oid, quote_ident(g.tgname), g.tgenabled,\n"     \
    "                   g.xmin, p.xmin)\n"                                                         \
    "          FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid\n"                             \
    "         WHERE g.tgrelid = $1 AND NOT g.tgisinternal\n"                                       \
    "           AND g.tgname::text IN ($4::text, $4::text || '_t')\n"                              \
    "         ORDER BY g.oid)"

/* Of these, the functions by which people steer a job (schema_control.c). */
extern const char schema_set_state[];
extern const char schema_pause[];
extern const char schema_stop[];
extern const char schema_set[];
extern const char schema_assert[];

#endif
