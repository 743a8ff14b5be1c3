#include "store/source.h"

#include <stdio.h>
#include <string.h>

#include "pg/params.h"
#include "pg/probe.h"
#include "pg/sqlstate.h"
#include "store/guards.h"

static bool
drift(const JobRow *job, const char *before, Err *err)
{
    (void)snprintf(err->sqlstate, sizeof(err->sqlstate), SQLSTATE_DRIFT_TABLE);
    return err_hint(err,
        "%s pghaul verify %s --repair compares every row with the source as it is now and mends "
        "the target.",
        before, job->name);
}

static bool
compare(const ServerIdentity *now, const JobRow *job, Err *err)
{
    if (strcmp(now->system_id, job->source_system_id) != 0) {
        (void)err_set(err, ERR_DRIFT, "the source is another server than when the job began");
        return drift(job, "Is from: right?", err);
    }
    if (now->timeline > job->source_timeline) {
        (void)err_set(err, ERR_DRIFT,
            "the source failed over: it is on timeline %lld, the job knows %lld",
            (long long)now->timeline, (long long)job->source_timeline);
        return drift(job, "Its last commits before that may be lost.", err);
    }
    if (now->timeline < job->source_timeline) {
        (void)err_set(err, ERR_DRIFT, "the source is on timeline %lld, behind the job's %lld",
            (long long)now->timeline, (long long)job->source_timeline);
        return drift(job, "An old primary may be running beside the new one.", err);
    }
    if (now->in_recovery && job->trigger_name != NULL) {
        return err_set(err, ERR_RECONNECT, "the source does not accept writes");
    }
    return true;
}

bool
source_check(PgConn *source, const JobRow *job, bool *restarted, Err *err)
{
    ServerIdentity now;
    if (!probe_identity(source, &now, err)) {
        return err_wrap(err, "source");
    }
    if (restarted != NULL) {
        *restarted = strcmp(now.started, job->source_started) != 0;
    }
    return compare(&now, job, err);
}

static const char SQL_RECORD[] = "WITH j AS (\n"
                                 "    UPDATE pghaul.job AS j\n"
                                 "       SET source_system_id = $2::pg_catalog.text,\n"
                                 "           source_timeline = $3::pg_catalog.int8,\n"
                                 "           source_started = $4::pg_catalog.timestamptz\n"
                                 "     WHERE j.id = $1::pg_catalog.int8\n"
                                 " RETURNING j.id)\n"
                                 "INSERT INTO pghaul.event (job, what, reason)\n"
                                 "SELECT j.id, 'source', $5::pg_catalog.text FROM j";

bool
source_record(PgConn *conn, PgConn *source, int64_t job, const char *reason, Err *err)
{
    ServerIdentity now;
    if (!probe_identity(source, &now, err)) {
        return err_wrap(err, "source");
    }
    Params params = PARAMS_INIT;
    params_int(&params, job);
    params_text(&params, now.system_id);
    params_int(&params, now.timeline);
    params_text(&params, now.started);
    params_text(&params, reason);
    return query_with(conn, SQL_RECORD, &params, NULL, err) || err_wrap(err, "record the source");
}

bool
source_guards_check(
    PgConn *conn, PgConn *source, const Plan *plan, const JobRow *job, DriftKind *kind, Err *err)
{
    bool restarted = false;
    if (source == NULL) {
        return guards_check(conn, job->id, kind, err);
    }
    if (!source_check(source, job, &restarted, err)) {
        *kind = err->cls == ERR_DRIFT ? DRIFT_TRIGGER : DRIFT_NONE;
        return false;
    }
    return guards_check_source(source, plan, job, kind, err) &&
           guards_check(conn, job->id, kind, err) &&
           (!restarted || source_record(conn, source, job->id, "the source was restarted", err));
}

void
source_guards_explain(PgConn *conn, PgConn *source, const Plan *plan, const JobRow *job, Err *err)
{
    DriftKind kind = DRIFT_NONE;
    Err drift = ERR_INIT;
    if (source != NULL && conn_is_idle(source) &&
        !guards_check_source(source, plan, job, &kind, &drift) && kind != DRIFT_NONE) {
        *err = drift;
        return;
    }
    guards_explain(conn, job->id, err);
}
