/*
 * test_guards_copy.c - what is noticed of the two tables of a copy, and of a source elsewhere.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "harness/harness.h"
#include "integration/job_fixture.h"
#include "pg/probe.h"
#include "store/guards.h"
#include "store/source.h"

#define OK(call) cr_assert(call, "%s: %s", err.context, err.message)

static const char TABLES[] = "CREATE TABLE t (id bigint PRIMARY KEY, src text, unused int);"
                             "CREATE TABLE t2 (id bigint PRIMARY KEY, dst text, other int);"
                             "INSERT INTO t SELECT g, 'x' || g FROM generate_series(1, 10) g";

static const char COPY[] =
    "job: c\ncopy: t\ninto: t2\nmap: {dst: src}\nthrottle: {standbys: none}\n";

static void
expect_drift(JobFixture *f, const char *change, DriftKind kind, const char *words)
{
    Err err = ERR_INIT;
    DriftKind found = DRIFT_NONE;
    pg_exec(f->sql, change);
    cr_expect(not(guards_check(f->conn, f->job.id, &found, &err)), "%s", change);
    cr_expect(eq(int, (int)kind, (int)found), "%s", change);
    cr_expect(strstr(err.message, words) != NULL, "%s: %s", change, err.message);
    err = ERR_INIT;
    OK(guards_record(f->conn, &f->survey.plan, f->job.id, false, &err));
    OK(guards_check(f->conn, f->job.id, NULL, &err));
}

Test(guards_copy, changes_of_either_table_are_told_with_the_table)
{
    JobFixture f;
    job_fixture_open(&f, TABLES, COPY);
    Err err = ERR_INIT;
    OK(guards_check(f.conn, f.job.id, NULL, &err));
    pg_exec(f.sql, "ALTER TABLE t DROP COLUMN unused; ALTER TABLE t2 DROP COLUMN other;"
                   "CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS"
                   " 'BEGIN RETURN NEW; END';"
                   "CREATE TRIGGER of_others BEFORE UPDATE ON t FOR EACH ROW"
                   " EXECUTE FUNCTION quiet()");
    OK(guards_check(f.conn, f.job.id, NULL, &err));
    expect_drift(&f, "ALTER TABLE t ALTER src TYPE varchar(20)", DRIFT_COLUMN,
        "the source: column src has type character varying(20) now");
    expect_drift(&f, "ALTER TABLE t2 ALTER dst TYPE varchar(20)", DRIFT_COLUMN,
        "the target: column dst has type character varying(20) now");
    expect_drift(&f, "ALTER TABLE t2 DROP CONSTRAINT t2_pkey", DRIFT_KEY,
        "the target: the unique index on the key was dropped");
    expect_drift(
        &f, "ALTER TABLE t2 RENAME TO t3", DRIFT_TABLE, "the target: the table was renamed");
    expect_drift(&f, "ALTER TABLE t DISABLE TRIGGER zzzz_pghaul_1", DRIFT_TRIGGER, "was disabled");
    expect_drift(&f, "DROP TRIGGER zzzz_pghaul_1_t ON t", DRIFT_TRIGGER,
        "trigger zzzz_pghaul_1_t was dropped");
    cr_expect(not(guards_record(f.conn, &f.survey.plan, f.job.id, true, &err)));
    cr_expect(eq(int, ERR_DRIFT, err.cls), "one trigger is missing: %s", err.message);
    job_fixture_close(&f);
}

Test(guards_copy, log_of_a_copy_does_not_disturb_another_job_of_the_table)
{
    JobFixture f;
    job_fixture_open(&f, TABLES,
        "job: b\nbackfill: t\nset: {unused: length(src)}\nthrottle: {standbys: none}\n");
    Err err = ERR_INIT;
    pg_exec(f.sql, "CREATE FUNCTION pghaul.capture_9_0123456789abcdef() RETURNS trigger"
                   " LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
                   "CREATE TRIGGER zzzz_pghaul_9 AFTER UPDATE ON t FOR EACH ROW"
                   " EXECUTE FUNCTION pghaul.capture_9_0123456789abcdef()");
    OK(guards_check(f.conn, f.job.id, NULL, &err));
    job_fixture_close(&f);
}

Test(guards_copy, source_is_guarded_the_same_through_a_plain_session)
{
    JobFixture f;
    job_fixture_open(&f, TABLES, COPY);
    Err err = ERR_INIT;
    DriftKind kind = DRIFT_NONE;
    PgConn *source = job_fixture_connect(&f, CONN_CATALOG);
    const Plan *plan = &f.survey.plan;
    OK(guards_check_source(source, plan, &f.job, &kind, &err));
    pg_exec(f.sql, "ALTER TABLE t ALTER src TYPE varchar(20)");
    cr_expect(not(guards_check_source(source, plan, &f.job, &kind, &err)));
    cr_expect(eq(int, DRIFT_COLUMN, (int)kind), "%s", err.message);
    err = ERR_INIT;
    OK(guards_record_source(f.conn, source, plan, f.job.id, &err));
    OK(job_read_id(f.conn, f.job.id, &f.arena, &f.job, &err));
    OK(guards_check_source(source, plan, &f.job, &kind, &err));
    OK(guards_check(f.conn, f.job.id, &kind, &err));
    pg_exec(f.sql, "DROP TRIGGER zzzz_pghaul_1 ON t");
    cr_expect(not(guards_record_source(f.conn, source, plan, f.job.id, &err)));
    cr_expect(eq(int, ERR_DRIFT, err.cls), "%s", err.message);
    conn_close(source);
    job_fixture_close(&f);
}

static void
expect_refused(PgConn *source, const JobRow *job, const char *words)
{
    Err err = ERR_INIT;
    cr_expect(not(source_check(source, job, NULL, &err)), "%s", words);
    cr_expect(eq(int, ERR_DRIFT, err.cls), "%s", err.message);
    cr_expect(strstr(err.message, words) != NULL, "%s", err.message);
    cr_expect(strstr(err.hint, "--repair") != NULL, "%s", err.hint);
}

Test(guards_copy, another_server_or_timeline_is_told_and_a_restart_noted)
{
    JobFixture f;
    job_fixture_open(&f, TABLES, COPY);
    Err err = ERR_INIT;
    bool restarted = true;
    cr_expect(f.job.source_system_id == NULL, "it is in the same database");
    OK(source_record(f.conn, f.conn, f.job.id, "for a test", &err));
    OK(job_read_id(f.conn, f.job.id, &f.arena, &f.job, &err));
    OK(source_check(f.conn, &f.job, &restarted, &err));
    cr_expect(not(restarted));
    JobRow other = f.job;
    other.source_system_id = "1";
    expect_refused(f.conn, &other, "another server");
    other = f.job;
    other.source_timeline--;
    expect_refused(f.conn, &other, "failed over");
    other.source_timeline += 2;
    expect_refused(f.conn, &other, "behind the job's");
    other = f.job;
    other.source_started = "2001-01-01 00:00:00+00";
    OK(source_check(f.conn, &other, &restarted, &err));
    cr_expect(restarted);
    job_fixture_close(&f);
}
