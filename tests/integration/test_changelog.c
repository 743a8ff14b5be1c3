/*
 * test_changelog.c - the change log of a copy: what its triggers record whoever writes the source,
 * and what drainers do to each other and to the target.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "core/sql_parts.h"
#include "engine/drain_floor.h"
#include "harness/harness.h"
#include "integration/job_fixture.h"
#include "ops/prepare_log.h"
#include "store/changelog.h"

#define TABLES                                                                                     \
    "CREATE TABLE src (id int PRIMARY KEY, v text, u int UNIQUE DEFERRABLE);"                      \
    "CREATE TABLE dst (id bigint PRIMARY KEY, v text CHECK (v <> 'BAD'), u int UNIQUE);"
#define COPY "job: j\ncopy: src\ninto: dst\nmap: {v: upper(v)}\nthrottle: {standbys: none}\n"

/* Rows that only one side has. */
#define DIFFERENT                                                                                  \
    "SELECT count(*) FROM (SELECT id, upper(v), u FROM src) AS s (id, v, u)"                       \
    "  FULL JOIN dst USING (id, v, u) WHERE num_nulls(s.*) > 0 OR dst.* IS NULL OR s.* IS NULL"

/* ---- the fixture ---- */

static void
open_copy(JobFixture *f)
{
    job_fixture_open(f, TABLES, COPY);
}

/* "pghaul.<what>_.." */
static const char *
name_of(JobFixture *f, const char *what)
{
    STRBUF_AUTO name = STRBUF_INIT;
    sql_put_function_name(&name, &f->survey.plan, what, f->job.id);
    return arena_strdup(&f->arena, strbuf_text(&name));
}

static int64_t
entries(JobFixture *f)
{
    return pg_intf(f->sql, "SELECT count(*) FROM %s", name_of(f, "log"));
}

/* Keys in the log, in order. */
static void
expect_log(JobFixture *f, const char *keys)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_printf(&sql,
        "SELECT COALESCE(string_agg(COALESCE(k1::text, '-'), ' ' ORDER BY id), '')"
        " FROM %s",
        name_of(f, "log"));
    char *text = pg_text(f->sql, strbuf_text(&sql));
    cr_expect(eq(str, text, (char *)(uintptr_t)keys));
    free(text);
    pg_execf(f->sql, "DELETE FROM %s", name_of(f, "log"));
}

static bool
is_overflowed(JobFixture *f)
{
    return pg_intf(f->sql, "SELECT is_called FROM %s", name_of(f, "overflow")) == 1;
}

/* ---- the triggers ---- */

Test(changelog, keys_are_recorded_old_and_new_and_truncate)
{
    JobFixture f;
    open_copy(&f);
    pg_exec(f.sql, "INSERT INTO src VALUES (1, 'a', 1), (2, 'b', 2)");
    expect_log(&f, "1 2");
    pg_exec(f.sql, "UPDATE src SET v = 'c' WHERE id = 1; UPDATE src SET id = 3 WHERE id = 2");
    expect_log(&f, "1 2 3");
    pg_exec(f.sql, "DELETE FROM src WHERE id = 3");
    expect_log(&f, "3");
    pg_exec(f.sql, "INSERT INTO src VALUES (1, 'x', 9) ON CONFLICT (id) DO NOTHING");
    expect_log(&f, "");
    pg_exec(f.sql, "BEGIN; DELETE FROM src; ROLLBACK");
    expect_log(&f, "");
    pg_exec(f.sql, "TRUNCATE src");
    expect_log(&f, "-");
    job_fixture_close(&f);
}

static const char HIDE_NAMES[] =
    "SET search_path = pg_temp; CREATE TEMP TABLE log_1 (id int);"
    "CREATE FUNCTION pg_temp.to_regclass(text) RETURNS regclass LANGUAGE sql"
    " AS 'SELECT NULL::pg_catalog.regclass'";

/* Roles and settings that an application may have. */
Test(changelog, any_role_and_any_setting_of_the_application_is_recorded)
{
    JobFixture f;
    open_copy(&f);
    STRBUF_AUTO role = STRBUF_INIT;
    strbuf_printf(&role, "app_%s", f.dbname);
    const char *name = strbuf_text(&role);
    pg_execf(f.sql,
        "CREATE ROLE %s; GRANT SELECT, INSERT, UPDATE, DELETE ON src TO %s;"
        "ALTER TABLE src ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY own ON src TO %s USING (id < 100)",
        name, name, name);
    static const char *const SETTINGS[] = {
        "SET session_replication_role = replica",
        HIDE_NAMES,
        "SET default_transaction_isolation = serializable",
        "SET standard_conforming_strings = off; SET transform_null_equals = on",
        "SET plan_cache_mode = force_generic_plan; SET check_function_bodies = off",
        "SET DateStyle = 'German'; SET bytea_output = 'escape'; SET extra_float_digits = -15",
        "SET plpgsql.variable_conflict = error; SET plpgsql.extra_errors = 'all'",
        "SET row_security = on; SET lock_timeout = '1ms'; SET statement_timeout = '1s'",
    };
    for (size_t i = 0; i < sizeof(SETTINGS) / sizeof(SETTINGS[0]); i++) {
        PGconn *app = pg_open(f.uri);
        pg_exec(app, SETTINGS[i]);
        if (i > 0) { /* only a superuser may set the first */
            pg_execf(app, "SET ROLE %s", name);
        }
        pg_exec(app, "INSERT INTO public.src VALUES (5, 'a', 5);"
                     "UPDATE public.src SET id = 6 WHERE id = 5; DELETE FROM public.src");
        pg_close(app);
        expect_log(&f, "5 5 6 6");
    }
    cr_expect(eq(i64, 0,
        pg_intf(f.sql, "SELECT has_function_privilege('%s', '%s()', 'EXECUTE')", name,
            name_of(&f, "capture"))));
    pg_execf(f.sql, "DROP OWNED BY %s; DROP ROLE %s", name, name);
    job_fixture_close(&f);
}

/* The sequence says that something is missing; the write itself never fails. */
Test(changelog, what_cannot_be_recorded_does_not_fail_the_application)
{
    JobFixture f;
    open_copy(&f);
    pg_exec(f.sql, "INSERT INTO src VALUES (1, 'a', 1)");
    expect_log(&f, "1");
    cr_expect(not(is_overflowed(&f)));
    pg_exec(f.sql, "ALTER TABLE src RENAME id TO key; UPDATE src SET key = 2");
    cr_expect(is_overflowed(&f), "the key was renamed");
    expect_log(&f, "");
    pg_exec(f.sql, "ALTER TABLE src RENAME key TO id; ALTER TABLE src ALTER id TYPE text");
    pg_execf(f.sql, "SELECT setval('%s', 1, false)", name_of(&f, "overflow"));
    pg_exec(f.sql, "INSERT INTO src VALUES ('no number', 'a', 2)");
    cr_expect(is_overflowed(&f), "the key has another type");
    pg_execf(f.sql, "DROP TABLE %s; UPDATE src SET v = 'b'", name_of(&f, "log"));
    pg_execf(f.sql, "DROP SEQUENCE %s", name_of(&f, "overflow"));
    pg_exec(f.sql, "DELETE FROM src; TRUNCATE src");
    job_fixture_close(&f);
}

Test(changelog, triggers_that_were_dropped_or_disabled_are_put_back)
{
    JobFixture f;
    open_copy(&f);
    Err err = ERR_INIT;
    StopToken stop;
    stop_init(&stop);
    PgConn *conn = job_fixture_connect(&f, CONN_CATALOG);
    pg_exec(f.sql, "ALTER TABLE src DISABLE TRIGGER ALL");
    pg_execf(f.sql, "DROP TRIGGER zzzz_pghaul_%lld_t ON src", (long long)f.job.id);
    cr_assert(
        prepare_log_triggers(conn, &f.survey.plan, f.job.id, true, &stop, &err), "%s", err.message);
    pg_exec(f.sql, "INSERT INTO src VALUES (1, 'a', 1); TRUNCATE src");
    expect_log(&f, "1 -");
    cr_expect(eq(i64, 2,
        pg_int(f.sql, "SELECT count(*) FROM pg_trigger"
                      " WHERE tgrelid = 'src'::regclass AND tgenabled = 'A'")));
    conn_close(conn);
    stop_destroy(&stop);
    job_fixture_close(&f);
}

/* ---- the drain ---- */

static SliceSet
claim_all(JobFixture *f, PgConn *conn, int64_t run)
{
    Err err = ERR_INIT;
    SliceSet set = {.count = 0};
    RangeOwner owner = job_fixture_owner(f);
    owner.run = run;
    bool claimed = true;
    while (claimed) {
        cr_assert(changelog_claim(conn, &owner, &set, &claimed, &err), "%s", err.message);
    }
    return set;
}

static const char *
drain_sql(JobFixture *f, const SliceLease *slice, const char *rest)
{
    return arena_printf(&f->arena,
        "SELECT concat_ws(' ', pghaul_outcome, pghaul_entries, pghaul_kept)"
        " FROM %s(%d, %lld, '%s', %s)",
        name_of(f, "drain"), slice->no, (long long)slice->epoch, slice->token, rest);
}

#define ALL_ENTRIES "1000, 0, false"

/* Each slice once; how many entries were looked at, and kept. */
static void
drain_each(JobFixture *f, const SliceSet *set, int64_t *looked_at, int64_t *kept)
{
    *looked_at = 0;
    *kept = 0;
    for (int i = 0; i < set->count; i++) {
        char *text = pg_text(f->sql, drain_sql(f, &set->slices[i], ALL_ENTRIES));
        cr_assert(zero(int, strncmp(text, "drained ", 8)), "%s", text);
        char *end = NULL;
        int64_t seen = strtoll(text + 8, &end, 10);
        int64_t left = strtoll(end, NULL, 10);
        free(text);
        *looked_at += seen;
        *kept += left;
    }
}

static void
expect_drained(JobFixture *f, const SliceSet *set, int64_t expected)
{
    int64_t looked_at = 0;
    int64_t kept = 0;
    drain_each(f, set, &looked_at, &kept);
    cr_expect(eq(i64, expected, looked_at));
    cr_expect(eq(i64, 0, kept));
    cr_expect(eq(i64, 0, pg_int(f->sql, DIFFERENT)), "after %lld entries", (long long)expected);
}

Test(changelog, every_entry_is_drained_once_whatever_the_order_of_commits)
{
    JobFixture f;
    open_copy(&f);
    SliceSet set = claim_all(&f, f.conn, f.run);
    cr_expect(eq(int, LOG_SLICES, set.count));
    pg_exec(f.sql, "INSERT INTO src SELECT g, 'v' || g, g FROM generate_series(1, 40) AS g");
    expect_drained(&f, &set, 40);
    expect_drained(&f, &set, 0);

    /* The smaller ids commit last, of a transaction that read before anything was drained. */
    Session *slow = session_open(f.uri);
    pg_exec(session_conn(slow),
        "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM src;"
        "DELETE FROM src WHERE id = 1; UPDATE src SET id = 50 WHERE id = 2");
    pg_exec(f.sql, "DELETE FROM src WHERE id = 3; INSERT INTO src VALUES (3, 'again', 3);"
                   "UPDATE src SET v = 'new' WHERE id = 4");
    expect_drained(&f, &set, 3);
    pg_exec(session_conn(slow), "COMMIT");
    expect_drained(&f, &set, 3);

    /* One key, deleted and inserted by two transactions, drained in between. */
    pg_exec(f.sql, "DELETE FROM src WHERE id = 7");
    expect_drained(&f, &set, 1);
    pg_exec(f.sql, "INSERT INTO src VALUES (7, 'back', 7); DELETE FROM src WHERE id = 7;"
                   "INSERT INTO src VALUES (7, 'for good', 7)");
    expect_drained(&f, &set, 3);
    cr_expect(eq(i64, 0, entries(&f)));
    session_close(slow);
    job_fixture_close(&f);
}

Test(changelog, nothing_is_drained_from_or_into_a_table_that_was_changed)
{
    static const char *const SWAP =
        "ALTER TABLE %s RENAME v TO spare; ALTER TABLE %s RENAME w TO v;"
        "ALTER TABLE %s RENAME spare TO w";
    static const char *const TABLE[] = {"src", "dst"};
    JobFixture f;
    job_fixture_open(&f,
        "CREATE TABLE src (id int PRIMARY KEY, v text, w text);"
        "CREATE TABLE dst (id int PRIMARY KEY, v text, w text)",
        "job: j\ncopy: src\ninto: dst\nthrottle: {standbys: none}\n");
    SliceSet set = claim_all(&f, f.conn, f.run);
    pg_exec(f.sql, "INSERT INTO src VALUES (1, 'v', 'w')");
    for (int t = 0; t < 2; t++) {
        pg_execf(f.sql, SWAP, TABLE[t], TABLE[t], TABLE[t]);
        int refused = 0;
        for (int i = 0; i < set.count; i++) {
            PGresult *result = PQexec(f.sql, drain_sql(&f, &set.slices[i], ALL_ENTRIES));
            const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
            refused += state != NULL && strcmp(state, "PH001") == 0;
            PQclear(result);
        }
        cr_expect(eq(int, 1, refused), "the slice that has the entry, of %s", TABLE[t]);
        cr_expect(eq(i64, 1, entries(&f)));
        pg_execf(f.sql, SWAP, TABLE[t], TABLE[t], TABLE[t]);
    }
    int64_t looked_at = 0;
    int64_t kept = 0;
    drain_each(&f, &set, &looked_at, &kept);
    cr_expect(eq(i64, 1, pg_int(f.sql, "SELECT count(*) FROM dst WHERE v = 'v' AND w = 'w'")));
    job_fixture_close(&f);
}

/* Keys 1.. of which no two adjacent ones are of one slice, so that each has to wait for another. */
Test(changelog, unique_values_change_hands_between_slices)
{
    JobFixture f;
    open_copy(&f);
    SliceSet set = claim_all(&f, f.conn, f.run);
    pg_exec(f.sql, "INSERT INTO src SELECT g, 'v', g FROM generate_series(1, 40) AS g");
    expect_drained(&f, &set, 40);
    pg_exec(f.sql, "UPDATE src SET u = u % 40 + 1");
    int64_t looked_at = 0;
    int64_t kept = 0;
    drain_each(&f, &set, &looked_at, &kept);
    cr_expect(eq(i64, 40, looked_at));
    cr_expect(lt(i64, 0, kept), "rows had to wait");
    cr_expect(eq(i64, kept, entries(&f)));
    for (int i = 0; i < 10 && kept > 0; i++) {
        drain_each(&f, &set, &looked_at, &kept);
    }
    expect_drained(&f, &set, 0);

    /* A value that nobody gives back: the entry is kept, and told when it is asked for. */
    pg_exec(f.sql, "INSERT INTO dst VALUES (1000, 'other', 99);"
                   "INSERT INTO src VALUES (41, 'v', 99)");
    drain_each(&f, &set, &looked_at, &kept);
    cr_expect(eq(i64, 1, kept));
    int refused = 0;
    for (int i = 0; i < set.count; i++) {
        char sqlstate[6];
        refused += pg_try(f.sql, drain_sql(&f, &set.slices[i], "1, 0, true"), sqlstate) ? 0 : 1;
    }
    cr_expect(eq(int, 1, refused));
    job_fixture_close(&f);
}

/* Every job has all slices, so that no run drains the keys of another one's. */
Test(changelog, keys_are_cut_as_they_were_when_the_job_began)
{
    JobFixture f;
    open_copy(&f);
    Err err = ERR_INIT;
    IndexFacts *indexes = (IndexFacts *)(uintptr_t)f.survey.plan.copy->into->indexes;
    cr_assert(lt(int, 0, f.survey.plan.copy->into->index_count));
    indexes[0].immediate = false; /* as another run may see it later on */
    cr_assert(eq(int, 1, sql_log_slices(&f.survey.plan)));
    cr_expect(not(changelog_put_slices(f.conn, &f.survey.plan, f.job.id, &err)));
    cr_expect(eq(int, ERR_REFUSED, (int)err.cls));
    err = ERR_INIT;
    SliceSet set = claim_all(&f, f.conn, f.run);
    cr_expect(eq(int, LOG_SLICES, set.count));
    pg_exec(f.sql, "INSERT INTO src SELECT g, 'v' || g, g FROM generate_series(1, 40) AS g");
    Arena arena = ARENA_INIT;
    int with_entries = 0;
    for (int i = 0; i < set.count; i++) {
        SlicePlace place = {&set.slices[i], 0};
        const char *key = NULL;
        cr_expect(eq(int, LOG_SLICES, set.slices[i].slices));
        cr_assert(changelog_next_key(f.conn, &f.survey.plan, &place, &arena, &key, &err), "%s",
            err.message);
        with_entries += key != NULL ? 1 : 0;
    }
    cr_expect(eq(int, LOG_SLICES, with_entries));
    expect_drained(&f, &set, 40);
    arena_reset(&arena);
    job_fixture_close(&f);
}

/* One step, as if the time for it had come. */
static void
raise_floor(JobFixture *f, DrainFloor *floor)
{
    Err err = ERR_INIT;
    ChangelogState state = {.last_id = 0};
    floor->stepped_us = 0;
    cr_assert(
        changelog_state_above(f->conn, &f->survey.plan, f->job.id, floor->id, &state, &err) &&
            drain_floor_raise(floor, f->conn, &f->survey.plan, f->job.id, state.last_id, &err),
        "%s", err.message);
}

Test(changelog, below_the_floor_nothing_is_looked_for_and_nothing_can_come)
{
    JobFixture f;
    open_copy(&f);
    DrainFloor floor = {.id = 0};
    SliceSet set = claim_all(&f, f.conn, f.run);
    Session *slow = session_open(f.uri);
    pg_exec(session_conn(slow), "BEGIN; INSERT INTO src VALUES (1, 'slow', 1)");
    pg_exec(f.sql, "INSERT INTO src VALUES (2, 'a', 2), (3, 'b', 3)");
    raise_floor(&f, &floor); /* the greatest id */
    raise_floor(&f, &floor); /* the fence */
    cr_expect(eq(i64, 3, floor.candidate));
    expect_drained(&f, &set, 2);
    raise_floor(&f, &floor);
    cr_expect(eq(i64, 0, floor.id), "a transaction with a lesser id is open");
    pg_exec(session_conn(slow), "COMMIT");
    raise_floor(&f, &floor);
    cr_expect(eq(i64, 0, floor.id), "it has committed, and is not drained");
    expect_drained(&f, &set, 1);
    /* A fence is of the whole cluster: another test's transaction may hold it for a while. */
    int64_t until_us = clock_mono_us() + HARNESS_TIMEOUT_US;
    while (floor.id == 0 && clock_mono_us() < until_us) {
        raise_floor(&f, &floor);
        harness_nap_us(10000);
    }
    cr_expect(eq(i64, 3, floor.id));
    session_close(slow);
    job_fixture_close(&f);
}

/* ---- leases ---- */

static void
expect_outcome(JobFixture *f, PGconn *conn, const SliceLease *slice, const char *outcome)
{
    char *text = pg_text(conn, drain_sql(f, slice, ALL_ENTRIES));
    cr_expect(eq(int, 0, strncmp(text, outcome, strlen(outcome))), "%s", text);
    free(text);
}

Test(changelog, a_slice_that_was_taken_over_is_lost_before_anything_is_changed)
{
    JobFixture f;
    open_copy(&f);
    Err err = ERR_INIT;
    SliceSet first = claim_all(&f, f.conn, f.run);
    PgConn *other = job_fixture_connect(&f, CONN_WORKER);
    SliceSet none = claim_all(&f, other, f.run + 1);
    cr_expect(eq(int, 0, none.count), "their owner is alive");

    pg_exec(f.sql, "INSERT INTO src VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3), (4, 'd', 4)");
    pg_exec(f.sql, "UPDATE pghaul.run SET heartbeat = now() - interval '1 h'");
    SliceSet second = claim_all(&f, other, f.run + 1);
    cr_expect(eq(int, first.count, second.count), "the first one's run is dead");
    for (int i = 0; i < first.count; i++) {
        expect_outcome(&f, f.sql, &first.slices[i], "lost");
    }
    cr_expect(eq(i64, 0, pg_int(f.sql, "SELECT count(*) FROM dst")));
    expect_drained(&f, &second, 4);

    cr_expect(changelog_release(other, &first.slices[0], &err), "%s", err.message);
    expect_outcome(&f, f.sql, &second.slices[0], "drained");
    cr_expect(changelog_release(other, &second.slices[0], &err), "%s", err.message);
    expect_outcome(&f, f.sql, &second.slices[0], "lost");

    pg_exec(f.sql, "UPDATE pghaul.run SET heartbeat = now()");
    SliceSet third = claim_all(&f, f.conn, 0);
    SliceSet fourth = claim_all(&f, other, f.run);
    cr_expect(eq(int, third.count, fourth.count), "a cutover is no run, alive as its session is");
    conn_close(other);
    job_fixture_close(&f);
}

/* The zombie's batch is in flight: nobody takes its slice before that has ended. */
Test(changelog, a_batch_in_flight_holds_its_slice_until_it_ends)
{
    JobFixture f;
    open_copy(&f);
    SliceSet first = claim_all(&f, f.conn, f.run);
    pg_exec(f.sql, "INSERT INTO src SELECT g, 'v' || g, g FROM generate_series(1, 20) AS g");
    Session *zombie = session_open(f.uri);
    pg_exec(session_conn(zombie), "BEGIN");
    expect_outcome(&f, session_conn(zombie), &first.slices[0], "drained");
    pg_exec(f.sql, "UPDATE pghaul.run SET heartbeat = now() - interval '1 h'");
    PgConn *other = job_fixture_connect(&f, CONN_WORKER);
    SliceSet second = claim_all(&f, other, f.run + 1);
    cr_expect(eq(int, first.count - 1, second.count));
    pg_exec(session_conn(zombie), "COMMIT");
    SliceSet third = claim_all(&f, other, f.run + 1);
    cr_expect(eq(int, first.count, third.count));
    expect_outcome(&f, session_conn(zombie), &first.slices[0], "lost");
    int64_t looked_at = 0;
    int64_t kept = 0;
    drain_each(&f, &third, &looked_at, &kept);
    cr_expect(eq(i64, 0, pg_int(f.sql, DIFFERENT)));
    conn_close(other);
    session_close(zombie);
    job_fixture_close(&f);
}

/* ---- what it costs ---- */

static double
seconds_of(JobFixture *f, const char *sql)
{
    int64_t begun_us = clock_mono_us();
    pg_exec(f->sql, sql);
    return (double)(clock_mono_us() - begun_us) / 1e6;
}

Test(changelog, cost_of_the_trigger_is_a_few_microseconds_a_row)
{
    JobFixture f;
    open_copy(&f);
    pg_exec(f.sql, "CREATE TABLE plain (LIKE src INCLUDING ALL)");
    double plain_s = 0;
    double logged_s = 0;
    for (int i = 0; i < 3; i++) { /* the best of three */
        double without = seconds_of(
            &f, "INSERT INTO plain SELECT g, 'v', g FROM generate_series(1, 30000) AS g");
        double with =
            seconds_of(&f, "INSERT INTO src SELECT g, 'v', g FROM generate_series(1, 30000) AS g");
        plain_s = i == 0 || without < plain_s ? without : plain_s;
        logged_s = i == 0 || with < logged_s ? with : logged_s;
        pg_exec(f.sql, "TRUNCATE plain; TRUNCATE src");
    }
    double cost_us = (logged_s - plain_s) / 30000 * 1e6;
    (void)fprintf(stderr, "figures: change log trigger: %.1f us a row\n", cost_us);
    cr_expect(lt(dbl, cost_us, 200.0));
    job_fixture_close(&f);
}
