/*
 * collide.c - a tracker that knows where the mover is, and lanes that wait for it.
 */
#include "collide.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "harness/harness.h"
#include "harness/session.h"

#define LANES        6
#define TABLE_ROWS   25000 /* one range: a second visit would find nothing to lock */
#define SLOW_US      1100
#define TRACK_US     5000
#define ARRIVE_US    SECONDS_US(3)
#define DISTANCE_MAX 8  /* rows between the two that are locked; a batch has 20 */
#define LANE_ROWS    40 /* between the keys of two lanes */
/* Three parties: how long before the mover comes A1 begins to wait for A2. */
#define BEFORE_MIN_US INT64_C(100000)
#define BEFORE_MAX_US INT64_C(1900000)

typedef struct Stage Stage;

typedef struct Lane {
    Stage *stage;
    int index;
    pthread_t thread;
    Prng prng;
    Session *first;  /* A1 */
    Session *second; /* A2 */
    int64_t key;     /* under the stage's lock: the upper one of the provocation at hand; 0: none */
    int64_t victims;
} Lane;

struct Stage {
    JobTest test;
    CollideParties parties;
    int64_t count;
    atomic_bool is_ending;
    pthread_t tracker;
    Lane lanes[LANES];
    pthread_mutex_t lock;
    int64_t begun;      /* under lock: provocations */
    int64_t at;         /* under lock: the watermark */
    int64_t at_us;      /* under lock: since when */
    double rows_per_us; /* under lock: pace over the last second or so */
};

/* ---- where is the mover? ---- */

static const char SQL_AT[] =
    "SELECT COALESCE(max((COALESCE(r.watermark, r.low))[1]::int8), 0) FROM pghaul.ranges r"
    " WHERE r.pass = 1";

static void
observe(Stage *stage, int64_t at, int64_t now_us)
{
    (void)pthread_mutex_lock(&stage->lock);
    if (at != stage->at) {
        if (stage->at > 0) {
            double pace = (double)(at - stage->at) / (double)(now_us - stage->at_us);
            double weight = stage->rows_per_us > 0 ? 0.1 : 1.0;
            stage->rows_per_us += weight * (pace - stage->rows_per_us);
        }
        stage->at = at;
        stage->at_us = now_us;
    }
    (void)pthread_mutex_unlock(&stage->lock);
}

static void *
tracker_main(void *arg)
{
    Stage *stage = arg;
    PGconn *conn = pg_open(stage->test.uri);
    while (!atomic_load(&stage->is_ending)) {
        observe(stage, pg_int(conn, SQL_AT), clock_mono_us());
        harness_nap_us(TRACK_US);
    }
    pg_close(conn);
    return NULL;
}

/* The key that the mover is about to lock `later_us` from now; 0 = not known yet. */
static int64_t
mover_key(Stage *stage, int64_t later_us)
{
    (void)pthread_mutex_lock(&stage->lock);
    int64_t since_us = clock_mono_us() - stage->at_us + later_us;
    int64_t key = stage->rows_per_us <= 0
                      ? 0
                      : stage->at + (int64_t)(stage->rows_per_us * (double)since_us) + 1;
    (void)pthread_mutex_unlock(&stage->lock);
    return key;
}

/* ---- lanes ---- */

static bool
is_free(const Stage *stage, int64_t key)
{
    for (int i = 0; i < LANES; i++) {
        int64_t distance = stage->lanes[i].key - key;
        if (stage->lanes[i].key != 0 && distance < LANE_ROWS && distance > -LANE_ROWS) {
            return false;
        }
    }
    return true;
}

/* A key that the mover will reach after about `lead_us`, away from those of the other lanes. */
static bool
reserve_key(Lane *lane, int64_t key)
{
    Stage *stage = lane->stage;
    (void)pthread_mutex_lock(&stage->lock);
    bool ok = key > 0 && is_free(stage, key);
    if (ok) {
        lane->key = key;
    }
    (void)pthread_mutex_unlock(&stage->lock);
    if (key > TABLE_ROWS) {
        harness_fail("the mover is through before the provocations are");
    }
    return ok;
}

static void
release_key(Lane *lane)
{
    (void)pthread_mutex_lock(&lane->stage->lock);
    lane->key = 0;
    (void)pthread_mutex_unlock(&lane->stage->lock);
}

static bool
take_ticket(Stage *stage)
{
    (void)pthread_mutex_lock(&stage->lock);
    bool taken = stage->begun < stage->count;
    stage->begun += taken ? 1 : 0;
    (void)pthread_mutex_unlock(&stage->lock);
    return taken;
}

/* Lock a row as applications do, by writing or by SELECT .. FOR UPDATE. */
static void
row_lock_sql(Lane *lane, int64_t key, char sql[static 120])
{
    if (harness_chance(&lane->prng, 50)) {
        (void)snprintf(sql, 120, "UPDATE app SET note = 'x' WHERE id = %" PRId64, key);
    } else {
        (void)snprintf(sql, 120, "SELECT id FROM app WHERE id = %" PRId64 " FOR UPDATE", key);
    }
}

static void
begin_with_row(Lane *lane, Session *session, int64_t key)
{
    char sql[120];
    row_lock_sql(lane, key, sql);
    pg_exec(session_conn(session), "BEGIN");
    pg_exec(session_conn(session), sql);
}

/* Ask for the row at about the moment when the mover is there, and wait for it. */
static void
ask_when_mover_comes(Lane *lane, Session *session, int64_t key, int64_t moment)
{
    int64_t deadline_us = clock_mono_us() + ARRIVE_US;
    while (mover_key(lane->stage, 0) < moment && clock_mono_us() < deadline_us) {
        harness_nap_us(1000);
    }
    char sql[120];
    row_lock_sql(lane, key, sql);
    session_send(session, sql);
}

static void
end_transaction(Lane *lane, Session *session)
{
    if (!session_wait(session, HARNESS_TIMEOUT_US)) {
        harness_fail("a transaction of the application hangs");
    }
    const char *state = session_sqlstate(session);
    if (strcmp(state, "40P01") == 0) {
        lane->victims++;
    } else if (strcmp(state, "00000") != 0) {
        harness_fail("a transaction of the application got %s", state);
    }
    pg_exec(session_conn(session), "ROLLBACK");
}

static void
provoke_two(Lane *lane, int64_t upper, int64_t lower)
{
    begin_with_row(lane, lane->first, upper);
    ask_when_mover_comes(lane, lane->first, lower, prng_between(&lane->prng, lower - 2, upper));
    end_transaction(lane, lane->first);
}

static void
provoke_three(Lane *lane, int64_t upper, int64_t lower)
{
    char turn[96];
    (void)snprintf(
        turn, sizeof(turn), "SELECT lane FROM turn WHERE lane = %d FOR UPDATE", lane->index);
    pg_exec(session_conn(lane->second), "BEGIN");
    pg_exec(session_conn(lane->second), turn);
    begin_with_row(lane, lane->first, upper);
    session_send(lane->first, turn);
    ask_when_mover_comes(lane, lane->second, lower, prng_between(&lane->prng, lower - 2, upper));
    end_transaction(lane, lane->second);
    end_transaction(lane, lane->first);
}

static void
provoke(Lane *lane)
{
    bool two = lane->stage->parties == COLLIDE_TWO;
    int64_t upper = 0;
    do {
        int64_t lead_us = two ? prng_between(&lane->prng, 40000, 150000)
                              : prng_between(&lane->prng, BEFORE_MIN_US, BEFORE_MAX_US);
        upper = mover_key(lane->stage, lead_us);
        harness_nap_us(1000);
    } while (!reserve_key(lane, upper));
    int64_t lower = upper - prng_between(&lane->prng, 1, DISTANCE_MAX);
    if (two) {
        provoke_two(lane, upper, lower);
    } else {
        provoke_three(lane, upper, lower);
    }
    release_key(lane);
}

static void *
lane_main(void *arg)
{
    Lane *lane = arg;
    lane->first = session_open(lane->stage->test.uri);
    lane->second = session_open(lane->stage->test.uri);
    while (take_ticket(lane->stage)) {
        provoke(lane);
    }
    session_close(lane->first);
    session_close(lane->second);
    return NULL;
}

/* ---- the stage ---- */

static void
start_thread(pthread_t *thread, void *(*start)(void *), void *arg)
{
    if (pthread_create(thread, NULL, start, arg) != 0) {
        harness_fail("cannot start a thread");
    }
}

static void
start_lanes(Stage *stage, uint64_t seed)
{
    for (int i = 0; i < LANES; i++) {
        Lane *lane = &stage->lanes[i];
        lane->stage = stage;
        lane->index = i;
        prng_init(&lane->prng, seed + (uint64_t)i);
        start_thread(&lane->thread, lane_main, lane);
    }
}

static Proc *
start_mover(Stage *stage, PgCluster *cluster, bool strict)
{
    JobTest *test = &stage->test;
    job_open(test, cluster, TABLE_ROWS, SLOW_US);
    pg_execf(test->conn, "CREATE TABLE turn AS SELECT generate_series(0, %d) AS lane", LANES);
    job_write(test, strict ? JOB_SET_AMOUNT "path: key\nstripes: 1\nworkers: 1\nbatch: {rows: 20}\n"
                                            "throttle: {standbys: none}\nstrict: true\n"
                           : JOB_SET_AMOUNT "path: key\nstripes: 1\nworkers: 1\nbatch: {rows: 20}\n"
                                            "throttle: {standbys: none}\n");
    Proc *proc = job_start(test);
    if (!job_wait_batches(test, proc, 0, 1)) {
        harness_fail("the mover ended at once");
    }
    return proc;
}

CollideStats
collide(PgCluster *cluster, CollideParties parties, bool strict, int64_t count, uint64_t seed)
{
    Stage stage = {.parties = parties, .count = count};
    (void)pthread_mutex_init(&stage.lock, NULL);
    atomic_init(&stage.is_ending, false);
    Proc *proc = start_mover(&stage, cluster, strict);
    LockWatch *watch = lockwatch_start(stage.test.uri);
    start_thread(&stage.tracker, tracker_main, &stage);
    start_lanes(&stage, seed);

    CollideStats stats = {.provoked = count};
    for (int i = 0; i < LANES; i++) {
        (void)pthread_join(stage.lanes[i].thread, NULL);
        stats.victims += stage.lanes[i].victims;
    }
    atomic_store(&stage.is_ending, true);
    (void)pthread_join(stage.tracker, NULL);
    stats.waits = lockwatch_finish(watch);
    job_set_slow(&stage.test, 0);
    job_expect_exit(proc, 0);
    int64_t wrong = job_count_wrong(&stage.test, JOB_AMOUNT_RIGHT);
    if (wrong != 0) {
        harness_fail("%" PRId64 " rows are wrong", wrong);
    }
    job_close(&stage.test);
    (void)pthread_mutex_destroy(&stage.lock);
    return stats;
}
