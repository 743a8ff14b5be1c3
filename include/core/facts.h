/*
 * facts.h - what the catalog says about the table of a job, and what the server says of itself.
 *
 * Filled by ops/survey.c in one go, never changed afterwards; core/findings.c and core/plan.c
 * decide from it.  All memory lives in the arena given to the reader.
 */
#ifndef CORE_FACTS_H
#define CORE_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/jobspec.h"

typedef struct ServerFacts {
    int version_num; /* 150020 */
    const char *system_id;
    int64_t timeline;
    const char *started; /* pg_postmaster_start_time, as the server prints it */
    const char *database;
    const char *role; /* current_user */
    bool role_is_superuser;
    bool role_reads_stats; /* member of pg_monitor or pg_read_all_stats, or superuser */
    bool in_recovery;
    bool read_only;
    const char *encoding; /* of the database */
    int connections_free; /* max_connections less reserved less in use */
    bool may_create_schema;
    bool may_create_temporary; /* tables, on which expressions are tried */
    bool has_schema;           /* schema pghaul exists */
    const char *schema_owner;  /* NULL without schema */
    bool schema_owner_trusted; /* is us, or a role that we are a member of */
    int strange_count;         /* tables and functions in it of roles that we do not trust */
    const char *strange;       /* one of them, as ALTER names it: "FUNCTION pghaul.f(text)" */
    const char *strange_owner; /* its owner */
    bool zone_unknown;         /* schedule.window names a time zone that the server has not */
    const char *zone_near;     /* one of a similar name, or NULL */
} ServerFacts;

typedef struct ColumnFacts {
    int attnum;
    const char *name;
    uint32_t type_oid;
    int type_mod;
    const char *type;           /* format_type under an empty search_path, with modifier */
    const char *base_type;      /* without modifier, domains resolved */
    const char *base_type_name; /* pg_type.typname of the base type: "int8" */
    int base_type_mod;          /* type_mod, of a domain that of its base type */
    bool not_null;
    bool generated; /* GENERATED ALWAYS AS (expr) */
    bool identity;
    bool has_default;             /* an expression of its own, or of its domain */
    const char *collation;        /* what it sorts by, also as the database's default; "" = none */
    bool collation_deterministic; /* true for types without collation */
    bool collation_version_drift; /* the library sorts otherwise than when the index was made */
    bool is_float;
    bool indexed;   /* a column, expression or predicate of any index mentions it */
    bool in_unique; /* of a unique index or an exclusion constraint */
    bool in_foreign_key;
    bool in_check;       /* of a check constraint */
    bool fresh;          /* all NULL as far as statistics and a missing default can tell */
    double correlation;  /* of its order with the heap's, -1..1; 1 where nothing is known */
    const char **labels; /* of an enum type; NULL for other types */
    int label_count;
    bool may_update; /* column privileges of the current role */
    bool may_insert;
    bool may_select;
} ColumnFacts;

typedef struct IndexFacts {
    uint32_t oid;
    const char *name;
    bool unique, primary, valid, ready, immediate, partial, has_expressions, default_order;
    bool exclusion; /* of an exclusion constraint */
    int *attnums;   /* key columns in order */
    int attnum_count;
} IndexFacts;

typedef struct TriggerFacts {
    uint32_t oid;
    const char *name;
    const char *table;    /* the partition whose own it is, quoted; NULL = the table's */
    const char *function; /* schema.name */
    bool before, after, row, on_insert, on_update, on_delete, enabled, is_ours;
    bool fires_on_set; /* an UPDATE of the job's SET columns fires it (UPDATE OF list) */
} TriggerFacts;

/* The first server with a privilege to vacuum the tables of others. */
#define FACTS_FIRST_WITH_MAINTAIN 170000

typedef struct TableFacts {
    uint32_t oid;
    const char *schema;
    const char *name;
    char relkind;     /* pg_class.relkind */
    char persistence; /* pg_class.relpersistence */
    const char *access_method;
    const char *owner;
    bool owner_is_superuser;
    bool owned_by_us;      /* we are the owner or a member of that role */
    bool owner_is_trusted; /* superuser asks: owner is us, a superuser, or in `allow` */
    bool is_partition;
    bool row_security_filters; /* row security would hide rows from the current role */
    bool is_system;            /* in a schema of the server's own, or in ours */
    bool has_rows;             /* at least one was seen; asked for the target of a copy only */
    const char *rules;         /* names of its rewrite rules, quoted; NULL = none */
    const char *referenced_by; /* a table with a foreign key to it, quoted; NULL = none */
    int referenced_count;      /* such foreign keys, its own too */
    int index_count;
    double rows;         /* reltuples, -1 = never analysed */
    int64_t blocks;      /* pg_relation_size / block size: now, not relpages */
    int64_t total_bytes; /* with indexes and toast */
    int64_t index_bytes;
    double full_rows; /* so many fill its blocks, by the mean row of statistics; <= 0 = unknown */
    uint32_t filenode;
    int child_count;
    const char **children; /* old-style inheritance children, quoted names */
    /* asked for the tables of a copy only */
    uint32_t *ancestors; /* that it is a partition or child of, on all levels, nearest first */
    const char *parent;  /* name of the first of them, quoted; NULL = none */
    /* asked for the target of a copy only */
    const char **foreign_keys; /* "orders_customer to shop.customer", without those to itself */
    const char *odd_leaf;      /* a partition that is foreign or not logged, quoted; or NULL */
    int *partition_attnums;    /* columns that choose the partition, of all levels */
    int ancestor_count;
    int foreign_key_count;
    int partition_attnum_count;
    char odd_leaf_kind; /* its relkind, 'r' when it is not logged */
    bool may_select, may_update, may_trigger;
    bool may_insert, may_delete;
    bool may_select_system; /* ctid and xmax, by which rows that somebody holds are found */
    bool has_toast;
    bool keeps_tail;   /* vacuum_truncate is off */
    bool has_identity; /* deletes can be published: the server can name the row */
    bool may_use_schema;
    bool may_vacuum;           /* as the owner, or by the privilege MAINTAIN */
    int wraparound_vacuum_pid; /* an autovacuum that never gives way is on it; 0 = none seen */
} TableFacts;

/* A column of an index by which rows that match a predicate are found. */
typedef struct WalkColumn {
    int attnum;
    bool in_order; /* sorts as the column itself does, in the direction of the columns before it */
    bool fixed;    /* the predicate wants one value of it */
    double ties;   /* rows with the same value, on average and most; -1 = no statistics */
    double longest;
} WalkColumn;

#define WALK_COLUMNS_MAX 8

/* How the planner would find the rows that the predicate of a purge matches. */
typedef struct WalkFacts {
    const char *index;  /* without reading the whole table; NULL = there is none that serves */
    const char *method; /* access method of that index */
    bool has_expressions;
    bool holds_all; /* the index is partial, and holds the rows that match and few others */
    bool narrowed;  /* its first column is compared, so that only a part of it is read */
    WalkColumn columns[WALK_COLUMNS_MAX];
    int column_count;
    int *strict; /* attnums of columns that are not NULL in a row that matches */
    int strict_count;
    int least; /* attnum: the predicate is `column < something without columns`; 0 = it is not */
    const char *refusal; /* SQLSTATE with which the server refuses to plan it; NULL = it does not */
} WalkFacts;

/* A partition of which every row matches the predicate of a purge. */
typedef struct WholePartition {
    const char *name; /* quoted */
    const char *parent;
} WholePartition;

typedef struct StandbyFacts {
    const char *name; /* application_name */
    const char *state;
    bool readable; /* replay_lsn is visible to us */
} StandbyFacts;

/* An object of a job that schema pghaul does not know, or knows as cleaned. */
typedef struct LeftoverFacts {
    bool is_trigger;  /* on the table of the job; else an object of schema pghaul */
    bool elsewhere;   /* a trigger of a copy whose job is in another database, gone or not */
    const char *name; /* quoted where needed */
    const char *drop; /* the statement that removes it */
} LeftoverFacts;

/* What schema pghaul has about a job of this name that is not cleaned. */
typedef struct StoredJob {
    bool exists;
    const JobSpec *spec; /* what it was begun with; NULL when the text cannot be read any more */
    const char *fingerprint;
    bool has_trigger; /* its sync trigger was made */
    bool complete;    /* of a purge: the next run begins a new pass */
} StoredJob;

/* The folder of an archive, on this host. */
typedef struct FolderFacts {
    const char *fault;  /* what keeps files from being written there, a phrase; NULL = nothing */
    const char *remedy; /* a sentence; set with `fault` */
    bool exists;        /* else the first run makes it */
    int64_t free_bytes; /* of its file system, for us; -1 = unknown */
} FolderFacts;

typedef struct Facts {
    const struct Facts *into;   /* of the target of a copy, or the table that keeps the rows of a
                                   purge; NULL else */
    const FolderFacts *archive; /* of `archive:`; NULL without one */
    const struct RestoreFacts *restore; /* of a restore (core/restore.h), else NULL */
    ServerFacts server;
    TableFacts table;
    ColumnFacts *columns; /* in attnum order, dropped columns left out */
    int column_count;
    IndexFacts *indexes;
    int index_count;
    TriggerFacts *triggers; /* not internal ones, in firing (byte) order of names */
    int trigger_count;
    StandbyFacts *standbys;
    int standby_count;
    const char **publications; /* that contain the table; of a purge those that publish deletes */
    int publication_count;
    bool publication_for_all; /* a FOR ALL TABLES publication exists in this database */
    int subscriber_count;     /* active logical slots of this database */
    LeftoverFacts *leftovers;
    int leftover_count;
    const WalkFacts *walk; /* of a purge; NULL = not asked */
    const WholePartition *whole;
    int whole_count;
    StoredJob stored;
    const struct ChildGraph *children; /* of a purge (core/children.h); NULL else */
} Facts;

const ColumnFacts *facts_column(const Facts *facts, const char *name);
const ColumnFacts *facts_column_by_attnum(const Facts *facts, int attnum);

/*
 * Bytes that a row of the table takes, toast included and indexes not; -1 = unknown.
 *
 * Shape:   room that nobody uses does not count, or the last rows of a table that was nearly
 *          emptied would weigh as much as all that were there.
 */
double facts_row_bytes(const TableFacts *table);

/* Of the database where the job's state is and rows are written. */
const Facts *facts_here(const Facts *facts);

/* True when the target of a copy is in another database than the source. */
bool facts_is_remote(const Facts *facts);

/* Writers that NeedFacts names. */
#define NEED_WRITERS_NAMED 8

/* A right that an expression needs beside those on the table of the job. */
typedef struct NeedFacts {
    const char *privilege; /* "EXECUTE" */
    const char *object;    /* as GRANT names it: "FUNCTION app.f(text)" */
    bool granted;          /* to the current role */
    const char *writers;   /* roles that write the table and lack it, quoted; NULL = none */
    int writer_count;      /* of all of them, also of those beyond NEED_WRITERS_NAMED */
} NeedFacts;

/*
 * What the server said of the expressions of the job file (pg/exprcheck.c).  Where it refuses one,
 * the other facts about it are those of a harmless expression.
 */
typedef struct ExprFacts {
    const char *result_type;      /* type of the expression before assignment, "numeric" */
    bool self_referring;          /* mentions a SET column of the job */
    bool immutable;               /* could be indexed: immutable functions, no subqueries */
    bool is_volatile;             /* another value at each call: random(), nextval() */
    bool lossy;                   /* assignment may lose digits or precision; core/castrules.h */
    int column;                   /* attnum of the column that is all of it; 0 = more than that */
    const char *generated_source; /* name of a generated column it mentions, or NULL */
    int *sources;                 /* attnums of the columns it mentions, ascending */
    int source_count;
    double match_rows;   /* rows for which the predicate of a purge holds, as the planner
                            estimates; -1 = unknown */
    const char *refusal; /* what is wrong with it, with the place in the job file; NULL = nothing */
    const char *refusal_hint; /* or NULL */
    NeedFacts *needs;         /* builtin functions and types need no right */
    int need_count;
} ExprFacts;

/* All expressions of one job. */
typedef struct ExprReport {
    ExprFacts *set;   /* one per assignment */
    ExprFacts *as_is; /* of a copy, one per column of the target: of the source's column of that
                         name where no assignment says otherwise; NULL for a backfill */
    ExprFacts *where; /* NULL without `where`; result_type and lossy mean nothing here */
} ExprReport;

#endif
