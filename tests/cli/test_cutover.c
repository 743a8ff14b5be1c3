/*
 * test_cutover.c - the application goes over to the new table and back, and loses no write;
 * whatever stands in the way is waited for and named, and a kill anywhere leaves one of the two.
 *
 * PGHAUL_SOAK=1 asks for the full counts.
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
#include "cli/remote_case.h"
#include "harness/harness.h"
#include "harness/job.h"
#include "harness/lockwatch.h"
#include "harness/session.h"
#include "harness/workload.h"

#define ROWS 2000

#define TARGET                                                                                     \
    "CREATE TABLE app_v2 (id bigint PRIMARY KEY, amount_text text NOT NULL, amount numeric,"       \
    " hits bigint, hits_before bigint, note text, extra int DEFAULT 7);"
#define PARTITIONED                                                                                \
    "CREATE TABLE app_v2 (note text, id bigint PRIMARY KEY, amount_text text NOT NULL,"            \
    " amount numeric, hits bigint, hits_before bigint) PARTITION BY HASH (id);"                    \
    "CREATE TABLE app_0 PARTITION OF app_v2 FOR VALUES WITH (MODULUS 2, REMAINDER 0);"             \
    "CREATE TABLE app_1 PARTITION OF app_v2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
#define JOB_FILE "job: " JOB_NAME "\ncopy: app\ninto: app_v2\nthrottle: {standbys: none}\n"

static const char *const YES[] = {"--yes", NULL};

/* A database whose table is copied and in step; schema `more` is made before. */
static void
open_synced(JobTest *test, const char *more, const char *target)
{
    job_open(test, cluster_shared(), ROWS, 0);
    pg_exec(test->conn, more);
    pg_exec(test->conn, target);
    harness_write_file(test->path, JOB_FILE);
    job_expect_run(test, 0);
    cr_assert(job_is_state(test, "synced"));
}

static void
cutover(const JobTest *test)
{
    job_expect_verb(test, "cutover", YES, 0);
    cr_expect(job_is_state(test, "cut_over"));
}

static void
rollback(const JobTest *test)
{
    job_expect_verb(test, "rollback", YES, 0);
    cr_expect(job_is_state(test, "synced"));
}

/* Both tables have the same rows, by the columns that both have. */
static void
expect_same_rows(const JobTest *test, const char *left, const char *right, const char *when)
{
    STRBUF_AUTO a = STRBUF_INIT;
    STRBUF_AUTO b = STRBUF_INIT;
    char *message = NULL;
    strbuf_printf(&a, "SELECT id, amount_text, amount, hits, note FROM %s", left);
    strbuf_printf(&b, "SELECT id, amount_text, amount, hits, note FROM %s", right);
    cr_expect(eq(i64, 0, pg_compare(test->conn, strbuf_text(&a), strbuf_text(&b), &message)),
        "%s: %s", when, message == NULL ? "" : message);
    free(message);
}

/* A figure that the verb's last line has: "blocked_ms". */
static double
json_figure(const JobTest *test, const char *verb, const char *name)
{
    static const char *const ARGS[] = {"--yes", "--json", NULL};
    char *text = job_verb_output(test, verb, ARGS, 0);
    STRBUF_AUTO key = STRBUF_INIT;
    strbuf_printf(&key, "\"%s\":", name);
    const char *at = strstr(text, strbuf_text(&key));
    cr_assert(at != NULL, "%s", text);
    at += key.len;
    double value = strtod(at, NULL);
    free(text);
    return value;
}

/* ---- under traffic ---- */

static void
wait_committed(Workload *workload, int64_t more)
{
    int64_t until = workload_committed(workload) + more;
    int64_t deadline_us = clock_mono_us() + HARNESS_TIMEOUT_US;
    while (workload_committed(workload) < until) {
        if (clock_mono_us() > deadline_us) {
            harness_fail("the application stands still");
        }
        harness_nap_us(5000);
    }
}

static void
check_traffic(const char *target, int rounds)
{
    JobTest test;
    open_synced(&test, "", target);
    WorkloadSpec app = job_application(&test, 1, ROWS + 200);
    workload_prepare(test.conn, &app);
    LockWatch *watch = lockwatch_start(test.uri);
    Workload *workload = workload_start(&app);
    double longest_ms = 0;
    for (int i = 0; i < rounds; i++) {
        wait_committed(workload, 100);
        double forth_ms = json_figure(&test, "cutover", "blocked_ms");
        wait_committed(workload, 100);
        double back_ms = json_figure(&test, "rollback", "blocked_ms");
        longest_ms = forth_ms > longest_ms ? forth_ms : longest_ms;
        longest_ms = back_ms > longest_ms ? back_ms : longest_ms;
    }
    wait_committed(workload, 100);
    cutover(&test);
    wait_committed(workload, 100);
    WorkloadStats stats = workload_finish(workload);
    LockWatchStats waits = lockwatch_finish(watch);
    (void)fprintf(stderr,
        "figures: %d exchanges under %lld transactions; longest block %.1f ms, longest wait of the "
        "application %.1f ms\n",
        2 * rounds + 1, (long long)stats.committed, longest_ms, (double)waits.longest_us / 1000);
    cr_expect(eq(i64, 0, workload_unexpected_errors(&stats)), "%s", stats.first_unexpected);
    char *message = NULL;
    cr_expect(eq(i64, 0, workload_check(test.conn, &app, NULL, &message)), "%s",
        message == NULL ? "" : message);
    free(message);
    job_expect_run(&test, 0);
    expect_same_rows(&test, "app", "app_old", "the old table is in step");
    cr_expect(le(dbl, longest_ms, 300));
    job_close_cluster(&test);
}

static int
rounds(void)
{
    return harness_env("PGHAUL_SOAK", NULL) == NULL ? 2 : 30;
}

Test(cutover, application_that_keeps_writing_loses_no_write)
{
    check_traffic(TARGET, rounds());
}

Test(cutover, into_a_partitioned_table_and_back_under_traffic)
{
    check_traffic(PARTITIONED, rounds());
}

/* ---- in the way ---- */

/* Start it and wait until it says who is in the way. */
static Proc *
start_put_off(const JobTest *test, const char *verb, Session *holder, const char *words)
{
    Proc *proc = job_start_verb(test, verb, NULL, YES);
    STRBUF_AUTO pid = STRBUF_INIT;
    strbuf_printf(&pid, "pid %d", session_backend_pid(holder));
    int64_t deadline_us = clock_mono_us() + HARNESS_TIMEOUT_US;
    for (bool found = false; !found;) {
        char *text = proc_stderr(proc);
        found = strstr(text, words) != NULL && strstr(text, strbuf_text(&pid)) != NULL;
        if (!found && (clock_mono_us() > deadline_us || proc_wait(proc, 0))) {
            harness_fail("\"%s\" and %s are not in: %s", words, strbuf_text(&pid), text);
        }
        free(text);
        harness_nap_us(10000);
    }
    return proc;
}

/* The same, let that go, and it succeeds. */
static void
expect_put_off(const JobTest *test, const char *verb, Session *holder, const char *words)
{
    Proc *proc = start_put_off(test, verb, holder, words);
    session_release(holder);
    job_expect_exit(proc, 0);
}

/* An old snapshot would see the new table without what came after it. */
Test(cutover, old_snapshot_and_long_lock_put_it_off_and_are_named)
{
    JobTest test;
    open_synced(&test, "", TARGET);
    Session *session = session_open(test.uri);
    pg_exec(session_conn(session), "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
    expect_put_off(&test, "cutover", session, "an old snapshot would miss rows");
    cr_expect(job_is_state(&test, "cut_over"));

    session_lock_rows(session, "app", "id = 7");
    pg_exec(test.conn, "SELECT pg_sleep(1.1)"); /* a lock counts as held after a second */
    expect_put_off(&test, "rollback", session, "the table is in use by");
    cr_expect(job_is_state(&test, "synced"));
    session_close(session);
    job_close_cluster(&test);
}

/* What a run that was killed has left behind: its session still drains a part of the change log. */
Test(cutover, part_of_the_change_log_that_another_session_drains_is_waited_for)
{
    JobTest test;
    open_synced(&test, "", TARGET);
    Session *session = session_open(test.uri);
    pg_exec(session_conn(session),
        "UPDATE pghaul.slice SET lease = gen_random_uuid(), backend_pid = pg_backend_pid(),"
        " run = (SELECT max(id) FROM pghaul.run), backend_start = (SELECT backend_start"
        " FROM pg_stat_activity WHERE pid = pg_backend_pid()) WHERE no = 1");
    pg_exec(test.conn, "UPDATE app SET note = 'late' WHERE id <= 20");
    Proc *proc = start_put_off(&test, "cutover", session, "the change log is still drained by");
    session_close(session);
    job_expect_exit(proc, 0);
    cr_expect(eq(i64, 20, pg_int(test.conn, "SELECT count(*) FROM app WHERE note = 'late'")));
    job_close_cluster(&test);
}

/* ---- what the application has prepared ---- */

Test(cutover, prepared_statements_and_waiting_transactions_follow)
{
    JobTest test;
    open_synced(&test, "", TARGET);
    PGconn *conn = pg_open(test.uri);
    pg_exec(conn, "PREPARE put AS UPDATE app SET note = $1 WHERE id = $2;"
                  "PREPARE look AS SELECT note FROM app WHERE id = $1;"
                  "EXECUTE put('before', 5); EXECUTE look(5)");
    cutover(&test);
    pg_exec(conn, "EXECUTE put('after', 5); EXECUTE put('new', 6)");
    char *note = pg_text(conn, "EXECUTE look(5)");
    cr_expect(eq(str, "after", note));
    free(note);
    cr_expect(
        eq(i64, 2, pg_int(test.conn, "SELECT count(*) FROM app WHERE note IN ('after', 'new')")));
    cr_expect(eq(i64, 1, pg_int(test.conn, "SELECT count(*) FROM app_old WHERE note = 'before'")));
    job_expect_run(&test, 0);
    expect_same_rows(&test, "app", "app_old", "run drains the reverse log");
    rollback(&test);
    pg_exec(conn, "EXECUTE put('back', 5)");
    cr_expect(eq(i64, 1, pg_int(test.conn, "SELECT count(*) FROM app WHERE note = 'back'")));
    pg_close(conn);
    job_close_cluster(&test);
}

/* What nobody can see from outside is the level of a transaction that waits for our lock; here the
 * name of the session hides its snapshot. */
Test(cutover, snapshot_from_before_that_nobody_saw_cannot_write)
{
    JobTest test;
    open_synced(&test, "", TARGET);
    PGconn *conn = pg_open(test.uri);
    char state[6];
    for (int back = 0; back < 2; back++) {
        pg_exec(conn, "SET application_name = 'pghaul/hidden';"
                      "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
        if (back == 0) {
            cutover(&test);
        } else {
            rollback(&test);
        }
        cr_expect(not(pg_try(conn, "UPDATE app SET note = 'stale' WHERE id = 1", state)));
        cr_expect(eq(str, "40001", state));
        pg_exec(conn, "ROLLBACK; UPDATE app SET note = 'fresh' WHERE id = 1");
    }
    pg_close(conn);
    job_close_cluster(&test);
}

/* ---- a map that changes values, and names that need quotes ---- */

#define ODD_JOB                                                                                    \
    "job: " JOB_NAME "\ncopy: '\"Or \"\"ders\"'\ninto: '\"the, new\"'\n"                           \
    "map: {cents: '(\"the price\" * 100)::bigint'}\nthrottle: {standbys: none}\n"

static void
open_odd(JobTest *test, const char *more)
{
    STRBUF_AUTO file = STRBUF_INIT;
    job_open(test, cluster_shared(), 1, 0);
    pg_exec(test->conn,
        "CREATE TABLE \"Or \"\"ders\" (\"key %\" int PRIMARY KEY, \"the price\" numeric(9,2));"
        "INSERT INTO \"Or \"\"ders\" SELECT g, g + 0.25 FROM generate_series(1, 300) g;"
        "CREATE TABLE \"the, new\" (\"key %\" int PRIMARY KEY, cents bigint);");
    strbuf_printf(&file, ODD_JOB "%s", more);
    harness_write_file(test->path, strbuf_text(&file));
    job_expect_run(test, 0);
}

Test(cutover, map_that_changes_values_is_led_back_by_reverse_map)
{
    JobTest test;
    open_odd(&test, "reverse_map: {the price: 'cents / 100.0'}\n");
    cutover(&test);
    pg_exec(test.conn, "UPDATE \"Or \"\"ders\" SET cents = 1099 WHERE \"key %\" = 7;"
                       "INSERT INTO \"Or \"\"ders\" VALUES (301, 5); DELETE FROM \"Or \"\"ders\""
                       " WHERE \"key %\" = 8");
    rollback(&test);
    cr_expect(eq(i64, 300, pg_int(test.conn, "SELECT count(*) FROM \"Or \"\"ders\"")));
    cr_expect(eq(i64, 3,
        pg_int(test.conn, "SELECT count(*) FROM \"Or \"\"ders\" WHERE (\"key %\", \"the price\")"
                          " IN ((7, 10.99), (301, 0.05), (9, 9.25))")));
    pg_exec(test.conn, "UPDATE \"Or \"\"ders\" SET \"the price\" = 2 WHERE \"key %\" = 9");
    job_expect_run(&test, 0);
    cr_expect(
        eq(i64, 200, pg_int(test.conn, "SELECT cents FROM \"the, new\" WHERE \"key %\" = 9")));
    job_close_cluster(&test);
}

Test(cutover, without_a_way_back_it_is_refused_unless_that_is_allowed)
{
    JobTest test;
    open_odd(&test, "");
    char *text = job_verb_output(&test, "cutover", YES, 4);
    cr_expect(strstr(text, "no way back") != NULL && strstr(text, "allow: [no-rollback]") != NULL,
        "%s", text);
    free(text);
    harness_write_file(test.path, ODD_JOB "allow: [no-rollback]\n");
    cutover(&test);
    pg_exec(test.conn, "UPDATE \"Or \"\"ders\" SET cents = 1 WHERE \"key %\" = 7");
    text = job_verb_output(&test, "rollback", YES, 4);
    cr_expect(strstr(text, "there is no way back") != NULL, "%s", text);
    free(text);
    job_expect_verb(&test, "clean", NULL, 0);
    job_close_cluster(&test);
}

/* ---- in between ---- */

Test(cutover, constraints_that_are_not_validated_yet_are_named_when_it_is_cleaned)
{
    JobTest test;
    open_synced(&test,
        "CREATE TABLE ids (id bigint PRIMARY KEY); INSERT INTO ids SELECT id FROM app;"
        "ALTER TABLE app ADD CONSTRAINT known FOREIGN KEY (id) REFERENCES ids",
        TARGET);
    cutover(&test);
    pg_exec(test.conn, "UPDATE pghaul.carry SET done = NULL"); /* as a kill leaves it */
    char *text = job_verb_output(&test, "clean", NULL, 0);
    const char *named =
        strstr(text, "ALTER TABLE \"public\".\"app\" VALIDATE CONSTRAINT \"known\";");
    cr_expect(named != NULL, "%s", text);
    free(text);
    job_close_cluster(&test);
}

Test(cutover, following_run_keeps_the_old_table_in_step_until_it_is_stopped)
{
    static const char *const FOLLOW[] = {"--follow", NULL};
    JobTest test;
    open_synced(&test, "", TARGET);
    cutover(&test);
    pg_exec(test.conn, "UPDATE app SET note = 'once' WHERE id < 8");
    char *text = job_verb_output(&test, "status", NULL, 0);
    cr_expect(strstr(text, "the old one is behind by 7 changes") != NULL, "%s", text);
    cr_expect(strstr(text, " --follow keeps the old table in step") != NULL, "%s", text);
    free(text);
    Proc *proc = job_start_verb(&test, "run", NULL, FOLLOW);
    for (int i = 0; i < 3; i++) {
        pg_execf(test.conn, "UPDATE app SET note = 'round %d' WHERE id < 100", i);
        pg_wait_true(test.conn,
            "SELECT NOT EXISTS (SELECT note FROM app EXCEPT SELECT note FROM app_old)",
            HARNESS_TIMEOUT_US);
    }
    job_expect_verb(&test, "rollback", YES, 8);
    pg_exec(test.conn, "DELETE FROM app WHERE id = 5");
    proc_signal(proc, SIGTERM);
    job_expect_exit(proc, 0);
    expect_same_rows(&test, "app", "app_old", "caught up at its end");
    rollback(&test);
    job_close_cluster(&test);
}

/* What status says of the job in one line each. */
static void
expect_status(const JobTest *test, const char *words, const char *more_words)
{
    char *text = job_verb_output(test, "status", NULL, 0);
    cr_expect(strstr(text, words) != NULL && strstr(text, more_words) != NULL, "%s", text);
    free(text);
}

Test(cutover, following_runs_keep_to_the_throttle_and_status_says_how_far_the_old_table_is_behind)
{
    static const char *const FOLLOW[] = {"--follow", NULL};
    JobTest test;
    open_synced(&test, "", TARGET);
    cutover(&test);
    expect_status(&test, "done: the application uses the new table", "the old one has all");
    pg_exec(test.conn, "UPDATE app SET note = 'later' WHERE id <= 30");
    expect_status(&test, "the old one is behind by 30 changes", "--follow keeps the old table");
    cr_expect(eq(i64, 1, pg_int(test.conn, "SELECT done_ratio = 1 FROM pghaul.progress")));

    pg_exec(test.conn, "UPDATE pghaul.job SET standbys = '{gone}'");
    Proc *throttled = job_start_verb(&test, "run", NULL, FOLLOW);
    pg_wait_true(
        test.conn, "SELECT throttle_reason LIKE '%gone%' FROM pghaul.progress", HARNESS_TIMEOUT_US);
    expect_status(&test, "throttled: standby gone", "behind   30 changes");
    proc_signal(throttled, SIGTERM);
    job_expect_exit(throttled, 7);
    cr_expect(eq(i64, 30, pg_int(test.conn, "SELECT backlog_rows FROM pghaul.progress")));

    /* Of two runs one drains, and the other one takes over when it is killed. */
    pg_exec(test.conn, "UPDATE pghaul.job SET standbys = '{}'");
    Proc *first = job_start_verb(&test, "run", NULL, FOLLOW);
    pg_wait_true(test.conn, "SELECT backlog_rows = 0 FROM pghaul.progress", HARNESS_TIMEOUT_US);
    Proc *second = job_start_verb(&test, "run", NULL, FOLLOW);
    pg_wait_true(test.conn, "SELECT runs_alive = 2 FROM pghaul.progress", HARNESS_TIMEOUT_US);
    expect_status(&test, "the old one follows", "behind   0 changes");
    proc_signal(first, SIGKILL);
    (void)proc_finish(first, HARNESS_TIMEOUT_US);
    proc_free(first);
    pg_exec(test.conn, "UPDATE app SET note = 'last' WHERE id <= 30");
    pg_wait_true(test.conn, "SELECT backlog_rows = 0 FROM pghaul.progress", HARNESS_TIMEOUT_US);
    proc_signal(second, SIGTERM);
    job_expect_exit(second, 0);
    expect_same_rows(&test, "app", "app_old", "by the second run");
    job_close_cluster(&test);
}

Test(cutover, plan_says_what_goes_over_and_what_does_not)
{
    JobTest test;
    open_synced(
        &test, "CREATE INDEX by_note ON app (note); COMMENT ON TABLE app IS 'the table';", TARGET);
    char *text = job_verb_output(&test, "plan", NULL, 0);
    const char *lost = strstr(text, "Not carried over:");
    cr_assert(lost != NULL, "%s", text);
    cr_expect(strstr(lost, "index by_note: the new table has none like it") != NULL, "%s", lost);
    const char *carried = strstr(text, "app becomes app_old, and app_v2 becomes app");
    cr_expect(carried != NULL && strstr(carried, "comment on the table") < lost, "%s", text);
    free(text);
    job_close_cluster(&test);
}

/* The foreign key of a partitioned table as a whole comes last, under a lock that stops writers. */
Test(cutover, what_is_left_after_the_swap_makes_no_writer_wait_long)
{
    JobTest test;
    open_synced(&test,
        "CREATE TABLE ids (id bigint PRIMARY KEY); INSERT INTO ids SELECT id FROM app;"
        "ALTER TABLE app ADD CONSTRAINT known FOREIGN KEY (id) REFERENCES ids",
        PARTITIONED);
    cutover(&test);
    pg_exec(test.conn, "ALTER TABLE app DROP CONSTRAINT known;"
                       "UPDATE pghaul.carry SET done = NULL WHERE what LIKE '%on the whole'");
    Session *session = session_open(test.uri);
    pg_exec(session_conn(session), "BEGIN; UPDATE app SET note = 'x' WHERE id = 7");
    Proc *proc = job_start_verb(&test, "cutover", NULL, YES);
    pg_wait_true(test.conn,
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted"
        " AND relation = 'app'::regclass)",
        HARNESS_TIMEOUT_US);
    int64_t begun_us = clock_mono_us();
    pg_exec(test.conn, "UPDATE app SET note = 'y' WHERE id = 8");
    cr_expect(lt(i64, clock_mono_us() - begun_us, 1000000));
    session_release(session);
    job_expect_exit(proc, 0);
    cr_expect(eq(i64, 1,
        pg_int(test.conn, "SELECT count(*) FROM pg_constraint WHERE conrelid = 'app'::regclass"
                          " AND conname = 'known' AND convalidated")));
    session_close(session);
    job_close_cluster(&test);
}

/* ---- refused ---- */

static void
expect_refused(const JobTest *test, const char *verb, int code, const char *words)
{
    bool asks = strcmp(verb, "cutover") == 0 || strcmp(verb, "rollback") == 0;
    char *text = job_verb_output(test, verb, asks ? YES : NULL, code);
    cr_expect(strstr(text, words) != NULL, "\"%s\" is not in: %s", words, text);
    free(text);
}

Test(cutover, is_refused_where_it_would_be_wrong)
{
    JobTest test;
    open_synced(&test, "", TARGET);
    expect_refused(&test, "rollback", 0, "nothing to take back");
    char *text = job_verb_output(&test, "cutover", NULL, 4);
    cr_expect(strstr(text, "nobody has agreed") != NULL, "%s", text);
    free(text);
    pg_exec(test.conn, "CREATE TABLE app_old (id int)");
    expect_refused(&test, "cutover", 4, "app_old is taken");
    pg_exec(test.conn, "DROP TABLE app_old; INSERT INTO pghaul.run (job, host, pid, backend_pid,"
                       " backend_start, version, workers) SELECT 1, 'there', 2, pid, backend_start,"
                       " '1', 1 FROM pg_stat_activity WHERE pid = pg_backend_pid()");
    expect_refused(&test, "cutover", 8, "pghaul stop");
    pg_exec(test.conn, "UPDATE pghaul.run SET ended = now()");
    pg_exec(test.conn, "UPDATE pghaul.job SET state = 'stopped'");
    expect_refused(&test, "cutover", 4, "is stopped, not synced");
    expect_refused(&test, "rollback", 4, "is stopped, not cut_over");
    pg_exec(test.conn, "UPDATE pghaul.job SET state = 'synced'");
    cutover(&test);
    expect_refused(&test, "verify", 4, "is cut over");
    expect_refused(&test, "cutover", 0, "cut over already");
    pg_exec(test.conn, "TRUNCATE app");
    expect_refused(&test, "rollback", 4, "was truncated");
    text = job_verb_output(&test, "clean", NULL, 0);
    cr_expect(strstr(text, "DROP TABLE public.app_old;") != NULL, "%s", text);
    free(text);
    cr_expect(eq(i64, 0,
        pg_int(test.conn, "SELECT count(*) FROM pg_trigger"
                          " WHERE tgname LIKE 'zzzz%'")));
    job_close_cluster(&test);
}

/* ---- another server ---- */

/* `pghaul VERB JOB --yes`; the job is called as remote_case.h has it. */
static void
expect_remote(const RemoteCase *test, const char *verb, int code, const char *words)
{
    CliResult result = CLI(verb, test->job_file, "--yes");
    cr_expect(eq(int, code, result.code), "%s: %s%s", verb, result.out, result.err);
    cr_expect(cli_has(result.out, words) || cli_has(result.err, words), "\"%s\" is not in: %s%s",
        words, result.out, result.err);
    cli_free(&result);
}

Test(cutover, source_on_another_server_is_fenced_and_nothing_is_missing)
{
    RemoteCase test;
    remote_open(&test,
        "CREATE TABLE src (id serial PRIMARY KEY, note text);"
        "INSERT INTO src (note) SELECT 'n' || g FROM generate_series(1, 500) g",
        "CREATE TABLE dst (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text)");
    remote_write_job(&test, NULL, NULL, "throttle: {standbys: none}\n");
    remote_run(&test, 0);
    pg_exec(test.source, "UPDATE src SET note = 'late' WHERE id = 7; INSERT INTO src (note) VALUES"
                         " ('last'); DELETE FROM src WHERE id = 8");
    expect_remote(&test, "cutover", 0, "every row was compared, 1");
    remote_expect_equal(&test, "SELECT id, note FROM src", "SELECT id, note FROM dst");
    cr_expect(eq(i64, 1, pg_int(test.target, "SELECT state = 'cut_over' FROM pghaul.job")));
    static const char *const WRITES[] = {"INSERT INTO src (note) VALUES ('x')", "TRUNCATE src",
        "SET session_replication_role = replica; UPDATE src SET note = 'x'", "DELETE FROM src"};
    for (size_t i = 0; i < sizeof(WRITES) / sizeof(WRITES[0]); i++) {
        char state[6];
        cr_expect(not(pg_try(test.source, WRITES[i], state)), "%s", WRITES[i]);
        cr_expect(eq(str, "25006", state), "%s", WRITES[i]);
    }
    cr_expect(
        eq(i64, 502, pg_int(test.target, "INSERT INTO dst (note) VALUES ('y') RETURNING id")));
    pg_exec(test.target, "DELETE FROM dst WHERE id = 502");
    expect_remote(&test, "cutover", 0, "cut over already");
    expect_remote(&test, "run", 4, "is cut over to another server");
    expect_remote(&test, "rollback", 0, "may be written again");
    pg_exec(test.source, "SET session_replication_role = origin;"
                         "INSERT INTO src (note) VALUES ('again')");
    expect_remote(&test, "run", 0, "");
    remote_expect_equal(&test, "SELECT id, note FROM src", "SELECT id, note FROM dst");
    expect_remote(&test, "cutover", 0, "every row was compared");
    CliResult result = CLI("clean", "carry", "-d", test.to);
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cli_free(&result);
    cr_expect(eq(i64, 0,
        pg_int(test.source, "SELECT count(*) FROM pg_trigger"
                            " WHERE NOT tgisinternal")));
    remote_close(&test);
}

Test(cutover, clean_all_lets_a_fenced_source_be_written_again)
{
    RemoteCase test;
    remote_open(&test,
        "CREATE TABLE src (id int PRIMARY KEY); INSERT INTO src SELECT generate_series(1, 50)",
        "CREATE TABLE dst (id int PRIMARY KEY)");
    remote_write_job(&test, NULL, NULL, "throttle: {standbys: none}\n");
    remote_run(&test, 0);
    expect_remote(&test, "cutover", 0, "every row was compared");
    CliResult result = CLI("clean", "--all", "-d", test.to);
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cli_free(&result);
    cr_expect(eq(i64, 0,
        pg_int(test.source, "SELECT count(*) FROM pg_class c, pg_trigger t WHERE NOT t.tgisinternal"
                            " OR c.relname ~ '^(log|overflow)_[0-9]'")));
    pg_exec(test.source, "INSERT INTO src VALUES (51)");
    static const char SCHEMAS[] = "SELECT count(*) FROM pg_namespace WHERE nspname = 'pghaul'";
    cr_expect(eq(i64, 0, pg_int(test.source, SCHEMAS)));
    cr_expect(eq(i64, 0, pg_int(test.target, SCHEMAS)));
    remote_close(&test);
}
