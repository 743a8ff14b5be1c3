#include "ops/survey.h"

#include <stddef.h>
#include <string.h>

#include "core/jobfile.h"
#include "ops/folder.h"
#include "ops/indexes.h"
#include "ops/restore.h"
#include "pg/catalog.h"
#include "pg/catalog_partitions.h"
#include "pg/catalog_walk.h"
#include "pg/exprcheck.h"
#include "store/past.h"

/* A text that this release cannot read any more leaves the comparison of fingerprints. */
static const JobSpec *
parse_stored(const char *text, Arena *arena)
{
    JobSpec *spec = arena_alloc(arena, sizeof(*spec));
    Err ignored = ERR_INIT;
    bool ok = jobfile_parse("stored", text, strlen(text), arena, spec, &ignored);
    return ok ? spec : NULL;
}

/* A schema of strangers is refused and not looked into. */
static bool
read_past(PgConn *conn, const JobSpec *spec, Arena *arena, Facts *facts, Err *err)
{
    const ServerFacts *server = &facts->server;
    Past past = {.job_ids = "{}"};
    if (server->has_schema && (!server->schema_owner_trusted || server->strange_count > 0)) {
        return true;
    }
    if (!past_read(conn, spec->job, arena, &past, err) ||
        !catalog_read_leftovers(conn, past.job_ids, arena, facts, err)) {
        return false;
    }
    facts->stored = (StoredJob){
        .exists = past.exists,
        .spec = past.exists ? parse_stored(past.spec, arena) : NULL,
        .fingerprint = past.fingerprint,
        .has_trigger = past.has_trigger,
        .complete = past.complete,
    };
    return true;
}

/* State lives where the target is; at a source elsewhere only who makes objects there may look into
 * schema pghaul. */
static bool
read_target(PgConn *conn, PgConn *source, const JobSpec *spec, Arena *arena, Facts *facts, Err *err)
{
    Facts *into = arena_alloc(arena, sizeof(*into));
    if (!catalog_read(conn, spec, catalog_target(spec), arena, into, err)) {
        return false;
    }
    facts->into = into;
    bool looks = spec->sync != SYNC_NONE || !facts_is_remote(facts);
    if (!read_past(conn, spec, arena, into, err) ||
        (looks && !read_past(source, spec, arena, facts, err))) {
        return false;
    }
    facts->stored = into->stored;
    return true;
}

static bool
decide_indexes(PgConn *conn, PgConn *source, Arena *arena, Survey *survey, Err *err)
{
    Plan *plan = &survey->plan;
    const IndexPlan *indexes = NULL;
    if (!indexes_decide(conn, source, plan, arena, &indexes, err)) {
        return false;
    }
    if (indexes != NULL) {
        CopyPlan *copy = arena_alloc(arena, sizeof(*copy));
        *copy = *plan->copy;
        copy->indexes = indexes;
        plan->copy = copy;
        findings_add_indexes(plan, arena, &survey->findings);
    }
    return true;
}

static bool
decide(PgConn *conn, PgConn *source, const JobSpec *spec, Arena *arena, Survey *survey, Err *err)
{
    const char *why = NULL;
    const IndexFacts *key = findings_key_index(spec, &survey->facts, &why);
    if (key == NULL && spec->kind != KIND_RESTORE) {
        return err_set(err, ERR_FATAL, "no key, and no finding says so: %s", why);
    }
    if (spec->kind == KIND_PURGE &&
        !catalog_walk_read(conn, spec, &survey->facts, arena, &survey->facts.walk, err)) {
        return false;
    }
    plan_build(spec, &survey->facts, &survey->exprs, key, arena, &survey->plan);
    if (!decide_indexes(conn, source, arena, survey, err)) {
        return false;
    }
    findings_compare_job(spec, &survey->facts, survey->plan.fingerprint, arena, &survey->findings);
    survey->planned = survey->findings.refuse_count == 0;
    return true;
}

bool
survey_run(
    PgConn *conn, PgConn *source, const JobSpec *spec, Arena *arena, Survey *survey, Err *err)
{
    *survey = (Survey){.findings = FINDINGS_INIT};
    Facts *facts = &survey->facts;
    source = source == NULL ? conn : source;
    bool restores = spec->kind == KIND_RESTORE;
    CatalogTable table = restores ? catalog_target(spec) : catalog_source(spec);
    if (!catalog_read(source, spec, table, arena, facts, err) ||
        (restores && !restore_look(conn, spec, arena, &facts->restore, err)) ||
        !(spec->into != NULL ? read_target(conn, source, spec, arena, facts, err)
                             : read_past(conn, spec, arena, facts, err))) {
        return false;
    }
    facts->archive =
        spec->archive.path == NULL || restores ? NULL : folder_look(spec->archive.path, arena);
    bool checked = exprcheck_run(source, spec, facts, arena, &survey->exprs, err);
    if (!checked && err->cls != ERR_USER) {
        return false;
    }
    if (spec->kind == KIND_PURGE && !catalog_partitions_read(conn, spec, facts, arena, err)) {
        return false;
    }
    findings_collect(spec, facts, &survey->exprs, arena, &survey->findings);
    if (checked && survey->findings.refuse_count == 0) {
        return decide(conn, source, spec, arena, survey, err);
    }
    findings_compare_job(spec, facts, NULL, arena, &survey->findings);
    return checked;
}
