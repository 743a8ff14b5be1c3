#include "engine/carry_restore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/sql_batch.h"
#include "core/sql_frame.h"
#include "core/sql_parts.h"
#include "core/sql_restore.h"
#include "engine/archive_scan.h"
#include "pg/copy_in.h"

/* A frame cannot be cut: it takes as long as it takes.  Whoever waits for it is still seen by the
 * monitor, which cancels it. */
#define FRAME_TIMEOUT_MS 600000
#define IDLE_TIMEOUT_SQL "SET LOCAL idle_in_transaction_session_timeout = 30000"

/* Items of a range's lower bound. */
enum { PLACE_FILE = 0, PLACE_FRAME, PLACE_AT, PLACE_HASH, PLACE_ITEMS };

typedef struct Restore {
    Worker *worker;
    const Plan *plan;
    Arena arena;
    const char *file;
    int frame;
    int64_t at;
    const char *hash;
    ArchiveFolder folder;
    ArchiveReader *reader;
    ArchiveEntry entry;
    CopyIn copy;
} Restore;

/* ---- the file ---- */

/* What is wrong with the file, by name and place. */
static bool
damaged(const Restore *restore, const char *what, Err *err)
{
    *err = ERR_INIT;
    (void)err_set(err, ERR_CORRUPT, "%s at %lld: %s", restore->file, (long long)restore->at, what);
    return err_hint(err,
        "None of its rows was restored. pghaul archive verify %s shows what else is damaged; put "
        "the file back as it was written and run again.",
        restore->plan->spec->archive.path);
}

static bool
read_place(Restore *restore, Err *err)
{
    const char **items = NULL;
    int count = 0;
    const char *low = restore->worker->lease.low;
    if (low == NULL || !pg_array_parse(low, &restore->arena, &items, &count, err) ||
        count != PLACE_ITEMS) {
        *err = ERR_INIT;
        return err_set(err, ERR_FATAL, "range %lld names no frame of an archive",
            (long long)restore->worker->lease.no);
    }
    restore->file = items[PLACE_FILE];
    restore->frame = (int)strtol(items[PLACE_FRAME], NULL, 10);
    restore->at = strtoll(items[PLACE_AT], NULL, 10);
    restore->hash = items[PLACE_HASH];
    return true;
}

static bool
open_frame(Restore *restore, Err *err)
{
    const char *folder = restore->plan->spec->archive.path;
    if (!archive_folder_open(folder, &restore->folder, err) ||
        !archive_reader_open(&restore->folder, restore->file, &restore->reader, err)) {
        return false;
    }
    Err cause = ERR_INIT;
    const ArchiveHeader *header = &restore->entry.header;
    if (!archive_entry_at(restore->reader, restore->at, &restore->arena, &restore->entry, &cause)) {
        return damaged(restore, cause.message, err);
    }
    if (header->is_end || header->frame_no != restore->frame ||
        strcmp(header->raw_hash, restore->hash) != 0) {
        return damaged(restore, "another frame than when the job began", err);
    }
    return true;
}

/* ---- steps ---- */

static bool
claim(const Restore *restore, bool *ours, Err *err)
{
    Worker *worker = restore->worker;
    char timeout[64];
    char locks[64];
    (void)snprintf(timeout, sizeof(timeout), "SET LOCAL statement_timeout = %d", FRAME_TIMEOUT_MS);
    (void)snprintf(
        locks, sizeof(locks), "SET LOCAL lock_timeout = '%s'", sql_lock_timeout(restore->plan));
    /* Rows are read as they were written, and triggers find their names. */
    STRBUF_AUTO path = STRBUF_INIT;
    strbuf_puts(&path, "SET LOCAL search_path = ");
    sql_put_search_path(&path, restore->plan);
    const char *begin[] = {"BEGIN ISOLATION LEVEL READ COMMITTED", timeout, locks, IDLE_TIMEOUT_SQL,
        carry_commit_mode(restore->plan), strbuf_text(&path), "SET LOCAL lc_monetary = 'C'",
        "SET LOCAL xmloption = 'content'"};
    Params params = PARAMS_INIT;
    carry_put_lease(&params, worker);
    params_text(&params, worker->lease.watermark);
    params_int(&params, 0);
    params_bool(&params, false);
    carry_put_guards(&params, worker);
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_batch_call(&sql, restore->plan, "claim", worker->job.id);
    BatchCall call = {
        .begin = begin,
        .begin_count = sizeof(begin) / sizeof(begin[0]),
        .sql = strbuf_text(&sql),
        .count = params.count,
        .values = params.values,
        .timeout_us = CARRY_GRACE_US,
        .stays_open = true,
    };
    PGRESULT_AUTO *result = NULL;
    if (!query_batch(worker->conn, &call, &result, err)) {
        return false;
    }
    *ours = result_rows(result) == 1 && strcmp(result_text(result, 0, BATCH_OUTCOME), "more") == 0;
    return true;
}

/* Remember whose error it was: the server's, or the file's. */
typedef struct Flow {
    const CopyIn *copy;
    bool server_failed;
} Flow;

static bool
put_piece(void *ctx, const char *bytes, size_t len, Err *err)
{
    Flow *flow = ctx;
    flow->server_failed = !copy_in_put(flow->copy, bytes, len, err);
    return !flow->server_failed;
}

static bool
stream_rows(Restore *restore, Err *err)
{
    const ArchiveHeader *header = &restore->entry.header;
    Flow flow = {.copy = &restore->copy};
    Err cause = ERR_INIT;
    int64_t taken = 0;
    if (!archive_read_rows(restore->reader, &restore->entry, put_piece, &flow, &cause)) {
        if (flow.server_failed) {
            *err = cause;
            return false;
        }
        (void)damaged(restore, cause.message, err);
        copy_in_give_up(&restore->copy, err);
        return false;
    }
    if (!copy_in_end(&restore->copy, &taken, err)) {
        return false;
    }
    if (taken != header->rows) {
        (void)err_set(err, ERR_FATAL, "%s at %lld: the table took %lld rows of %lld", restore->file,
            (long long)restore->at, (long long)taken, (long long)header->rows);
        return err_hint(err, "One of its triggers leaves rows out.");
    }
    return true;
}

static bool
copy_rows(Restore *restore, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    if (!sql_restore_copy(&sql, restore->plan, &restore->entry.header.origin)) {
        return damaged(restore, "columns or encoding that the table does not take", err);
    }
    restore->copy = (CopyIn){.conn = restore->worker->conn,
        .idle_us = (int64_t)FRAME_TIMEOUT_MS * 1000 + CARRY_GRACE_US};
    return copy_in_begin(&restore->copy, strbuf_text(&sql), err) && stream_rows(restore, err);
}

static bool
settle(const Restore *restore, CarryResult *result, Err *err)
{
    Worker *worker = restore->worker;
    Params params = PARAMS_INIT;
    carry_put_lease(&params, worker);
    params_text(&params, NULL);
    params_int(&params, restore->entry.header.rows);
    params_bool(&params, true);
    carry_put_guards(&params, worker);
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_batch_call(&sql, restore->plan, "restored", worker->job.id);
    BatchCall call = {
        .sql = strbuf_text(&sql),
        .count = params.count,
        .values = params.values,
        .timeout_us = (int64_t)FRAME_TIMEOUT_MS * 1000 + CARRY_GRACE_US,
    };
    PGRESULT_AUTO *rows = NULL;
    return query_batch(worker->conn, &call, &rows, err) &&
           carry_take_result(worker, rows, result, err);
}

/* ---- the frame ---- */

static bool
restore_frame(Restore *restore, CarryResult *result, Err *err)
{
    bool ours = false;
    *result = (CarryResult){.outcome = CARRY_LOST};
    if (!read_place(restore, err) || !open_frame(restore, err) || !claim(restore, &ours, err)) {
        return false;
    }
    if (!ours) {
        return query_roll_back(restore->worker->conn, err);
    }
    return copy_rows(restore, err) && settle(restore, result, err);
}

static bool
run(Restore *restore, CarryResult *result, Err *err)
{
    Worker *worker = restore->worker;
    Err lost = ERR_INIT;
    carry_set_cancellable(worker, worker->conn, NULL);
    bool ok = restore_frame(restore, result, err);
    if (!ok && err->cls != ERR_RECONNECT && !query_roll_back(worker->conn, &lost)) {
        *err = lost;
    }
    carry_set_cancellable(worker, NULL, NULL);
    archive_reader_close(restore->reader);
    archive_folder_close(&restore->folder);
    return ok;
}

static Restore
restore_of(Worker *worker)
{
    return (Restore){
        .worker = worker,
        .plan = worker->engine->setup.plan,
        .arena = ARENA_INIT,
        .folder = ARCHIVE_FOLDER_INIT,
    };
}

bool
carry_restore(Worker *worker, int64_t size, bool skip_locked, CarryResult *result, Err *err)
{
    (void)size;
    (void)skip_locked;
    Restore restore = restore_of(worker);
    bool ok = run(&restore, result, err);
    arena_reset(&restore.arena);
    return ok;
}

bool
carry_restore_locate(Worker *worker, int64_t size, Err *err)
{
    (void)size;
    CarryResult result;
    Restore restore = restore_of(worker);
    bool ok = run(&restore, &result, err);
    worker->has_lease = worker->has_lease && !ok;
    if (!ok && err->cls == ERR_POISON) {
        Err cause = *err;
        *err = ERR_INIT;
        (void)carry_stop_at(worker, worker->lease.low, cause.sqlstate, cause.message, err);
        if (err->cls == ERR_POISON) {
            (void)err_hint(err,
                "pghaul quarantine %s shows the frame and what the server said. Make room for its "
                "rows in the table, then run again.",
                worker->job.name);
        }
    }
    arena_reset(&restore.arena);
    return ok;
}
