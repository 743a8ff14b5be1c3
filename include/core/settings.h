/*
 * settings.h - what of a job may change while it runs.
 *
 * Begins as the job file says; `pghaul set` and pghaul.set() change it.  The keys are those of
 * core/jobkeys.h that are marked live.
 */
#ifndef CORE_SETTINGS_H
#define CORE_SETTINGS_H

#include <stdint.h>

#include "base/err.h"
#include "core/jobspec.h"

typedef struct Settings {
    int workers; /* 0 = auto */
    int64_t batch_time_us;
    int64_t batch_rows; /* 0 = auto */
    ErrorMode on_error;
    ThrottleSpec throttle; /* its list of standbys does not change */
    LimitSpec limits;
} Settings;

/* As the job file says; borrows from *spec. */
Settings settings_of_spec(const JobSpec *spec);

/* A key that may change while the job runs; ERR_USER with the nearest or all of them as a hint. */
bool settings_check_key(const char *key, Err *err) __attribute__((warn_unused_result));

/*
 * Change one value in a copy of the job's spec.
 *
 * Errors:  ERR_USER, and *spec is as before: no such key, or the value is not permitted.
 */
bool settings_put(JobSpec *spec, const char *key, const char *value, Err *err)
    __attribute__((warn_unused_result));

/* Give the key the value that it has in `from`; unknown keys are left alone. */
void settings_copy(JobSpec *spec, const JobSpec *from, const char *key);

#endif
