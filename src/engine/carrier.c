#include "engine/carrier.h"

#include "engine/carry_call.h"
#include "engine/carry_relay.h"

static const Carrier CALL = {.batch = carry_call, .locate = carry_locate};
static const Carrier RELAY = {
    .batch = carry_relay, .locate = carry_relay_locate, .size_max = carry_relay_size_max};

const Carrier *
carrier_of(const Worker *worker)
{
    return worker->source != NULL && worker->job.pass_kind == PASS_MOVE ? &RELAY : &CALL;
}
