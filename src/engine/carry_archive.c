#include "engine/carry_archive.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "core/sql_archive.h"
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
    const char *filenode; /* of the table that was read */
    const char *attributes;
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
    batch->filenode = result_dup(result, 0, ARCHIVE_FILENODE, &batch->arena);
    batch->attributes = result_dup(result, 0, ARCHIVE_ATTRIBUTES, &batch->arena);
    if (result_int(result, 0, ARCHIVE_COLUMNS) == batch->plan->facts->column_count) {
        return true;
    }
    (void)err_set(err, ERR_DRIFT, "the table has other columns than when the run began");
    return err_hint(err, "Run again: that run archives the columns that there are then.");
}

static ArchiveRows
rows_of(const Batch *batch)
{
    return (ArchiveRows){
        .from_open = batch->from == NULL,
        .to_open = batch->to == NULL && batch->worker->lease.high == NULL,
        .around = batch->tid != NULL,
        .rows_most = batch->tid == NULL ? batch->size : 0,
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
read_rows(Batch *batch, Err *err)
{
    Worker *worker = batch->worker;
    ArchiveRowsRead *read = &batch->archiver->rows;
    archive_rows_clear(read);
    STRBUF_AUTO sql = STRBUF_INIT;
    ArchiveRows rows = rows_of(batch);
    sql_archive_read(&sql, batch->plan, &rows);
    CopyOut copy = {
        .conn = worker->conn,
        .sql = strbuf_text(&sql),
        .idle_us = (int64_t)CARRY_ARCHIVE_TIMEOUT_MS * 1000 + CARRY_GRACE_US,
        .take = take_row,
        .ctx = read,
    };
    bool cut = false;
    if (!begin_reading(batch, "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY", err) ||
        !copy_out(&copy, &cut, err) || (cut && !query_roll_back(worker->conn, err))) {
        return false;
    }
    if (read->malformed) {
        return err_set(err, ERR_FATAL, "a row came without its place in the table");
    }
    if (batch->tid == NULL) {
        batch->last = !cut && read->count < batch->size;
    } else if (cut) { /* ends with its last row after all; what is held comes again */
        batch->to = NULL;
        batch->last = false;
    }
    if (read->count > 0) {
        worker->row_bytes = (int64_t)read->text.len / read->count + 1;
    }
    archive_rows_finish(read);
    return true;
}

/* ---- deleting ---- */

static const char *
frame_numbers(Batch *batch)
{
    const ArchiveFrameRow *frame = &batch->archiver->frame;
    return arena_printf(&batch->arena, "{%d,%d,%lld,%lld,%lld,%lld,%s}", frame->file, frame->no,
        (long long)frame->run, (long long)frame->at, (long long)frame->bytes,
        (long long)frame->raw_bytes, batch->attributes);
}

static void
put_delete_params(Batch *batch, Params *params)
{
    const ArchiveRowsRead *rows = &batch->archiver->rows;
    bool framed = rows->count > 0;
    carry_put_lease(params, batch->worker);
    params_text(params, batch->worker->lease.watermark);
    params_int(params, batch->left);
    params_bool(params, batch->last);
    params_text(params, batch->worker->job.signature);
    params_text(params, batch->filenode);
    params_text(params, framed ? strbuf_text(&rows->tids) : NULL);
    params_text(params, framed ? strbuf_text(&rows->xids) : NULL);
    params_text(params, batch->last ? NULL : batch->to);
    params_text(params, framed ? frame_numbers(batch) : NULL);
    params_text(params, framed ? batch->archiver->hash : NULL);
    params_text(params, batch->holders);
}

static bool
call_delete(Batch *batch, CarryResult *result, Err *err)
{
    enum { TIDS = 10, XIDS = 11 };
    Worker *worker = batch->worker;
    const ArchiveRowsRead *rows = &batch->archiver->rows;
    int64_t timeout_ms = worker->settings.throttle.yield_after_us / 1000;
    char timeout[64];
    (void)snprintf(
        timeout, sizeof(timeout), "SET LOCAL statement_timeout = %lld", (long long)timeout_ms);
    const char *begin[] = {
        "BEGIN ISOLATION LEVEL READ COMMITTED", timeout, carry_commit_mode(batch->plan)};
    Params params = PARAMS_INIT;
    put_delete_params(batch, &params);
    int lengths[PARAMS_MAX] = {[TIDS] = (int)rows->tids.len, [XIDS] = (int)rows->xids.len};
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
        if (!may_let_go(err) || i == DELETE_ATTEMPTS || batch->archiver->rows.count == 0 ||
            stop_sleep_us(stop, wait_us) != STOP_NONE) {
            return false;
        }
        wait_us *= 2;
        *err = ERR_INIT;
    }
    if (batch->archiver->pending && result->outcome != CARRY_LOST) {
        archiver_committed(batch->worker);
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
    bool ok = archiver_decide(batch->worker, err) && (!skip_locked || find_held(batch, err)) &&
              read_rows(batch, err) &&
              (batch->archiver->rows.count == 0 || archiver_append(batch->worker, err)) &&
              delete_rows(batch, result, err);
    bool undecided = batch->archiver->pending || !ok;
    return (!undecided || settle(batch, err)) && ok;
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
