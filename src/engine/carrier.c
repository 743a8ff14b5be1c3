#include "engine/carrier.h"

#include "engine/carry_archive.h"
#include "engine/carry_call.h"
#include "engine/carry_compare.h"
#include "engine/carry_relay.h"
#include "engine/carry_restore.h"

static const Carrier CALL = {.batch = carry_call, .locate = carry_locate};
static const Carrier RELAY = {
    .batch = carry_relay, .locate = carry_relay_locate, .size_max = carry_relay_size_max};

static const Carrier RESTORE = {.batch = carry_restore, .locate = carry_restore_locate};
static const Carrier ARCHIVE = {
    .batch = carry_archive, .locate = carry_archive_locate, .size_max = carry_archive_size_max};

static const Carrier COMPARE = {.batch = carry_compare, .locate = carry_compare_locate};

const Carrier *
carrier_of(const Worker *worker)
{
    const Plan *plan = worker->engine->setup.plan;
    if (plan->restore != NULL) {
        return &RESTORE;
    }
    if (worker->source == NULL) {
        return plan->purge != NULL && plan->purge->archives ? &ARCHIVE : &CALL;
    }
    return worker->job.pass_kind == PASS_MOVE ? &RELAY : &COMPARE;
}
