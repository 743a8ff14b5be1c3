/*
 * plan_purge.c - the plan of a purge: which rows go, what keeps them, costs and locks.
 */
#include <stdio.h>

#include "app/json.h"
#include "app/plan_parts.h"
#include "app/text.h"
#include "core/format.h"

/* Of one row, from the measurements named in the header. */
#define WAL_DELETED_ROW 61
#define WAL_LOCKED_ROW  56
#define WAL_VACUUM_ROW  26
#define WAL_KEPT_ROW    26 /* beside its bytes */
#define WAL_KEPT_INDEX  75

/* ---- costs ---- */

static int64_t
smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

PlanEstimate
plan_purge_estimate(const Plan *plan)
{
    const TableFacts *table = &plan->facts->table;
    const PurgePlan *purge = plan->purge;
    PlanEstimate estimate = {.rows = (int64_t)table->rows};
    if (table->rows < 0) {
        estimate.rows = (int64_t)(plan->rows_per_block * (double)table->blocks);
    }
    double row_bytes = facts_row_bytes(table);
    if (row_bytes >= 0) {
        estimate.row_bytes = (int64_t)row_bytes;
    } else if (estimate.rows > 0) {
        estimate.row_bytes = (table->total_bytes - table->index_bytes) / estimate.rows;
    }
    double matching = plan->where->match_rows;
    estimate.purged_rows = matching < 0 ? estimate.rows : smaller((int64_t)matching, estimate.rows);
    int64_t row_wal = WAL_DELETED_ROW + (plan->vacuum ? WAL_VACUUM_ROW : 0);
    row_wal += purge->archives || purge->counts_locked ? WAL_LOCKED_ROW : 0;
    if (purge->into != NULL) {
        row_wal += estimate.row_bytes + WAL_KEPT_ROW +
                   (int64_t)purge->into->table.index_count * WAL_KEPT_INDEX;
        estimate.growth_bytes = estimate.purged_rows * estimate.row_bytes;
    }
    estimate.wal_bytes = estimate.purged_rows * row_wal;
    estimate.page_bytes = smaller(estimate.purged_rows, table->blocks) * PLAN_PAGE_BYTES;
    estimate.freed_bytes = estimate.purged_rows * estimate.row_bytes;
    return estimate;
}

void
plan_purge_put_costs(StrBuf *out, const Plan *plan, int width)
{
    PlanEstimate estimate = plan_purge_estimate(plan);
    char wal[FORMAT_SIZE];
    char pages[FORMAT_SIZE];
    char freed[FORMAT_SIZE];
    STRBUF_AUTO line = STRBUF_INIT;
    strbuf_printf(&line,
        "about %s of WAL, and up to %s more where a checkpoint makes the server write whole pages; "
        "%s of the table become free",
        format_bytes(estimate.wal_bytes, wal), format_bytes(estimate.page_bytes, pages),
        format_bytes(estimate.freed_bytes, freed));
    if (plan->purge->archives) {
        strbuf_puts(&line, "; files of about as much before compression");
    } else if (plan->purge->into != NULL) {
        strbuf_puts(&line, ", and as much is written to the other one");
    }
    plan_put_fact(out, "estimate", strbuf_text(&line), width);
}

/* ---- decisions ---- */

static void
put_rows(StrBuf *out, const Plan *plan, int width)
{
    PlanEstimate estimate = plan_purge_estimate(plan);
    char matching[FORMAT_SIZE];
    char all[FORMAT_SIZE];
    char ratio[FORMAT_SIZE];
    STRBUF_AUTO line = STRBUF_INIT;
    if (plan->where->match_rows < 0 || estimate.rows == 0) {
        strbuf_puts(&line, "nobody knows how many match");
    } else {
        strbuf_printf(&line, "about %s of %s match (%s), as the planner estimates",
            format_count(estimate.purged_rows, matching), format_count(estimate.rows, all),
            format_percent((double)estimate.purged_rows / (double)estimate.rows, ratio));
    }
    plan_put_fact(out, "rows", strbuf_text(&line), width);
}

static void
put_keeper(StrBuf *out, const Plan *plan, int width)
{
    const PurgePlan *purge = plan->purge;
    STRBUF_AUTO line = STRBUF_INIT;
    if (purge->archives) {
        strbuf_printf(&line,
            "files in %s, zstd level %d: each batch is read without locks, written and synced to "
            "disk, and then deleted if it is still what was read",
            plan->spec->archive.path, plan->spec->archive.level);
    } else if (purge->into != NULL) {
        strbuf_printf(&line, "%s%s.%s, in the transaction that deletes them",
            purge->into->table.relkind == 'p' ? "partitioned " : "", purge->into->table.schema,
            purge->into->table.name);
    } else {
        strbuf_puts(&line, "nothing: they are gone when their batch commits");
    }
    plan_put_fact(out, "kept by", strbuf_text(&line), width);
}

void
plan_purge_put_rows(StrBuf *out, const Plan *plan, int width)
{
    plan_put_fact(out, "where", plan->spec->where.text, width);
    put_rows(out, plan, width);
    put_keeper(out, plan, width);
    plan_children_put(out, plan, width);
}

void
plan_purge_put_rest(StrBuf *out, const Plan *plan, int width)
{
    const JobSpec *spec = plan->spec;
    plan_put_fact(out, "vacuum",
        plan->vacuum ? "after a share of the table was deleted, and at the end" : "off", width);
    if (spec->keeps_tail) {
        plan_put_fact(out, "tail",
            "until pghaul clean no VACUUM cuts empty pages off the table's end", width);
    }
    if (spec->window.text != NULL) {
        plan_put_fact(out, "window", spec->window.text, width);
    }
}

/* ---- locks ---- */

int
plan_purge_locks(const Plan *plan, Arena *arena, const char *notes[static PLAN_NOTES_MAX])
{
    char yield[FORMAT_SIZE];
    (void)format_duration(plan->spec->throttle.yield_after_us, yield);
    int count = 0;
    if (plan->purge->archives) {
        notes[count++] = "Reading a batch: ACCESS SHARE on the table for one short transaction. "
                         "While it is compressed and written, no lock and no snapshot is held.";
    }
    notes[count++] = arena_printf(arena,
        "Batches: ROW EXCLUSIVE on the table%s and locks on the rows of the batch, held for at "
        "most %s (statement_timeout); aim of one batch %lld ms%s. A batch waits for a lock at most "
        "5 ms. A batch that a session waits for is cancelled.",
        plan->purge->into == NULL ? "" : " and on the one that keeps the rows", yield,
        (long long)(plan->spec->batch_time_us / 1000),
        plan->purge->archives ? ", most of it before anything is locked" : "");
    const char *children = plan_children_lock(plan, arena);
    if (children != NULL) {
        notes[count++] = children;
    }
    if (plan->vacuum) {
        notes[count++] = "VACUUM: SHARE UPDATE EXCLUSIVE, which stops no reader and no writer. It "
                         "waits at most 1.5 s for it, and ends when a session waits for it. It "
                         "never cuts the table's end off, for which it would stop everybody.";
    }
    if (plan->spec->keeps_tail) {
        notes[count++] = "vacuum_truncate: off: SHARE UPDATE EXCLUSIVE for one short transaction, "
                         "at the first run and by pghaul clean.";
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
        if (trigger->enabled && !trigger->is_ours && trigger->on_delete) {
            strbuf_printf(&names, "%s%s", names.len == 0 ? "" : ", ", trigger->name);
        }
    }
    return names.len == 0 ? NULL : arena_strdup(arena, strbuf_text(&names));
}

int
plan_purge_notes(const Plan *plan, Arena *arena, const char *notes[static PLAN_NOTES_MAX])
{
    int count = 0;
    notes[count++] = "Each run deletes what matches when it begins: now() is one moment for all of "
                     "its batches. Whether a row still matches is judged again, under its lock, by "
                     "the statement that deletes it.";
    if (plan->purge->archives) {
        notes[count++] = "The files are on the host that runs pghaul. pghaul archive verify checks "
                         "them, pghaul archive restore puts rows back.";
    }
    const char *triggers = list_triggers(plan, arena);
    if (triggers != NULL) {
        notes[count++] =
            arena_printf(arena, "Triggers of yours fire for each row deleted: %s.", triggers);
    }
    notes[count++] = "Transactions of the application under REPEATABLE READ or SERIALIZABLE may "
                     "get error 40001 on rows that the job deleted after their snapshot.";
    const char *children = plan_list_children(plan, arena);
    if (children != NULL) {
        notes[count++] =
            arena_printf(arena, "Rows of inheritance children are not touched: %s.", children);
    }
    return count;
}

/* ---- JSON ---- */

static json_t *
keeper_json(const Plan *plan)
{
    const PurgePlan *purge = plan->purge;
    json_t *object = json_object();
    json_put(object, "kept_by",
        json_text(purge->archives       ? "files"
                  : purge->into != NULL ? "table"
                                        : "nothing"));
    json_put(object, "archive_folder", json_text(plan->spec->archive.path));
    json_put(object, "archive_level",
        purge->archives ? json_integer(plan->spec->archive.level) : json_null());
    json_put(
        object, "into_schema", json_text(purge->into == NULL ? NULL : purge->into->table.schema));
    json_put(object, "into_table", json_text(purge->into == NULL ? NULL : purge->into->table.name));
    json_put(object, "window", json_text(plan->spec->window.text));
    json_put(object, "vacuum_truncate", json_boolean(!plan->spec->keeps_tail));
    return object;
}

void
plan_purge_json(json_t *object, const Plan *plan)
{
    PlanEstimate estimate = plan_purge_estimate(plan);
    json_t *purge = keeper_json(plan);
    bool known = plan->where->match_rows >= 0;
    json_put(purge, "matching_rows", known ? json_integer(estimate.purged_rows) : json_null());
    json_put(purge, "freed_bytes", json_integer(estimate.freed_bytes));
    json_put(purge, "full_page_bytes", json_integer(estimate.page_bytes));
    json_put(purge, "children", plan_children_json(plan));
    json_put(object, "purge", purge);
}
