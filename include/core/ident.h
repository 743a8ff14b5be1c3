/*
 * ident.h - SQL identifiers and text constants: quoting and reading, without a connection.
 *
 * Identifiers are always quoted, so reserved words, capitals and odd characters need no rules.
 * Names come in as the catalog spells them.
 */
#ifndef CORE_IDENT_H
#define CORE_IDENT_H

#include "base/arena.h"
#include "base/err.h"
#include "base/strbuf.h"

#define IDENT_MAX_BYTES 63 /* NAMEDATALEN - 1; the server would cut longer names silently */

/* ERR_USER unless `name` is 1 to 63 bytes of valid UTF-8. */
bool ident_check(const char *name, Err *err) __attribute__((warn_unused_result));

/*
 * Append `name` in double quotes.
 *
 * Errors:  as ident_check(); nothing was appended.
 */
bool quote_ident(StrBuf *out, const char *name, Err *err) __attribute__((warn_unused_result));

/* Append "schema"."name"; only "name" when `schema` is NULL.  Errors as quote_ident(). */
bool quote_qualified(StrBuf *out, const char *schema, const char *name, Err *err)
    __attribute__((warn_unused_result));

/*
 * Append a text constant for the few places where a parameter cannot stand, such as the body of a
 * generated function.  Right only while standard_conforming_strings is on, which every session and
 * every generated function pins; backslashes are plain characters then.
 */
void quote_literal_append(StrBuf *out, const char *text);

/*
 * Read `orders`, `shop.orders` or `"Weird ""Name""".t` by the rules of SQL: parts without quotes
 * fold ASCII letters to lower case, blanks around the dot are allowed.
 *
 * Shape:   *schema is NULL when there is only one part.
 * Errors:  ERR_USER.
 * Owner:   both names live in `arena`.
 */
bool ident_parse_qualified(const char *text, Arena *arena, const char **schema, const char **name,
    Err *err) __attribute__((warn_unused_result));

#endif
