/*
 * catalog_parts.h - the questions that make up catalog_read(); for src/pg/catalog*.c only.
 */
#ifndef PG_CATALOG_PARTS_H
#define PG_CATALOG_PARTS_H

#include "pg/catalog.h"

typedef struct CatalogReader {
    PgConn *conn;
    const JobSpec *spec;
    CatalogTable table;
    Arena *arena;
    Facts *facts;
    const char *oid; /* of the table, as text; set when it is found */
} CatalogReader;

bool catalog_read_server(const CatalogReader *reader, Err *err);
bool catalog_read_strangers(const CatalogReader *reader, Err *err);
bool catalog_read_standbys(const CatalogReader *reader, Err *err);

/* These need the table's oid. */
bool catalog_read_table(const CatalogReader *reader, Err *err);
bool catalog_read_of_copy(const CatalogReader *reader, Err *err); /* what only a copy asks */
bool catalog_read_columns(const CatalogReader *reader, Err *err);
bool catalog_read_indexes(const CatalogReader *reader, Err *err);
bool catalog_read_triggers(const CatalogReader *reader, Err *err);
bool catalog_read_publications(const CatalogReader *reader, Err *err);

#endif
