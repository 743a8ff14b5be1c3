/*
 * test_plan_copy.c - what a copy decides from its map, the key and both tables.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#include "core/drift.h"
#include "core/jobspec_diff.h"
#include "core/plan_copy.h"
#include "unit/copy_job.h"

static CopyKey
find_key(CopyJob *job)
{
    return copy_find_key(&job->spec, &job->facts, &job->exprs, &job->indexes[0]);
}

static void
expect_key_refused(CopyJob *job, const char *part)
{
    CopyKey key = find_key(job);
    cr_assert(key.why != NULL, "%s was not found", part);
    cr_expect(strstr(key.why, part) != NULL, "%s, expected %s", key.why, part);
}

static void
expect_text(const char *actual, const char *expected)
{
    cr_expect(zero(int, strcmp(actual, expected)), "%s, expected %s", actual, expected);
}

/* ---- map ---- */

Test(plan_copy, mapped_columns_have_their_expression_others_the_same_name)
{
    COPY_JOB(job);
    const CopyPlan *copy = copy_job_plan(&job)->copy;
    cr_assert(copy != NULL);
    cr_assert(eq(int, copy->map_count, 4));
    cr_expect(copy->map[0].source == &job.columns[0] && copy->map[0].expr == NULL);
    cr_expect(copy->map[1].source == NULL && copy->map[1].expr == &job.map[0].expr);
    cr_expect(copy->map[1].facts == &job.set[0]);
    cr_expect(copy->map[2].source == &job.columns[2]);
    cr_expect(copy->map[3].source == &job.columns[3] && copy->map[3].target == &job.into_columns[3],
        "a renamed column is one as it is");
}

Test(plan_copy, generated_columns_and_those_without_a_source_are_left_out)
{
    COPY_JOB(job);
    job.into_columns[2].generated = true;
    job.into_columns[3].name = "added";
    job.spec.set_count = 1;
    cr_expect(eq(int, copy_job_plan(&job)->copy->map_count, 2));
}

Test(plan_copy, a_backfill_has_no_copy)
{
    COPY_JOB(job);
    job.spec.kind = KIND_BACKFILL;
    job.spec.set_count = 0;
    cr_expect(copy_job_plan(&job)->copy == NULL);
}

Test(plan_copy, ranges_of_a_small_table_are_as_many_as_keep_all_workers_busy_to_the_end)
{
    COPY_JOB(job);
    job.spec.workers = 4;
    job.facts.table.rows = 2e6;
    job.facts.table.blocks = 20000;
    cr_expect(eq(i64, copy_job_plan(&job)->range_rows, 2000000 / (4 * PLAN_COPY_RANGES)));
    job.facts.table.rows = 1e9;
    job.facts.table.blocks = 10000000;
    cr_expect(eq(i64, copy_job_plan(&job)->range_rows, PLAN_RANGE_ROWS));
    job.facts.table.rows = 6000;
    job.facts.table.blocks = 60;
    cr_expect(eq(i64, copy_job_plan(&job)->range_rows, (int64_t)PLAN_COPY_RANGE_ROWS_MIN));
}

/* ---- key ---- */

Test(plan_copy, the_key_goes_where_its_columns_go_as_they_are)
{
    COPY_JOB(job);
    job.into_columns[0].name = "order_id";
    job.map[1] = (Assignment){.column = "order_id", .expr = {.text = "id"}};
    job.set[1].column = 1;
    const CopyPlan *copy = copy_job_plan(&job)->copy;
    cr_expect(copy->key[0] == &job.into_columns[0]);
    cr_expect(copy->arbiter == &job.into_indexes[0]);
}

Test(plan_copy, of_two_columns_that_take_the_key_the_unique_one_is_the_key)
{
    COPY_JOB(job);
    job.into_columns[3] = job.into_columns[0];
    job.into_columns[3].attnum = 4;
    job.into_columns[3].name = "made_at";
    job.into_columns[0].in_unique = false;
    job.set[1].column = 1;
    job.into_attnums[0] = 4;
    CopyKey key = find_key(&job);
    cr_expect(key.why == NULL && key.column[0] == &job.into_columns[3]);
}

Test(plan_copy, a_key_that_is_computed_or_left_out_is_refused)
{
    COPY_JOB(job);
    job.map[1] = (Assignment){.column = "id", .expr = {.text = "id + 1"}};
    job.set[1].column = 0;
    expect_key_refused(&job, "as it is");
    job.spec.set_count = 1;
    job.into_columns[0].name = "other";
    expect_key_refused(&job, "as it is");
    cr_expect(find_key(&job).source == &job.columns[0]);
}

Test(plan_copy, the_key_may_widen_but_not_change_its_type_or_order)
{
    COPY_JOB(job);
    job.columns[0].base_type = job.columns[0].base_type_name = "int4";
    cr_expect(find_key(&job).why == NULL);
    job.columns[0].base_type = job.columns[0].base_type_name = "text";
    expect_key_refused(&job, "type");
    job.into_columns[0].base_type = job.into_columns[0].base_type_name = "text";
    job.columns[0].collation = "C";
    job.into_columns[0].collation = "de_DE.utf8";
    expect_key_refused(&job, "collation");
    job.into_columns[0].collation = "C";
    cr_expect(find_key(&job).why == NULL);
    job.into_columns[0].base_type = job.into_columns[0].base_type_name = "int2";
    job.columns[0].base_type = job.columns[0].base_type_name = "int8";
    expect_key_refused(&job, "type");
}

Test(plan_copy, the_key_must_be_not_null_and_unique_in_the_target)
{
    COPY_JOB(job);
    job.into_columns[0].not_null = false;
    expect_key_refused(&job, "NULL");
    job.into_columns[0].not_null = true;
    job.into_indexes[0].immediate = false;
    expect_key_refused(&job, "unique index");
    job.into_indexes[0].immediate = true;
    job.into_indexes[0].partial = true;
    expect_key_refused(&job, "unique index");
}

Test(plan_copy, a_partitioned_target_is_unique_over_key_and_partition_key)
{
    COPY_JOB(job);
    job.into_attnums[1] = 4;
    job.into_indexes[0].attnum_count = 2;
    expect_key_refused(&job, "unique index");
    job.partition_attnums[0] = 4;
    job.into.table.partition_attnum_count = 1;
    cr_expect(find_key(&job).arbiter == &job.into_indexes[0]);
}

Test(plan_copy, the_narrowest_index_that_can_be_walked_is_the_arbiter)
{
    COPY_JOB(job);
    int two[2] = {4, 1};
    job.into_indexes[1] = job.into_indexes[0];
    job.into_indexes[0].attnums = two;
    job.into_indexes[0].attnum_count = 2;
    job.partition_attnums[0] = 4;
    job.into.table.partition_attnum_count = 1;
    job.into.index_count = 2;
    cr_expect(find_key(&job).arbiter == &job.into_indexes[1]);
}

/* ---- path ---- */

Test(plan_copy, rows_in_the_order_of_the_key_are_walked_by_it)
{
    COPY_JOB(job);
    cr_expect(eq(int, copy_job_plan(&job)->path, PATH_KEY));
    job.columns[0].correlation = -0.1;
    cr_expect(eq(int, copy_job_plan(&job)->path, PATH_BLOCK));
    cr_expect(eq(int, copy_job_plan(&job)->stripes, 1));
    job.spec.path = PATH_KEY;
    cr_expect(eq(int, copy_job_plan(&job)->path, PATH_KEY));
}

Test(plan_copy, blocks_need_the_change_log_and_the_same_database)
{
    COPY_JOB(job);
    job.columns[0].correlation = 0;
    job.spec.path = PATH_BLOCK;
    cr_expect(eq(int, copy_job_plan(&job)->path, PATH_BLOCK));
    job.spec.sync = SYNC_NONE;
    cr_expect(eq(int, copy_job_plan(&job)->path, PATH_KEY));
    cr_expect(not(copy_job_plan(&job)->sync_trigger));
    job.spec.sync = SYNC_AUTO;
    copy_job_make_remote(&job);
    cr_expect(eq(int, copy_job_plan(&job)->path, PATH_KEY));
}

Test(plan_copy, limit_of_the_change_log_is_fixed_when_the_job_begins)
{
    COPY_JOB(job);
    char begun[17];
    job.spec.limits.log_bytes = 1000000;
    (void)snprintf(begun, sizeof(begun), "%s", copy_job_plan(&job)->fingerprint);
    JobSpec other = job.spec;
    STRBUF_AUTO changes = STRBUF_INIT;
    cr_expect(eq(int, 0, jobspec_compare(&changes, &other, &job.spec)));
    job.spec.limits.log_bytes = 2000000;
    cr_expect(ne(int, 0, strcmp(begun, copy_job_plan(&job)->fingerprint)));
    cr_expect(eq(int, 1, jobspec_compare(&changes, &other, &job.spec)));
    cr_expect(strstr(strbuf_text(&changes), "limits.log_bytes was \"") != NULL);
    job.spec.sync = SYNC_NONE;
    (void)snprintf(begun, sizeof(begun), "%s", copy_job_plan(&job)->fingerprint);
    job.spec.limits.log_bytes = 1000000; /* there is no trigger that has it */
    cr_expect(zero(int, strcmp(begun, copy_job_plan(&job)->fingerprint)));
}

Test(plan_copy, job_that_was_begun_stays_on_its_path_whatever_statistics_say)
{
    COPY_JOB(job);
    char begun[17];
    (void)snprintf(begun, sizeof(begun), "%s", copy_job_plan(&job)->fingerprint);
    cr_expect(eq(int, PATH_KEY, (int)job.plan.path));
    job.columns[0].correlation = 0;
    job.facts.stored = (StoredJob){.exists = true, .fingerprint = begun};
    cr_expect(eq(int, PATH_KEY, (int)copy_job_plan(&job)->path));
    cr_expect(zero(int, strcmp(begun, job.plan.fingerprint)));
    cr_expect(eq(i64, job.plan.range_rows, job.plan.range_size));
    job.map[0].expr.text = "0"; /* another job */
    cr_expect(eq(int, PATH_BLOCK, (int)copy_job_plan(&job)->path));
    cr_expect(ne(int, 0, strcmp(begun, job.plan.fingerprint)));
}

Test(plan_copy, a_standby_or_another_database_is_remote)
{
    COPY_JOB(job);
    cr_expect(not(copy_job_plan(&job)->copy->remote));
    job.into.server.started = "2024-03-03 00:00:00+00";
    cr_expect(copy_job_plan(&job)->copy->remote);
    job.into.server.started = job.facts.server.started;
    job.into.server.database = "archive";
    cr_expect(copy_job_plan(&job)->copy->remote);
}

/* ---- way back ---- */

Test(plan_copy, a_map_of_columns_as_they_are_can_be_walked_back)
{
    COPY_JOB(job);
    cr_expect(not(copy_job_plan(&job)->copy->invertible));
    cr_expect(job.plan.copy->irreversible == &job.columns[1]);
    job.spec.reverse_count = 1;
    job.spec.reverse_map = job.map;
    cr_expect(copy_job_plan(&job)->copy->invertible);
    job.spec.reverse_count = 0;
    job.columns[1] = job.into_columns[1];
    job.set[0].column = 2;
    cr_expect(copy_job_plan(&job)->copy->invertible);
    job.columns[1].base_type_mod = -1;
    cr_expect(not(copy_job_plan(&job)->copy->invertible), "two digits are kept");
}

/* ---- fingerprint ---- */

static void
expect_new_fingerprint(CopyJob *job, const char *what)
{
    char before[17];
    memcpy(before, job->plan.fingerprint, sizeof(before));
    cr_expect(ne(int, strcmp(before, copy_job_plan(job)->fingerprint), 0), "%s", what);
}

Test(plan_copy, the_fingerprint_changes_with_whatever_changes_the_rows)
{
    COPY_JOB(job);
    (void)copy_job_plan(&job);
    job.into.table.name = "orders_v3";
    expect_new_fingerprint(&job, "target");
    job.spec.on_conflict = ON_CONFLICT_SKIP;
    expect_new_fingerprint(&job, "on_conflict");
    job.map[0].expr.text = "1";
    expect_new_fingerprint(&job, "map");
    job.into.server.system_id = "7";
    expect_new_fingerprint(&job, "server");
    job.spec.from = "host=a";
    expect_new_fingerprint(&job, "from");
    char before[17];
    memcpy(before, job.plan.fingerprint, sizeof(before));
    job.spec.from = "host=b";
    expect_text(copy_job_plan(&job)->fingerprint, before);
}

/* ---- drift ---- */

Test(plan_copy, a_copy_relies_on_the_columns_that_it_reads)
{
    COPY_JOB(job);
    job.spec.set_count = 1;
    job.into_columns[2].name = "remark";
    STRBUF_AUTO used = STRBUF_INIT;
    drift_put_used_columns(&used, copy_job_plan(&job));
    expect_text(strbuf_text(&used), "{1,2}");
    strbuf_clear(&used);
    drift_put_set_columns(&used, &job.plan);
    expect_text(strbuf_text(&used), "{}");
}
