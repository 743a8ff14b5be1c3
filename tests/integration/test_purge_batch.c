/*
 * test_purge_batch.c - the functions of a purge on a real server, called as a worker does it.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/sql_batch.h"
#include "harness/harness.h"
#include "integration/job_fixture.h"
#include "pg/params.h"
#include "pg/query.h"

#define TABLE                                                                                      \
    "CREATE TABLE t (id bigint, part text, at timestamptz, note varchar(9),"                       \
    " twice bigint GENERATED ALWAYS AS (id * 2) STORED, PRIMARY KEY (part, id));"                  \
    "INSERT INTO t SELECT g, 'p' || g % 3, now() - g * interval '1 day', 'n' || g"                 \
    "  FROM generate_series(1, 60) AS g;"
#define KEEPER                                                                                     \
    "CREATE TABLE kept (seq bigint GENERATED ALWAYS AS IDENTITY, twice bigint DEFAULT 0,"          \
    " note text, at timestamptz, part text NOT NULL, id bigint) PARTITION BY LIST (part);"         \
    "CREATE TABLE kept_1 PARTITION OF kept FOR VALUES IN ('p1');"                                  \
    "CREATE TABLE kept_2 PARTITION OF kept DEFAULT;"
#define TRIGGER(table, event, answer)                                                              \
    "CREATE FUNCTION of_" table "() RETURNS trigger LANGUAGE plpgsql AS"                           \
    " 'BEGIN RETURN " answer "; END';"                                                             \
    "CREATE TRIGGER of_" table " BEFORE " event " ON " table                                       \
    " FOR EACH ROW EXECUTE FUNCTION of_" table "();"
#define CHILD                                                                                      \
    "CREATE TABLE child (part text, id bigint, FOREIGN KEY (part, id) REFERENCES t);"              \
    "CREATE INDEX ON child (part, id); INSERT INTO child VALUES ('p1', 40), ('p1', 43);"
#define PURGE                                                                                      \
    "job: j\npurge: t\nwhere: at < now() - interval '30 days' -- old\n"                            \
    "throttle: {standbys: none}\n"

/* Rows of part p1 that are older than 30 days: 31, 34, .. 58. */
#define OLD_ROWS 10

static void
open_purge(JobFixture *f, const char *more_setup, const char *more_job)
{
    STRBUF_AUTO setup = STRBUF_INIT;
    STRBUF_AUTO job = STRBUF_INIT;
    strbuf_printf(&setup, "%s%s", TABLE, more_setup);
    strbuf_printf(&job, "%s%s", PURGE, more_job);
    job_fixture_open(f, strbuf_text(&setup), strbuf_text(&job));
}

/* The batch as a whole, with the SQLSTATE that it ends with. */
static void
call_batch(JobFixture *f, const char *rest, char state[static 6])
{
    RangeLease lease = job_fixture_range(f, "{p1,0}", "{p1,100}", 1);
    state[0] = '\0';
    (void)pg_try(f->sql, job_fixture_call(f, "move", &lease, rest), state);
}

static int64_t
count(const JobFixture *f, const char *of)
{
    return pg_intf(f->sql, "SELECT count(*) FROM %s", of);
}

static void
expect_moved(const char *more_setup, const char *more_job, const char *rest)
{
    JobFixture f;
    open_purge(&f, more_setup, more_job);
    char state[6] = "";
    call_batch(&f, rest, state);
    cr_expect_str_eq(state, "00000", "%s", more_setup);
    cr_expect(eq(i64, 60 - OLD_ROWS, count(&f, "t")), "%s", more_setup);
    cr_expect(eq(i64, 0, count(&f, "t WHERE part = 'p1' AND id > 30")));
    cr_expect(eq(i64, OLD_ROWS, pg_int(f.sql, "SELECT rows FROM pghaul.ranges")));
    if (strstr(more_setup, "kept") != NULL) {
        cr_expect(eq(i64, OLD_ROWS,
            count(&f, "kept WHERE part = 'p1' AND note = 'n' || id AND twice = 0"
                      " AND at < now() - interval '30 days'")));
    }
    job_fixture_close(&f);
}

Test(purge_batch, rows_of_every_kind_of_purge_go)
{
    static const char *const BATCHES[] = {PLAIN_BATCH, SKIPPING_BATCH};
    for (int i = 0; i < 2; i++) {
        expect_moved("", "", BATCHES[i]);
        expect_moved(TRIGGER("t", "DELETE", "OLD"), "allow: [user-triggers]\n", BATCHES[i]);
        expect_moved(KEEPER, "into: kept\n", BATCHES[i]);
        expect_moved(KEEPER TRIGGER("t", "DELETE", "OLD"), "into: kept\nallow: [user-triggers]\n",
            BATCHES[i]);
        expect_moved(CHILD, "children: delete\n", BATCHES[i]);
    }
}

static void
expect_refused(const char *more_setup, const char *more_job, const char *sqlstate)
{
    JobFixture f;
    open_purge(&f, more_setup, more_job);
    char state[6] = "";
    call_batch(&f, PLAIN_BATCH, state);
    cr_expect_str_eq(state, sqlstate, "%s", more_setup);
    cr_expect(eq(i64, 60, count(&f, "t")), "%s", more_setup);
    job_fixture_close(&f);
}

Test(purge_batch, row_that_a_trigger_keeps_from_being_deleted_fails_the_batch)
{
    expect_refused(TRIGGER("t", "DELETE", "CASE WHEN OLD.id = 40 THEN NULL ELSE OLD END"),
        "allow: [user-triggers]\n", "PH004");
}

Test(purge_batch, row_that_the_other_table_does_not_take_fails_the_batch)
{
    expect_refused(
        KEEPER TRIGGER("kept_1", "INSERT", "CASE WHEN NEW.id = 40 THEN NULL ELSE NEW END"),
        "into: kept\nallow: [user-triggers]\n", "PH004");
}

Test(purge_batch, tables_that_change_during_a_pass_fail_the_batch)
{
    static const char *const CHANGES[] = {
        "ALTER TABLE t ADD extra text",
        "ALTER TABLE t ALTER twice DROP EXPRESSION",
        "ALTER TABLE t ALTER note TYPE text",
        "ALTER TABLE kept ALTER note TYPE varchar(9)",
        TRIGGER("t", "DELETE", "NULL"),
    };
    JobFixture f;
    open_purge(&f, KEEPER, "into: kept\n");
    RangeLease lease = job_fixture_range(&f, "{p1,0}", "{p1,100}", 1);
    const char *call = job_fixture_call(&f, "move", &lease, PLAIN_BATCH);
    for (size_t i = 0; i < sizeof(CHANGES) / sizeof(CHANGES[0]); i++) {
        char state[6] = "";
        pg_exec(f.sql, "BEGIN");
        pg_exec(f.sql, CHANGES[i]);
        cr_expect(not(pg_try(f.sql, call, state)), "%s", CHANGES[i]);
        cr_expect(eq(str, state, "PH001"), "%s", CHANGES[i]);
        pg_exec(f.sql, "ROLLBACK");
    }
    pg_exec(f.sql, call);
    cr_expect(eq(i64, 60 - OLD_ROWS, count(&f, "t")));
    job_fixture_close(&f);
}

/* What now() means is written down when the pass begins. */
Test(purge_batch, time_of_the_predicate_is_that_of_the_pass)
{
    JobFixture f;
    open_purge(&f, "", "");
    pg_exec(f.sql, "UPDATE pghaul.job SET pinned = pinned - interval '12 days'");
    char state[6] = "";
    call_batch(&f, PLAIN_BATCH, state);
    cr_expect_str_eq(state, "00000");
    cr_expect(eq(i64, 6, pg_int(f.sql, "SELECT rows FROM pghaul.ranges"))); /* 43, 46, .. 58 */
    cr_expect(eq(i64, 0, count(&f, "t WHERE part = 'p1' AND id > 42")));
    job_fixture_close(&f);
}

static void
expect_located(const char *more_setup, const char *more_job, const char *key, const char *state)
{
    JobFixture f;
    open_purge(&f, more_setup, more_job);
    Err err = ERR_INIT;
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_locate_call(&sql, &f.survey.plan, f.job.id, SLICE_KEY);
    Params params = PARAMS_INIT;
    params_text(&params, "{p1,0}");
    params_text(&params, "{p1,100}");
    params_int(&params, 1000);
    params_int(&params, 0);
    params_int(&params, 1);
    params_bool(&params, false);
    PGRESULT_AUTO *result = NULL;
    cr_assert(query_with(f.conn, strbuf_text(&sql), &params, &result, &err), "%s", err.message);
    cr_expect_str_eq(result_text(result, 0, LOCATE_KEY), key, "%s", more_setup);
    cr_expect_str_eq(result_text(result, 0, LOCATE_STATE), state);
    cr_expect(eq(i64, 60, count(&f, "t")), "nothing is deleted");
    job_fixture_close(&f);
}

Test(purge_batch, row_that_the_server_refuses_is_found)
{
    expect_located("", "", "", "");
    expect_located(CHILD, "allow: [children]\n", "{p1,40}", "23503");
    expect_located(CHILD, "children: delete\n", "", "");
    expect_located(
        KEEPER "ALTER TABLE kept ADD CHECK (id <> 46);", "into: kept\n", "{p1,46}", "23514");
}
