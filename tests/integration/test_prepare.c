/*
 * test_prepare.c - what prepare_job() itself refuses, when the survey came too early to see it.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/jobfile.h"
#include "harness/session.h"
#include "integration/job_fixture.h"
#include "ops/prepare.h"

#define TABLE    "CREATE TABLE t (id bigint PRIMARY KEY, src text, c text);"
#define JOB(set) "job: j\nbackfill: t\nset: {c: " set "}\nthrottle: {standbys: none}\n"

static void
expect_refused(JobFixture *f, const char *job_file, const char *part)
{
    Err err = ERR_INIT;
    JobSpec spec;
    Survey survey;
    JobRow row;
    PgConn *conn = job_fixture_connect(f, CONN_CATALOG);
    cr_assert(jobfile_parse("now.yaml", job_file, strlen(job_file), &f->arena, &spec, &err) &&
                  survey_run(conn, NULL, &spec, &f->arena, &survey, &err),
        "%s", err.message);
    cr_expect(not(survey.planned));
    cr_expect(findings_find(&survey.findings, "job-changed") != NULL);
    cr_expect(not(prepare_job(conn, &survey.plan, &f->arena, &row, &err)));
    cr_expect(eq(int, err.cls, ERR_REFUSED), "%s", err.message);
    cr_expect(strstr(err.message, part) != NULL, "%s", err.message);
    cr_expect(strstr(err.hint, "pghaul clean j") != NULL, "%s", err.hint);
    conn_close(conn);
}

Test(prepare, job_that_another_run_began_with_something_else_is_refused_in_the_same_words)
{
    JobFixture f;
    job_fixture_open(&f, TABLE, JOB("upper(src)"));
    expect_refused(&f, JOB("lower(src)"), "set.c was \"upper(src)\", is \"lower(src)\"");
    pg_exec(f.sql, "UPDATE pghaul.job SET spec = 'of another release'");
    expect_refused(&f, JOB("lower(src)"), "begun with something else");
    job_fixture_close(&f);
}

Test(prepare, job_whose_table_changed_its_key_is_refused)
{
    JobFixture f;
    job_fixture_open(&f, TABLE, JOB("upper(src)"));
    pg_exec(f.sql, "ALTER TABLE t DROP CONSTRAINT t_pkey, ALTER src SET NOT NULL,"
                   " ADD PRIMARY KEY (src)");
    expect_refused(&f, JOB("upper(src)"), "the table of job j changed");
    job_fixture_close(&f);
}

/* Two first runs, each with --yes, read the job while it is new. */
Test(prepare, plan_that_another_run_accepted_at_the_same_moment_is_accepted)
{
    JobFixture f;
    Err err = ERR_INIT;
    job_fixture_open(&f, TABLE, JOB("upper(src)"));
    cr_assert(job_set_state(f.conn, f.job.id, JOB_READY, NULL, &err) &&
                  job_set_state(f.conn, f.job.id, JOB_RUNNING, NULL, &err),
        "%s", err.message);
    cr_expect(job_set_state(f.conn, f.job.id, JOB_READY, NULL, &err), "%s", err.message);
    cr_expect(eq(i64, 1, pg_int(f.sql, "SELECT state = 'running' FROM pghaul.job")));
    job_fixture_close(&f);
}
