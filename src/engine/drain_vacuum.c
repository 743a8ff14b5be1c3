/*
 * drain_vacuum.c - keep the change log from growing by entries that are drained already.
 *
 * The triggers look at the size of its table, which only VACUUM makes smaller.  Autovacuum may come
 * late or not at all; so from a quarter of limits.log_bytes on the drain does it itself, and less
 * often where an old snapshot forbids that anything is removed.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "engine/drain.h"
#include "pg/probe.h"
#include "pg/query.h"

#define SIZE_DIVISOR 4
/* Most of the table is dead when it has more bytes than this for each entry. */
#define DEAD_BYTES  (4 * LOG_ENTRY_BYTES)
#define WAIT_US     ((int64_t)500000)
#define WAIT_MAX_US ((int64_t)60 * 1000000)
#define TIMEOUT_US  ((int64_t)600 * 1000000)
#define SNAPSHOT_S  2

/* Entries that came meanwhile may lie at the end of the table; or nothing could be removed. */
static bool
wait_longer(Drain *drain, PgConn *log, Err *err)
{
    char oldest[160];
    drain->vacuum.wait_us *= 2;
    if (drain->vacuum.wait_us > WAIT_MAX_US) {
        drain->vacuum.wait_us = WAIT_MAX_US;
    }
    if (!probe_oldest_snapshot(log, SNAPSHOT_S, oldest, sizeof(oldest), err)) {
        return false;
    }
    if (oldest[0] != '\0') {
        log_line(LOG_WARNING, "drain",
            "drained entries of the change log cannot be removed; oldest snapshot: %s", oldest);
    }
    return true;
}

bool
drain_vacuum_log(Drain *drain, Err *err)
{
    const EngineSetup *setup = &drain->engine->setup;
    PgConn *log = drain->carrier->log(drain);
    const ChangelogState *state = &drain->state;
    bool large = state->bytes > setup->plan->spec->limits.log_bytes / SIZE_DIVISOR;
    if (!large || state->rows * (int64_t)DEAD_BYTES > state->bytes ||
        clock_mono_us() < drain->vacuum.next_us) {
        return true;
    }
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_log_vacuum(&sql, setup->plan, setup->job);
    Statement statement = {.sql = strbuf_text(&sql), .timeout_us = TIMEOUT_US};
    int64_t before = state->bytes;
    drain->vacuum.wait_us = drain->vacuum.wait_us < WAIT_US ? WAIT_US : drain->vacuum.wait_us;
    drain->vacuum.next_us = clock_mono_us() + drain->vacuum.wait_us;
    if (!query_statement(log, &statement, NULL, err) ||
        !changelog_state_above(log, setup->plan, setup->job, drain->floor.id, &drain->state, err)) {
        return err_wrap(err, "vacuum the change log");
    }
    if (drain->state.bytes >= before) {
        return wait_longer(drain, log, err);
    }
    drain->vacuum.wait_us = WAIT_US;
    return true;
}
