/*
 * status_json.c - how jobs are doing, as objects; names carry their units.
 */

#include "app/json.h"
#include "app/status_text.h"

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
    json_put(object, "job", json_text(facts->job));
    json_put(object, "job_id", json_integer(row->id));
    json_put(object, "table", json_text(row->table_name));
    json_put(object, "state", json_text(jobstate_name(facts->state)));
    json_put(object, "reason", json_text(facts->reason));
    json_put(object, "health", json_text(health_name(row->verdict.health)));
    json_put(object, "health_reason", json_text(row->verdict.reason));
    json_put(object, "next_step", json_text(row->verdict.next_step));
    json_put(object, "pass", json_integer(row->pass));
    json_put(object, "pass_kind",
        row->pass == 0 ? json_null() : json_text(passkind_name(facts->pass_kind)));
    json_put(object, "done_ratio", json_known(row->done_ratio));
    json_put(object, "pass_rows", json_integer(row->rows));
    json_put(object, "estimated_rows", json_integer(row->est_rows));
    json_put(object, "ranges", json_integer(row->ranges));
    json_put(object, "ranges_done", json_integer(row->ranges_done));
    json_put(object, "ranges_are_all", json_boolean(row->carved));
    json_put(object, "differing_rows", json_integer(facts->differing_rows));
    json_put(object, "leftover_rows", json_integer(row->leftover));
    json_put(object, "quarantined_rows", json_integer(facts->quarantined_rows));
    json_put(object, "rows_per_s", json_known(row->rows_per_s));
    json_put(object, "eta_s", whole_seconds(row->eta_s));
    json_put(object, "elapsed_s", json_known(row->elapsed_s));
    json_put(object, "throttle_reason", json_text(facts->throttle));
    json_put(object, "runs_alive", json_integer(facts->runs_alive));
    json_put(object, "sessions", json_integer(facts->sessions));
    json_put(object, "last_batch_age_s", json_known(row->last_batch_age_s));
    json_put(object, "heartbeat_age_s", json_known(facts->heartbeat_age_s));
    json_put(object, "idle_s", json_known(facts->idle_s));
    json_put(object, "vain_visits", json_integer(facts->vain_visits));
    json_put(object, "paused_by", json_text(facts->paused_by));
    bool knows = facts->backlog_rows >= 0;
    json_put(object, "kind", json_text(jobspec_kind_name(facts->kind)));
    json_put(object, "backlog_rows", knows ? json_integer(facts->backlog_rows) : json_null());
    json_put(object, "backlog_s", json_known(knows ? facts->backlog_s : -1));
    return object;
}

static json_t *
run_json(const StatusRun *run)
{
    json_t *object = json_object();
    json_put(object, "run_id", json_integer(run->id));
    json_put(object, "host", json_text(run->host));
    json_put(object, "pid", json_integer(run->pid));
    json_put(object, "workers", json_integer(run->workers));
    json_put(object, "changed_rows", json_integer(run->rows));
    json_put(object, "heartbeat_age_s", json_known(run->heartbeat_age_s));
    json_put(object, "throttle_reason", json_text(run->throttle));
    return object;
}

json_t *
status_view_json(const StatusView *view)
{
    json_t *object = status_row_json(&view->row);
    json_t *runs = json_array();
    for (int i = 0; i < view->run_count; i++) {
        json_append(runs, run_json(&view->runs[i]));
    }
    json_put(object, "runs", runs);
    json_put(object, "held_by", json_text(view->in_the_way));
    bool changes = view->window != NULL && view->window_state.changes;
    json_put(object, "window", json_text(view->window == NULL ? NULL : view->window->text));
    json_put(object, "window_is_open",
        view->window == NULL ? json_null() : json_boolean(view->window_state.is_open));
    json_put(object, "window_changes_at", json_text(changes ? view->window_state.change_at : NULL));
    return object;
}

/* ---- history ---- */

static json_t *
history_run_json(const HistoryRun *run)
{
    json_t *object = json_object();
    json_put(object, "run_id", json_integer(run->id));
    json_put(object, "job_id", json_integer(run->job));
    json_put(object, "job_is_cleaned", json_boolean(run->is_cleaned));
    json_put(object, "alive", json_boolean(run->is_alive));
    json_put(object, "host", json_text(run->host));
    json_put(object, "pid", json_integer(run->pid));
    json_put(object, "workers", json_integer(run->workers));
    json_put(object, "version", json_text(run->version));
    json_put(object, "started", json_text(run->started));
    json_put(object, "ended", json_text(run->ended));
    json_put(object, "duration_s", json_known(run->duration_s));
    json_put(object, "changed_rows", json_integer(run->rows));
    json_put(object, "rows_per_s",
        json_known(run->duration_s > 0 ? (double)run->rows / run->duration_s : -1));
    json_put(object, "exit_code", run->has_ended ? json_integer(run->exit_code) : json_null());
    json_put(object, "archived_bytes", json_count(run->archived_bytes));
    json_put(object, "freed_bytes", json_count(run->freed_bytes));
    json_put(object, "backlog_rows", json_count(run->backlog_rows));
    return object;
}

static json_t *
throttle_json(const HistoryThrottle *throttle)
{
    json_t *object = json_object();
    json_put(object, "reason", json_text(throttle->reason));
    json_put(object, "times", json_integer(throttle->count));
    json_put(object, "total_s", json_known(throttle->total_s));
    json_put(object, "last_at", json_text(throttle->last_at));
    return object;
}

static json_t *
event_json(const HistoryEvent *event)
{
    json_t *object = json_object();
    json_put(object, "at", json_text(event->at));
    json_put(object, "who", json_text(event->who));
    json_put(object, "what", json_text(event->what));
    json_put(object, "reason", json_text(event->reason));
    json_put(object, "job_id", json_integer(event->job));
    json_put(object, "run_id", event->run == 0 ? json_null() : json_integer(event->run));
    return object;
}

void
status_add_history(json_t *object, const History *history)
{
    json_t *runs = json_array();
    json_t *throttles = json_array();
    json_t *events = json_array();
    for (int i = 0; i < history->run_count; i++) {
        json_append(runs, history_run_json(&history->runs[i]));
    }
    for (int i = 0; i < history->throttle_count; i++) {
        json_append(throttles, throttle_json(&history->throttles[i]));
    }
    for (int i = 0; i < history->event_count; i++) {
        json_append(events, event_json(&history->events[i]));
    }
    json_put(object, "history_runs", runs);
    json_put(object, "history_throttled", throttles);
    json_put(object, "history_events", events);
}
