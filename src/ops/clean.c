/*
 * clean.c - the way back, from any state and after any kill.
 *
 * What to remove is read from the catalog, not from what the job believes: every trigger whose
 * function is one of the job's, a copy's change log, then the functions.  Each lock on a table is
 * taken in a short bounded DDL transaction of its own.  A copy's target is the operator's.
 */
#include "ops/clean.h"

#include <string.h>

#include "base/arena.h"
#include "base/strbuf.h"
#include "core/ident.h"
#include "core/plan.h"
#include "core/plan_reverse.h"
#include "core/sql_backfill.h"
#include "ops/aftercare.h"
#include "ops/ddl.h"
#include "pg/params.h"
#include "store/run.h"
#include "store/schema.h"

#define DDL_LOCK_TIMEOUT_US 200000

static const char SQL_TRIGGERS[] = "SELECT g.tgrelid, n.nspname, c.relname, g.tgname\n"
                                   "  FROM pg_catalog.pg_trigger g\n"
                                   "  JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid\n"
                                   "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
                                   "  JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid\n"
                                   " WHERE p.pronamespace = 'pghaul'::pg_catalog.regnamespace\n"
                                   "   AND p.proname ~ ('^[a-z_]+_' || $1::pg_catalog.text || '$')";

/* Change log and its sequence. */
static const char SQL_RELATIONS[] =
    "SELECT c.oid, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,\n"
    "       c.oid::pg_catalog.regclass\n"
    "  FROM pg_catalog.pg_class c\n"
    " WHERE c.relnamespace = 'pghaul'::pg_catalog.regnamespace AND c.relkind IN ('r', 'S')\n"
    "   AND c.relname ~ ('^[a-z_]+_' || $1::pg_catalog.text || '$')";

static const char SQL_FUNCTIONS[] =
    "SELECT p.oid::pg_catalog.regprocedure\n"
    "  FROM pg_catalog.pg_proc p\n"
    " WHERE p.pronamespace = 'pghaul'::pg_catalog.regnamespace\n"
    "   AND p.proname ~ ('^[a-z_]+_' || $1::pg_catalog.text || '$')";

typedef bool DropOne(PgConn *conn, const PgResult *found, int row, StopToken *stop, Err *err);

static bool
drop_each(
    PgConn *conn, const char *sql, const char *ending, DropOne *drop, StopToken *stop, Err *err)
{
    Params params = PARAMS_INIT;
    params_text(&params, ending);
    PGRESULT_AUTO *found = NULL;
    if (!query_with(conn, sql, &params, &found, err)) {
        return err_wrap(err, "look for what is to be removed");
    }
    for (int i = 0; i < result_rows(found); i++) {
        if (!drop(conn, found, i, stop, err)) {
            return false;
        }
    }
    return true;
}

static bool
drop_trigger(PgConn *conn, const PgResult *triggers, int row, StopToken *stop, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_puts(&sql, "DROP TRIGGER IF EXISTS ");
    if (!quote_ident(&sql, result_text(triggers, row, 3), err)) {
        return false;
    }
    strbuf_puts(&sql, " ON ");
    if (!quote_qualified(&sql, result_text(triggers, row, 1), result_text(triggers, row, 2), err)) {
        return false;
    }
    const char *statements[] = {strbuf_text(&sql)};
    DdlStep step = {
        .table_oid = (uint32_t)result_int(triggers, row, 0),
        .what = "drop the sync trigger",
        .statements = statements,
        .count = 1,
    };
    return ddl_run(conn, &step, DDL_LOCK_TIMEOUT_US, stop, err);
}

/* Names come from the server's own output, which quotes them, here and below.  A transaction of the
 * application that has written the log is waited for. */
static bool
drop_relation(PgConn *conn, const PgResult *relations, int row, StopToken *stop, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_printf(&sql, "DROP %s IF EXISTS %s", result_text(relations, row, 1),
        result_text(relations, row, 2));
    const char *statements[] = {strbuf_text(&sql)};
    DdlStep step = {
        .table_oid = (uint32_t)result_int(relations, row, 0),
        .what = "drop the change log",
        .statements = statements,
        .count = 1,
    };
    return ddl_run(conn, &step, DDL_LOCK_TIMEOUT_US, stop, err);
}

static bool
drop_function(PgConn *conn, const PgResult *functions, int row, StopToken *stop, Err *err)
{
    (void)stop;
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_printf(&sql, "DROP FUNCTION IF EXISTS %s", result_text(functions, row, 0));
    return query_run(conn, strbuf_text(&sql), NULL, err) || err_wrap(err, "drop functions");
}

/* What takes locks that somebody may hold: each in a transaction of its own.  The log goes after
 * the triggers that write it. */
static bool
drop_locked(PgConn *conn, const char *ending, StopToken *stop, Err *err)
{
    return drop_each(conn, SQL_TRIGGERS, ending, drop_trigger, stop, err) &&
           drop_each(conn, SQL_RELATIONS, ending, drop_relation, stop, err);
}

/* What the names of a job's objects end with, those of its way back too; others may have its
 * number, where they belong to a copy whose job is in another database. */
static void
put_ending(StrBuf *out, const JobRow *job)
{
    char reversed[17];
    plan_reverse_fingerprint(job->fingerprint, reversed);
    strbuf_printf(out, "%lld_(%s|%s)", (long long)job->id, job->fingerprint, reversed);
}

static bool
refuse_alive(PgConn *conn, const JobRow *job, Err *err)
{
    int alive = 0;
    if (!run_count_alive(conn, job->id, &alive, err)) {
        return false;
    }
    if (alive > 0) {
        (void)err_set(err, ERR_BUSY, "job %s is being worked on by %d run%s", job->name, alive,
            alive == 1 ? "" : "s");
        return err_hint(err, "pghaul stop %s ends it; then clean it again.", job->name);
    }
    return true;
}

/* Nothing of any job, here or elsewhere, and ours to drop. */
static const char SQL_UNUSED[] =
    "SELECT NOT EXISTS (SELECT FROM pghaul.job)\n"
    "       AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c\n"
    "           WHERE c.relnamespace = n.oid AND c.relname ~ '_[0-9]+_[0-9a-f]{16}$')\n"
    "       AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc p\n"
    "           WHERE p.pronamespace = n.oid AND p.proname ~ '_[0-9]+_[0-9a-f]{16}$')\n"
    "       AND pg_catalog.pg_has_role(n.nspowner, 'USAGE')\n"
    "  FROM pg_catalog.pg_namespace n WHERE n.nspname = 'pghaul'";

/* The schema at the source has no history to keep. */
static bool
drop_if_unused(PgConn *source, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    return run_hold_off(source, err) && query_one(source, SQL_UNUSED, 0, NULL, &result, err) &&
           (!result_bool(result, 0, 0) || schema_drop(source, err));
}

bool
clean_source(PgConn *conn, PgConn *source, const JobRow *job, StopToken *stop, Err *err)
{
    bool exists = false;
    if (!refuse_alive(conn, job, err) || !schema_exists(source, &exists, err) || !exists) {
        return err->cls == ERR_NONE;
    }
    STRBUF_AUTO ending = STRBUF_INIT;
    put_ending(&ending, job);
    return (drop_locked(source, strbuf_text(&ending), stop, err) &&
               drop_each(source, SQL_FUNCTIONS, strbuf_text(&ending), drop_function, stop, err) &&
               query_script(source, "BEGIN", err) &&
               query_end(source, drop_if_unused(source, err), err)) ||
           err_wrap(err, "source");
}

bool
clean_functions(PgConn *conn, const JobRow *job, Err *err)
{
    STRBUF_AUTO ending = STRBUF_INIT;
    put_ending(&ending, job);
    return drop_each(conn, SQL_FUNCTIONS, strbuf_text(&ending), drop_function, NULL, err);
}

void
clean_put_source_sql(StrBuf *out, const JobRow *job)
{
    static const char *const FUNCTIONS[] = {"capture", "fence"};
    strbuf_puts(out, "SET lock_timeout = '2s';\n");
    for (size_t i = 0; i < sizeof(FUNCTIONS) / sizeof(FUNCTIONS[0]); i++) {
        strbuf_printf(out, "DROP FUNCTION IF EXISTS pghaul.%s_%lld_%s() CASCADE;\n", FUNCTIONS[i],
            (long long)job->id, job->fingerprint);
    }
    strbuf_printf(out,
        "DROP TABLE IF EXISTS pghaul.log_%lld_%s;\n"
        "DROP SEQUENCE IF EXISTS pghaul.overflow_%lld_%s;\n",
        (long long)job->id, job->fingerprint, (long long)job->id, job->fingerprint);
}

/* Under the job's lock: no run makes functions or registers meanwhile, and none does afterwards. */
bool
clean_job(PgConn *conn, const JobRow *job, StopToken *stop, Err *err)
{
    STRBUF_AUTO ending = STRBUF_INIT;
    put_ending(&ending, job);
    if (!refuse_alive(conn, job, err) || !drop_locked(conn, strbuf_text(&ending), stop, err) ||
        !aftercare_release_tail(conn, job->id, stop, err) || !query_script(conn, "BEGIN", err)) {
        return false;
    }
    bool ok = job_lock(conn, job->id, err) && refuse_alive(conn, job, err) &&
              drop_each(conn, SQL_FUNCTIONS, strbuf_text(&ending), drop_function, stop, err) &&
              job_mark_cleaned(conn, job->id, err) &&
              job_event(conn, job->id, 0, "clean",
                  job->trigger_name == NULL ? "functions and ranges were removed"
                                            : "trigger, functions and ranges were removed",
                  err);
    return query_end(conn, ok, err);
}

static bool
each_job(PgConn *conn, bool drop, StopToken *stop, Err *err)
{
    Arena arena = ARENA_INIT;
    JobRow *jobs = NULL;
    int count = 0;
    bool ok = job_ids(conn, &arena, &jobs, &count, err);
    for (int i = 0; ok && i < count; i++) {
        STRBUF_AUTO ending = STRBUF_INIT;
        strbuf_printf(&ending, "%lld_[0-9a-f]{16}", (long long)jobs[i].id);
        ok = refuse_alive(conn, &jobs[i], err) &&
             (!drop || (drop_locked(conn, strbuf_text(&ending), stop, err) &&
                           aftercare_release_tail(conn, jobs[i].id, stop, err)));
    }
    arena_reset(&arena);
    return ok;
}

/* Of copies whose jobs are in other databases: dropping the schema would wait for their locks. */
#define ANY_JOB "[0-9]+_[0-9a-f]{16}"

bool
clean_all(PgConn *conn, StopToken *stop, Err *err)
{
    if (!each_job(conn, true, stop, err) || !drop_locked(conn, ANY_JOB, stop, err) ||
        !query_script(conn, "BEGIN", err)) {
        return false;
    }
    bool ok = run_hold_off(conn, err) && each_job(conn, false, stop, err) && schema_drop(conn, err);
    return query_end(conn, ok, err);
}
