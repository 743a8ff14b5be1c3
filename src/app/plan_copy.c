/*
 * plan_copy.c - the plan of a copy: target, map, change log, costs, locks, statements.
 */
#include <stdio.h>

#include "app/json.h"
#include "app/plan_parts.h"
#include "app/text.h"
#include "core/format.h"
#include "core/plan_reverse.h"
#include "core/sql_backfill.h"
#include "core/sql_log.h"
#include "core/sql_relay.h"
#include "engine/carry_call.h"
#include "engine/carry_relay.h"

static const char *const CONFLICTS[] = {
    [ON_CONFLICT_ERROR] = "error", [ON_CONFLICT_SKIP] = "skip", [ON_CONFLICT_UPDATE] = "update"};

/* ---- costs ---- */

/* Of one row beside its bytes, from the measurements named in the header. */
#define WAL_COPIED_ROW   26
#define WAL_COPIED_INDEX 75

PlanEstimate
plan_copy_estimate(const Plan *plan)
{
    const TableFacts *table = &plan->facts->table;
    int indexes = plan->copy->into->table.index_count;
    PlanEstimate estimate = {.rows = (int64_t)table->rows};
    if (table->rows < 0) {
        estimate.rows = (int64_t)(plan->rows_per_block * (double)table->blocks);
    }
    int64_t heap_bytes = table->total_bytes - table->index_bytes;
    estimate.row_bytes = estimate.rows > 0 ? heap_bytes / estimate.rows : 0;
    estimate.wal_bytes =
        estimate.rows * (estimate.row_bytes + WAL_COPIED_ROW + (int64_t)indexes * WAL_COPIED_INDEX);
    int64_t index_bytes = table->index_count > 0 ? table->index_bytes / table->index_count : 0;
    estimate.growth_bytes = heap_bytes + index_bytes * indexes;
    return estimate;
}

void
plan_copy_put_costs(StrBuf *out, const Plan *plan, int width)
{
    PlanEstimate estimate = plan_copy_estimate(plan);
    char wal[FORMAT_SIZE];
    char growth[FORMAT_SIZE];
    char rows[FORMAT_SIZE];
    STRBUF_AUTO line = STRBUF_INIT;
    strbuf_printf(&line, "about %s of WAL, and a target of %s, if all %s rows are copied",
        format_bytes(estimate.wal_bytes, wal), format_bytes(estimate.growth_bytes, growth),
        format_count(estimate.rows, rows));
    plan_put_fact(out, "estimate", strbuf_text(&line), width);
}

/* ---- tables ---- */

static void
put_server(StrBuf *out, const char *label, const ServerFacts *server, int width)
{
    STRBUF_AUTO line = STRBUF_INIT;
    strbuf_printf(&line, "%sPostgreSQL %d.%d%s, database %s, role %s", label,
        server->version_num / 10000, server->version_num % 10000,
        server->in_recovery ? " (standby)" : "", server->database, server->role);
    text_put_wrapped(out, "", strbuf_text(&line), width);
}

static void
put_size(StrBuf *out, const TableFacts *table)
{
    char rows[FORMAT_SIZE];
    char bytes[FORMAT_SIZE];
    if (table->rows >= 0) {
        strbuf_printf(out, ", about %s rows", format_count((int64_t)table->rows, rows));
    }
    strbuf_printf(out, ", %s with %d index%s", format_bytes(table->total_bytes, bytes),
        table->index_count, table->index_count == 1 ? "" : "es");
}

void
plan_copy_put_table(StrBuf *out, const JobSpec *spec, const Facts *facts, int width)
{
    const TableFacts *source = &facts->table;
    const TableFacts *target = &facts->into->table;
    STRBUF_AUTO line = STRBUF_INIT;
    strbuf_printf(&line, "job %s: copy of %s.%s", spec->job, source->schema, source->name);
    put_size(&line, source);
    text_put_wrapped(out, "", strbuf_text(&line), width);
    strbuf_clear(&line);
    strbuf_printf(&line, "into %s%s.%s", target->relkind == 'p' ? "partitioned " : "",
        target->schema, target->name);
    if (target->has_rows) {
        put_size(&line, target);
    } else {
        strbuf_printf(&line, ", empty, with %d index%s", target->index_count,
            target->index_count == 1 ? "" : "es");
    }
    text_put_wrapped(out, "", strbuf_text(&line), width);
    if (facts_is_remote(facts)) {
        put_server(out, "source: ", &facts->server, width);
        put_server(out, "target: ", &facts->into->server, width);
    } else {
        put_server(out, "", &facts->server, width);
    }
    strbuf_putc(out, '\n');
}

/* ---- decisions ---- */

void
plan_copy_put_map(StrBuf *out, const Plan *plan, int width)
{
    STRBUF_AUTO same = STRBUF_INIT;
    for (int i = 0; i < plan->copy->map_count; i++) {
        if (plan->copy->map[i].expr == NULL) {
            strbuf_printf(
                &same, "%s%s", same.len == 0 ? "" : ", ", plan->copy->map[i].target->name);
        }
    }
    if (same.len > 0) {
        plan_put_fact(out, "same name", strbuf_text(&same), width);
    }
    plan_put_expressions(out, plan, "map", width);
}

static void
put_arbiter(StrBuf *out, const Plan *plan, int width)
{
    STRBUF_AUTO line = STRBUF_INIT;
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_printf(&line, "%s%s", i == 0 ? "" : ", ", plan->copy->key[i]->name);
    }
    strbuf_printf(&line, " (index %s)", plan->copy->arbiter->name);
    plan_put_fact(out, "target key", strbuf_text(&line), width);
}

static void
put_conflict(StrBuf *out, const Plan *plan, int width)
{
    static const char *const TEXTS[] = {
        [ON_CONFLICT_ERROR] = "a row whose key the target has already ends the run",
        [ON_CONFLICT_SKIP] = "a row whose key the target has already is left as it is there",
        [ON_CONFLICT_UPDATE] = "a row whose key the target has already is made as in the source"};
    plan_put_fact(out, "on conflict", TEXTS[plan->spec->on_conflict], width);
}

static void
put_sync(StrBuf *out, const Plan *plan, int width)
{
    char bytes[FORMAT_SIZE];
    STRBUF_AUTO line = STRBUF_INIT;
    if (plan->sync_trigger) {
        strbuf_printf(&line,
            "AFTER triggers of the source record the keys of rows that the application writes in a "
            "change log of at most %s; after the move the run reads these rows again and replaces "
            "them in the target, until pghaul clean",
            format_bytes(plan->spec->limits.log_bytes, bytes));
    } else {
        strbuf_puts(&line, "none: what the application changes in a range that was copied is not "
                           "seen; for sources to which rows are only added at the end of the key, "
                           "or that nobody writes");
    }
    plan_put_fact(out, "sync", strbuf_text(&line), width);
}

void
plan_copy_put_target(StrBuf *out, const Plan *plan, int width)
{
    put_arbiter(out, plan, width);
    put_conflict(out, plan, width);
    put_sync(out, plan, width);
    plan_put_fact(out, "indexes",
        plan->spec->indexes == INDEXES_AFTER
            ? "secondary indexes of the target are built after the move, one by one, if they are "
              "large CONCURRENTLY; those that it has are dropped before, if it is empty"
            : "those that the target has, from the start",
        width);
    plan_put_fact(out, "verify",
        plan->verify ? "a second pass compares every row with the target's" : "no verify pass",
        width);
}

/* ---- locks ---- */

static int64_t
copy_timeout_ms(const Plan *plan)
{
    return plan->copy->remote ? CARRY_RELAY_TIMEOUT_MS : CARRY_LOCKLESS_TIMEOUT_MS;
}

int
plan_copy_locks(const Plan *plan, Arena *arena, const char *notes[static PLAN_NOTES_MAX])
{
    char yield[FORMAT_SIZE];
    (void)format_duration(plan->spec->throttle.yield_after_us, yield);
    int count = 0;
    if (plan->sync_trigger) {
        notes[count++] = arena_printf(arena,
            "CREATE TRIGGER and ENABLE ALWAYS: SHARE ROW EXCLUSIVE on the source for one short "
            "transaction. It waits at most %s (lock_timeout), then gives way and tries again.",
            yield);
    }
    notes[count++] = arena_printf(arena,
        "Batches: ACCESS SHARE on the source and no lock on its rows; ROW EXCLUSIVE on the "
        "target, for at most %lld s (statement_timeout of its statements); aim of one batch %lld "
        "ms. A batch that a session waits for is cancelled.",
        (long long)(copy_timeout_ms(plan) / 1000), (long long)(plan->spec->batch_time_us / 1000));
    if (plan->sync_trigger) {
        notes[count++] = "Drain of the change log: ROW EXCLUSIVE on the target and on the log, and "
                         "locks on the target's rows that it replaces.";
    }
    if (plan->spec->indexes == INDEXES_AFTER) {
        notes[count++] =
            "CREATE INDEX CONCURRENTLY: SHARE UPDATE EXCLUSIVE on the target, and it waits for the "
            "transactions that are open. Of a table up to 1 GB that nobody but this job writes, "
            "CREATE INDEX: SHARE on the target, for as long as it takes.";
    }
    if (plan->sync_trigger) {
        notes[count++] = arena_printf(arena,
            "pghaul clean: ACCESS EXCLUSIVE on the source for DROP TRIGGER in one short "
            "transaction, with the same %s and retries.",
            yield);
    }
    return count;
}

/* ---- what else to know ---- */

static const char *
list_triggers(const Plan *plan, Arena *arena)
{
    const Facts *into = plan->copy->into;
    STRBUF_AUTO names = STRBUF_INIT;
    for (int i = 0; i < into->trigger_count; i++) {
        const TriggerFacts *trigger = &into->triggers[i];
        bool fires = trigger->on_insert || (trigger->on_delete && plan->sync_trigger);
        if (trigger->enabled && !trigger->is_ours && fires) {
            strbuf_printf(&names, "%s%s", names.len == 0 ? "" : ", ", trigger->name);
        }
    }
    return names.len == 0 ? NULL : arena_strdup(arena, strbuf_text(&names));
}

static int
put_log_notes(const Plan *plan, const char *notes[static PLAN_NOTES_MAX], int count)
{
    if (!plan->sync_trigger) {
        return count;
    }
    notes[count++] = "Each row that the application inserts, changes or deletes in the source adds "
                     "an entry to the change log in the same transaction (two when its key "
                     "changes): about 150 bytes of WAL and 75 of disk, whether or not a run is at "
                     "work to drain them.";
    notes[count++] = "The log never makes a write fail: when it has reached limits.log_bytes, "
                     "changes go unrecorded and the run ends with the reason. Likewise after a "
                     "TRUNCATE of the source. pghaul verify JOB --repair is the way on.";
    return count;
}

/* Why there would be no way back from a cutover, or NULL. */
static const char *
no_way_back(const Plan *plan, Arena *arena)
{
    Plan reverse;
    ReverseNames names = {.source = "new", .into = "old"};
    const CopyPlan *copy = plan->copy;
    const ColumnFacts *left = copy->irreversible;
    if (copy->remote) {
        return NULL;
    }
    if (left == NULL && plan->spec->reverse_count > 0) {
        left = plan_reverse(plan, names, arena, &reverse);
    }
    if (left == NULL) {
        return NULL;
    }
    return plan->spec->reverse_count > 0
               ? arena_printf(arena,
                     "A cutover would be refused: reverse_map: does not say what column \"%s\" of "
                     "the source becomes.",
                     left->name)
               : arena_printf(arena,
                     "A cutover could not be rolled back, and is refused without allow: "
                     "[no-rollback]: column \"%s\" of the source cannot be computed from the "
                     "target. reverse_map: can say how.",
                     left->name);
}

int
plan_copy_notes(const Plan *plan, Arena *arena, const char *notes[static PLAN_NOTES_MAX])
{
    int count = put_log_notes(plan, notes, 0);
    const char *triggers = list_triggers(plan, arena);
    if (triggers != NULL) {
        notes[count++] =
            arena_printf(arena, "Triggers of the target fire for each row: %s.", triggers);
    }
    const char *children = plan_list_children(plan, arena);
    if (children != NULL) {
        notes[count++] =
            arena_printf(arena, "Rows of inheritance children are not copied: %s.", children);
    }
    if (plan->is_volatile) {
        notes[count++] = "An expression gives another value each time it is evaluated, so there is "
                         "no verify pass; a row that the application changes gets a new one.";
    }
    const char *one_way = no_way_back(plan, arena);
    if (one_way != NULL) {
        notes[count++] = one_way;
    }
    if (plan->copy->remote) {
        const char *why = NULL;
        bool binary = relay_is_binary(plan, &why);
        notes[count++] = arena_printf(arena,
            "All rows pass through the host of pghaul, in no file, by COPY in %s: %s.",
            binary ? "binary" : "text", why);
    }
    return count;
}

/* ---- statements ---- */

void
plan_copy_add_log(PlanLister *lister)
{
    bool sync = lister->plan->sync_trigger;
    plan_add_made(lister,
        sync ? "The change log, beside the source"
             : "Keys that a repair changes, beside the target",
        sql_log_table);
    plan_add_made(lister, "A mark beside it, for changes that went unrecorded", sql_log_overflow);
}

void
plan_copy_add_triggers(PlanLister *lister)
{
    static const char ALWAYS[] = "and with it: it fires under replication too";
    if (lister->plan->sync_trigger) {
        plan_add_made(lister, "The trigger that records keys, in one transaction", sql_log_trigger);
        plan_add_made(lister, ALWAYS, sql_sync_enable);
        plan_add_made(lister, "The trigger that records TRUNCATE, in one transaction",
            sql_log_truncate_trigger);
        plan_add_made(lister, ALWAYS, sql_log_truncate_enable);
    }
}

static void
relay_source(StrBuf *out, const Plan *plan)
{
    sql_relay_source(out, plan, &(RelayRows){.from_open = false});
}

void
plan_copy_add_relay(PlanLister *lister)
{
    const Plan *plan = lister->plan;
    plan_add_query(lister, "Each batch, at the source", relay_source);
    if (relay_is_staged(plan)) {
        plan_add_query(
            lister, "Where rows wait that the target may have, once a session", sql_relay_stage);
    }
    plan_add_query(lister, "Each batch, at the target, between claim and settle", sql_relay_target);
}

/* ---- JSON ---- */

static json_t *
map_json(const Plan *plan)
{
    json_t *list = json_array();
    for (int i = 0; i < plan->copy->map_count; i++) {
        const MapColumn *map = &plan->copy->map[i];
        json_t *object = json_object();
        json_put(object, "column", json_text(map->target->name));
        if (map->source != NULL) {
            json_put(object, "source", json_text(map->source->name));
        } else {
            json_put(object, "sql", json_text(map->expr->text));
        }
        json_append(list, object);
    }
    return list;
}

void
plan_copy_json(json_t *object, const Plan *plan)
{
    const CopyPlan *copy = plan->copy;
    json_t *key = json_array();
    for (int i = 0; i < plan->key_count; i++) {
        json_append(key, json_text(copy->key[i]->name));
    }
    json_put(object, "into_schema", json_text(copy->into->table.schema));
    json_put(object, "into_table", json_text(copy->into->table.name));
    json_put(object, "remote", json_boolean(copy->remote));
    json_put(object, "map", map_json(plan));
    json_put(object, "target_key", key);
    json_put(object, "target_index", json_text(copy->arbiter->name));
    json_put(object, "on_conflict", json_text(CONFLICTS[plan->spec->on_conflict]));
    json_put(
        object, "indexes", json_text(plan->spec->indexes == INDEXES_AFTER ? "after" : "before"));
    json_put(object, "log_bytes", json_integer(plan->spec->limits.log_bytes));
    json_put(object, "invertible", json_boolean(copy->invertible));
}
