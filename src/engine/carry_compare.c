#include "engine/carry_compare.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/carve.h"
#include "engine/compare_keys.h"
#include "pg/peer.h"
#include "store/guards.h"
#include "store/ranges.h"

/* So few rows are listed with their keys; more are hashed together. */
#define LIST_ROWS 200
/* Halvings of the largest batch, with room for rows that come and go meanwhile. */
#define HALVINGS_MAX 40
/* Keys of a batch that are recorded for the operator. */
#define RECORDED_KEYS 5

/* ---- what both servers have in common ---- */

/* Which types of the target does the source know? */
static bool
learn_types(CompareBatch *batch, Err *err)
{
    const CopyPlan *copy = batch->text.plan->copy;
    size_t count = (size_t)copy->map_count;
    const char **types = arena_alloc(&batch->arena, count * sizeof(*types));
    bool *known = arena_alloc(&batch->arena, count * sizeof(*known));
    bool asked = false;
    for (int i = 0; i < copy->map_count; i++) {
        types[i] = sql_compare_type(&copy->map[i]);
        asked = asked || types[i] != NULL;
        known[i] = true;
    }
    batch->text.known_types = known;
    return !asked || peer_known_types(batch->worker->source, types, copy->map_count, known, err);
}

/* Is a text sorted otherwise by another version of the library? */
static bool
sorts_by_library(const ColumnFacts *column)
{
    const char *collation = column->collation;
    return collation[0] != '\0' && strcmp(collation, "C") != 0 && strcmp(collation, "POSIX") != 0;
}

/* True when no two keys can be in another order on one server than on the other; types of the
 * user's may be defined otherwise. */
static bool
same_order(CompareBatch *batch, bool *same, Err *err)
{
    const Plan *plan = batch->text.plan;
    *same = true;
    bool by_library = false;
    if (strcmp(plan->facts->server.system_id, plan->copy->into->server.system_id) == 0) {
        return true;
    }
    for (int i = 0; i < plan->key_count; i++) {
        by_library = by_library || sorts_by_library(plan->copy->key[i]);
        *same = *same && strchr(plan->copy->key[i]->base_type, '.') == NULL;
    }
    const char *source = NULL;
    const char *target = NULL;
    if (!by_library || !*same) {
        return true;
    }
    if (!peer_sort_versions(batch->worker->source, &batch->arena, &source, err) ||
        !peer_sort_versions(batch->worker->conn, &batch->arena, &target, err)) {
        return false;
    }
    *same = source != NULL && target != NULL && strcmp(source, target) == 0;
    return true;
}

/* Can a slice of keys stand for the same rows on both sides?  Else only the source's keys are
 * looked up: rows that the target alone has are not ours to judge, or cannot be found so. */
static bool
choose_way(CompareBatch *batch, bool *by_list, Err *err)
{
    *by_list = batch->text.plan->spec->on_conflict != ON_CONFLICT_ERROR;
    bool same = true;
    if (*by_list || !same_order(batch, &same, err)) {
        return *by_list;
    }
    *by_list = !same;
    const RangeLease *lease = &batch->worker->lease;
    if (!same && lease->no == 1 && lease->watermark == NULL) {
        log_line(LOG_WARNING, batch->worker->name,
            "the two servers may sort keys in another order: rows that only the target has are not "
            "found");
    }
    return true;
}

/* ---- slices ---- */

typedef void TextMaker(StrBuf *out, const Comparison *comparison, CompareSide side);

/* (low, high], and how many rows of it. */
typedef struct Slice {
    const char *low;
    const char *high;
    int64_t rows;
} Slice;

static bool
ask_slice(const CompareBatch *batch, TextMaker *make, CompareSide side, const Slice *slice,
    PgResult **result, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    make(&sql, &batch->text, side);
    Params params = PARAMS_INIT;
    params_text(&params, slice->low);
    params_text(&params, slice->high);
    if (make == sql_compare_end) {
        params_int(&params, slice->rows);
    }
    return compare_ask(batch, side, strbuf_text(&sql), &params, result, err);
}

/* The key slice->rows further on; NULL when there are fewer. */
static bool
probe_end(CompareBatch *batch, CompareSide side, const Slice *slice, const char **end, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!ask_slice(batch, sql_compare_end, side, slice, &result, err)) {
        return false;
    }
    *end = result_rows(result) == 0 ? NULL : result_dup(result, 0, 0, &batch->arena);
    return true;
}

typedef struct Sums {
    int64_t rows;
    const char *first;
    const char *second;
} Sums;

static bool
read_sums(CompareBatch *batch, CompareSide side, const Slice *slice, Sums *sums, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!ask_slice(batch, sql_compare_sums, side, slice, &result, err)) {
        return false;
    }
    *sums = (Sums){
        .rows = result_int(result, 0, 0),
        .first = arena_strdup(&batch->arena, result_text(result, 0, 1)),
        .second = arena_strdup(&batch->arena, result_text(result, 0, 2)),
    };
    return true;
}

/* ---- rows with their keys ---- */

typedef struct Hashed {
    const char *key;
    const char *hash;
} Hashed;

typedef struct HashList {
    Hashed *rows; /* in byte order of the keys' texts */
    int count;
} HashList;

static int
by_key(const void *a, const void *b)
{
    return strcmp(((const Hashed *)a)->key, ((const Hashed *)b)->key);
}

static bool
read_list(CompareBatch *batch, CompareSide side, const Slice *slice, HashList *list, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!ask_slice(batch, sql_compare_slice, side, slice, &result, err)) {
        return false;
    }
    list->count = result_rows(result);
    list->rows = arena_alloc(&batch->arena, ((size_t)list->count + 1) * sizeof(*list->rows));
    for (int i = 0; i < list->count; i++) {
        list->rows[i] = (Hashed){
            .key = result_dup(result, i, 0, &batch->arena),
            .hash = result_dup(result, i, 1, &batch->arena),
        };
    }
    qsort(list->rows, (size_t)list->count, sizeof(*list->rows), by_key);
    return true;
}

static void
note_if_differs(CompareBatch *batch, const char *key, const char *source, const char *target)
{
    if (compare_differs(batch->text.plan, source, target)) {
        compare_keys_add(batch, key);
    }
}

/* Note each key whose rows differ. */
static void
merge(CompareBatch *batch, const HashList *source, const HashList *target)
{
    int s = 0;
    int t = 0;
    while (s < source->count || t < target->count) {
        int order = s == source->count   ? 1
                    : t == target->count ? -1
                                         : by_key(&source->rows[s], &target->rows[t]);
        const Hashed *key = order > 0 ? &target->rows[t] : &source->rows[s];
        note_if_differs(batch, key->key, order <= 0 ? source->rows[s].hash : NULL,
            order >= 0 ? target->rows[t].hash : NULL);
        s += order <= 0;
        t += order >= 0;
    }
}

static bool
compare_lists(CompareBatch *batch, const Slice *slice, Err *err)
{
    HashList source;
    HashList target;
    if (!read_list(batch, COMPARE_SOURCE, slice, &source, err) ||
        !read_list(batch, COMPARE_TARGET, slice, &target, err)) {
        return false;
    }
    merge(batch, &source, &target);
    return true;
}

/* Only keys of the source. */
static bool
compare_by_list(CompareBatch *batch, const Slice *slice, int64_t *rows, Err *err)
{
    HashList source;
    if (!read_list(batch, COMPARE_SOURCE, slice, &source, err)) {
        return false;
    }
    size_t count = (size_t)source.count + 1;
    const char **keys = arena_alloc(&batch->arena, count * sizeof(*keys));
    const char **hashes = arena_alloc(&batch->arena, count * sizeof(*hashes));
    for (int i = 0; i < source.count; i++) {
        keys[i] = source.rows[i].key;
    }
    if (!compare_keys_hashes(batch, COMPARE_TARGET, keys, source.count, hashes, err)) {
        return false;
    }
    for (int i = 0; i < source.count; i++) {
        note_if_differs(batch, keys[i], source.rows[i].hash, hashes[i]);
    }
    *rows = source.count;
    return true;
}

/* ---- halving ---- */

/* A key in the middle of the side that has more rows; NULL when they are few, or one key. */
static bool
find_middle(CompareBatch *batch, const Slice *slice, const Sums *source, const Sums *target,
    const char **middle, Err *err)
{
    bool by_source = source->rows >= target->rows;
    int64_t most = by_source ? source->rows : target->rows;
    *middle = NULL;
    if (most <= LIST_ROWS) {
        return true;
    }
    Slice half = {.low = slice->low, .high = slice->high, .rows = most / 2};
    if (!probe_end(batch, by_source ? COMPARE_SOURCE : COMPARE_TARGET, &half, middle, err)) {
        return false;
    }
    if (*middle != NULL && slice->high != NULL && strcmp(*middle, slice->high) == 0) {
        *middle = NULL;
    }
    return true;
}

/* Walk over the slice, in halves where it differs, and note keys that may be wrong. */
static bool
compare_halving(CompareBatch *batch, Slice slice, int64_t *rows, Err *err)
{
    const char *ends[HALVINGS_MAX] = {slice.high};
    int depth = 1;
    *rows = 0;
    while (depth > 0) {
        slice.high = ends[depth - 1];
        Sums source;
        Sums target;
        if (!read_sums(batch, COMPARE_SOURCE, &slice, &source, err) ||
            !read_sums(batch, COMPARE_TARGET, &slice, &target, err)) {
            return false;
        }
        bool equal = source.rows == target.rows && strcmp(source.first, target.first) == 0 &&
                     strcmp(source.second, target.second) == 0;
        const char *middle = NULL;
        if (!equal && depth < HALVINGS_MAX &&
            !find_middle(batch, &slice, &source, &target, &middle, err)) {
            return false;
        }
        if (middle != NULL) {
            ends[depth++] = middle;
            continue;
        }
        if (!equal && !compare_lists(batch, &slice, err)) {
            return false;
        }
        *rows += source.rows;
        slice.low = slice.high;
        depth--;
    }
    return true;
}

/* ---- the batch ---- */

/* The n-th key from the watermark on, of the source or of the target, whichever comes first: a
 * heap of rows that only the target has shall not make the batch long. */
static bool
find_batch(CompareBatch *batch, int64_t size, bool by_list, Slice *slice, bool *last, Err *err)
{
    const RangeLease *lease = &batch->worker->lease;
    *slice = (Slice){
        .low = lease->watermark == NULL ? lease->low : lease->watermark,
        .high = lease->high,
        .rows = size,
    };
    const char *end = NULL;
    *last = true;
    for (int side = COMPARE_SOURCE; side <= (by_list ? COMPARE_SOURCE : COMPARE_TARGET); side++) {
        if (!probe_end(batch, (CompareSide)side, slice, &end, err)) {
            return false;
        }
        if (end != NULL) {
            slice->high = end;
            *last = false;
        }
    }
    return true;
}

/* The slice of the batch that was looked at, and what was found. */
typedef struct Found {
    Slice slice;
    bool last;
    bool stopped;
    int64_t rows;
} Found;

static bool
look_at_batch(CompareBatch *batch, int64_t size, Found *found, Err *err)
{
    bool by_list = false;
    bool ok = learn_types(batch, err) && choose_way(batch, &by_list, err) &&
              find_batch(batch, size, by_list, &found->slice, &found->last, err);
    if (!ok) {
        return false;
    }
    return by_list ? compare_by_list(batch, &found->slice, &found->rows, err)
                   : compare_halving(batch, found->slice, &found->rows, err);
}

/* The checkpoint. */
static bool
advance(CompareBatch *batch, const Found *found, bool repair, CarryResult *result, Err *err)
{
    Worker *worker = batch->worker;
    int recorded = batch->key_count < RECORDED_KEYS ? batch->key_count : RECORDED_KEYS;
    RangeStep step = {
        .watermark = found->slice.high,
        .done = found->last,
        .rows = repair ? batch->key_count : found->rows,
        .differing = repair ? 0 : batch->key_count,
        .keys =
            repair || recorded == 0 ? NULL : pg_array_format(batch->keys, recorded, &batch->arena),
    };
    RangeOwner owner = carve_owner(worker, worker->lease.pass);
    bool still_ours = false;
    if (!ranges_advance(worker->conn, &owner, &worker->lease, &step, &still_ours, err)) {
        return false;
    }
    *result = (CarryResult){
        .outcome = !still_ours   ? CARRY_LOST
                   : found->last ? CARRY_DONE
                                 : CARRY_MORE,
        .rows = step.rows,
        .left = step.differing,
        .slept_us = batch->slept_us,
    };
    if (result->outcome == CARRY_MORE) {
        strbuf_clear(&worker->watermark);
        strbuf_puts(&worker->watermark, step.watermark);
        worker->lease.watermark = strbuf_text(&worker->watermark);
    }
    return true;
}

/* After all that was read, of either table: what another one's columns said is worth nothing. */
static bool
is_as_recorded(const CompareBatch *batch, Err *err)
{
    const Worker *worker = batch->worker;
    return guards_check_source(worker->source, batch->text.plan, &worker->job, NULL, err) &&
           guards_check(worker->conn, worker->job.id, NULL, err);
}

static bool
compare_batch(CompareBatch *batch, int64_t size, Found *found, CarryResult *result, Err *err)
{
    bool repair = batch->worker->job.pass_kind == PASS_REPAIR;
    /* A row that is called wrong too soon is only brought over once more. */
    bool once = repair || batch->worker->job.repair;
    if (!look_at_batch(batch, size, found, err) ||
        !compare_keys_settle(batch, size, once, &found->stopped, err)) {
        return false;
    }
    if (found->stopped) {
        *result = (CarryResult){.outcome = CARRY_MORE};
        return true;
    }
    if (!is_as_recorded(batch, err)) {
        return false;
    }
    /* Before the checkpoint: a key that is appended twice is drained twice, which does no harm. */
    if (repair && batch->key_count > 0 && !compare_keys_append(batch, err)) {
        return false;
    }
    return advance(batch, found, repair, result, err);
}

static CompareBatch
batch_of(Worker *worker)
{
    return (CompareBatch){
        .worker = worker,
        .text = {.plan = worker->engine->setup.plan, .job = worker->job.id},
        .arena = ARENA_INIT,
    };
}

bool
carry_compare(Worker *worker, int64_t size, bool skip_locked, CarryResult *result, Err *err)
{
    assert(!skip_locked);
    (void)skip_locked;
    CompareBatch batch = batch_of(worker);
    Found found = {.rows = 0};
    bool ok = compare_batch(&batch, size, &found, result, err);
    arena_reset(&batch.arena);
    return ok;
}

/* The smallest batch again: what it fails with is its only row's, whose key is its end. */
bool
carry_compare_locate(Worker *worker, int64_t size, Err *err)
{
    CompareBatch batch = batch_of(worker);
    Found found = {.rows = 0};
    CarryResult result;
    bool ok = compare_batch(&batch, size, &found, &result, err);
    worker->has_lease = worker->has_lease && (!ok || result.outcome == CARRY_MORE);
    if (!ok && err->cls == ERR_POISON && found.slice.high != NULL) {
        Err cause = *err;
        *err = ERR_INIT;
        (void)carry_stop_at(worker, found.slice.high, cause.sqlstate, cause.message, err);
    }
    arena_reset(&batch.arena);
    return ok;
}
