/*
 * indexer.c - one thread that builds the target's indexes once the bulk is done.
 *
 * It knows nothing of indexes: the hook of EngineSetup does, one index a call.  Workers idle
 * meanwhile (the move pass does not end before, see passes.c), the change log is drained.
 */
#include "base/clock.h"
#include "base/log.h"
#include "core/retry.h"
#include "engine/engine_state.h"

#define LOOK_EVERY_US   100000
#define BACKOFF_BASE_US 500000
#define BACKOFF_CAP_US  ((int64_t)30 * 1000000)

/* Nothing is lost by another attempt; the workers end the run when the server stays away. */
static bool
may_pass(const Err *err)
{
    return err->cls == ERR_RETRY || err->cls == ERR_TIMEOUT || err->cls == ERR_RECONNECT ||
           err->cls == ERR_SLOTS || err->cls == ERR_RESOURCE || err->cls == ERR_CONNECT;
}

/* It failed: may another attempt help?  Else the run ends. */
static bool
survive(Engine *engine, const Err *err, Backoff *backoff, Prng *prng)
{
    if (stop_level(&engine->stop) != STOP_NONE) {
        return false;
    }
    if (!may_pass(err)) {
        engine_fail(engine, err);
        return false;
    }
    log_line(LOG_WARNING, "index", "%s; trying again", err->message);
    BackoffPolicy policy = {.base_us = BACKOFF_BASE_US, .cap_us = BACKOFF_CAP_US};
    return stop_sleep_us(&engine->stop, backoff_next_us(backoff, policy, prng)) == STOP_NONE;
}

void *
indexer_main(void *arg)
{
    Engine *engine = arg;
    const EngineSetup *setup = &engine->setup;
    Backoff backoff = BACKOFF_INIT;
    Prng prng;
    prng_init(&prng, setup->seed ^ (uint64_t)clock_mono_us());
    BuildStep step = BUILD_WAIT;
    while (step != BUILD_DONE && stop_level(&engine->stop) == STOP_NONE) {
        Err err = ERR_INIT;
        bool may = engine_may_work(engine);
        if (may && !setup->build_index(setup->builder, &engine->stop, &step, &err) &&
            !survive(engine, &err, &backoff, &prng)) {
            break;
        }
        if (step == BUILD_MORE && may && err.cls == ERR_NONE) {
            backoff = BACKOFF_INIT;
        } else if (step != BUILD_DONE) {
            (void)stop_sleep_us(&engine->stop, LOOK_EVERY_US);
        }
    }
    setup->end_builder(setup->builder);
    return NULL;
}
