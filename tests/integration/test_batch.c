/*
 * test_batch.c - what one batch promises while others work on the same rows and ranges.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "harness/harness.h"
#include "integration/job_fixture.h"

#define TABLE                                                                                      \
    "CREATE TABLE t (id bigint PRIMARY KEY, src text, wanted bool DEFAULT true, c text);"          \
    "INSERT INTO t (id, src) SELECT g, 'v' || g FROM generate_series(1, 60) AS g;"
#define THROTTLE "throttle: {standbys: none}\n"
#define BY_KEY   "job: j\nbackfill: t\npath: key\nset:\n  c: upper(src)\n" THROTTLE
#define NO_SYNC  "job: j\nbackfill: t\nsync: none\nset:\n  c: upper(src)\n" THROTTLE
#define BY_BLOCK "job: j\nbackfill: t\npath: block\nset:\n  c: upper(src)\n" THROTTLE
#define CHOSEN   "job: j\nbackfill: t\nsync: none\nwhere: wanted\nset:\n  c: upper(src)\n" THROTTLE
#define SELF     "job: j\nbackfill: t\nset:\n  c: c || src\n" THROTTLE

/* The outcome of a batch that must succeed; owned by the caller. */
static char *
outcome(JobFixture *f, const RangeLease *lease, const char *rest)
{
    return pg_text(f->sql, job_fixture_call(f, "move", lease, rest));
}

static void
expect_outcome(JobFixture *f, const RangeLease *lease, const char *rest, const char *expected)
{
    char *text = outcome(f, lease, rest);
    cr_expect(eq(str, text, (char *)(uintptr_t)expected), "line of %s", expected);
    free(text);
}

/* Rows that are not what the job says. */
#define WRONG "SELECT count(*) FROM t WHERE c IS DISTINCT FROM upper(src)"

/* A batch waits as long as it must, so that a test can decide who comes first. */
static void
make_batches_patient(JobFixture *f)
{
    char *alter = pg_text(f->sql, "SELECT string_agg(format('ALTER FUNCTION %s SET lock_timeout = "
                                  "''50s''', oid::regprocedure), '; ') FROM pg_proc"
                                  " WHERE proname ~ '^(move|isolate_key)_'");
    pg_exec(f->sql, alter);
    free(alter);
}

/* ---- the compare-and-set ---- */

Test(batch, any_difference_from_the_checkpoint_is_lost_and_changes_nothing)
{
    JobFixture f;
    job_fixture_open(&f, TABLE, BY_KEY);
    const RangeLease lease = job_fixture_range(&f, NULL, NULL, 2);
    for (int difference = 0; difference < 6; difference++) {
        RangeLease wrong = lease;
        wrong.epoch += difference == 0 ? 1 : 0;
        wrong.epoch -= difference == 1 ? 1 : 0;
        wrong.pass += difference == 2 ? 1 : 0;
        wrong.stripe += difference == 3 ? 1 : 0;
        wrong.watermark = difference == 4 ? "{7}" : NULL;
        if (difference == 5) {
            wrong.token[0] = wrong.token[0] == '0' ? '1' : '0';
        }
        expect_outcome(&f, &wrong, PLAIN_BATCH, "lost");
    }
    cr_expect(eq(i64, 0, pg_int(f.sql, "SELECT count(c) FROM t")));
    cr_expect(eq(i64, 0, pg_int(f.sql, "SELECT sum(rows + batches) FROM pghaul.ranges")));

    expect_outcome(&f, &lease, "7, false", "more");
    expect_outcome(&f, &lease, "7, false", "lost");
    cr_expect(eq(i64, 7, pg_int(f.sql, "SELECT count(c) FROM t")), "7 rows of stripe 0 of 14 keys");
    job_fixture_close(&f);
}

Test(batch, a_range_that_was_released_is_lost_to_its_former_owner)
{
    JobFixture f;
    Err err = ERR_INIT;
    job_fixture_open(&f, TABLE, BY_BLOCK);
    RangeLease lease = job_fixture_range(&f, "{0}", "{1}", 8);
    RangeOwner owner = job_fixture_owner(&f);
    cr_assert(ranges_release(f.conn, &owner, &lease, &err), "%s", err.message);
    expect_outcome(&f, &lease, PLAIN_BATCH, "lost");
    job_fixture_close(&f);
}

Test(batch, one_that_ends_with_its_range_is_the_last)
{
    JobFixture f;
    job_fixture_open(&f, TABLE, BY_KEY);
    RangeLease lease = job_fixture_range(&f, NULL, "{7}", 1);
    expect_outcome(&f, &lease, "7, false", "done");
    cr_expect(eq(i64, 7, pg_int(f.sql, "SELECT count(c) FROM t WHERE id <= 7")));
    pg_exec(f.sql, "UPDATE pghaul.job SET frontier = NULL");
    lease = job_fixture_range(&f, "{7}", "{14}", 1);
    expect_outcome(&f, &lease, "6, false", "more");
    job_fixture_close(&f);
}

/* ---- owners that come and go ---- */

/* A session whose batch of seven keys has run and is not yet committed. */
static Session *
begin_batch(JobFixture *f, const RangeLease *lease)
{
    Session *session = session_open(f->uri);
    pg_exec(session_conn(session), "BEGIN");
    session_send(session, job_fixture_call(f, "move", lease, "7, false"));
    session_expect_ok(session, HARNESS_TIMEOUT_US);
    return session;
}

/* Nobody has heard of the run for longer than the lease. */
static void
silence_run(JobFixture *f)
{
    pg_exec(f->sql, "UPDATE pghaul.run SET heartbeat = heartbeat - interval '1 hour'");
}

Test(batch, a_thief_takes_over_where_the_zombie_committed)
{
    JobFixture f;
    Err err = ERR_INIT;
    job_fixture_open(&f, TABLE, BY_KEY);
    RangeLease lease = job_fixture_range(&f, NULL, NULL, 1);
    Session *zombie = begin_batch(&f, &lease);
    silence_run(&f);

    RangeOwner owner = job_fixture_owner(&f);
    RangeLease stolen;
    bool claimed = true;
    cr_assert(ranges_claim(f.conn, &owner, &f.arena, &stolen, &claimed, &err), "%s", err.message);
    cr_expect(not(claimed), "its batch is still undecided");

    pg_exec(session_conn(zombie), "COMMIT");
    cr_assert(ranges_claim(f.conn, &owner, &f.arena, &stolen, &claimed, &err), "%s", err.message);
    cr_assert(claimed);
    cr_expect(eq(str, (char *)(uintptr_t)stolen.watermark, "{7}"));
    cr_expect(eq(i64, lease.epoch + 1, stolen.epoch));

    RangeLease believed = lease;
    believed.watermark = "{7}";
    expect_outcome(&f, &believed, PLAIN_BATCH, "lost");
    expect_outcome(&f, &stolen, PLAIN_BATCH, "done");
    cr_expect(eq(i64, 0, pg_int(f.sql, WRONG)));
    cr_expect(eq(i64, 60, pg_int(f.sql, "SELECT rows FROM pghaul.ranges")));
    session_close(zombie);
    job_fixture_close(&f);
}

Test(batch, a_live_owner_keeps_its_range_and_a_dead_session_loses_it_at_once)
{
    JobFixture f;
    Err err = ERR_INIT;
    job_fixture_open(&f, TABLE, BY_KEY);
    (void)job_fixture_range(&f, NULL, NULL, 1);
    PgConn *other = job_fixture_connect(&f, CONN_WORKER);
    RangeOwner owner = job_fixture_owner(&f);
    RangeLease stolen;
    bool claimed = true;
    cr_assert(ranges_claim(other, &owner, &f.arena, &stolen, &claimed, &err), "%s", err.message);
    cr_expect(not(claimed));

    int pid = conn_backend_pid(f.conn);
    conn_close(f.conn);
    f.conn = NULL;
    char gone[128];
    (void)snprintf(
        gone, sizeof(gone), "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %d)", pid);
    pg_wait_true(f.sql, gone, HARNESS_TIMEOUT_US);
    cr_assert(ranges_claim(other, &owner, &f.arena, &stolen, &claimed, &err), "%s", err.message);
    cr_expect(claimed);
    conn_close(other);
    job_fixture_close(&f);
}

Test(batch, a_re_read_waits_until_the_old_transaction_is_decided)
{
    JobFixture f;
    Err err = ERR_INIT;
    job_fixture_open(&f, TABLE, BY_KEY);
    RangeLease lease = job_fixture_range(&f, NULL, NULL, 1);
    Session *old = begin_batch(&f, &lease);

    RangeOwner owner = job_fixture_owner(&f);
    bool still_ours = false;
    cr_expect(not(ranges_reread(f.conn, &owner, &f.arena, &lease, &still_ours, &err)));
    cr_expect(eq(int, ERR_RETRY, err.cls), "%s", err.message);

    pg_exec(session_conn(old), "COMMIT");
    err = ERR_INIT;
    cr_assert(
        ranges_reread(f.conn, &owner, &f.arena, &lease, &still_ours, &err), "%s", err.message);
    cr_expect(still_ours);
    cr_expect(eq(str, (char *)(uintptr_t)lease.watermark, "{7}"));
    session_close(old);
    job_fixture_close(&f);
}

Test(batch, a_claim_steps_over_a_range_with_a_batch_in_flight)
{
    JobFixture f;
    Err err = ERR_INIT;
    job_fixture_open(&f, TABLE, BY_KEY);
    RangeLease first = job_fixture_range(&f, NULL, "{30}", 1);
    RangeLease second = job_fixture_range(&f, "{30}", NULL, 1);
    RangeOwner owner = job_fixture_owner(&f);
    cr_assert(ranges_release(f.conn, &owner, &first, &err) &&
              ranges_release(f.conn, &owner, &second, &err));
    Session *holder = session_open(f.uri);
    session_lock_rows(holder, "pghaul.ranges", "no = 1");
    bool claimed = false;
    RangeLease lease;
    cr_assert(ranges_claim(f.conn, &owner, &f.arena, &lease, &claimed, &err), "%s", err.message);
    cr_expect(claimed);
    cr_expect(eq(i64, second.no, lease.no));
    cr_expect(eq(str, (char *)(uintptr_t)lease.low, "{30}"));
    session_close(holder);
    job_fixture_close(&f);
}

/* ---- rows that the application holds ---- */

static void
check_skipping(const char *job, const char *low, const char *high)
{
    JobFixture f;
    Err err = ERR_INIT;
    job_fixture_open(&f, TABLE, job);
    RangeLease lease = job_fixture_range(&f, low, high, 1);
    Session *app = session_open(f.uri);
    pg_exec(session_conn(app), "BEGIN; SELECT FROM t WHERE id IN (5, 6) FOR UPDATE");
    const char *call = job_fixture_call(&f, "move", &lease, SKIPPING_BATCH);
    pg_execf(f.sql, "CREATE TABLE answer AS %s", call);
    cr_expect(eq(i64, 1,
        pg_intf(f.sql,
            "SELECT count(*) FROM answer WHERE pghaul_outcome = 'partial'"
            " AND pghaul_rows = 58 AND pghaul_left = 2"
            " AND pghaul_holders = '{%d}'",
            session_backend_pid(app))));
    cr_expect(eq(i64, 2, pg_int(f.sql, WRONG)));
    cr_expect(eq(i64, 1,
        pg_int(f.sql, "SELECT count(*) FROM pghaul.ranges"
                      " WHERE state = 'partial' AND visits = 1 AND leftover = 0"
                      "   AND stripe = 0 AND watermark IS NULL")));

    pg_exec(session_conn(app), "ROLLBACK");
    pg_wait_true(
        f.sql, "SELECT retry_at < clock_timestamp() FROM pghaul.ranges", HARNESS_TIMEOUT_US);
    RangeOwner owner = job_fixture_owner(&f);
    bool claimed = false;
    cr_assert(ranges_claim(f.conn, &owner, &f.arena, &lease, &claimed, &err), "%s", err.message);
    cr_assert(claimed);
    expect_outcome(&f, &lease, SKIPPING_BATCH, "done");
    cr_expect(eq(i64, 0, pg_int(f.sql, WRONG)));
    cr_expect(eq(i64, 60, pg_int(f.sql, "SELECT rows FROM pghaul.ranges")));
    session_close(app);
    job_fixture_close(&f);
}

Test(batch, locked_rows_are_left_counted_and_named_and_done_at_a_later_visit_by_key)
{
    check_skipping(BY_KEY, NULL, NULL);
}

Test(batch, locked_rows_are_left_counted_and_named_and_done_at_a_later_visit_by_block)
{
    check_skipping(BY_BLOCK, "{0}", "{1}");
}

Test(batch, a_locked_row_fails_a_plain_batch_within_moments)
{
    JobFixture f;
    char sqlstate[6];
    job_fixture_open(&f, TABLE, BY_KEY);
    RangeLease lease = job_fixture_range(&f, NULL, NULL, 1);
    Session *app = session_open(f.uri);
    session_lock_rows(app, "t", "id = 5");
    cr_expect(not(pg_try(f.sql, job_fixture_call(&f, "move", &lease, PLAIN_BATCH), sqlstate)));
    cr_expect(eq(str, sqlstate, "55P03"));
    cr_expect(eq(i64, 0, pg_int(f.sql, "SELECT count(c) FROM t")));
    session_close(app);
    job_fixture_close(&f);
}

/* ---- an operator's lock on the table ---- */

/* A batch that reads first and then asks for its own lock would be one half of a deadlock. */
static void
check_stronger_lock(const char *what, const char *rest)
{
    JobFixture f;
    job_fixture_open(&f, TABLE, BY_KEY "on_error: quarantine\n");
    make_batches_patient(&f);
    RangeLease lease = job_fixture_range(&f, NULL, NULL, 1);
    Session *dba = session_open(f.uri);
    Session *mover = session_open(f.uri);
    pg_exec(session_conn(dba), "BEGIN; CREATE INDEX ON t (src)");
    session_send(mover, job_fixture_call(&f, what, &lease, rest));
    session_wait_blocked(mover, f.sql, HARNESS_TIMEOUT_US);
    session_send(dba, "ALTER TABLE t ALTER src SET STATISTICS 50; TRUNCATE t");
    session_expect_ok(dba, HARNESS_TIMEOUT_US);
    pg_exec(session_conn(dba), "COMMIT");
    session_expect_ok(mover, HARNESS_TIMEOUT_US);
    session_close(mover);
    session_close(dba);
    job_fixture_close(&f);
}

Test(batch, whoever_has_kept_it_out_may_ask_for_a_stronger_lock_while_it_waits)
{
    check_stronger_lock("move", PLAIN_BATCH);
    check_stronger_lock("move", SKIPPING_BATCH);
    check_stronger_lock("isolate_key", PLAIN_BATCH);
}

/* Not of all functions: a grant of the trigger's would be drift. */
#define MAY_MOVE                                                                                   \
    "GRANT USAGE ON SCHEMA pghaul TO column_mover;"                                                \
    "GRANT ALL ON ALL TABLES IN SCHEMA pghaul TO column_mover;"                                    \
    "GRANT ALL ON FUNCTION pghaul.table_signature TO column_mover;"                                \
    "GRANT SELECT, UPDATE (c) ON t TO column_mover;"                                               \
    "DO $$ BEGIN EXECUTE (SELECT format('GRANT ALL ON FUNCTION %s TO column_mover',"               \
    " oid::regprocedure) FROM pg_proc WHERE proname ~ '^move_'); END $$;"                          \
    "SET LOCAL ROLE column_mover"

Test(batch, a_role_that_may_change_the_column_only_moves_as_well)
{
    JobFixture f;
    job_fixture_open(&f, TABLE, BY_KEY);
    RangeLease lease = job_fixture_range(&f, NULL, NULL, 1);
    pg_exec(f.sql, "BEGIN; CREATE ROLE column_mover;" MAY_MOVE);
    expect_outcome(&f, &lease, PLAIN_BATCH, "done");
    pg_exec(f.sql, "ROLLBACK");
    job_fixture_close(&f);
}

/* ---- the application changes a row while the batch waits for it ---- */

typedef struct Race {
    const char *job;
    const char *low;
    const char *high;
    const char *change; /* what the application commits while the batch waits */
    const char *wrong;
} Race;

static void
check_race(const Race *race)
{
    JobFixture f;
    job_fixture_open(&f, TABLE, race->job);
    make_batches_patient(&f);
    RangeLease lease = job_fixture_range(&f, race->low, race->high, 1);
    Session *app = session_open(f.uri);
    Session *mover = session_open(f.uri);
    pg_exec(session_conn(app), "BEGIN");
    pg_exec(session_conn(app), race->change);
    session_send(mover, job_fixture_call(&f, "move", &lease, PLAIN_BATCH));
    session_wait_blocked(mover, f.sql, HARNESS_TIMEOUT_US);
    pg_exec(session_conn(app), "COMMIT");
    session_expect_ok(mover, HARNESS_TIMEOUT_US);
    cr_expect(eq(i64, 0, pg_int(f.sql, race->wrong)), "%s", race->change);
    cr_expect(eq(i64, 1, pg_int(f.sql, "SELECT count(*) FROM pghaul.ranges WHERE state = 'done'")));
    session_close(mover);
    session_close(app);
    job_fixture_close(&f);
}

Test(batch, a_source_that_changed_meanwhile_is_read_anew)
{
    static const Race RACES[] = {
        {NO_SYNC, NULL, NULL, "UPDATE t SET src = 'changed' WHERE id = 30", WRONG},
        {BY_KEY, NULL, NULL, "UPDATE t SET src = 'changed' WHERE id = 30", WRONG},
        {BY_BLOCK, "{0}", "{1}", "UPDATE t SET src = repeat('changed', 1000) WHERE id = 30", WRONG},
        {NO_SYNC, NULL, NULL, "DELETE FROM t WHERE id = 30", WRONG},
    };
    for (size_t i = 0; i < sizeof(RACES) / sizeof(RACES[0]); i++) {
        check_race(&RACES[i]);
    }
}

Test(batch, a_predicate_that_turned_false_meanwhile_is_asked_again)
{
    static const Race RACE = {CHOSEN, NULL, NULL, "UPDATE t SET wanted = false WHERE id = 30",
        "SELECT count(*) FROM t WHERE c IS DISTINCT FROM CASE WHEN id <> 30 THEN upper(src) END"};
    check_race(&RACE);
}

Test(batch, a_self_referring_row_builds_on_what_the_application_left)
{
    static const Race RACE = {SELF, NULL, NULL, "UPDATE t SET c = 'app:' WHERE id = 30",
        "SELECT count(*) FROM t"
        " WHERE c IS DISTINCT FROM CASE WHEN id = 30 THEN 'app:v30' END"};
    check_race(&RACE);
}

/* ---- drift ---- */

static void
expect_drift(const char *job, const char *change, const char *sqlstate)
{
    JobFixture f;
    char got[6];
    job_fixture_open(&f, TABLE, job);
    bool by_block = f.survey.plan.path == PATH_BLOCK;
    RangeLease lease =
        job_fixture_range(&f, by_block ? "{0}" : NULL, by_block ? "{1}" : NULL, by_block ? 8 : 1);
    const char *call = job_fixture_call(&f, "move", &lease, PLAIN_BATCH);
    pg_exec(f.sql, change);
    cr_expect(not(pg_try(f.sql, call, got)), "%s", change);
    cr_expect(eq(str, got, (char *)(uintptr_t)sqlstate), "%s", change);
    cr_expect(eq(i64, 0, pg_int(f.sql, "SELECT sum(rows) FROM pghaul.ranges")));
    job_fixture_close(&f);
}

Test(batch, a_changed_trigger_or_a_rewritten_table_ends_it)
{
    expect_drift(BY_BLOCK, "ALTER TABLE t DISABLE TRIGGER USER", "PH001");
    expect_drift(BY_BLOCK,
        "ALTER TABLE t DISABLE TRIGGER USER; ALTER TABLE t ENABLE ALWAYS TRIGGER "
        "\"zzzz_pghaul_1\"",
        "PH001");
    expect_drift(BY_BLOCK,
        "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RETURN NEW; END'; CREATE TRIGGER mine BEFORE UPDATE ON t FOR EACH ROW"
        " EXECUTE FUNCTION mine()",
        "PH001");
    expect_drift(BY_BLOCK, "VACUUM FULL t", "PH002");
}

#define SWAP                                                                                       \
    "ALTER TABLE t RENAME c TO swapped; ALTER TABLE t RENAME src TO c;"                            \
    "ALTER TABLE t RENAME swapped TO src"

Test(batch, a_changed_table_ends_it_with_and_without_a_trigger)
{
    static const char *const JOBS[] = {BY_BLOCK, BY_KEY, NO_SYNC, SELF};
    static const char *const CHANGES[] = {
        SWAP,
        "CREATE TABLE other (LIKE t INCLUDING ALL); ALTER TABLE t RENAME TO t_old;"
        "ALTER TABLE other RENAME TO t",
        "ALTER TABLE t ALTER c TYPE varchar(50)",
        "ALTER TABLE t SET UNLOGGED",
    };
    for (size_t i = 0; i < sizeof(JOBS) / sizeof(JOBS[0]); i++) {
        for (size_t c = 0; c < sizeof(CHANGES) / sizeof(CHANGES[0]); c++) {
            expect_drift(JOBS[i], CHANGES[c], "PH001");
        }
    }
}

/* All batches are done; the last statement of the job looks once more. */
Test(batch, no_job_completes_on_a_table_that_has_changed)
{
    JobFixture f;
    Err err = ERR_INIT;
    job_fixture_open(&f, TABLE, NO_SYNC);
    cr_assert(job_set_state(f.conn, f.job.id, JOB_READY, NULL, &err) &&
              job_set_state(f.conn, f.job.id, JOB_RUNNING, NULL, &err));
    pg_exec(f.sql, "ALTER TABLE t RENAME c TO was_c");
    cr_expect(not(job_set_state(f.conn, f.job.id, JOB_COMPLETE, NULL, &err)));
    cr_expect(eq(int, ERR_DRIFT, err.cls), "%s", err.message);
    cr_expect(eq(str, err.message, "column c was renamed to was_c"));
    pg_exec(f.sql, "ALTER TABLE t RENAME was_c TO c");
    err = ERR_INIT;
    cr_expect(job_set_state(f.conn, f.job.id, JOB_COMPLETE, NULL, &err), "%s", err.message);
    job_fixture_close(&f);
}
