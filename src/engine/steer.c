#include "engine/steer.h"

#include <string.h>

#include "base/log.h"
#include "pg/window.h"
#include "store/control.h"

void
steer_init(Steer *steer, Engine *engine)
{
    *steer = (Steer){
        .engine = engine,
        .paused = STRBUF_INIT,
        .settings = STRBUF_INIT,
        .spec = *engine->setup.plan->spec,
    };
}

void
steer_destroy(Steer *steer)
{
    strbuf_free(&steer->paused);
    strbuf_free(&steer->settings);
}

/* ---- settings ---- */

/* Whatever is newer wins: the run with its --workers, or the row. */
static bool
is_outdone(const EngineSetup *setup, const ControlSetting *row)
{
    return setup->workers_option > 0 && !row->is_newer && strcmp(row->key, "workers") == 0;
}

/* The value stays what it was.  A value that has the right form and is out of range comes here:
 * pghaul.set() knows no ranges. */
static bool
refuse(const Steer *steer, PgConn *conn, const ControlSetting *row, JobSpec *spec, const Err *cause,
    Err *err)
{
    const EngineSetup *setup = &steer->engine->setup;
    settings_copy(spec, &steer->spec, row->key);
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&text, "%s=%s: %s", row->key, row->value, cause->message);
    log_line(LOG_WARNING, "monitor", "set refused: %s", strbuf_text(&text));
    return job_event(conn, setup->job, setup->run, "set refused", strbuf_text(&text), err);
}

/* Put all rows into the job file's spec; *text gets what is in force of them. */
static bool
build_spec(
    const Steer *steer, PgConn *conn, const Control *control, JobSpec *spec, StrBuf *text, Err *err)
{
    const EngineSetup *setup = &steer->engine->setup;
    *spec = *setup->plan->spec;
    if (setup->workers_option > 0) {
        spec->workers = setup->workers_option;
    }
    for (int i = 0; i < control->setting_count; i++) {
        const ControlSetting *row = &control->settings[i];
        Err cause = ERR_INIT;
        if (is_outdone(setup, row)) {
            continue;
        }
        if (settings_put(spec, row->key, row->value, &cause)) {
            strbuf_printf(text, "%s%s=%s", text->len == 0 ? "" : " ", row->key, row->value);
        } else if (!refuse(steer, conn, row, spec, &cause, err)) {
            return false;
        }
    }
    if (text->len == 0) {
        strbuf_puts(text, "as the job file says");
    }
    return true;
}

static bool
apply_settings(Steer *steer, PgConn *conn, const Control *control, Err *err)
{
    Engine *engine = steer->engine;
    JobSpec spec;
    STRBUF_AUTO text = STRBUF_INIT;
    if (!build_spec(steer, conn, control, &spec, &text, err)) {
        return false;
    }
    steer->spec = spec;
    Settings settings = settings_of_spec(&spec);
    if (settings.workers == 0) {
        settings.workers = PLAN_WORKERS_AUTO;
    }
    (void)pthread_mutex_lock(&engine->lock);
    bool other_workers = settings.workers != engine->settings.workers;
    engine->settings = settings;
    (void)pthread_mutex_unlock(&engine->lock);
    log_line(LOG_INFO, "monitor", "settings: %s", strbuf_text(&text));
    return (!other_workers ||
               control_record_workers(conn, engine->setup.run, settings.workers, err)) &&
           job_event(
               conn, engine->setup.job, engine->setup.run, "settings", strbuf_text(&text), err);
}

static bool
follow_settings(Steer *steer, PgConn *conn, const Control *control, Err *err)
{
    STRBUF_AUTO rows = STRBUF_INIT;
    for (int i = 0; i < control->setting_count; i++) {
        const ControlSetting *row = &control->settings[i];
        strbuf_printf(&rows, "%s=%s\n", row->key, row->value);
    }
    if (strcmp(strbuf_text(&rows), strbuf_text(&steer->settings)) == 0) {
        return true;
    }
    if (!apply_settings(steer, conn, control, err)) {
        return false;
    }
    strbuf_clear(&steer->settings);
    strbuf_puts(&steer->settings, strbuf_text(&rows));
    return true;
}

/* ---- pause and stop ---- */

static void
follow_stop(Engine *engine, const Control *control)
{
    if (control->stop_by == NULL || stop_level(&engine->stop) != STOP_NONE) {
        return;
    }
    log_line(
        LOG_INFO, NULL, "stop requested by %s: finishing the batches in flight", control->stop_by);
    Err stopped = ERR_INIT;
    (void)err_set(&stopped, ERR_STOPPED, "stopped by %s with work left", control->stop_by);
    engine_fail(engine, &stopped);
}

/* Resumed, or ended by another run, at the moment when this one began: it is at work. */
static bool
take_up_again(const Engine *engine, PgConn *conn, const Control *control, Err *err)
{
    bool idle = control->state == JOB_READY || control->state == JOB_STOPPED ||
                control->state == JOB_FAILED;
    return !idle || job_set_state(conn, engine->setup.job, JOB_RUNNING, NULL, err);
}

bool
steer_read(Steer *steer, PgConn *conn, Err *err)
{
    Engine *engine = steer->engine;
    Arena arena = ARENA_INIT;
    Control control;
    bool ok = control_read(conn, engine->setup.job, engine->setup.run, &arena, &control, err);
    if (ok) {
        strbuf_clear(&steer->paused);
        if (control.state == JOB_PAUSED) {
            strbuf_puts(&steer->paused, control.reason == NULL ? "paused" : control.reason);
        }
        follow_stop(engine, &control);
        ok = follow_settings(steer, conn, &control, err) &&
             take_up_again(engine, conn, &control, err);
    }
    steer->known = steer->known || ok;
    arena_reset(&arena);
    return ok;
}

/* ---- window ---- */

bool
steer_watch_window(Engine *engine, PgConn *conn, Err *err)
{
    const WindowSpec *window = &engine->setup.plan->spec->window;
    bool is_open = true;
    if (!engine->setup.obeys_window || window->text == NULL) {
        return true;
    }
    WindowState state;
    if (!window_is_open(conn, window, &is_open, err)) {
        return false;
    }
    if (is_open) {
        return true;
    }
    if (!window_ask(conn, window, NULL, &state, err)) {
        return false;
    }
    Err closed = ERR_INIT;
    (void)err_set(&closed, ERR_STOPPED,
        "schedule.window %s has closed with work left; it opens at %s", window->text,
        state.change_at);
    engine_fail(engine, &closed);
    return true;
}
