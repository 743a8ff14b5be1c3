/*
 * waits.h - sessions that wait for locks or hold them: whose they are, and what would end them.
 *
 * Pure; pg/blockers.h asks the server.
 */
#ifndef CORE_WAITS_H
#define CORE_WAITS_H

#include <stdbool.h>

#include "base/arena.h"
#include "core/waittree.h"

/* A session, or a prepared transaction, which belongs to none. */
typedef struct WaitSession {
    int pid;                 /* 0: a prepared transaction */
    const char *gid;         /* of a prepared transaction; NULL */
    const char *application; /* "" when it has no name */
    const char *role;        /* NULL: a process of the server */
    const char *client;      /* address or "local"; NULL = hidden or none */
    const char *database;    /* NULL: none */
    const char *kind;        /* backend_type; NULL = hidden */
    const char *state;       /* as in pg_stat_activity; NULL = hidden or none */
    const char *query;       /* masked, one line; NULL = hidden or none */
    bool is_hidden;          /* our role may not see state, times and query */
    bool may_end;            /* our role may cancel, terminate or roll it back from here */
    bool is_here;            /* in the database of the session that asks */
    bool is_ours;            /* of any pghaul */
    const char *job;         /* of a run of ours; NULL */
    bool is_autovacuum;
    bool is_wraparound;       /* an autovacuum that does not give way */
    double transaction_age_s; /* < 0: none, or hidden */
    bool is_old;              /* its snapshot or xid holds back the removal of dead versions */
    bool waits;
    double wait_s;           /* 0 unless it waits */
    const char *lock_type;   /* that it waits for, as in pg_locks; NULL */
    const char *lock_mode;   /* NULL */
    const char *lock_object; /* in words; NULL */
    const int *blocked_by;   /* pids, 0 for prepared transactions */
    int blocked_by_count;
    bool touches_table;     /* of the question: holds a lock on it, or waits for one */
    const char *table_mode; /* strongest that it holds on the table; NULL */
} WaitSession;

typedef struct Waits {
    WaitSession *sessions; /* longest wait first, then the oldest transaction */
    WaitGraph graph;       /* its nodes are indexes of sessions */
    const char *role;      /* ours, quoted */
    bool hides;            /* some sessions are hidden from our role */
} Waits;

/*
 * Is it a session of ours, and of which job?
 *
 * Shape:   "pghaul/JOB/thread" is work of a run, "pghaul/catalog" a command without one (*job
 * NULL). Owner:   *job lives in `arena`.
 */
bool waits_is_ours(const char *application, Arena *arena, const char **job);

/* What to do about one that others wait for. */
typedef enum Remedy {
    REMEDY_NONE,      /* a command of ours: it ends by itself */
    REMEDY_CANCEL,    /* it is at work: pg_cancel_backend() */
    REMEDY_TERMINATE, /* it is idle, a cancel does nothing: pg_terminate_backend() */
    REMEDY_ROLLBACK,  /* ROLLBACK PREPARED */
    REMEDY_PAUSE,     /* a run of ours: pghaul pause */
} Remedy;

Remedy waits_remedy(const WaitSession *session);

/* Statements and the command, in `arena`; NULL where one does not apply or does nothing. */
const char *waits_cancel_sql(const WaitSession *session, Arena *arena);
const char *waits_terminate_sql(const WaitSession *session, Arena *arena);
const char *waits_rollback_sql(const WaitSession *session, Arena *arena);
const char *waits_command(const WaitSession *session, Arena *arena);

/* Table lock modes as pg_locks names them, 1 (AccessShareLock) to 8; 0 for other names. */
int waits_mode_rank(const char *mode);

/*
 * Do two locks on the same object exclude each other?
 *
 * Source:  PostgreSQL documentation, 13.3.1 "Table-Level Locks".
 */
bool waits_modes_conflict(const char *wanted, const char *held);

#endif
