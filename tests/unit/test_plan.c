#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/plan.h"
#include "unit/findings_job.h"

static Plan
build(Job *job)
{
    Plan plan;
    plan_build(&job->spec, &job->facts, &job->exprs, &job->indexes[0], &job->arena, &plan);
    return plan;
}

#define PLAN(name)                                                                                 \
    JOB(name);                                                                                     \
    (name).set[0].expr.text = "amount_text::numeric"

/* ---- path ---- */

Test(plan, a_backfill_with_its_trigger_goes_by_block)
{
    PLAN(job);
    Plan plan = build(&job);
    cr_expect(eq(int, plan.path, PATH_BLOCK));
    cr_expect(plan.sync_trigger && plan.may_skip_locked && !plan.self_referring);
    cr_expect(eq(str, (char *)(uintptr_t)plan.key[0].name, "id"));
    cr_expect(eq(int, plan.key_count, 1));
}

Test(plan, the_job_file_may_ask_for_the_key)
{
    PLAN(job);
    job.spec.path = PATH_KEY;
    cr_expect(eq(int, build(&job).path, PATH_KEY));
}

Test(plan, without_a_trigger_rows_are_walked_by_key)
{
    PLAN(job);
    job.spec.sync = SYNC_NONE;
    job.spec.path = PATH_BLOCK;
    Plan plan = build(&job);
    cr_expect(eq(int, plan.path, PATH_KEY));
    cr_expect(not(plan.sync_trigger));
    cr_expect(plan.may_skip_locked);
}

Test(plan, a_table_that_is_no_heap_is_walked_by_key)
{
    PLAN(job);
    job.facts.table.access_method = "columnar";
    cr_expect(eq(int, build(&job).path, PATH_KEY));
}

Test(plan, only_the_watermark_tells_what_is_done_of_a_self_referring_job)
{
    PLAN(job);
    job.expr.self_referring = true;
    job.spec.strict = true;
    job.spec.verify = true;
    Plan plan = build(&job);
    cr_expect(eq(int, plan.path, PATH_KEY));
    cr_expect(plan.self_referring);
    cr_expect(not(plan.sync_trigger));
    cr_expect(not(plan.may_skip_locked));
    cr_expect(not(plan.strict));
    cr_expect(not(plan.verify));
}

Test(plan, only_the_watermark_tells_what_is_done_of_a_volatile_expression)
{
    PLAN(job);
    job.expr.is_volatile = true;
    job.spec.path = PATH_BLOCK;
    job.spec.strict = true;
    job.spec.verify = true;
    Plan plan = build(&job);
    cr_expect(eq(int, plan.path, PATH_KEY));
    cr_expect(not(plan.may_skip_locked));
    cr_expect(not(plan.strict));
    cr_expect(not(plan.verify));
}

/* ---- trigger ---- */

Test(plan, batches_are_spared_the_trigger_unless_another_one_may_change_a_source)
{
    PLAN(job);
    cr_expect(build(&job).trigger_skips_batches);
    job.facts.trigger_count = 1;
    cr_expect(not(build(&job).trigger_skips_batches));
    job.triggers[0].enabled = false;
    cr_expect(build(&job).trigger_skips_batches);
    job.triggers[0].enabled = true;
    job.triggers[0].on_update = false;
    cr_expect(build(&job).trigger_skips_batches);
}

/* ---- stripes, workers, sizes ---- */

Test(plan, stripes_follow_the_job_file_else_whether_updates_can_be_hot)
{
    PLAN(job);
    cr_expect(eq(int, build(&job).stripes, 8));
    job.columns[2].indexed = true;
    cr_expect(eq(int, build(&job).stripes, 1));
    job.spec.stripes = 4;
    cr_expect(eq(int, build(&job).stripes, 4));
    job.columns[2].indexed = false;
    cr_expect(eq(int, build(&job).stripes, 4));
}

Test(plan, workers_follow_the_job_file_else_are_two)
{
    PLAN(job);
    cr_expect(eq(int, build(&job).workers, 2));
    job.spec.workers = 7;
    cr_expect(eq(int, build(&job).workers, 7));
}

Test(plan, ranges_have_a_bounded_size_and_there_are_not_too_many)
{
    PLAN(job);
    job.facts.table.rows = 1e7;
    job.facts.table.blocks = 100000;
    Plan plan = build(&job);
    cr_expect(eq(i64, plan.range_rows, PLAN_RANGE_ROWS));
    cr_expect(eq(i64, plan.range_size, PLAN_RANGE_BLOCKS));
    job.spec.path = PATH_KEY;
    cr_expect(eq(i64, build(&job).range_size, PLAN_RANGE_ROWS));

    job.facts.table.rows = 1e5; /* wide rows */
    plan = build(&job);
    cr_expect(eq(i64, plan.range_rows, PLAN_RANGE_KEY_BLOCKS));

    job.facts.table.rows = 1e12;
    job.facts.table.blocks = (int64_t)1e10;
    plan = build(&job);
    cr_expect(le(i64, (int64_t)(job.facts.table.rows / (double)plan.range_rows), PLAN_RANGES_MAX));
    job.spec.path = PATH_BLOCK;
    plan = build(&job);
    cr_expect(le(i64, job.facts.table.blocks / plan.range_size, PLAN_RANGES_MAX));

    job.facts.table.rows = -1; /* never analysed */
    job.facts.table.blocks = 0;
    plan = build(&job);
    cr_expect(lt(i64, 0, plan.range_rows));
    cr_expect(lt(i64, 0, plan.range_size));
}

/* ---- key ---- */

Test(plan, the_key_has_the_columns_of_the_index_in_its_order)
{
    PLAN(job);
    job.id_attnum[0] = 4;
    job.id_attnum[1] = 1;
    job.indexes[0].attnum_count = 2;
    job.columns[0].base_type_name = "int8";
    Plan plan = build(&job);
    cr_assert(eq(int, plan.key_count, 2));
    cr_expect(eq(str, (char *)(uintptr_t)plan.key[0].name, "code"));
    cr_expect(eq(str, (char *)(uintptr_t)plan.key[1].name, "id"));
    cr_expect(eq(str, (char *)(uintptr_t)plan.key_index, "orders_pkey"));
}

/* ---- fingerprint ---- */

static bool
same(Job *job, const char *fingerprint)
{
    Plan plan = build(job);
    return strcmp(plan.fingerprint, fingerprint) == 0;
}

Test(plan, fingerprint_changes_with_all_that_changes_what_rows_become)
{
    PLAN(job);
    const char *names[] = {"id", "code"};
    const Plan first = build(&job);
    cr_expect(eq(sz, strlen(first.fingerprint), 16));
    const JobSpec spec = job.spec;
    const Facts facts = job.facts;

    job.facts.table.name = "orders2";
    cr_expect(not(same(&job, first.fingerprint)), "table");
    job.facts = facts;
    job.facts.table.schema = "other";
    cr_expect(not(same(&job, first.fingerprint)), "schema");
    job.facts = facts;
    job.set[0].expr.text = "amount_text::numeric ";
    cr_expect(not(same(&job, first.fingerprint)), "expression");
    job.set[0].expr.text = "amount_text::numeric";
    job.set[0].column = "code";
    cr_expect(not(same(&job, first.fingerprint)), "column");
    job.set[0].column = "amount";
    job.spec.where.text = "true";
    cr_expect(not(same(&job, first.fingerprint)), "where");
    job.spec.where.text = "";
    cr_expect(not(same(&job, first.fingerprint)), "empty where");
    job.spec = spec;
    job.spec.search_path = (NameList){.names = names, .count = 1};
    cr_expect(not(same(&job, first.fingerprint)), "search_path");
    job.spec = spec;
    job.spec.path = PATH_KEY;
    cr_expect(not(same(&job, first.fingerprint)), "path");
    const Plan by_key = build(&job);
    job.spec.sync = SYNC_NONE;
    cr_expect(not(same(&job, by_key.fingerprint)), "sync");
    job.spec = spec;
    job.id_attnum[0] = 4;
    cr_expect(not(same(&job, first.fingerprint)), "key");
    job.id_attnum[0] = 1;
    cr_expect(same(&job, first.fingerprint), "all as before");
}

Test(plan, fingerprint_tells_a_key_column_from_a_schema_of_the_search_path)
{
    PLAN(job);
    const char *path[] = {"code"};
    job.id_attnum[1] = 4;
    job.indexes[0].attnum_count = 2;
    const Plan two_columns = build(&job);
    job.indexes[0].attnum_count = 1;
    job.spec.search_path = (NameList){.names = path, .count = 1};
    cr_expect(not(same(&job, two_columns.fingerprint)));
}

Test(plan, fingerprint_keeps_to_what_may_change_while_the_job_runs)
{
    PLAN(job);
    const Plan first = build(&job);
    job.spec.workers = 9;
    job.spec.stripes = 3;
    job.spec.batch_time_us = 1;
    job.spec.batch_rows = 10;
    job.spec.strict = true;
    job.spec.verify = true;
    job.spec.vacuum = true;
    job.spec.commit = COMMIT_OFF;
    job.spec.file = "elsewhere.yaml";
    job.spec.throttle.lag_us = 5;
    job.spec.limits.rows = 5;
    job.facts.table.rows = 5e6;
    job.facts.table.blocks = 77;
    job.facts.table.oid = 4711;
    cr_expect(same(&job, first.fingerprint));
}
