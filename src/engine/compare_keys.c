#include "engine/compare_keys.h"

#include <stdio.h>
#include <string.h>

#include "engine/carrier.h"

/* Keys that are looked at, and whose rows are locked on the source, at a time. */
#define GROUP_KEYS 200
/* Looks at a row before it is called wrong. */
#define LOOKS        5
#define LOOK_WAIT_US 100000
/* While rows of the source are locked nobody waits long for the other server. */
#define LOCKED_GRACE_US ((int64_t)1000000)

/* ---- asking ---- */

static PgConn *
session_of(const CompareBatch *batch, CompareSide side)
{
    return side == COMPARE_SOURCE ? batch->worker->source : batch->worker->conn;
}

/* Where triggers write it, the change log is on the source. */
static CompareSide
log_side(const CompareBatch *batch)
{
    return batch->text.plan->sync_trigger ? COMPARE_SOURCE : COMPARE_TARGET;
}

/* One of them is at work, and who waits for the source's locks waits for whichever that is. */
static void
set_cancellable(const CompareBatch *batch, bool on)
{
    Worker *worker = batch->worker;
    carry_set_cancellable(worker, on ? worker->conn : NULL, on ? worker->source : NULL);
}

bool
compare_ask(const CompareBatch *batch, CompareSide side, const char *sql, const Params *params,
    PgResult **result, Err *err)
{
    PgConn *conn = session_of(batch, side);
    set_cancellable(batch, true);
    bool ok = query_with(conn, sql, params, result, err);
    set_cancellable(batch, false);
    return ok || err_wrap(err, side == COMPARE_SOURCE ? "source" : "target");
}

/* The same of the target, while others may be waiting for what we hold on the source. */
static bool
ask_target_quickly(
    const CompareBatch *batch, const char *sql, const Params *params, PgResult **result, Err *err)
{
    int64_t yield_us = batch->worker->settings.throttle.yield_after_us;
    char timeout[64];
    (void)snprintf(timeout, sizeof(timeout), "SET LOCAL statement_timeout = %lld",
        (long long)(yield_us / 1000));
    const char *begin[] = {"BEGIN READ ONLY", timeout};
    BatchCall call = {
        .begin = begin,
        .begin_count = 2,
        .sql = sql,
        .count = params->count,
        .values = params->values,
        .timeout_us = yield_us + LOCKED_GRACE_US,
    };
    PgConn *conn = session_of(batch, COMPARE_TARGET);
    set_cancellable(batch, true);
    bool ok = query_batch(conn, &call, result, err);
    set_cancellable(batch, false);
    return ok || err_wrap(err, "target");
}

/* ---- keys ---- */

void
compare_keys_add(CompareBatch *batch, const char *key)
{
    if (batch->key_count == batch->key_size) {
        batch->key_size = batch->key_size == 0 ? GROUP_KEYS : 2 * batch->key_size;
        const char **grown =
            arena_alloc(&batch->arena, (size_t)batch->key_size * sizeof(*batch->keys));
        for (int i = 0; i < batch->key_count; i++) {
            grown[i] = batch->keys[i];
        }
        batch->keys = grown;
    }
    batch->keys[batch->key_count++] = key;
}

bool
compare_differs(const Plan *plan, const char *source, const char *target)
{
    switch (plan->spec->on_conflict) {
    case ON_CONFLICT_SKIP: /* what the target had already may be as it likes */
        return source != NULL && target == NULL;
    case ON_CONFLICT_UPDATE: /* and may be more than the source has */
        return source != NULL && (target == NULL || strcmp(source, target) != 0);
    case ON_CONFLICT_ERROR:
        break;
    }
    return source == NULL || target == NULL ? source != target : strcmp(source, target) != 0;
}

static const char *
key_list(CompareBatch *batch, const char *const *keys, int count)
{
    return pg_array_format(keys, count, &batch->arena);
}

/* Rows (place, hash) into their places. */
static void
take_hashes(CompareBatch *batch, const PgResult *rows, int count, const char **hashes)
{
    for (int i = 0; i < count; i++) {
        hashes[i] = NULL;
    }
    for (int row = 0; row < result_rows(rows); row++) {
        int64_t place = result_int(rows, row, 0);
        hashes[place - 1] = result_dup(rows, row, 1, &batch->arena);
    }
}

bool
compare_keys_hashes(CompareBatch *batch, CompareSide side, const char *const *keys, int count,
    const char **hashes, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_compare_rows(&sql, &batch->text, side);
    Params params = PARAMS_INIT;
    params_text(&params, key_list(batch, keys, count));
    PGRESULT_AUTO *rows = NULL;
    if (!compare_ask(batch, side, strbuf_text(&sql), &params, &rows, err)) {
        return false;
    }
    take_hashes(batch, rows, count, hashes);
    return true;
}

/* ---- a look at some keys ---- */

/* What is seen of up to GROUP_KEYS keys. */
typedef struct Look {
    const char *const *keys;
    int count;
    const char *source[GROUP_KEYS];
    const char *target[GROUP_KEYS];
    bool pending[GROUP_KEYS]; /* an entry of the change log will see to it */
} Look;

static bool
look_for_entries(CompareBatch *batch, Look *look, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_compare_pending(&sql, &batch->text);
    Params params = PARAMS_INIT;
    params_text(&params, key_list(batch, look->keys, look->count));
    PGRESULT_AUTO *rows = NULL;
    if (!compare_ask(batch, log_side(batch), strbuf_text(&sql), &params, &rows, err)) {
        return false;
    }
    memset(look->pending, 0, sizeof(look->pending));
    for (int row = 0; row < result_rows(rows); row++) {
        look->pending[result_int(rows, row, 0) - 1] = true;
    }
    return true;
}

static bool
look_at_target(CompareBatch *batch, Look *look, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_compare_rows(&sql, &batch->text, COMPARE_TARGET);
    Params params = PARAMS_INIT;
    params_text(&params, key_list(batch, look->keys, look->count));
    PGRESULT_AUTO *rows = NULL;
    if (!ask_target_quickly(batch, strbuf_text(&sql), &params, &rows, err)) {
        return false;
    }
    take_hashes(batch, rows, look->count, look->target);
    return true;
}

static bool
lock_rows(CompareBatch *batch, const Look *look, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_compare_lock(&sql, &batch->text);
    Params params = PARAMS_INIT;
    params_text(&params, key_list(batch, look->keys, look->count));
    return compare_ask(batch, COMPARE_SOURCE, strbuf_text(&sql), &params, NULL, err);
}

/*
 * The order is what counts: the source's row, then the change log, then the target.  A row that is
 * locked and whose key has no entry any more has been brought over as it is, or never changed.
 * Without a lock (a row that is not there, or that somebody else holds) it may change and be
 * brought over in between; hence the further looks.
 */
static bool
look_inside(CompareBatch *batch, Look *look, Err *err)
{
    return (!batch->text.plan->sync_trigger || lock_rows(batch, look, err)) &&
           compare_keys_hashes(batch, COMPARE_SOURCE, look->keys, look->count, look->source, err) &&
           look_for_entries(batch, look, err) && look_at_target(batch, look, err);
}

static bool
take_look(CompareBatch *batch, Look *look, Err *err)
{
    PgConn *source = session_of(batch, COMPARE_SOURCE);
    if (!query_script(source,
            "BEGIN; SET LOCAL lock_timeout = 5; SET LOCAL idle_in_transaction_session_timeout = "
            "2000",
            err)) {
        return err_wrap(err, "source");
    }
    bool ok = look_inside(batch, look, err);
    Err ended = ERR_INIT;
    if (!query_script(source, "ROLLBACK", &ended) && ok) {
        *err = ended;
        return err_wrap(err, "source");
    }
    return ok;
}

/* Look at all that are noted; those that still differ and are not pending stay. */
static bool
look_at_all(CompareBatch *batch, int group, Err *err)
{
    int kept = 0;
    for (int at = 0; at < batch->key_count; at += group) {
        Look look = {.keys = batch->keys + at};
        look.count = batch->key_count - at < group ? batch->key_count - at : group;
        if (!take_look(batch, &look, err)) {
            return false;
        }
        for (int i = 0; i < look.count; i++) {
            if (!look.pending[i] &&
                compare_differs(batch->text.plan, look.source[i], look.target[i])) {
                batch->keys[kept++] = look.keys[i];
            }
        }
    }
    batch->key_count = kept;
    return true;
}

bool
compare_keys_settle(CompareBatch *batch, int64_t size, bool once, bool *stopped, Err *err)
{
    int group = size < GROUP_KEYS ? (int)size : GROUP_KEYS;
    *stopped = false;
    for (int look = 0; look < (once ? 1 : LOOKS) && batch->key_count > 0; look++) {
        if (look > 0 && stop_sleep_us(&batch->worker->engine->stop, LOOK_WAIT_US) != STOP_NONE) {
            *stopped = true;
            return true;
        }
        batch->slept_us += look > 0 ? LOOK_WAIT_US : 0;
        if (!look_at_all(batch, group, err)) {
            return err_wrap(err, "look at rows");
        }
    }
    return true;
}

bool
compare_keys_append(CompareBatch *batch, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_compare_append(&sql, &batch->text);
    Params params = PARAMS_INIT;
    params_text(&params, key_list(batch, batch->keys, batch->key_count));
    return compare_ask(batch, log_side(batch), strbuf_text(&sql), &params, NULL, err) ||
           err_wrap(err, "append to the change log");
}
