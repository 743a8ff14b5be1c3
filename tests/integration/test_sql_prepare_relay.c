/*
 * test_sql_prepare_relay.c - the functions at the target of a copy between two servers run, called
 * as a worker does it.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "core/sql_relay.h"
#include "harness/harness.h"
#include "integration/job_fixture.h"

#define TABLE                                                                                      \
    "CREATE TABLE t (id bigint, part text, src text, PRIMARY KEY (part, id));"                     \
    "INSERT INTO t SELECT g, 'p' || g % 3, g FROM generate_series(1, 60) AS g;"
#define TARGET "CREATE TABLE target (c text, no bigint, part text, PRIMARY KEY (part, no));"
#define COPY                                                                                       \
    "job: j\ncopy: t\ninto: target\nmap:\n  no: id\n  c: upper(src) -- all\n"                      \
    "throttle: {standbys: none}\n"

/* What is called at the target of a copy between two servers, with three rows in between. */
static void
check_relay(const char *mode, bool last)
{
    JobFixture f;
    STRBUF_AUTO job = STRBUF_INIT;
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_printf(&job, COPY "path: key\non_conflict: %s\n", mode);
    job_fixture_open(&f, TABLE TARGET, strbuf_text(&job));
    CopyPlan copy = *f.survey.plan.copy;
    Plan plan = f.survey.plan;
    copy.remote = true;
    plan.copy = &copy;
    sql_claim_function(&sql, &plan, f.job.id);
    strbuf_puts(&sql, ";\n");
    sql_settle_function(&sql, &plan, f.job.id);
    pg_exec(f.sql, strbuf_text(&sql));
    strbuf_clear(&sql);
    strbuf_puts(&sql, "BEGIN;\n");
    if (relay_is_staged(&plan)) {
        sql_relay_stage(&sql, &plan);
    }
    pg_exec(f.sql, strbuf_text(&sql));
    RangeLease lease = job_fixture_range(&f, NULL, "{p1,20}", 1);
    char *outcome = pg_text(f.sql, job_fixture_call(&f, "claim", &lease, PLAIN_BATCH));
    cr_expect(eq(str, outcome, "more"));
    free(outcome);
    pg_execf(f.sql,
        "INSERT INTO %s (no, part, c) VALUES (3, 'p0', 'a'), (6, 'p0', 'b'), (9, 'p0', 'c')",
        relay_is_staged(&plan) ? RELAY_STAGE : "target");
    lease.watermark = last ? "{p1,20}" : "{p0,9}";
    outcome = pg_text(f.sql, job_fixture_call(&f, "settle", &lease, last ? "3, true" : "3, false"));
    cr_expect(eq(str, outcome, last ? "done" : "more"), "%s", mode);
    free(outcome);
    cr_expect(eq(i64, 3, pg_int(f.sql, "SELECT count(*) FROM target")));
    cr_expect(eq(i64, 3, pg_int(f.sql, "SELECT rows FROM pghaul.ranges")));
    cr_expect(
        eq(i64, last, pg_int(f.sql, "SELECT count(*) FROM pghaul.ranges WHERE state = 'done'")));
    pg_exec(f.sql, "ROLLBACK");
    lease.epoch++;
    outcome = pg_text(f.sql, job_fixture_call(&f, "claim", &lease, PLAIN_BATCH));
    cr_expect(eq(str, outcome, "lost"));
    free(outcome);
    job_fixture_close(&f);
}

Test(sql_prepare, functions_of_a_copy_between_servers_run)
{
    check_relay("error", false);
    check_relay("skip", false);
    check_relay("update", true);
}
