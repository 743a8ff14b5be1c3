/*
 * test_drift.c - the table changes under a job: the run says what was changed, and the job never
 * completes on a table that it does not know; or the change is harmless and the result is right.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "harness/harness.h"
#include "harness/job.h"
#include "harness/session.h"

#define ROWS    10000
#define SLOW_US 1000 /* none is done before the change */

#define BLOCK_JOB                                                                                  \
    JOB_SET_AMOUNT "path: block\nworkers: 2\nbatch: {time: 20ms}\nallow: [user-triggers]\n"
#define KEY_JOB  JOB_SET_AMOUNT "path: key\nworkers: 2\nbatch: {time: 20ms}\n"
#define NONE_JOB JOB_SET_AMOUNT "sync: none\nworkers: 2\nbatch: {time: 20ms}\n"
#define HITS_JOB JOB_SET_HITS "workers: 2\nbatch: {time: 20ms}\n"

#define TRIGGER "zzzz_pghaul_1"

/* Another table of the same shape under the name, with all rows and nothing moved. */
#define MAKE_ANEW                                                                                  \
    "CREATE TABLE anew (LIKE app INCLUDING ALL);"                                                  \
    "INSERT INTO anew (id, amount_text) SELECT id, amount_text FROM app;"

/* Run to the end; fails unless it exits with the code and says the text. */
static void
expect_words(Proc *proc, int exit_code, const char *words)
{
    cr_assert(proc_wait(proc, HARNESS_TIMEOUT_US));
    char *err = proc_stderr(proc);
    cr_expect(strstr(err, words) != NULL, "no \"%s\" in:\n%s", words, err);
    free(err);
    job_expect_exit(proc, exit_code);
}

/* A run in the midst of the move. */
static Proc *
start_moving(JobTest *test, const char *job)
{
    job_open(test, cluster_shared(), ROWS, SLOW_US);
    job_write(test, job);
    Proc *proc = job_start(test);
    cr_assert(job_wait_batches(test, proc, 0, 5));
    return proc;
}

/* The run ends with the words, and so does every later one. */
static void
expect_drift(JobTest *test, Proc *proc, const char *change, const char *words)
{
    pg_exec(test->conn, change);
    job_set_slow(test, 0); /* whatever is left would be done in no time */
    expect_words(proc, 1, words);
    cr_expect(job_is_state(test, "failed"));
    expect_words(job_start(test), 1, words);
    cr_expect(job_is_state(test, "failed"));
}

static void
check_drift(const char *job, const char *change, const char *words)
{
    JobTest test;
    Proc *proc = start_moving(&test, job);
    expect_drift(&test, proc, change, words);
    job_close_cluster(&test);
}

/* ---- another job of the same table ---- */

static Proc *
start_second(const JobTest *test, const char *verb, const char *lines)
{
    STRBUF_AUTO path = STRBUF_INIT;
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&path, "%s/second.yaml", test->folder);
    strbuf_printf(&text, "job: second\nbackfill: app\n%s", lines);
    harness_write_file(strbuf_text(&path), strbuf_text(&text));
    const char *yes = strcmp(verb, "run") == 0 ? "--yes" : "-v";
    const char *args[] = {verb, strbuf_text(&path), yes, "-d", test->uri, NULL};
    return proc_start_pghaul(args);
}

Test(drift, a_job_of_other_columns_comes_and_goes_while_this_one_runs)
{
    static const char OTHER[] = "set: {more: 'upper(amount_text)'}\n";
    static const char SOME[] = "set: {more: 'upper(amount_text)'}\nwhere: id <= 100\n";
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, SLOW_US);
    pg_exec(test.conn, "ALTER TABLE app ADD more text");
    job_write(&test, BLOCK_JOB);
    Proc *proc = job_start(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 5));
    job_set_slow(&test, 5000); /* the other one is done long before */
    job_expect_exit(start_second(&test, "run", SOME), 0);
    job_expect_exit(start_second(&test, "clean", SOME), 0);
    cr_expect(job_is_moving(&test), "it has not seen the other one's trigger go");
    job_set_slow(&test, 0);
    job_expect_exit(proc, 0);
    job_expect_exit(start_second(&test, "run", OTHER), 0);
    job_expect_verb(&test, "verify", NULL, 0);
    pg_exec(test.conn, "SELECT pghaul.assert_done('" JOB_NAME "'), pghaul.assert_done('second')");
    cr_expect(eq(i64, 0, job_count_wrong(&test, JOB_AMOUNT_RIGHT " AND more = amount_text")));
    job_close_cluster(&test);
}

Test(drift, a_job_that_sets_a_column_which_this_one_reads_is_seen)
{
    JobTest test;
    Proc *proc = start_moving(&test, BLOCK_JOB);
    Proc *second = start_second(&test, "run", "set: {amount_text: \"note || '1'\"}\n");
    expect_words(proc, 1, "trigger zzzz_pghaul_2 was added");
    job_set_slow(&test, 0); /* for the trigger, that the second one's changes fire */
    cr_expect(proc_wait(second, HARNESS_TIMEOUT_US));
    proc_free(second);
    job_close_cluster(&test);
}

/* ---- triggers ---- */

/* Nothing but `verify --repair` (tests/cli/test_repair.c) or `clean` leads on from there. */
static void
check_trigger_drift(const char *change, const char *words)
{
    JobTest test;
    Proc *proc = start_moving(&test, BLOCK_JOB);
    expect_drift(&test, proc, change, words);
    job_expect_verb(&test, "clean", NULL, 0);
    job_expect_run(&test, 0);
    cr_expect(eq(i64, 0, job_count_wrong(&test, JOB_AMOUNT_RIGHT)));
    job_close_cluster(&test);
}

Test(drift, dropped_trigger_ends_the_run_and_the_job_never_completes)
{
    check_trigger_drift("DROP TRIGGER " TRIGGER " ON app", "trigger " TRIGGER " was dropped");
}

Test(drift, disabled_trigger_ends_the_run_and_the_job_never_completes)
{
    check_trigger_drift(
        "ALTER TABLE app DISABLE TRIGGER " TRIGGER, "trigger " TRIGGER " was disabled");
}

/* The rows written in between are unknown; that it looks as before is no excuse. */
Test(drift, trigger_that_was_disabled_for_a_moment_ends_the_run)
{
    check_trigger_drift("ALTER TABLE app DISABLE TRIGGER " TRIGGER
                        "; ALTER TABLE app ENABLE ALWAYS TRIGGER " TRIGGER,
        "trigger " TRIGGER " was changed, or disabled for a while");
}

Test(drift, replaced_function_of_the_trigger_ends_the_run)
{
    check_trigger_drift("DO $$ BEGIN EXECUTE (SELECT replace(pg_get_functiondef(oid),"
                        " 'RETURN NEW', 'RETURN NEW /* mine */') FROM pg_proc"
                        " WHERE proname ~ '^sync_'); END $$",
        "trigger " TRIGGER " has another version of its function now");
}

Test(drift, added_trigger_ends_the_run)
{
    check_trigger_drift("CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS"
                        " 'BEGIN RETURN NEW; END'; CREATE TRIGGER mine BEFORE UPDATE ON app"
                        " FOR EACH ROW EXECUTE FUNCTION mine()",
        "trigger mine was added");
}

/* ---- columns ---- */

Test(drift, renamed_column_ends_the_run_and_the_job_goes_on_when_it_is_put_back)
{
    JobTest test;
    Proc *proc = start_moving(&test, BLOCK_JOB);
    expect_drift(&test, proc, "ALTER TABLE app RENAME amount TO amount_old",
        "column amount was renamed to amount_old");
    /* The application's writes are none of the trigger's any more, and do not fail. */
    pg_exec(test.conn, "UPDATE app SET note = 'written' WHERE id = 1");
    pg_exec(test.conn, "ALTER TABLE app RENAME amount_old TO amount");
    job_expect_run(&test, 0);
    cr_expect(eq(i64, 0, job_count_wrong(&test, JOB_AMOUNT_RIGHT)));
    job_close_cluster(&test);
}

/* The statements find a column of that name, and it is another one. */
Test(drift, columns_that_swap_their_names_end_the_run_and_no_row_is_spoiled)
{
    JobTest test;
    Proc *proc = start_moving(&test, BLOCK_JOB);
    int64_t moved = pg_int(test.conn, "SELECT count(amount) FROM app");
    expect_drift(&test, proc,
        "ALTER TABLE app RENAME amount_text TO swapped; ALTER TABLE app RENAME note TO amount_text;"
        "ALTER TABLE app RENAME swapped TO note",
        "column amount_text was renamed to note");
    cr_expect(le(i64, moved, pg_int(test.conn, "SELECT count(amount) FROM app")));
    cr_expect(eq(i64, 0,
        job_count_wrong(&test, "amount IS NULL OR amount IS NOT DISTINCT FROM note::numeric")));
    job_close_cluster(&test);
}

Test(drift, dropped_source_column_ends_the_run)
{
    check_drift(
        KEY_JOB, "ALTER TABLE app DROP COLUMN amount_text", "column amount_text was dropped");
}

Test(drift, retyped_column_ends_the_run)
{
    check_drift(KEY_JOB, "ALTER TABLE app ALTER amount TYPE bigint",
        "column amount has type bigint now, it had numeric");
}

/* Nothing fails by itself; the rows would be cut. */
Test(drift, narrower_column_ends_the_run)
{
    check_drift(BLOCK_JOB, "ALTER TABLE app ALTER amount TYPE numeric(20,1)",
        "column amount has type numeric(20,1) now, it had numeric");
}

Test(drift, other_collation_of_a_column_ends_the_run)
{
    check_drift(KEY_JOB, "ALTER TABLE app ALTER amount_text TYPE text COLLATE \"C\"",
        "column amount_text has another collation now");
}

Test(drift, column_becomes_an_identity_column)
{
    check_drift(HITS_JOB,
        "ALTER TABLE app ALTER hits DROP DEFAULT, ALTER hits ADD GENERATED ALWAYS AS IDENTITY",
        "column hits is generated otherwise now");
}

Test(drift, renamed_column_ends_a_job_without_trigger)
{
    check_drift(NONE_JOB,
        "ALTER TABLE app RENAME amount TO amount_old;"
        "ALTER TABLE app ADD COLUMN amount numeric",
        "column amount was renamed to amount_old");
}

/* What was counted twice could never be told apart. */
Test(drift, swapped_columns_end_a_self_referring_job)
{
    JobTest test;
    Proc *proc = start_moving(&test, HITS_JOB);
    expect_drift(&test, proc,
        "ALTER TABLE app RENAME hits TO swapped; ALTER TABLE app RENAME hits_before TO hits;"
        "ALTER TABLE app RENAME swapped TO hits_before",
        "column hits was renamed to hits_before");
    pg_exec(test.conn,
        "ALTER TABLE app RENAME hits TO swapped; ALTER TABLE app RENAME hits_before TO hits;"
        "ALTER TABLE app RENAME swapped TO hits_before");
    job_expect_run(&test, 0);
    cr_expect(eq(i64, 0, job_count_wrong(&test, JOB_HITS_RIGHT)));
    job_close_cluster(&test);
}

/* ---- the table itself ---- */

static void
check_other_table(const char *job, const char *change, const char *words)
{
    JobTest test;
    Proc *proc = start_moving(&test, job);
    expect_drift(&test, proc, change, words);
    cr_expect(eq(i64, 0, pg_int(test.conn, "SELECT count(amount) FROM app")),
        "the other table was touched");
    job_close_cluster(&test);
}

Test(drift, table_that_was_renamed_and_another_under_its_name)
{
    check_other_table(BLOCK_JOB,
        MAKE_ANEW "ALTER TABLE app RENAME TO app_old;"
                  "ALTER TABLE anew RENAME TO app",
        "the table was renamed to public.app_old");
}

Test(drift, table_that_was_renamed_and_another_under_its_name_without_trigger)
{
    check_other_table(NONE_JOB,
        MAKE_ANEW "ALTER TABLE app RENAME TO app_old;"
                  "ALTER TABLE anew RENAME TO app",
        "the table was renamed to public.app_old");
}

Test(drift, table_that_was_dropped_and_made_anew)
{
    check_other_table(KEY_JOB, MAKE_ANEW "DROP TABLE app; ALTER TABLE anew RENAME TO app",
        "the table was dropped");
}

Test(drift, table_that_was_only_renamed)
{
    check_drift(
        BLOCK_JOB, "ALTER TABLE app RENAME TO app_old", "the table was renamed to public.app_old");
}

Test(drift, table_that_moved_to_another_schema)
{
    check_drift(KEY_JOB, "CREATE SCHEMA attic; ALTER TABLE app SET SCHEMA attic",
        "the table was renamed to attic.app");
}

Test(drift, table_that_was_set_unlogged)
{
    check_drift(BLOCK_JOB, "ALTER TABLE app SET UNLOGGED", "the table was set UNLOGGED");
}

/* All rows that are left would be hidden, and count as done. */
Test(drift, row_security_that_hides_rows_from_the_owner)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, SLOW_US);
    job_write(&test, NONE_JOB "throttle: {standbys: none}\n");
    pg_exec(test.conn, "CREATE ROLE drift_owner LOGIN; GRANT pg_monitor TO drift_owner;"
                       "ALTER TABLE app OWNER TO drift_owner");
    pg_execf(test.conn, "GRANT CREATE ON DATABASE %s TO drift_owner", test.dbname);
    const char *const more[] = {"--yes", "-U", "drift_owner", NULL};
    Proc *proc = job_start_verb(&test, "run", NULL, more);
    cr_assert(job_wait_batches(&test, proc, 0, 5));
    pg_exec(test.conn, "ALTER TABLE app ENABLE ROW LEVEL SECURITY"); /* not for the owner */
    cr_assert(job_wait_batches(&test, proc, job_batches(&test), 5));
    pg_exec(test.conn, "ALTER TABLE app FORCE ROW LEVEL SECURITY");
    job_set_slow(&test, 0);
    expect_words(proc, 1, "the table has row security now that hides rows");
    cr_expect(job_is_state(&test, "failed"));
    pg_exec(test.conn, "ALTER TABLE app NO FORCE ROW LEVEL SECURITY");
    job_expect_verb(&test, "run", more, 0);
    cr_expect(eq(i64, 0, job_count_wrong(&test, JOB_AMOUNT_RIGHT)));
    pg_exec(test.conn, "REASSIGN OWNED BY drift_owner TO CURRENT_USER; DROP OWNED BY drift_owner");
    pg_exec(test.conn, "DROP ROLE drift_owner");
    job_close_cluster(&test);
}

/* ---- the key ---- */

Test(drift, dropped_index_of_the_key)
{
    check_drift(KEY_JOB, "ALTER TABLE app DROP CONSTRAINT app_pkey",
        "the unique index on the key was dropped");
}

Test(drift, key_that_may_be_null)
{
    check_drift(BLOCK_JOB,
        "ALTER TABLE app DROP CONSTRAINT app_pkey, ALTER id DROP NOT NULL;"
        "CREATE UNIQUE INDEX ON app (id)",
        "column id of the key may be NULL now");
}

/* ---- what does no harm ---- */

static void
expect_right_end(JobTest *test, Proc *proc)
{
    cr_assert(job_wait_batches(test, proc, job_batches(test), 3));
    job_set_slow(test, 0);
    job_expect_exit(proc, 0);
    cr_expect(job_is_state(test, "complete"));
    cr_expect(eq(i64, 0, job_count_wrong(test, JOB_AMOUNT_RIGHT)));
    job_close_cluster(test);
}

static void
check_harmless(const char *job, const char *change)
{
    JobTest test;
    Proc *proc = start_moving(&test, job);
    pg_exec(test.conn, change);
    expect_right_end(&test, proc);
}

Test(drift, index_of_the_key_may_be_replaced_by_another_unique_one)
{
    JobTest test;
    Proc *proc = start_moving(&test, KEY_JOB);
    pg_exec(test.conn, "CREATE UNIQUE INDEX CONCURRENTLY other ON app (id)");
    pg_exec(test.conn, "ALTER TABLE app DROP CONSTRAINT app_pkey, ALTER id SET NOT NULL");
    expect_right_end(&test, proc);
}

Test(drift, index_of_the_key_may_be_built_anew)
{
    JobTest test;
    Proc *proc = start_moving(&test, KEY_JOB);
    pg_exec(test.conn, "REINDEX INDEX CONCURRENTLY app_pkey");
    expect_right_end(&test, proc);
}

Test(drift, table_may_be_attached_as_a_partition)
{
    check_harmless(BLOCK_JOB, "CREATE TABLE whole (LIKE app) PARTITION BY RANGE (id);"
                              "ALTER TABLE whole ATTACH PARTITION app DEFAULT");
}

Test(drift, table_may_get_a_child_whose_rows_are_not_touched)
{
    check_harmless(NONE_JOB, "CREATE TABLE child () INHERITS (app)");
}

Test(drift, columns_and_indexes_that_the_job_does_not_use_may_come_and_go)
{
    check_harmless(KEY_JOB, "ALTER TABLE app ADD COLUMN more text, DROP COLUMN note,"
                            " ALTER amount SET DEFAULT 0, ALTER amount SET STATISTICS 10;"
                            "CREATE INDEX ON app (amount_text); GRANT SELECT ON app TO PUBLIC;"
                            "COMMENT ON COLUMN app.amount IS 'x'; ANALYZE app");
}

/* Rows that were there are gone; those that come now are the trigger's affair. */
static void
check_truncate(const char *job)
{
    JobTest test;
    Proc *proc = start_moving(&test, job);
    pg_exec(test.conn, "TRUNCATE app");
    pg_exec(test.conn, "INSERT INTO app (id, amount_text) SELECT g, g FROM"
                       " generate_series(1, 200) g");
    job_set_slow(&test, 0);
    job_expect_exit(proc, 0);
    cr_expect(job_is_state(&test, "complete"));
    cr_expect(eq(i64, 200, pg_int(test.conn, "SELECT count(amount) FROM app")));
    cr_expect(eq(i64, 0, job_count_wrong(&test, JOB_AMOUNT_RIGHT)));
    job_close_cluster(&test);
}

Test(drift, truncate_during_the_block_path_leaves_new_rows_right)
{
    check_truncate(BLOCK_JOB);
}

Test(drift, truncate_during_the_key_path_leaves_new_rows_right)
{
    check_truncate(KEY_JOB);
}

/* It promises something about rows that existed at the start; there are none.  A new row is counted
 * once or not at all, as any row that is inserted meanwhile. */
Test(drift, truncate_during_a_self_referring_job_never_counts_a_new_row_twice)
{
    JobTest test;
    Proc *proc = start_moving(&test, HITS_JOB);
    pg_exec(test.conn, "TRUNCATE app");
    pg_execf(test.conn,
        "INSERT INTO app (id, hits, hits_before) SELECT g, g, g FROM"
        " generate_series(1, %d) g",
        ROWS);
    job_set_slow(&test, 0);
    job_expect_exit(proc, 0);
    cr_expect(job_is_state(&test, "complete"));
    cr_expect(eq(i64, 0, job_count_wrong(&test, JOB_HITS_RIGHT " OR hits = hits_before")));
    job_close_cluster(&test);
}

/* ---- at other times ---- */

Test(drift, trigger_that_is_disabled_during_the_verify_pass_ends_the_run)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 0);
    job_set_slow_pass(&test, "verify", SLOW_US);
    job_write(&test, BLOCK_JOB);
    Proc *proc = job_start(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 1));
    pg_wait_true(test.conn,
        "SELECT EXISTS (SELECT FROM pghaul.job j JOIN pghaul.ranges r"
        " ON r.job = j.id AND r.pass = j.pass WHERE pass_kind = 'verify'"
        " AND r.batches > 0)",
        HARNESS_TIMEOUT_US);
    expect_drift(&test, proc, "ALTER TABLE app DISABLE TRIGGER " TRIGGER,
        "trigger " TRIGGER " was disabled");
    job_close_cluster(&test);
}

Test(drift, trigger_that_is_dropped_while_no_run_is_alive_refuses_the_next_one)
{
    JobTest test;
    Proc *proc = start_moving(&test, KEY_JOB);
    proc_signal(proc, SIGKILL);
    proc_free(proc);
    pg_exec(test.conn, "DROP TRIGGER " TRIGGER " ON app");
    int64_t batches = job_batches(&test);
    expect_words(job_start(&test), 1, "trigger " TRIGGER " was dropped");
    cr_expect(eq(i64, batches, job_batches(&test)));
    cr_expect(job_is_state(&test, "failed"));
    job_close_cluster(&test);
}

/* The catalog and the expressions are read before the job; what they miss has a reason. */
Test(drift, column_that_is_renamed_while_no_run_is_alive_is_named_by_the_next_one)
{
    JobTest test;
    Proc *proc = start_moving(&test, KEY_JOB);
    proc_signal(proc, SIGTERM);
    job_expect_exit(proc, 7);
    pg_exec(test.conn, "ALTER TABLE app RENAME amount_text TO amount_words");
    expect_words(job_start(&test), 1, "column amount_text was renamed to amount_words");
    pg_exec(test.conn, "ALTER TABLE app RENAME amount_words TO amount_text");
    job_set_slow(&test, 0);
    job_expect_run(&test, 0);
    cr_expect(eq(i64, 0, job_count_wrong(&test, JOB_AMOUNT_RIGHT)));
    job_close_cluster(&test);
}

Test(drift, trigger_that_is_dropped_while_a_person_holds_the_job_ends_the_run_when_it_goes_on)
{
    JobTest test;
    Proc *proc = start_moving(&test, BLOCK_JOB);
    job_expect_verb(&test, "pause", NULL, 0);
    pg_wait_true(test.conn,
        "SELECT EXISTS (SELECT FROM pghaul.event WHERE what = 'paused' AND run IS NOT NULL)",
        HARNESS_TIMEOUT_US);
    pg_exec(test.conn, "DROP TRIGGER " TRIGGER " ON app");
    cr_expect(not(proc_wait(proc, 0)));
    job_expect_verb(&test, "resume", NULL, 0);
    expect_words(proc, 1, "trigger " TRIGGER " was dropped");
    cr_expect(job_is_state(&test, "failed"));
    job_close_cluster(&test);
}

Test(drift, trigger_that_is_dropped_while_it_is_throttled_ends_the_run_when_it_goes_on,
    .timeout = 120)
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.with_standby = true});
    JobTest test;
    job_open(&test, cluster, ROWS, SLOW_US);
    job_write(&test, KEY_JOB "throttle: {lag: 500ms}\n");
    cluster_wait_catch_up(cluster, HARNESS_TIMEOUT_US);
    Proc *proc = job_start(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 5));
    cluster_pause_replay(cluster);
    pg_wait_true(test.conn, "SELECT EXISTS (SELECT FROM pghaul.run WHERE reason LIKE '%lag%')",
        HARNESS_TIMEOUT_US);
    pg_exec(test.conn, "DROP TRIGGER " TRIGGER " ON app");
    cluster_resume_replay(cluster);
    expect_words(proc, 1, "trigger " TRIGGER " was dropped");
    cr_expect(job_is_state(&test, "failed"));
    job_close(&test);
    cluster_stop(cluster);
}
