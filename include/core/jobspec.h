/*
 * jobspec.h - what the job file says, checked for form but not yet against a server.
 *
 * A JobSpec is filled by core/jobfile.c and never changed afterwards.  All its memory lives in the
 * arena that was given to jobfile_parse().  Raw SQL keeps its place in the file, so that an error
 * of the server can be mapped back to line and column.
 */
#ifndef CORE_JOBSPEC_H
#define CORE_JOBSPEC_H

#include <stdbool.h>
#include <stdint.h>

/* Where a scalar begins in the file; lines and columns count from 1, columns in characters. */
typedef struct Place {
    int line;
    int column;
} Place;

/* SQL text of the user's: never looked into, always wrapped in parentheses where it is used. */
typedef struct RawSql {
    const char *text; /* NULL = absent */
    Place place;      /* of the first character of `text` */
    int indent;       /* columns that a block scalar (|) cut off each further line; else 0 */
    bool exact; /* one character of text is one character of the file from `place` on (plain or
                   block scalar); false for quoted or folded scalars: only `place` is known */
} RawSql;

typedef struct Assignment {
    const char *column;
    Place place; /* of the column's name */
    RawSql expr;
} Assignment;

typedef struct NameList {
    const char **names;
    int count;
} NameList;

/* KIND_RESTORE is the way back of a purge's archive; `pghaul archive restore` makes such jobs. */
typedef enum JobKind { KIND_BACKFILL = 0, KIND_COPY, KIND_PURGE, KIND_RESTORE } JobKind;
#define JOB_KIND_COUNT ((int)KIND_RESTORE + 1)
typedef enum AccessPath { PATH_AUTO = 0, PATH_KEY, PATH_BLOCK } AccessPath;
typedef enum SyncMode { SYNC_AUTO = 0, SYNC_TRIGGER, SYNC_NONE } SyncMode;
typedef enum ErrorMode { ON_ERROR_STOP = 0, ON_ERROR_QUARANTINE } ErrorMode;
/* A row of a copy whose key the target has already. */
typedef enum ConflictMode {
    ON_CONFLICT_ERROR = 0,
    ON_CONFLICT_SKIP,
    ON_CONFLICT_UPDATE
} ConflictMode;
/* Rows of other tables that refer to those of a purge. */
typedef enum ChildrenMode { CHILDREN_REFUSE = 0, CHILDREN_DELETE } ChildrenMode;
/* When the target's secondary indexes are there. */
typedef enum IndexMode { INDEXES_BEFORE = 0, INDEXES_AFTER } IndexMode;
typedef enum CommitMode { COMMIT_LOCAL = 0, COMMIT_OFF, COMMIT_ON } CommitMode;

/* Which standbys must keep up. */
typedef enum StandbyMode {
    STANDBYS_AUTO = 0, /* those that stream when the job is first run */
    STANDBYS_NONE,
    STANDBYS_NAMED, /* by application_name */
} StandbyMode;

typedef struct ThrottleSpec {
    int64_t yield_after_us;
    int64_t lag_us;
    int64_t lag_bytes;
    StandbyMode standby_mode;
    NameList standbys;
    int lock_waiters;
} ThrottleSpec;

typedef struct LimitSpec {
    int64_t runtime_us; /* 0 = none */
    int64_t rows;       /* 0 = none */
    int64_t quarantine; /* most rows that may be set aside, of the job */
    int64_t log_bytes;  /* largest change log of a copy; beyond it nothing is recorded */
} LimitSpec;

/* Where a purge keeps the rows that it deletes, or a restore finds them. */
typedef struct ArchiveSpec {
    const char *path; /* a folder; NULL = no archive */
    Place place;
    int level; /* of zstd, 1..19 */
} ArchiveSpec;

/* When runs may work: "01:00-05:00 Europe/Berlin"; core/window.h reads it. */
typedef struct WindowSpec {
    const char *text; /* NULL = always */
    Place place;
    int begin_minute; /* of the day, 0..1439; */
    int end_minute;   /* 0..1440; not after the begin = on the next day */
    const char *zone; /* as written; the server knows it, or does not */
} WindowSpec;

typedef struct JobSpec {
    const char *file;   /* as named by the caller, for messages */
    const char *source; /* the whole text of the file */
    const char *job;
    JobKind kind;
    const char *table; /* as written: name or schema.name, SQL quoting rules apply; of a copy, the
                          source; of a restore, the table that rows are put into */
    Place table_place;
    const char *into; /* target of a copy, as written; the source's name when the servers differ;
                         of a purge, the table that keeps the rows, or NULL */
    Place into_place;
    const char *from; /* connection strings of a copy's source and target; NULL = as -d says */
    const char *to;
    Place from_place;
    Place to_place;
    Assignment *set; /* `set:` of a backfill, columns of the table; `map:` of a copy, columns of the
                        target (those not named have the source's column of that name) */
    int set_count;
    Assignment *reverse_map; /* of a copy: columns of the source, SQL over the target's row */
    int reverse_count;       /* 0 = the map is inverted, if it can be */
    ConflictMode on_conflict;
    IndexMode indexes;
    ArchiveSpec archive;
    int64_t archive_run; /* of a restore: only rows of this run; 0 = of all */
    const char
        *archive_table;    /* of a restore: only rows of this table, as written; NULL = of all */
    ChildrenMode children; /* of a purge */
    bool keeps_tail; /* of a purge: no VACUUM gives the table's tail back while the job lasts */
    WindowSpec window;
    RawSql where;
    NameList key; /* count 0 = the primary key */
    Place key_place;
    AccessPath path;
    int stripes; /* 0 = auto, else 1..16 */
    int workers; /* 0 = auto, else 1..64 */
    int64_t batch_time_us;
    int64_t batch_rows; /* 0 = auto: follow batch_time_us */
    SyncMode sync;
    bool strict;
    bool verify; /* run the verify pass after the move */
    bool vacuum;
    ErrorMode on_error; /* a row that the server refuses */
    NameList allow;
    NameList search_path; /* count 0 = the table's schema */
    int64_t lease_us;
    CommitMode commit;
    ThrottleSpec throttle;
    LimitSpec limits;
} JobSpec;

/* True when the risk was accepted by name in `allow:`. */
bool jobspec_allows(const JobSpec *spec, const char *risk);

/* The word of the job file: "backfill". */
const char *jobspec_kind_name(JobKind kind);

/* The kind of that name; KIND_BACKFILL for an unknown one. */
JobKind jobspec_kind_of(const char *name);

/* What becomes of the rows that it moves: "deleted". */
const char *jobspec_kind_done(JobKind kind);

/* True when `set:` names the column. */
bool jobspec_sets(const JobSpec *spec, const char *column);

#endif
