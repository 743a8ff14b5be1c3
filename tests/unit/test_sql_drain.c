/*
 * test_sql_drain.c - the steps of a drain between two servers, as text.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/sql_drain.h"
#include "unit/copy_job.h"

static void
expect_part(const StrBuf *sql, const char *part)
{
    cr_expect(strstr(strbuf_text(sql), part) != NULL, "%s\nis not in\n%s", part, strbuf_text(sql));
}

Test(sql_drain, rows_are_read_and_deleted_by_lists_of_keys_and_no_value_is_pasted)
{
    COPY_JOB(job);
    copy_job_make_remote(&job);
    job.spec.where.text = "id > 0 -- all";
    job.exprs.where = &job.where;
    const Plan *plan = copy_job_plan(&job);
    STRBUF_AUTO source = STRBUF_INIT;
    STRBUF_AUTO gone = STRBUF_INIT;
    sql_drain_source(&source, plan);
    expect_part(&source, "COPY (SELECT \"orders\".\"id\", ");
    expect_part(&source, "pg_catalog.unnest(pg_catalog.current_setting('pghaul.keys')::");
    expect_part(&source, "AND (id > 0 -- all\n)) TO STDOUT");
    sql_drain_delete(&gone, plan);
    expect_part(&gone, "DELETE FROM \"public\".\"orders_v2\" AS pghaul_into\n WHERE ");
    expect_part(&gone, "(pghaul_into.\"id\") IN (");
    expect_part(&gone, "pg_catalog.unnest($1::pg_catalog.text[])");
    arena_reset(&job.arena);
}

Test(sql_drain, rows_go_by_the_stage_where_another_unique_value_may_be_taken)
{
    COPY_JOB(job);
    copy_job_make_remote(&job);
    cr_expect(not(sql_drain_is_staged(copy_job_plan(&job))), "only the key is unique");
    job.into_indexes[1] = job.into_indexes[0];
    job.into_indexes[1].oid = 77;
    job.into_indexes[1].primary = false;
    job.into_attnums[1] = 3;
    job.into_indexes[1].attnums = &job.into_attnums[1];
    job.into.index_count = 2;
    cr_expect(sql_drain_is_staged(copy_job_plan(&job)));
    job.into_indexes[1].unique = false;
    job.into_indexes[1].exclusion = true;
    cr_expect(sql_drain_is_staged(copy_job_plan(&job)));
    job.into_indexes[1].immediate = false;
    cr_expect(not(sql_drain_is_staged(copy_job_plan(&job))), "what is deferrable cannot tell");
    arena_reset(&job.arena);
}
