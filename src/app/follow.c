/*
 * follow.c - a small run: one session, no workers, the rows that the application changed.
 *
 * The first signal ends it after another round, so it ends caught up; until then signals wait.
 */
#include "app/follow.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "app/json.h"
#include "base/clock.h"
#include "core/format.h"
#include "ops/cutover.h"
#include "store/control.h"
#include "store/run.h"

#define POLL_NS      200000000L
#define BEAT_US      ((int64_t)1000000)
#define RATE_UNKNOWN (-1.0)

typedef struct Follower {
    App *app;
    PgConn *conn;
    const JobRow *job;
    int64_t run;
    int64_t beat_us; /* the last heartbeat */
    sigset_t signals;
} Follower;

static bool
beat(Follower *f, int64_t drained, bool *more, Err *err)
{
    int64_t now_us = clock_mono_us();
    if (f->beat_us != 0 && now_us - f->beat_us < BEAT_US) {
        return true;
    }
    f->beat_us = now_us;
    RunBeat run = {.run = f->run, .rows = drained, .rows_per_s = RATE_UNKNOWN, .batch_age_us = -1};
    Arena arena = ARENA_INIT;
    Control control;
    bool ok = run_heartbeat(f->conn, &run, err) &&
              control_read(f->conn, f->job->id, f->run, &arena, &control, err);
    *more = ok && control.stop_by == NULL && control.state == JOB_CUT_OVER;
    arena_reset(&arena);
    return ok;
}

static bool
go_on(void *arg, int64_t drained, bool *more, Err *err)
{
    Follower *f = arg;
    const struct timespec pause = {.tv_nsec = POLL_NS};
    *more = f->app->options.follow;
    if (*more && !beat(f, drained, more, err)) {
        return false;
    }
    *more = *more && sigtimedwait(&f->signals, NULL, &pause) < 0;
    return true;
}

static void
show(App *app, const JobRow *job, int64_t drained)
{
    char rows[FORMAT_SIZE];
    STRBUF_AUTO line = STRBUF_INIT;
    strbuf_printf(&line, "job %s is cut over; the old table is caught up: %s change%s drained\n",
        job->name, format_count(drained, rows), drained == 1 ? "" : "s");
    app_print(app, strbuf_text(&line));
    app_result(app, "drained_changes", json_integer(drained));
}

bool
follow_cut_over(App *app, PgConn *conn, const JobRow *job, Err *err)
{
    Follower f = {.app = app, .conn = conn, .job = job};
    char host[64] = "";
    int64_t drained = 0;
    int others = 0;
    (void)gethostname(host, sizeof(host) - 1);
    RunNew run = {.job = job->id, .host = host, .pid = (int)getpid(), .version = PGHAUL_VERSION};
    (void)sigemptyset(&f.signals);
    (void)sigaddset(&f.signals, SIGINT);
    (void)sigaddset(&f.signals, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &f.signals, NULL);
    if (!run_register(conn, &run, &f.run, err)) {
        return false;
    }
    CutoverFollow follow = {.conn = conn, .job = job, .go_on = go_on, .arg = &f};
    bool ok = cutover_follow(&follow, &drained, err);
    Err ignored = ERR_INIT; /* the cause is what to report */
    (void)!run_end(conn, f.run, ok ? 0 : err_exit_code(err), &others, &ignored);
    if (ok) {
        show(app, job, drained);
    }
    return ok;
}
