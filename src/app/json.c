#include "app/json.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/text.h"
#include "base/strbuf.h"
#include "core/signals.h"
#include "core/utf8.h"

/* Jansson takes what it is given; running out of memory ends the process as everywhere. */
void
json_put(json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) != 0) {
        abort(); /* out of memory, as in mem.h */
    }
}

void
json_append(json_t *list, json_t *value)
{
    if (json_array_append_new(list, value) != 0) {
        abort();
    }
}

static void
put_int(json_t *object, const char *name, int64_t value)
{
    json_put(object, name, json_integer(value));
}

json_t *
json_text(const char *text)
{
    if (text == NULL) {
        return json_null();
    }
    if (utf8_is_valid(text, strlen(text))) {
        return json_string(text);
    }
    STRBUF_AUTO safe = STRBUF_INIT;
    text_put_safe(&safe, text);
    return json_string(strbuf_text(&safe));
}

json_t *
json_known(double value)
{
    return !isfinite(value) || value < 0 ? json_null() : json_real(value);
}

json_t *
json_count(int64_t value)
{
    return value < 0 ? json_null() : json_integer(value);
}

static const char *
class_name(ErrClass cls)
{
    static const char *const NAMES[] = {
        [ERR_NONE] = "none",
        [ERR_RETRY] = "retry",
        [ERR_TIMEOUT] = "timeout",
        [ERR_RECONNECT] = "reconnect",
        [ERR_SLOTS] = "slots",
        [ERR_RESOURCE] = "resource",
        [ERR_POISON] = "poison",
        [ERR_CORRUPT] = "corrupt",
        [ERR_STOPPED] = "stopped",
        [ERR_DRIFT] = "drift",
        [ERR_USER] = "user",
        [ERR_CONNECT] = "connect",
        [ERR_REFUSED] = "refused",
        [ERR_DIFFERENCE] = "difference",
        [ERR_BUSY] = "busy",
        [ERR_LIMIT] = "limit",
        [ERR_FATAL] = "fatal",
    };
    return NAMES[cls];
}

/* NULL and "" are both null. */
static void
put_filled(json_t *object, const char *name, const char *text)
{
    json_put(object, name, json_text(text != NULL && text[0] == '\0' ? NULL : text));
}

json_t *
json_error(const Err *err)
{
    json_t *object = json_object();
    json_put(object, "class", json_text(class_name(err->cls)));
    json_put(object, "message", json_text(err->message));
    put_filled(object, "context", err->context);
    put_filled(object, "sqlstate", err->sqlstate);
    put_filled(object, "excerpt", err->excerpt);
    put_filled(object, "hint", err->hint);
    return object;
}

json_t *
json_findings(const Findings *findings)
{
    static const char *const SEVERITIES[] = {
        [FINDING_NOTE] = "note", [FINDING_WARN] = "warning", [FINDING_REFUSE] = "refusal"};
    json_t *list = json_array();
    for (int i = 0; i < findings->count; i++) {
        const Finding *finding = &findings->items[i];
        json_t *object = json_object();
        json_put(object, "severity", json_text(SEVERITIES[finding->severity]));
        json_put(object, "code", json_text(finding->code));
        json_put(object, "text", json_text(finding->text));
        json_put(object, "hint", json_text(finding->hint));
        json_put(object, "allow", json_text(finding->allow));
        json_append(list, object);
    }
    return list;
}

static json_t *
standbys(const Progress *progress)
{
    json_t *list = json_array();
    for (int i = 0; i < progress->standby_count; i++) {
        const StandbyProgress *standby = &progress->standbys[i];
        json_t *object = json_object();
        json_put(object, "name", json_text(standby->name));
        json_put(object, "connected", json_boolean(standby->connected));
        json_put(object, "lag_s", json_known(standby->connected ? standby->lag_s : -1));
        json_put(object, "lag_bytes",
            standby->connected ? json_integer(standby->lag_bytes) : json_null());
        json_append(list, object);
    }
    return list;
}

static void
put_throttle(json_t *object, const Progress *progress)
{
    const Verdict *verdict = &progress->verdict;
    json_t *by_reason = json_object();
    int64_t total_us = 0;
    for (int i = SIGNAL_FIRST; i < SIGNAL_COUNT; i++) {
        if (progress->paused_us[i] > 0) {
            json_put(by_reason, signal_def((SignalId)i)->name,
                json_real((double)progress->paused_us[i] / 1e6));
            total_us += progress->paused_us[i];
        }
    }
    json_put(object, "throttled", json_boolean(verdict->pause));
    json_put(object, "throttle_signal",
        json_text(verdict->pause ? signal_def(verdict->reason_code)->name : NULL));
    json_put(object, "throttle_reason", json_text(verdict->pause ? verdict->reason : NULL));
    json_put(object, "throttled_total_s", json_real((double)total_us / 1e6));
    json_put(object, "throttled_s", by_reason);
}

json_t *
json_progress(const char *job, const Progress *progress)
{
    const Progress *p = progress;
    json_t *object = json_object();
    json_put(object, "type", json_text("progress"));
    json_put(object, "job", json_text(job));
    json_put(object, "pass_kind", json_text(passkind_name(p->pass_kind)));
    put_int(object, "pass", p->pass);
    json_put(object, "done_ratio", json_known(p->share));
    put_int(object, "pass_rows", p->rows);
    put_int(object, "estimated_rows", p->est_rows);
    put_int(object, "changed_rows", p->run_rows);
    json_put(object, "rows_per_s", json_known(p->rows_per_s));
    json_put(object, "eta_s", p->eta_s < 0 ? json_null() : json_integer(p->eta_s));
    json_put(object, "elapsed_s", json_real((double)p->elapsed_us / 1e6));
    put_int(object, "ranges", p->ranges);
    put_int(object, "ranges_done", p->ranges_done);
    put_int(object, "differing_rows", p->differing);
    put_int(object, "leftover_rows", p->leftover);
    put_int(object, "batch_rows", p->batch_rows);
    json_put(object, "batch_ms", json_known(p->batch_ms));
    put_int(object, "workers", p->workers);
    put_int(object, "workers_busy", p->workers_busy);
    put_int(object, "other_runs", p->other_runs);
    put_int(object, "stripes", p->stripes);
    json_put(object, "hot_ratio", json_known(p->hot_ratio));
    put_int(object, "lock_waiters", p->lock_waiters);
    put_int(object, "lock_retries", p->lock_retries);
    put_int(object, "cancels", p->cancels);
    put_int(object, "errors", p->errors);
    put_int(object, "archived_bytes", p->archived_bytes);
    put_int(object, "archived_raw_bytes", p->archived_raw_bytes);
    bool drains = p->backlog_rows >= 0;
    json_put(object, "backlog_rows", drains ? json_integer(p->backlog_rows) : json_null());
    json_put(object, "backlog_s", json_known(drains ? p->backlog_s : -1));
    json_put(object, "drained_rows", drains ? json_integer(p->drained_rows) : json_null());
    json_put(object, "standbys", standbys(p));
    put_throttle(object, p);
    put_filled(object, "note", p->note);
    return object;
}

void
json_print(json_t *object)
{
    char *line = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9));
    assert(line != NULL);
    (void)fputs(line, stdout);
    (void)fputc('\n', stdout);
    (void)fflush(stdout);
    free(line);
    json_decref(object);
}
