/*
 * facts.h - what the catalog says about the table of a job, and what the server says of itself.
 *
 * Filled by pg/catalog.c in one go, never changed afterwards; core/findings.c and core/plan.c
 * decide from it.  All memory lives in the arena given to the reader.
 */
#ifndef CORE_FACTS_H
#define CORE_FACTS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct ServerFacts {
    int version_num; /* 150020 */
    const char *system_id;
    int64_t timeline;
    const char *database;
    const char *role; /* current_user */
    bool role_is_superuser;
    bool role_reads_stats; /* member of pg_monitor or pg_read_all_stats, or superuser */
    bool in_recovery;
    bool read_only;
    const char *encoding; /* of the database */
    int connections_free; /* max_connections less reserved less in use */
    bool may_create_schema;
    bool has_schema;           /* schema pghaul exists */
    const char *schema_owner;  /* NULL without schema */
    bool schema_owner_trusted; /* is us, or a role that we are a member of */
} ServerFacts;

typedef struct ColumnFacts {
    int attnum;
    const char *name;
    uint32_t type_oid;
    int type_mod;
    const char *type;           /* format_type under an empty search_path, with modifier */
    const char *base_type;      /* without modifier, domains resolved */
    const char *base_type_name; /* pg_type.typname of the base type: "int8" */
    bool not_null;
    bool generated; /* GENERATED ALWAYS AS (expr) */
    bool identity;
    bool collation_deterministic; /* true for types without collation */
    bool collation_version_drift; /* the library sorts otherwise than when the index was made */
    bool is_float;
    bool indexed;   /* a column, expression or predicate of any index mentions it */
    bool in_unique; /* of a unique index */
    bool in_foreign_key;
    bool in_check;   /* of a check constraint */
    bool fresh;      /* all NULL as far as statistics and a missing default can tell */
    bool may_update; /* column privileges of the current role */
    bool may_select;
} ColumnFacts;

typedef struct IndexFacts {
    uint32_t oid;
    const char *name;
    bool unique, primary, valid, ready, immediate, partial, has_expressions, default_order;
    int *attnums; /* key columns in order */
    int attnum_count;
} IndexFacts;

typedef struct TriggerFacts {
    uint32_t oid;
    const char *name;
    const char *function; /* schema.name */
    bool before, after, row, on_insert, on_update, on_delete, enabled, is_ours;
    bool fires_on_set; /* an UPDATE of the job's SET columns fires it (UPDATE OF list) */
} TriggerFacts;

typedef struct TableFacts {
    uint32_t oid;
    const char *schema;
    const char *name;
    char relkind;     /* pg_class.relkind */
    char persistence; /* pg_class.relpersistence */
    const char *access_method;
    const char *owner;
    bool owned_by_us;      /* we are the owner or a member of that role */
    bool owner_is_trusted; /* superuser asks: owner is us, a superuser, or in `allow` */
    bool is_partition;
    bool row_security_filters; /* row security would hide rows from the current role */
    bool has_rules;
    double rows;         /* reltuples, -1 = never analysed */
    int64_t blocks;      /* pg_relation_size / block size: now, not relpages */
    int64_t total_bytes; /* with indexes and toast */
    int64_t index_bytes;
    int index_count;
    uint32_t filenode;
    const char **children; /* old-style inheritance children, quoted names */
    int child_count;
    bool may_select, may_update, may_trigger;
    bool may_use_schema;
} TableFacts;

typedef struct StandbyFacts {
    const char *name; /* application_name */
    const char *state;
    bool readable; /* replay_lsn is visible to us */
} StandbyFacts;

typedef struct Facts {
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
    const char **publications; /* that contain the table */
    int publication_count;
    bool publication_for_all; /* a FOR ALL TABLES publication exists in this database */
    int subscriber_count;     /* active logical slots of this database */
} Facts;

const ColumnFacts *facts_column(const Facts *facts, const char *name);
const ColumnFacts *facts_column_by_attnum(const Facts *facts, int attnum);

/*
 * What the server said of the expressions of the job file (pg/exprcheck.c).  An expression that
 * the server refuses is an error with its place, not a fact.
 */
typedef struct ExprFacts {
    const char *result_type;      /* type of the expression before assignment, "numeric" */
    bool self_referring;          /* mentions a SET column of the job */
    bool immutable;               /* could be indexed: immutable functions, no subqueries */
    bool is_volatile;             /* another value at each call: random(), nextval() */
    bool lossy;                   /* assignment may lose digits or precision; core/castrules.h */
    const char *generated_source; /* name of a generated column it mentions, or NULL */
    int *sources;                 /* attnums of the columns it mentions, ascending */
    int source_count;
} ExprFacts;

/* All expressions of one job. */
typedef struct ExprReport {
    ExprFacts *set;   /* one per assignment */
    ExprFacts *where; /* NULL without `where`; result_type and lossy mean nothing here */
} ExprReport;

#endif
