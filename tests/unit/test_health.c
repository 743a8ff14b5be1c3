/*
 * test_health.c - one word for how a job is doing, why, and the command that comes next.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/health.h"

typedef struct Case {
    HealthFacts facts;
    Health health;
    const char *reason;
    const char *next_step;
} Case;

#define RUNNING .job = "j", .state = JOB_RUNNING, .runs_alive = 1, .sessions = 3

static const Case CASES[] = {
    {{.job = "j", .state = JOB_NEW}, HEALTH_NEW, "nobody has accepted", "pghaul run j --yes"},
    {{.job = "j", .state = JOB_READY, .sessions = 1}, HEALTH_WAITING, "waits for a lock",
        "pghaul blockers j"},
    {{.job = "j", .state = JOB_READY}, HEALTH_DEAD, "nothing was changed", "pghaul run j"},
    {{.job = "j", .state = JOB_RUNNING, .heartbeat_age_s = -1}, HEALTH_DEAD, "no run is alive",
        "pghaul run j"},
    {{.job = "j", .state = JOB_RUNNING, .heartbeat_age_s = 125, .throttle = NULL}, HEALTH_DEAD,
        "last heard of 2m 05s ago", "pghaul run j"},
    {{RUNNING, .idle_s = 0.2}, HEALTH_PROGRESSING, "are being changed", "nothing"},
    {{RUNNING, .idle_s = 29, .vain_visits = 6}, HEALTH_PROGRESSING, "are being changed", "--watch"},
    {{RUNNING, .pass_kind = PASS_VERIFY, .differing_rows = 3, .quarantined_rows = 2},
        HEALTH_PROGRESSING, "compared; 3 differ so far; 2 in quarantine", "nothing"},
    {{RUNNING, .pass_kind = PASS_REPAIR, .differing_rows = 3}, HEALTH_PROGRESSING,
        "that differed are being changed", "nothing"},
    {{RUNNING, .kind = KIND_COPY, .backlog_rows = 3, .backlog_s = 0.25}, HEALTH_PROGRESSING,
        "rows are being copied; behind by 3 changes, 0.2 s", "nothing"},
    {{.job = "j", .state = JOB_SYNCED, .kind = KIND_COPY, .runs_alive = 1, .idle_s = 600},
        HEALTH_PROGRESSING, "drained as they come", "pghaul stop j"},
    {{.job = "j",
         .state = JOB_SYNCED,
         .kind = KIND_COPY,
         .runs_alive = 1,
         .idle_s = 60,
         .backlog_rows = 9,
         .backlog_s = 50},
        HEALTH_STUCK, "committed for 1m 00s", "pghaul blockers j"},
    {{.job = "j",
         .state = JOB_SYNCED,
         .kind = KIND_COPY,
         .pass_kind = PASS_VERIFY,
         .backlog_rows = 1,
         .backlog_s = 7},
        HEALTH_STOPPED, "behind by 1 change, 7.0 s, and no run", "--follow"},
    {{.job = "j", .state = JOB_CUT_OVER, .kind = KIND_COPY, .backlog_rows = 2, .backlog_s = 60},
        HEALTH_STOPPED, "the old one is behind by 2 changes, 60.0 s, and no run drains them",
        "pghaul run j --follow keeps the old table in step; pghaul rollback j"},
    {{.job = "j", .state = JOB_CUT_OVER, .kind = KIND_COPY, .runs_alive = 1, .idle_s = 600},
        HEALTH_PROGRESSING, "the old one follows, behind by 0 changes", "pghaul rollback j"},
    {{.job = "j",
         .state = JOB_CUT_OVER,
         .kind = KIND_COPY,
         .runs_alive = 1,
         .backlog_rows = 7,
         .throttle = "lag is 3 s"},
        HEALTH_THROTTLED, "lag is 3 s", "goes on by itself"},
    {{.job = "j", .state = JOB_CUT_OVER, .kind = KIND_COPY}, HEALTH_DONE,
        "the old one has all that was written since", "pghaul clean j"},
    {{.job = "j", .state = JOB_CUT_OVER, .kind = KIND_COPY, .backlog_rows = -1}, HEALTH_DONE,
        "the application uses the new table", "pghaul clean j ends it"},
    {{.job = "j", .state = JOB_SYNCED, .kind = KIND_COPY, .pass_kind = PASS_VERIFY}, HEALTH_DONE,
        "copied, and compared; nothing is left", "pghaul cutover j"},
    {{.job = "j", .state = JOB_SYNCED, .kind = KIND_COPY, .backlog_rows = -1}, HEALTH_DONE,
        "copied; what changed since the last run is in the log at the source", "pghaul run j"},
    {{RUNNING, .kind = KIND_PURGE, .backlog_rows = 3}, HEALTH_PROGRESSING, "rows are being deleted",
        "nothing"},
    {{.job = "j", .state = JOB_COMPLETE, .kind = KIND_PURGE}, HEALTH_DONE, "is gone",
        "pghaul run j deletes those that are old by now"},
    {{RUNNING, .idle_s = 31}, HEALTH_STUCK, "committed for 31 s", "pghaul blockers j"},
    {{RUNNING, .idle_s = 1, .vain_visits = 9}, HEALTH_STUCK, "at least 9 times",
        "pghaul blockers j"},
    {{RUNNING, .idle_s = 600, .throttle = "lag is 3 s"}, HEALTH_THROTTLED, "lag is 3 s",
        "goes on by itself"},
    {{.job = "j", .state = JOB_PAUSED, .runs_alive = 2, .idle_s = 600, .paused_by = "ann"},
        HEALTH_PAUSED, "paused by ann", "pghaul resume j goes on"},
    {{.job = "j", .state = JOB_PAUSED, .reason = "outside of its window"}, HEALTH_PAUSED,
        "outside of its window", "pghaul run j, since no run is alive"},
    {{.job = "j", .state = JOB_PAUSED}, HEALTH_PAUSED, "paused", "pghaul resume j"},
    {{.job = "j", .state = JOB_STOPPED, .reason = "stopped by a signal"}, HEALTH_STOPPED,
        "stopped by a signal", "pghaul run j"},
    {{.job = "j", .state = JOB_FAILED, .reason = "no such column"}, HEALTH_FAILED, "no such column",
        "and pghaul quarantine j for a refused row), then pghaul run j"},
    {{.job = "j",
         .state = JOB_FAILED,
         .pass_kind = PASS_VERIFY,
         .differing_rows = 1,
         .reason = "trigger is gone"},
        HEALTH_FAILED, "trigger is gone", "then pghaul run j"},
    {{.job = "j", .state = JOB_COMPLETE, .pass_kind = PASS_REPAIR}, HEALTH_DIFFERING, "was cut off",
        "pghaul verify j --repair"},
    {{.job = "j",
         .state = JOB_FAILED,
         .pass_kind = PASS_VERIFY,
         .pass_is_done = true,
         .differing_rows = 1},
        HEALTH_DIFFERING, "1 row differs from what the job makes of it", "pghaul verify j"},
    {{.job = "j", .state = JOB_COMPLETE, .pass_kind = PASS_VERIFY, .differing_rows = 4},
        HEALTH_DIFFERING, "4 rows differ", "pghaul verify j"},
    {{.job = "j", .state = JOB_COMPLETE, .quarantined_rows = 2}, HEALTH_QUARANTINED,
        "2 rows in quarantine", "pghaul quarantine j"},
    {{.job = "j", .state = JOB_COMPLETE, .runs_alive = 1, .pass_kind = PASS_VERIFY},
        HEALTH_PROGRESSING, "being compared", "nothing"},
    {{.job = "j", .state = JOB_COMPLETE, .pass_kind = PASS_VERIFY}, HEALTH_STOPPED,
        "verify was cut off", "pghaul verify j goes on"},
    {{.job = "j", .state = JOB_COMPLETE, .pass_kind = PASS_VERIFY, .pass_is_done = true},
        HEALTH_DONE, "and compared", "pghaul clean j"},
    {{.job = "j", .state = JOB_COMPLETE}, HEALTH_DONE, "every row is done",
        "when the application writes the columns itself"},
    {{.job = "j", .state = JOB_COMPLETE, .kind = KIND_COPY}, HEALTH_DONE, "every row is done",
        "removes what the job made"},
};

Test(health, tells_by_what_is_known_how_a_job_is_doing_and_what_comes_next)
{
    Arena arena = ARENA_INIT;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        HealthVerdict verdict = health_judge(&CASES[i].facts, &arena);
        cr_expect(eq(int, verdict.health, CASES[i].health), "case %zu: %s", i, verdict.reason);
        cr_expect(ne(ptr, (void *)strstr(verdict.reason, CASES[i].reason), NULL), "case %zu: %s", i,
            verdict.reason);
        cr_expect(ne(ptr, (void *)strstr(verdict.next_step, CASES[i].next_step), NULL),
            "case %zu: %s", i, verdict.next_step);
    }
    arena_reset(&arena);
}

Test(health, every_word_has_a_case)
{
    for (int health = 0; health < HEALTH_COUNT; health++) {
        bool found = false;
        for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
            found = found || (int)CASES[i].health == health;
        }
        cr_expect(found, "%s", health_name((Health)health));
    }
}

Test(health, only_what_needs_a_person_is_over)
{
    int code = -1;
    cr_expect(health_is_over(HEALTH_DONE, &code));
    cr_expect(eq(int, code, 0));
    cr_expect(health_is_over(HEALTH_DIFFERING, &code));
    cr_expect(eq(int, code, 6));
    cr_expect(not(health_is_over(HEALTH_DEAD, &code)), "another run may take it up");
    cr_expect(not(health_is_over(HEALTH_THROTTLED, &code)));
}
