/*
 * test_archive_delete.c - what is read for an archive, and that exactly those row versions are
 * deleted or none, whatever the application does in between.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "core/sql_archive.h"
#include "harness/harness.h"
#include "integration/job_fixture.h"
#include "pg/copy_out.h"
#include "pg/params.h"

#define TABLE                                                                                      \
    "CREATE TABLE t (id bigint PRIMARY KEY, wanted bool DEFAULT true, v text,"                     \
    " twice bigint GENERATED ALWAYS AS (id * 2) STORED);"                                          \
    "INSERT INTO t (id, v) SELECT g, 'v' || g FROM generate_series(1, 60) AS g;"
#define JOB "job: j\npurge: t\nwhere: wanted\narchive: /nowhere\nthrottle: {standbys: none}\n"

static RangeLease
open_case(JobFixture *f, const char *setup, const char *job)
{
    job_fixture_open(f, setup, job);
    pg_execf(f->sql,
        "INSERT INTO pghaul.archive_file (job, no, name, table_name, run) VALUES (%lld, 1, 'a',"
        " 't', %lld)",
        (long long)f->job.id, (long long)f->run);
    return job_fixture_range(f, NULL, NULL, 1);
}

/* The call that deletes the rows of this condition as they are now, as frame `no`. */
static const char *
delete_call(JobFixture *f, const RangeLease *lease, const char *rest, const char *where, int no)
{
    const char *batch = job_fixture_call(f, "move", lease, rest);
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_printf(&sql,
        "SELECT array_agg(ctid)::text || ''', ''' || array_agg(xmin)::text"
        " FROM (SELECT ctid, xmin FROM t WHERE %s ORDER BY id) AS s",
        where);
    char *versions = pg_text(f->sql, strbuf_text(&sql));
    int64_t rows = pg_intf(f->sql, "SELECT count(*) FROM t WHERE %s", where);
    int64_t attributes = pg_int(f->sql, "SELECT relnatts FROM pg_class WHERE oid = 't'::regclass");
    strbuf_clear(&sql);
    strbuf_printf(&sql,
        "%.*s, '%s', NULL, '{1, %d, %lld, 0, 10, 100, %lld, 0, %lld}', 'hash', NULL)",
        (int)strlen(batch) - 1, batch, versions, no, (long long)f->run, (long long)attributes,
        (long long)rows);
    free(versions);
    return arena_strdup(&f->arena, strbuf_text(&sql));
}

static void
expect_untouched(JobFixture *f, const char *title)
{
    cr_expect(eq(i64, 0, pg_int(f->sql, "SELECT count(*) FROM pghaul.archive_frame")), "%s", title);
    cr_expect(
        eq(i64, 0, pg_int(f->sql, "SELECT sum(rows + batches) FROM pghaul.ranges")), "%s", title);
}

Test(archive_delete, takes_the_rows_that_were_read_and_records_their_frame)
{
    JobFixture f;
    RangeLease lease = open_case(&f, TABLE, JOB);
    char *outcome = pg_text(f.sql, delete_call(&f, &lease, "0, false", "id IN (3, 7, 12)", 1));
    cr_expect(eq(str, outcome, "more"));
    cr_expect(eq(i64, 57, pg_int(f.sql, "SELECT count(*) FROM t WHERE id NOT IN (3, 7, 12)")));
    cr_expect(eq(i64, 1,
        pg_int(f.sql, "SELECT count(*) FROM pghaul.archive_frame WHERE fate ="
                      " 'committed' AND rows = 3 AND bytes = 10 AND raw_bytes ="
                      " 100 AND hash = 'hash' AND file = 1 AND no = 1")));
    cr_expect(eq(i64, 1,
        pg_int(f.sql, "SELECT count(*) FROM pghaul.ranges WHERE rows = 3 AND"
                      " watermark = '{12}'")));
    free(outcome);
    lease.watermark = "{12}";
    outcome = pg_text(f.sql, delete_call(&f, &lease, "0, true", "id > 12", 2));
    cr_expect(eq(str, outcome, "done"));
    cr_expect(eq(i64, 9, pg_int(f.sql, "SELECT count(*) FROM t")));
    free(outcome);
    job_fixture_close(&f);
}

typedef struct ChangeCase {
    const char *title;
    const char *sql; /* what the application does between reading and deleting */
} ChangeCase;

static const ChangeCase CHANGES[] = {
    {"row updated", "UPDATE t SET v = 'other' WHERE id = 5"},
    {"row updated without a change", "UPDATE t SET v = v WHERE id = 5"},
    {"row un-expired", "UPDATE t SET wanted = false WHERE id = 6"},
    {"key changed", "UPDATE t SET id = 1000 WHERE id = 7"},
    {"row deleted", "DELETE FROM t WHERE id = 8"},
    {"row deleted and inserted", "DELETE FROM t WHERE id = 9; INSERT INTO t (id) VALUES (9)"},
    {"column added", "ALTER TABLE t ADD COLUMN more text DEFAULT 'x'"},
    {"table rewritten", "VACUUM FULL t"},
    {"table emptied", "BEGIN; CREATE TEMP TABLE kept AS SELECT id, v FROM t; TRUNCATE t;"
                      " INSERT INTO t (id, v) SELECT id, v FROM kept; COMMIT"},
};

Test(archive_delete, of_a_batch_with_one_row_that_was_changed_deletes_nothing)
{
    JobFixture f;
    RangeLease lease = open_case(&f, TABLE, JOB);
    for (size_t i = 0; i < sizeof(CHANGES) / sizeof(CHANGES[0]); i++) {
        const char *call = delete_call(&f, &lease, "0, false", "wanted", 1);
        pg_exec(f.sql, CHANGES[i].sql);
        int64_t before = pg_int(f.sql, "SELECT count(*) FROM t");
        char state[6];
        cr_expect(not(pg_try(f.sql, call, state)), "%s", CHANGES[i].title);
        bool drift = strncmp(CHANGES[i].sql, "ALTER", 5) == 0;
        cr_expect(eq(str, state, drift ? "PH001" : "PH005"), "%s", CHANGES[i].title);
        cr_expect(eq(i64, before, pg_int(f.sql, "SELECT count(*) FROM t")), "%s", CHANGES[i].title);
        expect_untouched(&f, CHANGES[i].title);
    }
    job_fixture_close(&f);
}

Test(archive_delete, knows_a_row_that_took_the_place_of_the_one_that_was_read)
{
    JobFixture f;
    RangeLease lease = open_case(&f, TABLE, JOB);
    const char *call = delete_call(&f, &lease, "0, false", "wanted", 1);
    char *place = pg_text(f.sql, "SELECT ctid FROM t WHERE id = 30");
    pg_exec(f.sql, "DELETE FROM t WHERE id = 30");
    pg_exec(f.sql, "VACUUM (INDEX_CLEANUP on) t");
    pg_exec(f.sql, "INSERT INTO t (id, v) VALUES (30, 'v30')");
    cr_assert(
        eq(i64, 1, pg_intf(f.sql, "SELECT count(*) FROM t WHERE id = 30 AND ctid = '%s'", place)));
    char state[6];
    cr_expect(not(pg_try(f.sql, call, state)));
    cr_expect(eq(str, state, "PH005"));
    cr_expect(eq(i64, 60, pg_int(f.sql, "SELECT count(*) FROM t")));
    expect_untouched(&f, "place taken");
    free(place);
    job_fixture_close(&f);
}

Test(archive_delete, gives_way_to_a_lock_at_once)
{
    JobFixture f;
    RangeLease lease = open_case(&f, TABLE, JOB);
    const char *call = delete_call(&f, &lease, "0, true", "wanted", 1);
    Session *holder = session_open(f.uri);
    session_lock_rows(holder, "t", "id = 44");
    char state[6];
    int64_t begun_us = clock_mono_us();
    cr_expect(not(pg_try(f.sql, call, state)));
    cr_expect(lt(i64, clock_mono_us() - begun_us, 500000), "lock_timeout is 5 ms");
    cr_expect(eq(str, state, "55P03"));
    expect_untouched(&f, "locked");
    session_release(holder);
    pg_exec(f.sql, call);
    cr_expect(eq(i64, 0, pg_int(f.sql, "SELECT count(*) FROM t")), "only locked, not changed");
    session_close(holder);
    job_fixture_close(&f);
}

/* The row is being written when the delete comes to it; what becomes of that decides. */
static void
expect_after_wait(const char *end, const char *expected)
{
    JobFixture f;
    RangeLease lease = open_case(&f, TABLE, JOB);
    pg_exec(f.sql, "DO $$ DECLARE f text; BEGIN SELECT oid::regprocedure INTO f FROM pg_proc WHERE"
                   " proname ~ '^move_'; EXECUTE format('ALTER FUNCTION %s SET lock_timeout ="
                   " ''50s''', f); END $$");
    const char *call = delete_call(&f, &lease, "0, true", "wanted", 1);
    Session *writer = session_open(f.uri);
    pg_exec(session_conn(writer), "BEGIN; UPDATE t SET v = 'newer' WHERE id = 17");
    Session *mover = session_open(f.uri);
    session_send(mover, call);
    session_wait_blocked(mover, f.sql, HARNESS_TIMEOUT_US);
    pg_exec(session_conn(writer), end);
    cr_expect(session_wait(mover, HARNESS_TIMEOUT_US));
    cr_expect(eq(str, (char *)(uintptr_t)session_sqlstate(mover), (char *)(uintptr_t)expected));
    bool deleted = strcmp(expected, "00000") == 0;
    cr_expect(eq(i64, deleted ? 0 : 60, pg_int(f.sql, "SELECT count(*) FROM t")));
    session_close(mover);
    session_close(writer);
    job_fixture_close(&f);
}

Test(archive_delete, does_not_follow_a_row_to_its_new_version)
{
    expect_after_wait("COMMIT", "PH005");
}

Test(archive_delete, takes_a_row_whose_change_was_rolled_back)
{
    expect_after_wait("ROLLBACK", "00000");
}

Test(archive_delete, asks_the_predicate_again)
{
    JobFixture f;
    RangeLease lease = open_case(&f, TABLE "CREATE TABLE pin (id bigint);",
        "job: j\npurge: t\nwhere: NOT EXISTS (SELECT FROM pin WHERE pin.id = t.id)\n"
        "archive: /nowhere\nthrottle: {standbys: none}\n");
    const char *call = delete_call(&f, &lease, "0, true", "true", 1);
    pg_exec(f.sql, "INSERT INTO pin VALUES (21)");
    char state[6];
    cr_expect(not(pg_try(f.sql, call, state)));
    cr_expect(eq(str, state, "PH005"));
    cr_expect(eq(i64, 60, pg_int(f.sql, "SELECT count(*) FROM t")));
    job_fixture_close(&f);
}

Test(archive_delete, says_so_when_a_trigger_keeps_rows)
{
    JobFixture f;
    RangeLease lease = open_case(&f, TABLE, JOB);
    pg_exec(f.sql, "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                   " IF OLD.id = 9 THEN RETURN NULL; END IF; RETURN OLD; END $$;"
                   "CREATE TRIGGER keep BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION keep();");
    char state[6];
    cr_expect(not(pg_try(f.sql, delete_call(&f, &lease, "0, true", "wanted", 1), state)));
    cr_expect(eq(str, state, "PH004"));
    cr_expect(eq(i64, 60, pg_int(f.sql, "SELECT count(*) FROM t")));
    expect_untouched(&f, "kept");
    job_fixture_close(&f);
}

Test(archive_delete, of_a_frame_that_is_void_already_deletes_nothing)
{
    JobFixture f;
    RangeLease lease = open_case(&f, TABLE, JOB);
    const char *call = delete_call(&f, &lease, "0, true", "wanted", 1);
    pg_execf(f.sql,
        "INSERT INTO pghaul.archive_frame VALUES (%lld, 1, 1, 'void', %lld, 1, 1, 60, 0, 10, 100,"
        " 'hash')",
        (long long)f.job.id, (long long)f.run);
    char state[6];
    cr_expect(not(pg_try(f.sql, call, state)));
    cr_expect(eq(str, state, "23505"));
    cr_expect(eq(i64, 60, pg_int(f.sql, "SELECT count(*) FROM t")));
    job_fixture_close(&f);
}

/* ---- plans ---- */

static void
keep_notice(void *arg, const PGresult *notice)
{
    strbuf_puts(arg, PQresultErrorMessage(notice));
}

Test(archive_delete, of_thousands_of_rows_goes_straight_to_them)
{
    JobFixture f;
    RangeLease lease = open_case(&f,
        "CREATE TABLE t (id bigint PRIMARY KEY, wanted bool DEFAULT true, v text);"
        "INSERT INTO t (id, v) SELECT g, 'v' || g FROM generate_series(1, 50000) AS g; ANALYZE t;",
        JOB);
    const char *call = delete_call(&f, &lease, "0, false", "id <= 20000", 1);
    StrBuf plans = STRBUF_INIT;
    (void)PQsetNoticeReceiver(f.sql, keep_notice, &plans);
    pg_exec(f.sql,
        "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0;"
        "SET auto_explain.log_nested_statements = on; SET auto_explain.log_level = notice;"
        "SET client_min_messages = notice");
    int64_t begun_us = clock_mono_us();
    pg_exec(f.sql, call);
    cr_expect(lt(i64, clock_mono_us() - begun_us, SECONDS_US(5)), "of the order of the rows");
    pg_exec(f.sql, "SET client_min_messages = error");
    const char *delete = strstr(strbuf_text(&plans), "Delete on");
    cr_assert(ne(ptr, (void *)(uintptr_t) delete, NULL), "%.3000s", strbuf_text(&plans));
    cr_expect(ne(ptr, strstr(delete, "Tid Scan on t"), NULL), "%.300s", delete);
    cr_expect(eq(ptr, strstr(strbuf_text(&plans), "Seq Scan on t"), NULL));
    cr_expect(eq(i64, 30000, pg_int(f.sql, "SELECT count(*) FROM t")));
    strbuf_free(&plans);
    job_fixture_close(&f);
}

/* ---- reading ---- */

typedef struct Lines {
    StrBuf text;
    int count;
    int most; /* 0 = all */
} Lines;

static bool
take_line(void *ctx, const char *row, size_t len)
{
    Lines *lines = ctx;
    strbuf_put(&lines->text, row, len);
    return ++lines->count != lines->most;
}

static PgResult *
begin_read(JobFixture *f, const char *from, const char *to, const char *held)
{
    Err err = ERR_INIT;
    STRBUF_AUTO settings = STRBUF_INIT;
    sql_archive_settings(&settings, &f->survey.plan, f->job.id);
    Params params = PARAMS_INIT;
    params_text(&params, from);
    params_text(&params, to);
    params_text(&params, held);
    PgResult *result = NULL;
    cr_assert(query_script(f->conn, "BEGIN", &err));
    cr_assert(
        query_one_with(f->conn, strbuf_text(&settings), &params, &result, &err), "%s", err.message);
    cr_expect(eq(i64, f->job.filenode, result_int(result, 0, ARCHIVE_FILENODE)));
    return result;
}

static bool
read_lines(JobFixture *f, const ArchiveRows *rows, Lines *lines)
{
    Err err = ERR_INIT;
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_archive_read(&sql, &f->survey.plan, rows);
    CopyOut copy = {.conn = f->conn,
        .sql = strbuf_text(&sql),
        .idle_us = HARNESS_TIMEOUT_US,
        .take = take_line,
        .ctx = lines};
    bool cut = false;
    cr_assert(copy_out(&copy, &cut, &err), "%s", err.message);
    return cut;
}

Test(archive_delete, reads_the_rows_between_the_bounds_in_order_of_the_key)
{
    JobFixture f;
    (void)open_case(&f, TABLE, JOB);
    pg_exec(f.sql, "UPDATE t SET wanted = false WHERE id = 12");
    PgResult *result = begin_read(&f, "{10}", "{15}", "{\"(0,14)\"}");
    Lines lines = {.text = STRBUF_INIT};
    cr_expect(not(read_lines(&f, &(ArchiveRows){.around = true, .rows_most = 3}, &lines)));
    cr_expect(conn_is_idle(f.conn), "the transaction has ended");
    char *xid = pg_text(f.sql, "SELECT xmin FROM t WHERE id = 11");
    STRBUF_AUTO expected = STRBUF_INIT;
    strbuf_printf(&expected,
        "(0,11)\t%s\t11\tt\tv11\n(0,13)\t%s\t13\tt\tv13\n(0,15)\t%s\t15\tt\tv15\n", xid, xid, xid);
    cr_expect(eq(str, lines.text.text, expected.text));
    free(xid);
    result_free(result);
    strbuf_free(&lines.text);
    job_fixture_close(&f);
}

Test(archive_delete, reading_ends_with_the_row_that_is_the_last_one_wanted)
{
    JobFixture f;
    Err err = ERR_INIT;
    (void)open_case(&f,
        "CREATE TABLE t (id bigint PRIMARY KEY, wanted bool DEFAULT true, v text);"
        "INSERT INTO t (id, v) SELECT g, repeat('x', 1000) FROM generate_series(1, 50000) AS g;",
        JOB);
    PgResult *result = begin_read(&f, NULL, NULL, NULL);
    Lines lines = {.text = STRBUF_INIT, .most = 5};
    cr_expect(read_lines(&f, &(ArchiveRows){.from_open = true, .to_open = true}, &lines));
    cr_expect(eq(int, 5, lines.count));
    cr_assert(query_roll_back(f.conn, &err), "%s", err.message);
    cr_expect(query_script(f.conn, "SELECT 1", &err), "the session goes on");
    result_free(result);
    strbuf_free(&lines.text);
    job_fixture_close(&f);
}

Test(archive_delete, finds_the_rows_that_somebody_holds)
{
    JobFixture f;
    Err err = ERR_INIT;
    (void)open_case(&f, TABLE, JOB);
    Session *holder = session_open(f.uri);
    session_lock_rows(holder, "t", "id IN (4, 6)");
    PgResult *settings = begin_read(&f, "{2}", NULL, NULL);
    STRBUF_AUTO sql = STRBUF_INIT;
    ArchiveRows rows = {.to_open = true, .rows_most = 10};
    sql_archive_held(&sql, &f.survey.plan, &rows);
    PgResult *result = NULL;
    cr_assert(query_one(f.conn, strbuf_text(&sql), 0, NULL, &result, &err), "%s", err.message);
    cr_assert(query_roll_back(f.conn, &err));
    cr_expect(eq(i64, 10, result_int(result, 0, HELD_COUNT)));
    cr_expect(eq(str, (char *)(uintptr_t)result_text(result, 0, HELD_END), "{12}"));
    cr_expect(
        eq(str, (char *)(uintptr_t)result_text(result, 0, HELD_TIDS), "{\"(0,4)\",\"(0,6)\"}"));
    cr_expect(eq(i64, 2, result_int(result, 0, HELD_LEFT)));
    char *pids = pg_text(f.sql, "SELECT format('{%s}', pid) FROM pg_stat_activity WHERE state ="
                                " 'idle in transaction' AND datname = current_database()");
    cr_expect(eq(str, (char *)(uintptr_t)result_text(result, 0, HELD_HOLDERS), pids));
    free(pids);
    result_free(result);
    result_free(settings);
    session_close(holder);
    job_fixture_close(&f);
}
