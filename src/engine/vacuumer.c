/*
 * vacuumer.c - one thread that vacuums the table whenever a share of its rows has been changed.
 *
 * Dead versions that stripes leave behind, and the index entries of those that were not HOT, make
 * room only once VACUUM has been there; autovacuum comes after a fifth of the table and takes
 * longer.  The job's row says when the next one is due; of several runs the lock of the VACUUM lets
 * one through.  Who waits for that lock (DDL of the application) ends it, and so does the end of
 * the run by anything but the end of the work.
 *
 * After a purge the table is vacuumed once more while the run goes on otherwise: what was deleted
 * is room for new rows then, and the planner knows what is left.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "core/sql_parts.h"
#include "engine/engine_state.h"
#include "pg/query.h"

#define LOOK_EVERY_US      250000
#define CONNECT_TIMEOUT_US ((int64_t)5 * 1000000)
#define VACUUM_TIMEOUT_US  ((int64_t)24 * 3600 * 1000000)
#define NAP_US             20000

/* The last VACUUM: others may hold its lock, or the throttle end it. */
#define LAST_TRIES    3
#define LAST_PAUSE_US ((int64_t)1000000)

/* A tenth of the table; on huge tables less often, since every VACUUM walks over all indexes. */
#define SHARE_DIVISOR      10
#define HUGE_ROWS          200000000.0
#define HUGE_SHARE_DIVISOR 4
#define ROWS_MIN           50000

static int64_t
rows_between(const Plan *plan)
{
    double rows = plan->facts->table.rows;
    if (rows < 0) {
        rows = plan->rows_per_block * (double)plan->facts->table.blocks;
    }
    double share = rows / (rows > HUGE_ROWS ? HUGE_SHARE_DIVISOR : SHARE_DIVISOR);
    return share < ROWS_MIN ? ROWS_MIN : (int64_t)share;
}

int
engine_vacuum_pid(Engine *engine)
{
    (void)pthread_mutex_lock(&engine->vacuum_lock);
    int pid = engine->vacuum_conn == NULL ? 0 : conn_backend_pid(engine->vacuum_conn);
    (void)pthread_mutex_unlock(&engine->vacuum_lock);
    return pid;
}

void
engine_cancel_vacuum(Engine *engine, int pid)
{
    (void)pthread_mutex_lock(&engine->vacuum_lock);
    if (engine->vacuum_conn != NULL && conn_backend_pid(engine->vacuum_conn) == pid) {
        conn_cancel(engine->vacuum_conn);
    }
    (void)pthread_mutex_unlock(&engine->vacuum_lock);
}

static void
set_vacuuming(Engine *engine, PgConn *conn)
{
    (void)pthread_mutex_lock(&engine->vacuum_lock);
    engine->vacuum_conn = conn;
    (void)pthread_mutex_unlock(&engine->vacuum_lock);
}

static bool
vacuum_once(Engine *engine, PgConn *conn, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_vacuum(&sql, engine->setup.plan);
    int64_t begun_us = clock_mono_us();
    set_vacuuming(engine, conn);
    Statement statement = {
        .sql = strbuf_text(&sql), .timeout_us = VACUUM_TIMEOUT_US, .stop = &engine->stop};
    bool ok = query_statement(conn, &statement, NULL, err);
    set_vacuuming(engine, NULL);
    if (!ok) {
        return err_wrap(err, "vacuum");
    }
    log_line(LOG_DEBUG, "vacuum", "%lld ms", (long long)((clock_mono_us() - begun_us) / 1000));
    return true;
}

static bool
look(Engine *engine, PgConn **conn, int64_t every_rows, Err *err)
{
    const EngineSetup *setup = &engine->setup;
    if (*conn == NULL) {
        char label[48];
        (void)snprintf(label, sizeof(label), "%s/vacuum", setup->plan->spec->job);
        if (!conn_open(setup->target, CONN_VACUUM, label, CONNECT_TIMEOUT_US, conn, err)) {
            return false;
        }
    }
    int64_t rows = 0;
    if (!engine_may_work(engine)) {
        return true;
    }
    return job_vacuum_due(*conn, setup->job, every_rows, &rows, err) &&
           (rows == 0 || (vacuum_once(engine, *conn, err) &&
                             job_record_vacuum(*conn, setup->job, rows, err)));
}

static bool
is_alone(Engine *engine)
{
    (void)pthread_mutex_lock(&engine->lock);
    bool alone = engine->workers_alive == 1;
    (void)pthread_mutex_unlock(&engine->lock);
    return alone;
}

/* A VACUUM that was cancelled or could not lock is no loss: the next look asks again. */
static void
look_and_survive(Engine *engine, PgConn **conn, int64_t every_rows, Err *err)
{
    if (look(engine, conn, every_rows, err)) {
        return;
    }
    log_line(LOG_DEBUG, "vacuum", "%s", err->message);
    if (*conn != NULL && (err->cls == ERR_RECONNECT || !conn_is_idle(*conn))) {
        conn_close(*conn);
        *conn = NULL;
    }
}

static void
begin_tidying(Engine *engine)
{
    (void)pthread_mutex_lock(&engine->lock);
    engine->tidying = engine->first_error.cls == ERR_NONE;
    (void)snprintf(engine->progress.note, sizeof(engine->progress.note), "vacuuming the table");
    (void)pthread_mutex_unlock(&engine->lock);
}

static void
vacuum_at_the_end(Engine *engine, PgConn **conn)
{
    begin_tidying(engine);
    Err err = ERR_INIT;
    for (int tries = 0; tries < LAST_TRIES; tries += engine_may_work(engine) ? 1 : 0) {
        err = ERR_INIT;
        if (engine_may_work(engine)) {
            look_and_survive(engine, conn, 1, &err);
            if (err.cls == ERR_NONE) {
                return;
            }
        }
        if (stop_sleep_us(&engine->stop, LAST_PAUSE_US) != STOP_NONE) {
            return;
        }
    }
    log_line(LOG_INFO, "vacuum", "left to autovacuum: %s", err.message);
}

/* Between two looks; the end of the work does not wait for it. */
static bool
nap(Engine *engine)
{
    for (int64_t us = 0; us < LOOK_EVERY_US; us += NAP_US) {
        if (is_alone(engine) || stop_sleep_us(&engine->stop, NAP_US) != STOP_NONE) {
            return false;
        }
    }
    return true;
}

void *
vacuumer_main(void *arg)
{
    Engine *engine = arg;
    PgConn *conn = NULL;
    int64_t every_rows = rows_between(engine->setup.plan);
    while (nap(engine)) {
        Err err = ERR_INIT;
        look_and_survive(engine, &conn, every_rows, &err);
    }
    if (engine->setup.plan->purge != NULL && engine_is_finished(engine) &&
        stop_level(&engine->stop) == STOP_NONE) {
        vacuum_at_the_end(engine, &conn);
    }
    conn_close(conn);
    (void)pthread_mutex_lock(&engine->lock);
    engine->workers_alive--;
    (void)pthread_mutex_unlock(&engine->lock);
    return NULL;
}
