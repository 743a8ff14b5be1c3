/*
 * settings.h - what of a job may change while it runs.
 *
 * Begins as the job file says; `pghaul set` and pghaul.set() change it.  The keys are those of
 * core/jobkeys.h that are marked live.
 */
#ifndef CORE_SETTINGS_H
#define CORE_SETTINGS_H

#include <stdint.h>

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

#endif
