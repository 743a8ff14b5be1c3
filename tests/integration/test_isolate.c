/*
 * test_isolate.c - one batch row by row, while others hold its rows, and what a job without refused
 * rows pays for it.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "harness/harness.h"
#include "integration/job_fixture.h"
#include "pg/sqlstate.h"

#define TABLE                                                                                      \
    "CREATE TABLE t (id bigint PRIMARY KEY, src text, c int);"                                     \
    "INSERT INTO t (id, src) SELECT g, CASE WHEN g IN (5, 6, 40) THEN 'bad' ELSE g::text END"      \
    "  FROM generate_series(1, 60) AS g;"
#define REST     "throttle: {standbys: none}\non_error: quarantine\n"
#define BY_BLOCK "job: j\nbackfill: t\npath: block\nset:\n  c: src::int\n" REST
#define BY_KEY   "job: j\nbackfill: t\npath: key\nset:\n  c: src::int\n" REST

#define KEYS "SELECT array_agg(key[1]::int ORDER BY key[1]::int)::text FROM pghaul.quarantine"

/* Rows that may be set aside, and whether locked rows are skipped. */
#define LIMIT_3      "3, false"
#define LIMIT_2      "2, false"
#define SKIP_LIMIT_3 "3, true"

static void
expect_keys(JobFixture *f, const char *expected)
{
    char *keys = pg_text(f->sql, KEYS);
    cr_expect(eq(str, keys == NULL ? "none" : keys, (char *)(uintptr_t)expected));
    free(keys);
}

static void
expect_failure(JobFixture *f, const RangeLease *lease, const char *rest, const char *sqlstate)
{
    char got[6];
    cr_expect(not(pg_try(f->sql, job_fixture_call(f, "isolate_block", lease, rest), got)));
    cr_expect(eq(str, got, (char *)(uintptr_t)sqlstate));
    expect_keys(f, "none");
    cr_expect(eq(i64, 0, pg_int(f->sql, "SELECT count(c) FROM t")));
}

static void
expect_answer(JobFixture *f, const RangeLease *lease, const char *rest, const char *condition)
{
    pg_execf(f->sql, "DROP TABLE IF EXISTS answer; CREATE TABLE answer AS %s",
        job_fixture_call(f, "isolate_block", lease, rest));
    cr_expect(eq(i64, 1, pg_intf(f->sql, "SELECT count(*) FROM answer WHERE %s", condition)), "%s",
        condition);
}

Test(isolate, refused_rows_are_set_aside_in_the_transaction_of_the_batch)
{
    JobFixture f;
    job_fixture_open(&f, TABLE, BY_BLOCK);
    RangeLease lease = job_fixture_range(&f, "{0}", "{1}", 1);
    pg_exec(f.sql, "BEGIN");
    expect_answer(&f, &lease, LIMIT_3,
        "pghaul_outcome = 'done' AND pghaul_rows = 57 AND pghaul_aside = 3 AND pghaul_left = 0");
    expect_keys(&f, "{5,6,40}");
    pg_exec(f.sql, "ROLLBACK");
    expect_failure(&f, &lease, LIMIT_2, SQLSTATE_LIMIT);
    expect_answer(&f, &lease, LIMIT_3, "pghaul_rows = 57");
    expect_keys(&f, "{5,6,40}");
    cr_expect(eq(i64, 57, pg_int(f.sql, "SELECT count(*) FROM t WHERE c = id")));

    /* What is set aside is left out of everything, before its expression is evaluated. */
    lease = job_fixture_range(&f, "{0}", "{1}", 1);
    pg_exec(f.sql, "UPDATE t SET c = NULL WHERE id = 40");
    char *again = pg_text(f.sql, job_fixture_call(&f, "move", &lease, SKIPPING_BATCH));
    cr_expect(eq(str, again, "done"));
    free(again);
    job_fixture_close(&f);
}

Test(isolate, a_refused_row_that_somebody_holds_is_neither_waited_for_nor_set_aside)
{
    JobFixture f;
    Err err = ERR_INIT;
    job_fixture_open(&f, TABLE, BY_BLOCK);
    RangeLease lease = job_fixture_range(&f, "{0}", "{1}", 1);
    Session *app = session_open(f.uri);
    session_lock_rows(app, "t", "id IN (6, 7)");
    expect_failure(&f, &lease, LIMIT_3, "55P03");
    expect_answer(&f, &lease, SKIP_LIMIT_3,
        "pghaul_outcome = 'partial' AND pghaul_rows = 56 AND pghaul_aside = 2 AND pghaul_left = 2");
    expect_keys(&f, "{5,40}");
    session_close(app);

    pg_wait_true(
        f.sql, "SELECT retry_at < clock_timestamp() FROM pghaul.ranges", HARNESS_TIMEOUT_US);
    RangeOwner owner = job_fixture_owner(&f);
    bool claimed = false;
    cr_assert(ranges_claim(f.conn, &owner, &f.arena, &lease, &claimed, &err), "%s", err.message);
    cr_assert(claimed);
    expect_answer(&f, &lease, SKIP_LIMIT_3, "pghaul_outcome = 'done' AND pghaul_rows = 1");
    expect_keys(&f, "{5,6,40}");
    job_fixture_close(&f);
}

Test(isolate, a_row_that_is_moved_to_another_place_meanwhile_is_found_by_its_key)
{
    JobFixture f;
    job_fixture_open(&f, TABLE, "job: j\nbackfill: t\nset:\n  c: coalesce(c, 0) + src::int\n" REST);
    RangeLease lease = job_fixture_range(&f, "{6}", NULL, 1);
    char *alter = pg_text(f.sql, "SELECT format('ALTER FUNCTION %s SET lock_timeout = ''50s''',"
                                 " oid::regprocedure) FROM pg_proc WHERE proname ~ '^isolate_key'");
    pg_exec(f.sql, alter);
    free(alter);
    Session *app = session_open(f.uri);
    Session *mover = session_open(f.uri);
    pg_exec(session_conn(app), "BEGIN; UPDATE t SET src = '100' WHERE id = 7");
    session_send(mover, job_fixture_call(&f, "isolate_key", &lease, LIMIT_3));
    session_wait_blocked(mover, f.sql, HARNESS_TIMEOUT_US);
    pg_exec(session_conn(app), "COMMIT");
    session_expect_ok(mover, HARNESS_TIMEOUT_US);
    cr_expect(eq(i64, 100, pg_int(f.sql, "SELECT c FROM t WHERE id = 7")));
    expect_keys(&f, "none");
    session_close(mover);
    session_close(app);
    job_fixture_close(&f);
}

/* The function catches the states that make a batch ERR_POISON, and no others. */
Test(isolate, what_sets_a_row_aside_is_what_the_worker_takes_for_a_refused_row)
{
    static const char *const STATES[] = {"22P02", "22012", "22000", "23505", "23514", "23000",
        "21000", "54000", "54001", "P0001", "55P03", "40P01", "40001", "55006", "53200", "53100",
        "25006", "42883", "42501", "0A000", "XX000", "XX001", "58030", "PH001", "P0002", "38000"};
    JobFixture f;
    job_fixture_open(&f,
        "CREATE TABLE t (id bigint PRIMARY KEY, src text, c int); INSERT INTO t VALUES (1, 'x');"
        "CREATE FUNCTION f(text) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN"
        " IF current_setting(''test.state'', true) <> '''' THEN"
        " RAISE EXCEPTION USING ERRCODE = current_setting(''test.state''); END IF; RETURN 1; END'",
        "job: j\nbackfill: t\npath: key\nset:\n  c: f(src)\n" REST);
    RangeLease lease = job_fixture_range(&f, NULL, NULL, 1);
    for (size_t i = 0; i < sizeof(STATES) / sizeof(STATES[0]); i++) {
        char got[6] = "";
        pg_execf(f.sql, "BEGIN; SET LOCAL test.state = '%s'", STATES[i]);
        bool caught = pg_try(f.sql, job_fixture_call(&f, "isolate_key", &lease, LIMIT_3), got);
        pg_exec(f.sql, "ROLLBACK");
        cr_expect(eq(int, sqlstate_class(STATES[i]) == ERR_POISON, caught), "%s", STATES[i]);
        cr_expect(caught || strcmp(got, STATES[i]) == 0, "%s for %s", got, STATES[i]);
    }
    job_fixture_close(&f);
}

/* ---- what it costs where nothing is refused ---- */

static void
keep_notice(void *arg, const PGresult *notice)
{
    strbuf_puts(arg, PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY));
}

/* Plans of all statements of a batch. */
static void
explain_batch(JobFixture *f, const char *what, const RangeLease *lease, StrBuf *plans)
{
    PQnoticeReceiver before = PQsetNoticeReceiver(f->sql, keep_notice, plans);
    pg_exec(f->sql, "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0;"
                    "SET auto_explain.log_nested_statements = on; SET client_min_messages = log");
    pg_exec(f->sql, "BEGIN");
    pg_exec(f->sql, job_fixture_call(f, what, lease, "10, false"));
    pg_exec(f->sql, "ROLLBACK; SET auto_explain.log_min_duration = -1; RESET client_min_messages");
    (void)PQsetNoticeReceiver(f->sql, before, NULL);
}

static void
check_cost(const char *job_file, const char *what, const char *low, const char *high)
{
    static const char TEST[] = "hashed SubPlan";
    JobFixture f;
    job_fixture_open(&f, TABLE "DELETE FROM t WHERE src = 'bad';", job_file);
    RangeLease lease = job_fixture_range(&f, low, high, 1);
    STRBUF_AUTO clean = STRBUF_INIT;
    explain_batch(&f, what, &lease, &clean);
    cr_expect(strstr(strbuf_text(&clean), "Scan") != NULL, "%s", strbuf_text(&clean));
    cr_expect(strstr(strbuf_text(&clean), TEST) == NULL, "%s", strbuf_text(&clean));

    pg_exec(f.sql, "INSERT INTO pghaul.quarantine (job, key, set_aside, pass, sqlstate, message)"
                   " VALUES (1, '{5}', true, 1, '22P02', 'bad')");
    STRBUF_AUTO aside = STRBUF_INIT;
    explain_batch(&f, what, &lease, &aside);
    cr_expect(strstr(strbuf_text(&aside), TEST) != NULL, "%s", strbuf_text(&aside));
    job_fixture_close(&f);
}

Test(isolate, a_job_with_nothing_set_aside_pays_for_no_row)
{
    check_cost(BY_BLOCK, "move", "{0}", "{1}");
    check_cost(BY_KEY, "move", NULL, NULL);
    check_cost(BY_KEY, "verify", NULL, NULL);
}
