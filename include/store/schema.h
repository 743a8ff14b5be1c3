/*
 * schema.h - schema pghaul in the database whose rows are changed: install and upgrade.
 */
#ifndef STORE_SCHEMA_H
#define STORE_SCHEMA_H

#include <stdbool.h>

#include "base/err.h"
#include "pg/conn.h"

#define SCHEMA_VERSION 4

/*
 * Make sure that the schema is there in our version; an older one is upgraded in place.
 *
 * Errors:  ERR_REFUSED for a schema of a newer pghaul, for an older one with a job under way, or
 *          when rows would be hidden by row security; else of the server.
 * Threads: safe against other runs that do the same; one transaction under an advisory lock.
 */
bool schema_install(PgConn *conn, Err *err) __attribute__((warn_unused_result));

/* Is there a schema of ours at all? */
bool schema_exists(PgConn *conn, bool *exists, Err *err) __attribute__((warn_unused_result));

/*
 * Is there one of our version, as everything but clean --all and the first run needs it?
 *
 * Errors:  ERR_REFUSED for another version, or when rows would be hidden by row security.
 */
bool schema_check(PgConn *conn, bool *exists, Err *err) __attribute__((warn_unused_result));

/* Drop everything: tables, functions, history. */
bool schema_drop(PgConn *conn, Err *err) __attribute__((warn_unused_result));

#endif
