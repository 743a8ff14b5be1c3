/*
 * findings_past.c - findings about what earlier jobs left, and an earlier begin of this one.
 */
#include <string.h>

#include "base/strbuf.h"
#include "core/findings_collector.h"
#include "core/jobspec_diff.h"

/* Leftovers that one finding names. */
#define LEFTOVERS_NAMED 6

typedef enum LeftoverKind { OF_TABLE = 0, OF_SCHEMA, OF_OTHERS } LeftoverKind;

/* A job that has begun has triggers itself. */
static bool
is_of_kind(const Collector *c, const LeftoverFacts *leftover, LeftoverKind kind)
{
    const StoredJob *stored = &c->facts->stored;
    bool ours = stored->exists && strstr(leftover->name, stored->fingerprint) != NULL;
    if (leftover->elsewhere) {
        return kind == OF_OTHERS && !ours;
    }
    return kind == (leftover->is_trigger ? OF_TABLE : OF_SCHEMA);
}

static void
check_leftovers(const Collector *c, LeftoverKind kind)
{
    STRBUF_AUTO names = STRBUF_INIT;
    STRBUF_AUTO drops = STRBUF_INIT;
    int count = 0;
    for (int i = 0; i < c->facts->leftover_count; i++) {
        const LeftoverFacts *leftover = &c->facts->leftovers[i];
        if (is_of_kind(c, leftover, kind) && count++ < LEFTOVERS_NAMED) {
            finding_put_name(&names, leftover->name);
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
    if (kind == OF_TABLE) {
        finding_add(c, FINDING_REFUSE, "leftovers", hint,
            "%s still has triggers of a job that is gone, which would go on to change or record "
            "what is written: %s%s",
            c->table, strbuf_text(&names), more);
    } else if (kind == OF_SCHEMA) {
        finding_add(c, FINDING_WARN, "leftovers", hint,
            "schema pghaul has objects of jobs that are gone: %s%s", strbuf_text(&names), more);
    } else {
        finding_add(c, FINDING_NOTE, "leftovers",
            arena_printf(c->arena, "If such a job is gone: %s", strbuf_text(&drops)),
            "%s has triggers of copies whose jobs are in other databases: %s%s", c->table,
            strbuf_text(&names), more);
    }
}

void
findings_past(const Collector *c)
{
    check_leftovers(c, OF_TABLE);
    check_leftovers(c, OF_OTHERS);
    if (c->facts == facts_here(c->facts)) { /* once, where two tables are in one database */
        check_leftovers(c, OF_SCHEMA);
    }
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
    bool knows_plan = fingerprint != NULL && (spec->kind != KIND_PURGE || stored->spec == NULL);
    bool changed = knows_plan
                       ? strcmp(fingerprint, stored->fingerprint) != 0
                       : stored->spec != NULL && jobspec_compare(&changes, stored->spec, spec) > 0;
    if (!changed) {
        return;
    }
    Collector c = {.spec = spec, .facts = facts, .arena = arena, .findings = findings};
    finding_add(&c, FINDING_REFUSE, "job-changed", jobspec_changed_hint(spec, arena), "%s",
        jobspec_changed_text(stored->spec, spec, arena));
}
