/*
 * test_waits.c - whose a session is, what ends it, which locks exclude each other.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/waits.h"

static void
expect_owner(const char *application, bool ours, const char *job)
{
    Arena arena = ARENA_INIT;
    const char *found = "?";
    cr_expect(eq(int, ours, waits_is_ours(application, &arena, &found)), "%s", application);
    cr_expect(job == NULL ? found == NULL : found != NULL && strcmp(found, job) == 0, "%s: %s",
        application, found == NULL ? "none" : found);
    arena_reset(&arena);
}

Test(waits, sessions_of_ours_are_known_by_their_name)
{
    expect_owner("pghaul/fill-orders/w01", true, "fill-orders");
    expect_owner("pghaul/fill/vacuum", true, "fill");
    expect_owner("pghaul/catalog", true, NULL);
    expect_owner("pghaul", false, NULL);
    expect_owner("my pghaul/fill/w01", false, NULL);
    expect_owner("", false, NULL);
}

/* NULL stands for no such statement. */
static void
expect_remedy(const WaitSession *session, Remedy remedy, const char *const statements[4])
{
    Arena arena = ARENA_INIT;
    cr_expect(eq(int, remedy, waits_remedy(session)));
    const char *found[] = {waits_cancel_sql(session, &arena), waits_terminate_sql(session, &arena),
        waits_rollback_sql(session, &arena), waits_command(session, &arena)};
    for (int i = 0; i < 4; i++) {
        bool same = statements[i] == NULL
                        ? found[i] == NULL
                        : found[i] != NULL && strcmp(found[i], statements[i]) == 0;
        cr_expect(same, "%d: %s", i, found[i] == NULL ? "none" : found[i]);
    }
    arena_reset(&arena);
}

Test(waits, session_at_work_is_cancelled_and_ended_only_if_that_does_not_help)
{
    static const char *const SQL[] = {
        "SELECT pg_cancel_backend(7);", "SELECT pg_terminate_backend(7);", NULL, NULL};
    expect_remedy(&(WaitSession){.pid = 7, .state = "active"}, REMEDY_CANCEL, SQL);
    expect_remedy(&(WaitSession){.pid = 7, .state = NULL}, REMEDY_CANCEL, SQL);
}

Test(waits, idle_session_is_ended_since_a_cancel_does_nothing)
{
    static const char *const SQL[] = {NULL, "SELECT pg_terminate_backend(7);", NULL, NULL};
    expect_remedy(&(WaitSession){.pid = 7, .state = "idle"}, REMEDY_TERMINATE, SQL);
    expect_remedy(&(WaitSession){.pid = 7, .state = "idle in transaction"}, REMEDY_TERMINATE, SQL);
    expect_remedy(
        &(WaitSession){.pid = 7, .state = "idle in transaction (aborted)"}, REMEDY_TERMINATE, SQL);
}

Test(waits, prepared_transaction_is_rolled_back_by_its_quoted_name)
{
    static const char *const SQL[] = {NULL, NULL, "ROLLBACK PREPARED 'it''s \\';", NULL};
    expect_remedy(&(WaitSession){.gid = "it's \\"}, REMEDY_ROLLBACK, SQL);
}

Test(waits, runs_of_ours_are_paused_and_never_ended)
{
    static const char *const PAUSE[] = {NULL, NULL, NULL, "pghaul pause fill"};
    static const char *const NOTHING[] = {NULL, NULL, NULL, NULL};
    expect_remedy(&(WaitSession){.pid = 7, .is_ours = true, .job = "fill", .state = "active"},
        REMEDY_PAUSE, PAUSE);
    expect_remedy(&(WaitSession){.pid = 7, .is_ours = true, .state = "idle"}, REMEDY_NONE, NOTHING);
}

Test(waits, modes_exclude_each_other_as_documented)
{
    static const char *const MODES[] = {"AccessShareLock", "RowShareLock", "RowExclusiveLock",
        "ShareUpdateExclusiveLock", "ShareLock", "ShareRowExclusiveLock", "ExclusiveLock",
        "AccessExclusiveLock"};
    static const char *const TABLE[] = {".......X", "......XX", "....XXXX", "...XXXXX", "..XX.XXX",
        "..XXXXXX", ".XXXXXXX", "XXXXXXXX"};
    for (int i = 0; i < 8; i++) {
        cr_expect(eq(int, i + 1, waits_mode_rank(MODES[i])));
        for (int j = 0; j < 8; j++) {
            cr_expect(eq(int, TABLE[i][j] == 'X', waits_modes_conflict(MODES[i], MODES[j])),
                "%s and %s", MODES[i], MODES[j]);
        }
    }
    cr_expect(eq(int, 0, waits_mode_rank("SIReadLock")));
    cr_expect(not(waits_modes_conflict("SIReadLock", "AccessExclusiveLock")));
    cr_expect(not(waits_modes_conflict("AccessExclusiveLock", "SIReadLock")));
}
