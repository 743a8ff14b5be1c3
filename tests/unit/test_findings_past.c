/*
 * Findings about earlier jobs, strangers in schema pghaul, rights of expressions and of writers.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "unit/findings_job.h"

/* ---- leftovers ---- */

Test(findings, leftover_trigger_is_refused_and_leftover_functions_are_told)
{
    JOB(job);
    LeftoverFacts leftovers[8] = {{.is_trigger = true,
        .name = "zzzz_pghaul_7",
        .drop = "DROP TRIGGER zzzz_pghaul_7 ON public.orders;"}};
    job.facts.leftovers = leftovers;
    job.facts.leftover_count = 1;
    expect_finding(&job, FINDING_REFUSE, "leftovers", "zzzz_pghaul_7 ON public.orders;");
    expect_finding(&job, FINDING_REFUSE, "leftovers", "pghaul clean --all");
    for (int i = 0; i < 8; i++) {
        leftovers[i] = (LeftoverFacts){.name = "pghaul.move_7_0123456789abcdef",
            .drop = "DROP FUNCTION pghaul.move_7_0123456789abcdef(bigint);"};
    }
    expect_finding(&job, FINDING_WARN, "leftovers", "pghaul.move_7_0123456789abcdef");
    job.facts.leftover_count = 8;
    expect_finding(&job, FINDING_WARN, "leftovers", " and 2 more");
    job.facts.leftover_count = 0;
    expect_none(&job);
    arena_reset(&job.arena);
}

/* ---- begun with something else ---- */

Test(findings, job_that_was_begun_with_something_else_is_refused_with_what_changed)
{
    JOB(job);
    JobSpec was = job.spec;
    Assignment set[1] = {{.column = "amount", .expr = {.text = "code::numeric"}}};
    job.spec.job = "orders-amount";
    job.set[0].expr.text = "amount_text::numeric";
    was.set = set;
    job.facts.stored = (StoredJob){.exists = true, .spec = &was, .fingerprint = "0123"};
    job_collect(&job);
    findings_compare_job(&job.spec, &job.facts, "0123", &job.arena, &job.findings);
    cr_expect(zero(int, job.findings.count), "the same fingerprint is the same job");

    findings_compare_job(&job.spec, &job.facts, "4567", &job.arena, &job.findings);
    const Finding *finding = findings_find(&job.findings, "job-changed");
    cr_assert(finding != NULL);
    cr_expect(eq(int, finding->severity, FINDING_REFUSE));
    cr_expect(
        strstr(finding->text, "set.amount was \"code::numeric\"") != NULL, "%s", finding->text);
    cr_expect(strstr(finding->hint, "pghaul clean orders-amount") != NULL, "%s", finding->hint);
    arena_reset(&job.arena);
}

Test(findings, without_a_plan_only_differences_of_the_job_files_count)
{
    JOB(job);
    JobSpec was = job.spec;
    job.facts.stored = (StoredJob){.exists = true, .spec = &was, .fingerprint = "0123"};
    job_collect(&job);
    findings_compare_job(&job.spec, &job.facts, NULL, &job.arena, &job.findings);
    cr_expect(zero(int, job.findings.count));
    was.path = PATH_KEY;
    findings_compare_job(&job.spec, &job.facts, NULL, &job.arena, &job.findings);
    cr_expect(findings_find(&job.findings, "job-changed") != NULL);
    job.facts.stored.exists = false;
    job_collect(&job);
    findings_compare_job(&job.spec, &job.facts, "4567", &job.arena, &job.findings);
    cr_expect(zero(int, job.findings.count), "a job that is not there cannot have changed");
    arena_reset(&job.arena);
}

/* ---- schema pghaul ---- */

Test(findings, objects_of_strangers_in_our_schema_are_refused)
{
    JOB(job);
    job.facts.server.has_schema = true;
    job.facts.server.schema_owner = "mover";
    job.facts.server.schema_owner_trusted = true;
    expect_none(&job);
    job.facts.server.strange_count = 2;
    job.facts.server.strange = "FUNCTION pghaul.boo(bigint)";
    job.facts.server.strange_owner = "mallory";
    expect_finding(&job, FINDING_REFUSE, "schema-object", "first FUNCTION pghaul.boo(bigint) of");
    expect_finding(&job, FINDING_REFUSE, "schema-object",
        "ALTER FUNCTION pghaul.boo(bigint) OWNER TO \"mover\";");
    arena_reset(&job.arena);
}

Test(findings, role_without_temporary_tables_gets_the_grant)
{
    JOB(job);
    job.facts.server.may_create_temporary = false;
    expect_finding(
        &job, FINDING_REFUSE, "privilege", "GRANT TEMPORARY ON DATABASE \"shop\" TO \"mover\";");
    arena_reset(&job.arena);
}

/* ---- who else is at work ---- */

Test(findings, wraparound_vacuum_is_refused_while_the_trigger_is_to_be_made)
{
    JOB(job);
    job.facts.table.wraparound_vacuum_pid = 4711;
    expect_finding(&job, FINDING_REFUSE, "wraparound-vacuum", "pid 4711");
    expect_finding(&job, FINDING_REFUSE, "wraparound-vacuum", "VACUUM (FREEZE) \"public\"");
    job.facts.stored = (StoredJob){.exists = true, .has_trigger = true};
    expect_none(&job);
    job.facts.stored = (StoredJob){.exists = false};
    job.spec.sync = SYNC_NONE;
    expect_none(&job);
    arena_reset(&job.arena);
}

/* ---- rights of the expressions ---- */

static void
need_function(Job *job, NeedFacts *need)
{
    *need =
        (NeedFacts){.privilege = "EXECUTE", .object = "FUNCTION app.price(text)", .granted = true};
    job->expr.needs = need;
    job->expr.need_count = 1;
}

Test(findings, right_that_the_expression_needs_and_we_lack_comes_with_the_grant)
{
    JOB(job);
    NeedFacts need;
    need_function(&job, &need);
    expect_none(&job);
    need.granted = false;
    expect_finding(&job, FINDING_REFUSE, "privilege",
        "GRANT EXECUTE ON FUNCTION app.price(text) TO \"mover\";");
    job.exprs.where = &job.where;
    job.where.needs = &need;
    job.where.need_count = 1;
    job_collect(&job);
    cr_expect(eq(int, job.findings.count, 1), "one missing right is one finding");
    arena_reset(&job.arena);
}

Test(findings, writer_without_a_right_of_the_expression_is_a_risk_of_the_trigger)
{
    JOB(job);
    NeedFacts need;
    need_function(&job, &need);
    need.writers = "web, api";
    need.writer_count = 2;
    expect_risk(&job, "writer-privilege", "GRANT EXECUTE ON FUNCTION app.price(text) TO web, api;");
    expect_finding(&job, FINDING_REFUSE, "writer-privilege", "leave the columns NULL");
    need.writer_count = 9;
    expect_finding(&job, FINDING_REFUSE, "writer-privilege", "web, api and others");
    job.spec.sync = SYNC_NONE;
    expect_none(&job);
    arena_reset(&job.arena);
}

/* ---- refused expressions ---- */

Test(findings, expressions_that_the_server_refuses_stand_beside_all_other_findings)
{
    JOB(job);
    job.facts.table.rules = "r";
    job.expr.refusal = "j.yaml:4:11: column \"amuont\" does not exist";
    expect_finding(&job, FINDING_REFUSE, "expression", "j.yaml:4:11: column");
    cr_expect(findings_find(&job.findings, "rules") != NULL);
    job.expr.refusal = NULL;
    job.where.refusal = "j.yaml:5:8: whole row";
    job.where.refusal_hint = "Name the columns.";
    job.exprs.where = &job.where;
    expect_finding(&job, FINDING_REFUSE, "expression", "Name the columns.");
    arena_reset(&job.arena);
}
