/*
 * status_json.c - how jobs are doing, as objects; names carry their units.
 */
#include <stdlib.h>

#include "app/json.h"
#include "app/status_text.h"

static void
put(json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) != 0) {
        abort(); /* out of memory, as in mem.h */
    }
}

static void
append(json_t *list, json_t *value)
{
    if (json_array_append_new(list, value) != 0) {
        abort();
    }
}

static json_t *
whole_seconds(double seconds)
{
    return seconds < 0 ? json_null() : json_integer((json_int_t)seconds);
}

json_t *
status_row_json(const StatusRow *row)
{
    const HealthFacts *facts = &row->facts;
    json_t *object = json_object();
    put(object, "job", json_text(facts->job));
    put(object, "job_id", json_integer(row->id));
    put(object, "table", json_text(row->table_name));
    put(object, "state", json_text(jobstate_name(facts->state)));
    put(object, "reason", json_text(facts->reason));
    put(object, "health", json_text(health_name(row->verdict.health)));
    put(object, "health_reason", json_text(row->verdict.reason));
    put(object, "next_step", json_text(row->verdict.next_step));
    put(object, "pass", json_integer(row->pass));
    put(object, "pass_kind",
        row->pass == 0 ? json_null() : json_text(passkind_name(facts->pass_kind)));
    put(object, "done_ratio", json_known(row->done_ratio));
    put(object, "pass_rows", json_integer(row->rows));
    put(object, "estimated_rows", json_integer(row->est_rows));
    put(object, "ranges", json_integer(row->ranges));
    put(object, "ranges_done", json_integer(row->ranges_done));
    put(object, "ranges_are_all", json_boolean(row->carved));
    put(object, "differing_rows", json_integer(facts->differing_rows));
    put(object, "leftover_rows", json_integer(row->leftover));
    put(object, "quarantined_rows", json_integer(facts->quarantined_rows));
    put(object, "rows_per_s", json_known(row->rows_per_s));
    put(object, "eta_s", whole_seconds(row->eta_s));
    put(object, "elapsed_s", json_known(row->elapsed_s));
    put(object, "throttle_reason", json_text(facts->throttle));
    put(object, "runs_alive", json_integer(facts->runs_alive));
    put(object, "sessions", json_integer(facts->sessions));
    put(object, "last_batch_age_s", json_known(row->last_batch_age_s));
    put(object, "heartbeat_age_s", json_known(facts->heartbeat_age_s));
    put(object, "idle_s", json_known(facts->idle_s));
    put(object, "vain_visits", json_integer(facts->vain_visits));
    put(object, "paused_by", json_text(facts->paused_by));
    return object;
}

static json_t *
run_json(const StatusRun *run)
{
    json_t *object = json_object();
    put(object, "run_id", json_integer(run->id));
    put(object, "host", json_text(run->host));
    put(object, "pid", json_integer(run->pid));
    put(object, "workers", json_integer(run->workers));
    put(object, "changed_rows", json_integer(run->rows));
    put(object, "heartbeat_age_s", json_known(run->heartbeat_age_s));
    put(object, "throttle_reason", json_text(run->throttle));
    return object;
}

json_t *
status_view_json(const StatusView *view)
{
    json_t *object = status_row_json(&view->row);
    json_t *runs = json_array();
    for (int i = 0; i < view->run_count; i++) {
        append(runs, run_json(&view->runs[i]));
    }
    put(object, "runs", runs);
    put(object, "held_by", json_text(view->in_the_way));
    return object;
}

/* ---- history ---- */

static json_t *
history_run_json(const HistoryRun *run)
{
    json_t *object = json_object();
    put(object, "run_id", json_integer(run->id));
    put(object, "job_id", json_integer(run->job));
    put(object, "job_is_cleaned", json_boolean(run->is_cleaned));
    put(object, "alive", json_boolean(run->is_alive));
    put(object, "host", json_text(run->host));
    put(object, "pid", json_integer(run->pid));
    put(object, "workers", json_integer(run->workers));
    put(object, "version", json_text(run->version));
    put(object, "started", json_text(run->started));
    put(object, "ended", json_text(run->ended));
    put(object, "duration_s", json_known(run->duration_s));
    put(object, "changed_rows", json_integer(run->rows));
    put(object, "rows_per_s",
        json_known(run->duration_s > 0 ? (double)run->rows / run->duration_s : -1));
    put(object, "exit_code", run->has_ended ? json_integer(run->exit_code) : json_null());
    return object;
}

static json_t *
throttle_json(const HistoryThrottle *throttle)
{
    json_t *object = json_object();
    put(object, "reason", json_text(throttle->reason));
    put(object, "times", json_integer(throttle->count));
    put(object, "total_s", json_known(throttle->total_s));
    put(object, "last_at", json_text(throttle->last_at));
    return object;
}

static json_t *
event_json(const HistoryEvent *event)
{
    json_t *object = json_object();
    put(object, "at", json_text(event->at));
    put(object, "who", json_text(event->who));
    put(object, "what", json_text(event->what));
    put(object, "reason", json_text(event->reason));
    put(object, "job_id", json_integer(event->job));
    put(object, "run_id", event->run == 0 ? json_null() : json_integer(event->run));
    return object;
}

void
status_add_history(json_t *object, const History *history)
{
    json_t *runs = json_array();
    json_t *throttles = json_array();
    json_t *events = json_array();
    for (int i = 0; i < history->run_count; i++) {
        append(runs, history_run_json(&history->runs[i]));
    }
    for (int i = 0; i < history->throttle_count; i++) {
        append(throttles, throttle_json(&history->throttles[i]));
    }
    for (int i = 0; i < history->event_count; i++) {
        append(events, event_json(&history->events[i]));
    }
    put(object, "history_runs", runs);
    put(object, "history_throttled", throttles);
    put(object, "history_events", events);
}
