/*
 * carve.c - ranges are cut off the pass when somebody wants one.
 *
 * The probe for the end of the next range may take long on a cold index, so it runs before the
 * frontier is touched; the compare-and-set of the frontier then decides who was first.
 */
#include "engine/carve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "core/sql_batch.h"
#include "core/sql_walk.h"
#include "pg/catalog_walk.h"

#define PROBE_SLOW_US  1000000
#define CARVE_ROWS_MIN 500

RangeOwner
carve_owner(const Worker *worker, int pass)
{
    return (RangeOwner){
        .job = worker->engine->setup.job,
        .run = worker->engine->setup.run,
        .pass = pass,
        .lease_us = worker->engine->setup.plan->spec->lease_us,
    };
}

static int
stripes_now(Engine *engine)
{
    (void)pthread_mutex_lock(&engine->lock);
    int stripes = engine->stripes;
    (void)pthread_mutex_unlock(&engine->lock);
    return stripes;
}

/* "{123}" */
static int64_t
block_of(const char *bound)
{
    return bound == NULL ? 0 : strtoll(bound + 1, NULL, 10);
}

/* Guided self-scheduling: a share of what is left, within bounds.
 * Source: Polychronopoulos, Kuck, IEEE Transactions on Computers C-36, 1987. */
static int64_t
blocks_of_range(const Worker *worker, int64_t left)
{
    int64_t most = worker->engine->setup.plan->range_size;
    int64_t share = left / (2 * (int64_t)worker->settings.workers);
    int64_t size = share < PLAN_RANGE_BLOCKS_MIN ? PLAN_RANGE_BLOCKS_MIN : share;
    size = size > most ? most : size;
    return size > left ? left : size;
}

static bool
carve_blocks(Worker *worker, Err *err)
{
    const Plan *plan = worker->engine->setup.plan;
    int64_t from = block_of(worker->job.frontier);
    int64_t upper = block_of(worker->job.upper);
    int64_t to = from + blocks_of_range(worker, upper - from);
    char low[32];
    char high[32];
    (void)snprintf(low, sizeof(low), "{%lld}", (long long)from);
    (void)snprintf(high, sizeof(high), "{%lld}", (long long)to);
    RangeCarve carve = {
        .frontier = worker->job.frontier,
        .low = low,
        .high = high,
        .last = to == upper,
        .est_rows = (int64_t)((double)(to - from) * plan->rows_per_block),
        .stripes = stripes_now(worker->engine),
    };
    RangeOwner owner = carve_owner(worker, worker->job.pass);
    return ranges_carve(worker->conn, &owner, &carve, &worker->lease_arena, &worker->lease, err);
}

/* Where the keys are. */
static PgConn *
keys_of(const Worker *worker)
{
    return worker->source == NULL ? worker->conn : worker->source;
}

static bool
is_served(const Worker *worker)
{
    const PurgePlan *purge = worker->engine->setup.plan->purge;
    return purge != NULL && purge->served;
}

/* A statement over the keys between frontier and upper end, `size` rows of them. */
static bool
ask_keys(Worker *worker, const char *sql, int64_t size, PgResult **result, Err *err)
{
    Params params = PARAMS_INIT;
    params_text(&params, worker->job.frontier);
    params_text(&params, worker->job.upper);
    params_int(&params, size);
    if (!is_served(worker)) {
        return query_with(keys_of(worker), sql, &params, result, err);
    }
    params_text(&params, worker->job.pinned);
    return catalog_walk_query(worker->conn, worker->engine->setup.plan, sql, &params, result, err);
}

static bool
count_rest(Worker *worker, int64_t size, int64_t *rows, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_carve_rest(&sql, worker->engine->setup.plan);
    PGRESULT_AUTO *result = NULL;
    if (!ask_keys(worker, strbuf_text(&sql), size, &result, err)) {
        return err_wrap(err, "end of the pass");
    }
    *rows = result_int(result, 0, 0);
    return true;
}

/*
 * The key `carve_rows` further on; *result has no row when fewer are left.
 *
 * On a cold index the walk may take seconds, and a snapshot must not live that long: then ranges
 * become smaller.
 */
static bool
probe_end(Worker *worker, PgResult **result, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_carve_probe(&sql, worker->engine->setup.plan);
    int64_t begun_us = clock_mono_us();
    bool ok = ask_keys(worker, strbuf_text(&sql), worker->carve_rows, result, err);
    bool slow = clock_mono_us() - begun_us > PROBE_SLOW_US;
    if (slow && worker->carve_rows / 2 >= CARVE_ROWS_MIN) {
        worker->carve_rows /= 2;
    }
    return ok || err_wrap(err, "next range");
}

/* What the pass before has recorded of the keys behind the frontier; no row = nothing. */
static bool
recall(Worker *worker, PgResult **result, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_walk_remembered(&sql, worker->engine->setup.plan);
    Params params = PARAMS_INIT;
    params_int(&params, worker->job.id);
    params_int(&params, worker->job.pass - 1);
    params_text(&params, worker->job.frontier);
    params_text(&params, worker->job.pinned);
    return catalog_walk_query(
               worker->conn, worker->engine->setup.plan, strbuf_text(&sql), &params, result, err) ||
           err_wrap(err, "ranges of the pass before");
}

/* A range that was one before, or as many as there are in which nothing can match yet. */
static bool
carve_recalled(Worker *worker, const PgResult *found, Err *err)
{
    RangeOwner owner = carve_owner(worker, worker->job.pass);
    int over = 0;
    while (over < result_rows(found) && !result_bool(found, over, REMEMBERED_MATCHES)) {
        over++;
    }
    if (over > 0) {
        RangeSteps steps = {
            .frontier = worker->job.frontier,
            .high = result_text(found, over - 1, REMEMBERED_HIGH),
            .first_no = result_int(found, 0, REMEMBERED_NO),
            .count = over,
        };
        worker->lease = (RangeLease){.no = 0};
        return ranges_step_over(worker->conn, &owner, &steps, err);
    }
    RangeCarve carve = {
        .frontier = worker->job.frontier,
        .low = worker->job.frontier,
        .high = result_text(found, 0, REMEMBERED_HIGH),
        .last = strcmp(result_text(found, 0, REMEMBERED_HIGH), worker->job.upper) == 0,
        .est_rows = result_int(found, 0, REMEMBERED_ROWS),
        .stripes = 1,
    };
    return ranges_carve(worker->conn, &owner, &carve, &worker->lease_arena, &worker->lease, err);
}

static bool
carve_keys(Worker *worker, Err *err)
{
    const PurgePlan *purge = worker->engine->setup.plan->purge;
    bool remembers = purge != NULL && purge->least != NULL;
    int64_t size = worker->carve_rows;
    PGRESULT_AUTO *found = NULL;
    PGRESULT_AUTO *result = NULL;
    if (remembers && !recall(worker, &found, err)) {
        return false;
    }
    if (found != NULL && result_rows(found) > 0) {
        return carve_recalled(worker, found, err);
    }
    if (!probe_end(worker, &result, err)) {
        return false;
    }
    RangeCarve carve = {
        .frontier = worker->job.frontier,
        .low = worker->job.frontier,
        .last = result_rows(result) == 0,
        .est_rows = size,
        .stripes = worker->job.pass_kind == PASS_MOVE ? stripes_now(worker->engine) : 1,
    };
    carve.high = carve.last ? worker->job.upper : result_text(result, 0, 0);
    if (carve.last && !count_rest(worker, size, &carve.est_rows, err)) {
        return false;
    }
    /* Beyond what is remembered there may be nothing, and the table's end before that: the pass
     * must not turn round, else the next one would go in circles. */
    if (remembers && carve.last && carve.est_rows == 0 && carve.frontier != NULL) {
        carve.high = carve.frontier;
    }
    RangeOwner owner = carve_owner(worker, worker->job.pass);
    return ranges_carve(worker->conn, &owner, &carve, &worker->lease_arena, &worker->lease, err);
}

bool
carve_range(Worker *worker, CarveOutcome *outcome, Err *err)
{
    arena_reset(&worker->lease_arena);
    RangeOwner owner = carve_owner(worker, worker->job.pass);
    bool taken = false;
    if (!ranges_claim(worker->conn, &owner, &worker->lease_arena, &worker->lease, &taken, err)) {
        return false;
    }
    if (taken) {
        *outcome = CARVE_LEASED;
        return true;
    }
    if (worker->job.carved) {
        *outcome = CARVE_NONE;
        return true;
    }
    bool by_block =
        worker->job.pass_kind == PASS_MOVE && worker->engine->setup.plan->path == PATH_BLOCK;
    bool ok = by_block ? carve_blocks(worker, err) : carve_keys(worker, err);
    *outcome = ok && worker->lease.no > 0 ? CARVE_LEASED : CARVE_AGAIN;
    return ok;
}
