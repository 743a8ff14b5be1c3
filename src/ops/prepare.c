#include "ops/prepare.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "core/jobfile.h"
#include "core/jobspec_diff.h"
#include "core/sql_backfill.h"
#include "core/sql_functions.h"
#include "core/sql_log.h"
#include "core/sql_parts.h"
#include "engine/passes.h"
#include "ops/aftercare.h"
#include "ops/clean.h"
#include "ops/ddl.h"
#include "ops/indexes.h"
#include "ops/prepare_log.h"
#include "ops/restore.h"
#include "pg/params.h"
#include "pg/probe.h"
#include "store/changelog.h"
#include "store/guards.h"
#include "store/ranges.h"
#include "store/schema.h"
#include "store/source.h"

#define FENCE_POLL_US   100000
#define FENCE_REPORT_US ((int64_t)5 * 1000000)

/* ---- the job's row ---- */

static const char *
quoted_table(const Plan *plan, void (*put)(StrBuf *out, const Plan *plan), Arena *arena)
{
    STRBUF_AUTO table = STRBUF_INIT;
    put(&table, plan);
    return arena_strdup(arena, strbuf_text(&table));
}

static int
expected_standbys(const Plan *plan, Arena *arena, const char ***names)
{
    const ThrottleSpec *throttle = &plan->spec->throttle;
    if (throttle->standby_mode == STANDBYS_NAMED) {
        *names = throttle->standbys.names;
        return throttle->standbys.count;
    }
    const Facts *here = facts_here(plan->facts);
    int count = throttle->standby_mode == STANDBYS_AUTO ? here->standby_count : 0;
    *names = arena_alloc(arena, (size_t)count * sizeof(**names));
    for (int i = 0; i < count; i++) {
        (*names)[i] = here->standbys[i].name;
    }
    return count;
}

/* The survey has compared them already; since then another run may have begun the job. */
static bool
refuse_changed(const Plan *plan, const JobRow *job, Arena *arena, Err *err)
{
    JobSpec was;
    Err ignored = ERR_INIT; /* a text that cannot be read any more is not shown */
    bool readable = jobfile_parse("stored", job->spec, strlen(job->spec), arena, &was, &ignored);
    (void)err_set(
        err, ERR_REFUSED, "%s", jobspec_changed_text(readable ? &was : NULL, plan->spec, arena));
    return err_hint(err, "%s", jobspec_changed_hint(plan->spec, arena));
}

/* Of a purge only the table is another than it was: its next pass will have the plan that fits. */
static bool
is_for_next_pass(const Plan *plan, const JobRow *job, Arena *arena)
{
    JobSpec was;
    Err ignored = ERR_INIT;
    STRBUF_AUTO changes = STRBUF_INIT;
    return plan->purge != NULL &&
           jobfile_parse("stored", job->spec, strlen(job->spec), arena, &was, &ignored) &&
           jobspec_compare(&changes, &was, plan->spec) == 0;
}

static bool
check_row(const Plan *plan, const JobRow *job, Arena *arena, Err *err)
{
    if (strcmp(job->system_id, facts_here(plan->facts)->server.system_id) != 0) {
        (void)err_set(err, ERR_REFUSED,
            "job %s was begun on another server; this database is a copy of it", job->name);
        return err_hint(err, "pghaul clean %s removes what the copy brought along.", job->name);
    }
    return strcmp(job->fingerprint, plan->fingerprint) == 0 || is_for_next_pass(plan, job, arena) ||
           refuse_changed(plan, job, arena, err);
}

bool
prepare_job(PgConn *conn, const Plan *plan, Arena *arena, JobRow *job, Err *err)
{
    if (!schema_install(conn, err)) {
        return false;
    }
    const Facts *here = facts_here(plan->facts);
    const char **standbys = NULL;
    int standby_count = expected_standbys(plan, arena, &standbys);
    JobNew row = {
        .name = plan->spec->job,
        .kind = plan->spec->kind,
        .table_name = quoted_table(plan, sql_put_table, arena),
        .into_name = plan_into(plan) == NULL ? NULL : quoted_table(plan, sql_put_into_table, arena),
        .spec = plan->spec->source,
        .fingerprint = plan->fingerprint,
        .system_id = here->server.system_id,
        .timeline = here->server.timeline,
        .standbys = standbys,
        .standby_count = standby_count,
        .source = facts_is_remote(plan->facts) ? &plan->facts->server : NULL,
    };
    bool found = false;
    if (!job_create(conn, &row, err) || !job_read(conn, plan->spec->job, arena, job, &found, err)) {
        return false;
    }
    if (!found) {
        return job_is_cleaned(err);
    }
    if (!check_row(plan, job, arena, err) || strcmp(job->spec, row.spec) == 0) {
        return err->cls == ERR_NONE;
    }
    bool named = plan->spec->throttle.standby_mode != STANDBYS_AUTO;
    NameList must_keep_up = {.names = standbys, .count = standby_count};
    return job_follow_file(conn, job->id, row.spec, named ? &must_keep_up : NULL, err) &&
           job_read_id(conn, job->id, arena, job, err);
}

/* ---- functions ---- */

static const char SQL_FUNCTION_EXISTS[] =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_proc p\n"
    "                WHERE p.pronamespace = 'pghaul'::pg_catalog.regnamespace\n"
    "                  AND 'pghaul.' || p.proname = $1::pg_catalog.text)";

static bool
create_function(PgConn *conn, const char *name, const char *text, Err *err)
{
    Params params = PARAMS_INIT;
    params_text(&params, name);
    PGRESULT_AUTO *exists = NULL;
    if (!query_one_with(conn, SQL_FUNCTION_EXISTS, &params, &exists, err)) {
        return err_wrap(err, "look for %s", name);
    }
    if (result_bool(exists, 0, 0)) {
        return true;
    }
    STRBUF_AUTO revoke = STRBUF_INIT;
    strbuf_printf(&revoke, "REVOKE ALL ON FUNCTION %s FROM PUBLIC", name);
    return (query_run(conn, text, NULL, err) && query_run(conn, strbuf_text(&revoke), NULL, err)) ||
           err_wrap(err, "create %s", name);
}

/* Under the job's lock, so that two runs do not both create them; a copy's change log as well. */
bool
prepare_functions(PgConn *conn, const Plan *plan, int64_t job, Err *err)
{
    if (!query_run(conn, "BEGIN", NULL, err)) {
        return false;
    }
    bool ok = job_lock(conn, job, err);
    for (size_t i = 0; ok && i < sql_functions_count(); i++) {
        const SqlFunction *function = sql_functions_at(i);
        if (!sql_functions_needed(function, plan)) {
            continue;
        }
        STRBUF_AUTO name = STRBUF_INIT;
        STRBUF_AUTO text = STRBUF_INIT;
        sql_put_function_name(&name, plan, function->what, job);
        function->text(&text, plan, job);
        ok = create_function(conn, strbuf_text(&name), strbuf_text(&text), err);
    }
    Arena arena = ARENA_INIT;
    JobRow row;
    if (ok && plan->copy != NULL) {
        ok =
            changelog_put_slices(conn, plan, job, err) &&
            ((plan->copy->remote && plan->sync_trigger) ||
                (job_read_id(conn, job, &arena, &row, err) &&
                    changelog_create(conn, plan, job, row.pass > 0 && !plan->copy->reversed, err)));
    }
    arena_reset(&arena);
    return query_end(conn, ok, err);
}

/* What a change log needs on the server where the application writes, beside its triggers. */
static bool
create_on_source(PgConn *source, const Plan *plan, int64_t job, bool begun, Err *err)
{
    STRBUF_AUTO name = STRBUF_INIT;
    STRBUF_AUTO text = STRBUF_INIT;
    sql_put_function_name(&name, plan, "capture", job);
    sql_capture_function(&text, plan, job);
    if (!query_run(source, "BEGIN", NULL, err)) {
        return false;
    }
    bool ok = changelog_create(source, plan, job, begun, err) &&
              create_function(source, strbuf_text(&name), strbuf_text(&text), err);
    return query_end(source, ok, err);
}

/* Under the job's lock at home, so that two runs do not both create it. */
bool
prepare_source(PgConn *conn, PgConn *source, const Plan *plan, int64_t job, Err *err)
{
    if (source == NULL || !plan->sync_trigger) {
        return true;
    }
    if (!schema_install(source, err)) {
        return err_wrap(err, "source");
    }
    if (!query_run(conn, "BEGIN", NULL, err)) {
        return false;
    }
    Arena arena = ARENA_INIT;
    JobRow row;
    bool ok = job_lock(conn, job, err) && job_read_id(conn, job, &arena, &row, err) &&
              (create_on_source(source, plan, job, row.pass > 0, err) || err_wrap(err, "source"));
    arena_reset(&arena);
    return query_end(conn, ok, err);
}

/* ---- sync trigger ---- */

static const char SQL_TRIGGER_STATE[] =
    "SELECT (SELECT CASE WHEN p.pronamespace <> 'pghaul'::pg_catalog.regnamespace THEN 'foreign'\n"
    "                    WHEN g.tgenabled = 'A' AND (g.tgqual IS NOT NULL) = $3::pg_catalog.bool\n"
    "                    THEN 'right' ELSE 'wrong' END\n"
    "          FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid\n"
    "         WHERE g.tgrelid = $1::pg_catalog.oid AND g.tgname = $2::pg_catalog.name)";

static bool
run_trigger_ddl(PgConn *conn, const Plan *plan, int64_t job, bool drop, StopToken *stop, Err *err)
{
    STRBUF_AUTO drop_text = STRBUF_INIT;
    STRBUF_AUTO create = STRBUF_INIT;
    STRBUF_AUTO enable = STRBUF_INIT;
    strbuf_puts(&drop_text, "DROP TRIGGER ");
    sql_sync_name(&drop_text, plan, job);
    strbuf_puts(&drop_text, " ON ");
    sql_put_table(&drop_text, plan);
    sql_sync_trigger(&create, plan, job);
    sql_sync_enable(&enable, plan, job);
    const char *statements[] = {
        strbuf_text(&drop_text), strbuf_text(&create), strbuf_text(&enable)};
    DdlStep step = {
        .table_oid = plan->facts->table.oid,
        .what = "create the sync trigger",
        .statements = drop ? statements : statements + 1,
        .count = drop ? 3 : 2,
    };
    if (ddl_run(conn, &step, plan->spec->throttle.yield_after_us, stop, err)) {
        return true;
    }
    if (strcmp(err->sqlstate, "42710") != 0) {
        return false;
    }
    *err = ERR_INIT;
    return true;
}

/* A trigger of ours that is there, but disabled or of an earlier plan, is made anew only where
 * `anew` asks for it.  A second run that comes at the same moment finds the trigger by its name
 * (42710). */
static bool
put_trigger(PgConn *conn, const Plan *plan, int64_t job, bool anew, StopToken *stop, Err *err)
{
    if (plan->copy != NULL) {
        return prepare_log_triggers(conn, plan, job, anew, stop, err);
    }
    STRBUF_AUTO name = STRBUF_INIT;
    sql_sync_name(&name, plan, job);
    Params params = PARAMS_INIT;
    params_int(&params, plan->facts->table.oid);
    params_text(&params, strbuf_text(&name));
    params_bool(&params, plan->trigger_skips_batches);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_TRIGGER_STATE, &params, &result, err)) {
        return err_wrap(err, "look for the sync trigger");
    }
    bool exists = !result_is_null(result, 0, 0);
    bool wrong = anew && strcmp(result_text(result, 0, 0), "wrong") == 0;
    return (exists && !wrong) || run_trigger_ddl(conn, plan, job, wrong, stop, err);
}

/* ---- fence ---- */

/* Without a trigger a row may be inserted, not yet committed, below the upper bound: wait until
 * every transaction that is older than now has ended. */
static bool
wait_for_fence(PgConn *conn, StopToken *stop, Err *err)
{
    if (conn_is_standby(conn)) {
        return true; /* no fence can be had there; the plan says so */
    }
    char xid[24];
    if (!probe_fence_take(conn, xid, err)) {
        return false;
    }
    int64_t reported_us = clock_mono_us();
    for (;;) {
        bool passed = false;
        if (!probe_fence_passed(conn, xid, &passed, err)) {
            return false;
        }
        if (passed) {
            return true;
        }
        if (clock_mono_us() - reported_us > FENCE_REPORT_US) {
            reported_us = clock_mono_us();
            char oldest[160];
            if (!probe_oldest_snapshot(conn, 1, oldest, sizeof(oldest), err)) {
                return false;
            }
            log_line(LOG_INFO, NULL, "waiting for transactions that began before the job: %s",
                oldest[0] == '\0' ? "not visible to our role" : oldest);
        }
        if (stop_sleep_us(stop, FENCE_POLL_US) != STOP_NONE) {
            return err_set(err, ERR_STOPPED, "stopped while waiting for older transactions");
        }
    }
}

/* The last verify pass found rows that differ: whoever runs the job again wants them mended.  A
 * repair pass reads every row once, where a move in stripes would read it for each of them. */
static bool
repair_differences(PgConn *conn, const Plan *plan, const JobRow *job, Err *err)
{
    bool done = false;
    int64_t differing = 0;
    if (!job_pass_is_done(conn, job->id, job->pass, &done, err) ||
        !job_differing(conn, job->id, job->pass, &differing, err)) {
        return false;
    }
    return !done || differing == 0 || passes_begin_repair(conn, plan, job->id, job->pass, err);
}

/* What the job sets is recorded before its trigger is there: other jobs of the table look it up.  A
 * purge need not wait for anybody: rows that come later, its next pass will find. */
static bool
begin_first_pass(
    PgConn *conn, PgConn *source, const Plan *plan, int64_t id, StopToken *stop, Err *err)
{
    if (plan->restore != NULL) {
        return guards_record(conn, plan, id, false, err) && restore_begin(conn, plan, id, err);
    }
    PgConn *writes = source == NULL ? conn : source;
    bool ready = plan->sync_trigger ? guards_record(conn, plan, id, false, err) &&
                                          prepare_source(conn, source, plan, id, err) &&
                                          put_trigger(writes, plan, id, false, stop, err)
                                    : plan->purge != NULL || wait_for_fence(writes, stop, err);
    return ready && indexes_prepare(conn, plan, id, stop, err) &&
           guards_record(conn, plan, id, false, err) &&
           (source == NULL || guards_record_source(conn, source, plan, id, err)) &&
           passes_begin_move(conn, source, plan, id, 0, err);
}

bool
prepare_objects(
    PgConn *conn, PgConn *source, const Plan *plan, int64_t id, StopToken *stop, Err *err)
{
    char label[48]; /* status tells by it that a run is there before it is registered */
    (void)snprintf(label, sizeof(label), "%s/main", plan->spec->job);
    if (!conn_set_label(conn, label, err) || !prepare_functions(conn, plan, id, err)) {
        return false;
    }
    Arena arena = ARENA_INIT;
    JobRow job;
    bool ok = job_read_id(conn, id, &arena, &job, err);
    ok = ok && aftercare_keep_tail(conn, plan, id, stop, err) &&
         (job.pass == 0 || prepare_source(conn, source, plan, id, err));
    if (ok && job.pass == 0) {
        ok = begin_first_pass(conn, source, plan, id, stop, err);
    } else if (ok && (job.state == JOB_FAILED || job.state == JOB_STOPPED) &&
               job.pass_kind == PASS_VERIFY) {
        /* The guards stay as recorded: what differs from them now is drift. */
        ok = repair_differences(conn, plan, &job, err);
    }
    arena_reset(&arena);
    return ok;
}

/* ---- the next pass of a purge ---- */

static bool
has_plan(const JobRow *job, const Plan *plan)
{
    return strcmp(job->fingerprint, plan->fingerprint) == 0;
}

static bool
fits_table(PgConn *conn, const Plan *plan, const JobRow *job, bool *fits, Err *err)
{
    DriftKind drift = DRIFT_NONE;
    *fits = guards_check(conn, job->id, &drift, err) && has_plan(job, plan);
    if (drift != DRIFT_NONE) {
        *err = ERR_INIT;
    }
    return err->cls == ERR_NONE;
}

bool
prepare_next_pass(PgConn *conn, const Plan *plan, const JobRow *job, int *inherited_pass, Err *err)
{
    bool fits = false;
    *inherited_pass = 0;
    if (job->pass == 0) {
        return true; /* its first one has begun just now */
    }
    if (!fits_table(conn, plan, job, &fits, err)) {
        return false;
    }
    if (fits && job->state != JOB_COMPLETE) {
        *inherited_pass = job->pass;
        return true;
    }
    if (!query_script(conn, "BEGIN", err)) {
        return false;
    }
    bool ok = job_lock(conn, job->id, err) &&
              (has_plan(job, plan) || clean_functions(conn, job, err)) &&
              job_take_plan(conn, job->id, plan->fingerprint, err) &&
              guards_record(conn, plan, job->id, false, err) &&
              (fits || ranges_forget(conn, job->id, job->pass + 1, err)) &&
              passes_begin_move(conn, NULL, plan, job->id, job->pass, err) &&
              (fits || job_event(conn, job->id, 0, "guards", "the table is taken as it is", err));
    return query_end(conn, ok, err);
}

/* ---- the way back ---- */

bool
prepare_trigger(
    PgConn *conn, PgConn *source, const Plan *plan, int64_t job, StopToken *stop, Err *err)
{
    return !plan->sync_trigger ||
           (prepare_source(conn, source, plan, job, err) &&
               put_trigger(source == NULL ? conn : source, plan, job, true, stop, err));
}

bool
prepare_anew(PgConn *conn, PgConn *source, const Plan *plan, const JobRow *job,
    const PrepareAnew *anew, Err *err)
{
    if (!query_script(conn, "BEGIN", err)) {
        return false;
    }
    bool ok = job_lock(conn, job->id, err) &&
              guards_record(conn, plan, job->id, anew->trigger_fires, err) &&
              (source == NULL || (guards_record_source(conn, source, plan, job->id, err) &&
                                     source_record(conn, source, job->id, anew->reason, err)));
    if (ok && !anew->move) {
        ok = passes_begin_verify(conn, plan, job->id, job->pass, err);
    } else if (ok && plan->copy == NULL) { /* what a copy has missed its verify pass finds */
        ok = passes_begin_move(conn, source, plan, job->id, job->pass, err);
    }
    ok = ok && job_event(conn, job->id, 0, "guards", anew->reason, err);
    return query_end(conn, ok, err);
}
