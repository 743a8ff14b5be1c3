/*
 * children.h - the tables whose rows refer to those of a purge, as the catalog has them.
 *
 * A graph: its edges are foreign keys.  It has what a deleted row of the job's table drags along:
 * a key is followed to further ones when the rows that refer by it are deleted too.
 */
#ifndef CORE_CHILDREN_H
#define CORE_CHILDREN_H

#include <stdbool.h>
#include <stdint.h>

/* As ChildKey.parent: the table of the job itself. */
#define CHILD_OF_JOB (-1)

/* pg_constraint.confdeltype */
typedef enum ChildAction {
    CHILD_NO_ACTION = 'a',
    CHILD_RESTRICT = 'r',
    CHILD_CASCADE = 'c',
    CHILD_SET_NULL = 'n',
    CHILD_SET_DEFAULT = 'd',
} ChildAction;

/* SQL: the foreign keys that the server acts on when a row of the table `oid` is deleted; asked
 * when a job is planned, and again in each batch. */
#define CHILDREN_SIGNATURE(oid)                                                                    \
    "COALESCE((SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', k.confdeltype, k.conrelid,"  \
    " k.conname),\n"                                                                               \
    "                   '; ' ORDER BY k.conrelid, k.conname)\n"                                    \
    "          FROM pg_catalog.pg_trigger AS g\n"                                                  \
    "          JOIN pg_catalog.pg_constraint AS k ON k.oid = g.tgconstraint AND k.contype = 'f'\n" \
    "         WHERE g.tgrelid = " oid                                                              \
    " AND g.tgisinternal AND g.tgtype & 8::pg_catalog.int2 <> 0), '')"

typedef struct ChildColumn {
    const char *name;
    const char *type; /* format_type under an empty search_path, with modifier */
    bool generated;
} ChildColumn;

typedef struct ChildTable {
    uint32_t oid;
    uint32_t root; /* of its partition tree; else its own oid */
    const char *schema;
    const char *name;
    bool partitioned;
    double rows; /* -1 = never analyzed; of a partitioned table, of all partitions */
    const char *owner;
    bool owner_is_trusted; /* as TableFacts has it */
    bool row_security_filters;
    const char *rules;          /* names, quoted; NULL = none */
    const char *delete_trigger; /* one that a DELETE fires: "audit (function app.f)"; NULL = none */
    const char *update_trigger;
    bool may_use_schema, may_select, may_update, may_delete;
    const char *signature; /* CHILDREN_SIGNATURE */
    ChildColumn *columns;  /* in attnum order, dropped columns left out */
    int column_count;
} ChildTable;

/* A foreign key; of partitions the one that was declared, once. */
typedef struct ChildKey {
    const char *name;
    int parent; /* index of the table that it refers to, or CHILD_OF_JOB */
    int child;  /* index of the table that has it; CHILD_OF_JOB = that is (or holds) the job's */
    ChildAction action;
    bool deferrable;
    bool by_period;          /* rows refer by what they overlap, not by what they equal */
    bool to_partition;       /* refers to some partitions of `parent` only */
    const char **columns;    /* of the child */
    const char **keys;       /* of the parent, in the same order */
    const char **operators;  /* key OPERATOR(..) column: "pg_catalog.=" */
    const char **collations; /* what the column is compared by: " COLLATE .."; "" = its own */
    int column_count;
    const char *index;      /* of the child, that finds rows by `columns`; NULL = none */
    double rows_per_parent; /* estimate; -1 = unknown */
} ChildKey;

typedef struct ChildGraph {
    ChildTable *tables;
    int table_count;
    ChildKey *keys; /* those of the job's table first; by name of child and key */
    int key_count;
    const char *signature; /* of the job's table: CHILDREN_SIGNATURE */
} ChildGraph;

#endif
