/*
 * test_status.c - status in real situations: one word for how a job is doing, why, who is in the
 * way, and what comes next.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "cli/cli.h"
#include "cli/status_case.h"
#include "harness/harness.h"
#include "harness/session.h"

/* Seconds of work, so that none is done before the test lets it go. */
#define SLOW_US 5000

Test(status, live_run_is_progressing_and_after_kill_dash_nine_dead_until_the_next_one,
    .timeout = 120)
{
    JobTest test;
    job_open(&test, cluster_shared(), 1200, SLOW_US);
    job_write(&test, JOB_SET_AMOUNT STATUS_SMALL_BATCHES);
    Proc *proc = job_start(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 5));
    json_t *live = status_wait_health(&test, "progressing");
    status_expect_text(live, "next_step", "nothing; pghaul status fill --watch");
    cr_expect(eq(i64, status_int(live, "runs_alive"), 1));
    json_decref(live);

    proc_signal(proc, SIGKILL);
    cr_expect(eq(int, proc_finish(proc, HARNESS_TIMEOUT_US), 128 + SIGKILL));
    proc_free(proc);
    json_t *dead = status_wait_health(&test, "dead");
    status_expect_text(dead, "health_reason", "no run is alive; one was last heard of ");
    status_expect_text(dead, "next_step", "pghaul run fill goes on");
    cr_expect(eq(i64, status_int(dead, "runs_alive"), 0));
    json_decref(dead);
    status_expect_output(&test, NULL, "  runs     none alive\n");
    status_expect_output(&test, "--history", ": died after ");

    job_set_slow(&test, 0);
    job_expect_run(&test, 0);
    json_decref(status_wait_health(&test, "done"));
    status_expect_output(&test, "--history", ": done (exit 0) after ");
    job_close_cluster(&test);
}

Test(status, rows_of_runs_add_up_to_those_of_the_table, .timeout = 120)
{
    JobTest test;
    job_open(&test, cluster_shared(), 1000, SLOW_US);
    job_write(&test, JOB_SET_AMOUNT STATUS_SMALL_BATCHES);
    Proc *proc = job_start(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 5));
    proc_signal(proc, SIGTERM);
    job_expect_exit(proc, 7);
    json_t *stopped = status_wait_health(&test, "stopped");
    status_expect_text(stopped, "health_reason", "stopped by a signal");
    status_expect_text(stopped, "next_step", "pghaul run fill");
    json_decref(stopped);
    job_set_slow(&test, 0);
    job_expect_run(&test, 0);

    json_t *history = status_read(&test, "--history");
    json_t *runs = json_object_get(history, "history_runs");
    cr_assert(eq(sz, json_array_size(runs), 2));
    json_t *first = json_array_get(runs, 0);
    json_t *second = json_array_get(runs, 1);
    cr_expect(eq(i64, status_int(first, "exit_code"), 7));
    cr_expect(eq(i64, status_int(second, "exit_code"), 0));
    cr_expect(lt(i64, 0, status_int(first, "changed_rows")));
    cr_expect(
        eq(i64, status_int(first, "changed_rows") + status_int(second, "changed_rows"), 1000));
    json_decref(history);
    job_close_cluster(&test);
}

Test(status, throttled_by_lock_waiters_says_why_and_history_sums_it_up, .timeout = 120)
{
    JobTest test;
    job_open(&test, cluster_shared(), 1200, SLOW_US);
    job_write(&test, JOB_SET_AMOUNT "verify: none\npath: key\nstripes: 1\nbatch: {rows: "
                                    "20}\nthrottle: {lock_waiters: 1, standbys: none}\n");
    Proc *proc = job_start(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 5));
    for (int i = 0; i < 2; i++) {
        Session *holder = session_open(test.uri);
        Session *waiter = session_open(test.uri);
        session_lock_rows(holder, "app", "id = 1");
        session_send(waiter, "UPDATE app SET note = 'x' WHERE id = 1");
        json_t *throttled = status_wait_health(&test, "throttled");
        status_expect_text(throttled, "health_reason", "1 session waits for locks on app");
        status_expect_text(throttled, "throttle_reason", "1 session waits for locks on app");
        status_expect_text(throttled, "next_step", "it goes on by itself");
        json_decref(throttled);
        session_release(holder);
        session_expect_ok(waiter, HARNESS_TIMEOUT_US);
        session_close(waiter);
        session_close(holder);
        json_decref(status_wait_health(&test, "progressing"));
    }
    job_set_slow(&test, 0);
    job_expect_exit(proc, 0);
    json_t *history = status_read(&test, "--history");
    json_t *throttled = json_object_get(history, "history_throttled");
    cr_assert(eq(sz, json_array_size(throttled), 1));
    cr_expect(eq(i64, status_int(json_array_get(throttled, 0), "times"), 2));
    cr_expect(json_number_value(json_object_get(json_array_get(throttled, 0), "total_s")) > 0.5);
    json_decref(history);
    job_close_cluster(&test);
}

/* ---- somebody is in the way ---- */

/* Half a minute without a batch: the run beats for the first seconds of it, the rest is made up,
 * which a run that goes on beating would take back. */
static void
make_idle(const JobTest *test, Proc *run)
{
    pg_wait_true(test->conn, "SELECT last_batch < heartbeat - interval '2 s' FROM pghaul.run",
        HARNESS_TIMEOUT_US);
    proc_signal(run, SIGSTOP);
    pg_exec(test->conn, "UPDATE pghaul.run SET started = started - interval '30 s',"
                        " last_batch = last_batch - interval '30 s';"
                        "UPDATE pghaul.event SET at = at - interval '30 s'");
}

/* Rows of one table and of another database; both are waited for at the same time. */
Test(status, table_lock_and_awaited_row_are_stuck_and_the_holder_is_named, .timeout = 180)
{
    JobTest table;
    JobTest row;
    PgCluster *cluster = cluster_shared();
    job_open(&table, cluster, 800, SLOW_US);
    job_open(&row, cluster, 2000, 1100);
    job_write(&table, JOB_SET_AMOUNT STATUS_SMALL_BATCHES);
    job_write(&row, JOB_SET_HITS "workers: 1\n" STATUS_SMALL_BATCHES);
    Session *table_holder = session_open(table.uri);
    Session *row_holder = session_open(row.uri);
    /* Each lock is taken as soon as it may be, before the run has passed by. */
    Proc *row_run = job_start(&row);
    cr_assert(job_wait_batches(&row, row_run, 0, 1));
    session_lock_rows(row_holder, "app", "id = 1900");
    Proc *table_run = job_start(&table);
    cr_assert(job_wait_batches(&table, table_run, 0, 5));
    session_lock_table(table_holder, "app", "ACCESS EXCLUSIVE");

    make_idle(&table, table_run);
    make_idle(&row, row_run);
    json_t *stuck = status_wait_health(&table, "stuck");
    status_expect_text(stuck, "health_reason", "no batch has committed for ");
    status_expect_text(stuck, "next_step", "pghaul blockers fill");
    status_expect_holder(stuck, table_holder, "AccessExclusiveLock");
    json_decref(stuck);
    stuck = status_wait_health(&row, "stuck");
    status_expect_holder(stuck, row_holder, "RowShareLock");
    json_decref(stuck);

    proc_signal(table_run, SIGCONT);
    proc_signal(row_run, SIGCONT);
    session_release(table_holder);
    session_release(row_holder);
    job_set_slow(&table, 0);
    job_set_slow(&row, 0);
    job_expect_exit(table_run, 0);
    job_expect_exit(row_run, 0);
    session_close(table_holder);
    session_close(row_holder);
    job_close(&row);
    job_close_cluster(&table);
}

Test(status, rows_left_behind_locks_again_and_again_are_stuck, .timeout = 120)
{
    JobTest test;
    job_open(&test, cluster_shared(), 300, 0);
    job_write(&test, JOB_SET_AMOUNT STATUS_SMALL_BATCHES);
    Session *holder = session_open(test.uri);
    session_lock_rows(holder, "app", "id = 100");
    Proc *proc = job_start(&test);
    json_t *stuck = status_wait_health(&test, "stuck");
    status_expect_text(stuck, "health_reason", "others hold locks on rows");
    status_expect_holder(stuck, holder, "RowShareLock");
    json_decref(stuck);
    session_release(holder);
    job_expect_exit(proc, 0);
    session_close(holder);
    job_close_cluster(&test);
}

/* There is no row of the run yet: the database knows the session that waits. */
static void
expect_waiting(const char *job_lines, const char *hold, const char *holder_does)
{
    JobTest test;
    job_open(&test, cluster_shared(), 200, 0);
    job_write(&test, job_lines);
    Session *holder = session_open(test.uri);
    pg_exec(session_conn(holder), hold);
    Proc *proc = job_start(&test);
    json_t *waiting = status_wait_health(&test, "waiting");
    status_expect_text(waiting, "state", "ready");
    status_expect_text(waiting, "next_step", "pghaul blockers fill");
    json_decref(waiting);
    harness_nap_us(SECONDS_US(2)); /* a transaction of a moment ago is not worth a word */
    waiting = status_wait_health(&test, "waiting");
    status_expect_holder(waiting, holder, holder_does);
    json_decref(waiting);
    session_release(holder);
    job_expect_exit(proc, 0);
    json_decref(status_wait_health(&test, "done"));
    session_close(holder);
    job_close_cluster(&test);
}

Test(status, preparation_behind_a_long_transaction_is_waiting, .timeout = 120)
{
    expect_waiting(JOB_SET_AMOUNT STATUS_SMALL_BATCHES,
        "BEGIN; UPDATE app SET note = 'held' WHERE id = 1", "RowExclusiveLock");
}

Test(status, fence_behind_an_older_transaction_is_waiting, .timeout = 120)
{
    expect_waiting(
        JOB_SET_HITS STATUS_SMALL_BATCHES, "BEGIN; CREATE TABLE elsewhere (id int)", "open for ");
}

/* ---- ended, or not begun ---- */

Test(status, job_is_new_then_done_then_quarantined_then_differing, .timeout = 120)
{
    JobTest test;
    job_open(&test, cluster_shared(), 200, 0);
    job_write(&test, JOB_SET_AMOUNT "throttle: {standbys: none}\n");
    job_expect_verb(&test, "run", NULL, 4);
    json_t *status = status_wait_health(&test, "new");
    status_expect_text(status, "next_step", "pghaul run fill --yes");
    json_decref(status);

    job_expect_run(&test, 0);
    status = status_wait_health(&test, "done");
    status_expect_text(status, "next_step", "pghaul clean fill");
    json_decref(status);

    pg_exec(test.conn, "INSERT INTO pghaul.quarantine (job, key, set_aside, pass, sqlstate,"
                       " message) SELECT id, '{7}', true, pass, '22P02', 'x' FROM pghaul.job");
    status = status_wait_health(&test, "quarantined");
    cr_expect(eq(i64, status_int(status, "quarantined_rows"), 1));
    status_expect_text(status, "next_step", "pghaul quarantine fill");
    json_decref(status);
    pg_exec(test.conn, "DELETE FROM pghaul.quarantine");

    pg_exec(test.conn, "ALTER TABLE app DISABLE TRIGGER USER;"
                       " UPDATE app SET amount = -1 WHERE id <= 3;"
                       " ALTER TABLE app ENABLE ALWAYS TRIGGER zzzz_pghaul_1");
    job_expect_verb(&test, "verify", NULL, 6);
    status = status_wait_health(&test, "differing");
    cr_expect(eq(i64, status_int(status, "differing_rows"), 3));
    status_expect_text(status, "health_reason", "3 rows differ");
    status_expect_text(status, "next_step", "pghaul verify fill");
    json_decref(status);

    char *out = job_verb_output(&test, "run", NULL, 6);
    cr_expect(cli_has(out, "leaves NULL. pghaul verify fill --repair changes them."), "%s", out);
    free(out);
    job_close_cluster(&test);
}

/* The result of a run says what status says after it. */
static void
expect_same_progress(const char *out, const json_t *status)
{
    static const char *const names[] = {"pass", "pass_rows", "ranges", "ranges_done"};
    const char *line = strstr(out, "{\"type\":\"result\"");
    cr_assert(line != NULL, "%s", out);
    json_t *result = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
    const json_t *progress = json_object_get(result, "progress");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        cr_expect(
            eq(i64, status_int(progress, names[i]), status_int(status, names[i])), "%s", names[i]);
    }
    json_decref(result);
}

/* What the pass before found does not count any more, and this one does not count yet. */
Test(status, verify_that_was_cut_off_is_stopped_not_done, .timeout = 120)
{
    static const char *const briefly[] = {"--max-runtime", "300ms", "--json", NULL};
    JobTest test;
    job_open(&test, cluster_shared(), 2000, 0);
    job_write(&test, JOB_SET_AMOUNT "path: key\nbatch: {rows: 20}\n"
                                    "throttle: {standbys: none}\n");
    job_expect_run(&test, 0);
    job_set_slow(&test, 1100);
    char *out = job_verb_output(&test, "verify", briefly, 7);
    json_t *status = status_wait_health(&test, "stopped");
    expect_same_progress(out, status);
    free(out);
    status_expect_text(status, "health_reason", "the last verify was cut off");
    status_expect_text(status, "next_step", "pghaul verify fill goes on");
    cr_expect(lt(dbl, json_real_value(json_object_get(status, "done_ratio")), 1.0));
    json_decref(status);
    job_set_slow(&test, 0);
    job_expect_verb(&test, "verify", NULL, 0);
    json_decref(status_wait_health(&test, "done"));
    job_close_cluster(&test);
}

Test(status, failed_and_paused_jobs_say_by_what, .timeout = 120)
{
    JobTest test;
    job_open(&test, cluster_shared(), 200, 0);
    job_write(&test, JOB_SET_AMOUNT STATUS_SMALL_BATCHES);
    pg_exec(test.conn, "UPDATE app SET amount_text = 'x' WHERE id = 5");
    job_expect_run(&test, 1);
    json_t *status = status_wait_health(&test, "failed");
    status_expect_text(status, "health_reason", " is refused: ");
    status_expect_text(status, "next_step", "then pghaul run fill");
    json_decref(status);

    const char *const reason[] = {"--reason", "for the night", NULL};
    job_expect_verb(&test, "pause", reason, 0);
    status = status_wait_health(&test, "paused");
    status_expect_text(status, "health_reason", "paused by postgres: for the night");
    status_expect_output(&test, NULL, "  health   paused by postgres: for the night\n");
    status_expect_text(status, "paused_by", "postgres");
    status_expect_text(status, "next_step", "pghaul run fill, since no run is alive");
    json_decref(status);
    job_close_cluster(&test);
}

/* ---- history ---- */

Test(status, history_stays_after_clean_and_is_shown_with_the_number_of_the_job, .timeout = 120)
{
    JobTest test;
    job_open(&test, cluster_shared(), 200, 0);
    job_write(&test, JOB_SET_AMOUNT STATUS_SMALL_BATCHES);
    job_expect_run(&test, 0);
    job_expect_verb(&test, "clean", NULL, 0);
    status_expect_output(&test, "--history", "job fill was cleaned\n");
    status_expect_output(&test, "--history", "job 1 (cleaned): done (exit 0)");

    job_reset_table(&test);
    job_expect_run(&test, 0);
    status_expect_output(&test, "--history", "job 1 (cleaned): done");
    status_expect_output(&test, "--history", "job 2: done");
    status_expect_output(&test, "--history", "by postgres, job 2, state: ready: plan accepted");
    status_expect_output(&test, "--history", "throttled or paused: never\n");
    status_expect_output(&test, "--history", "\nevents\n");
    pg_exec(test.conn, "INSERT INTO pghaul.event (job, what, reason)"
                       " SELECT 2, 'set', 'workers=2' FROM generate_series(1, 60)");
    status_expect_output(&test, "--history", "\nevents, the last 50\n");
    job_close_cluster(&test);
}

Test(status, history_needs_a_job_and_one_that_is_or_was_there, .timeout = 60)
{
    CliBase base = cli_base_new(10);
    CliResult result = CLI("status", "--history", "-d", base.uri);
    cr_expect(eq(int, result.code, 2));
    cr_expect(cli_has(result.err, "hint: Usage: pghaul status JOB --history"), "%s", result.err);
    cli_free(&result);
    result = CLI("status", "nobody", "--history", "-d", base.uri);
    cr_expect(eq(int, result.code, 2));
    cr_expect(cli_has(result.err, "there is no job \"nobody\""), "%s", result.err);
    cli_free(&result);
    result = CLI("status", "nobody", "--history", "--watch", "-d", base.uri);
    cr_expect(eq(int, result.code, 2));
    cli_free(&result);
    cli_base_free(&base);
}

/* ---- the view ---- */

Test(status, view_for_dashboards_has_each_number_of_status, .timeout = 120)
{
    JobTest test;
    job_open(&test, cluster_shared(), 800, SLOW_US);
    job_write(&test, JOB_SET_AMOUNT STATUS_SMALL_BATCHES);
    Proc *proc = job_start(&test);
    cr_assert(job_wait_batches(&test, proc, 0, 5));
    Session *holder = session_open(test.uri);
    session_lock_table(holder, "app", "ACCESS EXCLUSIVE"); /* nothing moves while both are read */
    status_expect_as_view(&test);
    session_release(holder);
    job_set_slow(&test, 0);
    job_expect_exit(proc, 0);
    status_expect_as_view(&test);
    cr_expect(eq(i64,
        pg_int(test.conn, "SELECT count(*) FROM pg_attribute a WHERE a.attnum > 0"
                          " AND a.attrelid = 'pghaul.progress'::regclass"
                          " AND col_description(a.attrelid, a.attnum) IS NULL"),
        0));
    session_close(holder);
    job_close_cluster(&test);
}
