/*
 * test_sql_log.c - the change log of a copy, its triggers and its drain, as text.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/sql_drain.h"
#include "core/sql_functions.h"
#include "core/sql_log.h"
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

Test(sql_log, entries_have_the_key_typed_as_the_target_has_it)
{
    COPY_PLAN(job);
    copy_plan_add_key(&job);
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_log_table(&sql, &job.plan, 7);
    expect_part(&sql, "CREATE TABLE " LOG " (");
    expect_part(&sql, "    k1 bigint,\n    k2 text)");
    expect_part(&sql, "autovacuum_vacuum_scale_factor = 0");
}

Test(sql_log, capture_runs_as_its_owner_and_evaluates_only_inside_of_its_block)
{
    COPY_PLAN(job);
    job.spec.limits.log_bytes = 12345;
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_capture_function(&sql, &job.plan, 7);
    expect_part(&sql, "LANGUAGE plpgsql SECURITY DEFINER\nSET search_path = pg_catalog, pg_temp\n");
    expect_part(&sql, "pg_catalog.to_regclass('" LOG "')) <= 12345, false);");
    expect_part(&sql, "pghaul_new1 := NEW.\"id\";");
    const char *begins = strstr(strbuf_text(&sql), "        BEGIN\n");
    const char *ends = strstr(strbuf_text(&sql), "EXCEPTION WHEN OTHERS");
    const char *inserts = strstr(strbuf_text(&sql), "INSERT INTO");
    cr_assert(begins != NULL && ends != NULL && inserts != NULL);
    cr_expect(begins < ends && ends < inserts, "an insert in it would take a transaction id");
}

Test(sql_log, both_triggers_fire_after_the_write_and_always)
{
    COPY_PLAN(job);
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_log_trigger(&sql, &job.plan, 7);
    sql_log_truncate_trigger(&sql, &job.plan, 7);
    sql_log_truncate_enable(&sql, &job.plan, 7);
    expect_part(&sql, "CREATE TRIGGER zzzz_pghaul_7 AFTER INSERT OR UPDATE OR DELETE ON "
                      "\"shop\".\"orders\"\n    FOR EACH ROW EXECUTE");
    expect_part(&sql, "CREATE TRIGGER zzzz_pghaul_7_t AFTER TRUNCATE ON \"shop\".\"orders\"\n"
                      "    FOR EACH STATEMENT EXECUTE");
    expect_part(&sql, "ENABLE ALWAYS TRIGGER zzzz_pghaul_7_t");
}

Test(sql_log, drain_takes_exact_ids_reads_again_and_deletes_before_it_writes)
{
    COPY_PLAN(job);
    job.spec.where.text = "amount > 0 -- paid";
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_drain_function(&sql, &job.plan, 7);
    const char *const order[] = {"FOR NO KEY UPDATE", "ORDER BY pghaul_log.id LIMIT $4",
        "pg_catalog.record_image_eq(", "DELETE FROM \"shop\".\"archive\" AS pghaul_into",
        "INSERT INTO \"shop\".\"archive\"", "ON CONFLICT DO NOTHING", "DELETE FROM pghaul.log_7_",
        "UPDATE pghaul.slice"};
    const char *at = strbuf_text(&sql);
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        const char *next = strstr(at, order[i]);
        cr_assert(next != NULL, "%s does not follow in\n%s", order[i], at);
        at = next;
    }
    expect_part(&sql, "(amount > 0 -- paid\n)");
    expect_part(&sql, "WHERE pghaul_log.id = ANY (pghaul_ids)");
    expect_no_part(&sql, "EXCEPTION\n");
}

Test(sql_log, keys_are_cut_into_slices_only_where_equal_ones_have_equal_hashes)
{
    COPY_PLAN(job);
    STRBUF_AUTO sql = STRBUF_INIT;
    job.target_columns[0].collation_deterministic = true;
    cr_expect(eq(int, LOG_SLICES, sql_log_slices(&job.plan)));
    sql_log_put_in_slice(&sql, &job.plan, "$1", "4");
    expect_part(&sql, "hash_record_extended(ROW(pghaul_log.k1), 0)");
    strbuf_clear(&sql);
    job.target_columns[0].base_type_name = "citext";
    cr_expect(eq(int, 1, sql_log_slices(&job.plan)));
    sql_log_put_in_slice(&sql, &job.plan, "$1", "4");
    expect_no_part(&sql, "hash");
    job.target_columns[0].base_type_name = "text";
    job.target_columns[0].collation_deterministic = false;
    cr_expect(eq(int, 1, sql_log_slices(&job.plan)));
    job.target_columns[0].collation_deterministic = true;
    cr_expect(eq(int, LOG_SLICES, sql_log_slices(&job.plan)));
    job.arbiter.immediate = false;
    job.target.indexes = &job.arbiter;
    job.target.index_count = 1;
    cr_expect(eq(int, 1, sql_log_slices(&job.plan)), "a deferrable index does not tell");
}

Test(sql_log, between_two_servers_rows_are_staged_where_unique_indexes_may_be_built_later)
{
    COPY_PLAN(job);
    cr_expect(not(sql_drain_is_staged(&job.plan)));
    job.spec.indexes = INDEXES_AFTER;
    cr_expect(sql_drain_is_staged(&job.plan));
}

Test(sql_log, a_copy_without_sync_is_drained_but_not_captured)
{
    COPY_PLAN(job);
    for (int sync = 0; sync < 2; sync++) {
        job.plan.sync_trigger = sync == 1;
        for (size_t i = 0; i < sql_functions_count(); i++) {
            const SqlFunction *function = sql_functions_at(i);
            bool needed = sql_functions_needed(function, &job.plan);
            if (strcmp(function->what, "capture") == 0) {
                cr_expect(eq(int, sync == 1, needed));
            }
            if (strcmp(function->what, "drain") == 0 && (function->kinds & FOR_COPY) != 0) {
                cr_expect(needed);
            }
        }
    }
}
