/*
 * test_copy_moving.c - rows that change their places while they are copied: to other blocks, to
 * other partitions, to other owners of a unique value; and a change log that is lost or long.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "cli/remote_case.h"
#include "harness/harness.h"
#include "harness/job.h"
#include "harness/session.h"

/* Of 3000 rows, 33 in a block, those in ten blocks at the end were deleted: what is updated goes
 * there, since another index forbids it to stay. */
#define SOURCE                                                                                     \
    "CREATE TABLE src (id int PRIMARY KEY, region int NOT NULL, note text)"                        \
    " WITH (autovacuum_enabled = off);"                                                            \
    "INSERT INTO src SELECT i, 1, repeat('x', 200) FROM generate_series(1, 3000) AS i;"            \
    "CREATE INDEX ON src (region);"                                                                \
    "DELETE FROM src WHERE ctid >= '(75,0)' AND ctid < '(85,0)'"
#define PARTITIONED                                                                                \
    "CREATE TABLE dst (id int, region int, note text, PRIMARY KEY (id, region))"                   \
    " PARTITION BY LIST (region);"                                                                 \
    "CREATE TABLE dst_1 PARTITION OF dst FOR VALUES IN (1);"                                       \
    "CREATE TABLE dst_2 PARTITION OF dst FOR VALUES IN (2)"
#define PLAIN "CREATE TABLE dst (id int PRIMARY KEY, region int, note text)"

#define LINES                                                                                      \
    "job: " JOB_NAME                                                                               \
    "\ncopy: src\ninto: dst\nmap: {note: slowly(note)}\npath: block\nworkers: 1\n"                 \
    "batch: {rows: 100}\nthrottle: {standbys: none}\n"

static void
open_copy(JobTest *test, const char *target, int64_t slow_us)
{
    job_open(test, cluster_shared(), 10, slow_us);
    pg_exec(test->conn, SOURCE);
    pg_exec(test->conn, "VACUUM ANALYZE src");
    pg_exec(test->conn, target);
    harness_write_file(test->path, LINES);
}

static void
expect_copied(const JobTest *test)
{
    char *message = NULL;
    int64_t differ = pg_compare(test->conn, "SELECT * FROM src", "SELECT * FROM dst", &message);
    cr_expect(eq(i64, 0, differ), "%s", message == NULL ? "" : message);
    free(message);
}

Test(copy_moving, row_that_goes_ahead_into_another_partition_is_there_once)
{
    JobTest test;
    open_copy(&test, PARTITIONED, 2000);
    Proc *run = job_start(&test);
    cr_assert(job_wait_batches(&test, run, 0, 3));
    pg_exec(test.conn, "UPDATE src SET region = 2 WHERE ctid < '(1,0)'");
    job_set_slow(&test, 0);
    job_expect_exit(run, 0);
    cr_expect(lt(i64, pg_int(test.conn, "SELECT count(*) FROM src"), job_moved_rows(&test)),
        "they were copied twice");
    expect_copied(&test);
    job_close_cluster(&test);
}

Test(copy_moving, table_that_is_rewritten_is_walked_over_anew_around_what_is_there)
{
    JobTest test;
    open_copy(&test, PLAIN, 2000);
    Proc *run = job_start(&test);
    cr_assert(job_wait_batches(&test, run, 0, 3));
    pg_exec(test.conn, "VACUUM FULL src");
    pg_exec(test.conn, "UPDATE src SET note = 'new' WHERE id % 10 = 0");
    job_set_slow(&test, 0);
    job_expect_exit(run, 0);
    cr_expect(
        eq(i64, 1, pg_int(test.conn, "SELECT count(*) FROM pghaul.event WHERE what = 'restart'")));
    expect_copied(&test);
    job_close_cluster(&test);
}

Test(copy_moving, value_of_an_exclusion_constraint_may_change_hands)
{
    JobTest test;
    open_copy(&test,
        "ALTER TABLE src ADD u int; UPDATE src SET u = id;"
        "CREATE TABLE dst (id int PRIMARY KEY, region int, note text, u int,"
        " EXCLUDE USING btree (u WITH =))",
        2000);
    Proc *run = job_start(&test);
    cr_assert(job_wait_batches(&test, run, 0, 3));
    pg_exec(test.conn, "UPDATE src SET u = 3001 - id WHERE id < 10 OR id > 2991");
    job_set_slow(&test, 0);
    job_expect_exit(run, 0);
    expect_copied(&test);
    job_close_cluster(&test);
}

Test(copy_moving, change_log_that_was_dropped_is_not_taken_for_an_empty_one)
{
    static const char *const REPAIR[] = {"--repair", NULL};
    JobTest test;
    open_copy(&test, PLAIN, 0);
    job_expect_run(&test, 0);
    pg_exec(test.conn, "UPDATE src SET note = 'lost' WHERE id = 1");
    char *log = pg_text(test.conn, "SELECT oid::regclass FROM pg_class WHERE relname ~ '^log_'");
    pg_execf(test.conn, "DROP TABLE %s", log);
    free(log);
    job_expect_run(&test, 1);
    cr_expect(job_is_state(&test, "failed"));
    job_expect_verb(&test, "verify", REPAIR, 0);
    cr_expect(job_is_state(&test, "synced"));
    expect_copied(&test);
    job_close_cluster(&test);
}

Test(copy_moving, rows_are_compared_once_a_long_change_log_is_short)
{
    JobTest test;
    open_copy(&test, PLAIN, 5000);
    Proc *run = job_start(&test);
    cr_assert(job_wait_batches(&test, run, 0, 1));
    pg_exec(test.conn,
        "DO $$ BEGIN FOR i IN 1..30 LOOP UPDATE src SET note = i::text WHERE id <= 400; COMMIT;"
        " END LOOP; END $$");
    pg_wait_true(test.conn, "SELECT backlog_s > 3.5 FROM pghaul.progress", HARNESS_TIMEOUT_US);
    cr_expect(job_is_moving(&test));
    job_set_slow(&test, 0);
    pg_wait_true(test.conn, "SELECT pass_kind = 'verify' FROM pghaul.job", HARNESS_TIMEOUT_US);
    cr_expect(le(i64, pg_int(test.conn, "SELECT backlog_rows FROM pghaul.progress"), 10000));
    job_expect_exit(run, 0);
    expect_copied(&test);
    job_close_cluster(&test);
}

Test(copy_moving, unique_value_is_handed_on_while_rows_go_to_another_server)
{
    static const char SLOW[] = "CREATE OR REPLACE FUNCTION slow(text) RETURNS text LANGUAGE plpgsql"
                               " IMMUTABLE AS $$ BEGIN PERFORM pg_sleep(%s); RETURN $1; END $$";
    RemoteCase test;
    remote_open(&test,
        "CREATE TABLE src (id int PRIMARY KEY, u int UNIQUE, note text);"
        "INSERT INTO src SELECT i, i, 'n' FROM generate_series(1, 2000) AS i; ANALYZE src",
        "CREATE TABLE dst (id int PRIMARY KEY, u int UNIQUE, note text)");
    pg_execf(test.source, SLOW, "0.001");
    remote_write_job(&test, NULL, NULL,
        "map: {note: slow(note)}\nworkers: 1\nbatch: {rows: 200}\nthrottle: {standbys: none}\n");
    Proc *run = remote_start(&test);
    cr_assert(remote_wait_batches(&test, run, 0, 1));
    pg_exec(
        test.source, "UPDATE src SET u = -1 WHERE id = 5; UPDATE src SET u = 5 WHERE id = 2000");
    pg_execf(test.source, SLOW, "0");
    remote_finish(run, 0);
    remote_expect_equal(&test, "SELECT * FROM src", "SELECT * FROM dst");
    remote_close(&test);
}
