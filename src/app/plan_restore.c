/*
 * plan_restore.c - the plan of a restore: what comes back, from where, by which transactions.
 */
#include <stdio.h>

#include "app/json.h"
#include "app/plan_parts.h"
#include "core/format.h"
#include "core/restore.h"
#include "core/sql_batch.h"
#include "core/sql_restore.h"

/* Of one row, as of a copy's; see the header. */
#define WAL_ROW   26
#define WAL_INDEX 75

PlanEstimate
plan_restore_estimate(const Plan *plan)
{
    const RestoreFacts *restore = plan->restore;
    PlanEstimate estimate = {.rows = restore->rows};
    estimate.row_bytes = restore->rows > 0 ? restore->raw_bytes / restore->rows : 0;
    int64_t row_wal = WAL_ROW + (int64_t)plan->facts->table.index_count * WAL_INDEX;
    estimate.wal_bytes = restore->raw_bytes + restore->rows * row_wal;
    estimate.growth_bytes = restore->raw_bytes;
    return estimate;
}

void
plan_restore_put(StrBuf *out, const Plan *plan, int width)
{
    const RestoreFacts *restore = plan->restore;
    PlanEstimate estimate = plan_restore_estimate(plan);
    char rows[FORMAT_SIZE];
    char bytes[FORMAT_SIZE];
    STRBUF_AUTO line = STRBUF_INIT;
    strbuf_printf(&line, "%s of %s, in %lld frame%s of %lld file%s, by job %s",
        format_count(restore->rows, rows), restore->table, (long long)restore->frames,
        restore->frames == 1 ? "" : "s", (long long)restore->files, restore->files == 1 ? "" : "s",
        restore->job);
    if (plan->spec->archive_run > 0) {
        strbuf_printf(&line, ", run %lld", (long long)plan->spec->archive_run);
    }
    plan_put_fact(out, "rows", strbuf_text(&line), width);
    plan_put_fact(out, "from", plan->spec->archive.path, width);
    plan_put_fact(out, "which",
        restore->known ? "those that this database knows to be deleted"
                       : "those that the files say were deleted; this database did not write them",
        width);
    strbuf_clear(&line);
    strbuf_printf(&line,
        "%d, each with its own connection; a frame is one transaction, whose rows are hashed and "
        "counted before they commit",
        plan->workers);
    plan_put_fact(out, "workers", strbuf_text(&line), width);
    strbuf_clear(&line);
    strbuf_printf(&line, "about %s of WAL", format_bytes(estimate.wal_bytes, bytes));
    strbuf_printf(&line, " and %s of growth", format_bytes(estimate.growth_bytes, bytes));
    plan_put_fact(out, "estimate", strbuf_text(&line), width);
}

int
plan_restore_locks(const char *notes[static PLAN_NOTES_MAX])
{
    notes[0] = "Each frame: ROW EXCLUSIVE on the table, and what its foreign keys lock. It waits "
               "for a lock at most 5 ms, and is cancelled when a session waits for it.";
    return 1;
}

int
plan_restore_notes(const char *notes[static PLAN_NOTES_MAX])
{
    notes[0] = "Every frame is restored once, whatever ends a run. A row whose unique value the "
               "table has by now ends the run; pghaul quarantine names its frame.";
    notes[1] = "Rows are put in as they were: defaults are for columns that the archive does not "
               "have; rules do not apply, triggers do.";
    return 2;
}

void
plan_restore_put_frame(StrBuf *out, const Plan *plan)
{
    const RestoreFacts *restore = plan->restore;
    const ArchiveOrigin origin = {
        .columns = restore->columns, .column_count = restore->column_count, .encoding = "UTF8"};
    strbuf_puts(out, "BEGIN ISOLATION LEVEL READ COMMITTED;\n");
    sql_batch_call(out, plan, "claim", 0);
    strbuf_puts(out, ";\n");
    if (!sql_restore_copy(out, plan, &origin)) {
        strbuf_puts(out, " -- as the columns of the frame are");
    }
    strbuf_puts(out, ";\n");
    sql_batch_call(out, plan, "restored", 0);
    strbuf_puts(out, ";\nCOMMIT");
}

void
plan_restore_json(json_t *object, const Plan *plan)
{
    const RestoreFacts *restore = plan->restore;
    json_t *part = json_object();
    json_put(part, "archive_folder", json_text(plan->spec->archive.path));
    json_put(part, "archive_table", json_text(restore->table));
    json_put(part, "archive_job", json_text(restore->job));
    json_put(part, "archive_run",
        plan->spec->archive_run > 0 ? json_integer(plan->spec->archive_run) : json_null());
    json_put(part, "known", json_boolean(restore->known));
    json_put(part, "files", json_integer(restore->files));
    json_put(part, "frames", json_integer(restore->frames));
    json_put(part, "rows", json_integer(restore->rows));
    json_put(part, "undecided_frames", json_integer(restore->undecided_frames));
    json_put(object, "restore", part);
}
