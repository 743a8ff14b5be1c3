#include "core/health.h"

#include <assert.h>
#include <stddef.h>

#include "base/strbuf.h"
#include "core/format.h"

static const struct {
    const char *name;
    int exit_code; /* of the job when it is over, -1 when something may still happen */
} HEALTHS[HEALTH_COUNT] = {
    [HEALTH_STUCK] = {"stuck", -1},
    [HEALTH_DEAD] = {"dead", -1}, /* the next run takes it up */
    [HEALTH_FAILED] = {"failed", 1},
    [HEALTH_DIFFERING] = {"differing", 6},
    [HEALTH_WAITING] = {"waiting", -1},
    [HEALTH_STOPPED] = {"stopped", 7},
    [HEALTH_PAUSED] = {"paused", -1},
    [HEALTH_THROTTLED] = {"throttled", -1},
    [HEALTH_QUARANTINED] = {"quarantined", 5},
    [HEALTH_PROGRESSING] = {"progressing", -1},
    [HEALTH_NEW] = {"new", -1},
    [HEALTH_DONE] = {"done", 0},
};

const char *
health_name(Health health)
{
    assert((int)health >= 0 && (int)health < HEALTH_COUNT);
    return HEALTHS[health].name;
}

bool
health_may_be_blocked(Health health)
{
    return health == HEALTH_STUCK || health == HEALTH_WAITING;
}

bool
health_is_over(Health health, int *exit_code)
{
    *exit_code = HEALTHS[health].exit_code;
    return *exit_code >= 0;
}

/* ---- by state ---- */

static HealthVerdict
judge_ready(const HealthFacts *facts, Arena *arena)
{
    if (facts->sessions == 0) {
        return (HealthVerdict){HEALTH_DEAD,
            "the plan is accepted and nothing was changed yet, but no run is there",
            arena_printf(arena, "pghaul run %s begins", facts->job)};
    }
    return (HealthVerdict){HEALTH_WAITING,
        "a run prepares the job: it waits for a lock on the table, or for transactions that began "
        "before it",
        arena_printf(arena,
            "pghaul blockers %s shows who is in the way; it goes on by itself when they end",
            facts->job)};
}

static HealthVerdict
judge_dead(const HealthFacts *facts, Arena *arena)
{
    char age[FORMAT_SIZE];
    HealthVerdict verdict = {HEALTH_DEAD, "no run is alive",
        arena_printf(arena, "pghaul run %s goes on where it ended", facts->job)};
    if (facts->heartbeat_age_s >= 0) {
        verdict.reason = arena_printf(arena, "no run is alive; one was last heard of %s ago",
            format_duration((int64_t)(facts->heartbeat_age_s * 1e6), age));
    }
    return verdict;
}

static HealthVerdict
judge_stuck(const HealthFacts *facts, Arena *arena)
{
    char idle[FORMAT_SIZE];
    HealthVerdict verdict = {.health = HEALTH_STUCK};
    verdict.next_step = arena_printf(arena,
        "pghaul blockers %s shows who is in the way; with nobody there, see the log of the run",
        facts->job);
    verdict.reason =
        facts->vain_visits >= HEALTH_VAIN_VISITS
            ? arena_printf(arena,
                  "others hold locks on rows of every range that is left; each was visited at "
                  "least %lld times",
                  (long long)facts->vain_visits)
            : arena_printf(arena, "no batch has committed for %s",
                  format_duration((int64_t)(facts->idle_s * 1e6), idle));
    return verdict;
}

/* "behind by 12 changes, 3.2 s" */
static void
put_behind(StrBuf *out, const HealthFacts *facts)
{
    strbuf_printf(out, "behind by %lld change%s, %.1f s", (long long)facts->backlog_rows,
        facts->backlog_rows == 1 ? "" : "s", facts->backlog_s);
}

static HealthVerdict
judge_progress(const HealthFacts *facts, Arena *arena)
{
    static const char *const REASONS[] = {
        [PASS_MOVE] = NULL, /* its kind says what becomes of them */
        [PASS_VERIFY] = "rows are being compared",
        [PASS_REPAIR] = "rows that differed are being changed",
    };
    STRBUF_AUTO reason = STRBUF_INIT;
    if (facts->pass_kind == PASS_MOVE) {
        strbuf_printf(&reason, "rows are being %s", jobspec_kind_done(facts->kind));
    } else {
        strbuf_puts(&reason, REASONS[facts->pass_kind]);
    }
    if (facts->pass_kind == PASS_VERIFY && facts->differing_rows > 0) {
        strbuf_printf(&reason, "; %lld differ so far", (long long)facts->differing_rows);
    }
    if (facts->quarantined_rows > 0) {
        strbuf_printf(&reason, "; %lld in quarantine", (long long)facts->quarantined_rows);
    }
    if (facts->kind == KIND_COPY && facts->backlog_rows > 0) {
        strbuf_puts(&reason, "; ");
        put_behind(&reason, facts);
    }
    return (HealthVerdict){HEALTH_PROGRESSING, arena_strdup(arena, strbuf_text(&reason)),
        arena_printf(arena, "nothing; pghaul status %s --watch follows it", facts->job)};
}

static HealthVerdict
judge_running(const HealthFacts *facts, Arena *arena)
{
    if (facts->runs_alive == 0) {
        return judge_dead(facts, arena);
    }
    if (facts->throttle != NULL) {
        return (HealthVerdict){HEALTH_THROTTLED, facts->throttle,
            arena_printf(arena,
                "nothing; it goes on by itself when that is over (pghaul set %s throttle.KEY=VALUE "
                "changes a limit)",
                facts->job)};
    }
    if (facts->vain_visits >= HEALTH_VAIN_VISITS || facts->idle_s > HEALTH_IDLE_MAX_S) {
        return judge_stuck(facts, arena);
    }
    return judge_progress(facts, arena);
}

static HealthVerdict
judge_paused(const HealthFacts *facts, Arena *arena)
{
    HealthVerdict verdict = {.health = HEALTH_PAUSED};
    verdict.reason = facts->reason != NULL ? facts->reason
                     : facts->paused_by == NULL
                         ? "paused"
                         : arena_printf(arena, "paused by %s", facts->paused_by);
    verdict.next_step =
        facts->runs_alive > 0
            ? arena_printf(arena, "pghaul resume %s goes on", facts->job)
            : arena_printf(arena, "pghaul resume %s, then pghaul run %s, since no run is alive",
                  facts->job, facts->job);
    return verdict;
}

static HealthVerdict
judge_differing(const HealthFacts *facts, Arena *arena)
{
    return (HealthVerdict){HEALTH_DIFFERING,
        arena_printf(arena, "%lld row%s from what the job makes of %s",
            (long long)facts->differing_rows, facts->differing_rows == 1 ? " differs" : "s differ",
            facts->differing_rows == 1 ? "it" : "them"),
        arena_printf(
            arena, "pghaul verify %s --repair changes them and compares again", facts->job)};
}

static HealthVerdict
judge_failed(const HealthFacts *facts, Arena *arena)
{
    if (facts->pass_kind == PASS_VERIFY && facts->pass_is_done && facts->differing_rows > 0) {
        return judge_differing(facts, arena);
    }
    bool copies = facts->kind == KIND_COPY;
    return (HealthVerdict){HEALTH_FAILED, facts->reason == NULL ? "not known" : facts->reason,
        arena_printf(arena,
            "remove the cause (pghaul check %s helps, and pghaul quarantine %s for a refused row), "
            "then pghaul run %s goes on where it ended%s%s%s",
            facts->job, facts->job, facts->job,
            copies ? "; what the change log misses, pghaul verify " : "", copies ? facts->job : "",
            copies ? " --repair finds" : "")};
}

static HealthVerdict
judge_complete(const HealthFacts *facts, Arena *arena)
{
    if (facts->runs_alive > 0) {
        return judge_running(facts, arena); /* verify, asked for once more */
    }
    if (facts->pass_kind == PASS_REPAIR) {
        return (HealthVerdict){HEALTH_DIFFERING, "the repair of rows that differ was cut off",
            arena_printf(arena, "pghaul verify %s --repair goes on with it", facts->job)};
    }
    if (facts->pass_kind == PASS_VERIFY && facts->differing_rows > 0) {
        return judge_differing(facts, arena);
    }
    if (facts->pass_kind == PASS_VERIFY && !facts->pass_is_done) {
        return (HealthVerdict){HEALTH_STOPPED, "every row is done, but the last verify was cut off",
            arena_printf(arena, "pghaul verify %s goes on with it", facts->job)};
    }
    if (facts->quarantined_rows > 0) {
        return (HealthVerdict){HEALTH_QUARANTINED,
            arena_printf(arena, "done but for %lld row%s in quarantine, which the server refused",
                (long long)facts->quarantined_rows, facts->quarantined_rows == 1 ? "" : "s"),
            arena_printf(arena, "pghaul quarantine %s lists them", facts->job)};
    }
    if (facts->kind == KIND_PURGE) {
        return (HealthVerdict){HEALTH_DONE,
            "every row that was old when the last run began is gone",
            arena_printf(arena,
                "pghaul run %s deletes those that are old by now; pghaul clean %s ends the job",
                facts->job, facts->job)};
    }
    return (HealthVerdict){HEALTH_DONE,
        facts->pass_kind == PASS_VERIFY ? "every row is done, and compared" : "every row is done",
        arena_printf(arena, "pghaul clean %s removes what the job made%s", facts->job,
            facts->kind == KIND_BACKFILL ? ", when the application writes the columns itself"
                                         : "")};
}

/* A run drains the changes as they come; that none came is no sign of being stuck. */
static HealthVerdict
judge_following(const HealthFacts *facts, Arena *arena)
{
    STRBUF_AUTO reason = STRBUF_INIT;
    if (facts->throttle != NULL ||
        (facts->backlog_s > HEALTH_IDLE_MAX_S && facts->idle_s > HEALTH_IDLE_MAX_S)) {
        return judge_running(facts, arena);
    }
    strbuf_puts(&reason, "every row is copied, and changes are drained as they come");
    if (facts->backlog_rows > 0) {
        strbuf_puts(&reason, "; ");
        put_behind(&reason, facts);
    }
    return (HealthVerdict){HEALTH_PROGRESSING, arena_strdup(arena, strbuf_text(&reason)),
        arena_printf(arena,
            "nothing; pghaul stop %s ends the run, then pghaul cutover %s may begin", facts->job,
            facts->job)};
}

/* The change log of another server cannot be seen from here while no run reads it. */
static const char *
caught_up(const HealthFacts *facts, Arena *arena)
{
    return arena_printf(arena, "every row is copied%s; %s",
        facts->pass_kind == PASS_VERIFY ? ", and compared" : "",
        facts->backlog_rows < 0 ? "what changed since the last run is in the log at the source"
                                : "nothing is left to drain");
}

static HealthVerdict
judge_synced(const HealthFacts *facts, Arena *arena)
{
    if (facts->runs_alive > 0) {
        return judge_following(facts, arena);
    }
    if (facts->backlog_rows > 0) {
        STRBUF_AUTO reason = STRBUF_INIT;
        put_behind(&reason, facts);
        return (HealthVerdict){HEALTH_STOPPED,
            arena_printf(arena, "%s, and no run drains them", strbuf_text(&reason)),
            arena_printf(arena, "pghaul run %s drains them, with --follow as long as it is alive",
                facts->job)};
    }
    return (HealthVerdict){HEALTH_DONE, caught_up(facts, arena),
        arena_printf(arena,
            "pghaul run %s --follow keeps it so; pghaul cutover %s lets the application use the "
            "new table, pghaul clean %s ends the job",
            facts->job, facts->job, facts->job)};
}

/* The application uses the new table.  What is behind is the old one, where there is a way back
 * within the database. */
static HealthVerdict
judge_cut_over(const HealthFacts *facts, Arena *arena)
{
    STRBUF_AUTO reason = STRBUF_INIT;
    bool knows = facts->backlog_rows >= 0;
    bool follows = facts->runs_alive > 0;
    if (follows && facts->throttle != NULL) {
        return judge_running(facts, arena);
    }
    strbuf_puts(&reason, "the application uses the new table");
    if (follows || facts->backlog_rows > 0) {
        strbuf_printf(&reason, "; the old one %s", follows ? "follows, " : "is ");
        put_behind(&reason, facts);
    } else if (knows) {
        strbuf_puts(&reason, "; the old one has all that was written since");
    }
    if (facts->backlog_rows > 0 && !follows) {
        strbuf_puts(&reason, ", and no run drains them");
    }
    const char *next = arena_printf(
        arena, "pghaul rollback %s goes back, pghaul clean %s ends it", facts->job, facts->job);
    if (knows && !follows) {
        next = arena_printf(
            arena, "pghaul run %s --follow keeps the old table in step; %s", facts->job, next);
    }
    return (HealthVerdict){follows                   ? HEALTH_PROGRESSING
                           : facts->backlog_rows > 0 ? HEALTH_STOPPED
                                                     : HEALTH_DONE,
        arena_strdup(arena, strbuf_text(&reason)), next};
}

HealthVerdict
health_judge(const HealthFacts *facts, Arena *arena)
{
    switch (facts->state) {
    case JOB_NEW:
        return (HealthVerdict){HEALTH_NEW, "nobody has accepted its plan yet",
            arena_printf(arena, "pghaul plan %s shows the plan, pghaul run %s --yes accepts it",
                facts->job, facts->job)};
    case JOB_READY:
        return judge_ready(facts, arena);
    case JOB_RUNNING:
        return judge_running(facts, arena);
    case JOB_PAUSED:
        return judge_paused(facts, arena);
    case JOB_STOPPED:
        return (HealthVerdict){HEALTH_STOPPED,
            facts->reason == NULL ? "stopped with work left" : facts->reason,
            arena_printf(arena, "pghaul run %s goes on where it ended", facts->job)};
    case JOB_FAILED:
        return judge_failed(facts, arena);
    case JOB_SYNCED:
        return judge_synced(facts, arena);
    case JOB_CUT_OVER:
        return judge_cut_over(facts, arena);
    case JOB_COMPLETE:
        break;
    }
    return judge_complete(facts, arena);
}
