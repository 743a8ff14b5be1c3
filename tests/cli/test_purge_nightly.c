/*
 * test_purge_nightly.c - a purge that cron begins every night: it ends when it shall, is silent
 * unless something is wrong, says what it leaves behind, and tidies up.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "harness/harness.h"
#include "harness/job.h"
#include "harness/session.h"

#define ROWS 20000
#define OLD  "where: hits < 30\n"
#define SLOW "where: hits < 30 AND slowly(hits) IS NOT NULL\n" /* which the planner believes */
#define ONE  "workers: 1\nbatch: {rows: 100}\nthrottle: {standbys: none}\n"

#define PARAMETERS                                                                                 \
    "SELECT pg_catalog.concat_ws(' ', array(SELECT unnest(c.reloptions) ORDER BY 1), '|',"         \
    " array(SELECT unnest(t.reloptions) ORDER BY 1))"                                              \
    " FROM pg_class c JOIN pg_class t ON t.oid = c.reltoastrelid WHERE c.relname = 'app'"

#define KEPT "{autovacuum_enabled=off,fillfactor=10,vacuum_truncate=off} | {vacuum_truncate=off}"

#define OUTPUT(test, code, ...)                                                                    \
    job_verb_output((test), "run", (const char *const[]){"--yes", __VA_ARGS__, NULL}, (code))

static void
expect_has(const char *text, const char *part)
{
    cr_expect(strstr(text, part) != NULL, "\"%s\" is missing in:\n%s", part, text);
}

static int64_t
matching(const JobTest *test)
{
    return pg_int(test->conn, "SELECT count(*) FROM app WHERE hits < 30");
}

static int64_t
last_backlog(const JobTest *test)
{
    return pg_int(test->conn, "SELECT backlog_rows FROM pghaul.run ORDER BY id DESC LIMIT 1");
}

static char *
status(const JobTest *test, const char *option)
{
    return job_verb_output(test, "status", (const char *const[]){option, NULL}, 0);
}

/* Within a tenth of what is there, which is what a sample can tell. */
static void
expect_estimate(const JobTest *test)
{
    double left = (double)matching(test);
    cr_expect(epsilon_eq(dbl, (double)last_backlog(test), left, left / 10));
}

/* ---- ends ---- */

Test(purge_nightly, quota_ends_a_run_with_work_left_and_the_backlog_shrinks_to_nothing)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 100);
    job_write_purge(&test, SLOW ONE "limits: {rows: 2000}\n");
    int64_t old = matching(&test);
    char *out = OUTPUT(&test, 7, "-v");
    expect_has(out, "the quota of 2.00 k rows (limits.rows) is used up with work left");
    expect_has(out, "  freed           about ");
    expect_has(out, "  left            about ");
    free(out);
    cr_expect(lt(i64, 0, matching(&test)));
    cr_expect(le(i64, matching(&test), old - 2000));
    cr_expect(lt(i64, 0, pg_int(test.conn, "SELECT 1000 * done_ratio FROM pghaul.progress")));
    expect_estimate(&test);

    out = OUTPUT(&test, 7, "-q"); /* statistics are of before the first one */
    cr_expect(eq(str, out, ""));
    free(out);
    expect_estimate(&test);
    job_set_slow(&test, 0);
    while (matching(&test) > 0) {
        Proc *proc = job_start(&test);
        int code = proc_finish(proc, HARNESS_TIMEOUT_US);
        cr_assert(code == 0 || code == 7, "exit code %d", code);
        proc_free(proc);
    }
    out = OUTPUT(&test, 0, "-q");
    cr_expect(eq(str, out, ""));
    free(out);
    cr_expect(eq(i64, last_backlog(&test), 0));
    job_close_cluster(&test);
}

Test(purge_nightly, longest_runtime_ends_a_run_with_work_left)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 2000);
    job_write_purge(&test, SLOW ONE);
    char *out = OUTPUT(&test, 7, "--max-runtime", "1s");
    expect_has(out, "--max-runtime is reached with work left");
    expect_has(out, "To go on: pghaul run ");
    free(out);
    cr_expect(job_is_state(&test, "stopped"));
    job_set_slow(&test, 0);
    job_expect_run(&test, 0);
    cr_expect(eq(i64, 0, matching(&test)));
    job_close_cluster(&test);
}

/* A window of so many hours that begins `from_h` hours from now, by the server's clock. */
static void
write_windowed(const JobTest *test, int from_h, int hours)
{
    int hour = (int)pg_int(test->conn, "SELECT extract(hour FROM now() AT TIME ZONE 'Asia/Tokyo')");
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&text, OLD ONE "schedule: {window: '%02d:00-%02d:00 Asia/Tokyo'}\n",
        (hour + 24 + from_h) % 24, (hour + 24 + from_h + hours) % 24);
    job_write_purge(test, strbuf_text(&text));
}

Test(purge_nightly, run_outside_of_its_window_does_nothing_and_says_when_it_opens)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 0);
    write_windowed(&test, 10, 2);
    char *out = OUTPUT(&test, 7, "-v");
    expect_has(out, "nothing was done: schedule.window ");
    expect_has(out, "closed; opens at ");
    free(out);
    cr_expect(eq(i64, 0,
        pg_int(test.conn, "SELECT count(*) FROM pg_namespace"
                          " WHERE nspname = 'pghaul'")));
    out = OUTPUT(&test, 7, "-q");
    cr_expect(eq(str, out, ""));
    free(out);

    write_windowed(&test, -1, 3);
    job_expect_run(&test, 0);
    cr_expect(eq(i64, 0, matching(&test)));
    out = status(&test, "--json");
    expect_has(out, "\"window_is_open\":true");
    free(out);
    out = status(&test, "--no-color");
    expect_has(out, " Asia/Tokyo, open; closes at ");
    free(out);
    job_close_cluster(&test);
}

Test(purge_nightly, zone_that_the_server_does_not_know_is_refused)
{
    JobTest test;
    job_open(&test, cluster_shared(), 100, 0);
    job_write_purge(&test, OLD "schedule: {window: '01:00-05:00 Europe/Berlni'}\n");
    char *out = OUTPUT(&test, 4, "-q");
    expect_has(out, "refused (window-zone)");
    expect_has(out, "Did you mean Europe/Berlin?");
    free(out);
    job_close_cluster(&test);
}

/* ---- what is left ---- */

Test(purge_nightly, backlog_is_of_rows_that_were_old_when_the_pass_began)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 100);
    pg_exec(test.conn, "ALTER TABLE app ADD COLUMN at timestamptz;"
                       "UPDATE app SET at = now() - (id % 100) * '1 day'::interval;"
                       "ANALYZE app");
    job_write_purge(&test,
        "where: at < now() - '40 days'::interval AND slowly(hits) IS NOT NULL\n" ONE
        "limits: {rows: 1000}\n");
    job_expect_run(&test, 7);
    double left = (double)pg_int(test.conn, "SELECT count(*) FROM app, pghaul.job j"
                                            " WHERE at < j.pinned - '40 days'::interval");
    cr_expect(epsilon_eq(dbl, (double)last_backlog(&test), left, left / 10));
    job_close_cluster(&test);
}

Test(purge_nightly, backlog_that_grows_is_warned_of_even_when_quiet)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 100);
    job_write_purge(&test, SLOW ONE "limits: {rows: 500}\n");
    job_expect_run(&test, 7);
    int64_t before = last_backlog(&test);
    pg_exec(test.conn, "UPDATE app SET hits = 0 WHERE id > 10000; ANALYZE app");
    char *out = OUTPUT(&test, 7, "-q");
    expect_has(out, "WARNING the backlog grows: about ");
    cr_expect(strchr(out, '\n') == out + strlen(out) - 1, "one line, and no other: %s", out);
    free(out);
    cr_expect(lt(i64, before, last_backlog(&test)));
    expect_estimate(&test);
    cr_expect(
        eq(i64, 1, pg_int(test.conn, "SELECT count(*) FROM pghaul.event WHERE what = 'backlog'")));
    out = OUTPUT(&test, 7, "-q");
    cr_expect(eq(str, out, ""));
    free(out);
    job_close_cluster(&test);
}

Test(purge_nightly, history_lists_what_each_run_deleted_freed_and_left)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 100);
    job_write_purge(&test, SLOW ONE "limits: {rows: 2000}\n");
    int64_t bytes = pg_int(test.conn, "SELECT pg_table_size('app') / 20000");
    int64_t old = matching(&test);
    job_expect_run(&test, 7);
    job_set_slow(&test, 0);
    job_write_purge(&test, SLOW ONE);
    job_expect_run(&test, 0);
    char *out = status(&test, "--history");
    expect_has(out, "stopped cleanly with work left (exit 7) after ");
    expect_has(out, "done (exit 0) after ");
    expect_has(out, " rows deleted, ");
    expect_has(out, " freed, about 0 rows left");
    expect_has(out, "  backlog  about 0 rows still match");
    free(out);
    cr_expect(eq(i64, old, pg_int(test.conn, "SELECT sum(rows) FROM pghaul.run")));
    double freed = (double)pg_int(test.conn, "SELECT sum(freed_bytes) FROM pghaul.run");
    double right = (double)(old * bytes);
    cr_expect(epsilon_eq(dbl, freed, right, right / 2), "%.0f of %.0f bytes", freed, right);
    out = status(&test, "--history");
    free(out);
    out = job_verb_output(&test, "status", (const char *const[]){"--history", "--json", NULL}, 0);
    expect_has(out, "\"backlog_rows\":0");
    expect_has(out, "\"freed_bytes\":");
    expect_has(out, "\"archived_bytes\":null");
    free(out);
    job_close_cluster(&test);
}

/* ---- after-care ---- */

static int64_t
vacuums(const JobTest *test)
{
    return pg_int(test->conn, "SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 'app'");
}

Test(purge_nightly, what_is_freed_is_not_the_room_of_rows_that_went_before)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 100);
    pg_exec(test.conn, "ANALYZE app");
    int64_t bytes = pg_int(test.conn, "SELECT pg_table_size('app') / 20000");
    job_write_purge(&test, "where: hits < 70\n" ONE);
    job_set_slow(&test, 0);
    job_expect_run(&test, 0);
    pg_exec(test.conn, "VACUUM ANALYZE app");
    int64_t old =
        pg_int(test.conn, "WITH u AS (UPDATE app SET hits = 0 WHERE id IN"
                          " (SELECT id FROM app LIMIT 100) RETURNING id) SELECT count(*) FROM u");
    job_expect_run(&test, 0);
    double freed =
        (double)pg_int(test.conn, "SELECT freed_bytes FROM pghaul.run ORDER BY id DESC LIMIT 1");
    double right = (double)(old * bytes);
    cr_expect(eq(i64, 100, old));
    cr_expect(epsilon_eq(dbl, freed, right, right / 2), "%.0f of %.0f bytes", freed, right);
    job_close_cluster(&test);
}

Test(purge_nightly, table_is_vacuumed_at_the_end_and_keeps_its_length)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 0);
    int64_t before = vacuums(&test);
    int64_t size = pg_int(test.conn, "SELECT pg_relation_size('app')");
    job_write_purge(&test, "where: id > 10000\nvacuum: off\n" ONE);
    pg_exec(test.conn, "DELETE FROM app WHERE id = 20000"); /* one more to be found dead */
    job_expect_run(&test, 0);
    cr_expect(eq(i64, before, vacuums(&test)));

    pg_exec(test.conn, "INSERT INTO app (id) SELECT generate_series(30001, 30500)");
    job_write_purge(&test, "where: id > 10000\n" ONE);
    job_expect_run(&test, 0);
    pg_wait_true(test.conn,
        "SELECT n_dead_tup = 0 AND last_vacuum IS NOT NULL AND last_analyze > last_vacuum"
        " - interval '1 min' FROM pg_stat_user_tables WHERE relname = 'app'",
        HARNESS_TIMEOUT_US);
    cr_expect(lt(i64, before, vacuums(&test)));
    cr_expect(le(i64, size, pg_int(test.conn, "SELECT pg_relation_size('app')")));
    job_close_cluster(&test);
}

Test(purge_nightly, tables_whose_rows_go_as_well_are_vacuumed_too)
{
    JobTest test;
    job_open(&test, cluster_shared(), 2000, 0);
    pg_exec(test.conn,
        "CREATE TABLE item (id int PRIMARY KEY, app bigint REFERENCES app)"
        " WITH (autovacuum_enabled = off);"
        "CREATE INDEX ON item (app);"
        "INSERT INTO item SELECT g, g FROM generate_series(1, 2000) g; ANALYZE item");
    job_write_purge(&test, "where: id <= 1000\nchildren: delete\n" ONE);
    job_expect_run(&test, 0);
    cr_expect(eq(i64, 1000, pg_int(test.conn, "SELECT count(*) FROM item")));
    pg_wait_true(test.conn,
        "SELECT vacuum_count > 0 AND n_dead_tup = 0 FROM pg_stat_user_tables"
        " WHERE relname = 'item'",
        HARNESS_TIMEOUT_US);
    job_close_cluster(&test);
}

static void
expect_parameters(const JobTest *test, const char *expected)
{
    char *now = pg_text(test->conn, PARAMETERS);
    cr_expect(eq(int, strcmp(now, expected), 0), "%s", now);
    free(now);
}

Test(purge_nightly, tail_is_kept_until_clean_also_after_a_kill)
{
    static const char *const BEFORE[] = {
        "SELECT 1",
        "ALTER TABLE app SET (vacuum_truncate = on, toast.vacuum_truncate = false)",
        "ALTER TABLE app RESET (vacuum_truncate), SET (toast.vacuum_truncate = true)",
    };
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 0);
    for (size_t i = 0; i < sizeof(BEFORE) / sizeof(BEFORE[0]); i++) {
        pg_exec(test.conn, BEFORE[i]);
        char *before = pg_text(test.conn, PARAMETERS);
        job_set_slow(&test, 1000);
        job_write_purge(&test, SLOW ONE "vacuum_truncate: off\n");
        Proc *proc = job_start(&test);
        cr_assert(job_wait_batches(&test, proc, job_batches(&test), 1));
        expect_parameters(&test, KEPT);
        proc_signal(proc, SIGKILL);
        (void)proc_finish(proc, HARNESS_TIMEOUT_US);
        proc_free(proc);
        job_expect_verb(&test, "clean", NULL, 0);
        expect_parameters(&test, before);
        free(before);
    }
    job_close_cluster(&test);
}

/* The last of two jobs puts the parameter back; what somebody set meanwhile stays. */
Test(purge_nightly, tail_is_released_by_the_last_job_and_only_as_it_was_left)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, 0);
    char *before = pg_text(test.conn, PARAMETERS);
    job_write_purge(&test, OLD ONE "vacuum_truncate: off\n");
    job_expect_run(&test, 0);
    harness_write_file(test.path, "job: second\npurge: app\n" OLD ONE "vacuum_truncate: off\n");
    job_expect_run(&test, 0);
    job_expect_verb(&test, "clean", NULL, 0);
    expect_parameters(&test, KEPT);
    pg_exec(test.conn, "ALTER TABLE app SET (toast.vacuum_truncate = true)");
    job_write_purge(&test, OLD ONE "vacuum_truncate: off\n");
    job_expect_verb(&test, "clean", NULL, 0);
    expect_parameters(&test, "{autovacuum_enabled=off,fillfactor=10} | {vacuum_truncate=true}");
    free(before);
    job_close_cluster(&test);
}
