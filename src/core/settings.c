#include "core/settings.h"

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
