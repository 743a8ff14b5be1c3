/*
 * sql_index.h - indexes that are built after the bulk: which, under what names, by what statements.
 *
 * Pure.  A definition is what pg_get_indexdef() prints after the table's name ("USING btree (a)"),
 * so that the same text serves a table, each of its partitions and another table of like columns.
 */
#ifndef CORE_SQL_INDEX_H
#define CORE_SQL_INDEX_H

#include "base/arena.h"
#include "base/strbuf.h"
#include "core/plan.h"

/* An index as the catalog has it; a column that is an expression has the name NULL. */
typedef struct IndexDef {
    uint32_t oid;
    const char *name;
    bool unique;
    bool primary;
    bool special; /* deferrable, or of an exclusion constraint: CREATE INDEX cannot say it */
    bool plain;   /* neither expressions nor a predicate */
    const char *kept_for;   /* what would lose it: "the primary key"; NULL = it may be dropped */
    const char *definition; /* NULL = the server spells it in a way that we do not know */
    const char *tablespace; /* NULL = the default one */
    const char *comment;    /* or NULL */
    const char *method;     /* "btree", quoted where needed */
    int key_count;          /* the columns after them are INCLUDEd */
    const char **columns;   /* in order */
    const char **quoted;    /* the same as the definition spells them */
    const char **suffixes;  /* what follows each of them there: " DESC", "" */
    int column_count;
    const char **mentions; /* all columns of the table that it is about */
    int mention_count;
} IndexDef;

typedef struct IndexDefs {
    IndexDef *items; /* by name */
    int count;
    /* of the table */
    bool may_create;        /* the role may create relations in its schema */
    const char **partition; /* columns of the partition keys of all levels */
    int partition_count;
    bool partition_by_expression;
} IndexDefs;

/* An index to be built. */
typedef struct IndexBuild {
    const char *name;
    bool unique;
    const char *definition;
    const char *tablespace;
    const char *comment;
    const char *from;    /* name at the source; NULL = the target's own */
    const char *why_not; /* it is not carried, and this is why; NULL = it is */
} IndexBuild;

/* Where the list comes from. */
typedef enum IndexOrigin {
    INDEXES_OF_TARGET = 0, /* they are dropped when the job begins */
    INDEXES_OF_SOURCE,     /* the target has none */
    INDEXES_RECORDED,      /* the job has begun: pghaul.index_build has the list */
    INDEXES_STAY,          /* the target has some, and rows: nothing is dropped or built */
} IndexOrigin;

typedef struct IndexPlan {
    IndexOrigin origin;
    bool may_create; /* the role may create relations in the target's schema */
    IndexBuild *items;
    int count;
} IndexPlan;

/* Is it one that a bulk is faster without? */
bool sql_index_is_secondary(const IndexDef *def, const CopyPlan *copy);

/*
 * What an index of the source is at the target.
 *
 * Shape:   *build without a name yet; with `why_not` when a column is not copied as it is, or the
 *          kind of index is not one to translate.
 */
void sql_index_translate(const IndexDef *def, const IndexDefs *target, const CopyPlan *copy,
    Arena *arena, IndexBuild *build);

/*
 * A name for the index `name` of table `from` on table `to`: "orders_at_idx" becomes
 * "orders_v2_at_idx", else the table's name is put before it.
 *
 * Shape:   `attempt` counts from 0; a later one has the number at its end.  At most 63 bytes.
 */
const char *
sql_index_name(const char *name, const char *from, const char *to, int attempt, Arena *arena);

/* How the table is to be read in sql_index_create(). */
typedef enum IndexWay { INDEX_PLAIN, INDEX_CONCURRENTLY, INDEX_ONLY } IndexWay;

/* CREATE [UNIQUE] INDEX [CONCURRENTLY] "name" ON [ONLY] <table> USING .. */
void sql_index_create(
    StrBuf *out, const IndexBuild *build, const char *name, const char *table, IndexWay way);

/* SET default_tablespace, which decides for an index whose definition says nothing. */
void sql_index_tablespace(StrBuf *out, const IndexBuild *build);

void sql_index_comment(StrBuf *out, const IndexBuild *build, const char *schema);

/* DROP INDEX of those that the bulk is faster without, in one statement. */
void sql_index_drop_all(StrBuf *out, const IndexPlan *indexes, const char *schema);

/* Has the table any row? */
void sql_index_table_used(StrBuf *out, const Facts *into);

/* "schema"."name" */
const char *sql_index_qualified(const char *schema, const char *name, Arena *arena);

#endif
