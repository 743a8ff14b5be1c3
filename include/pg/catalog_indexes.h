/*
 * catalog_indexes.h - indexes with their definitions, to be built anew on this table or another.
 */
#ifndef PG_CATALOG_INDEXES_H
#define PG_CATALOG_INDEXES_H

#include "core/sql_index.h"
#include "pg/conn.h"

/* All indexes of the table; what a partition has for itself is not among them. */
bool catalog_indexes_read(PgConn *conn, uint32_t table_oid, Arena *arena, IndexDefs *defs, Err *err)
    __attribute__((warn_unused_result));

/*
 * Would the server take the definition for that table?  Tried on an empty temporary table like it,
 * which is undone; no lock on the table stops anybody.
 *
 * Shape:   build->definition becomes what the server makes of it, or build->why_not says what the
 *          server had against it.
 */
bool catalog_indexes_try(PgConn *conn, const Facts *into, Arena *arena, IndexBuild *build, Err *err)
    __attribute__((warn_unused_result));

/* An index, or where one may be, by its name. */
typedef struct IndexPlace {
    uint32_t table_oid;
    const char *schema;
    const char *table; /* quoted, with its schema; not looked at here */
    const char *name;
} IndexPlace;

/* What has this name in the schema now? */
typedef struct IndexState {
    bool exists;   /* some relation has the name */
    bool on_table; /* it is an index of the table asked for */
    bool valid;
    bool unique;
    bool same; /* with that definition */
} IndexState;

bool catalog_indexes_state(PgConn *conn, const IndexPlace *at, const char *definition,
    IndexState *state, Err *err) __attribute__((warn_unused_result));

/* What became of an index that was to be built on the table `table_name` (quoted)? */
typedef struct IndexLeft {
    bool table_exists;
    bool partitioned;
    const char *schema;
    bool exists; /* an index of that name on it */
    bool valid;
} IndexLeft;

bool catalog_indexes_left(PgConn *conn, const char *table_name, const char *name, Arena *arena,
    IndexLeft *left, Err *err) __attribute__((warn_unused_result));

/* A partition, at any level, that has no part of an index yet. */
typedef struct IndexPart {
    uint32_t table_oid; /* 0 = every partition has its part */
    bool leaf;
    const char *schema;
    const char *table;
    const char *parent_schema; /* of the part of the index that its parent has */
    const char *parent_index;
} IndexPart;

/* The next one, parents first; the names live in the arena. */
bool catalog_indexes_missing(PgConn *conn, const IndexPlace *root, Arena *arena, IndexPart *part,
    Err *err) __attribute__((warn_unused_result));

#endif
