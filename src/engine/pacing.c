#include "engine/pacing.h"

#define VERIFY_TARGET_US  200000
#define RELAY_FIRST_BYTES 2000000

static bool
moves_by_block(const Worker *worker)
{
    return worker->engine->setup.plan->path == PATH_BLOCK;
}

/* Of a pass that changes rows. */
static PacerLimits
changing_limits(const Worker *worker, bool by_block)
{
    const Plan *plan = worker->engine->setup.plan;
    PacerLimits limits = {
        .floor = 1,
        .size_min = by_block ? 1 : 10,
        .size_max = by_block ? plan->range_size : plan->range_rows,
        .batch_target_us = worker->settings.batch_time_us,
    };
    int64_t fixed = worker->settings.batch_rows;
    if (fixed > 0 && by_block) {
        double rows_per_batch_block = plan->rows_per_block / plan->stripes;
        fixed = (int64_t)((double)fixed / rows_per_batch_block) + 1;
    }
    if (fixed > 0) {
        limits.size_min = limits.size_max = fixed;
    }
    return limits;
}

/* A relayed batch of a few rows is all fixed costs. */
static int64_t
first_by_key(const Worker *worker)
{
    const Plan *plan = worker->engine->setup.plan;
    const TableFacts *table = &plan->facts->table;
    if (worker->engine->setup.source == NULL || table->rows <= 0) {
        return 500;
    }
    int64_t row_bytes = (int64_t)((double)table->total_bytes / table->rows) + 1;
    int64_t rows = RELAY_FIRST_BYTES / row_bytes;
    int64_t most = plan->range_rows / 4;
    rows = rows > most ? most : rows;
    return rows < 10 ? 10 : rows;
}

void
pacing_init(Worker *worker)
{
    const Plan *plan = worker->engine->setup.plan;
    worker->settings = engine_settings(worker->engine);
    worker->carve_rows = plan->range_rows;
    bool by_block = moves_by_block(worker);
    pacer_init(&worker->move_pacer, changing_limits(worker, by_block),
        by_block ? 64 : first_by_key(worker));
    pacer_init(&worker->repair_pacer, changing_limits(worker, false), 500);
    pacer_init(&worker->verify_pacer,
        (PacerLimits){.floor = 1,
            .size_min = 100,
            .size_max = plan->range_rows < 100 ? 100 : plan->range_rows,
            .batch_target_us = VERIFY_TARGET_US},
        plan->range_rows < 1000 ? plan->range_rows : 1000);
}

void
pacing_follow(Worker *worker)
{
    Settings before = worker->settings;
    worker->settings = engine_settings(worker->engine);
    if (worker->settings.batch_time_us != before.batch_time_us ||
        worker->settings.batch_rows != before.batch_rows) {
        pacer_set_limits(&worker->move_pacer, changing_limits(worker, moves_by_block(worker)));
        pacer_set_limits(&worker->repair_pacer, changing_limits(worker, false));
    }
}

Pacer *
pacing_of(Worker *worker)
{
    switch (worker->job.pass_kind) {
    case PASS_VERIFY:
        return &worker->verify_pacer;
    case PASS_REPAIR: /* of a copy it is a comparison as well */
        return worker->engine->setup.plan->copy != NULL ? &worker->verify_pacer
                                                        : &worker->repair_pacer;
    case PASS_MOVE:
        break;
    }
    return &worker->move_pacer;
}
