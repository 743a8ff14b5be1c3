/*
 * Windows by the server's clock and time zones: days of 23 and 25 hours, midnight, half hours.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "core/window.h"
#include "engine/engine.h"
#include "harness/harness.h"
#include "harness/pgcluster.h"
#include "integration/job_fixture.h"
#include "pg/window.h"

typedef struct WindowCase {
    const char *window;
    const char *at; /* with its offset */
    bool is_open;
    double change_s; /* -1 = never */
    const char *change_at;
} WindowCase;

static const WindowCase CASES[] = {
    /* an ordinary night */
    {"01:00-05:00 Europe/Berlin", "2026-01-15 00:59:59+01", false, 1, "2026-01-15 01:00"},
    {"01:00-05:00 Europe/Berlin", "2026-01-15 01:00:00+01", true, 14400, "2026-01-15 05:00"},
    {"01:00-05:00 Europe/Berlin", "2026-01-15 04:59:59.75+01", true, 0.25, "2026-01-15 05:00"},
    {"01:00-05:00 Europe/Berlin", "2026-01-15 05:00:00+01", false, 72000, "2026-01-16 01:00"},
    /* over midnight, up to it, from it, always */
    {"22:00-02:00 Europe/Berlin", "2026-07-01 23:30:00+02", true, 9000, "2026-07-02 02:00"},
    {"22:00-02:00 Europe/Berlin", "2026-07-01 01:59:00+02", true, 60, "2026-07-01 02:00"},
    {"22:00-02:00 Europe/Berlin", "2026-07-01 12:00:00+02", false, 36000, "2026-07-01 22:00"},
    {"22:00-24:00 UTC", "2026-07-01 23:59:00+00", true, 60, "2026-07-02 00:00"},
    {"22:00-00:00 UTC", "2026-07-01 23:59:00+00", true, 60, "2026-07-02 00:00"},
    {"00:00-01:00 UTC", "2026-07-01 00:00:00+00", true, 3600, "2026-07-01 01:00"},
    {"00:00-24:00 UTC", "2026-07-01 00:00:00+00", true, -1, NULL},
    /* the zone's day is not the server's */
    {"01:00-05:00 Asia/Kathmandu", "2026-01-14 19:15:00+00", true, 14400, "2026-01-15 05:00"},
    {"01:00-05:00 America/New_York", "2026-01-15 05:59:00+00", false, 60, "2026-01-15 01:00"},
    /* 2026-03-29: 02:00 to 03:00 is not there in Berlin */
    {"01:00-05:00 Europe/Berlin", "2026-03-29 01:00:00+01", true, 10800, "2026-03-29 05:00"},
    {"01:30-02:30 Europe/Berlin", "2026-03-29 01:59:00+01", true, 60, "2026-03-29 03:00"},
    {"02:30-04:00 Europe/Berlin", "2026-03-29 01:59:00+01", false, 60, "2026-03-29 03:00"},
    {"02:15-02:45 Europe/Berlin", "2026-03-29 01:59:00+01", false, 83760, "2026-03-30 02:15"},
    /* 2026-10-25: 02:00 to 03:00 comes twice */
    {"01:00-05:00 Europe/Berlin", "2026-10-25 01:00:00+02", true, 18000, "2026-10-25 05:00"},
    {"01:00-02:30 Europe/Berlin", "2026-10-25 02:29:00+02", true, 60, "2026-10-25 02:30"},
    {"01:00-02:30 Europe/Berlin", "2026-10-25 02:59:00+02", false, 60, "2026-10-25 02:00"},
    {"01:00-02:30 Europe/Berlin", "2026-10-25 02:00:00+01", true, 1800, "2026-10-25 02:30"},
    {"02:30-04:00 Europe/Berlin", "2026-10-25 02:30:00+02", true, 1800, "2026-10-25 02:00"},
    {"02:30-04:00 Europe/Berlin", "2026-10-25 02:00:00+01", false, 1800, "2026-10-25 02:30"},
    /* half an hour of summer time, on Lord Howe: 2026-04-05 has 01:30 to 02:00 twice */
    {"01:45-02:30 Australia/Lord_Howe", "2026-04-05 01:45:00+11", true, 900, "2026-04-05 01:30"},
    {"01:45-02:30 Australia/Lord_Howe", "2026-04-05 01:30:00+10:30", false, 900,
        "2026-04-05 01:45"},
};

static PgConn *
connect_to(PgCluster *cluster)
{
    ConnTarget target = {.dbname = cluster_uri(cluster, "postgres")};
    PgConn *conn = NULL;
    Err err = ERR_INIT;
    cr_assert(conn_open(&target, CONN_CATALOG, "test", 10000000, &conn, &err), "%s", err.message);
    return conn;
}

static void
expect_case(PgConn *conn, const WindowCase *test, Arena *arena)
{
    WindowSpec window = {.text = test->window};
    WindowState state;
    Err err = ERR_INIT;
    int at = 0;
    cr_assert(window_parse(&window, arena, &at, &err), "%s", err.message);
    cr_assert(window_ask(conn, &window, test->at, &state, &err), "%s", err.message);
    cr_expect(eq(int, state.is_open, test->is_open), "%s at %s", test->window, test->at);
    cr_expect(eq(int, state.changes, test->change_at != NULL), "%s", test->window);
    if (state.changes && test->change_at != NULL) {
        cr_expect(epsilon_eq(dbl, state.change_s, test->change_s, 0.001), "%s at %s: %.3f s",
            test->window, test->at, state.change_s);
        const char *shown = arena_printf(arena, "%s %s", test->change_at, window.zone);
        cr_expect(eq(int, strcmp(state.change_at, shown), 0), "%s at %s: %s", test->window,
            test->at, state.change_at);
    }
}

Test(window, opens_and_closes_by_the_clock_on_the_wall_of_its_zone)
{
    PgConn *conn = connect_to(cluster_shared());
    Arena arena = ARENA_INIT;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        expect_case(conn, &CASES[i], &arena);
    }
    arena_reset(&arena);
    conn_close(conn);
}

Test(window, both_questions_agree_about_now)
{
    PgConn *conn = connect_to(cluster_shared());
    for (int hour = 0; hour < 24; hour++) {
        WindowSpec window = {.text = "", .zone = "Asia/Tokyo"};
        window.begin_minute = hour * 60;
        window.end_minute = hour * 60 + 60;
        WindowState state;
        bool is_open = false;
        bool was_open = false;
        Err err = ERR_INIT;
        do { /* until the hour does not change between them */
            cr_assert(window_is_open(conn, &window, &was_open, &err), "%s", err.message);
            cr_assert(window_ask(conn, &window, NULL, &state, &err), "%s", err.message);
            cr_assert(window_is_open(conn, &window, &is_open, &err), "%s", err.message);
        } while (was_open != is_open);
        cr_expect(eq(int, state.is_open, is_open), "hour %d", hour);
    }
    conn_close(conn);
}

Test(window, zone_that_the_server_has_not_gets_a_suggestion)
{
    PgConn *conn = connect_to(cluster_shared());
    Arena arena = ARENA_INIT;
    ServerFacts server = {.zone_unknown = false};
    Err err = ERR_INIT;
    WindowSpec window = {.text = "", .zone = "europe/berlin"};
    cr_assert(window_find_zone(conn, &window, &arena, &server, &err), "%s", err.message);
    cr_expect(not(server.zone_unknown));

    window.zone = "Europe/Belrin";
    cr_assert(window_find_zone(conn, &window, &arena, &server, &err), "%s", err.message);
    cr_expect(server.zone_unknown);
    cr_expect(eq(int, strcmp(server.zone_near, "Europe/Berlin"), 0), "%s", server.zone_near);

    window.zone = "Nowhere7"; /* which the server would read as 7 hours west of Greenwich */
    server = (ServerFacts){.zone_unknown = false};
    cr_assert(window_find_zone(conn, &window, &arena, &server, &err), "%s", err.message);
    cr_expect(server.zone_unknown);
    arena_reset(&arena);
    conn_close(conn);
}

/* ---- a run ---- */

#define CLOSES_IN_S 3

static const char SETUP[] =
    "CREATE FUNCTION slowly(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS"
    " $$BEGIN PERFORM pg_sleep(0.02); RETURN $1; END$$;"
    "CREATE TABLE t (id int PRIMARY KEY, a text, b text);"
    "INSERT INTO t SELECT g, g FROM generate_series(1, 2000) g; ANALYZE t";

static const char JOB[] = "job: j\nbackfill: t\nset: {b: slowly(a)}\nsync: none\nverify: none\n"
                          "schedule: {window: 11:00-12:00 UTC}\nworkers: 1\nbatch: {rows: 10}\n"
                          "throttle: {standbys: none}\n";

/* A zone in which it is noon in a moment: those that have names agree on the second. */
static const char *
zone_of_noon(JobFixture *fixture)
{
    int west_s = (int)pg_int(fixture->sql, "SELECT EXTRACT(epoch FROM now())::int8 % 86400") -
                 (12 * 3600 - CLOSES_IN_S);
    int size_s = abs(west_s);
    return arena_printf(&fixture->arena, "XXX%c%02d:%02d:%02d", west_s < 0 ? '-' : '+',
        size_s / 3600, size_s / 60 % 60, size_s % 60);
}

Test(window, run_ends_cleanly_when_it_closes)
{
    JobFixture fixture;
    job_fixture_open(&fixture, SETUP, JOB);
    fixture.spec.window.zone = zone_of_noon(&fixture);
    ConnTarget target = {.dbname = fixture.uri};
    EngineSetup setup = {
        .plan = &fixture.survey.plan,
        .target = &target,
        .job = fixture.job.id,
        .run = fixture.run,
        .system_id = fixture.job.system_id,
        .workers = 1,
        .obeys_window = true,
    };
    Progress last;
    bool second_signal = false;
    Err err = ERR_INIT;
    int64_t begun_us = clock_mono_us();
    cr_assert(not(engine_run(&setup, &last, &second_signal, &err)));
    cr_expect(eq(int, err_exit_code(&err), 7));
    cr_expect(
        strncmp(err.message, "schedule.window 11:00-12:00 UTC has closed with work left", 57) == 0,
        "%s", err.message);
    cr_expect(lt(i64, clock_mono_us() - begun_us, SECONDS_US(CLOSES_IN_S + 5)));
    int64_t done = pg_int(fixture.sql, "SELECT count(*) FROM t WHERE b = a");
    cr_expect(lt(i64, 0, done), "nothing was done while it was open");
    cr_expect(lt(i64, done, 2000));
    cr_expect(eq(i64, 0,
        pg_int(fixture.sql, "SELECT count(*) FROM pghaul.ranges"
                            " WHERE state = 'leased'")));

    setup.obeys_window = false; /* as verify does */
    pg_exec(fixture.sql, "CREATE OR REPLACE FUNCTION slowly(text) RETURNS text LANGUAGE sql"
                         " IMMUTABLE AS 'SELECT $1'");
    cr_expect(engine_run(&setup, &last, &second_signal, &err), "%s", err.message);
    cr_expect(eq(i64, 2000, pg_int(fixture.sql, "SELECT count(*) FROM t WHERE b = a")));
    job_fixture_close(&fixture);
}
