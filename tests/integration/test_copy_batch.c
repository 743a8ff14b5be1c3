/*
 * test_copy_batch.c - what the batches of a copy promise while the application writes the source.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "base/strbuf.h"
#include "core/sql_parts.h"
#include "harness/harness.h"
#include "integration/job_fixture.h"

/* A few rows to a block. */
#define TABLES                                                                                     \
    "CREATE TABLE s (id int PRIMARY KEY, v text, u int) WITH (fillfactor = 10);"                   \
    "ALTER TABLE s ALTER v SET STORAGE PLAIN;"                                                     \
    "INSERT INTO s SELECT g, 'v' || g, g FROM generate_series(1, 60) AS g; ANALYZE s;"             \
    "CREATE TABLE t (id bigint PRIMARY KEY, v text, u int UNIQUE);"
#define LINES    "job: j\ncopy: s\ninto: t\nmap: {v: upper(v)}\nthrottle: {standbys: none}\n"
#define BY_KEY   LINES "path: key\n"
#define BY_BLOCK LINES "path: block\n"

#define AROUND_LOG "1000, true"
#define MEND       "1000, true"

static void
expect_batch(
    JobFixture *f, const char *what, const RangeLease *lease, const char *rest, const char *outcome)
{
    char *text = pg_text(f->sql, job_fixture_call(f, what, lease, rest));
    cr_expect(eq(str, text, (char *)(uintptr_t)outcome), "%s of %s", what, rest);
    free(text);
}

/* Entries of the change log for the key. */
static int64_t
entries(JobFixture *f, int key)
{
    STRBUF_AUTO log = STRBUF_INIT;
    sql_put_function_name(&log, &f->survey.plan, "log", f->job.id);
    return pg_intf(f->sql, "SELECT count(*) FROM %s WHERE k1 = %d", strbuf_text(&log), key);
}

static void
forget_entries(JobFixture *f)
{
    STRBUF_AUTO log = STRBUF_INIT;
    sql_put_function_name(&log, &f->survey.plan, "log", f->job.id);
    pg_execf(f->sql, "DELETE FROM %s", strbuf_text(&log));
}

/* Rows that a verify batch over everything finds to differ. */
static int64_t
differing(JobFixture *f)
{
    RangeLease lease = job_fixture_range(f, NULL, NULL, 1);
    expect_batch(f, "verify", &lease, PLAIN_BATCH, "done");
    pg_exec(f->sql, "UPDATE pghaul.job SET frontier = NULL, carved = false");
    return pg_intf(
        f->sql, "SELECT differing FROM pghaul.ranges WHERE no = %lld", (long long)lease.no);
}

static RangeLease
whole_range(JobFixture *f)
{
    RangeLease lease = job_fixture_range(f, NULL, NULL, 1);
    pg_exec(f->sql, "UPDATE pghaul.job SET frontier = NULL, carved = false");
    return lease;
}

/* ---- move ---- */

Test(copy_batch, waits_for_no_writer_and_what_it_writes_later_is_in_the_log)
{
    JobFixture f;
    job_fixture_open(&f, TABLES, BY_KEY);
    Session *writer = session_open(f.uri);
    session_send(writer, "BEGIN; UPDATE s SET v = 'new' WHERE id = 7; DELETE FROM s WHERE id = 8;"
                         "INSERT INTO s VALUES (61, 'x', 61)");
    session_expect_ok(writer, HARNESS_TIMEOUT_US);
    RangeLease lease = whole_range(&f);
    expect_batch(&f, "move", &lease, PLAIN_BATCH, "done");
    session_send(writer, "COMMIT");
    session_expect_ok(writer, HARNESS_TIMEOUT_US);
    session_close(writer);
    cr_expect(eq(i64, 60, pg_int(f.sql, "SELECT count(*) FROM t")), "as the batch could see it");
    for (int key = 7; key <= 8; key++) {
        cr_expect(eq(i64, 1, entries(&f, key)), "%d", key);
    }
    cr_expect(eq(i64, 1, entries(&f, 61)));
    job_fixture_close(&f);
}

Test(copy_batch, no_writer_waits_for_an_open_batch)
{
    JobFixture f;
    job_fixture_open(&f, TABLES, BY_KEY);
    RangeLease lease = whole_range(&f);
    Session *batch = session_open(f.uri);
    pg_exec(session_conn(batch), "BEGIN");
    session_send(batch, job_fixture_call(&f, "move", &lease, PLAIN_BATCH));
    session_expect_ok(batch, HARNESS_TIMEOUT_US);
    pg_exec(f.sql, "SET lock_timeout = '1ms'; BEGIN; SELECT FROM s FOR UPDATE; UPDATE s SET id = id"
                   " + 1000 WHERE id < 5; DELETE FROM s WHERE id BETWEEN 51 AND 60; COMMIT; RESET "
                   "lock_timeout");
    session_send(batch, "COMMIT");
    session_expect_ok(batch, HARNESS_TIMEOUT_US);
    session_close(batch);
    cr_expect(eq(i64, 0, differing(&f)), "every key that was written stands in the log");
    forget_entries(&f);
    cr_expect(eq(i64, 4 + 4 + 10, differing(&f)));
    job_fixture_close(&f);
}

/* A move of the blocks [from, to). */
static RangeLease
block_range(JobFixture *f, const char *low, const char *high)
{
    RangeLease lease = job_fixture_range(f, low, high, 1);
    pg_exec(f->sql, "UPDATE pghaul.job SET frontier = NULL, carved = false");
    return lease;
}

Test(copy_batch, a_row_that_moved_ahead_is_left_to_the_drain)
{
    JobFixture f;
    char state[6];
    job_fixture_open(&f, TABLES, BY_BLOCK);
    RangeLease first = block_range(&f, "{0}", "{1}");
    expect_batch(&f, "move", &first, PLAIN_BATCH, "done");
    int64_t copied = pg_int(f.sql, "SELECT count(*) FROM t");
    cr_expect(all(lt(i64, 1, copied), lt(i64, copied, 60)));

    /* The page has no room for it: row 1 goes to a block that is not done yet. */
    pg_exec(f.sql, "UPDATE s SET v = repeat('x', 7900) WHERE id = 1");
    cr_expect(eq(i64, 1, pg_int(f.sql, "SELECT ctid >= '(1,0)' FROM s WHERE id = 1")));
    RangeLease rest = block_range(&f, "{1}", "{1000}");
    cr_expect(not(pg_try(f.sql, job_fixture_call(&f, "move", &rest, PLAIN_BATCH), state)));
    cr_expect(eq(str, state, "23505"));
    expect_batch(&f, "move", &rest, AROUND_LOG, "done");
    cr_expect(eq(i64, 60, pg_int(f.sql, "SELECT count(*) FROM t")));
    cr_expect(eq(i64, 1, pg_int(f.sql, "SELECT v = 'V1' FROM t WHERE id = 1")), "not written yet");
    cr_expect(eq(i64, 1, entries(&f, 1)));
    cr_expect(eq(i64, 0, differing(&f)));
    job_fixture_close(&f);
}

Test(copy_batch, a_unique_value_that_was_handed_on_is_left_to_the_drain)
{
    JobFixture f;
    char state[6];
    job_fixture_open(&f, TABLES, BY_KEY);
    RangeLease lease = whole_range(&f);
    expect_batch(&f, "move", &lease, "30, false", "more");
    pg_exec(f.sql, "UPDATE s SET u = NULL WHERE id = 3; UPDATE s SET u = 3 WHERE id = 50");
    lease.watermark = "{30}";
    cr_expect(not(pg_try(f.sql, job_fixture_call(&f, "move", &lease, PLAIN_BATCH), state)));
    cr_expect(eq(str, state, "23505"));
    expect_batch(&f, "move", &lease, AROUND_LOG, "done");
    cr_expect(eq(i64, 59, pg_int(f.sql, "SELECT count(*) FROM t WHERE id <> 50")));
    cr_expect(eq(i64, 0, differing(&f)));
    job_fixture_close(&f);
}

Test(copy_batch, a_row_of_somebody_else_is_not_gone_around)
{
    JobFixture f;
    char state[6];
    job_fixture_open(&f, TABLES, BY_BLOCK);
    pg_exec(f.sql, "INSERT INTO t VALUES (20, 'alien', -1)");
    RangeLease lease = block_range(&f, "{0}", "{1000}");
    cr_expect(not(pg_try(f.sql, job_fixture_call(&f, "move", &lease, PLAIN_BATCH), state)));
    cr_expect(not(pg_try(f.sql, job_fixture_call(&f, "move", &lease, AROUND_LOG), state)));
    cr_expect(eq(str, state, "23505"));
    cr_expect(eq(i64, 1, pg_int(f.sql, "SELECT count(*) FROM t")));
    job_fixture_close(&f);
}

/* ---- verify ---- */

Test(copy_batch, source_and_target_are_compared_as_of_one_moment)
{
    JobFixture f;
    job_fixture_open(&f, TABLES, BY_KEY);
    RangeLease lease = whole_range(&f);
    expect_batch(&f, "move", &lease, PLAIN_BATCH, "done");
    Session *both = session_open(f.uri);
    session_send(both,
        "BEGIN; UPDATE s SET v = 'n'; UPDATE t SET v = 'N'; DELETE FROM s WHERE id = "
        "9; DELETE FROM t WHERE id = 9");
    session_expect_ok(both, HARNESS_TIMEOUT_US);
    cr_expect(eq(i64, 0, differing(&f)), "before both");
    session_send(both, "COMMIT");
    session_expect_ok(both, HARNESS_TIMEOUT_US);
    session_close(both);
    forget_entries(&f);
    cr_expect(eq(i64, 0, differing(&f)), "after both");
    job_fixture_close(&f);
}

Test(copy_batch, a_repair_logs_the_keys_that_differ_and_writes_nothing_else)
{
    JobFixture f;
    job_fixture_open(&f, TABLES, BY_KEY);
    RangeLease lease = whole_range(&f);
    expect_batch(&f, "move", &lease, PLAIN_BATCH, "done");
    pg_exec(f.sql, "DELETE FROM t WHERE id = 5; UPDATE t SET v = '' WHERE id = 6;"
                   "INSERT INTO t VALUES (5000000000, 'x')");
    cr_expect(eq(i64, 3, differing(&f)));
    RangeLease mend = whole_range(&f);
    expect_batch(&f, "verify", &mend, MEND, "done");
    cr_expect(eq(i64, 3,
        pg_intf(f.sql, "SELECT rows FROM pghaul.ranges WHERE no = %lld", (long long)mend.no)));
    for (int key = 5; key <= 6; key++) {
        cr_expect(eq(i64, 1, entries(&f, key)), "%d", key);
    }
    cr_expect(eq(i64, 60, pg_int(f.sql, "SELECT count(*) FROM t")));
    cr_expect(eq(i64, 0, differing(&f)), "they are to be drained");
    job_fixture_close(&f);
}
