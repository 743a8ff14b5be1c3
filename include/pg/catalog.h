/*
 * catalog.h - ask the server about the table of a job and about itself.
 */
#ifndef PG_CATALOG_H
#define PG_CATALOG_H

#include "base/arena.h"
#include "base/err.h"
#include "core/facts.h"
#include "core/jobspec.h"
#include "pg/conn.h"

/* The table of a job as the job file writes it, and where. */
typedef struct CatalogTable {
    const char *name;
    Place place;
    bool is_target; /* of a copy */
} CatalogTable;

CatalogTable catalog_source(const JobSpec *spec);
CatalogTable catalog_target(const JobSpec *spec); /* of a copy */

/*
 * Fill *facts for one table of `spec`.  Reads only; takes no lock that stops a writer.
 *
 * Shape:   a table name without a schema is looked for in every schema that is not the system's.
 * Errors:  ERR_USER when there is no such table, with the nearest name as a hint, or more than
 *          one; classes by SQLSTATE for the rest.
 * Owner:   everything in *facts lives in `arena`.
 */
bool catalog_read(PgConn *conn, const JobSpec *spec, CatalogTable table, Arena *arena, Facts *facts,
    Err *err) __attribute__((warn_unused_result));

/* Do both sessions work in one database of one server?  A standby is another server. */
bool catalog_same_database(PgConn *a, PgConn *b, bool *same, Err *err)
    __attribute__((warn_unused_result));

/* Only which table it is: waits for no lock on it.  Errors as above. */
bool catalog_find_table(PgConn *conn, const JobSpec *spec, CatalogTable table, Arena *arena,
    uint32_t *oid, Err *err) __attribute__((warn_unused_result));

/*
 * Add the leftovers to *facts: sync triggers on the table and functions in schema pghaul that
 * belong to none of the jobs `job_ids` (an int8[] as text).
 */
bool catalog_read_leftovers(PgConn *conn, const char *job_ids, Arena *arena, Facts *facts, Err *err)
    __attribute__((warn_unused_result));

#endif
