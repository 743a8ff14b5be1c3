/*
 * test_sql_copy.c - the statements of a copy within one database, as text.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/sql_copy.h"
#include "core/sql_functions.h"
#include "unit/copy_plan.h"

#define LOG "pghaul.log_7_0123456789abcdef"

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

/* ---- move ---- */

Test(sql_copy, by_key_a_batch_is_one_plain_insert)
{
    COPY_PLAN(job);
    job.spec.where.text = "amount > 0 -- paid";
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_copy_function(&sql, &job.plan, 7);
    expect_part(&sql,
        "INSERT INTO \"shop\".\"archive\" AS pghaul_into (\"id\", \"place\", \"note\", \"cents\")\n"
        "    OVERRIDING SYSTEM VALUE\n"
        "    SELECT \"orders\".\"id\", \"orders\".\"region\", \"orders\".\"note\", (amount * 100)\n"
        "      FROM ONLY \"shop\".\"orders\" AS \"orders\"\n"
        "     WHERE (pghaul_from_open OR \"orders\".\"id\" > pghaul_from1)\n"
        "       AND (pghaul_to_open OR \"orders\".\"id\" <= pghaul_to1)\n"
        "       AND (amount > 0 -- paid\n);\n"
        "    GET DIAGNOSTICS pghaul_rows = ROW_COUNT;\n");
    expect_no_part(&sql, "ON CONFLICT");
    expect_no_part(&sql, "LOCK TABLE");
    expect_no_part(&sql, LOG);
}

Test(sql_copy, bounds_have_the_types_of_the_target)
{
    COPY_PLAN(job);
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_copy_function(&sql, &job.plan, 7);
    expect_part(&sql, "    pghaul_from1 bigint;\n");
    expect_part(&sql, "    pghaul_to1 := pghaul_end[1]::bigint;\n");
    expect_no_part(&sql, "integer");
}

Test(sql_copy, skip_and_update_name_their_arbiter_and_count)
{
    COPY_PLAN(job);
    copy_plan_add_key(&job);
    job.spec.on_conflict = ON_CONFLICT_SKIP;
    STRBUF_AUTO skip = STRBUF_INIT;
    sql_copy_function(&skip, &job.plan, 7);
    expect_part(&skip, "ON CONFLICT (\"id\", \"place\") DO NOTHING\n    RETURNING 1)");
    expect_part(&skip, "    pghaul_skipped := pghaul_wanted - pghaul_rows;\n");
    expect_part(&skip, "           skipped = r.skipped + pghaul_skipped,\n");

    job.spec.on_conflict = ON_CONFLICT_UPDATE;
    STRBUF_AUTO update = STRBUF_INIT;
    sql_copy_function(&update, &job.plan, 7);
    expect_part(&update,
        "ON CONFLICT (\"id\", \"place\") DO UPDATE\n"
        "       SET (\"note\", \"cents\") = ROW(EXCLUDED.\"note\", EXCLUDED.\"cents\")\n"
        "     WHERE pg_catalog.record_image_ne(ROW(pghaul_into.\"note\", pghaul_into.\"cents\"), "
        "ROW(EXCLUDED.\"note\", EXCLUDED.\"cents\"))");
    expect_part(&update, "\"orders\".\"id\" = pghaul_into.\"id\" AND "
                         "\"orders\".\"region\" = pghaul_into.\"place\"");
}

Test(sql_copy, an_update_leaves_identity_columns_alone)
{
    COPY_PLAN(job);
    job.spec.on_conflict = ON_CONFLICT_UPDATE;
    job.target_columns[3].identity = true;
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_copy_function(&sql, &job.plan, 7);
    expect_part(&sql, "SET (\"place\", \"note\") = ROW(");
    for (int i = 1; i < 4; i++) {
        job.target_columns[i].identity = true;
    }
    STRBUF_AUTO none = STRBUF_INIT;
    sql_copy_function(&none, &job.plan, 7);
    expect_part(&none, "DO NOTHING");
    expect_no_part(&none, "DO UPDATE");
}

Test(sql_copy, rows_in_the_change_log_are_left_to_the_drain_where_a_unique_value_is_taken)
{
    COPY_PLAN(job);
    job.plan.path = PATH_BLOCK;
    job.plan.sync_trigger = true;
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_copy_function(&sql, &job.plan, 7);
    const char *const order[] = {"IF $8 THEN\n", "WHERE $4 = 1\n       AND NOT (true AND (",
        "RAISE", "ON CONFLICT DO NOTHING", "AND NOT EXISTS (",
        "WHERE true\n       AND NOT (true AND (", "RAISE", "ELSE\n", "INSERT INTO"};
    const char *at = strbuf_text(&sql);
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        const char *next = strstr(at, order[i]);
        cr_assert(next != NULL, "%s does not follow in\n%s", order[i], at);
        at = next;
    }

    strbuf_clear(&sql);
    job.arbiter.immediate = false;
    job.target.indexes = &job.arbiter;
    job.target.index_count = 1;
    sql_copy_function(&sql, &job.plan, 7);
    expect_part(&sql, "AND NOT ($8 AND (\"orders\".\"id\") IN (SELECT l.k1 FROM " LOG
                      " AS l WHERE l.k1 IS NOT NULL));\n    GET DIAGNOSTICS");
    expect_no_part(&sql, "ON CONFLICT");
}

/* ---- verify ---- */

Test(sql_copy, rows_are_compared_as_the_target_would_have_stored_them)
{
    COPY_PLAN(job);
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_compare_function(&sql, &job.plan, 7);
    expect_part(&sql, "\"orders\".\"id\"::bigint AS pghaul_c1");
    expect_part(&sql, "\"orders\".\"region\" AS pghaul_c2");
    expect_part(&sql, "pg_catalog.\"varchar\"(\"orders\".\"note\"::pg_catalog.\"varchar\", 24, "
                      "false) AS pghaul_c3");
    expect_part(&sql, "(amount * 100)::bigint AS pghaul_c4");
    expect_part(&sql, "pg_catalog.record_image_ne(ROW(pghaul_is.pghaul_c1, pghaul_is.pghaul_c2, "
                      "pghaul_is.pghaul_c3, pghaul_is.pghaul_c4)");
}

Test(sql_copy, a_batch_of_the_comparison_ends_with_the_lesser_key_of_both_tables)
{
    COPY_PLAN(job);
    copy_plan_add_key(&job);
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_compare_function(&sql, &job.plan, 7);
    const char *text = strbuf_text(&sql);
    const char *source = strstr(text, "ORDER BY \"orders\".\"id\", \"orders\".\"region\"");
    const char *target = strstr(text, "ORDER BY pghaul_into.\"id\", pghaul_into.\"place\"");
    cr_expect(source != NULL && target != NULL && source < target, "%s", text);
    expect_part(&sql, "FULL JOIN");
    expect_part(&sql, "ON pghaul_is.pghaul_k1 = pghaul_has.pghaul_k1 AND "
                      "pghaul_is.pghaul_k2 = pghaul_has.pghaul_k2");
}

Test(sql_copy, extra_rows_count_only_where_the_target_was_empty)
{
    COPY_PLAN(job);
    job.spec.on_conflict = ON_CONFLICT_UPDATE;
    STRBUF_AUTO update = STRBUF_INIT;
    sql_compare_function(&update, &job.plan, 7);
    expect_part(&update, "LEFT JOIN");
    expect_part(&update, "record_image_ne");
    expect_no_part(&update, "ORDER BY pghaul_into");

    job.spec.on_conflict = ON_CONFLICT_SKIP;
    STRBUF_AUTO skip = STRBUF_INIT;
    sql_compare_function(&skip, &job.plan, 7);
    expect_part(&skip, "LEFT JOIN");
    expect_no_part(&skip, "record_image_ne");
}

Test(sql_copy, rows_with_an_entry_in_the_change_log_do_not_differ)
{
    COPY_PLAN(job);
    STRBUF_AUTO none = STRBUF_INIT;
    sql_compare_function(&none, &job.plan, 7);
    expect_no_part(&none, "IN (SELECT l.k1");
    job.plan.sync_trigger = true;
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_compare_function(&sql, &job.plan, 7);
    expect_part(&sql, "AND NOT (COALESCE(pghaul_is.pghaul_k1, pghaul_has.pghaul_k1)) IN "
                      "(SELECT l.k1 FROM " LOG);
}

Test(sql_copy, a_repair_appends_the_keys_that_differ_to_the_change_log)
{
    COPY_PLAN(job);
    copy_plan_add_key(&job);
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_compare_function(&sql, &job.plan, 7);
    expect_part(&sql, "    IF $8 THEN\n        INSERT INTO " LOG " AS l (k1, k2)\n"
                      "        SELECT pghaul_keys[s.i][1]::bigint, pghaul_keys[s.i][2]::text");
}

/* ---- which functions ---- */

static bool
has_function(const Plan *plan, const char *what)
{
    bool found = false;
    for (size_t i = 0; i < sql_functions_count(); i++) {
        const SqlFunction *function = sql_functions_at(i);
        if (strcmp(function->what, what) == 0 && sql_functions_needed(function, plan)) {
            cr_expect(not(found), "%s twice", what);
            found = true;
        }
    }
    return found;
}

Test(sql_copy, a_copy_has_no_functions_that_change_its_source)
{
    static const char *const NOT[] = {
        "isolate_key", "isolate_block", "isolate_verify", "repair", "retry", "sync"};
    COPY_PLAN(job);
    job.plan.sync_trigger = true;
    for (int block = 0; block < 2; block++) {
        job.plan.path = block == 1 ? PATH_BLOCK : PATH_KEY;
        for (size_t i = 0; i < sizeof(NOT) / sizeof(NOT[0]); i++) {
            cr_expect(not(has_function(&job.plan, NOT[i])), "%s", NOT[i]);
        }
        cr_expect(has_function(&job.plan, "move"));
        cr_expect(has_function(&job.plan, "verify"));
        cr_expect(has_function(&job.plan, "locate_key"));
        cr_expect(eq(int, block, has_function(&job.plan, "locate_block")));
    }
    job.copy.remote = true;
    cr_expect(not(has_function(&job.plan, "move")));
}

Test(sql_copy, a_refused_row_is_looked_for_by_inserting_it)
{
    COPY_PLAN(job);
    STRBUF_AUTO sql = STRBUF_INIT;
    for (size_t i = 0; i < sql_functions_count(); i++) {
        if (strcmp(sql_functions_at(i)->what, "locate_key") == 0) {
            sql_functions_at(i)->text(&sql, &job.plan, 7);
        }
    }
    expect_part(&sql, "INSERT INTO \"shop\".\"archive\" AS pghaul_into");
    expect_part(&sql, "\"orders\".\"id\" = pghaul_row.pghaul_k1");
    expect_no_part(&sql, "UPDATE");
    expect_no_part(&sql, "LOCK TABLE");
}
