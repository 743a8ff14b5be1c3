/*
 * test_sql_text.c - what generated SQL must look like whatever the user's names and texts are.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/sql_backfill.h"
#include "core/sql_batch.h"
#include "core/sql_functions.h"
#include "unit/findings_job.h"

static Plan
build(Job *job)
{
    Plan plan;
    plan_build(&job->spec, &job->facts, &job->exprs, &job->indexes[0], &job->arena, &plan);
    return plan;
}

/* Times that `part` occurs. */
static int
count_of(const char *text, const char *part)
{
    int count = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + strlen(part), part)) {
        count++;
    }
    return count;
}

static bool
has(const StrBuf *text, const char *part)
{
    return strstr(strbuf_text(text), part) != NULL;
}

/* The text of a function that a backfill may have; false for those of other jobs. */
static bool
put_function(StrBuf *out, const Plan *plan, size_t index)
{
    const SqlFunction *function = sql_functions_at(index);
    if ((function->kinds & FOR_BACKFILL) == 0) {
        return false;
    }
    function->text(out, plan, 7);
    return true;
}

/* ---- dollar quotes ---- */

/* The quote that the function's text begins its body with. */
static const char *
quote_of(const char *text, Arena *arena)
{
    const char *as = strstr(text, "\nAS $");
    cr_assert(as != NULL, "%s", text);
    const char *begin = as + strlen("\nAS ");
    const char *end = strchr(begin + 1, '$');
    cr_assert(end != NULL);
    return arena_strndup(arena, begin, (size_t)(end - begin) + 1);
}

Test(sql_text, the_dollar_quote_does_not_occur_in_the_body)
{
    static const char *const EXPRS[] = {"amount_text::numeric", "$pghaul$1$pghaul$::text::numeric",
        "$pghaul$ $pghaul1$ $pghaul2$ $pghaul", "'$pghaul$' || '$pghaul1$'",
        "$$1$$::numeric -- $pghaul$"};
    JOB(job);
    for (size_t e = 0; e < sizeof(EXPRS) / sizeof(EXPRS[0]); e++) {
        job.set[0].expr.text = EXPRS[e];
        Plan plan = build(&job);
        for (size_t i = 0; i < sql_functions_count(); i++) {
            STRBUF_AUTO sql = STRBUF_INIT;
            if (!put_function(&sql, &plan, i)) {
                continue;
            }
            const char *text = strbuf_text(&sql);
            const char *quote = quote_of(text, &job.arena);
            cr_expect(eq(int, count_of(text, quote), 2), "%s in %s", quote, text);
            cr_expect(zero(int, strcmp(text + strlen(text) - strlen(quote), quote)), "%s", text);
            cr_expect(strstr(text, EXPRS[e]) != NULL, "%s", text);
        }
    }
    arena_reset(&job.arena);
}

/* ---- the user's texts ---- */

Test(sql_text, a_comment_at_the_end_of_an_expression_does_not_swallow_what_follows)
{
    JOB(job);
    job.set[0].expr.text = "amount_text::numeric -- euros";
    job.spec.where.text = "id > 0 -- all";
    Plan plan = build(&job);
    for (size_t i = 0; i < sql_functions_count(); i++) {
        STRBUF_AUTO sql = STRBUF_INIT;
        if (!put_function(&sql, &plan, i)) {
            continue;
        }
        const char *text = strbuf_text(&sql);
        cr_expect(lt(int, 0, count_of(text, "-- euros\n)")), "%s", text);
        cr_expect(eq(int, count_of(text, "-- euros"), count_of(text, "-- euros\n)")), "%s", text);
        cr_expect(eq(int, count_of(text, "-- all"), count_of(text, "-- all\n)")), "%s", text);
    }
}

Test(sql_text, the_trigger_keeps_to_where)
{
    JOB(job);
    job.set[0].expr.text = "amount_text::numeric";
    Plan plan = build(&job);
    STRBUF_AUTO without = STRBUF_INIT;
    sql_sync_function(&without, &plan, 7);
    cr_expect(not(has(&without, "IF (SELECT")));

    job.spec.where.text = "id % 2 = 0";
    plan = build(&job);
    STRBUF_AUTO with = STRBUF_INIT;
    sql_sync_function(&with, &plan, 7);
    cr_expect(has(&with, "IF (SELECT (id % 2 = 0)\n          FROM (SELECT NEW.*) AS \"orders\") "
                         "THEN"),
        "%s", strbuf_text(&with));
}

Test(sql_text, a_failing_expression_makes_null_only_of_a_column_that_may_be_null)
{
    JOB(job);
    job.set[0].expr.text = "amount_text::numeric";
    Plan plan = build(&job);
    STRBUF_AUTO nullable = STRBUF_INIT;
    sql_sync_function(&nullable, &plan, 7);
    cr_expect(has(&nullable, "NEW.\"amount\" := NULL"));
    job.columns[2].not_null = true;
    STRBUF_AUTO strict = STRBUF_INIT;
    sql_sync_function(&strict, &plan, 7);
    cr_expect(not(has(&strict, ":= NULL")), "%s", strbuf_text(&strict));
}

/* ---- names ---- */

static void
put_all(StrBuf *out, const Plan *plan)
{
    for (size_t i = 0; i < sql_functions_count(); i++) {
        (void)put_function(out, plan, i);
    }
    sql_sync_trigger(out, plan, 7);
    sql_sync_enable(out, plan, 7);
    sql_carve_probe(out, plan);
    sql_carve_rest(out, plan);
    sql_last_key(out, plan);
    sql_vacuum(out, plan);
}

Test(sql_text, names_are_always_quoted)
{
    JOB(job);
    job.set[0].expr.text = "1";
    job.facts.table.schema = "My Schema";
    job.facts.table.name = "Weird \"T\"";
    job.columns[0].name = "I;D";
    job.columns[2].name = "select";
    job.set[0].column = "select";
    job.spec.path = PATH_KEY;
    Plan plan = build(&job);
    STRBUF_AUTO sql = STRBUF_INIT;
    put_all(&sql, &plan);
    const char *text = strbuf_text(&sql);
    cr_expect(eq(int, count_of(text, "My Schema"), count_of(text, "\"My Schema\"")));
    cr_expect(eq(int, count_of(text, "Weird"), count_of(text, "\"Weird \"\"T\"\"\"")), "%s", text);
    cr_expect(eq(int, count_of(text, "I;D"), count_of(text, "\"I;D\"")));
    cr_expect(eq(int, count_of(text, "select"), count_of(text, "\"select\"")));
    cr_expect(lt(int, 5, count_of(text, "\"I;D\"")));
}

Test(sql_text, a_table_called_new_is_reached_by_its_name)
{
    JOB(job);
    job.facts.table.name = "new";
    job.columns[2].name = "select";
    job.set[0].column = "select";
    job.set[0].expr.text = "\"new\".id";
    Plan plan = build(&job);
    STRBUF_AUTO sync = STRBUF_INIT;
    sql_sync_function(&sync, &plan, 7);
    cr_expect(has(&sync, "FROM (SELECT NEW.*) AS \"new\""), "%s", strbuf_text(&sync));
    cr_expect(has(&sync, "INTO NEW.\"select\""), "%s", strbuf_text(&sync));
    STRBUF_AUTO move = STRBUF_INIT;
    sql_move_function(&move, &plan, 7);
    cr_expect(has(&move, "UPDATE ONLY \"public\".\"new\" AS \"new\""), "%s", strbuf_text(&move));
}

Test(sql_text, inheritance_children_are_left_out_of_every_statement_on_rows)
{
    JOB(job);
    job.set[0].expr.text = "1";
    job.spec.path = PATH_KEY;
    Plan plan = build(&job);
    STRBUF_AUTO sql = STRBUF_INIT;
    put_all(&sql, &plan);
    const char *text = strbuf_text(&sql);
    /* Besides DDL and VACUUM, which are not about rows, and the name of the slice's end. */
    cr_expect(eq(int, count_of(text, "FROM \"public\"") + count_of(text, "UPDATE \"public\""), 0),
        "%s", text);
    cr_expect(lt(int, 5, count_of(text, "ONLY \"public\".\"orders\"")));
}

/* ---- frames ---- */

Test(sql_text, every_batch_function_begins_with_the_compare_and_set)
{
    JOB(job);
    job.set[0].expr.text = "1";
    Plan plan = build(&job);
    for (size_t i = 0; i < sql_functions_count(); i++) {
        STRBUF_AUTO sql = STRBUF_INIT;
        if (!put_function(&sql, &plan, i)) {
            continue;
        }
        if (!has(&sql, "-- 5 ")) {
            continue; /* it has no checkpoint */
        }
        const char *text = strbuf_text(&sql);
        const char *claim = strstr(text, "FOR NO KEY UPDATE;\n    IF NOT FOUND");
        const char *rows = strstr(text, "-- 3 ");
        const char *checkpoint = strstr(text, "-- 5 ");
        cr_assert(claim != NULL && rows != NULL && checkpoint != NULL, "%s", text);
        cr_expect(claim < rows && rows < checkpoint);
        cr_expect(strstr(text, "#variable_conflict use_column") != NULL);
        cr_expect(strstr(text, "EXCEPTION WHEN") == NULL, "a failure must fail the transaction");
    }
}

Test(sql_text, locked_rows_are_never_stepped_over_when_the_watermark_is_the_only_truth)
{
    JOB(job);
    job.set[0].expr.text = "amount * 10";
    job.expr.self_referring = true;
    Plan plan = build(&job);
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_move_function(&sql, &plan, 7);
    cr_expect(not(has(&sql, "SKIP LOCKED")), "%s", strbuf_text(&sql));
    cr_expect(not(has(&sql, "record_image_ne")), "%s", strbuf_text(&sql));
}

Test(sql_text, the_stripe_is_asked_for_also_when_the_plan_has_one)
{
    JOB(job);
    job.set[0].expr.text = "amount * 10";
    job.expr.self_referring = true;
    job.spec.stripes = 1;
    Plan plan = build(&job);
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_move_function(&sql, &plan, 7);
    cr_expect(has(&sql, "pghaul_stripes = 1 OR "), "%s", strbuf_text(&sql));
}
