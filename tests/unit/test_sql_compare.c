/*
 * test_sql_compare.c - the statements that compare two servers, as text.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/sql_compare.h"
#include "unit/copy_job.h"

#define USER_OID 20000

static const bool KNOWN[] = {true, true, true, true};
static const bool UNKNOWN[] = {false, false, false, false};

typedef void TextMaker(StrBuf *out, const Comparison *comparison, CompareSide side);

static const char *
text_of(CopyJob *job, TextMaker *make, CompareSide side, const bool *known)
{
    Comparison comparison = {.plan = copy_job_plan(job), .job = 7, .known_types = known};
    STRBUF_AUTO sql = STRBUF_INIT;
    make(&sql, &comparison, side);
    return arena_strdup(&job->arena, strbuf_text(&sql));
}

static void
expect_part(const char *text, const char *part)
{
    cr_expect(strstr(text, part) != NULL, "%s\nis not in\n%s", part, text);
}

static void
expect_no_part(const char *text, const char *part)
{
    cr_expect(strstr(text, part) == NULL, "%s\nis in\n%s", part, text);
}

/* A type of the user's for amount. */
static void
give_type(CopyJob *job, const char *type, const char *base_type)
{
    ColumnFacts *column = &job->into_columns[1];
    column->type_oid = USER_OID;
    column->type = type;
    column->type_mod = -1;
    column->base_type = base_type;
    column->base_type_name = base_type;
}

/* ---- values ---- */

Test(sql_compare, an_expression_becomes_the_type_of_its_column_on_the_source)
{
    COPY_JOB(job);
    expect_part(text_of(&job, sql_compare_sums, COMPARE_SOURCE, KNOWN),
        "ROW(\"orders\".\"id\", (amount_text::numeric)::numeric(10,2), ");
    expect_part(text_of(&job, sql_compare_sums, COMPARE_TARGET, KNOWN),
        "ROW(pghaul_into.\"id\", pghaul_into.\"amount\", ");
    arena_reset(&job.arena);
}

Test(sql_compare, a_type_that_the_source_lacks_is_compared_as_text)
{
    COPY_JOB(job);
    give_type(&job, "app.mood", "app.mood");
    expect_part(text_of(&job, sql_compare_sums, COMPARE_SOURCE, UNKNOWN),
        "(amount_text::numeric)::pg_catalog.text, ");
    expect_part(text_of(&job, sql_compare_sums, COMPARE_TARGET, UNKNOWN),
        "pghaul_into.\"amount\"::pg_catalog.text, ");
    expect_part(text_of(&job, sql_compare_sums, COMPARE_SOURCE, KNOWN),
        "(amount_text::numeric)::app.mood, ");
    expect_part(text_of(&job, sql_compare_sums, COMPARE_TARGET, KNOWN), "pghaul_into.\"amount\", ");
    arena_reset(&job.arena);
}

Test(sql_compare, a_domain_that_the_source_lacks_is_compared_as_what_it_is_made_of)
{
    COPY_JOB(job);
    give_type(&job, "app.money", "numeric");
    expect_part(text_of(&job, sql_compare_sums, COMPARE_SOURCE, UNKNOWN),
        "(amount_text::numeric)::numeric, ");
    expect_part(text_of(&job, sql_compare_sums, COMPARE_TARGET, UNKNOWN),
        "pghaul_into.\"amount\"::numeric, ");
    give_type(&job, "app.code", "bpchar");
    expect_part(text_of(&job, sql_compare_sums, COMPARE_TARGET, UNKNOWN),
        "pghaul_into.\"amount\"::bpchar::pg_catalog.text, ");
    arena_reset(&job.arena);
}

Test(sql_compare, only_types_that_a_server_may_lack_are_asked_for)
{
    COPY_JOB(job);
    give_type(&job, "app.mood", "app.mood");
    const CopyPlan *copy = copy_job_plan(&job)->copy;
    cr_expect(sql_compare_type(&copy->map[0]) == NULL, "builtin");
    cr_expect(zero(int, strcmp(sql_compare_type(&copy->map[1]), "app.mood")));
    job.set[0].result_type = "app.mood";
    cr_expect(sql_compare_type(&copy->map[1]) == NULL, "the expression has the type already");
    arena_reset(&job.arena);
}

Test(sql_compare, servers_of_one_release_sum_their_own_hash_and_others_md5)
{
    COPY_JOB(job);
    expect_part(text_of(&job, sql_compare_sums, COMPARE_TARGET, KNOWN),
        "sum(pg_catalog.hashtextextended(s.pghaul_row, 2))");
    expect_part(text_of(&job, sql_compare_slice, COMPARE_TARGET, KNOWN), "md5(ROW(");
    job.facts.server.version_num += 10000;
    expect_part(text_of(&job, sql_compare_sums, COMPARE_SOURCE, KNOWN), "md5(ROW(");
    expect_part(text_of(&job, sql_compare_sums, COMPARE_TARGET, KNOWN), "md5(ROW(");
    arena_reset(&job.arena);
}

Test(sql_compare, databases_of_two_encodings_hash_the_same_bytes)
{
    COPY_JOB(job);
    expect_no_part(text_of(&job, sql_compare_sums, COMPARE_SOURCE, KNOWN), "convert_to");
    job.facts.server.encoding = "LATIN1";
    expect_part(
        text_of(&job, sql_compare_sums, COMPARE_SOURCE, KNOWN), "md5(pg_catalog.convert_to(ROW(");
    expect_no_part(text_of(&job, sql_compare_sums, COMPARE_TARGET, KNOWN), "convert_to");
    job.facts.server.encoding = "SQL_ASCII";
    expect_no_part(text_of(&job, sql_compare_sums, COMPARE_SOURCE, KNOWN), "convert_to");
    arena_reset(&job.arena);
}

/* ---- rows ---- */

Test(sql_compare, the_jobs_predicate_chooses_rows_of_the_source_only)
{
    static TextMaker *const MAKERS[] = {sql_compare_sums, sql_compare_slice, sql_compare_rows};
    COPY_JOB(job);
    job.spec.where.text = "id % 2 = 0 -- even";
    job.exprs.where = &job.where;
    for (int i = 0; i < 3; i++) {
        expect_part(text_of(&job, MAKERS[i], COMPARE_SOURCE, KNOWN), "AND (id % 2 = 0 -- even\n)");
        expect_no_part(text_of(&job, MAKERS[i], COMPARE_TARGET, KNOWN), "% 2");
    }
    arena_reset(&job.arena);
}

Test(sql_compare, slices_and_lists_name_each_column_of_a_key)
{
    COPY_JOB(job);
    copy_job_plan(&job);
    job.plan.key_count = 2;
    job.plan.key[1] = (KeyColumn){.name = "note", .type = "text", .type_name = "text"};
    CopyPlan copy = *job.plan.copy;
    copy.key[1] = &job.into_columns[2];
    job.plan.copy = &copy;
    Comparison comparison = {.plan = &job.plan, .job = 7, .known_types = KNOWN};
    STRBUF_AUTO sums = STRBUF_INIT;
    sql_compare_sums(&sums, &comparison, COMPARE_TARGET);
    expect_part(strbuf_text(&sums),
        "($1::pg_catalog.text[] IS NULL OR (pghaul_into.\"id\", pghaul_into.\"note\") > "
        "(($1::pg_catalog.text[])[1]::int8, ($1::pg_catalog.text[])[2]::text))");
    STRBUF_AUTO pending = STRBUF_INIT;
    sql_compare_pending(&pending, &comparison);
    expect_part(strbuf_text(&pending),
        "((pghaul_keys.pghaul_key::pg_catalog.text[])[1]::int8, "
        "(pghaul_keys.pghaul_key::pg_catalog.text[])[2]::text) IN (SELECT l.k1, l.k2 FROM "
        "pghaul.log_7_");
    STRBUF_AUTO append = STRBUF_INIT;
    sql_compare_append(&append, &comparison);
    expect_part(strbuf_text(&append), " (k1, k2)\nSELECT ");
    arena_reset(&job.arena);
}

Test(sql_compare, locks_are_taken_only_where_nobody_holds_one)
{
    COPY_JOB(job);
    Comparison comparison = {.plan = copy_job_plan(&job), .job = 7, .known_types = KNOWN};
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_compare_lock(&sql, &comparison);
    expect_part(strbuf_text(&sql), "FROM ONLY \"public\".\"orders\" AS \"orders\"");
    expect_part(strbuf_text(&sql), "FOR NO KEY UPDATE SKIP LOCKED");
    arena_reset(&job.arena);
}
