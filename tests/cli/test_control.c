/*
 * test_control.c - pause, resume and stop, by verb and by SQL, while runs are at work.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "cli/cli.h"
#include "harness/harness.h"
#include "harness/job.h"
#include "harness/session.h"

#define ROWS    40000
#define SLOW_US 1000 /* none is done before the test lets it go */
#define JOB_LINES                                                                                  \
    JOB_SET_HITS "path: key\nworkers: 2\nbatch: {time: 20ms}\nthrottle: {standbys: none}\n"
#define NOTICE_US SECONDS_US(1)

static void
open_job(JobTest *test)
{
    job_open(test, cluster_shared(), ROWS, SLOW_US);
    job_write(test, JOB_LINES);
}

static Proc *
start(const JobTest *test, const char *form)
{
    const char *const more[] = {"--yes", form, NULL};
    return job_start_verb(test, "run", NULL, more);
}

/* All of it, once: the expression is not idempotent. */
static void
expect_done(const JobTest *test)
{
    cr_expect(job_is_state(test, "complete"));
    cr_expect(eq(i64, 0, job_count_wrong(test, JOB_HITS_RIGHT)));
    cr_expect(eq(i64, ROWS, job_moved_rows(test)));
}

static void
finish(const JobTest *test, Proc *proc)
{
    job_set_slow(test, 0);
    job_expect_exit(proc, 0);
    expect_done(test);
}

static void
expect_output(
    const JobTest *test, const char *verb, const char *const *more, int code, const char *part)
{
    char *out = job_verb_output(test, verb, more, code);
    cr_expect(cli_has(out, part), "%s should print \"%s\":\n%s", verb, part, out);
    free(out);
}

static void
wait_event(const JobTest *test, const char *what, int64_t count)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_printf(&sql,
        "SELECT count(*) >= %lld FROM pghaul.event WHERE what = '%s' AND run IS NOT NULL",
        (long long)count, what);
    pg_wait_true(test->conn, strbuf_text(&sql), HARNESS_TIMEOUT_US);
}

/* Tests of suite `notice` measure how soon a run reacts; they run alone. */

/* From now on: how long until the last batch commits?  Looks for twice the permitted time. */
static int64_t
last_batch_after(const JobTest *test)
{
    int64_t begun_us = clock_mono_us();
    int64_t last_us = begun_us;
    int64_t batches = job_batches(test);
    while (clock_mono_us() - begun_us < 2 * NOTICE_US) {
        int64_t now = job_batches(test);
        if (now != batches) {
            batches = now;
            last_us = clock_mono_us();
        }
        harness_nap_us(5000);
    }
    return last_us - begun_us;
}

static void
expect_same_words(const JobTest *test, Proc *proc, const char *reason)
{
    const char *const json[] = {"--json", NULL};
    STRBUF_AUTO field = STRBUF_INIT;
    strbuf_printf(&field, "\"throttle_reason\":\"%s\"", reason);
    cr_expect(proc_wait_output(proc, strbuf_text(&field), HARNESS_TIMEOUT_US), "no JSON line");
    expect_output(test, "status", json, 0, reason);
    char *log = proc_stderr(proc);
    cr_expect(cli_has(log, reason), "the log should say %s:\n%s", reason, log);
    free(log);
    cr_expect(eq(i64, 2,
        pg_intf(test->conn,
            "SELECT count(*) FROM pghaul.event"
            " WHERE what IN ('pause', 'paused') AND who = 'postgres' AND reason = '%s'",
            reason)));
}

Test(notice, pause_is_noticed_within_a_second_and_reads_the_same_everywhere, .timeout = 120)
{
    JobTest test;
    open_job(&test);
    Proc *proc = start(&test, "--json");
    cr_assert(job_wait_batches(&test, proc, 0, 5));
    char *answer = pg_text(test.conn, "SELECT pghaul.pause('" JOB_NAME "', E'disk\\nswap')");
    cr_expect(eq(
        str, answer, "job " JOB_NAME " is paused; its run ends its batches in flight and waits"));
    free(answer);
    cr_expect(lt(i64, last_batch_after(&test), NOTICE_US));
    cr_expect(eq(i64, 1,
        pg_int(test.conn, "SELECT n.at - p.at < '1 s' AND n.run IS NOT NULL"
                          " FROM pghaul.event p, pghaul.event n"
                          " WHERE p.what = 'pause' AND n.what = 'paused'")));
    expect_same_words(&test, proc, "paused by postgres: disk swap");
    cr_expect(job_is_state(&test, "paused"));

    expect_output(&test, "pause", NULL, 0, "is paused already (paused by postgres: disk swap)");
    expect_output(&test, "resume", NULL, 0, "job " JOB_NAME " is running; its run goes on");
    cr_assert(job_wait_batches(&test, proc, job_batches(&test), 3));
    expect_output(&test, "resume", NULL, 0, "is not paused; it is running");
    finish(&test, proc);
    cr_expect(eq(i64, 1,
        pg_int(test.conn, "SELECT bool_and(e.n = w.n) FROM (VALUES ('pause', 2), ('resume', 2),"
                          " ('paused', 1)) w (what, n) JOIN LATERAL (SELECT count(*) AS n"
                          " FROM pghaul.event e WHERE e.what = w.what) e ON true")));
    job_close_cluster(&test);
}

Test(notice, pause_in_an_open_transaction_holds_from_its_commit, .timeout = 120)
{
    JobTest test;
    open_job(&test);
    Proc *proc = start(&test, "-q");
    cr_assert(job_wait_batches(&test, proc, 0, 3));
    Session *person = session_open(test.uri);
    pg_exec(session_conn(person), "BEGIN; SELECT pghaul.pause('" JOB_NAME "')");
    cr_assert(job_wait_batches(&test, proc, job_batches(&test), 20), "work goes on meanwhile");
    pg_exec(session_conn(person), "ROLLBACK; BEGIN; SELECT pghaul.pause('" JOB_NAME "')");
    cr_expect(eq(i64, 0,
        pg_int(test.conn, "SELECT count(*) FROM pghaul.event"
                          " WHERE what IN ('pause', 'paused')")));
    pg_exec(session_conn(person), "COMMIT");
    cr_expect(lt(i64, last_batch_after(&test), NOTICE_US));
    wait_event(&test, "paused", 1);
    session_close(person);
    pg_exec(test.conn, "SELECT pghaul.resume('" JOB_NAME "')");
    finish(&test, proc);
    job_close_cluster(&test);
}

Test(control, run_of_a_paused_job_waits_however_the_one_before_ended, .timeout = 120)
{
    JobTest test;
    open_job(&test);
    Proc *proc = start(&test, "-q");
    cr_assert(job_wait_batches(&test, proc, 0, 3));
    const char *const why[] = {"--reason", "lunch", NULL};
    expect_output(&test, "pause", why, 0, "is paused");
    wait_event(&test, "paused", 1);
    proc_signal(proc, SIGKILL);
    (void)proc_finish(proc, HARNESS_TIMEOUT_US);
    proc_free(proc);
    pg_wait_true(test.conn,
        "SELECT NOT EXISTS (SELECT FROM pg_stat_activity"
        " WHERE application_name LIKE 'pghaul/" JOB_NAME "/%' AND datname = current_database())",
        HARNESS_TIMEOUT_US); /* a batch in flight outlives the process */
    int64_t batches = job_batches(&test);

    proc = start(&test, "--json");
    cr_expect(proc_wait_output(proc, "paused by postgres: lunch", HARNESS_TIMEOUT_US));
    wait_event(&test, "paused", 2);
    proc_signal(proc, SIGINT);
    job_expect_exit(proc, 7);
    cr_expect(job_is_state(&test, "paused"));

    proc = start(&test, "--json");
    wait_event(&test, "paused", 3);
    expect_output(&test, "stop", NULL, 0, "its run ends its batches in flight and stops");
    job_expect_exit(proc, 7);
    const char *const limited[] = {"--yes", "--max-runtime", "1s", NULL};
    job_expect_verb(&test, "run", limited, 7);
    cr_expect(job_is_state(&test, "paused"));
    cr_expect(eq(i64, batches, job_batches(&test)), "nothing moves while the job is paused");

    expect_output(&test, "resume", NULL, 0, "is stopped; no run of it is alive");
    job_set_slow(&test, 0);
    job_expect_run(&test, 0);
    expect_done(&test);
    job_close_cluster(&test);
}

Test(control, pause_before_the_first_run_and_of_a_failed_job_holds_too, .timeout = 120)
{
    JobTest test;
    open_job(&test);
    job_expect_verb(&test, "run", NULL, 4); /* nobody accepts the plan */
    expect_output(&test, "pause", NULL, 4, "is new and cannot be paused");
    pg_exec(test.conn, "UPDATE pghaul.job SET state = 'ready'");
    expect_output(&test, "pause", NULL, 0, "is paused; no run of it is alive");
    expect_output(&test, "resume", NULL, 0, "is ready; no run of it is alive");

    pg_exec(test.conn, "UPDATE pghaul.job SET state = 'failed'");
    expect_output(&test, "pause", NULL, 0, "is paused");
    Proc *proc = start(&test, "-q");
    wait_event(&test, "paused", 1);
    cr_expect(eq(i64, 0, job_batches(&test)));
    expect_output(&test, "resume", NULL, 0, "is running; its run goes on");
    finish(&test, proc);
    expect_output(&test, "pause", NULL, 4, "is complete and cannot be paused");
    expect_output(&test, "resume", NULL, 4, "is complete and cannot be resumed");
    job_close_cluster(&test);
}

Test(notice, stop_ends_all_runs_of_now_and_none_of_later, .timeout = 120)
{
    JobTest test;
    open_job(&test);
    Proc *first = start(&test, "-q");
    cr_assert(job_wait_batches(&test, first, 0, 3));
    Proc *second = start(&test, "-q");
    pg_wait_true(
        test.conn, "SELECT count(*) = 2 FROM pghaul.run WHERE ended IS NULL", HARNESS_TIMEOUT_US);
    int64_t begun_us = clock_mono_us();
    expect_output(&test, "stop", NULL, 0,
        "job " JOB_NAME " is running; its 2 runs end their batches in flight and stop");
    job_expect_exit(first, 7);
    job_expect_exit(second, 7);
    cr_expect(lt(i64, clock_mono_us() - begun_us, SECONDS_US(3)));
    cr_expect(job_is_state(&test, "stopped"));
    cr_expect(eq(i64, 1,
        pg_int(test.conn, "SELECT reason = 'stopped by postgres with work left' FROM pghaul.job")));
    expect_output(&test, "stop", NULL, 0, "is stopped; no run of it is alive");

    job_set_slow(&test, 0);
    job_expect_run(&test, 0);
    expect_done(&test);
    cr_expect(
        eq(i64, 2, pg_int(test.conn, "SELECT count(*) FROM pghaul.event WHERE what = 'stop'")));
    job_close_cluster(&test);
}

Test(control, two_runs_wait_and_go_on_together, .timeout = 120)
{
    JobTest test;
    open_job(&test);
    Proc *first = start(&test, "-q");
    Proc *second = NULL;
    cr_assert(job_wait_batches(&test, first, 0, 3));
    second = start(&test, "-q");
    pg_wait_true(
        test.conn, "SELECT count(*) = 2 FROM pghaul.run WHERE ended IS NULL", HARNESS_TIMEOUT_US);
    for (int i = 1; i <= 3; i++) {
        pg_exec(test.conn, "SELECT pghaul.pause('" JOB_NAME "')");
        wait_event(&test, "paused", (int64_t)2 * i);
        pg_exec(test.conn, "SELECT pghaul.resume('" JOB_NAME "')");
        wait_event(&test, "going on", (int64_t)2 * i);
    }
    job_set_slow(&test, 0);
    job_expect_exit(first, 0);
    job_expect_exit(second, 0);
    expect_done(&test);
    job_close_cluster(&test);
}

/* A resume that falls between the begin of a run and its registration finds no run alive; or
 * another run ends the job, which did not see that this one begins. */
Test(control, run_at_work_makes_a_stopped_or_failed_job_running, .timeout = 120)
{
    JobTest test;
    open_job(&test);
    Proc *proc = start(&test, "-q");
    cr_assert(job_wait_batches(&test, proc, 0, 3));
    pg_exec(test.conn, "UPDATE pghaul.job SET state = 'stopped'");
    pg_wait_true(test.conn, "SELECT state = 'running' FROM pghaul.job", HARNESS_TIMEOUT_US);
    pg_exec(test.conn, "UPDATE pghaul.job SET state = 'failed'");
    pg_wait_true(test.conn, "SELECT state = 'running' FROM pghaul.job", HARNESS_TIMEOUT_US);
    finish(&test, proc);
    job_close_cluster(&test);
}

/* ---- many jobs ---- */

static Proc *
start_other(const JobTest *test, const char *name, const char *table, const char *lines)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s.yaml", test->folder, name);
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&text, "job: %s\nbackfill: %s\n%s", name, table, lines);
    harness_write_file(path, strbuf_text(&text));
    return proc_start_pghaul(
        (const char *const[]){"run", path, "-d", test->uri, "--yes", "-q", NULL});
}

static void
expect_all(const JobTest *test, const char *verb, const char *part)
{
    CliResult result = CLI(verb, "--all", "-d", test->uri);
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cr_expect(cli_has(result.out, part), "%s --all:\n%s", verb, result.out);
    cr_expect(not(cli_has(result.out, "small")), "%s --all: a complete job\n%s", verb, result.out);
    cli_free(&result);
}

Test(control, all_means_the_jobs_at_work_and_leaves_complete_ones_alone, .timeout = 120)
{
    JobTest test;
    open_job(&test);
    expect_all(&test, "pause", "no job is at work"); /* there is no schema yet */
    pg_exec(test.conn, "CREATE TABLE t (id int PRIMARY KEY, a int, b int);"
                       " INSERT INTO t SELECT g, g FROM generate_series(1, 50) g; ANALYZE t");
    job_expect_exit(start_other(&test, "small", "t", "set: {b: a}\n"), 0);
    expect_all(&test, "pause", "no job is at work");
    expect_all(&test, "resume", "no job is paused");
    expect_all(&test, "stop", "no run is alive");

    pg_exec(test.conn, "CREATE TABLE app2 (LIKE app INCLUDING ALL);"
                       " INSERT INTO app2 SELECT * FROM app; ANALYZE app2");
    Proc *first = start(&test, "-q");
    cr_assert(job_wait_batches(&test, first, 0, 3));
    Proc *second = start_other(&test, "other", "app2", JOB_LINES);
    pg_wait_true(test.conn, "SELECT count(*) = 2 FROM pghaul.job WHERE state = 'running'",
        HARNESS_TIMEOUT_US);
    expect_all(&test, "pause", "job " JOB_NAME " is paused");
    expect_all(&test, "pause", "no job is at work");
    expect_all(&test, "resume", "job other is running");
    expect_all(&test, "stop", "job other is running; its run ends");
    job_expect_exit(first, 7);
    job_expect_exit(second, 7);
    CliResult both = CLI("pause", JOB_NAME, "--all", "-d", test.uri);
    cr_expect(eq(int, 2, both.code));
    cli_free(&both);
    job_close_cluster(&test);
}

/* ---- who may ---- */

/* Before its first batch there is no run in the database yet, only a session. */
Test(control, pause_of_all_holds_a_run_that_waits_for_its_trigger, .timeout = 120)
{
    JobTest test;
    open_job(&test);
    job_write(&test, JOB_SET_AMOUNT "throttle: {standbys: none}\n");
    Session *holder = session_open(test.uri);
    session_lock_rows(holder, "app", "id = 1");
    Proc *proc = start(&test, "-q");
    pg_wait_true(test.conn, "SELECT to_regclass('pghaul.job') IS NOT NULL", HARNESS_TIMEOUT_US);
    pg_wait_true(test.conn, "SELECT EXISTS (SELECT FROM pghaul.job WHERE state = 'ready')",
        HARNESS_TIMEOUT_US);
    CliResult result = CLI("pause", "--all", "-d", test.uri);
    cr_expect(cli_has(result.out, "job " JOB_NAME " is paused; "), "%s", result.out);
    cli_free(&result);
    session_release(holder);
    pg_wait_true(test.conn, "SELECT EXISTS (SELECT FROM pghaul.run WHERE heartbeat > started)",
        HARNESS_TIMEOUT_US);
    cr_expect(job_is_state(&test, "paused"));
    cr_expect(lt(i64, job_moved_rows(&test), ROWS / 10));
    expect_output(&test, "resume", NULL, 0, "its run goes on");
    job_set_slow(&test, 0);
    job_expect_exit(proc, 0);
    session_close(holder);
    job_close_cluster(&test);
}

#define GUEST "control_guest"

static void
expect_guest(const JobTest *test, const char *verb, int code, const char *part)
{
    const char *const more[] = {"-U", GUEST, NULL};
    expect_output(test, verb, more, code, part);
}

/* What plan --grants prints as comments for roles that only watch or steer. */
static void
grant_as_printed(const JobTest *test)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    CliResult plan = CLI("plan", JOB_NAME, "--grants", "-d", test->uri);
    for (char *save = NULL,
              *line = strtok_r(strstr(plan.out, "-- After the first run"), "\n", &save);
         line != NULL; line = strtok_r(NULL, "\n", &save)) {
        strbuf_printf(&sql, "%s\n", strncmp(line, "--   ", 5) == 0 ? line + 5 : "");
    }
    pg_exec(test->conn, "CREATE ROLE a_role");
    pg_exec(test->conn, strbuf_text(&sql));
    pg_exec(test->conn, "GRANT a_role TO " GUEST);
    cli_free(&plan);
}

Test(control, role_needs_the_privileges_that_plan_prints, .timeout = 120)
{
    JobTest test;
    open_job(&test);
    Proc *proc = start(&test, "-q");
    cr_assert(job_wait_batches(&test, proc, 0, 3));
    pg_exec(test.conn, "CREATE ROLE " GUEST " LOGIN");
    expect_guest(&test, "pause", 4, "pghaul plan JOB --grants");
    expect_guest(&test, "status", 4, "pghaul plan JOB --grants");
    expect_guest(&test, "quarantine", 4, "pghaul plan JOB --grants");
    expect_guest(&test, "clean", 4, "pghaul plan JOB --grants");
    pg_exec(test.conn, "GRANT USAGE ON SCHEMA pghaul TO " GUEST
                       "; GRANT SELECT ON ALL TABLES IN SCHEMA pghaul TO " GUEST);
    expect_guest(&test, "pause", 4, "permission denied for function pause");
    grant_as_printed(&test);
    expect_guest(&test, "status", 0, "progressing");
    expect_guest(&test, "pause", 0, "its run ends its batches");
    expect_guest(&test, "resume", 0, "its run goes on");
    const char *const change[] = {"workers=1", "-U", GUEST, NULL};
    expect_output(&test, "set", change, 0, "workers=1; its run takes it up");
    expect_guest(&test, "stop", 0, "its run ends");
    job_expect_exit(proc, 7);
    cr_expect(eq(i64, 4,
        pg_int(test.conn, "SELECT count(*) FROM pghaul.event WHERE who = '" GUEST
                          "' AND what IN ('pause', 'resume', 'set', 'stop')")));
    pg_exec(test.conn, "DROP OWNED BY a_role, " GUEST "; DROP ROLE a_role, " GUEST);
    job_close_cluster(&test);
}

/* Looked at, not steered: the refusal is the server's, the way on is ours. */
Test(control, standby_cannot_be_steered_and_the_message_says_where_to_go, .timeout = 120)
{
    static const char *const verbs[] = {"pause", "resume", "stop", "clean"};
    JobTest test;
    job_open(&test, cluster_shared(), 100, 0);
    job_write(&test, JOB_LINES);
    job_expect_run(&test, 0);
    cluster_wait_catch_up(test.cluster, HARNESS_TIMEOUT_US);
    const char *standby = cluster_standby_uri(test.cluster, test.dbname);
    CliResult blockers = CLI("blockers", "-d", standby);
    cr_expect(cli_has(blockers.out, "This server is a standby"), "%s", blockers.out);
    cli_free(&blockers);
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        CliResult result = CLI(verbs[i], JOB_NAME, "-d", standby);
        cr_expect(eq(int, 4, result.code), "%s: %s", verbs[i], result.err);
        cr_expect(cli_has(result.err, "connect to the primary"), "%s", result.err);
        cli_free(&result);
    }
    job_close_cluster(&test);
}

Test(control, unknown_job_is_named_with_those_that_there_are, .timeout = 60)
{
    JobTest test;
    char state[6];
    job_open(&test, cluster_shared(), 100, 0);
    job_write(&test, JOB_LINES);
    job_expect_run(&test, 0);
    CliResult result = CLI("pause", "fil", "-d", test.uri);
    cr_expect(eq(int, 2, result.code));
    cr_expect(cli_has(result.err, "Did you mean \"" JOB_NAME "\"?"), "%s", result.err);
    cli_free(&result);
    cr_expect(not(pg_try(test.conn, "SELECT pghaul.stop('fil')", state)));
    cr_expect(eq(str, state, "PH011"));
    cr_expect(cli_has(PQerrorMessage(test.conn), "Its jobs: " JOB_NAME "."));
    cr_expect(not(pg_try(test.conn, "SELECT pghaul.pause('" JOB_NAME "')", state)));
    cr_expect(eq(str, state, "PH012"));
    job_close_cluster(&test);
}
