/*
 * findings_past.c - findings about what earlier jobs left, and an earlier begin of this one.
 */
#include <string.h>

#include "base/strbuf.h"
#include "core/findings_collector.h"
#include "core/jobspec_diff.h"

/* Leftovers that one finding names. */
#define LEFTOVERS_NAMED 6

static void
check_leftovers(const Collector *c, bool triggers)
{
    STRBUF_AUTO names = STRBUF_INIT;
    STRBUF_AUTO drops = STRBUF_INIT;
    int count = 0;
    for (int i = 0; i < c->facts->leftover_count; i++) {
        const LeftoverFacts *leftover = &c->facts->leftovers[i];
        if (leftover->is_trigger == triggers && count++ < LEFTOVERS_NAMED) {
            strbuf_printf(&names, "%s%s", names.len == 0 ? "" : ", ", leftover->name);
            strbuf_printf(&drops, "%s ", leftover->drop);
        }
    }
    if (count == 0) {
        return;
    }
    const char *more = count > LEFTOVERS_NAMED
                           ? arena_printf(c->arena, " and %d more", count - LEFTOVERS_NAMED)
                           : "";
    const char *hint = arena_printf(c->arena,
        "%sWhen no job of this database is needed any more, pghaul clean --all removes everything.",
        strbuf_text(&drops));
    if (triggers) {
        finding_add(c, FINDING_REFUSE, "leftovers", hint,
            "%s still has the sync trigger of a job that is gone and would go on to change what "
            "is written: %s%s",
            c->table, strbuf_text(&names), more);
    } else {
        finding_add(c, FINDING_WARN, "leftovers", hint,
            "schema pghaul has functions of jobs that are gone: %s%s", strbuf_text(&names), more);
    }
}

void
findings_past(const Collector *c)
{
    check_leftovers(c, true);
    check_leftovers(c, false);
}

void
findings_compare_job(const JobSpec *spec, const Facts *facts, const char *fingerprint, Arena *arena,
    Findings *findings)
{
    const StoredJob *stored = &facts->stored;
    if (!stored->exists) {
        return;
    }
    STRBUF_AUTO changes = STRBUF_INIT;
    bool changed = fingerprint != NULL
                       ? strcmp(fingerprint, stored->fingerprint) != 0
                       : stored->spec != NULL && jobspec_compare(&changes, stored->spec, spec) > 0;
    if (!changed) {
        return;
    }
    Collector c = {.spec = spec, .facts = facts, .arena = arena, .findings = findings};
    finding_add(&c, FINDING_REFUSE, "job-changed", jobspec_changed_hint(spec, arena), "%s",
        jobspec_changed_text(stored->spec, spec, arena));
}
