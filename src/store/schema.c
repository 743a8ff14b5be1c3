/*
 * schema.c - install, upgrade, check and drop schema pghaul.
 */
#include "store/schema.h"

#include "core/jobkeys.h"
#include "core/jobstate.h"
#include "pg/params.h"
#include "store/schema_parts.h"

/* From the tables of the catalog: to_regclass() may answer from a cache that has not yet heard of
 * a schema which another session made while we waited for the lock. */
static const char SQL_EXISTS[] =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c\n"
    "                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    "                WHERE n.nspname = 'pghaul' AND c.relname = 'meta')";

/* Two first runs at once: one makes the schema, the other finds it. */
static const char SQL_LOCK[] = "SELECT pg_catalog.pg_advisory_xact_lock(7016877001)";

static const char SQL_VERSION[] =
    "SELECT m.version,\n"
    "       EXISTS (SELECT FROM pg_catalog.pg_class c\n"
    "                WHERE c.relnamespace = 'pghaul'::pg_catalog.regnamespace\n"
    "                  AND c.relrowsecurity AND pg_catalog.row_security_active(c.oid))\n"
    "  FROM pghaul.meta m";

bool
schema_exists(PgConn *conn, bool *exists, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!query_one(conn, SQL_EXISTS, 0, NULL, &result, err)) {
        return false;
    }
    *exists = result_bool(result, 0, 0);
    return true;
}

static bool
check_version(PgConn *conn, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!query_one(conn, SQL_VERSION, 0, NULL, &result, err)) {
        return err_wrap(err, "schema pghaul");
    }
    int64_t version = result_int(result, 0, 0);
    if (version != SCHEMA_VERSION) {
        (void)err_set(err, ERR_REFUSED, "schema pghaul has version %lld, this pghaul needs %d",
            (long long)version, SCHEMA_VERSION);
        return err_hint(err, "Use the pghaul that made it. An older schema is upgraded by pghaul "
                             "run when its jobs are cleaned; one of any version is removed by "
                             "pghaul clean --all.");
    }
    if (result_bool(result, 0, 1)) {
        (void)err_set(
            err, ERR_REFUSED, "row security hides rows of schema pghaul from the current role");
        return err_hint(err, "ALTER TABLE .. DISABLE ROW LEVEL SECURITY on the tables of schema "
                             "pghaul; an event trigger may have turned it on.");
    }
    return true;
}

bool
schema_check(PgConn *conn, bool *exists, Err *err)
{
    return schema_exists(conn, exists, err) && (!*exists || check_version(conn, err));
}

/* ---- scripts ---- */

static bool
run_scripts(PgConn *conn, const char *const *scripts, Err *err)
{
    for (; *scripts != NULL; scripts++) {
        if (!query_script(conn, *scripts, err)) {
            return false;
        }
    }
    return true;
}

/* ---- tables of rules ---- */

static const char SQL_CLEAR_RULES[] =
    "DELETE FROM pghaul.transition; DELETE FROM pghaul.setting_key;";

static const char SQL_ADD_TRANSITION[] = "INSERT INTO pghaul.transition (from_state, to_state)\n"
                                         "VALUES ($1::pg_catalog.text, $2::pg_catalog.text)";

static const char SQL_ADD_KEY[] =
    "INSERT INTO pghaul.setting_key (key, permitted, pattern)\n"
    "VALUES ($1::pg_catalog.text, $2::pg_catalog.text, $3::pg_catalog.text)";

static bool
add_transition(PgConn *conn, JobState from, JobState to, Err *err)
{
    Params params = PARAMS_INIT;
    params_text(&params, jobstate_name(from));
    params_text(&params, jobstate_name(to));
    return query_with(conn, SQL_ADD_TRANSITION, &params, NULL, err);
}

static bool
add_key(PgConn *conn, const JobKey *key, Err *err)
{
    STRBUF_AUTO permitted = STRBUF_INIT;
    STRBUF_AUTO pattern = STRBUF_INIT;
    jobkeys_values(key, &permitted);
    jobkeys_pattern(key, &pattern);
    Params params = PARAMS_INIT;
    params_text(&params, key->path);
    params_text(&params, strbuf_text(&permitted));
    params_text(&params, strbuf_text(&pattern));
    return query_with(conn, SQL_ADD_KEY, &params, NULL, err);
}

static bool
fill_rules(PgConn *conn, Err *err)
{
    bool ok = query_script(conn, SQL_CLEAR_RULES, err);
    for (int i = 0; ok && i < JOB_STATE_COUNT * JOB_STATE_COUNT; i++) {
        JobState from = (JobState)(i / JOB_STATE_COUNT);
        JobState to = (JobState)(i % JOB_STATE_COUNT);
        ok = !jobstate_allows(from, to) || add_transition(conn, from, to, err);
    }
    for (size_t i = 0; ok && i < jobkeys_count(); i++) {
        ok = !jobkeys_at(i)->live || add_key(conn, jobkeys_at(i), err);
    }
    return ok;
}

/* ---- upgrade ---- */

/* The functions of a job are of the version that made them; a new job has none yet.  Under the lock
 * nobody of the older version goes on from there. */
static const char SQL_LOCK_JOBS[] = "LOCK TABLE pghaul.job IN ACCESS EXCLUSIVE MODE";

static const char SQL_NOT_CLEANED[] =
    "SELECT j.name, j.state FROM pghaul.job j\n"
    " WHERE j.cleaned IS NULL AND j.state <> 'new' ORDER BY j.id LIMIT 1";

static const char SQL_SET_VERSION[] = "UPDATE pghaul.meta SET version = $1::pg_catalog.int4";

static bool
refuse_jobs(PgConn *conn, int64_t version, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!query_run(conn, SQL_LOCK_JOBS, NULL, err) ||
        !query_run(conn, SQL_NOT_CLEANED, &result, err)) {
        return false;
    }
    if (result_rows(result) == 0) {
        return true;
    }
    (void)err_set(err, ERR_REFUSED,
        "job %s, which is %s, was begun by pghaul with schema version "
        "%lld and is not cleaned",
        result_text(result, 0, 0), result_text(result, 0, 1), (long long)version);
    return err_hint(err,
        "Clean its jobs with the pghaul that began them, or pghaul clean --all; then "
        "this one upgrades the schema to version %d.",
        SCHEMA_VERSION);
}

static bool
upgrade(PgConn *conn, int64_t version, Err *err)
{
    if (!refuse_jobs(conn, version, err) || !query_script(conn, schema_drop_routines, err)) {
        return false;
    }
    for (int64_t from = version; from < SCHEMA_VERSION; from++) {
        if (!query_script(conn, schema_upgrades[from - 1], err)) {
            return false;
        }
    }
    Params params = PARAMS_INIT;
    params_int(&params, SCHEMA_VERSION);
    return run_scripts(conn, schema_routines, err) && fill_rules(conn, err) &&
           query_with(conn, SQL_SET_VERSION, &params, NULL, err);
}

/* ---- install ---- */

/* Under the lock: another run may have done it meanwhile. */
static bool
install_once(PgConn *conn, Err *err)
{
    bool exists = false;
    if (!query_run(conn, SQL_LOCK, NULL, err) || !schema_exists(conn, &exists, err)) {
        return false;
    }
    if (!exists) {
        return run_scripts(conn, schema_tables, err) && run_scripts(conn, schema_routines, err) &&
               fill_rules(conn, err);
    }
    PGRESULT_AUTO *result = NULL;
    if (!query_one(conn, SQL_VERSION, 0, NULL, &result, err)) {
        return false;
    }
    int64_t version = result_int(result, 0, 0);
    return version < 1 || version >= SCHEMA_VERSION || upgrade(conn, version, err);
}

static bool
is_current(PgConn *conn, bool *current, Err *err)
{
    *current = false;
    bool exists = false;
    if (!schema_exists(conn, &exists, err) || !exists) {
        return err->cls == ERR_NONE;
    }
    PGRESULT_AUTO *result = NULL;
    if (!query_one(conn, SQL_VERSION, 0, NULL, &result, err)) {
        return false;
    }
    *current = result_int(result, 0, 0) >= SCHEMA_VERSION;
    return true;
}

bool
schema_install(PgConn *conn, Err *err)
{
    bool current = false;
    if (!is_current(conn, &current, err)) {
        return err_wrap(err, "schema pghaul");
    }
    if (!current) {
        if (!query_script(conn, "BEGIN", err)) {
            return false;
        }
        if (!query_end(conn, install_once(conn, err), err)) {
            return err_wrap(err, "install schema pghaul");
        }
    }
    return check_version(conn, err);
}

bool
schema_drop(PgConn *conn, Err *err)
{
    return query_script(conn, "DROP SCHEMA IF EXISTS pghaul CASCADE", err);
}
