/*
 * type_case.h - every builtin type with the values that are easily spoiled on the way.
 *
 * One table has a column for each type and a row for each value, so that one copy carries all of
 * them; comparisons are bit by bit.
 */
#ifndef CLI_TYPE_CASE_H
#define CLI_TYPE_CASE_H

#include <libpq-fe.h>
#include <stdint.h>

/* Create the types that the columns need, and a table (n int PRIMARY KEY, c1, c2, ..) without rows;
 * `key_type` is of n. */
void type_cases_create(PGconn *conn, const char *table, const char *key_type);

/* Types only where they are not there yet. */
void type_cases_create_types(PGconn *conn);

/* The rows; a type with fewer values has them again and again, NULL among them. */
void type_cases_fill(PGconn *conn, const char *table);

/*
 * What the table holds, a line for each column: its name, its type, and a hash over the binary
 * form of all its values in order of n.
 *
 * Owner:   the caller frees it.
 */
char *type_cases_digest(PGconn *conn, const char *table);

int type_cases_count(void);

#endif
