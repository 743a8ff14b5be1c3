/*
 * test_kill_ddl.c - kill -9 at every single DDL statement of run and of clean, then clean: the
 * catalog is as it was; and of cutover and rollback, then the same again: one of the two tables
 * serves all the time.
 *
 * An event trigger counts the DDL statements of pghaul's sessions, by a sequence since that
 * survives a rollback, and the N-th one waits for a lock of ours.  There the process is killed;
 * its backend learns that only after the statement.  For N = 1, 2, .. until nothing is caught; of
 * run, which has many, PGHAUL_SOAK=1 takes all and the seed says which every second one else.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "harness/harness.h"
#include "harness/job.h"
#include "harness/session.h"

#define ROWS        200
#define POLL_NAP_US 2000
#define JOB         "set: {amount: 'amount_text::numeric'}\npath: block\nthrottle: {standbys: none}\n"

typedef struct StepTest {
    JobTest job;
    char *catalog;
    char *counts;
    int step; /* the last one at which a process was killed */
} StepTest;

/* lock_timeout is off inside of it: the statement waits for as long as we want. */
static const char TRIP_WIRE[] =
    "CREATE SCHEMA wire;"
    "CREATE SEQUENCE wire.step;"
    "CREATE TABLE wire.aim (step bigint NOT NULL);"
    "INSERT INTO wire.aim VALUES (0);"
    "CREATE FUNCTION wire.trip() RETURNS event_trigger LANGUAGE plpgsql SET lock_timeout = 0"
    " AS $$ BEGIN"
    "   IF current_setting('application_name') LIKE 'pghaul/%'"
    "      AND nextval('wire.step') = (SELECT step FROM wire.aim) THEN"
    "       PERFORM pg_advisory_lock(1);"
    "   END IF;"
    " END $$;"
    "CREATE EVENT TRIGGER wire ON ddl_command_start EXECUTE FUNCTION wire.trip()";

static void
step_open(StepTest *test)
{
    *test = (StepTest){.step = 0};
    job_open(&test->job, cluster_shared(), ROWS, 0);
    job_write(&test->job, JOB);
    pg_exec(test->job.conn, TRIP_WIRE);
    test->catalog = job_catalog(&test->job);
    test->counts = job_catalog_counts(&test->job);
}

static void
step_close(StepTest *test)
{
    pg_exec(test->job.conn, "DROP EVENT TRIGGER wire");
    free(test->catalog);
    free(test->counts);
    job_close_cluster(&test->job);
}

static void
expect_same_catalog(const StepTest *test, const char *when)
{
    char *after = job_catalog(&test->job);
    cr_expect(eq(str, test->catalog, after), "step %d, after %s", test->step, when);
    free(after);
}

static bool
is_caught(const StepTest *test)
{
    return pg_int(test->job.conn,
               "SELECT EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory'"
               " AND NOT l.granted AND l.objid = 1 AND l.database = (SELECT oid"
               " FROM pg_database WHERE datname = current_database()))") == 1;
}

/* Kill it at the step; false, and its exit code in *code, when it ends before. */
static bool
kill_at(const StepTest *test, Proc *proc, int *code)
{
    int64_t deadline_us = clock_mono_us() + HARNESS_TIMEOUT_US;
    while (!is_caught(test)) {
        if (proc_wait(proc, 0)) {
            *code = proc_exit_code(proc);
            proc_free(proc);
            return false;
        }
        if (clock_mono_us() > deadline_us) {
            harness_fail("step %d: neither caught nor at its end", test->step);
        }
        harness_nap_us(POLL_NAP_US);
    }
    proc_signal(proc, SIGKILL);
    *code = proc_finish(proc, HARNESS_TIMEOUT_US);
    proc_free(proc);
    return true;
}

/* Start it with the wire at the step; true when it was killed there, and its backend is gone. */
static bool
start_and_kill(StepTest *test, Proc *(*start)(const JobTest *job), int step)
{
    test->step = step;
    PGconn *conn = test->job.conn;
    pg_execf(conn, "UPDATE wire.aim SET step = %d; SELECT setval('wire.step', 1, false)", step);
    pg_exec(conn, "SELECT pg_advisory_lock(1)");
    int code = 0;
    bool killed = kill_at(test, start(&test->job), &code);
    cr_expect(eq(int, killed ? 128 + SIGKILL : 0, code), "step %d", step);
    pg_exec(conn, "UPDATE wire.aim SET step = 0; SELECT pg_advisory_unlock(1)");
    pg_wait_true(conn,
        "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'pghaul/%'"
        " AND datname = current_database()",
        HARNESS_TIMEOUT_US);
    return killed;
}

static Proc *
start_clean_all(const JobTest *job)
{
    const char *args[] = {"clean", "--all", "-d", job->uri, NULL};
    return proc_start_pghaul(args);
}

static Proc *
start_clean(const JobTest *job)
{
    return job_start_verb(job, "clean", NULL, NULL);
}

/* Whatever is there: the job, if it got as far as a row, then all. */
static void
clean_up(const StepTest *test)
{
    PGconn *conn = test->job.conn;
    bool has_job =
        pg_int(conn, "SELECT to_regclass('pghaul.meta') IS NOT NULL") == 1 &&
        pg_int(conn, "SELECT EXISTS (SELECT FROM pghaul.job WHERE cleaned IS NULL)") == 1;
    job_expect_verb(&test->job, "clean", NULL, has_job ? 0 : 2);
    expect_same_catalog(test, "clean JOB");
    cr_expect(eq(i64, 0, job_count_functions(&test->job)), "step %d", test->step);
    job_expect_exit(start_clean_all(&test->job), 0);
    expect_same_catalog(test, "clean --all");
    char *counts = job_catalog_counts(&test->job);
    cr_expect(eq(str, test->counts, counts), "step %d", test->step);
    free(counts);
}

Test(kill_ddl, run_leaves_nothing_that_clean_does_not_remove)
{
    StepTest test;
    step_open(&test);
    int kills = 0;
    int stride = harness_env("PGHAUL_SOAK", NULL) == NULL ? 2 : 1;
    int first = 1 + (int)(harness_seed() % (uint64_t)stride);
    for (int step = first; start_and_kill(&test, job_start, step); step += stride) {
        kills++;
        clean_up(&test);
    }
    clean_up(&test);
    (void)fprintf(stderr, "figures: kill -9 at DDL steps of run: %d\n", kills);
    cr_expect(le(int, 60 / stride, kills));
    step_close(&test);
}

static void
expect_clean_may_be_repeated(Proc *(*start)(const JobTest *job), const char *title)
{
    StepTest test;
    step_open(&test);
    int step = 1;
    job_expect_run(&test.job, 0);
    for (; start_and_kill(&test, start, step); step++) {
        clean_up(&test);
        job_expect_run(&test.job, 0);
    }
    clean_up(&test);
    (void)fprintf(stderr, "figures: kill -9 at DDL steps of %s: %d\n", title, step - 1);
    cr_expect(le(int, 2, step - 1)); /* a trigger, and a schema with all that is in it */
    step_close(&test);
}

Test(kill_ddl, clean_may_be_repeated)
{
    expect_clean_may_be_repeated(start_clean, "clean");
}

Test(kill_ddl, clean_all_may_be_repeated)
{
    expect_clean_may_be_repeated(start_clean_all, "clean --all");
}

/* ---- cutover and rollback ---- */

#define EXCHANGE_JOB "job: fill\ncopy: app\ninto: app_v2\nthrottle: {standbys: none}\n"

static const char BELONGINGS[] =
    "CREATE TABLE app_v2 (LIKE app, extra int, PRIMARY KEY (id));"
    "CREATE TABLE child (id bigint REFERENCES app); CREATE TABLE parent (id int PRIMARY KEY);"
    "ALTER TABLE app ADD parent int REFERENCES parent; ALTER TABLE app_v2 ADD parent int;"
    "CREATE VIEW shown AS SELECT id, note FROM app;"
    "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
    "CREATE TRIGGER touch BEFORE UPDATE ON app FOR EACH ROW EXECUTE FUNCTION touch();";

/* What the way back needs is made anew each time. */
static const char FORGET_REVERSE[] =
    "DO $$ DECLARE r text; BEGIN FOR r IN"
    "  SELECT 'FUNCTION ' || p.oid::regprocedure FROM pg_proc p, pghaul.job j"
    "   WHERE p.pronamespace = 'pghaul'::regnamespace AND p.proname ~ '_1_[0-9a-f]{16}$'"
    "     AND p.proname !~ j.fingerprint AND p.proname !~ '^fresh'"
    "  UNION ALL SELECT CASE c.relkind WHEN 'r' THEN 'TABLE ' ELSE 'SEQUENCE ' END"
    "      || c.oid::regclass FROM pg_class c, pghaul.job j"
    "   WHERE c.relnamespace = 'pghaul'::regnamespace AND c.relname ~ "
    "'^(log|overflow)_1_[0-9a-f]{16}$'"
    "     AND c.relname !~ j.fingerprint"
    " LOOP EXECUTE 'DROP ' || r; END LOOP; END $$";

static const char *const AGREED[] = {"--yes", NULL};

static Proc *
start_cutover(const JobTest *job)
{
    return job_start_verb(job, "cutover", NULL, AGREED);
}

static Proc *
start_rollback(const JobTest *job)
{
    return job_start_verb(job, "rollback", NULL, AGREED);
}

/* One of the two tables serves, and the state says which; all that refers to it refers to that. */
static void
expect_whole(const StepTest *test, const char *when)
{
    PGconn *conn = test->job.conn;
    cr_expect(eq(i64, 1,
                  pg_int(conn, "SELECT CASE state WHEN 'synced' THEN table_oid WHEN 'cut_over'"
                               " THEN into_oid END = 'app'::regclass FROM pghaul.job")),
        "step %d, %s", test->step, when);
    cr_expect(
        eq(i64, 1,
            pg_int(conn, "SELECT count(*) FROM pg_constraint WHERE contype = 'f'"
                         " AND confrelid = 'app'::regclass AND conrelid = 'child'::regclass")),
        "step %d, %s", test->step, when);
    cr_expect(eq(i64, 1,
                  pg_int(conn, "SELECT count(*) FROM pg_depend WHERE refobjid = 'app'::regclass AND"
                               " classid = 'pg_rewrite'::regclass AND refobjsubid = 1")),
        "step %d, %s", test->step, when);
    pg_execf(conn,
        "UPDATE app SET note = 'step %d' WHERE id = %d; DELETE FROM app WHERE id = 190;"
        "INSERT INTO app (id, amount_text) VALUES (190, 'new')",
        test->step, 1 + test->step % 100);
}

static void
expect_in_step(const StepTest *test, const char *left, const char *right)
{
    char sql[2][80];
    char *message = NULL;
    (void)snprintf(sql[0], sizeof(sql[0]), "SELECT id, amount_text, note FROM %s", left);
    (void)snprintf(sql[1], sizeof(sql[1]), "SELECT id, amount_text, note FROM %s", right);
    cr_expect(eq(i64, 0, pg_compare(test->job.conn, sql[0], sql[1], &message)), "step %d: %s",
        test->step, message == NULL ? "" : message);
    free(message);
}

/* From `synced`, or from where a kill left it. */
static void
exchange(const StepTest *test)
{
    job_expect_exit(start_cutover(&test->job), 0);
    expect_whole(test, "after cutover");
    job_expect_run(&test->job, 0);
    expect_in_step(test, "app", "app_old");
}

static void
exchange_back(const StepTest *test)
{
    job_expect_exit(start_rollback(&test->job), 0);
    expect_whole(test, "after rollback");
    job_expect_run(&test->job, 0);
    expect_in_step(test, "app", "app_v2");
}

Test(kill_ddl, cutover_and_rollback_go_on_after_a_kill)
{
    StepTest test;
    step_open(&test);
    pg_exec(test.job.conn, BELONGINGS);
    harness_write_file(test.job.path, EXCHANGE_JOB);
    job_expect_run(&test.job, 0);
    int kills = 0;
    int stride = harness_env("PGHAUL_SOAK", NULL) == NULL ? 7 : 1;
    int first = 1 + (int)(harness_seed() % (uint64_t)stride);
    for (int step = first; start_and_kill(&test, start_cutover, step); step += stride) {
        kills++;
        expect_whole(&test, "after a kill");
        exchange(&test);
        exchange_back(&test);
        pg_exec(test.job.conn, FORGET_REVERSE);
    }
    expect_whole(&test, "after cutover");
    for (int step = first; start_and_kill(&test, start_rollback, step); step += stride) {
        kills++;
        expect_whole(&test, "after a kill");
        exchange_back(&test);
        exchange(&test);
    }
    expect_whole(&test, "after rollback");
    (void)fprintf(stderr, "figures: kill -9 at DDL steps of cutover and rollback: %d\n", kills);
    cr_expect(le(int, 30 / stride, kills));
    step_close(&test);
}
