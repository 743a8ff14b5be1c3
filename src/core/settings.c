#include "core/settings.h"

#include <stddef.h>
#include <string.h>

#include "core/jobkeys.h"
#include "core/suggest.h"
#include "core/utf8.h"

#define KEYS_MAX 64

Settings
settings_of_spec(const JobSpec *spec)
{
    return (Settings){
        .workers = spec->workers,
        .batch_time_us = spec->batch_time_us,
        .batch_rows = spec->batch_rows,
        .on_error = spec->on_error,
        .throttle = spec->throttle,
        .limits = spec->limits,
    };
}

static bool
fail_key(const char *name, const JobKey *key, Err *err)
{
    const char *live[KEYS_MAX];
    size_t count = 0;
    STRBUF_AUTO list = STRBUF_INIT;
    for (size_t i = 0; i < jobkeys_count() && count < KEYS_MAX; i++) {
        if (jobkeys_at(i)->live) {
            live[count] = jobkeys_at(i)->path;
            strbuf_printf(&list, "%s%s", count == 0 ? "" : ", ", live[count]);
            count++;
        }
    }
    char shown[64];
    utf8_shorten(shown, sizeof(shown), name);
    const char *near = suggest_nearest(name, live, count);
    for (size_t i = 0; near == NULL && i < count; i++) {
        near = strcmp(jobkeys_leaf(jobkeys_find(live[i])), name) == 0 ? live[i] : NULL;
    }
    (void)err_set(err, ERR_USER,
        key == NULL ? "there is no setting \"%s\"" : "%s cannot change while the job runs", shown);
    if (near != NULL && key == NULL) {
        return err_hint(err, "Did you mean %s?", near);
    }
    return err_hint(err, "These can be set: %s.", strbuf_text(&list));
}

bool
settings_check_key(const char *key, Err *err)
{
    const JobKey *found = jobkeys_find(key);
    return (found != NULL && found->live) || fail_key(key, found, err);
}

bool
settings_put(JobSpec *spec, const char *key, const char *value, Err *err)
{
    int64_t number = 0;
    if (!settings_check_key(key, err)) {
        return false;
    }
    const JobKey *found = jobkeys_find(key);
    const char *kind = jobspec_kind_name(spec->kind);
    if (!jobkeys_belongs(found, spec->kind)) {
        return err_set(err, ERR_USER, "%s is no setting of a %s", key, kind);
    }
    if (!jobkeys_parse(found, value, &number, err)) {
        return err_wrap(err, "%s", key);
    }
    if (spec->kind == KIND_COPY && found->offset == offsetof(JobSpec, on_error) &&
        number == ON_ERROR_QUARANTINE) {
        return err_set(err, ERR_USER, "on_error: a %s cannot set rows aside", kind);
    }
    /* As in a job file: the server ends a statement after yield_after. */
    if (strcmp(key, "batch.time") == 0 && number > spec->throttle.yield_after_us) {
        (void)err_set(err, ERR_USER, "batch.time is longer than throttle.yield_after");
        return err_hint(err, "A batch is given up after throttle.yield_after; about a quarter of "
                             "it is a good aim.");
    }
    jobkeys_store(found, number, spec);
    return true;
}

void
settings_copy(JobSpec *spec, const JobSpec *from, const char *key)
{
    const JobKey *found = jobkeys_find(key);
    if (found != NULL && found->live) {
        memcpy((char *)spec + found->offset, (const char *)from + found->offset, found->size);
    }
}
