/*
 * test_archive_failover.c - a standby takes over that has not got the last commits: their rows are
 * in the table again, and the files have frames that say otherwise.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdlib.h>

#include "cli/archive_case.h"
#include "cli/cli.h"
#include "harness/harness.h"

#define ROWS 3000

static const char *const ACCEPTED[] = {"--yes", NULL};

/* Each delete takes a while. */
static void
open_case(ArchiveCase *c, PgCluster *cluster)
{
    archive_case_open(c, cluster, "workers: 2\nbatch: {rows: 20}\nallow: [user-triggers]\n");
    pg_exec(c->test.conn,
        "CREATE TABLE pace AS SELECT 0.01 AS s;"
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep((SELECT s FROM pace)); RETURN NULL; END';"
        "CREATE TRIGGER slow AFTER DELETE ON item FOR EACH STATEMENT EXECUTE FUNCTION slow()");
    archive_case_fill(c, ROWS);
}

static Proc *
start(const ArchiveCase *c, PgCluster *cluster)
{
    return job_start_verb(&c->test, "run", cluster_any_uri(cluster, c->test.dbname), ACCEPTED);
}

/* The standby takes over without the last batches that the primary has committed. */
static void
fail_over(ArchiveCase *c, PgCluster *cluster, Proc *proc, bool kills)
{
    cr_assert(job_wait_batches(&c->test, proc, 0, 10));
    cluster_wait_catch_up(cluster, HARNESS_TIMEOUT_US);
    cluster_stop_standby(cluster);
    cr_assert(job_wait_batches(&c->test, proc, job_batches(&c->test), 10));
    if (kills) {
        proc_signal(proc, SIGKILL);
        (void)proc_finish(proc, HARNESS_TIMEOUT_US);
        proc_free(proc);
    }
    pg_close(c->test.conn);
    cluster_stop_immediate(cluster);
    cluster_restart_standby(cluster);
    cluster_promote_standby(cluster);
    c->test.conn = pg_open(cluster_standby_uri(cluster, c->test.dbname));
    pg_exec(c->test.conn, "UPDATE pace SET s = 0");
}

/* All that ever was archived comes back once. */
static void
expect_restorable(const ArchiveCase *c, PgCluster *cluster)
{
    const char *uri = cluster_standby_uri(cluster, c->test.dbname);
    CliResult verify = CLI("archive", "verify", c->archive, "-d", uri);
    cr_expect(eq(int, 0, verify.code), "%s\n%s", verify.out, verify.err);
    cr_expect(cli_has(verify.out, "lost their deletion"), "%s", verify.out);
    cli_free(&verify);
    pg_exec(c->test.conn, "CREATE TABLE back (LIKE item)");
    CliResult restore = CLI("archive", "restore", c->archive, "-d", uri, "--yes", "--into=back");
    cr_expect(eq(int, 0, restore.code), "%s\n%s", restore.out, restore.err);
    cli_free(&restore);
    cr_expect(eq(i64, ROWS, pg_int(c->test.conn, "SELECT count(*) FROM back")));
    cr_expect(eq(i64, ROWS, pg_int(c->test.conn, "SELECT count(DISTINCT id) FROM back")));
}

static void
close_case(ArchiveCase *c, PgCluster *cluster)
{
    cluster_restart(cluster); /* the old primary, for job_close() */
    archive_case_close(c);
}

Test(archive_failover, frames_that_the_new_server_does_not_know_are_void_for_the_next_run)
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.with_standby = true});
    ArchiveCase c;
    open_case(&c, cluster);
    fail_over(&c, cluster, start(&c, cluster), true);
    job_expect_exit(start(&c, cluster), 0);
    archive_case_check(&c, true, "after the failover");
    cr_expect(eq(i64, 0, archive_case_open_files(&c)));
    expect_restorable(&c, cluster);
    close_case(&c, cluster);
}

Test(archive_failover, run_that_outlives_it_leaves_its_file_to_the_next_one)
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.with_standby = true});
    ArchiveCase c;
    open_case(&c, cluster);
    Proc *proc = start(&c, cluster);
    fail_over(&c, cluster, proc, false);
    job_expect_exit(proc, 0);
    archive_case_check(&c, true, "after the failover");
    job_expect_exit(start(&c, cluster), 0);
    archive_case_check(&c, true, "after the next run");
    cr_expect(eq(i64, 0, archive_case_open_files(&c)));
    expect_restorable(&c, cluster);
    close_case(&c, cluster);
}
