#include "integration/job_fixture.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/strbuf.h"
#include "core/jobfile.h"
#include "core/sql_parts.h"
#include "harness/harness.h"
#include "ops/prepare.h"
#include "store/run.h"

static void
must(bool ok, const char *what, const Err *err)
{
    if (!ok) {
        harness_fail("%s: %s", what, err->message);
    }
}

PgConn *
job_fixture_connect(const JobFixture *fixture, ConnRole role)
{
    Err err = ERR_INIT;
    PgConn *conn = NULL;
    ConnTarget target = {.dbname = fixture->uri};
    must(conn_open(&target, role, "test", SECONDS_US(20), &conn, &err), "connect", &err);
    return conn;
}

static void
prepare(JobFixture *fixture, PgConn *conn)
{
    Err err = ERR_INIT;
    must(survey_run(conn, NULL, &fixture->spec, &fixture->arena, &fixture->survey, &err), "survey",
        &err);
    if (!fixture->survey.planned) {
        harness_fail("the job is refused");
    }
    const Plan *plan = &fixture->survey.plan;
    StopToken stop;
    stop_init(&stop);
    must(prepare_job(conn, plan, &fixture->arena, &fixture->job, &err) &&
             prepare_objects(conn, NULL, plan, fixture->job.id, &stop, &err) &&
             job_read_id(conn, fixture->job.id, &fixture->arena, &fixture->job, &err),
        "prepare", &err);
    stop_destroy(&stop);
    RunNew run = {.job = fixture->job.id, .host = "here", .pid = 1, .version = "1", .workers = 1};
    must(run_register(conn, &run, &fixture->run, &err), "register", &err);
}

void
job_fixture_open(JobFixture *fixture, const char *setup, const char *job_file)
{
    *fixture = (JobFixture){.cluster = cluster_shared(), .arena = ARENA_INIT};
    fixture->dbname = cluster_create_database(fixture->cluster, NULL);
    fixture->uri = cluster_uri(fixture->cluster, fixture->dbname);
    fixture->sql = pg_open(fixture->uri);
    pg_exec(fixture->sql, setup);
    Err err = ERR_INIT;
    size_t len = strlen(job_file);
    must(jobfile_parse("test.yaml", job_file, len, &fixture->arena, &fixture->spec, &err),
        "job file", &err);
    fixture->conn = job_fixture_connect(fixture, CONN_WORKER);
    PgConn *catalog = job_fixture_connect(fixture, CONN_CATALOG);
    prepare(fixture, catalog);
    conn_close(catalog);
}

void
job_fixture_close(JobFixture *fixture)
{
    conn_close(fixture->conn);
    pg_close(fixture->sql);
    cluster_drop_database(fixture->cluster, fixture->dbname);
    cluster_stop(fixture->cluster);
    arena_reset(&fixture->arena);
}

RangeOwner
job_fixture_owner(const JobFixture *fixture)
{
    return (RangeOwner){
        .job = fixture->job.id,
        .run = fixture->run,
        .pass = fixture->job.pass,
        .lease_us = SECONDS_US(30),
    };
}

RangeLease
job_fixture_range(JobFixture *fixture, const char *low, const char *high, int stripes)
{
    Err err = ERR_INIT;
    must(job_read_id(fixture->conn, fixture->job.id, &fixture->arena, &fixture->job, &err), "job",
        &err);
    RangeOwner owner = job_fixture_owner(fixture);
    RangeCarve carve = {
        .frontier = fixture->job.frontier,
        .low = low,
        .high = high,
        .stripes = stripes,
    };
    RangeLease lease;
    must(ranges_carve(fixture->conn, &owner, &carve, &fixture->arena, &lease, &err), "carve", &err);
    cr_assert(lease.no > 0, "another was faster");
    return lease;
}

const char *
job_fixture_call(JobFixture *fixture, const char *what, const RangeLease *lease, const char *rest)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_puts(&sql, "SELECT * FROM ");
    sql_put_function_name(&sql, &fixture->survey.plan, what, fixture->job.id);
    strbuf_printf(&sql, "(%lld, %lld, '%s', %d, %d, ", (long long)lease->no,
        (long long)lease->epoch, lease->token, lease->pass, lease->stripe);
    if (lease->watermark == NULL) {
        strbuf_puts(&sql, "NULL");
    } else {
        sql_put_literal(&sql, lease->watermark);
    }
    strbuf_printf(&sql, ", %s, ", rest);
    sql_put_literal(&sql, fixture->job.signature);
    strbuf_printf(&sql, ", %lld)", (long long)fixture->job.filenode);
    return arena_strdup(&fixture->arena, strbuf_text(&sql));
}
