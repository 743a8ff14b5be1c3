/*
 * drain.h - the thread that drains the change log of a copy.
 *
 * It begins when the move pass is done and works beside the passes that compare; after the last of
 * them it goes on until the target is caught up, or until it is stopped.  How one batch travels is
 * the carrier's: one call where both tables are in one database.
 *
 * Threads: its own; it is a Worker without ranges, so that session, cancel and counters are those
 * of workers.
 */
#ifndef ENGINE_DRAIN_H
#define ENGINE_DRAIN_H

#include "core/sql_log.h"
#include "engine/drain_floor.h"
#include "engine/engine_state.h"
#include "store/changelog.h"

typedef struct Drain Drain;

typedef struct DrainWant {
    int64_t entries; /* at most */
    int64_t after;   /* of ids above this one */
    bool strict;     /* fail where a unique value is taken, instead of keeping the entry */
} DrainWant;

typedef enum DrainOutcome {
    DRAIN_DONE = 0,
    DRAIN_LOST,      /* the slice is not ours any more; nothing was done */
    DRAIN_TRUNCATED, /* the source was truncated; nothing was done */
} DrainOutcome;

typedef struct DrainResult {
    DrainOutcome outcome;
    int64_t entries; /* looked at; fewer than wanted: these were the last of the slice */
    int64_t deleted, written;
    int64_t last;       /* greatest id among them */
    int64_t kept;       /* of them, still to be drained: a unique value kept their rows out */
    int64_t first_kept; /* least id among those */
} DrainResult;

/* How batches travel.  Functions fail as those of workers do: by class of the error. */
typedef struct DrainCarrier {
    /* Sessions besides the worker's, opened after that; both may be NULL.  `close` is called also
     * when nothing is open. */
    bool (*open)(Drain *drain, Err *err);
    void (*close)(Drain *drain);
    /* The session of the database that has the change log. */
    PgConn *(*log)(Drain *drain);
    bool (*batch)(Drain *drain, const SliceLease *slice, const DrainWant *want, DrainResult *result,
        Err *err);
} DrainCarrier;

struct Drain {
    Engine *engine;
    Worker *worker; /* session to the database that has the job's state */
    const DrainCarrier *carrier;
    void *sessions; /* of the carrier's */

    SliceSet held;
    int current;    /* index of the slice whose batch is in flight, */
    DrainWant want; /* and what is asked of it */
    Pacer pacer;
    /* The first entry of each slice, by its number, that was kept: which, since when, how often. */
    struct {
        int64_t id;
        int64_t since_us;
        int times;
    } kept_first[LOG_SLICES];

    int finished_pass; /* that was seen done after the passes were over; 0 = none */
    bool is_settled;   /* a run that follows has said that it is in sync */
    int rounds;        /* through all slices, to their ends, since the passes are over, */
    int64_t kept;      /* and entries that the last of them has kept */
    DrainFloor floor;
    struct {
        int64_t next_us;  /* not before */
        int64_t wait_us;  /* between two; longer while they are in vain */
    } vacuum;             /* of the log */
    bool may_begin;       /* no range of the move is open any more */
    ChangelogState state; /* as of the last look */
    int64_t looked_us;
    bool look_now;       /* before that is long ago */
    int repair_pass;     /* that is done, */
    int64_t repair_last; /* and the greatest id that it can have made */
};

/* Lease slices up to this run's share, or give one back that another run should have. */
bool drain_balance_slices(Drain *drain, Err *err) __attribute__((warn_unused_result));

/* The slice at `index` of those held is another run's now. */
void drain_forget_slice(Drain *drain, int index);

/* At the end; what cannot be given back is taken over when its lease has run out. */
void drain_release_slices(Drain *drain);

/* Give the room of drained entries back, when there is need and there are many. */
bool drain_vacuum_log(Drain *drain, Err *err) __attribute__((warn_unused_result));

/* One database holds everything: a function does it. */
extern const DrainCarrier drain_call;

#endif
