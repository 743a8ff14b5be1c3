/*
 * plan.c - from wishes and facts to decisions: key, path, stripes, sync.
 */
#include "core/plan.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "core/plan_children.h"
#include "core/plan_copy.h"
#include "core/plan_walk.h"
#include "core/restore.h"

#define STRIPES_AUTO              8
#define FIRST_WITH_TID_RANGE_SCAN 140000

static void
decide_key(const Facts *facts, const IndexFacts *key, Plan *plan)
{
    assert(key->attnum_count >= 1 && key->attnum_count <= PLAN_KEY_COLUMNS_MAX);
    plan->key_index = key->name;
    plan->key_count = key->attnum_count;
    for (int i = 0; i < key->attnum_count; i++) {
        const ColumnFacts *column = facts_column_by_attnum(facts, key->attnums[i]);
        assert(column != NULL);
        plan->key[i] = (KeyColumn){
            .name = column->name,
            .type = column->base_type,
            .type_name = column->base_type_name,
        };
    }
}

static void
decide_sync(const JobSpec *spec, const Facts *facts, Plan *plan)
{
    plan->sync_trigger = spec->sync != SYNC_NONE && !plan->self_referring;
    /* Without other triggers our batch computes the column itself and nothing can change a
     * source column behind it; then the trigger need not be called for it. */
    plan->trigger_skips_batches = plan->sync_trigger;
    for (int i = 0; i < facts->trigger_count; i++) {
        const TriggerFacts *trigger = &facts->triggers[i];
        if (trigger->enabled && trigger->on_update && !trigger->is_ours) {
            plan->trigger_skips_batches = false;
        }
    }
}

static void
decide_path(const JobSpec *spec, const Facts *facts, Plan *plan)
{
    if (plan->self_referring) {
        plan->path = PATH_KEY;
        plan->path_reason = "the expression refers to the column it sets: only the watermark of a "
                            "walk by key can tell what is done";
    } else if (plan->is_volatile) {
        plan->path = PATH_KEY;
        plan->path_reason = "the expression gives another value each time: only the watermark of a "
                            "walk by key can tell what is done";
    } else if (!plan->sync_trigger) {
        plan->path = PATH_KEY;
        plan->path_reason = "without a sync trigger rows could move between blocks unseen";
    } else if (strcmp(facts->table.access_method, "heap") != 0 ||
               facts->server.version_num < FIRST_WITH_TID_RANGE_SCAN) {
        plan->path = PATH_KEY;
        plan->path_reason = "the table cannot be scanned by ranges of blocks";
    } else if (spec->path == PATH_KEY) {
        plan->path = PATH_KEY;
        plan->path_reason = "the job file asks for it";
    } else {
        plan->path = PATH_BLOCK;
        plan->path_reason = spec->path == PATH_BLOCK
                                ? "the job file asks for it"
                                : "the sync trigger covers every write, so rows can be read in "
                                  "the order of the heap";
    }
}

static void
decide_stripes(const JobSpec *spec, const Facts *facts, Plan *plan)
{
    plan->stripes = 1;
    for (int i = 0; i < spec->set_count; i++) {
        const ColumnFacts *column = facts_column(facts, spec->set[i].column);
        if (column != NULL && column->indexed && spec->stripes == 0) {
            plan->stripes_reason = "a column to be set is indexed, so no update can be HOT";
            return;
        }
    }
    if (spec->stripes > 0) {
        plan->stripes = spec->stripes;
        plan->stripes_reason = "the job file asks for it";
        return;
    }
    plan->stripes = STRIPES_AUTO;
    plan->stripes_reason = "dead versions of one pass over a page make room for the next on the "
                           "same page (HOT)";
}

/* Of a copy the last ranges are as large as the first: many of them for each worker, so that all
 * end at about the same time. */
static double
range_rows_most(const Plan *plan, double rows)
{
    if (plan->copy == NULL || rows <= 0) {
        return PLAN_RANGE_ROWS;
    }
    double share = rows / (plan->workers * PLAN_COPY_RANGES);
    share = share < PLAN_COPY_RANGE_ROWS_MIN ? PLAN_COPY_RANGE_ROWS_MIN : share;
    return share < PLAN_RANGE_ROWS ? share : PLAN_RANGE_ROWS;
}

static void
decide_sizes(const Facts *facts, Plan *plan)
{
    double rows = facts->table.rows;
    double blocks = facts->table.blocks > 0 ? (double)facts->table.blocks : 1.0;
    plan->rows_per_block = rows > 0 ? rows / blocks : 50.0;

    double most = range_rows_most(plan, rows);
    double range_rows = plan->rows_per_block * PLAN_RANGE_KEY_BLOCKS;
    if (range_rows > most) {
        range_rows = most;
    }
    if (range_rows < 100) {
        range_rows = 100;
    }
    if (rows / range_rows > PLAN_RANGES_MAX) {
        range_rows = rows / PLAN_RANGES_MAX;
    }
    plan->range_rows = (int64_t)range_rows;
    plan->range_size = plan->range_rows;
    if (plan->path == PATH_BLOCK) {
        int64_t range_blocks = PLAN_RANGE_BLOCKS;
        if (facts->table.blocks / range_blocks > PLAN_RANGES_MAX) {
            range_blocks = facts->table.blocks / PLAN_RANGES_MAX;
        }
        plan->range_size = range_blocks;
    }
}

/* Fields are ended by a zero byte so that no two lists of texts can give the same bytes. */
static void
feed(XXH3_state_t *state, const char *text)
{
    const char *present = text == NULL ? "\1" : text;
    (void)XXH3_64bits_update(state, present, strlen(present) + 1);
}

/* A list begins with its length, so that no item can count for its neighbour list's. */
static void
feed_count(XXH3_state_t *state, int count)
{
    (void)XXH3_64bits_update(state, &count, sizeof(count));
}

/* Not who is connected to how, which may change, but which database it is. */
static void
feed_copy(XXH3_state_t *state, const Plan *plan)
{
    static const char *const CONFLICTS[] = {"error", "skip", "update"};
    const JobSpec *spec = plan->spec;
    const Facts *into = plan->copy->into;
    feed(state, into->table.schema);
    feed(state, into->table.name);
    feed(state, into->server.system_id);
    feed(state, into->server.database);
    feed(state, spec->from == NULL ? "here" : "from");
    feed(state, spec->to == NULL ? "here" : "to");
    feed(state, CONFLICTS[spec->on_conflict]);
    feed(state, plan->sync_trigger ? "limit" : "no limit");
    int64_t log_bytes = plan->sync_trigger ? spec->limits.log_bytes : 0; /* the capture's text */
    (void)XXH3_64bits_update(state, &log_bytes, sizeof(log_bytes));
    feed_count(state, spec->reverse_count);
    for (int i = 0; i < spec->reverse_count; i++) {
        feed(state, spec->reverse_map[i].column);
        feed(state, spec->reverse_map[i].expr.text);
    }
}

const Facts *
plan_into(const Plan *plan)
{
    if (plan->copy != NULL) {
        return plan->copy->into;
    }
    return plan->purge != NULL ? plan->purge->into : NULL;
}

bool
plan_keeps_rows(const Plan *plan)
{
    return plan->purge != NULL && (plan->purge->archives || plan->purge->into != NULL);
}

/* What the generated functions name beside the words of the job file: a pass of a purge takes the
 * table as it is. */
static void
feed_tables(XXH3_state_t *state, const Plan *plan)
{
    uint32_t oids[2] = {
        plan->facts->table.oid, plan->purge->into == NULL ? 0 : plan->purge->into->table.oid};
    (void)XXH3_64bits_update(state, oids, sizeof(oids));
    for (int i = 0; i < plan->key_count; i++) {
        feed(state, plan->key[i].type);
    }
    for (int i = 0; plan_keeps_rows(plan) && i < plan->facts->column_count; i++) {
        const ColumnFacts *column = &plan->facts->columns[i];
        if (!column->generated) {
            feed(state, column->name);
            feed(state, column->type);
        }
    }
}

/* Where rows go, and which; a folder counts, since files that are not closed lie there.  Its level,
 * limits and schedule may be others tomorrow. */
static void
feed_purge(XXH3_state_t *state, const Plan *plan)
{
    const JobSpec *spec = plan->spec;
    const Facts *into = plan->purge->into;
    feed(state, spec->archive.path);
    feed(state, into == NULL ? NULL : into->table.schema);
    feed(state, into == NULL ? NULL : into->table.name);
    feed(state, spec->children == CHILDREN_DELETE ? "delete" : "refuse");
    feed(state, plan->purge->served ? "served" : "all rows");
    feed(state, plan->purge->least == NULL ? NULL : plan->purge->least->name);
    STRBUF_AUTO children = STRBUF_INIT;
    plan_put_children(&children, plan);
    feed(state, strbuf_text(&children));
    feed(state, plan->purge->counts_locked ? "locked" : "plain");
    feed_tables(state, plan);
}

/* Which rows; where the folder lies may be elsewhere tomorrow. */
static void
feed_restore(XXH3_state_t *state, const Plan *plan)
{
    feed(state, plan->restore->job_uuid);
    feed(state, plan->restore->table);
    (void)XXH3_64bits_update(state, &plan->spec->archive_run, sizeof(plan->spec->archive_run));
}

static void
take_fingerprint(const JobSpec *spec, const Facts *facts, Plan *plan)
{
    XXH3_state_t *state = XXH3_createState();
    assert(state != NULL);
    (void)XXH3_64bits_reset(state);
    /* The version of the generated functions. */
    feed(state, plan->copy != NULL      ? "copy 1"
                : plan->purge != NULL   ? "purge 1"
                : plan->restore != NULL ? "restore 1"
                                        : "backfill 1");
    feed(state, facts->table.schema);
    feed(state, facts->table.name);
    feed_count(state, spec->set_count);
    for (int i = 0; i < spec->set_count; i++) {
        feed(state, spec->set[i].column);
        feed(state, spec->set[i].expr.text);
    }
    feed(state, spec->where.text);
    feed_count(state, plan->key_count);
    for (int i = 0; i < plan->key_count; i++) {
        feed(state, plan->key[i].name);
    }
    feed_count(state, spec->search_path.count);
    for (int i = 0; i < spec->search_path.count; i++) {
        feed(state, spec->search_path.names[i]);
    }
    feed(state, plan->path == PATH_BLOCK ? "block" : "key");
    feed(state, plan->sync_trigger ? "trigger" : "none");
    if (plan->copy != NULL) {
        feed_copy(state, plan);
    } else if (plan->purge != NULL) {
        feed_purge(state, plan);
    } else if (plan->restore != NULL) {
        feed_restore(state, plan);
    }
    (void)snprintf(plan->fingerprint, sizeof(plan->fingerprint), "%016llx",
        (unsigned long long)XXH3_64bits_digest(state));
    (void)XXH3_freeState(state);
}

/* The statistics by which a copy's path is chosen may say otherwise by now: a job goes on by the
 * one that it was begun with. */
static void
stay_on_path(const JobSpec *spec, const Facts *facts, Plan *plan)
{
    const StoredJob *stored = &facts->stored;
    AccessPath decided = plan->path;
    if (plan->copy == NULL || spec->path != PATH_AUTO || !stored->exists ||
        strcmp(stored->fingerprint, plan->fingerprint) == 0) {
        return;
    }
    plan->path = decided == PATH_KEY ? PATH_BLOCK : PATH_KEY;
    take_fingerprint(spec, facts, plan);
    if (strcmp(stored->fingerprint, plan->fingerprint) == 0) {
        plan->path_reason = "the job was begun with it";
        return;
    }
    plan->path = decided;
    take_fingerprint(spec, facts, plan);
}

/* A pass goes on as it was begun, also when the planner has another index in mind by now. */
static void
stay_on_walk(const JobSpec *spec, const Facts *facts, Arena *arena, Plan *plan)
{
    const StoredJob *stored = &facts->stored;
    const Plan decided = *plan;
    PurgePlan *purge = arena_alloc(arena, sizeof(*purge));
    bool possible = false;
    if (!stored->exists || stored->complete ||
        strcmp(stored->fingerprint, plan->fingerprint) == 0) {
        return;
    }
    *purge = *plan->purge;
    plan->purge = purge;
    purge->walk_reason = "the pass was begun with it";
    if (decided.purge->served) {
        purge->walk_hint =
            arena_printf(arena, "The next one walks by index %s, which serves the predicate now.",
                decided.purge->walk_index);
    }
    for (int i = 0; plan_walk_candidate(plan, purge, i, &possible); i++) {
        if (possible) {
            plan_walk_remember(plan, purge);
            take_fingerprint(spec, facts, plan);
        }
        if (possible && strcmp(stored->fingerprint, plan->fingerprint) == 0) {
            return;
        }
    }
    *plan = decided;
}

/* Without a trigger that returns NULL every row that a DELETE matches is gone after it. */
static bool
may_keep_rows(const Facts *facts)
{
    for (int i = 0; i < facts->trigger_count; i++) {
        const TriggerFacts *trigger = &facts->triggers[i];
        if (trigger->enabled && trigger->on_delete && trigger->before && trigger->row) {
            return true;
        }
    }
    return false;
}

static void
decide_purge(const JobSpec *spec, const Facts *facts, Arena *arena, Plan *plan)
{
    PurgePlan *purge = arena_alloc(arena, sizeof(*purge));
    *purge = (PurgePlan){
        .into = facts->into,
        .archives = spec->archive.path != NULL,
        .counts_locked = may_keep_rows(facts),
    };
    plan_decide_children(spec, facts, arena, purge);
    plan->purge = purge;
    plan_walk_decide(plan, purge, arena);
    plan_walk_remember(plan, purge);
    plan->sync_trigger = false;
    plan->path = PATH_KEY;
    plan->path_reason = "rows that move between blocks could be passed over";
    plan->stripes = 1;
    plan->stripes_reason = "deleted rows leave no new versions";
}

/* Its batches are the frames of the archive. */
static void
decide_restore(const Facts *facts, Plan *plan)
{
    plan->restore = facts->restore;
    plan->sync_trigger = false;
    plan->path = PATH_KEY;
    plan->path_reason = "frame by frame of the archive";
    plan->stripes = 1;
    plan->stripes_reason = "rows are only inserted";
}

void
plan_build(const JobSpec *spec, const Facts *facts, const ExprReport *exprs, const IndexFacts *key,
    Arena *arena, Plan *plan)
{
    *plan = (Plan){.spec = spec, .facts = facts, .exprs = exprs->set, .where = exprs->where};
    bool copies = spec->kind == KIND_COPY;
    bool purges = spec->kind == KIND_PURGE;
    for (int i = 0; i < spec->set_count; i++) {
        plan->self_referring = plan->self_referring || (!copies && exprs->set[i].self_referring);
        plan->is_volatile = plan->is_volatile || exprs->set[i].is_volatile;
    }
    bool restores = spec->kind == KIND_RESTORE;
    if (!restores) {
        decide_key(facts, key, plan);
    }
    decide_sync(spec, facts, plan);
    if (restores) {
        decide_restore(facts, plan);
    } else if (copies) {
        plan_decide_copy(plan, exprs, key, arena);
    } else if (purges) {
        decide_purge(spec, facts, arena, plan);
    } else {
        decide_path(spec, facts, plan);
        decide_stripes(spec, facts, plan);
    }
    take_fingerprint(spec, facts, plan);
    stay_on_path(spec, facts, plan);
    if (purges) {
        stay_on_walk(spec, facts, arena, plan);
    }
    plan->workers = spec->workers > 0 ? spec->workers : PLAN_WORKERS_AUTO;
    decide_sizes(facts, plan);
    plan->may_skip_locked = !copies && !restores && !plan->self_referring && !plan->is_volatile;
    plan->strict = spec->strict && plan->may_skip_locked;
    plan->verify =
        spec->verify && !purges && !restores && !plan->self_referring && !plan->is_volatile;
    plan->vacuum = !copies && !restores && spec->vacuum;
}
