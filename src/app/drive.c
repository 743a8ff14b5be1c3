#include "app/drive.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "app/aftercare_text.h"
#include "app/display.h"
#include "app/json.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/format.h"
#include "ops/indexes.h"
#include "pg/query.h"
#include "store/quarantine.h"
#include "store/run.h"

#define REOPEN_TIMEOUT_US ((int64_t)5 * 1000000)
#define REOPEN_EVERY_US   200000
/* A crashed server replays its log for so long, usually; the next run can tell the end as well. */
#define REOPEN_LIMIT_US ((int64_t)60 * 1000000)

/* ---- work ---- */

static sigset_t
end_signals(void)
{
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGHUP);
    return signals;
}

/* The engine waits for them by sigtimedwait().  Before it their default holds: to die is safe. */
static void
block_signals(void)
{
    sigset_t signals = end_signals();
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

static int
worker_count(const Drive *drive)
{
    int asked = drive->app->options.workers;
    return asked > 0 ? asked : drive->plan->workers;
}

static bool
register_run(Drive *drive, Err *err)
{
    char host[256] = "";
    (void)gethostname(host, sizeof(host) - 1);
    RunNew run = {
        .job = drive->job->id,
        .host = host,
        .pid = (int)getpid(),
        .version = PGHAUL_VERSION,
        .workers = worker_count(drive),
        .workers_option = drive->app->options.workers,
    };
    return run_register(*drive->conn, &run, &drive->run, err);
}

bool
drive_register_alone(Drive *drive, Err *err)
{
    int alive = 0;
    if (!query_script(*drive->conn, "BEGIN", err)) {
        return false;
    }
    bool ok = job_lock(*drive->conn, drive->job->id, err) &&
              run_count_alive(*drive->conn, drive->job->id, &alive, err) &&
              (alive == 0 ||
                  err_set(err, ERR_BUSY, "another run of job %s is at work", drive->job->name)) &&
              register_run(drive, err);
    return query_end(*drive->conn, ok, err);
}

bool
drive_work(Drive *drive, Err *err)
{
    if (drive->run == 0 && !register_run(drive, err)) {
        return false;
    }
    Display display;
    display_begin(&display, drive->app, drive->job->name);
    IndexBuilder builder = {
        .plan = drive->plan,
        .target = &drive->app->options.target,
        .job = drive->job->id,
        .run = drive->run,
        .arena = ARENA_INIT,
    };
    bool builds = drive->plan->copy != NULL && drive->plan->copy->indexes != NULL;
    EngineSetup setup = {
        .plan = drive->plan,
        .target = &drive->app->options.target,
        .source = drive->app->remote ? &drive->app->source : NULL,
        .job = drive->job->id,
        .run = drive->run,
        .system_id = drive->job->system_id,
        .workers = worker_count(drive),
        .workers_option = drive->app->options.workers,
        .standbys = {.names = drive->job->standbys, .count = drive->job->standby_count},
        .max_runtime_us = drive->app->options.max_runtime_us,
        .follow = drive->app->options.follow,
        .obeys_window = drive->app->options.verb == VERB_RUN,
        .inherited_pass = drive->inherited_pass,
        .seed = (uint64_t)clock_mono_us() ^ (uint64_t)getpid() << 32,
        .build_index = builds ? indexes_build_next : NULL,
        .end_builder = indexes_end_builder,
        .builder = &builder,
        .observe = display_observe,
        .observe_arg = &display,
    };
    block_signals();
    bool ok = engine_run(&setup, &drive->final, &drive->second_signal, err);
    drive->has_worked = true;
    display_end(&display);
    return ok;
}

/* ---- the end ---- */

/* The session was idle during the run; a restart of the server or a firewall may have ended it. */
static bool
reopen(Drive *drive, Err *err)
{
    conn_close(*drive->conn);
    *drive->conn = NULL;
    drive->has_seen_end = false;
    sigset_t signals = end_signals();
    const struct timespec pause = {.tv_nsec = (long)REOPEN_EVERY_US * 1000};
    int64_t give_up_us = clock_mono_us() + REOPEN_LIMIT_US;
    for (;;) {
        *err = ERR_INIT;
        if (conn_open(&drive->app->options.target, CONN_CATALOG, "catalog", REOPEN_TIMEOUT_US,
                drive->conn, err)) {
            return true;
        }
        bool may_pass = err->cls == ERR_CONNECT || err->cls == ERR_RECONNECT;
        if (!may_pass || clock_mono_us() > give_up_us || sigtimedwait(&signals, NULL, &pause) > 0) {
            err->cls = may_pass ? ERR_CONNECT : err->cls;
            return false;
        }
    }
}

/* The two passes before: what the verify pass found, and what was changed then. */
static bool
read_repair(Drive *drive, const JobRow *row, Err *err)
{
    RangeTotals repair;
    if (!ranges_totals(*drive->conn, row->id, row->pass - 1, &repair, err) ||
        !job_differing(*drive->conn, row->id, row->pass - 2, &drive->found_rows, err)) {
        return false;
    }
    drive->repaired_rows = repair.rows;
    return true;
}

/* The last sample is up to a second old; what the database has counted is not. */
static void
settle_progress(Drive *drive, const JobRow *row)
{
    Progress *final = &drive->final;
    const RangeTotals *totals = &drive->totals;
    bool done = row->carved && totals->ranges_done == totals->ranges;
    double share = row->est_rows > 0 ? (double)totals->est_done / (double)row->est_rows : 0;
    final->share = done ? 1.0 : share < 0.999 ? share : 0.999; /* as view progress has it */
    progress_take_totals(final, row, totals);
    final->eta_s = -1;
}

static bool
read_outcome(Drive *drive, Err *err)
{
    JobRow row;
    if (*drive->conn == NULL) {
        return err_set(err, ERR_RECONNECT, "no session");
    }
    if (!job_read_id(*drive->conn, drive->job->id, &drive->app->arena, &row, err) ||
        !ranges_totals(*drive->conn, row.id, row.pass, &drive->totals, err) ||
        !quarantine_count(*drive->conn, row.id, &drive->aside, err) ||
        !ranges_conflicts(*drive->conn, row.id, &drive->skipped, &drive->updated, err)) {
        return false;
    }
    drive->has_outcome = true;
    drive->pass = row.pass;
    drive->pass_kind = row.pass_kind;
    settle_progress(drive, &row);
    drive->found_rows = drive->totals.differing;
    if (row.pass_kind == PASS_VERIFY && row.last_pass_kind == PASS_REPAIR &&
        !read_repair(drive, &row, err)) {
        return false;
    }
    if (!row.carved || drive->totals.ranges_done < drive->totals.ranges ||
        row.pass == drive->inherited_pass) {
        return err_set(err, ERR_STOPPED, ENGINE_LOST_COMMITS);
    }
    drive->has_seen_end = true;
    return true;
}

bool
drive_read_outcome(Drive *drive, Err *err)
{
    return read_outcome(drive, err) ||
           (err->cls == ERR_RECONNECT && reopen(drive, err) && read_outcome(drive, err));
}

JobState
drive_end_state(const Plan *plan)
{
    return plan->copy != NULL && plan->sync_trigger ? JOB_SYNCED : JOB_COMPLETE;
}

static bool
set_complete(Drive *drive, Err *err)
{
    if (!drive->has_seen_end && !read_outcome(drive, err)) {
        return false;
    }
    return quarantine_forget_stops(*drive->conn, drive->job->id, err) &&
           job_set_state(*drive->conn, drive->job->id, drive_end_state(drive->plan), NULL, err);
}

/* The state commits after everything that its session has seen.  A session that was opened anew,
 * here or to write down the end of the run, has to look again: what ended the old one may have
 * undone the last batches. */
bool
drive_complete(Drive *drive, Err *err)
{
    if (set_complete(drive, err) ||
        (err->cls == ERR_RECONNECT && reopen(drive, err) && set_complete(drive, err))) {
        return true;
    }
    if (err->cls == ERR_DRIFT) {
        drive_set_state(drive, JOB_FAILED, err->message);
    } else if (err->cls == ERR_STOPPED && drive->other_runs == 0) {
        drive_set_state(drive, JOB_STOPPED, err->message);
    }
    return false;
}

static bool
end_run(Drive *drive, int exit_code, Err *err)
{
    if (*drive->conn == NULL) {
        return err_set(err, ERR_RECONNECT, "no session");
    }
    return aftercare_of_run(drive, exit_code, err) &&
           run_end(*drive->conn, drive->run, exit_code, &drive->other_runs, err);
}

void
drive_end(Drive *drive, int exit_code)
{
    Err err = ERR_INIT;
    if (drive->run == 0 || end_run(drive, exit_code, &err)) {
        return;
    }
    if (err.cls != ERR_RECONNECT || !reopen(drive, &err) || !end_run(drive, exit_code, &err)) {
        log_err(NULL, &err);
    }
}

void
drive_set_state(Drive *drive, JobState state, const char *reason)
{
    Err err = ERR_INIT;
    if (*drive->conn == NULL) {
        log_line(LOG_WARNING, NULL, "the job's state could not be set to %s: no session",
            jobstate_name(state));
        return;
    }
    if (!job_set_state(*drive->conn, drive->job->id, state, reason, &err)) {
        log_err(NULL, &err);
    }
}

/* What is left, for the result; it is not why the run ended. */
static void
read_rest(Drive *drive)
{
    JobRow row;
    Err ignored = ERR_INIT;
    if (drive->run != 0 && *drive->conn != NULL &&
        job_read_id(*drive->conn, drive->job->id, &drive->app->arena, &row, &ignored) &&
        ranges_totals(*drive->conn, row.id, row.pass, &drive->totals, &ignored)) {
        settle_progress(drive, &row);
    }
}

void
drive_fail(Drive *drive, bool keep_state, Err *err)
{
    bool stopped = err->cls == ERR_STOPPED || err->cls == ERR_LIMIT;
    if (drive->second_signal) {
        drive->app->exit_code = 130;
    }
    int exit_code = drive->second_signal ? 130 : err_exit_code(err);
    drive_end(drive, exit_code);
    bool cleaned = err->cls == ERR_BUSY;
    if (!keep_state && !cleaned && drive->run != 0 && drive->other_runs == 0) {
        drive_set_state(drive, stopped ? JOB_STOPPED : JOB_FAILED, err->message);
    }
    read_rest(drive);
    app_result(drive->app, "run_id", json_integer(drive->run));
    app_result(drive->app, "progress", json_progress(drive->job->name, &drive->final));
    if (stopped && drive->plan->purge != NULL && drive->has_worked) {
        drive_summary(drive); /* a night that ends with work left is as good as another */
    }
    if (stopped && err->hint[0] == '\0') {
        const Options *options = &drive->app->options;
        (void)err_hint(err, "To go on: pghaul %s %s%s", verb_at(options->verb)->name,
            options->args[0], options->repair ? " --repair" : "");
    }
}

/* ---- summary ---- */

/* A plain verify changes no row, whatever came before it. */
static bool
may_repair(const Drive *drive)
{
    return drive->app->options.verb == VERB_RUN || drive->app->options.repair;
}

static void
put_moved(StrBuf *out, const Drive *drive)
{
    const Progress *last = &drive->final;
    char rows[FORMAT_SIZE];
    char elapsed[FORMAT_SIZE];
    char rate[FORMAT_SIZE];
    double elapsed_s = (double)last->elapsed_us / 1e6;
    double rows_per_s = elapsed_s > 0 ? (double)last->run_rows / elapsed_s : 0;
    strbuf_printf(out, "  rows %-11s%s by this run in %s (%s rows/s)\n",
        jobspec_kind_done(drive->plan->spec->kind), format_count(last->run_rows, rows),
        format_duration(last->elapsed_us, elapsed), format_count((int64_t)rows_per_s, rate));
    strbuf_printf(out,
        "  batches         %lld; %lld gave way to locks, %lld cancelled, %lld tried again "
        "after a timeout or error\n",
        (long long)last->batches, (long long)last->lock_retries, (long long)last->cancels,
        (long long)last->errors);
}

static void
put_archived(StrBuf *out, const Drive *drive)
{
    char bytes[FORMAT_SIZE];
    char raw[FORMAT_SIZE];
    const PurgePlan *purge = drive->plan->purge;
    if (purge != NULL && purge->archives) {
        strbuf_printf(out, "  archived        %s in %s, %s as text\n",
            format_bytes(drive->final.archived_bytes, bytes), drive->plan->spec->archive.path,
            format_bytes(drive->final.archived_raw_bytes, raw));
    }
}

static void
put_conflicts(StrBuf *out, const Drive *drive)
{
    char skipped[FORMAT_SIZE];
    char updated[FORMAT_SIZE];
    if (drive->plan->spec->on_conflict != ON_CONFLICT_ERROR) {
        strbuf_printf(out, "  in the target   %s updated, %s left as they were\n",
            format_count(drive->updated, updated), format_count(drive->skipped, skipped));
    } else if (drive->has_outcome && drive->plan->purge != NULL &&
               drive->plan->purge->child_count > 0) {
        strbuf_printf(out, "  other tables    %s rows deleted that referred to them\n",
            format_count(drive->updated, updated));
    }
}

static void
put_drained(StrBuf *out, const Progress *last)
{
    char drained[FORMAT_SIZE];
    char behind[FORMAT_SIZE];
    if (last->backlog_rows >= 0) {
        strbuf_printf(out, "  changes         %s drained, behind by %s, %.1f s\n",
            format_count(last->drained_rows, drained), format_count(last->backlog_rows, behind),
            last->backlog_s);
    }
}

static void
put_throttled(StrBuf *out, const Progress *last)
{
    char number[FORMAT_SIZE];
    int64_t paused_us = progress_paused_us(last);
    strbuf_printf(
        out, "  throttled       %s", paused_us == 0 ? "never" : format_duration(paused_us, number));
    bool first = true;
    for (int i = SIGNAL_FIRST; i < SIGNAL_COUNT; i++) {
        if (last->paused_us[i] > 0) {
            strbuf_printf(out, "%s%s %s", first ? ": " : ", ", signal_def((SignalId)i)->name,
                format_duration(last->paused_us[i], number));
            first = false;
        }
    }
    strbuf_putc(out, '\n');
}

static void
put_verified(StrBuf *out, const Drive *drive)
{
    char rows[FORMAT_SIZE];
    if (drive->pass_kind != PASS_VERIFY) {
        return;
    }
    if (drive->repaired_rows > 0 && may_repair(drive)) {
        strbuf_printf(
            out, "  repair          %s rows differed", format_count(drive->found_rows, rows));
        strbuf_printf(out, ", %s changed\n", format_count(drive->repaired_rows, rows));
    }
    strbuf_printf(
        out, "  verify          %s rows compared, ", format_count(drive->totals.rows, rows));
    if (drive->totals.differing == 0) {
        strbuf_puts(out, "none differs");
    } else {
        strbuf_printf(out, "%lld differ", (long long)drive->totals.differing);
    }
    if (drive->aside > 0) {
        strbuf_printf(out, "; %lld set aside are left out", (long long)drive->aside);
    }
    strbuf_putc(out, '\n');
}

void
drive_tell_aside(App *app, const char *job, int64_t rows)
{
    app_result(app, "quarantined_rows", json_integer(rows));
    if (rows == 0) {
        return;
    }
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&text,
        "job %s: %lld row%s refused and set aside; pghaul quarantine %s shows them, and with "
        "--retry tries them again\n",
        job, (long long)rows, rows == 1 ? " is" : "s are", job);
    if (app_is_silent(app)) {
        (void)fputs(strbuf_text(&text), stderr);
    }
    app_print(app, strbuf_text(&text));
    app->exit_code = 5;
}

static void
put_rows(App *app, const char *name, bool known, int64_t rows)
{
    app_result(app, name, known ? json_integer(rows) : json_null());
}

void
drive_summary(const Drive *drive)
{
    App *app = drive->app;
    const Progress *last = &drive->final;
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&text, "job %s\n", drive->job->name);
    if (app->options.verb == VERB_RUN) {
        put_moved(&text, drive);
        put_archived(&text, drive);
        put_conflicts(&text, drive);
    }
    put_drained(&text, last);
    put_throttled(&text, last);
    aftercare_put(&text, drive);
    if (last->hot_ratio >= 0 && may_repair(drive)) {
        char number[FORMAT_SIZE];
        strbuf_printf(&text, "  HOT updates     %s\n", format_percent(last->hot_ratio, number));
    }
    put_verified(&text, drive);
    app_print(app, strbuf_text(&text));
    app_result(app, "run_id", json_integer(drive->run));
    bool verified = drive->pass_kind == PASS_VERIFY;
    app_result(app, "verified", json_boolean(verified));
    put_rows(app, "compared_rows", verified, drive->totals.rows);
    put_rows(app, "differing_rows", verified, drive->totals.differing);
    put_rows(app, "found_rows", verified, drive->found_rows);
    put_rows(app, "repaired_rows", verified, drive->repaired_rows);
    app_result(app, "quarantined_rows", json_integer(drive->aside));
    if (drive->plan->copy != NULL) {
        app_result(app, "skipped_rows", json_integer(drive->skipped));
        app_result(app, "updated_rows", json_integer(drive->updated));
    }
    if (drive->plan->purge != NULL) {
        put_rows(app, "children_rows", drive->has_outcome, drive->updated);
    }
    app_result(app, "progress", json_progress(drive->job->name, last));
}
