/*
 * engine_state.h - what the threads of a run share; only layer engine includes it.
 */
#ifndef ENGINE_ENGINE_STATE_H
#define ENGINE_ENGINE_STATE_H

#include <pthread.h>

#include "base/arena.h"
#include "base/strbuf.h"
#include "core/pacer.h"
#include "core/prng.h"
#include "core/retry.h"
#include "core/settings.h"
#include "engine/engine.h"
#include "store/ranges.h"

typedef struct Engine Engine;

/* The most that `workers` takes. */
#define ENGINE_WORKERS_MAX 64

/* Numbers of a worker that others read. */
typedef struct WorkerCounters {
    int64_t rows;
    int64_t batches;
    int64_t batch_us; /* when the last one committed; 0 = none yet */
    int64_t lock_retries;
    int64_t cancels;
    int64_t errors;
    int64_t archived_bytes;     /* of frames whose rows are deleted */
    int64_t archived_raw_bytes; /* of their rows, as text */
    double batch_rows;          /* smoothed */
    double batch_ms;            /* smoothed */
    bool busy;
} WorkerCounters;

typedef struct Worker {
    /* set at creation */
    Engine *engine;
    int index;
    char name[8]; /* "w03" */
    pthread_t thread;

    pthread_mutex_t lock;
    PgConn *cancellable;        /* under lock: the session while a batch is in flight, else NULL */
    PgConn *source_cancellable; /* under lock: the same of that to the source */
    int backend_pid;            /* under lock: 0 without a session */
    int source_pid;             /* under lock: the same of that to the source */
    bool cancelled_for_app;     /* under lock: the monitor cancelled the batch in flight */
    WorkerCounters counters;    /* under lock */

    /* owner thread only */
    PgConn *conn;
    PgConn *source;    /* of a copy between two databases, open whenever `conn` is; NULL else */
    int64_t timeline;  /* of the server that `conn` leads to */
    int64_t row_bytes; /* relayed lately, the mean of a row; 0 = not known */
    Settings settings; /* of the run, as of this step */
    JobRow job;        /* as read when the last range was taken; texts in job_arena */
    Arena job_arena;
    bool has_lease;
    RangeLease lease; /* bounds in lease_arena, watermark in `watermark` */
    Arena lease_arena;
    StrBuf watermark;
    int batches_around; /* of a copy, that go around unique values that are taken */
    int64_t carve_rows; /* of the next range by key; less where the index is slow to walk */
    Pacer move_pacer;
    Pacer verify_pacer;
    Pacer repair_pacer;
    RetryHistory history;
    Backoff backoff;
    Prng prng;
    int64_t unreachable_since_us; /* 0 = the session works */
    struct Archiver *archiver;    /* of a purge that writes files (engine/archiver.h); NULL */
} Worker;

struct Engine {
    /* set at creation */
    EngineSetup setup;
    int64_t started_us;
    Worker *workers; /* ENGINE_WORKERS_MAX, of which the first `workers_started` have a thread; one
                        more, which drains the change log of a copy */
    pthread_t monitor;
    pthread_t vacuumer;
    pthread_t indexer;

    StopToken stop; /* has its own lock */

    pthread_mutex_t vacuum_lock;
    PgConn *vacuum_conn; /* under vacuum_lock: the session while a VACUUM runs, else NULL */

    pthread_mutex_t lock;
    Err first_error;     /* under lock: what ends the run; ERR_NONE while all is well */
    int workers_started; /* under lock; only grows */
    int workers_alive;   /* under lock; with those that drain and vacuum */
    bool finished;       /* under lock: a worker found nothing left of the job */
    bool tidying;        /* under lock: only a VACUUM is left to do */
    int drained_pass;    /* under lock: the repair pass whose entries are drained; 0 = none */
    int64_t log_bytes;   /* under lock: of the change log */
    bool in_sync;        /* under lock: all passes are done, and the target is caught up */
    Settings settings;   /* under lock: in force now; its number of workers is never 0 */
    int stripes;         /* under lock: of ranges that are carved from now on */
    Progress progress;   /* under lock: the monitor's part of it */
    bool verdict_known;  /* under lock: the monitor has judged at least once */
};

/* The first error ends the run: remember it, ask all threads to stop. */
void engine_fail(Engine *engine, const Err *err);

/* The backend that vacuums now, 0 = none; and how to end its VACUUM, if it is still `pid`. */
int engine_vacuum_pid(Engine *engine);
void engine_cancel_vacuum(Engine *engine, int pid);

/* What is in force now. */
Settings engine_settings(Engine *engine);

/* Threads of workers that there are. */
int engine_workers_started(Engine *engine);

/* Nothing is left of the job: who waits for work need not wait any more. */
void engine_finish(Engine *engine);
bool engine_is_finished(Engine *engine);

/* Has the monitor judged at least once? */
bool engine_is_judged(Engine *engine);

/* The one that drains, if there is one, and those of workers[] that have a thread; NULL after the
 * last.  Numbers stay: workers only grow more. */
Worker *engine_worker(Engine *engine, int index);

/* What a repair pass put into the change log is drained; has that been so for this pass? */
void engine_set_drained(Engine *engine, int pass);
bool engine_is_drained(Engine *engine, int pass);

/* Is the throttle open? */
bool engine_may_work(Engine *engine);

/* Put together what is known now. */
void engine_snapshot(Engine *engine, Progress *progress);

void *worker_main(void *arg);
void *monitor_main(void *arg);
void *vacuumer_main(void *arg);
void *drain_main(void *arg);
void *indexer_main(void *arg);

#endif
