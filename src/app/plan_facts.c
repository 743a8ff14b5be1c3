/*
 * plan_facts.c - what a plan means for server and application: costs, locks, statements.
 */
#include <stdio.h>

#include "app/plan_parts.h"
#include "core/format.h"
#include "core/ident.h"
#include "core/sql_archive.h"
#include "core/sql_backfill.h"
#include "core/sql_batch.h"
#include "core/sql_functions.h"
#include "core/sql_parts.h"
#include "engine/carry_call.h"

/* ---- costs ---- */

/* Of one row, from the measurements named in the header. */
#define WAL_ROW_PLAIN     104
#define WAL_INDEX_PLAIN   173
#define WAL_ROW_STRIPES   47
#define WAL_INDEX_STRIPES 72
/* A BEFORE UPDATE trigger makes the server lock each row first, which is a record of its own. */
#define WAL_ROW_TRIGGER 65

static void
estimate_growth(const Plan *plan, PlanEstimate *estimate)
{
    if (plan->stripes == 1) {
        estimate->heap_growth_ratio = 1.0;
        estimate->index_growth_ratio = 1.0;
    } else if (plan->vacuum) {
        estimate->heap_growth_ratio = 0.125;
        estimate->index_growth_ratio = 0.0;
    } else {
        estimate->heap_growth_ratio = 0.23;
        estimate->index_growth_ratio = 0.27;
    }
}

PlanEstimate
plan_estimate(const Plan *plan)
{
    if (plan->copy != NULL) {
        return plan_copy_estimate(plan);
    }
    if (plan->purge != NULL) {
        return plan_purge_estimate(plan);
    }
    if (plan->restore != NULL) {
        return plan_restore_estimate(plan);
    }
    const TableFacts *table = &plan->facts->table;
    PlanEstimate estimate = {.rows = (int64_t)table->rows};
    if (table->rows < 0) {
        estimate.rows = (int64_t)(plan->rows_per_block * (double)table->blocks);
    }
    int64_t heap_bytes = table->total_bytes - table->index_bytes;
    estimate.row_bytes = estimate.rows > 0 ? heap_bytes / estimate.rows : 0;
    bool striped = plan->stripes > 1;
    int64_t row_wal = estimate.row_bytes + (striped ? WAL_ROW_STRIPES : WAL_ROW_PLAIN) +
                      (int64_t)table->index_count * (striped ? WAL_INDEX_STRIPES : WAL_INDEX_PLAIN);
    row_wal += plan->sync_trigger ? WAL_ROW_TRIGGER : 0;
    estimate.wal_bytes = estimate.rows * row_wal;
    estimate_growth(plan, &estimate);
    estimate.growth_bytes = (int64_t)(estimate.heap_growth_ratio * (double)heap_bytes +
                                      estimate.index_growth_ratio * (double)table->index_bytes);
    return estimate;
}

/* ---- locks ---- */

int
plan_locks(const Plan *plan, Arena *arena, const char *notes[static PLAN_NOTES_MAX])
{
    if (plan->copy != NULL) {
        return plan_copy_locks(plan, arena, notes);
    }
    if (plan->purge != NULL) {
        return plan_purge_locks(plan, arena, notes);
    }
    if (plan->restore != NULL) {
        return plan_restore_locks(notes);
    }
    char yield[FORMAT_SIZE];
    (void)format_duration(plan->spec->throttle.yield_after_us, yield);
    int count = 0;
    if (plan->sync_trigger) {
        notes[count++] = arena_printf(arena,
            "CREATE TRIGGER and ENABLE ALWAYS: SHARE ROW EXCLUSIVE on the table for one short "
            "transaction. It waits at most %s (lock_timeout), then gives way and tries again.",
            yield);
    }
    notes[count++] = arena_printf(arena,
        "Batches: ROW EXCLUSIVE on the table and locks on the rows of the batch, held for at most "
        "%s (statement_timeout); aim of one batch %lld ms. A batch waits for a lock at most 5 ms. "
        "A batch that a session waits for is cancelled.",
        yield, (long long)(plan->spec->batch_time_us / 1000));
    if (plan->vacuum) {
        notes[count++] = "VACUUM: SHARE UPDATE EXCLUSIVE, which stops no reader and no writer. It "
                         "waits at most 1.5 s for it, and ends when a session waits for it.";
    }
    if (plan->sync_trigger) {
        notes[count++] = arena_printf(arena,
            "pghaul clean: ACCESS EXCLUSIVE for DROP TRIGGER in one short transaction, with the "
            "same %s and retries.",
            yield);
    }
    return count;
}

/* ---- what else to know ---- */

static const char *
list_triggers(const Plan *plan, Arena *arena)
{
    STRBUF_AUTO names = STRBUF_INIT;
    for (int i = 0; i < plan->facts->trigger_count; i++) {
        const TriggerFacts *trigger = &plan->facts->triggers[i];
        if (trigger->enabled && !trigger->is_ours && trigger->on_update && trigger->fires_on_set) {
            strbuf_printf(&names, "%s%s", names.len == 0 ? "" : ", ", trigger->name);
        }
    }
    return names.len == 0 ? NULL : arena_strdup(arena, strbuf_text(&names));
}

const char *
plan_list_children(const Plan *plan, Arena *arena)
{
    STRBUF_AUTO names = STRBUF_INIT;
    for (int i = 0; i < plan->facts->table.child_count; i++) {
        strbuf_printf(&names, "%s%s", i == 0 ? "" : ", ", plan->facts->table.children[i]);
    }
    return names.len == 0 ? NULL : arena_strdup(arena, strbuf_text(&names));
}

int
plan_notes(const Plan *plan, Arena *arena, const char *notes[static PLAN_NOTES_MAX])
{
    if (plan->copy != NULL) {
        return plan_copy_notes(plan, arena, notes);
    }
    if (plan->purge != NULL) {
        return plan_purge_notes(plan, arena, notes);
    }
    if (plan->restore != NULL) {
        return plan_restore_notes(notes);
    }
    int count = 0;
    if (plan->sync_trigger) {
        notes[count++] =
            "Until pghaul clean the trigger owns the columns: what an application writes to them "
            "itself is overwritten with the value of the expression.";
    }
    const char *triggers = list_triggers(plan, arena);
    if (triggers != NULL) {
        notes[count++] =
            arena_printf(arena, "Triggers of yours fire for each row changed: %s.", triggers);
    }
    notes[count++] = "Transactions of the application under REPEATABLE READ or SERIALIZABLE may "
                     "get error 40001 on rows that the job changed after their snapshot.";
    const char *children = plan_list_children(plan, arena);
    if (children != NULL) {
        notes[count++] =
            arena_printf(arena, "Rows of inheritance children are not touched: %s.", children);
    }
    if (plan->self_referring) {
        notes[count++] = "The expression builds on its own result: it is applied exactly once to "
                         "each row that exists now and keeps its key. There is no verify pass.";
    } else if (plan->is_volatile) {
        notes[count++] = "The expression gives another value each time it is evaluated, so there "
                         "is no verify pass; each write of the application gives a new one.";
    }
    if (plan->stripes > 1) {
        notes[count++] = "While an old snapshot is open, dead versions cannot be reused: then WAL "
                         "and growth are those of a plain UPDATE.";
    }
    return count;
}

/* ---- statements ---- */

static void
add(PlanLister *lister, const char *title, const StrBuf *sql)
{
    lister->statements[lister->count++] =
        (PlanStatement){.title = title, .sql = arena_strdup(lister->arena, strbuf_text(sql))};
}

void
plan_add_made(PlanLister *lister, const char *title, PlanMakeText *make)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    make(&sql, lister->plan, 0);
    strbuf_puts(&sql, ";\n");
    add(lister, title, &sql);
}

/* A function is for its owner only. */
static void
add_function(PlanLister *lister, const SqlFunction *function)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    function->text(&sql, lister->plan, 0);
    strbuf_puts(&sql, ";\nREVOKE ALL ON FUNCTION ");
    sql_put_function_name(&sql, lister->plan, function->what, 0);
    strbuf_puts(&sql, " FROM PUBLIC;\n");
    add(lister, function->title, &sql);
}

static void
add_batch(PlanLister *lister)
{
    const JobSpec *spec = lister->plan->spec;
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_printf(&sql,
        "BEGIN ISOLATION LEVEL READ COMMITTED;\n"
        "SET LOCAL statement_timeout = %lld;\n"
        "%s;\n",
        (long long)(lister->plan->copy != NULL ? CARRY_LOCKLESS_TIMEOUT_MS
                                               : spec->throttle.yield_after_us / 1000),
        carry_commit_mode(lister->plan));
    sql_batch_call(&sql, lister->plan, "move", 0);
    strbuf_puts(&sql, ";\nCOMMIT;\n");
    add(lister, "Each batch, in one round trip", &sql);
}

void
plan_add_query(PlanLister *lister, const char *title, void (*make)(StrBuf *, const Plan *))
{
    STRBUF_AUTO sql = STRBUF_INIT;
    make(&sql, lister->plan);
    strbuf_puts(&sql, ";\n");
    add(lister, title, &sql);
}

static void
archive_read(StrBuf *out, const Plan *plan)
{
    sql_archive_read(out, plan, &(ArchiveRows){.rows_most = 1000});
}

static void
archive_held(StrBuf *out, const Plan *plan)
{
    sql_archive_held(out, plan, &(ArchiveRows){.rows_most = 1000});
}

/* Before the call that deletes, for which they are written. */
static void
add_archive(PlanLister *lister)
{
    if (lister->plan->purge != NULL && lister->plan->purge->archives) {
        plan_add_query(
            lister, "Each batch first: its rows, in a transaction that only reads", archive_read);
        plan_add_query(lister,
            "and after some that met a lock: rows that somebody holds, rolled "
            "back at once",
            archive_held);
    }
}

static void
add_carving(PlanLister *lister)
{
    const Plan *plan = lister->plan;
    if (plan->path == PATH_KEY && (plan->purge == NULL || !plan->purge->served)) {
        plan_add_query(lister, "Where the walk by key ends, once", sql_last_key);
    }
    if (plan->path == PATH_KEY || plan->verify) {
        plan_add_query(lister, "Where the next range ends, by key", sql_carve_probe);
        plan_add_query(lister, "How many rows the last range has", sql_carve_rest);
    }
}

static void
put_keep_tail(StrBuf *out, const Plan *plan, int64_t job)
{
    (void)job;
    sql_keep_tail(out, plan);
}

static void
add_vacuum(PlanLister *lister)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_vacuum(&sql, lister->plan);
    strbuf_puts(&sql, ";\n");
    add(lister,
        lister->plan->purge != NULL ? "After a share of the table is deleted, and at the end"
                                    : "Now and then, after a share of the table has changed",
        &sql);
}

static void
add_functions(PlanLister *lister)
{
    for (size_t i = 0; i < sql_functions_count(); i++) {
        const SqlFunction *function = sql_functions_at(i);
        if (sql_functions_needed(function, lister->plan)) {
            add_function(lister, function);
        }
    }
}

int
plan_statements(
    const Plan *plan, Arena *arena, PlanStatement statements[static PLAN_STATEMENTS_MAX])
{
    PlanLister lister = {.plan = plan, .arena = arena, .statements = statements};
    bool copies = plan->copy != NULL;
    if (copies) {
        plan_copy_add_log(&lister);
    }
    add_functions(&lister);
    if (plan->restore != NULL) {
        plan_add_query(&lister, "Each frame", plan_restore_put_frame);
        return lister.count;
    }
    if (copies) {
        plan_copy_add_triggers(&lister);
    } else if (plan->sync_trigger) {
        plan_add_made(&lister, "The sync trigger, in one transaction", sql_sync_trigger);
        plan_add_made(&lister, "and with it: it fires under replication too", sql_sync_enable);
    }
    if (plan->spec->keeps_tail) {
        plan_add_made(&lister, "Until clean, which puts back what was there", put_keep_tail);
    }
    add_carving(&lister);
    if (copies && plan->copy->remote) {
        plan_copy_add_relay(&lister);
    } else {
        add_archive(&lister);
        add_batch(&lister);
    }
    if (plan->vacuum) {
        add_vacuum(&lister);
    }
    return lister.count;
}
