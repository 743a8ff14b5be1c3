#include "core/jobspec.h"

#include <string.h>

bool
jobspec_allows(const JobSpec *spec, const char *risk)
{
    for (int i = 0; i < spec->allow.count; i++) {
        if (strcmp(spec->allow.names[i], risk) == 0) {
            return true;
        }
    }
    return false;
}

const char *
jobspec_kind_name(JobKind kind)
{
    static const char *const NAMES[JOB_KIND_COUNT] = {
        [KIND_BACKFILL] = "backfill",
        [KIND_COPY] = "copy",
        [KIND_PURGE] = "purge",
        [KIND_RESTORE] = "restore",
    };
    return NAMES[kind];
}

JobKind
jobspec_kind_of(const char *name)
{
    for (int kind = 0; kind < JOB_KIND_COUNT; kind++) {
        if (strcmp(jobspec_kind_name((JobKind)kind), name) == 0) {
            return (JobKind)kind;
        }
    }
    return KIND_BACKFILL;
}

const char *
jobspec_kind_done(JobKind kind)
{
    static const char *const WORDS[JOB_KIND_COUNT] = {
        [KIND_BACKFILL] = "changed",
        [KIND_COPY] = "copied",
        [KIND_PURGE] = "deleted",
        [KIND_RESTORE] = "restored",
    };
    return WORDS[kind];
}

bool
jobspec_sets(const JobSpec *spec, const char *column)
{
    for (int i = 0; i < spec->set_count; i++) {
        if (strcmp(spec->set[i].column, column) == 0) {
            return true;
        }
    }
    return false;
}
