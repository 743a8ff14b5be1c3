/*
 * test_harness.c - the harness itself: a harness that cannot fail a test proves nothing.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "harness/harness.h"
#include "harness/pgcluster.h"
#include "harness/proc.h"
#include "harness/session.h"

Test(harness_cluster, shared_cluster_has_a_streaming_standby)
{
    PgCluster *cluster = cluster_shared();
    const char *dbname = cluster_create_database(cluster, NULL);
    PGconn *conn = pg_open(cluster_uri(cluster, dbname));
    pg_exec(conn, "CREATE TABLE seen AS SELECT 42 AS answer");
    cr_assert(eq(i64, 1,
        pg_int(conn, "SELECT count(*) FROM pg_stat_replication"
                     " WHERE application_name = 'standby1' AND state = 'streaming'")));

    cluster_wait_catch_up(cluster, HARNESS_TIMEOUT_US);
    PGconn *standby = pg_open(cluster_standby_uri(cluster, dbname));
    cr_expect(eq(i64, 42, pg_int(standby, "SELECT answer FROM seen")));
    cr_expect(eq(i64, 1, pg_int(standby, "SELECT pg_is_in_recovery()")));

    pg_close(standby);
    pg_close(conn);
    cluster_drop_database(cluster, dbname);
    cluster_stop(cluster);
}

Test(harness_cluster, crash_keeps_what_was_committed_and_cuts_sessions)
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.with_standby = false});
    PGconn *conn = pg_open(cluster_uri(cluster, "postgres"));
    pg_exec(conn, "CREATE TABLE kept (id int); INSERT INTO kept VALUES (1)");
    pg_exec(conn, "BEGIN; INSERT INTO kept VALUES (2)");

    cluster_stop_immediate(cluster);
    char sqlstate[6];
    cr_expect(not(pg_try(conn, "COMMIT", sqlstate)));
    pg_close(conn);

    cluster_restart(cluster);
    conn = pg_open(cluster_uri(cluster, "postgres"));
    cr_expect(eq(i64, 1, pg_int(conn, "SELECT sum(id) FROM kept")));
    pg_close(conn);
    cluster_stop(cluster);
}

Test(harness_cluster, promoted_standby_takes_over_behind_the_common_uri)
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.with_standby = true});
    PGconn *conn = pg_open(cluster_any_uri(cluster, "postgres"));
    pg_exec(conn, "CREATE TABLE moved (id int)");
    pg_close(conn);
    cluster_wait_catch_up(cluster, HARNESS_TIMEOUT_US);

    cluster_stop_immediate(cluster);
    cluster_promote_standby(cluster);
    conn = pg_open(cluster_any_uri(cluster, "postgres"));
    pg_exec(conn, "INSERT INTO moved VALUES (1)");
    cr_expect(eq(i64, 5433, pg_int(conn, "SELECT current_setting('port')")));
    pg_close(conn);
    cluster_stop(cluster);
}

Test(harness_cluster, paused_replay_holds_the_standby_back_until_resumed)
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.with_standby = true});
    cluster_pause_replay(cluster);
    PGconn *conn = pg_open(cluster_uri(cluster, "postgres"));
    pg_exec(conn, "CREATE TABLE late (id int)");
    pg_wait_true(conn,
        "SELECT flush_lsn >= pg_current_wal_lsn() AND replay_lsn < flush_lsn"
        " FROM pg_stat_replication",
        HARNESS_TIMEOUT_US);
    PGconn *standby = pg_open(cluster_standby_uri(cluster, "postgres"));
    cr_expect(eq(i64, 1, pg_int(standby, "SELECT to_regclass('late') IS NULL")));

    cluster_resume_replay(cluster);
    cluster_wait_catch_up(cluster, HARNESS_TIMEOUT_US);
    cr_expect(eq(i64, 0, pg_int(standby, "SELECT count(*) FROM late")));
    pg_close(standby);
    pg_close(conn);
    cluster_stop(cluster);
}

Test(harness_cluster, extra_configuration_reaches_the_server)
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.config = "wal_level = logical"});
    PGconn *conn = pg_open(cluster_uri(cluster, "postgres"));
    char *level = pg_text(conn, "SHOW wal_level");
    cr_expect(eq(str, level, "logical"));
    free(level);
    pg_close(conn);
    cluster_stop(cluster);
}

/* A process that starts a server and is killed before it could stop it. */
static void
start_cluster_and_hang(int pipe_fd)
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.with_standby = false});
    const char *folder = cluster_socket_dir(cluster);
    if (write(pipe_fd, folder, strlen(folder) + 1) < 0) {
        abort();
    }
    for (;;) {
        (void)pause();
    }
}

Test(harness_cluster, servers_end_when_the_test_is_killed)
{
    int ends[2];
    cr_assert(eq(int, 0, pipe(ends)));
    pid_t pid = fork();
    cr_assert(le(int, 0, pid));
    if (pid == 0) {
        start_cluster_and_hang(ends[1]);
    }
    char folder[128] = "";
    cr_assert(lt(int, 0, (int)read(ends[0], folder, sizeof(folder) - 1)));
    char uri[256];
    (void)snprintf(uri, sizeof(uri), "host=%s port=5432 user=postgres dbname=postgres", folder);
    cr_assert(eq(int, PQPING_OK, PQping(uri)));

    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    int64_t deadline_us = clock_mono_us() + HARNESS_TIMEOUT_US;
    while (PQping(uri) != PQPING_NO_RESPONSE && clock_mono_us() < deadline_us) {
        harness_nap_us(1000);
    }
    cr_expect(eq(int, PQPING_NO_RESPONSE, PQping(uri)));
    harness_scratch_remove(strdup(folder));
}

Test(harness_session, held_row_lock_blocks_and_release_lets_go)
{
    PgCluster *cluster = cluster_shared();
    const char *dbname = cluster_create_database(cluster, NULL);
    PGconn *conn = pg_open(cluster_uri(cluster, dbname));
    pg_exec(conn, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)");

    Session *holder = session_open(cluster_uri(cluster, dbname));
    Session *waiter = session_open(cluster_uri(cluster, dbname));
    session_lock_rows(holder, "t", "id = 1");
    session_send(waiter, "UPDATE t SET id = 3 WHERE id = 1");
    session_wait_blocked(waiter, conn, HARNESS_TIMEOUT_US);
    cr_expect(not(session_wait(waiter, 1000)));
    session_release(holder);
    session_expect_ok(waiter, HARNESS_TIMEOUT_US);

    session_lock_table(holder, "t", "ACCESS EXCLUSIVE");
    session_send(waiter, "SET lock_timeout = '10ms'; SELECT * FROM t");
    session_expect_error(waiter, "55P03", HARNESS_TIMEOUT_US);

    session_close(waiter);
    session_close(holder);
    pg_close(conn);
    cluster_drop_database(cluster, dbname);
    cluster_stop(cluster);
}

Test(harness_session, comparison_counts_and_names_rows_of_either_side)
{
    PgCluster *cluster = cluster_shared();
    PGconn *conn = pg_open(cluster_uri(cluster, "postgres"));
    char *message = NULL;
    cr_expect(eq(i64, 0, pg_compare(conn, "VALUES (1), (1)", "VALUES (1), (1)", &message)));
    cr_expect(message == NULL);
    cr_expect(eq(i64, 3, pg_compare(conn, "VALUES (1), (1)", "VALUES (1), (7), (8)", &message)));
    cr_expect(strstr(message, "only left: (1)") != NULL);
    cr_expect(strstr(message, "only right: (7)") != NULL);
    free(message);
    pg_close(conn);
    cluster_stop(cluster);
}

Test(harness_proc, exit_code_and_both_streams_are_captured)
{
    const char *argv[] = {"/bin/sh", "-c", "echo out $WORD; echo err >&2; exit 3", NULL};
    const char *env[] = {"WORD=seven", NULL};
    Proc *proc = proc_start(&(ProcSpec){.argv = argv, .env = env});
    cr_expect(eq(int, 3, proc_finish(proc, HARNESS_TIMEOUT_US)));
    char *out = proc_stdout(proc);
    char *err = proc_stderr(proc);
    cr_expect(eq(str, out, "out seven\n"));
    cr_expect(eq(str, err, "err\n"));
    free(out);
    free(err);
    proc_free(proc);
}

Test(harness_proc, stopped_program_hears_signals_only_when_continued)
{
    const char *script = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    Proc *proc = proc_start(&(ProcSpec){.argv = argv});
    cr_assert(proc_wait_output(proc, "ready", HARNESS_TIMEOUT_US));
    proc_signal(proc, SIGSTOP);
    proc_signal(proc, SIGTERM);
    cr_expect(not(proc_wait(proc, 100000)));
    proc_signal(proc, SIGCONT);
    cr_expect(eq(int, 5, proc_finish(proc, HARNESS_TIMEOUT_US)));
    proc_free(proc);
}

Test(harness_proc, killed_program_reports_its_signal)
{
    const char *argv[] = {"/bin/sh", "-c", "exec sleep 1000", NULL};
    Proc *proc = proc_start(&(ProcSpec){.argv = argv});
    cr_expect(not(proc_wait(proc, 0)));
    proc_signal(proc, SIGKILL);
    cr_expect(eq(int, 128 + SIGKILL, proc_finish(proc, HARNESS_TIMEOUT_US)));
    proc_free(proc);
}
