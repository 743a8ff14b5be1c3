/*
 * compare_keys.h - rows that may differ between two servers, one by one; only
 * engine/carry_compare.c uses it.
 */
#ifndef ENGINE_COMPARE_KEYS_H
#define ENGINE_COMPARE_KEYS_H

#include "core/sql_compare.h"
#include "engine/engine_state.h"
#include "pg/params.h"

/* One batch of a comparison. */
typedef struct CompareBatch {
    Worker *worker;
    Comparison text;
    Arena arena;       /* of everything below */
    const char **keys; /* that may differ: text[] as text */
    int key_count;
    int key_size;
    int64_t slept_us; /* between looks */
} CompareBatch;

/* Run a statement on one side. */
bool compare_ask(const CompareBatch *batch, CompareSide side, const char *sql, const Params *params,
    PgResult **result, Err *err) __attribute__((warn_unused_result));

/* Is a row that hashes so on the source and so on the target, NULL = it is not there, wrong? */
bool compare_differs(const Plan *plan, const char *source, const char *target);

/* Note a key that may differ. */
void compare_keys_add(CompareBatch *batch, const char *key);

/* Hashes of the rows with these keys, NULL = there is none; texts in the batch's arena. */
bool compare_keys_hashes(CompareBatch *batch, CompareSide side, const char *const *keys, int count,
    const char **hashes, Err *err) __attribute__((warn_unused_result));

/*
 * Keep of the noted keys those whose rows differ and stay so, or, when they are to be repaired
 * anyway (`once`), differ at a second look.
 *
 * Units:   `size` is that of the batch, which is halved when a statement takes too long.
 * Shape:   *stopped true when the run is asked to stop meanwhile: then nothing is known.
 */
bool compare_keys_settle(CompareBatch *batch, int64_t size, bool once, bool *stopped, Err *err)
    __attribute__((warn_unused_result));

/* Append the noted keys to the change log: the drain brings their rows over again. */
bool compare_keys_append(CompareBatch *batch, Err *err) __attribute__((warn_unused_result));

#endif
