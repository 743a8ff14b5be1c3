#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/jobstate.h"

Test(jobstate, names_are_read_back_as_the_same_state)
{
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        JobState state = JOB_FAILED;
        cr_assert(jobstate_parse(jobstate_name((JobState)i), &state));
        cr_assert(eq(int, state, i));
    }
    cr_assert(eq(int, strcmp(jobstate_name(JOB_CUT_OVER), "cut_over"), 0));
}

Test(jobstate, unknown_names_are_refused)
{
    static const char *const WRONG[] = {"", "Running", "run", "cut-over", "complete "};
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        JobState state = JOB_PAUSED;
        cr_assert(not(jobstate_parse(WRONG[i], &state)));
        cr_assert(eq(int, state, JOB_PAUSED));
    }
}

/* One row per state; the columns are in the order of the enum. */
Test(jobstate, allows_exactly_the_designed_transitions)
{
    static const char ALLOWED[JOB_STATE_COUNT][JOB_STATE_COUNT + 1] = {
        /*               new ready running paused synced cut_over complete stopped failed */
        [JOB_NEW] = ".x.......",
        [JOB_READY] = "..xx.....",
        [JOB_RUNNING] = "...xx.xxx",
        [JOB_PAUSED] = ".xx...xx.",
        [JOB_SYNCED] = "..xx.x..x",
        [JOB_CUT_OVER] = "....x.x..",
        [JOB_COMPLETE] = "..x......",
        [JOB_STOPPED] = "..xx.....",
        [JOB_FAILED] = "..xx.....",
    };
    for (int from = 0; from < JOB_STATE_COUNT; from++) {
        for (int to = 0; to < JOB_STATE_COUNT; to++) {
            cr_assert(
                eq(int, jobstate_allows((JobState)from, (JobState)to), ALLOWED[from][to] == 'x'),
                "%s to %s", jobstate_name((JobState)from), jobstate_name((JobState)to));
        }
    }
}

Test(jobstate, every_state_can_be_reached_from_new)
{
    bool reached[JOB_STATE_COUNT] = {[JOB_NEW] = true};
    for (int round = 0; round < JOB_STATE_COUNT; round++) {
        for (int from = 0; from < JOB_STATE_COUNT; from++) {
            for (int to = 0; to < JOB_STATE_COUNT; to++) {
                if (reached[from] && jobstate_allows((JobState)from, (JobState)to)) {
                    reached[to] = true;
                }
            }
        }
    }
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        cr_assert(reached[i], "%s", jobstate_name((JobState)i));
    }
}
