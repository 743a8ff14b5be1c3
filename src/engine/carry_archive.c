#include "engine/carry_archive.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "core/plan_children.h"
#include "core/sql_archive.h"
#include "core/sql_archive_children.h"
#include "core/sql_batch.h"
#include "engine/archiver.h"
#include "pg/copy_out.h"
#include "pg/sqlstate.h"

/* Text of the rows of one frame, and so what a worker holds in memory, beside one row that may be
 * as wide as it likes. */
#define FRAME_BYTES ((int64_t)16 << 20)

/* Nothing is held between two attempts to delete, and the frame is worth some of them. */
#define DELETE_ATTEMPTS 6
#define DELETE_WAIT_US  5000 /* the first; then twice as long each time */

typedef struct Batch {
    Worker *worker;
    Archiver *archiver;
    const Plan *plan;
    int64_t size;
    Arena arena;
    const char *from;
    const char *to;  /* text[]: where the batch ends; NULL = with its last row */
    const char *tid; /* tid[]: rows that somebody holds; NULL = not asked for */
    int64_t left;    /* so many */
    const char *holders;
    bool whole;        /* read it all, however large: it was counted */
    bool last;         /* the range ends with the batch */
    int64_t delete_us; /* what the call that succeeded took */
} Batch;

int64_t
carry_archive_size_max(const Worker *worker)
{
    if (worker->row_bytes <= 0) {
        return INT64_MAX;
    }
    int64_t rows = FRAME_BYTES / worker->row_bytes;
    return rows < 1 ? 1 : rows;
}

/* ---- reading ---- */

static bool
has_other_columns(Err *err)
{
    (void)err_set(err, ERR_DRIFT, "the table has other columns than when the run began");
    return err_hint(err, "Run again: that run archives the columns that there are then.");
}

/* A transaction with the settings that rows are read under; it stays open. */
static bool
begin_reading(Batch *batch, const char *begin_sql, Err *err)
{
    char timeout[64];
    (void)snprintf(
        timeout, sizeof(timeout), "SET LOCAL statement_timeout = %d", CARRY_ARCHIVE_TIMEOUT_MS);
    const char *begin[] = {begin_sql, timeout, "SET LOCAL lock_timeout = '100ms'"};
    Params params = PARAMS_INIT;
    params_text(&params, batch->from);
    params_text(&params, batch->to == NULL ? batch->worker->lease.high : batch->to);
    params_text(&params, batch->tid);
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_archive_settings(&sql, batch->plan, batch->worker->job.id);
    BatchCall call = {
        .begin = begin,
        .begin_count = 3,
        .sql = strbuf_text(&sql),
        .count = params.count,
        .values = params.values,
        .timeout_us = (int64_t)CARRY_ARCHIVE_TIMEOUT_MS * 1000 + CARRY_GRACE_US,
        .stays_open = true,
    };
    PGRESULT_AUTO *result = NULL;
    if (!query_batch(batch->worker->conn, &call, &result, err)) {
        return false;
    }
    ArchiveSlot *slot = &batch->archiver->slots[0];
    slot->filenode = result_dup(result, 0, ARCHIVE_FILENODE, &batch->arena);
    slot->attributes = result_dup(result, 0, ARCHIVE_ATTRIBUTES, &batch->arena);
    return result_int(result, 0, ARCHIVE_COLUMNS) == batch->plan->facts->column_count ||
           has_other_columns(err);
}

static ArchiveRows
rows_of(const Batch *batch)
{
    return (ArchiveRows){
        .from_open = batch->from == NULL,
        .to_open = batch->to == NULL && batch->worker->lease.high == NULL,
        .around = batch->tid != NULL,
        .rows_most = batch->tid == NULL || batch->whole ? batch->size : 0,
    };
}

/* Which of the rows ahead are to be left for a later visit, and where the batch ends then. */
static bool
find_held(Batch *batch, Err *err)
{
    PgConn *conn = batch->worker->conn;
    STRBUF_AUTO sql = STRBUF_INIT;
    ArchiveRows rows = rows_of(batch);
    sql_archive_held(&sql, batch->plan, &rows);
    PGRESULT_AUTO *result = NULL;
    if (!begin_reading(batch, "BEGIN ISOLATION LEVEL READ COMMITTED", err) ||
        !query_one(conn, strbuf_text(&sql), 0, NULL, &result, err) || !query_roll_back(conn, err)) {
        return false;
    }
    if (result_int(result, 0, HELD_LEFT) == 0) {
        return true;
    }
    batch->last = result_int(result, 0, HELD_COUNT) < batch->size;
    batch->to =
        batch->last ? batch->worker->lease.high : result_dup(result, 0, HELD_END, &batch->arena);
    batch->tid = result_dup(result, 0, HELD_TIDS, &batch->arena);
    batch->left = result_int(result, 0, HELD_LEFT);
    batch->holders = result_dup(result, 0, HELD_HOLDERS, &batch->arena);
    return true;
}

static bool
take_row(void *ctx, const char *row, size_t len)
{
    ArchiveRowsRead *rows = ctx;
    return archive_rows_add(rows, row, len) && (int64_t)rows->text.len < FRAME_BYTES;
}

static bool
take_any_row(void *ctx, const char *row, size_t len)
{
    return archive_rows_add(ctx, row, len);
}

static bool
copy_rows(Batch *batch, ArchiveSlot *slot, const char *sql, bool *cut, Err *err)
{
    bool any = batch->whole || slot->node != CHILD_OF_JOB;
    CopyOut copy = {
        .conn = batch->worker->conn,
        .sql = sql,
        .idle_us = (int64_t)CARRY_ARCHIVE_TIMEOUT_MS * 1000 + CARRY_GRACE_US,
        .take = any ? take_any_row : take_row,
        .ctx = &slot->rows,
    };
    archive_rows_clear(&slot->rows);
    if (!copy_out(&copy, cut, err)) {
        return false;
    }
    return !slot->rows.malformed ||
           err_set(err, ERR_FATAL, "a row came without its place in the table");
}

static bool
read_child(Batch *batch, ArchiveSlot *slot, const ArchiveRows *rows, Err *err)
{
    PgConn *conn = batch->worker->conn;
    const ChildNode *node = &batch->plan->purge->children[slot->node];
    STRBUF_AUTO settings = STRBUF_INIT;
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_archive_child_settings(&settings, node);
    sql_archive_read_child(&sql, batch->plan, slot->node, rows);
    PGRESULT_AUTO *row = NULL;
    if (!query_one(conn, strbuf_text(&settings), 0, NULL, &row, err)) {
        return false;
    }
    slot->filenode = result_dup(row, 0, 0, &batch->arena);
    slot->attributes = result_dup(row, 0, 2, &batch->arena);
    bool cut = false;
    return (result_int(row, 0, 1) == slot->origin.column_count || has_other_columns(err)) &&
           copy_rows(batch, slot, strbuf_text(&sql), &cut, err);
}

/* In the snapshot in which their parents were read. */
static bool
read_children(Batch *batch, Err *err)
{
    Archiver *archiver = batch->archiver;
    ArchiveRows rows = rows_of(batch);
    bool ok = true;
    for (int i = 1; ok && i < archiver->slot_count; i++) {
        ok = read_child(batch, &archiver->slots[i], &rows, err);
    }
    return batch->plan->purge->child_count == 0 ? ok : query_end(batch->worker->conn, ok, err);
}

static int64_t
bytes_read(const Archiver *archiver)
{
    int64_t bytes = 0;
    for (int i = 0; i < archiver->slot_count; i++) {
        bytes += (int64_t)archiver->slots[i].rows.text.len;
    }
    return bytes;
}

static const char *
begin_of(const Batch *batch)
{
    return batch->plan->purge->child_count == 0 ? "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"
                                                : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
}

/* After a cut the transaction is over, and rows that refer are read by the number of their
 * parents: once more, then. */
static bool
read_job_rows(Batch *batch, bool *cut, Err *err)
{
    Worker *worker = batch->worker;
    ArchiveSlot *slot = &batch->archiver->slots[0];
    STRBUF_AUTO sql = STRBUF_INIT;
    ArchiveRows rows = rows_of(batch);
    sql_archive_read(&sql, batch->plan, &rows);
    bool again = false;
    if (!begin_reading(batch, begin_of(batch), err) ||
        !copy_rows(batch, slot, strbuf_text(&sql), &again, err)) {
        return false;
    }
    *cut = *cut || again;
    if (!again) {
        return true;
    }
    if (!query_roll_back(worker->conn, err)) {
        return false;
    }
    if (batch->plan->purge->child_count == 0) {
        return true;
    }
    batch->size = slot->rows.count;
    batch->whole = true;
    return read_job_rows(batch, cut, err); /* NOLINT(misc-no-recursion): once */
}

static bool
read_rows(Batch *batch, Err *err)
{
    Archiver *archiver = batch->archiver;
    const ArchiveRowsRead *read = &archiver->slots[0].rows;
    bool cut = false;
    if (!read_job_rows(batch, &cut, err) || !read_children(batch, err)) {
        return false;
    }
    if (batch->whole) { /* of fewer rows than were counted no more were left */
        cut = read->count == batch->size;
    }
    if (batch->tid == NULL) {
        batch->last = !cut && read->count < batch->size;
    } else if (cut) { /* ends with its last row after all; what is held comes again */
        batch->to = NULL;
        batch->last = false;
    }
    if (read->count > 0) {
        batch->worker->row_bytes = bytes_read(archiver) / read->count + 1;
    }
    archiver_join(archiver);
    return true;
}

/* ---- deleting ---- */

/* Numbers of all tables, and hashes of their rows. */
static void
put_frames(Batch *batch, StrBuf *numbers, StrBuf *hashes)
{
    static const char NO_HASH[] = "00000000000000000000000000000000";
    int64_t tid = 1;
    int64_t xid = 1;
    for (int i = 0; i < batch->archiver->slot_count; i++) {
        const ArchiveSlot *slot = &batch->archiver->slots[i];
        const ArchiveFrameRow none = {.file = 0};
        const ArchiveFrameRow *frame = slot->rows.count > 0 ? &slot->frame : &none;
        strbuf_printf(numbers, "%s%d,%d,%lld,%lld,%lld,%lld,%s,%s,%lld,%lld,%d,%lld",
            i == 0 ? "{" : ",", frame->file, frame->no, (long long)frame->run, (long long)frame->at,
            (long long)frame->bytes, (long long)frame->raw_bytes, slot->attributes, slot->filenode,
            (long long)slot->rows.count, (long long)tid, slot->rows.xid_count, (long long)xid);
        strbuf_puts(hashes, slot->rows.count > 0 ? slot->hash : NO_HASH);
        tid += slot->rows.count;
        xid += slot->rows.xid_count;
    }
    strbuf_putc(numbers, '}');
}

static void
put_delete_params(Batch *batch, Params *params)
{
    const Archiver *archiver = batch->archiver;
    bool framed = archiver->slots[0].rows.count > 0;
    STRBUF_AUTO numbers = STRBUF_INIT;
    STRBUF_AUTO hashes = STRBUF_INIT;
    put_frames(batch, &numbers, &hashes);
    carry_put_lease(params, batch->worker);
    params_text(params, batch->worker->lease.watermark);
    params_int(params, batch->left);
    params_bool(params, batch->last);
    params_text(params, batch->worker->job.signature);
    params_text(params, archiver->slots[0].filenode);
    params_text(params, framed ? strbuf_text(&archiver->tids) : NULL);
    params_text(params, framed ? strbuf_text(&archiver->xids) : NULL);
    params_text(params, batch->last ? NULL : batch->to);
    params_text(params, framed ? arena_strdup(&batch->arena, strbuf_text(&numbers)) : NULL);
    params_text(params, framed ? arena_strdup(&batch->arena, strbuf_text(&hashes)) : NULL);
    params_text(params, batch->holders);
}

static bool
call_delete(Batch *batch, CarryResult *result, Err *err)
{
    enum { TIDS = 10, XIDS = 11 };
    Worker *worker = batch->worker;
    const Archiver *archiver = batch->archiver;
    int64_t timeout_ms = worker->settings.throttle.yield_after_us / 1000;
    char timeout[64];
    (void)snprintf(
        timeout, sizeof(timeout), "SET LOCAL statement_timeout = %lld", (long long)timeout_ms);
    const char *begin[] = {
        "BEGIN ISOLATION LEVEL READ COMMITTED", timeout, carry_commit_mode(batch->plan)};
    Params params = PARAMS_INIT;
    put_delete_params(batch, &params);
    int lengths[PARAMS_MAX] = {[TIDS] = (int)archiver->tids.len, [XIDS] = (int)archiver->xids.len};
    int formats[PARAMS_MAX] = {[TIDS] = 1, [XIDS] = 1};
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_batch_call(&sql, batch->plan, "move", worker->job.id);
    BatchCall call = {
        .begin = begin,
        .begin_count = 3,
        .sql = strbuf_text(&sql),
        .count = params.count,
        .values = params.values,
        .lengths = lengths,
        .formats = formats,
        .timeout_us = timeout_ms * 1000 + CARRY_GRACE_US,
    };
    PGRESULT_AUTO *answer = NULL;
    int64_t begun_us = clock_mono_us();
    bool ok = query_batch(worker->conn, &call, &answer, err);
    batch->delete_us = clock_mono_us() - begun_us;
    return ok && carry_take_result(worker, answer, result, err);
}

/* Somebody holds a row, perhaps not for long; of one that was changed a new version is to be
 * read. */
static bool
may_let_go(const Err *err)
{
    return err->cls == ERR_RETRY && strcmp(err->sqlstate, SQLSTATE_CHANGED) != 0;
}

static bool
delete_rows(Batch *batch, CarryResult *result, Err *err)
{
    StopToken *stop = &batch->worker->engine->stop;
    int64_t wait_us = DELETE_WAIT_US;
    for (int i = 1; !call_delete(batch, result, err); i++) {
        if (!may_let_go(err) || i == DELETE_ATTEMPTS || batch->archiver->slots[0].rows.count == 0 ||
            stop_sleep_us(stop, wait_us) != STOP_NONE) {
            return false;
        }
        wait_us *= 2;
        *err = ERR_INIT;
    }
    if (batch->archiver->slots[0].rows.count > 0 && result->outcome != CARRY_LOST) {
        archiver_deleted(batch->worker);
    }
    return true;
}

/* ---- the batch ---- */

/* After a failure the session is idle, or lost; the fate of a frame is what the database says. */
static bool
settle(Batch *batch, Err *err)
{
    Err more = ERR_INIT;
    bool settled = err->cls == ERR_RECONNECT || (query_roll_back(batch->worker->conn, &more) &&
                                                    archiver_decide(batch->worker, &more));
    if (!settled && (err->cls == ERR_NONE || more.cls == ERR_RECONNECT)) {
        *err = more;
    }
    return settled;
}

static bool
run(Batch *batch, bool skip_locked, CarryResult *result, Err *err)
{
    *result = (CarryResult){.outcome = CARRY_LOST};
    Worker *worker = batch->worker;
    const ArchiveRowsRead *rows = &batch->archiver->slots[0].rows;
    bool ok =
        (archiver_is_deleted(worker) || archiver_decide(worker, err)) &&
        (!skip_locked || find_held(batch, err)) && read_rows(batch, err) &&
        (rows->count == 0 || (archiver_confirm(worker, err) && archiver_append(worker, err))) &&
        delete_rows(batch, result, err);
    bool undecided = archiver_is_pending(batch->archiver) && !archiver_is_deleted(worker);
    return ((ok && !undecided) || settle(batch, err)) && ok;
}

static Batch
batch_of(Worker *worker, int64_t size)
{
    const RangeLease *lease = &worker->lease;
    return (Batch){
        .worker = worker,
        .archiver = archiver_of(worker),
        .plan = worker->engine->setup.plan,
        .size = size,
        .arena = ARENA_INIT,
        .from = lease->watermark == NULL ? lease->low : lease->watermark,
    };
}

bool
carry_archive(Worker *worker, int64_t size, bool skip_locked, CarryResult *result, Err *err)
{
    int64_t begun_us = clock_mono_us();
    Batch batch = batch_of(worker, size);
    carry_set_cancellable(worker, worker->conn, NULL);
    bool ok = run(&batch, skip_locked, result, err);
    carry_set_cancellable(worker, NULL, NULL);
    /* What the application may feel is the delete; its time is what the size is steered by. */
    result->slept_us = clock_mono_us() - begun_us - batch.delete_us;
    arena_reset(&batch.arena);
    return ok;
}

/* ---- a row that is refused ---- */

/* The key of the next row; NULL when the predicate cannot be evaluated for it. */
static const char *
next_key(Batch *batch)
{
    Err ignored = ERR_INIT;
    STRBUF_AUTO sql = STRBUF_INIT;
    ArchiveRows rows = rows_of(batch);
    sql_archive_held(&sql, batch->plan, &rows);
    PGRESULT_AUTO *result = NULL;
    bool found = begin_reading(batch, "BEGIN ISOLATION LEVEL READ COMMITTED", &ignored) &&
                 query_one(batch->worker->conn, strbuf_text(&sql), 0, NULL, &result, &ignored);
    const char *key = found ? result_dup(result, 0, HELD_END, &batch->arena) : NULL;
    return query_roll_back(batch->worker->conn, &ignored) ? key : NULL;
}

bool
carry_archive_locate(Worker *worker, int64_t size, Err *err)
{
    CarryResult result;
    bool ok = carry_archive(worker, size, false, &result, err);
    worker->has_lease = worker->has_lease && (!ok || result.outcome == CARRY_MORE);
    if (ok || err->cls != ERR_POISON) {
        return ok;
    }
    Err cause = *err;
    *err = ERR_INIT;
    Batch batch = batch_of(worker, size);
    const char *key = next_key(&batch);
    (void)(key == NULL ? carry_refused(cause.sqlstate, err)
                       : carry_stop_at(worker, key, cause.sqlstate, cause.message, err));
    arena_reset(&batch.arena);
    return false;
}
