/*
 * test_sql_prepare.c - every statement that is not written by the user is accepted and runs on a
 * real server.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/sql_backfill.h"
#include "core/sql_batch.h"
#include "core/sql_copy.h"
#include "harness/harness.h"
#include "integration/job_fixture.h"
#include "ops/quarantine.h"
#include "pg/params.h"
#include "pg/probe.h"
#include "store/carry.h"
#include "store/control.h"
#include "store/guards.h"
#include "store/history.h"
#include "store/ledger.h"
#include "store/past.h"
#include "store/quarantine.h"
#include "store/run.h"
#include "store/status.h"

#define TABLE                                                                                      \
    "CREATE TABLE t (id bigint, part text, src text, c text, d int DEFAULT 0,"                     \
    " PRIMARY KEY (part, id));"                                                                    \
    "INSERT INTO t (id, part, src) SELECT g, 'p' || g % 3, g FROM generate_series(1, 60) AS g;"
#define THROTTLE "throttle: {standbys: none}\n"

/* Must succeed, and says which did not. */
#define OK(call) cr_expect(call, #call ": %s", err.message)

/* ---- generated functions ---- */

static void
check_batches(JobFixture *f, const char *what, const char *low, const char *high, int stripes)
{
    RangeLease lease = job_fixture_range(f, low, high, stripes);
    const char *rests[] = {"3, false", "3, true"};
    for (int i = 0; i < 2; i++) {
        const char *call = job_fixture_call(f, what, &lease, rests[i]);
        pg_exec(f->sql, "BEGIN");
        char *outcome = pg_text(f->sql, call);
        cr_expect(eq(str, outcome, "more"), "%s", call);
        free(outcome);
        pg_exec(f->sql, "ROLLBACK");
    }
}

static void
check_locate_as(JobFixture *f, SliceKind kind, const char *low, const char *high, bool census)
{
    int64_t tried = kind == SLICE_KEY ? 10 : 30; /* of two stripes */
    Err err = ERR_INIT;
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_locate_call(&sql, &f->survey.plan, f->job.id, kind);
    Params params = PARAMS_INIT;
    params_text(&params, low);
    params_text(&params, high);
    params_int(&params, 10);
    params_int(&params, 0);
    params_int(&params, 2);
    params_bool(&params, census);
    PGRESULT_AUTO *result = NULL;
    cr_assert(query_with(f->conn, strbuf_text(&sql), &params, &result, &err), "%s", err.message);
    cr_assert(eq(int, 1, result_rows(result)));
    cr_expect(result_is_null(result, 0, LOCATE_KEY), "no row is refused");
    cr_expect(eq(i64, 0, result_int(result, 0, LOCATE_REFUSED)));
    cr_expect(eq(i64, census ? 1 : tried, result_int(result, 0, LOCATE_TRIED)));
}

static void
check_locate(JobFixture *f, SliceKind kind, const char *low, const char *high)
{
    check_locate_as(f, kind, low, high, false);
    check_locate_as(f, kind, low, high, true);
}

static void
check_retry(JobFixture *f)
{
    Err err = ERR_INIT;
    StopToken stop;
    stop_init(&stop);
    RowTrials trials = {.conn = f->conn, .plan = &f->survey.plan, .job = &f->job, .stop = &stop};
    RowTrial outcome = TRIAL_HELD;
    OK(quarantine_try(&trials, "{p1,1}", &outcome, &err));
    cr_expect(eq(int, TRIAL_NO_WORK, (int)outcome), "it is not set aside");
    stop_destroy(&stop);
}

static void
check_functions(const char *job_file)
{
    JobFixture f;
    job_fixture_open(&f, TABLE, job_file);
    bool by_block = f.survey.plan.path == PATH_BLOCK;
    check_batches(&f, "move", by_block ? "{0}" : NULL, by_block ? "{9}" : "{p1,20}", 2);
    pg_exec(f.sql, "UPDATE pghaul.job SET frontier = NULL");
    if (by_block) {
        check_batches(&f, "isolate_block", "{0}", "{9}", 2);
        pg_exec(f.sql, "UPDATE pghaul.job SET frontier = NULL");
    }
    check_batches(&f, "isolate_key", NULL, "{p1,20}", 2);
    check_retry(&f);
    if (by_block) {
        check_locate(&f, SLICE_BLOCK, "{0}", "{1}");
        pg_exec(f.sql, "UPDATE pghaul.job SET frontier = NULL");
    }
    check_locate(&f, SLICE_KEY, NULL, "{p1,20}");
    if (!f.survey.plan.self_referring) {
        check_batches(&f, "verify", "{p1,20}", NULL, 1);
        check_batches(&f, "isolate_verify", "{p1,20}", NULL, 1);
    }
    if (by_block) {
        check_batches(&f, "repair", "{p1,20}", NULL, 1);
    }
    STRBUF_AUTO vacuum = STRBUF_INIT;
    sql_vacuum(&vacuum, &f.survey.plan);
    pg_exec(f.sql, strbuf_text(&vacuum));
    STRBUF_AUTO contract = STRBUF_INIT;
    sql_contract_steps(&contract, &f.survey.plan);
    cr_expect(eq(i64, 0, pg_int(f.sql, "SELECT count(c) FROM t")), "all was rolled back");
    job_fixture_close(&f);
}

Test(sql_prepare, batch_functions_of_every_kind_of_plan_run)
{
    check_functions("job: j\nbackfill: t\npath: block\nset:\n  c: upper(src)\n" THROTTLE);
    check_functions("job: j\nbackfill: t\npath: key\nset:\n  c: upper(src)\n" THROTTLE);
    check_functions("job: j\nbackfill: t\npath: block\nstripes: 1\nwhere: id > 0 -- all\n"
                    "set:\n  c: upper(src)\n  d: id::int\n" THROTTLE);
    check_functions("job: j\nbackfill: t\nsync: none\nset:\n  c: upper(src)\n" THROTTLE);
    check_functions("job: j\nbackfill: t\nset:\n  d: d + 1\n" THROTTLE);
    check_functions("job: j\nbackfill: t\nallow: [volatile]\nset:\n  c: random()::text\n" THROTTLE);
}

/* Source and target of a copy differ in names, types and order of columns. */
#define TARGET                                                                                     \
    "CREATE TABLE target (at text, no bigint, c varchar(9), part text, had int DEFAULT 1,"         \
    " PRIMARY KEY (no, part)) PARTITION BY LIST (part);"                                           \
    "CREATE TABLE target_1 PARTITION OF target FOR VALUES IN ('p1');"                              \
    "CREATE TABLE target_2 PARTITION OF target DEFAULT;"
#define COPY                                                                                       \
    "job: j\ncopy: t\ninto: target\nmap:\n  no: id\n  c: upper(src) -- all\n"                      \
    "allow: [append-only, target-scan]\n" THROTTLE

static void
check_copy(const char *target, const char *more_lines)
{
    JobFixture f;
    STRBUF_AUTO setup = STRBUF_INIT;
    STRBUF_AUTO job = STRBUF_INIT;
    strbuf_printf(&setup, "%s%s", TABLE, target);
    strbuf_printf(&job, "%s%s", COPY, more_lines);
    job_fixture_open(&f, strbuf_text(&setup), strbuf_text(&job));
    bool by_block = f.survey.plan.path == PATH_BLOCK;
    check_batches(&f, "move", by_block ? "{0}" : NULL, by_block ? "{9}" : "{p1,20}", 1);
    pg_exec(f.sql, "UPDATE pghaul.job SET frontier = NULL");
    check_batches(&f, "verify", NULL, "{p1,20}", 1);
    if (by_block) {
        check_locate(&f, SLICE_BLOCK, "{0}", "{1}");
    }
    check_locate(&f, SLICE_KEY, NULL, "{p1,20}");
    cr_expect(eq(i64, 0, pg_int(f.sql, "SELECT count(*) FROM target")), "all was rolled back");
    STRBUF_AUTO steps = STRBUF_INIT;
    sql_copy_steps(&steps, &f.survey.plan);
    pg_exec(f.sql, strbuf_text(&steps));
    job_fixture_close(&f);
}

Test(sql_prepare, batch_functions_of_every_kind_of_copy_run)
{
    static const char *const MODES[] = {"error", "skip", "update"};
    static const char *const PATHS[] = {
        "path: key\n", "path: block\nwhere: d = 0 -- all\n", "sync: none\n"};
    for (int i = 0; i < 9; i++) {
        STRBUF_AUTO lines = STRBUF_INIT;
        strbuf_printf(&lines, "%son_conflict: %s\n", PATHS[i / 3], MODES[i % 3]);
        check_copy(TARGET, strbuf_text(&lines));
    }
}

Test(sql_prepare, sync_trigger_fires_for_writers_and_spares_batches)
{
    JobFixture f;
    job_fixture_open(&f, TABLE, "job: j\nbackfill: t\nset:\n  d: src::int\n" THROTTLE);
    pg_exec(f.sql, "INSERT INTO t (id, part, src) VALUES (100, 'x', '7');"
                   "UPDATE t SET src = '8' WHERE id = 1");
    cr_expect(eq(i64, 7, pg_int(f.sql, "SELECT d FROM t WHERE id = 100")));
    cr_expect(eq(i64, 8, pg_int(f.sql, "SELECT d FROM t WHERE id = 1")));
    pg_exec(f.sql, "UPDATE t SET src = 'no number' WHERE id = 1");
    cr_expect(eq(i64, 1, pg_int(f.sql, "SELECT d IS NULL FROM t WHERE id = 1")));
    pg_exec(f.sql, "SET session_replication_role = replica; UPDATE t SET src = '9' WHERE id = 1");
    cr_expect(eq(i64, 9, pg_int(f.sql, "SELECT d FROM t WHERE id = 1")));
    pg_exec(f.sql, "SET pghaul.batch = '1'; UPDATE t SET src = '10' WHERE id = 1");
    cr_expect(eq(i64, 9, pg_int(f.sql, "SELECT d FROM t WHERE id = 1")));
    job_fixture_close(&f);
}

Test(sql_prepare, contract_steps_are_accepted_one_by_one)
{
    JobFixture f;
    job_fixture_open(&f, TABLE, "job: j\nbackfill: t\nset:\n  c: upper(src)\n" THROTTLE);
    pg_exec(f.sql, "UPDATE t SET src = src");
    STRBUF_AUTO steps = STRBUF_INIT;
    sql_contract_steps(&steps, &f.survey.plan);
    char *text = arena_strdup(&f.arena, strbuf_text(&steps));
    char *at = NULL;
    int count = 0;
    for (char *line = strtok_r(text, "\n", &at); line != NULL; line = strtok_r(NULL, "\n", &at)) {
        if (strncmp(line, "--", 2) != 0) {
            pg_exec(f.sql, line);
            count++;
        }
    }
    cr_expect(le(int, 3, count), "%s", strbuf_text(&steps));
    cr_expect(eq(i64, 1,
        pg_int(f.sql, "SELECT attnotnull FROM pg_attribute"
                      " WHERE attrelid = 't'::regclass AND attname = 'c'")));
    job_fixture_close(&f);
}

/* ---- static texts ---- */

static void
check_carry_texts(JobFixture *f)
{
    Err err = ERR_INIT;
    int64_t id = f->job.id;
    CutoverStep steps[] = {{.what = "a", .undo = "b"}, {.what = "c", .later = "d \\ \"e\""}};
    CarryList list;
    CarryTables tables;
    OK(carry_record(f->conn, id, steps, 2, &err));
    OK(carry_record(f->conn, id, steps, 2, &err));
    OK(carry_done(f->conn, id, 1, &err));
    OK(carry_list(f->conn, id, false, &f->arena, &list, &err));
    cr_assert(eq(int, 1, list.count));
    cr_expect(zero(int, strcmp(list.rows[0].later, "d \\ \"e\"")));
    cr_expect(list.rows[0].undo == NULL);
    OK(carry_reopen(f->conn, id, &err));
    OK(carry_list(f->conn, id, true, &f->arena, &list, &err));
    cr_expect(eq(int, 2, list.count));
    OK(carry_forget(f->conn, id, &err));
    OK(guards_renew(f->conn, id, &err));
    cr_expect(not(carry_tables(f->conn, id, &f->arena, &tables, &err)), "it has no target");
    cr_expect(eq(int, ERR_DRIFT, err.cls), "%s", err.message);
}

static void
check_guard_texts(JobFixture *f)
{
    Err err = ERR_INIT;
    int64_t id = f->job.id;
    DriftKind kind = DRIFT_TABLE;
    OK(guards_check(f->conn, id, &kind, &err));
    cr_expect(eq(int, DRIFT_NONE, kind));
    pg_exec(f->sql, "ALTER TABLE t ENABLE TRIGGER zzzz_pghaul_1");
    cr_expect(not(guards_check(f->conn, id, &kind, &err)));
    cr_expect(eq(int, DRIFT_TRIGGER, kind), "%s", err.message);
    err = ERR_INIT;
    cr_expect(not(guards_record(f->conn, &f->survey.plan, id, true, &err)));
    cr_expect(eq(int, ERR_DRIFT, err.cls), "it does not fire always: %s", err.message);
    err = ERR_INIT;
    OK(guards_record(f->conn, &f->survey.plan, id, false, &err));
    OK(guards_check(f->conn, id, NULL, &err));
    OK(job_want_repair(f->conn, id, true, &err));
}

static void
check_job_texts(JobFixture *f)
{
    Err err = ERR_INIT;
    const char **names = NULL;
    int count = 0;
    bool yes = false;
    int64_t rows = -1;
    int64_t id = f->job.id;
    const NameList none = {.count = 0};
    OK(job_follow_file(f->conn, id, f->job.spec, &none, &err));
    OK(job_names(f->conn, &f->arena, &names, &count, &err));
    cr_expect(eq(int, 1, count));
    OK(job_set_state(f->conn, id, JOB_READY, "accepted", &err));
    OK(job_set_state(f->conn, id, JOB_READY, "accepted again", &err));
    OK(job_set_state(f->conn, id, JOB_RUNNING, NULL, &err));
    cr_expect(not(job_set_state(f->conn, id, JOB_CUT_OVER, NULL, &err)));
    cr_expect(eq(int, ERR_BUSY, err.cls), "%s", err.message);
    err = ERR_INIT;
    OK(job_lock(f->conn, id, &err));
    check_guard_texts(f);
    check_carry_texts(f);
    OK(job_event(f->conn, id, 0, "test", "by a test", &err));
    OK(job_vacuum_due(f->conn, id, 1000, &rows, &err));
    cr_expect(eq(i64, 0, rows), "nothing was changed yet");
    OK(job_record_vacuum(f->conn, id, 1000, &err));
    OK(job_set_timeline(f->conn, id, f->job.timeline + 1, &err));
    OK(job_pass_is_done(f->conn, id, f->job.pass, &yes, &err));
    OK(job_differing(f->conn, id, f->job.pass, &rows, &err));
    cr_expect(eq(i64, 0, rows));
    PassStart start = {.from_pass = f->job.pass, .kind = PASS_VERIFY, .est_rows = 60};
    OK(job_begin_pass(f->conn, id, &start, &yes, &err));
    cr_expect(yes);
    OK(job_begin_pass(f->conn, id, &start, &yes, &err));
    cr_expect(not(yes), "only the first of two begins it");
}

static void
check_range_texts(JobFixture *f)
{
    Err err = ERR_INIT;
    RangeLease lease = job_fixture_range(f, NULL, "{p1,20}", 4);
    RangeOwner owner = job_fixture_owner(f);
    bool yes = false;
    RangeTotals totals;
    OK(ranges_reread(f->conn, &owner, &f->arena, &lease, &yes, &err));
    cr_expect(yes);
    OK(ranges_release(f->conn, &owner, &lease, &err));
    OK(ranges_reread(f->conn, &owner, &f->arena, &lease, &yes, &err));
    cr_expect(not(yes));
    OK(ranges_claim(f->conn, &owner, &f->arena, &lease, &yes, &err));
    cr_expect(yes);
    RangeCarve late = {.frontier = NULL, .high = "{p2,1}", .stripes = 1};
    OK(ranges_carve(f->conn, &owner, &late, &f->arena, &lease, &err));
    cr_expect(eq(i64, 0, lease.no), "the frontier has moved on");
    OK(ranges_totals(f->conn, f->job.id, f->job.pass, &totals, &err));
    cr_expect(eq(i64, 1, totals.ranges));
}

static void
check_status_texts(JobFixture *f)
{
    Err err = ERR_INIT;
    StatusRow *rows = NULL;
    StatusRun *runs = NULL;
    History history;
    int count = 0;
    uint32_t oid = 0;
    OK(status_jobs(f->conn, f->job.name, &f->arena, &rows, &count, &err));
    cr_assert(eq(int, 1, count));
    JobState state = JOB_NEW;
    char *name = pg_text(f->sql, "SELECT state FROM pghaul.job");
    cr_expect(jobstate_parse(name, &state));
    free(name);
    cr_expect(eq(int, state, rows[0].facts.state));
    OK(status_runs(f->conn, f->job.id, &f->arena, &runs, &count, &err));
    cr_expect(eq(int, 1, count));
    cr_expect(eq(i64, 7, runs[0].rows));
    OK(status_table_oid(f->conn, f->job.id, &oid, &err));
    cr_expect(eq(u32, oid, f->survey.facts.table.oid));
    OK(history_read(f->conn, f->job.name, &f->arena, &history, &err));
    cr_expect(history.is_known);
    cr_expect(eq(int, 1, history.run_count));
    cr_expect(eq(i64, pg_int(f->sql, "SELECT count(*) FROM pghaul.event"), history.event_count));
    OK(conn_set_label(f->conn, "j/main", &err));
    cr_expect(eq(i64, 1,
        pg_int(f->sql, "SELECT count(*) FROM pg_stat_activity"
                       " WHERE application_name = 'pghaul/j/main'"
                       " AND datname = current_database()")));
}

static void
check_quarantine_texts(JobFixture *f)
{
    Err err = ERR_INIT;
    QuarantineRow *rows = NULL;
    int count = 0;
    int64_t aside = -1;
    int64_t id = f->job.id;
    QuarantineStop stop = {id, 1, "{p1,1}", "22P02", "bad"};
    OK(quarantine_record_stop(f->conn, &stop, &err));
    stop.key = "{p1,4}";
    OK(quarantine_record_stop(f->conn, &stop, &err));
    OK(quarantine_record_stop(f->conn, &stop, &err));
    OK(quarantine_list(f->conn, id, &f->arena, &rows, &count, &err));
    cr_assert(eq(int, 1, count), "only the latest");
    cr_expect(eq(str, (char *)(uintptr_t)rows[0].key, "{p1,4}"));
    cr_expect(eq(int, 2, rows[0].attempts));
    cr_expect(not(rows[0].set_aside));
    OK(quarantine_count(f->conn, id, &aside, &err));
    cr_expect(eq(i64, 0, aside));
    pg_exec(f->sql, "UPDATE pghaul.quarantine SET set_aside = true");
    OK(quarantine_forget_stops(f->conn, id, &err));
    OK(quarantine_count(f->conn, id, &aside, &err));
    cr_expect(eq(i64, 1, aside));
}

static void
check_run_texts(JobFixture *f)
{
    Err err = ERR_INIT;
    int count = -1;
    RunBeat beat = {.run = f->run, .rows = 7, .rows_per_s = 12.5, .reason = "because"};
    OK(run_heartbeat(f->conn, &beat, &err));
    OK(run_count_alive(f->conn, f->job.id, &count, &err));
    check_status_texts(f);
    RunSample sample = {.job = f->job.id, .run = f->run, .lag_s = -1, .hot_ratio = 0.5};
    OK(run_sample(f->conn, &sample, &err));
    cr_expect(eq(i64, 1,
        pg_int(f->sql, "SELECT count(*) FROM pghaul.sample"
                       " WHERE lag_s IS NULL AND hot_ratio = 0.5")));
    OK(run_end(f->conn, f->run, 7, &count, &err));
    cr_expect(eq(int, 0, count));
    cr_expect(eq(i64, 7, pg_int(f->sql, "SELECT exit_code FROM pghaul.run")));
}

static void
check_control_texts(JobFixture *f)
{
    Err err = ERR_INIT;
    ControlChange workers = {"workers", "3"};
    ControlChange lag = {"throttle.lag", "3s"};
    ControlChange back = {"throttle.lag", "default"};
    Control control;
    ControlRun *runs = NULL;
    const char *answer = NULL;
    const char **names = NULL;
    int count = -1;
    RunNew run = {.job = f->job.id, .host = "here", .pid = 1, .version = "1", .workers = 1};
    int64_t run_id = 0;
    OK(job_set_state(f->conn, f->job.id, JOB_RUNNING, NULL, &err));
    OK(run_register(f->conn, &run, &run_id, &err));
    OK(control_set(f->conn, "j", &workers, &f->arena, &answer, &err));
    OK(control_set(f->conn, "j", &lag, &f->arena, &answer, &err));
    OK(control_set(f->conn, "j", &back, &f->arena, &answer, &err));
    OK(control_stop(f->conn, "j", &f->arena, &answer, &err));
    OK(control_pause(f->conn, "j", NULL, &f->arena, &answer, &err));
    OK(control_read(f->conn, f->job.id, run_id, &f->arena, &control, &err));
    cr_expect(eq(int, JOB_PAUSED, control.state));
    cr_expect(eq(str, (char *)(uintptr_t)control.stop_by, "postgres"));
    cr_assert(eq(int, 1, control.setting_count));
    cr_expect(eq(str, (char *)(uintptr_t)control.settings[0].value, "3"));
    cr_expect(control.settings[0].is_newer);
    OK(control_resume(f->conn, "j", &f->arena, &answer, &err));
    OK(control_record_workers(f->conn, run_id, 3, &err));
    OK(control_runs(f->conn, f->job.id, &f->arena, &runs, &count, &err));
    for (int i = CONTROL_AT_WORK; i <= CONTROL_WITH_RUNS; i++) {
        OK(control_jobs(f->conn, (ControlScope)i, &f->arena, &names, &count, &err));
    }
    cr_expect(not(control_pause(f->conn, "k", NULL, &f->arena, &answer, &err)));
    cr_expect(eq(int, ERR_USER, err.cls), "%s", err.message);
}

static void
check_probe_texts(JobFixture *f)
{
    Err err = ERR_INIT;
    uint32_t oid = f->survey.facts.table.oid;
    int pids[] = {conn_backend_pid(f->conn), 1};
    LockQuestion question = {.table_oid = oid, .ours = pids, .our_count = 2, .overdue_us = 1000};
    LockSignals locks;
    Signals signals = {.standby_count = 0};
    ServerIdentity identity;
    TableActivity activity;
    char text[200];
    char xid[24];
    int64_t blocks = 0;
    bool passed = false;
    OK(probe_locks(f->conn, &question, &f->arena, &locks, &err));
    cr_expect(eq(int, 0, locks.blocked_by_us));
    OK(probe_replication(f->conn, &f->arena, &signals, &err));
    OK(probe_identity(f->conn, &identity, &err));
    cr_expect(eq(str, identity.system_id, (char *)(uintptr_t)f->job.system_id));
    OK(probe_activity(f->conn, oid, &activity, &err));
    OK(probe_oldest_snapshot(f->conn, 3600, text, sizeof(text), &err));
    OK(probe_describe_pids(f->conn, "{1,2}", text, sizeof(text), &err));
    cr_expect(eq(str, text, "pid 1, pid 2"));
    OK(probe_blocks(f->conn, oid, &blocks, &err));
    cr_expect(eq(i64, 1, blocks));
    OK(probe_fence_take(f->conn, xid, &err));
    OK(probe_fence_passed(f->conn, xid, &passed, &err));
}

static void
check_archive_texts(JobFixture *f)
{
    Err err = ERR_INIT;
    LedgerJob *jobs = NULL;
    LedgerFile *files = NULL;
    LedgerPage page = {.count = -1};
    int count = -1;
    const LedgerPlace place = {.job = f->job.id, .file = 1};
    OK(ledger_jobs(f->conn, &f->arena, &jobs, &count, &err));
    cr_expect(zero(int, count));
    OK(ledger_files(f->conn, f->job.id, &f->arena, &files, &count, &err));
    cr_expect(zero(int, count));
    OK(ledger_frames(f->conn, &place, &f->arena, &page, &err));
    cr_expect(zero(int, page.count));
    const RangePage ranges = {.first_no = 901,
        .lows = "{\"{f,1,0,h}\",\"{f,2,9,i}\"}",
        .highs = "{NULL,NULL}",
        .rows = "{3,4}"};
    pg_exec(f->sql, "DELETE FROM pghaul.ranges WHERE no > 900");
    OK(ranges_insert(f->conn, f->job.id, 7, &ranges, &err));
    cr_expect(eq(i64, 1,
        pg_int(f->sql, "SELECT count(*) FROM pghaul.ranges WHERE no = 902 AND low[3] = '9'"
                       "   AND high IS NULL AND est_rows = 4 AND state = 'free'")));
}

Test(sql_prepare, statements_of_store_and_probes_run)
{
    JobFixture f;
    Err err = ERR_INIT;
    job_fixture_open(&f, TABLE, "job: j\nbackfill: t\npath: key\nset:\n  c: upper(src)\n" THROTTLE);
    check_range_texts(&f);
    check_job_texts(&f);
    check_quarantine_texts(&f);
    check_run_texts(&f);
    check_control_texts(&f);
    check_probe_texts(&f);
    check_archive_texts(&f);
    cr_expect(eq(i64, 1, pg_int(f.sql, "SELECT count(*) FROM pghaul.progress")));
    Past past;
    OK(past_read(f.conn, "j", &f.arena, &past, &err));
    cr_expect(past.exists && past.has_trigger);
    OK(past_read(f.conn, "k", &f.arena, &past, &err));
    cr_expect(zero(int, strcmp(past.job_ids, "{1}")));
    cr_expect(not(past.exists || past.has_trigger));
    OK(job_mark_cleaned(f.conn, f.job.id, &err));
    cr_expect(eq(i64, 0, pg_int(f.sql, "SELECT count(*) FROM pghaul.ranges")));
    cr_expect(eq(i64, 0, pg_int(f.sql, "SELECT count(*) FROM pghaul.quarantine")));
    job_fixture_close(&f);
}
