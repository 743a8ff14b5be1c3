#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/children.h"
#include "core/sql_grants.h"
#include "unit/copy_job.h"
#include "unit/findings_job.h"

static const char *
grants(Job *job)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    job->spec.job = "j";
    sql_grants(&sql, &job->spec, &job->facts, &job->exprs);
    return arena_strdup(&job->arena, strbuf_text(&sql));
}

static void
expect_part(const char *sql, const char *part)
{
    cr_expect(strstr(sql, part) != NULL, "no %s in\n%s", part, sql);
}

static void
expect_no_part(const char *sql, const char *part)
{
    cr_expect(strstr(sql, part) == NULL, "%s in\n%s", part, sql);
}

Test(sql_grants, sync_trigger_takes_membership_in_the_owner)
{
    JOB(job);
    job.facts.table.owner = "Shop";
    const char *sql = grants(&job);
    expect_part(sql, "CREATE ROLE pghaul_mover LOGIN;\n");
    expect_part(sql, "GRANT CONNECT, CREATE, TEMPORARY ON DATABASE \"shop\" TO pghaul_mover;\n");
    expect_part(sql, "GRANT USAGE ON SCHEMA \"public\" TO pghaul_mover;\n");
    expect_part(sql, "\nGRANT \"Shop\" TO pghaul_mover;\n");
    expect_part(sql, "\nGRANT pg_monitor TO pghaul_mover;\n");
    expect_no_part(sql, "GRANT UPDATE (");
    job.facts.table.owner_is_superuser = true;
    expect_no_part(grants(&job), "GRANT \"Shop\"");
    job.facts.table.name = "t\nDROP TABLE a; --";
    expect_no_part(grants(&job), "\nDROP");
    arena_reset(&job.arena);
}

Test(sql_grants, without_trigger_and_vacuum_only_the_columns_are_granted)
{
    JOB(job);
    job.spec.sync = SYNC_NONE;
    job.expr.sources = (int[]){2};
    job.expr.source_count = 1;
    const char *sql = grants(&job);
    expect_part(sql, "\nGRANT SELECT (ctid, xmax, \"id\", \"amount_text\", \"amount\") ON "
                     "\"public\".\"orders\" TO pghaul_mover;\n");
    expect_part(sql, "\nGRANT UPDATE (\"amount\") ON \"public\".\"orders\" TO pghaul_mover;\n");
    expect_no_part(sql, "GRANT \"mover\"");
    job.spec.vacuum = true;
    expect_part(grants(&job), "\nGRANT \"mover\" TO pghaul_mover;\n");
    job.facts.server.version_num = 170000;
    sql = grants(&job);
    expect_no_part(sql, "GRANT \"mover\"");
    expect_part(sql, "\nGRANT MAINTAIN ON \"public\".\"orders\" TO pghaul_mover;\n");
    arena_reset(&job.arena);
}

static void
make_purge(Job *job)
{
    job->spec.kind = KIND_PURGE;
    job->spec.set_count = 0;
    job->exprs.where = &job->where;
    static int sources[] = {2};
    job->where.sources = sources;
    job->where.source_count = 1;
}

Test(sql_grants, purge_takes_key_predicate_and_what_locks_and_deletes)
{
    JOB(job);
    make_purge(&job);
    const char *sql = grants(&job);
    expect_part(sql, "\nGRANT SELECT (ctid, xmax, \"id\", \"amount_text\") ON "
                     "\"public\".\"orders\" TO pghaul_mover;\n");
    expect_part(sql, "\nGRANT UPDATE (\"id\") ON \"public\".\"orders\" TO pghaul_mover;\n");
    expect_part(sql, "\nGRANT DELETE ON \"public\".\"orders\" TO pghaul_mover;\n");
    expect_no_part(sql, "GRANT \"mover\"");
    job.spec.archive.path = "/a";
    expect_part(grants(&job), "\nGRANT SELECT ON \"public\".\"orders\" TO pghaul_mover;\n");
    job.spec.vacuum = true;
    expect_part(grants(&job), "\nGRANT \"mover\" TO pghaul_mover;\n");
    arena_reset(&job.arena);
}

Test(sql_grants, purge_into_a_table_takes_insert_there)
{
    JOB(job);
    JOB(kept);
    make_purge(&job);
    kept.facts.table.schema = "archive";
    job.facts.into = &kept.facts;
    const char *sql = grants(&job);
    expect_part(sql, "\nGRANT USAGE ON SCHEMA \"archive\" TO pghaul_mover;\n");
    expect_part(sql, "\nGRANT INSERT ON \"archive\".\"orders\" TO pghaul_mover;\n");
    expect_part(sql, "\nGRANT SELECT ON \"public\".\"orders\" TO pghaul_mover;\n");
    arena_reset(&job.arena);
}

/* The statements with which tests/cli/test_control.c tries a role. */
Test(sql_grants, whoever_stops_a_run_and_changes_settings_may_write_them)
{
    JOB(job);
    const char *sql = grants(&job);
    expect_part(sql, "GRANT UPDATE ON pghaul.job, pghaul.run TO a_role;\n");
    expect_part(sql, "GRANT INSERT, UPDATE, DELETE ON pghaul.setting TO a_role;\n");
    arena_reset(&job.arena);
}

Test(sql_grants, what_expressions_need_is_granted_once)
{
    JOB(job);
    NeedFacts need = {
        .privilege = "EXECUTE", .object = "FUNCTION app.price(text)", .granted = true};
    job.expr.needs = &need;
    job.expr.need_count = 1;
    job.where.needs = &need;
    job.where.need_count = 1;
    job.exprs.where = &job.where;
    const char *sql = grants(&job);
    static const char GRANT[] = "GRANT EXECUTE ON FUNCTION app.price(text) TO pghaul_mover;\n";
    expect_part(sql, GRANT);
    expect_no_part(strstr(sql, GRANT) + 1, GRANT);
    arena_reset(&job.arena);
}

/* ---- copies ---- */

static const char *
copy_grants(CopyJob *job)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_grants(&sql, &job->spec, &job->facts, &job->exprs);
    return arena_strdup(&job->arena, strbuf_text(&sql));
}

Test(sql_grants, a_copy_writes_its_target_and_owns_the_source_for_the_log)
{
    COPY_JOB(job);
    job.facts.table.owner = "shop_owner";
    const char *sql = copy_grants(&job);
    expect_part(sql, "GRANT CONNECT, CREATE, TEMPORARY ON DATABASE \"shop\" TO pghaul_mover;\n");
    expect_part(sql, "\nGRANT SELECT, INSERT, DELETE ON \"public\".\"orders_v2\" TO pghaul_mover;");
    expect_part(sql, "\nGRANT \"shop_owner\" TO pghaul_mover;\n");
    expect_no_part(sql, "====");
    expect_no_part(strstr(sql, "GRANT USAGE") + 1, "GRANT USAGE ON SCHEMA \"public\"");
    job.spec.on_conflict = ON_CONFLICT_UPDATE;
    expect_part(copy_grants(&job), "DELETE, UPDATE ON");
    job.spec.indexes = INDEXES_AFTER;
    expect_part(copy_grants(&job), "\nGRANT \"mover\" TO pghaul_mover;\n");
    arena_reset(&job.arena);
}

Test(sql_grants, without_sync_the_source_is_only_read)
{
    COPY_JOB(job);
    job.spec.sync = SYNC_NONE;
    job.spec.set_count = 1;
    const char *sql = copy_grants(&job);
    expect_part(
        sql, "\nGRANT SELECT (\"id\", \"amount_text\", \"note\") ON \"public\".\"orders\" TO");
    expect_no_part(sql, "GRANT \"mover\"");
    arena_reset(&job.arena);
}

Test(sql_grants, each_end_has_a_part_of_its_own)
{
    COPY_JOB(job);
    copy_job_make_remote(&job);
    job.into.server.database = "archive\nDROP";
    const char *sql = copy_grants(&job);
    expect_no_part(sql, "archive\nDROP, the");
    const char *source = strstr(sql, "==== In database shop, the source");
    cr_assert(source != NULL, "%s", sql);
    expect_part(sql, "==== In database archive");
    expect_part(source, "\nCREATE ROLE pghaul_mover LOGIN;\n");
    expect_part(source, "\nGRANT CONNECT, CREATE, TEMPORARY ON DATABASE \"shop\"");
    expect_no_part(source, "orders_v2");
    job.spec.sync = SYNC_NONE;
    job.into.server.system_id = job.facts.server.system_id;
    source = strstr(copy_grants(&job), "the source");
    expect_no_part(source, "CREATE ROLE");
    expect_part(source, "\nGRANT CONNECT, TEMPORARY ON DATABASE \"shop\"");
    arena_reset(&job.arena);
}

Test(sql_grants, purge_has_rights_on_tables_whose_rows_go_too)
{
    JOB(job);
    ChildTable tables[] = {{.oid = 1, .root = 1, .schema = "other", .name = "item"}};
    ChildKey keys[] = {{.name = "k", .parent = CHILD_OF_JOB, .child = 0, .action = CHILD_SET_NULL}};
    const ChildGraph graph = {
        .tables = tables, .table_count = 1, .keys = keys, .key_count = 1, .signature = ""};
    job.spec.kind = KIND_PURGE;
    job.spec.set_count = 0;
    job.exprs.where = &job.where;
    job.facts.children = &graph;
    const char *sql = grants(&job);
    expect_part(sql, "\nGRANT USAGE ON SCHEMA \"other\" TO pghaul_mover;\n");
    expect_part(sql, "\nGRANT SELECT, UPDATE ON \"other\".\"item\" TO pghaul_mover;\n");
    keys[0].action = CHILD_CASCADE;
    expect_part(
        grants(&job), "\nGRANT SELECT, UPDATE, DELETE ON \"other\".\"item\" TO pghaul_mover;\n");
    arena_reset(&job.arena);
}
