/*
 * follow.c - a small run: one session, no workers, the rows that the application changed.
 *
 * It keeps to the throttle as other runs do.  The first signal ends it after another round, so it
 * ends caught up, or after a few seconds; until then signals wait.
 */
#include "app/follow.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "app/json.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/format.h"
#include "core/governor.h"
#include "core/settings.h"
#include "ops/cutover.h"
#include "pg/probe.h"
#include "store/control.h"
#include "store/run.h"

#define POLL_NS      200000000L
#define JUDGE_US     ((int64_t)250000)
#define BEAT_US      ((int64_t)1000000)
#define LAST_US      ((int64_t)5 * 1000000) /* for the last round */
#define RATE_UNKNOWN (-1.0)

typedef struct Follower {
    App *app;
    PgConn *conn;
    const JobSpec *spec;
    const JobRow *job;
    int64_t run;
    int64_t beat_us;   /* the last heartbeat, */
    int64_t judged_us; /* and look at the standbys */
    int64_t until_us;  /* end of the last round; 0 = it goes on */
    int64_t drained;   /* at the last heartbeat, */
    int64_t batch_us;  /* and when that was another number */
    Governor *governor;
    bool paused;
    sigset_t signals;
} Follower;

/* ---- throttle ---- */

static void
begin_governor(Follower *f)
{
    f->governor = mem_new(sizeof(*f->governor)); /* the lag ring is large for a stack */
    GovernorSetup setup = {
        .throttle = &f->spec->throttle,
        .table = f->job->table_name,
        .role = "the role of this session",
        .standbys = {.names = f->job->standbys, .count = f->job->standby_count},
        .allow_blind_lag = jobspec_allows(f->spec, "blind-lag"),
    };
    governor_init(f->governor, &setup, clock_mono_us());
}

/* What was set of the throttle while the job runs; a value that is out of range is left alone. */
static void
follow_settings(Follower *f, const Control *control)
{
    JobSpec spec = *f->spec;
    for (int i = 0; i < control->setting_count; i++) {
        Err ignored = ERR_INIT;
        if (!settings_put(&spec, control->settings[i].key, control->settings[i].value, &ignored)) {
            log_line(LOG_DEBUG, NULL, "%s", ignored.message);
        }
    }
    governor_set_throttle(f->governor, &spec.throttle);
}

static bool
judge(Follower *f, Err *err)
{
    int64_t now_us = clock_mono_us();
    if (f->judged_us != 0 && now_us - f->judged_us < JUDGE_US) {
        return true;
    }
    f->judged_us = now_us;
    Arena arena = ARENA_INIT;
    Signals signals = {.waiters_known = true}; /* the application does not lock the old table */
    bool ok = probe_replication(f->conn, &arena, &signals, err);
    if (ok) {
        const Verdict *verdict = governor_decide(f->governor, &signals, clock_mono_us());
        if (verdict->pause != f->paused) {
            log_line(LOG_INFO, NULL, "%s%s", verdict->pause ? "throttled: " : "going on",
                verdict->reason);
        }
        f->paused = verdict->pause;
    }
    arena_reset(&arena);
    return ok;
}

/* ---- heartbeat ---- */

static bool
beat(Follower *f, const CutoverStanding *standing, Err *err)
{
    int64_t now_us = clock_mono_us();
    if (f->beat_us != 0 && now_us - f->beat_us < BEAT_US) {
        return true;
    }
    f->beat_us = now_us;
    f->batch_us = standing->drained != f->drained ? now_us : f->batch_us;
    f->drained = standing->drained;
    RunBeat run = {
        .run = f->run,
        .rows = standing->drained,
        .rows_per_s = RATE_UNKNOWN,
        .batch_age_us = f->batch_us == 0 ? -1 : now_us - f->batch_us,
        .backlog_rows = standing->rows,
        .backlog_s = standing->age_s,
        .reason = f->paused ? f->governor->verdict.reason : NULL,
    };
    Arena arena = ARENA_INIT;
    Control control;
    bool ok = run_heartbeat(f->conn, &run, err) &&
              control_read(f->conn, f->job->id, f->run, &arena, &control, err);
    bool wanted = ok && control.stop_by == NULL && control.state == JOB_CUT_OVER;
    if (ok) {
        follow_settings(f, &control);
    }
    if (ok && !wanted && f->until_us == 0) {
        f->until_us = now_us + LAST_US;
    }
    arena_reset(&arena);
    return ok;
}

/* ---- between batches ---- */

static void
take_signal(Follower *f, long wait_ns)
{
    const struct timespec wait = {.tv_nsec = wait_ns};
    if (sigtimedwait(&f->signals, NULL, &wait) >= 0 && f->until_us == 0) {
        f->until_us = clock_mono_us() + LAST_US;
    }
}

/* Has the last round no time left?  One that is throttled ends behind. */
static bool
is_over(const Follower *f)
{
    return f->until_us != 0 && (f->paused || clock_mono_us() >= f->until_us);
}

static bool
go_on(void *arg, const CutoverStanding *standing, bool *more, Err *err)
{
    Follower *f = arg;
    bool follows = f->app->options.follow;
    if (standing->between_rounds && follows && f->judged_us != 0) {
        take_signal(f, POLL_NS);
    }
    do {
        if (!beat(f, standing, err) || !judge(f, err)) {
            return false;
        }
        take_signal(f, f->paused ? POLL_NS : 0);
    } while (f->paused && f->until_us == 0);
    *more = standing->between_rounds ? follows && f->until_us == 0 : !is_over(f);
    return true;
}

/* ---- the verb ---- */

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

static bool
follow(Follower *f, CutoverStanding *standing, Err *err)
{
    CutoverFollow request = {
        .conn = f->conn, .job = f->job, .run = f->run, .go_on = go_on, .arg = f};
    if (!cutover_follow(&request, standing, err)) {
        return false;
    }
    return !is_over(f) || err_set(err, ERR_STOPPED, "stopped with changes left to be drained");
}

bool
follow_cut_over(App *app, PgConn *conn, const JobSpec *spec, const JobRow *job, Err *err)
{
    Follower f = {.app = app, .conn = conn, .spec = spec, .job = job};
    char host[64] = "";
    CutoverStanding standing = {.drained = 0};
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
    begin_governor(&f);
    bool ok = follow(&f, &standing, err);
    free(f.governor);
    Err ignored = ERR_INIT; /* the cause is what to report */
    (void)!run_end(conn, f.run, ok ? 0 : err_exit_code(err), &others, &ignored);
    if (ok) {
        show(app, job, standing.drained);
    }
    return ok;
}
