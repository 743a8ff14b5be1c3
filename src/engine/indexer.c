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

#define LOOK_EVERY_US   500000
#define BACKOFF_BASE_US 500000
#define BACKOFF_CAP_US  ((int64_t)30 * 1000000)

/* Nothing is lost by another attempt; the workers end the run when the server stays away. */
static bool
may_pass(const Err *err)
{
    return err->cls == ERR_RETRY || err->cls == ERR_TIMEOUT || err->cls == ERR_RECONNECT ||
           err->cls == ERR_SLOTS || err->cls == ERR_RESOURCE || err->cls == ERR_CONNECT;
}

/* One call of the hook; false when the thread has nothing more to do. */
static bool
look(Engine *engine, Backoff *backoff, Prng *prng)
{
    const EngineSetup *setup = &engine->setup;
    Err err = ERR_INIT;
    bool done = false;
    if (!engine_may_work(engine)) {
        return true;
    }
    if (setup->build_index(setup->build_index_arg, &engine->stop, &done, &err)) {
        *backoff = BACKOFF_INIT;
        return !done;
    }
    if (stop_level(&engine->stop) != STOP_NONE) {
        return false;
    }
    if (!may_pass(&err)) {
        engine_fail(engine, &err);
        return false;
    }
    log_line(LOG_WARNING, "index", "%s; trying again", err.message);
    BackoffPolicy policy = {.base_us = BACKOFF_BASE_US, .cap_us = BACKOFF_CAP_US};
    (void)stop_sleep_us(&engine->stop, backoff_next_us(backoff, policy, prng));
    return true;
}

void *
indexer_main(void *arg)
{
    Engine *engine = arg;
    Backoff backoff = BACKOFF_INIT;
    Prng prng;
    prng_init(&prng, engine->setup.seed ^ (uint64_t)clock_mono_us());
    while (
        stop_sleep_us(&engine->stop, LOOK_EVERY_US) == STOP_NONE && look(engine, &backoff, &prng)) {
    }
    return NULL;
}
