/*
 * swap.c - one short transaction, tried until it fits.
 *
 * Inside of it nobody reads or writes either table, so the change log says all there is to say, and
 * what is left of it must be little.  Whoever took a snapshot before and keeps it would see the
 * other table without the rows that came last: sessions that we can see to have one put the swap
 * off, and a trigger stops those that we cannot see from writing (core/sql_cutover.h).
 */
#include "ops/swap.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "core/prng.h"
#include "core/retry.h"
#include "core/sql_log.h"
#include "ops/ddl.h"
#include "pg/blockers.h"
#include "pg/catalog_carry.h"
#include "pg/params.h"
#include "pg/probe.h"
#include "pg/snapshots.h"
#include "store/run.h"

#define BATCH_ENTRIES   2000
#define FEW_ENTRIES     200  /* that are left to the swap */
#define MOST_ENTRIES    1000 /* that the swap takes; about 100 ms */
#define BACKOFF_BASE_US 100000
#define BACKOFF_CAP_US  ((int64_t)3 * 1000000)
#define REPORT_EVERY_US ((int64_t)5 * 1000000)
#define LEASE_US        ((int64_t)30 * 1000000)
#define ROUNDS          5

/* ---- the change log ---- */

typedef struct Drained {
    int64_t entries; /* looked at */
    int64_t kept;    /* of them left for later */
    int64_t last;    /* id */
} Drained;

/* What its names are made of. */
static Plan
named_plan(const Swap *swap)
{
    Plan plan = {.spec = NULL};
    (void)snprintf(plan.fingerprint, sizeof(plan.fingerprint), "%s", swap->fingerprint);
    return plan;
}

static bool
incomplete(const Swap *swap, const char *why, Err *err)
{
    (void)err_set(
        err, ERR_REFUSED, "cannot %s: %s, so the change log is not complete", swap->what, why);
    return err_hint(err, "%s",
        swap->to == JOB_CUT_OVER
            ? "pghaul verify JOB --repair compares every row and begins the log anew."
            : "What was written since is only in the new table. pghaul clean JOB keeps that.");
}

static bool
read_state(const Swap *swap, ChangelogState *state, Err *err)
{
    Plan plan = named_plan(swap);
    if (!changelog_state_above(swap->conn, &plan, swap->job->id, swap->after, state, err)) {
        return false;
    }
    return !state->overflowed || incomplete(swap, "changes went unrecorded", err);
}

/* All of them: what is in a slice of somebody else would be missing after the swap. */
static bool
lease_slices(Swap *swap, Err *err)
{
    RangeOwner owner = {.job = swap->job->id, .run = swap->run, .lease_us = LEASE_US};
    swap->slices = (SliceSet){.count = 0};
    for (bool claimed = true; claimed && swap->slices.count < LOG_SLICES;) {
        if (!changelog_claim(swap->conn, &owner, &swap->slices, &claimed, err)) {
            return false;
        }
    }
    Arena arena = ARENA_INIT;
    const char *who = NULL;
    bool ok = changelog_others(swap->conn, swap->job->id, &swap->slices, &arena, &who, err);
    if (ok && who != NULL) {
        ok = err_set(err, ERR_RETRY, "the change log is still drained by %s", who);
    }
    arena_reset(&arena);
    return ok;
}

/* One batch of the entries after *last; `strict`: fail where a unique value is taken. */
static bool
drain_batch(const Swap *swap, const SliceLease *slice, bool strict, Drained *drained, Err *err)
{
    Plan plan = named_plan(swap);
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_drain_call(&sql, &plan, swap->job->id);
    Params params = PARAMS_INIT;
    params_int(&params, slice->no);
    params_int(&params, slice->epoch);
    params_text(&params, slice->token);
    params_int(&params, BATCH_ENTRIES);
    params_int(&params, drained->last);
    params_bool(&params, strict);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(swap->conn, strbuf_text(&sql), &params, &result, err)) {
        return err_wrap(err, "drain the change log");
    }
    const char *outcome = result_text(result, 0, DRAIN_OUTCOME);
    if (strcmp(outcome, "truncated") == 0) {
        return incomplete(swap, "the table was truncated", err);
    }
    if (strcmp(outcome, "lost") == 0) {
        return err_set(err, ERR_RETRY, "another session drains the change log");
    }
    *drained = (Drained){
        .entries = result_int(result, 0, DRAIN_ENTRIES),
        .kept = result_int(result, 0, DRAIN_KEPT),
        .last = result_int(result, 0, DRAIN_LAST),
    };
    return true;
}

/* Each slice to its end, as it is when it is looked at; *kept is what could not be written yet. */
static bool
drain_round(Swap *swap, bool strict, int64_t *kept, Err *err)
{
    bool more = true;
    *kept = 0;
    for (int i = 0; i < swap->slices.count; i++) {
        Drained drained = {.entries = BATCH_ENTRIES, .last = swap->after};
        while (drained.entries == BATCH_ENTRIES) {
            if (swap->may_go_on != NULL && !swap->may_go_on(swap, &more, err)) {
                return false;
            }
            if (!more) {
                *kept = 0;
                return true;
            }
            if (!drain_batch(swap, &swap->slices.slices[i], strict, &drained, err)) {
                return false;
            }
            swap->drained += drained.entries - drained.kept;
            *kept += drained.kept;
        }
    }
    return true;
}

/* A unique value is free when the row that had it has been drained too, in a round or two; beyond
 * that the target itself refuses the row, and says so. */
static bool
drain_all(Swap *swap, Err *err)
{
    int64_t kept = 1;
    for (int round = 1; kept > 0 && round <= ROUNDS; round++) {
        if (!drain_round(swap, round == ROUNDS, &kept, err)) {
            return false;
        }
    }
    return true;
}

bool
swap_drain_once(Swap *swap, ChangelogState *state, Err *err)
{
    return lease_slices(swap, err) && drain_all(swap, err) && read_state(swap, state, err);
}

static bool
drain_until_few(Swap *swap, Err *err)
{
    ChangelogState state = {.rows = FEW_ENTRIES + 1};
    while (state.rows > FEW_ENTRIES && stop_level(swap->stop) == STOP_NONE) {
        if (!swap_drain_once(swap, &state, err)) {
            return false;
        }
    }
    return true;
}

/* ---- the transaction ---- */

/* Whoever registers a run waits for the row, and then finds another state. */
static bool
check_job(const Swap *swap, Err *err)
{
    Arena arena = ARENA_INIT;
    JobRow job;
    int alive = 0;
    bool ok = job_lock(swap->conn, swap->job->id, err) &&
              run_count_alive(swap->conn, swap->job->id, &alive, err) &&
              job_read_id(swap->conn, swap->job->id, &arena, &job, err);
    if (ok && alive > 0) {
        ok = err_set(err, ERR_BUSY, "job %s is being worked on by %d run%s", swap->job->name, alive,
            alive == 1 ? "" : "s");
        (void)err_hint(err, "pghaul stop %s ends it.", swap->job->name);
    } else if (ok && job.state != swap->from) {
        ok = err_set(err, ERR_BUSY, "the job is %s now", jobstate_name(job.state));
    }
    arena_reset(&arena);
    return ok;
}

/*
 * Who reads a view has locked it before its table, so views come first.  Of tables that refer to
 * each other the application may lock either one first: every other attempt goes its way.
 */
static bool
lock_tables(const Swap *swap, Arena *arena, Err *err)
{
    Neighbours beside;
    const char *tables[2] = {swap->other, swap->live};
    STRBUF_AUTO sql = STRBUF_INIT;
    if (!catalog_neighbours(swap->conn, swap->live_oid, arena, &beside, err)) {
        return false;
    }
    for (int i = 0; i < beside.view_count; i++) {
        if (!query_run(swap->conn, beside.views[i], NULL, err)) {
            return false;
        }
    }
    sql_cutover_lock(&sql, tables, beside.tables, beside.table_count, swap->attempts % 2 == 0);
    return query_run(swap->conn, strbuf_text(&sql), NULL, err);
}

/* What the deferred checks of the drained rows say must be said before their table is altered. */
static bool
drain_rest(Swap *swap, bool *fits, Err *err)
{
    ChangelogState state;
    if (!read_state(swap, &state, err)) {
        return false;
    }
    *fits = state.rows <= MOST_ENTRIES;
    if (!*fits) {
        return true;
    }
    if (!query_run(swap->conn, "SET CONSTRAINTS ALL IMMEDIATE", NULL, err) ||
        !drain_all(swap, err) || !read_state(swap, &state, err)) {
        return false;
    }
    *fits = state.rows == 0;
    return true;
}

static bool
run_script(Swap *swap, Err *err)
{
    char xid[24];
    if (!probe_fence_take(swap->conn, xid, err)) {
        return false;
    }
    swap->fresh.xid = xid;
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_printf(&sql, "%s;\n", swap->script);
    sql_fresh_trigger(&sql, &swap->fresh);
    return query_script(swap->conn, strbuf_text(&sql), err) && swap->settle(swap, err) &&
           job_set_state(swap->conn, swap->job->id, swap->to, swap->what, err);
}

/* *who says whose snapshot would miss rows; NULL = nobody's. */
static bool
find_snapshots(const Swap *swap, Arena *arena, const char **who, Err *err)
{
    if (!probe_lasting_snapshots(swap->conn, arena, who, err)) {
        return false;
    }
    *who = *who == NULL ? NULL : arena_printf(arena, "an old snapshot would miss rows: %s", *who);
    return true;
}

/* In the transaction; `who` is in the way when it does not go on, and *err says nothing. */
static bool
work(Swap *swap, Arena *arena, const char **who, Err *err)
{
    bool fits = true;
    if (!lock_tables(swap, arena, err) || !find_snapshots(swap, arena, who, err) || *who != NULL ||
        !drain_rest(swap, &fits, err)) {
        return false;
    }
    *who = fits ? NULL : "too many changes to be applied";
    return fits && run_script(swap, err);
}

static bool
attempt(Swap *swap, Arena *arena, const char **who, Err *err)
{
    STRBUF_AUTO begin = STRBUF_INIT;
    strbuf_printf(&begin,
        "BEGIN; SET LOCAL lock_timeout = %lld; SET LOCAL statement_timeout = %lld;"
        " SET LOCAL synchronous_commit = on",
        (long long)(swap->yield_us / 1000), (long long)(swap->yield_us / 1000));
    swap->attempts++;
    if (!query_script(swap->conn, strbuf_text(&begin), err)) {
        return false;
    }
    bool ok = check_job(swap, err);
    int64_t begun_us = clock_mono_us();
    ok = query_end(swap->conn, ok && work(swap, arena, who, err), err);
    swap->blocked_us = clock_mono_us() - begun_us;
    return ok;
}

/* ---- again and again ---- */

typedef struct Wait {
    Backoff backoff;
    Prng prng;
    int64_t reported_us;
} Wait;

static bool
wait_turn(const Swap *swap, Wait *wait, const char *who, Err *err)
{
    int64_t now_us = clock_mono_us();
    if (wait->reported_us == 0 || now_us - wait->reported_us >= REPORT_EVERY_US) {
        wait->reported_us = now_us;
        log_line(LOG_INFO, NULL, "waiting to %s: %s", swap->what, who);
    }
    BackoffPolicy policy = {.base_us = BACKOFF_BASE_US, .cap_us = BACKOFF_CAP_US};
    if (stop_sleep_us(swap->stop, backoff_next_us(&wait->backoff, policy, &wait->prng)) !=
        STOP_NONE) {
        return err_set(err, ERR_STOPPED, "stopped while waiting to %s", swap->what);
    }
    return true;
}

/* Without a lock: is it any use to ask for one? */
static bool
look_first(Swap *swap, Arena *arena, const char **who, Err *err)
{
    char holders[200] = "";
    if (!ddl_in_the_way(swap->conn, swap->live_oid, holders, sizeof(holders), err)) {
        return false;
    }
    if (holders[0] != '\0') {
        *who = arena_printf(arena, "the table is in use by %s", holders);
        return true;
    }
    return find_snapshots(swap, arena, who, err);
}

/* Is it worth another try?  Then *who is who is in the way, as far as it can be seen. */
static bool
may_retry(const Swap *swap, Arena *arena, const char **who, Err *err)
{
    if (err->cls != ERR_NONE && err->cls != ERR_RETRY && err->cls != ERR_TIMEOUT) {
        return false;
    }
    if (err->cls == ERR_RETRY && err->sqlstate[0] == '\0') { /* we said so ourselves */
        *who = arena_strdup(arena, err->message);
    }
    *err = ERR_INIT;
    if (*who != NULL) {
        return true;
    }
    const char *holder = NULL;
    if (!probe_table_holders(swap->conn, swap->live_oid, arena, &holder, err)) {
        return false;
    }
    *who = holder == NULL ? "the table is in use"
                          : arena_printf(arena, "the table is in use by %s", holder);
    return true;
}

static bool
try_once(Swap *swap, bool *done, Arena *arena, const char **who, Err *err)
{
    *who = NULL;
    if (!check_job(swap, err)) {
        return false;
    }
    if (!drain_until_few(swap, err) || !look_first(swap, arena, who, err)) {
        return may_retry(swap, arena, who, err);
    }
    *done = *who == NULL && attempt(swap, arena, who, err);
    return *done || may_retry(swap, arena, who, err);
}

bool
swap_run(Swap *swap, Err *err)
{
    Wait wait = {.backoff = BACKOFF_INIT};
    prng_init(&wait.prng, (uint64_t)clock_mono_us());
    for (bool done = false; !done;) {
        Arena arena = ARENA_INIT;
        const char *who = NULL;
        bool ok =
            try_once(swap, &done, &arena, &who, err) && (done || wait_turn(swap, &wait, who, err));
        arena_reset(&arena);
        if (!ok) {
            return err_wrap(err, "%s", swap->what);
        }
    }
    return true;
}
