/*
 * test_sql_relay.c - the statements of a copy between two databases, as text.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/sql_functions.h"
#include "core/sql_relay.h"
#include "unit/copy_plan.h"

static void
expect_part(const StrBuf *sql, const char *part)
{
    cr_expect(strstr(strbuf_text(sql), part) != NULL, "%s\nis not in\n%s", part, strbuf_text(sql));
}

static void
expect_no_part(const StrBuf *sql, const char *part)
{
    cr_expect(strstr(strbuf_text(sql), part) == NULL, "%s\nis in\n%s", part, strbuf_text(sql));
}

static void
make_remote(CopyPlanJob *job)
{
    job->copy.remote = true;
    job->source.server.version_num = 150020;
    job->target.server.version_num = 150004;
}

#define REMOTE_PLAN(name)                                                                          \
    COPY_PLAN(name);                                                                               \
    make_remote(&(name))

/* ---- text or binary ---- */

static void
expect_format(const CopyPlanJob *job, bool binary)
{
    const char *why = NULL;
    cr_expect(eq(int, binary, relay_is_binary(&job->plan, &why)), "%s", why);
    cr_expect(why != NULL);
}

Test(sql_relay, same_release_and_builtin_types_travel_in_binary)
{
    REMOTE_PLAN(job);
    expect_format(&job, true);
    job.target_columns[3].base_type_name = "_timestamptz";
    job.target_columns[3].base_type = "timestamp with time zone[]";
    expect_format(&job, true);
}

Test(sql_relay, another_release_wants_text)
{
    REMOTE_PLAN(job);
    job.target.server.version_num = 160000;
    expect_format(&job, false);
}

Test(sql_relay, types_that_are_others_elsewhere_want_text)
{
    static const char *const TYPES[][2] = {{"color", "public.color"}, {"_color", "public.color[]"},
        {"int4", "app.int4"}, {"regclass", "regclass"}, {"_regtype", "regtype[]"},
        {"aclitem", "aclitem"}, {"hstore", "public.hstore"}};
    for (size_t i = 0; i < sizeof(TYPES) / sizeof(TYPES[0]); i++) {
        REMOTE_PLAN(job);
        job.target_columns[1].base_type_name = TYPES[i][0];
        job.target_columns[1].base_type = TYPES[i][1];
        expect_format(&job, false);
    }
}

Test(sql_relay, column_that_is_not_copied_decides_nothing)
{
    REMOTE_PLAN(job);
    job.target_columns[4].base_type_name = "color";
    job.target_columns[4].base_type = "public.color";
    expect_format(&job, true);
}

/* ---- COPY ---- */

Test(sql_relay, source_is_read_in_order_of_the_key_between_bounds_of_the_transaction)
{
    REMOTE_PLAN(job);
    job.spec.where.text = "amount > 0 -- paid";
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_relay_source(&sql, &job.plan, &(RelayRows){false, false, 0});
    expect_part(&sql, "FROM ONLY \"shop\".\"orders\" AS \"orders\"");
    expect_part(&sql, "\"orders\".\"id\" > pg_catalog.current_setting('pghaul.from1')::integer");
    expect_part(&sql, "\"orders\".\"id\" <= pg_catalog.current_setting('pghaul.to1')::integer");
    expect_part(&sql, "AND (amount > 0 -- paid\n)");
    expect_part(&sql, "ORDER BY \"orders\".\"id\") TO STDOUT (FORMAT binary)");
}

Test(sql_relay, keys_of_several_columns_are_compared_as_rows)
{
    REMOTE_PLAN(job);
    copy_plan_add_key(&job);
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_relay_source(&sql, &job.plan, &(RelayRows){false, true, 0});
    expect_part(&sql, "(\"orders\".\"id\", \"orders\".\"region\") > "
                      "(pg_catalog.current_setting('pghaul.from1')::integer, "
                      "pg_catalog.current_setting('pghaul.from2')::text)");
    expect_no_part(&sql, "pghaul.to");
}

/* Length is not a cast's business: that would cut silently. */
Test(sql_relay, values_become_the_targets_type_at_the_source_and_its_length_at_the_target)
{
    REMOTE_PLAN(job);
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_relay_source(&sql, &job.plan, &(RelayRows){true, true, 0});
    expect_part(&sql, "(amount * 100)::pg_catalog.\"int8\"");
    expect_part(&sql, "\"orders\".\"id\"::pg_catalog.\"int8\"");
    expect_part(&sql, "\"orders\".\"region\",");
    expect_no_part(&sql, "(20)");
}

Test(sql_relay, types_that_only_the_target_has_are_read_from_text)
{
    REMOTE_PLAN(job);
    job.target_columns[3].base_type_name = "color";
    job.target_columns[3].base_type = "public.color";
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_relay_source(&sql, &job.plan, &(RelayRows){true, true, 0});
    expect_part(&sql, "(amount * 100)\n");
    expect_part(&sql, "(FORMAT text)");
}

Test(sql_relay, target_that_may_have_the_keys_gets_its_rows_over_a_stage)
{
    REMOTE_PLAN(job);
    STRBUF_AUTO plain = STRBUF_INIT;
    sql_relay_target(&plain, &job.plan);
    expect_part(&plain, "COPY \"shop\".\"archive\" (\"id\", \"place\", \"note\", \"cents\")");

    job.spec.on_conflict = ON_CONFLICT_SKIP;
    STRBUF_AUTO staged = STRBUF_INIT;
    STRBUF_AUTO settle = STRBUF_INIT;
    sql_relay_target(&staged, &job.plan);
    sql_settle_function(&settle, &job.plan, 7);
    expect_part(&staged, "COPY " RELAY_STAGE " (");
    expect_part(&settle, "FROM " RELAY_STAGE " AS pghaul_row");
    expect_part(&settle, "ON CONFLICT (\"id\") DO NOTHING");
    expect_part(&settle, "pghaul_skipped := $7 - pghaul_rows");
}

/* ---- functions ---- */

Test(sql_relay, claim_locks_the_range_and_settle_writes_the_checkpoint)
{
    REMOTE_PLAN(job);
    STRBUF_AUTO claim = STRBUF_INIT;
    STRBUF_AUTO settle = STRBUF_INIT;
    sql_claim_function(&claim, &job.plan, 7);
    sql_settle_function(&settle, &job.plan, 7);
    expect_part(&claim, "CREATE FUNCTION pghaul.claim_7_0123456789abcdef(");
    expect_part(&claim, "FOR NO KEY UPDATE");
    expect_no_part(&claim, "UPDATE pghaul.ranges");
    expect_part(&settle, "CREATE FUNCTION pghaul.settle_7_0123456789abcdef(");
    expect_part(&settle, "UPDATE pghaul.ranges AS r");
    expect_part(&settle, "'the target is not as it was when the job began'");
    expect_no_part(&settle, "\"orders\"");
}

Test(sql_relay, job_between_two_databases_has_them_instead_of_move)
{
    REMOTE_PLAN(job);
    for (size_t i = 0; i < sql_functions_count(); i++) {
        const SqlFunction *function = sql_functions_at(i);
        bool relays = strcmp(function->what, "claim") == 0 || strcmp(function->what, "settle") == 0;
        bool moves = strcmp(function->what, "move") == 0;
        if (relays || moves) {
            cr_expect(
                eq(int, relays, sql_functions_needed(function, &job.plan)), "%s", function->what);
        }
    }
}
