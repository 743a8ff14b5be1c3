#include "store/job.h"

#include <string.h>

#include "pg/params.h"
#include "store/guards.h"

/* ---- read ---- */

#define JOB_COLUMNS                                                                                \
    "SELECT j.id, j.name, j.table_name, j.spec, j.fingerprint, j.state, j.reason, j.pass,\n"       \
    "       j.pass_kind, j.frontier, j.upper, j.carved, j.est_rows, j.trigger_name,\n"             \
    "       j.signature, j.filenode, j.system_id, j.timeline, j.standbys,\n"                       \
    "       j.last_pass_kind, j.repair, j.source_system_id, j.source_timeline,\n"                  \
    "       j.source_started, j.pinned\n"                                                          \
    "  FROM pghaul.job j\n"

static const char SQL_READ_NAME[] =
    JOB_COLUMNS " WHERE j.name = $1::pg_catalog.text AND j.cleaned IS NULL";

static const char SQL_READ_ID[] = JOB_COLUMNS " WHERE j.id = $1::pg_catalog.int8";

static bool
take_row(const PgResult *result, Arena *arena, JobRow *job, Err *err)
{
    *job = (JobRow){
        .id = result_int(result, 0, 0),
        .name = result_dup(result, 0, 1, arena),
        .table_name = result_dup(result, 0, 2, arena),
        .spec = result_dup(result, 0, 3, arena),
        .fingerprint = result_dup(result, 0, 4, arena),
        .reason = result_dup(result, 0, 6, arena),
        .pass = (int)result_int(result, 0, 7),
        .pass_kind = passkind_parse(result_text(result, 0, 8)),
        .frontier = result_dup(result, 0, 9, arena),
        .upper = result_dup(result, 0, 10, arena),
        .carved = result_bool(result, 0, 11),
        .est_rows = result_int(result, 0, 12),
        .trigger_name = result_dup(result, 0, 13, arena),
        .signature = result_dup(result, 0, 14, arena),
        .filenode = result_int(result, 0, 15),
        .system_id = result_dup(result, 0, 16, arena),
        .timeline = result_int(result, 0, 17),
        .last_pass_kind = passkind_parse(result_text(result, 0, 19)),
        .repair = result_bool(result, 0, 20),
        .source_system_id = result_dup(result, 0, 21, arena),
        .source_timeline = result_int(result, 0, 22),
        .source_started = result_dup(result, 0, 23, arena),
        .pinned = result_dup(result, 0, 24, arena),
    };
    if (!jobstate_parse(result_text(result, 0, 5), &job->state)) {
        return err_set(err, ERR_FATAL, "unknown job state \"%s\"", result_text(result, 0, 5));
    }
    return pg_array_parse(
        result_text(result, 0, 18), arena, &job->standbys, &job->standby_count, err);
}

bool
job_read(PgConn *conn, const char *name, Arena *arena, JobRow *job, bool *found, Err *err)
{
    Params params = PARAMS_INIT;
    params_text(&params, name);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_READ_NAME, &params, &result, err)) {
        return err_wrap(err, "read job");
    }
    *found = result_rows(result) == 1;
    return !*found || take_row(result, arena, job, err);
}

bool
job_read_id(PgConn *conn, int64_t id, Arena *arena, JobRow *job, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, id);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_READ_ID, &params, &result, err)) {
        return err_wrap(err, "read job");
    }
    if (result_rows(result) == 0) {
        return err_set(err, ERR_DRIFT, "the job's row in pghaul.job is gone");
    }
    return take_row(result, arena, job, err);
}

static const char SQL_NAMES[] = "SELECT j.name FROM pghaul.job j\n"
                                " WHERE j.cleaned IS NULL ORDER BY j.id";

bool
job_names(PgConn *conn, Arena *arena, const char ***names, int *count, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!query_run(conn, SQL_NAMES, &result, err)) {
        return false;
    }
    *count = result_rows(result);
    *names = arena_alloc(arena, (size_t)*count * sizeof(**names));
    for (int i = 0; i < *count; i++) {
        (*names)[i] = result_dup(result, i, 0, arena);
    }
    return true;
}

/* Only columns that every version has. */
static const char SQL_IDS[] = "SELECT j.id, j.name FROM pghaul.job j\n"
                              " WHERE j.cleaned IS NULL ORDER BY j.id";

bool
job_ids(PgConn *conn, Arena *arena, JobRow **jobs, int *count, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!query_run(conn, SQL_IDS, &result, err)) {
        return err_wrap(err, "look for jobs");
    }
    *count = result_rows(result);
    *jobs = arena_alloc(arena, (size_t)*count * sizeof(**jobs));
    for (int i = 0; i < *count; i++) {
        (*jobs)[i] = (JobRow){
            .id = result_int(result, i, 0),
            .name = result_dup(result, i, 1, arena),
        };
    }
    return true;
}

/* ---- create ---- */

static const char SQL_CREATE[] =
    "INSERT INTO pghaul.job (name, kind, table_name, spec, fingerprint, system_id, timeline,\n"
    "                        standbys, into_name, source_system_id, source_timeline,\n"
    "                        source_started)\n"
    "VALUES ($1::pg_catalog.text, $8::pg_catalog.text, /* with quotes only where SQL needs them "
    "*/\n"
    "        COALESCE(pg_catalog.to_regclass($2::pg_catalog.text)::pg_catalog.text,\n"
    "            $2::pg_catalog.text), $3::pg_catalog.text,\n"
    "        $4::pg_catalog.text, $5::pg_catalog.text, $6::pg_catalog.int8,\n"
    "        $7::pg_catalog.text[],\n"
    "        COALESCE(pg_catalog.to_regclass($9::pg_catalog.text)::pg_catalog.text,\n"
    "            $9::pg_catalog.text),\n"
    "        $10::pg_catalog.text, $11::pg_catalog.int8, $12::pg_catalog.timestamptz)\n"
    "ON CONFLICT (name) WHERE cleaned IS NULL DO NOTHING";

bool
job_create(PgConn *conn, const JobNew *job, Err *err)
{
    Arena arena = ARENA_INIT;
    Params params = PARAMS_INIT;
    params_text(&params, job->name);
    params_text(&params, job->table_name);
    params_text(&params, job->spec);
    params_text(&params, job->fingerprint);
    params_text(&params, job->system_id);
    params_int(&params, job->timeline);
    params_text(&params, pg_array_format(job->standbys, job->standby_count, &arena));
    params_text(&params, jobspec_kind_name(job->kind));
    params_text(&params, job->into_name);
    params_text(&params, job->source == NULL ? NULL : job->source->system_id);
    params_int(&params, job->source == NULL ? 0 : job->source->timeline);
    params_text(&params, job->source == NULL ? NULL : job->source->started);
    bool ok = query_with(conn, SQL_CREATE, &params, NULL, err);
    arena_reset(&arena);
    return ok || err_wrap(err, "create job");
}

static const char SQL_FOLLOW[] =
    "WITH j AS (\n"
    "    UPDATE pghaul.job AS j\n"
    "       SET spec = $2::pg_catalog.text,\n"
    "           standbys = COALESCE($3::pg_catalog.text[], j.standbys)\n"
    "     WHERE j.id = $1::pg_catalog.int8 AND j.spec <> $2\n"
    " RETURNING j.id, j.standbys)\n"
    "INSERT INTO pghaul.event (job, what, reason)\n"
    "SELECT j.id, 'job file', 'changed; standbys that must keep up: '\n"
    "       || COALESCE(NULLIF(pg_catalog.array_to_string(j.standbys, ', '), ''), 'none')\n"
    "  FROM j";

bool
job_follow_file(PgConn *conn, int64_t id, const char *spec, const NameList *standbys, Err *err)
{
    Arena arena = ARENA_INIT;
    Params params = PARAMS_INIT;
    params_int(&params, id);
    params_text(&params, spec);
    params_text(&params,
        standbys == NULL ? NULL : pg_array_format(standbys->names, standbys->count, &arena));
    bool ok = query_with(conn, SQL_FOLLOW, &params, NULL, err);
    arena_reset(&arena);
    return ok || err_wrap(err, "record the job file");
}

static const char SQL_TAKE_PLAN[] = "UPDATE pghaul.job AS j SET fingerprint = $2::pg_catalog.text\n"
                                    " WHERE j.id = $1::pg_catalog.int8";

bool
job_take_plan(PgConn *conn, int64_t id, const char *fingerprint, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, id);
    params_text(&params, fingerprint);
    return query_with(conn, SQL_TAKE_PLAN, &params, NULL, err) || err_wrap(err, "record the plan");
}

/* ---- state ---- */

bool
job_is_cleaned(Err *err)
{
    return err_set(err, ERR_BUSY, "the job was cleaned meanwhile");
}

static const char SQL_SET_STATE[] =
    "SELECT pghaul.set_state($1::pg_catalog.int8, $2::pg_catalog.text, $3::pg_catalog.text)";

bool
job_set_state(PgConn *conn, int64_t id, JobState to, const char *reason, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, id);
    params_text(&params, jobstate_name(to));
    params_text(&params, reason);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_SET_STATE, &params, &result, err)) {
        return err_wrap(err, "job state");
    }
    const char *present = result_text(result, 0, 0);
    if (strcmp(present, jobstate_name(to)) == 0) {
        return true;
    }
    if (result_is_null(result, 0, 0)) {
        return job_is_cleaned(err);
    }
    /* Another run accepted the plan at the same moment, and has gone on. */
    if (to == JOB_READY) {
        return true;
    }
    if (to == JOB_COMPLETE && !guards_check(conn, id, NULL, err)) {
        return false;
    }
    if (to != JOB_COMPLETE && strcmp(present, jobstate_name(JOB_PAUSED)) == 0) {
        return true;
    }
    return err_set(err, ERR_BUSY, "the job is %s and cannot become %s", present, jobstate_name(to));
}

static const char SQL_LOCK[] = "SELECT FROM pghaul.job j\n"
                               " WHERE j.id = $1::pg_catalog.int8 AND j.cleaned IS NULL\n"
                               "   FOR NO KEY UPDATE";

bool
job_lock(PgConn *conn, int64_t id, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, id);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_LOCK, &params, &result, err)) {
        return err_wrap(err, "lock job");
    }
    return result_rows(result) == 1 || job_is_cleaned(err);
}

/* One number ($2) of the job's row. */
static bool
change_number(PgConn *conn, int64_t id, const char *sql, int64_t number, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, id);
    params_int(&params, number);
    return query_with(conn, sql, &params, NULL, err);
}

static const char SQL_FILENODE[] =
    "UPDATE pghaul.job AS j\n"
    "   SET filenode = pg_catalog.pg_relation_filenode($2::pg_catalog.oid::pg_catalog.regclass)\n"
    " WHERE j.id = $1::pg_catalog.int8";

bool
job_record_filenode(PgConn *conn, int64_t id, uint32_t table_oid, Err *err)
{
    return change_number(conn, id, SQL_FILENODE, table_oid, err) ||
           err_wrap(err, "record the table's file");
}

/* ---- passes ---- */

static const char SQL_BEGIN_PASS[] =
    "UPDATE pghaul.job AS j\n"
    "   SET pass = j.pass + 1, pass_kind = $3::pg_catalog.text,\n"
    "       last_pass_kind = j.pass_kind, repair = j.repair AND $3 <> 'repair', frontier = NULL,\n"
    "       upper = CASE WHEN $7::pg_catalog.bool THEN j.upper ELSE $4::pg_catalog.text[] END,\n"
    "       carved = CASE WHEN $7 THEN j.upper IS NULL ELSE $5::pg_catalog.bool END,\n"
    "       next_no = 1, est_rows = $6::pg_catalog.int8,\n"
    "       pinned = CASE WHEN j.kind = 'purge' THEN pg_catalog.now() END,\n"
    "       vacuumed_rows = CASE WHEN j.kind = 'purge' THEN 0 ELSE j.vacuumed_rows END\n"
    " WHERE j.id = $1::pg_catalog.int8 AND j.pass = $2::pg_catalog.int4";

bool
job_begin_pass(PgConn *conn, int64_t id, const PassStart *start, bool *begun, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, id);
    params_int(&params, start->from_pass);
    params_text(&params, passkind_name(start->kind));
    params_text(&params, start->upper);
    params_bool(&params, start->empty);
    params_int(&params, start->est_rows);
    params_bool(&params, start->keep_upper);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_BEGIN_PASS, &params, &result, err)) {
        return err_wrap(err, "begin pass");
    }
    *begun = result_affected(result) == 1;
    return true;
}

static const char SQL_WANT_REPAIR[] =
    "UPDATE pghaul.job AS j SET repair = $2::pg_catalog.bool WHERE j.id = $1::pg_catalog.int8";

bool
job_want_repair(PgConn *conn, int64_t id, bool repair, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, id);
    params_bool(&params, repair);
    return query_with(conn, SQL_WANT_REPAIR, &params, NULL, err) || err_wrap(err, "ask for repair");
}

static const char SQL_PASS_DONE[] =
    "SELECT j.pass > $2::pg_catalog.int4 OR j.carved AND NOT EXISTS (\n"
    "       SELECT FROM pghaul.ranges r\n"
    "        WHERE r.job = $1::pg_catalog.int8 AND r.pass = $2::pg_catalog.int4\n"
    "          AND r.state <> 'done')\n"
    "  FROM pghaul.job j WHERE j.id = $1::pg_catalog.int8";

bool
job_pass_is_done(PgConn *conn, int64_t id, int pass, bool *done, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, id);
    params_int(&params, pass);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_PASS_DONE, &params, &result, err)) {
        return err_wrap(err, "pass");
    }
    *done = result_bool(result, 0, 0);
    return true;
}

static const char SQL_DIFFERING[] =
    "SELECT COALESCE(pg_catalog.sum(r.differing), 0)\n"
    "  FROM pghaul.ranges r\n"
    " WHERE r.job = $1::pg_catalog.int8 AND r.pass = $2::pg_catalog.int4";

bool
job_differing(PgConn *conn, int64_t id, int pass, int64_t *rows, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, id);
    params_int(&params, pass);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_DIFFERING, &params, &result, err)) {
        return err_wrap(err, "count differences");
    }
    *rows = result_int(result, 0, 0);
    return true;
}

/* ---- small changes ---- */

static const char SQL_VACUUM_DUE[] =
    "SELECT CASE WHEN s.rows >= j.vacuumed_rows + $2::pg_catalog.int8 THEN s.rows ELSE 0 END\n"
    "  FROM pghaul.job j,\n"
    "       LATERAL (SELECT COALESCE(pg_catalog.sum(r.rows), 0)::pg_catalog.int8 AS rows\n"
    "                  FROM pghaul.ranges r WHERE r.job = j.id AND r.pass = j.pass) AS s\n"
    " WHERE j.id = $1::pg_catalog.int8 AND j.pass_kind = 'move'";

bool
job_vacuum_due(PgConn *conn, int64_t id, int64_t every_rows, int64_t *rows, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, id);
    params_int(&params, every_rows);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_VACUUM_DUE, &params, &result, err)) {
        return err_wrap(err, "ask for a vacuum");
    }
    *rows = result_rows(result) == 0 ? 0 : result_int(result, 0, 0);
    return true;
}

static const char SQL_RECORD_VACUUM[] =
    "UPDATE pghaul.job AS j SET vacuumed_rows = $2::pg_catalog.int8\n"
    " WHERE j.id = $1::pg_catalog.int8 AND j.vacuumed_rows < $2::pg_catalog.int8";

bool
job_record_vacuum(PgConn *conn, int64_t id, int64_t rows, Err *err)
{
    return change_number(conn, id, SQL_RECORD_VACUUM, rows, err) ||
           err_wrap(err, "record a vacuum");
}

static const char SQL_SET_TIMELINE[] =
    "UPDATE pghaul.job AS j SET timeline = $2::pg_catalog.int8\n"
    " WHERE j.id = $1::pg_catalog.int8 AND j.timeline < $2::pg_catalog.int8";

bool
job_set_timeline(PgConn *conn, int64_t id, int64_t timeline, Err *err)
{
    return change_number(conn, id, SQL_SET_TIMELINE, timeline, err) ||
           err_wrap(err, "record timeline");
}

static const char SQL_CLEANED[] =
    "WITH r AS (DELETE FROM pghaul.ranges WHERE job = $1::pg_catalog.int8),\n"
    "     s AS (DELETE FROM pghaul.sample WHERE job = $1::pg_catalog.int8),\n"
    "     q AS (DELETE FROM pghaul.quarantine WHERE job = $1::pg_catalog.int8),\n"
    "     d AS (DELETE FROM pghaul.difference WHERE job = $1::pg_catalog.int8)\n"
    "UPDATE pghaul.job AS j\n"
    "   SET cleaned = pg_catalog.clock_timestamp(), trigger_name = NULL,\n"
    "       signature = NULL\n"
    " WHERE j.id = $1::pg_catalog.int8";

bool
job_mark_cleaned(PgConn *conn, int64_t id, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, id);
    return query_with(conn, SQL_CLEANED, &params, NULL, err) || err_wrap(err, "mark as cleaned");
}

static const char SQL_EVENT[] =
    "INSERT INTO pghaul.event (job, run, what, reason)\n"
    "VALUES ($1::pg_catalog.int8, NULLIF($2::pg_catalog.int8, 0), $3::pg_catalog.text,\n"
    "        $4::pg_catalog.text)";

bool
job_event(PgConn *conn, int64_t id, int64_t run, const char *what, const char *reason, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, id);
    params_int(&params, run);
    params_text(&params, what);
    params_text(&params, reason);
    return query_with(conn, SQL_EVENT, &params, NULL, err) || err_wrap(err, "record event");
}
