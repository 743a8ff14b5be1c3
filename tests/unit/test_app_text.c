/*
 * test_app_text.c - text and JSON for people and programs: wrapped, safe, valid.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "app/json.h"
#include "app/plan_text.h"
#include "app/text.h"

/* ---- text ---- */

Test(app_text, wrapped_lines_are_indented_like_the_first)
{
    STRBUF_AUTO out = STRBUF_INIT;
    text_put_wrapped(&out, "  hint: ", "one two three four five", 20);
    cr_expect(eq(str, "  hint: one two\n        three four\n        five\n", out.text));
}

Test(app_text, word_wider_than_the_line_stands_alone)
{
    STRBUF_AUTO out = STRBUF_INIT;
    text_put_wrapped(&out, "", "a abcdefghijklmnop b", 10);
    cr_expect(eq(str, "a\nabcdefghijklmnop\nb\n", out.text));
}

Test(app_text, wide_label_does_not_squeeze_its_text)
{
    STRBUF_AUTO out = STRBUF_INIT;
    text_put_wrapped(&out, "standbys    ", "one two three four five", 20);
    cr_expect(eq(str, "standbys    one two\n  three four five\n", out.text));
    strbuf_clear(&out);
    text_put_wrapped(&out, "standbys    ", "application", 20);
    cr_expect(eq(str, "standbys    \n  application\n", out.text));
}

Test(app_text, what_is_too_wide_is_cut_between_characters)
{
    STRBUF_AUTO out = STRBUF_INIT;
    text_put_cut(&out, "abc\xe6\xbc\xa2z", 4);
    cr_expect(eq(str, "abc", out.text));
    text_put_cut(&out, "\xe6\xbc\xa2\033z", 4);
    cr_expect(eq(str, "abc\xe6\xbc\xa2?z", out.text));
    strbuf_clear(&out);
    text_put_cut(&out, "as wide as it gets", 0);
    cr_expect(eq(str, "as wide as it gets", out.text));
}

Test(app_text, control_characters_and_bad_bytes_do_not_pass)
{
    STRBUF_AUTO out = STRBUF_INIT;
    text_put_safe(&out, "a\033[31m\tb\n\xc3\xa4\xff");
    cr_expect(eq(str, "a?[31m?b\n\xc3\xa4?", out.text));
}

Test(app_text, error_shows_context_excerpt_and_hint)
{
    Err err = ERR_INIT;
    (void)err_set(&err, ERR_USER, "j.yaml:2:3: unknown key \"sett\"");
    (void)err_hint(&err, "Did you mean set?");
    (void)snprintf(err.excerpt, sizeof(err.excerpt), "  sett:\n  ^");
    STRBUF_AUTO out = STRBUF_INIT;
    text_put_error(&out, &err);
    cr_expect(eq(str,
        "pghaul: error: j.yaml:2:3: unknown key \"sett\"\n  sett:\n  ^\nhint: Did you mean set?\n",
        out.text));
}

Test(app_text, a_sqlstate_of_our_own_is_not_shown)
{
    Err err = {.cls = ERR_REFUSED, .message = "job j is new", .sqlstate = "PH012"};
    STRBUF_AUTO out = STRBUF_INIT;
    text_put_error(&out, &err);
    cr_expect(eq(int, 0, strcmp("pghaul: error: job j is new\n", strbuf_text(&out))));
}

Test(app_text, a_clean_stop_is_not_called_an_error)
{
    Err err = ERR_INIT;
    (void)err_set(&err, ERR_STOPPED, "stopped by a signal with work left");
    STRBUF_AUTO out = STRBUF_INIT;
    text_put_error(&out, &err);
    cr_expect(eq(str, "pghaul: stopped by a signal with work left\n", out.text));
}

static Findings
two_findings(void)
{
    static Finding items[] = {
        {FINDING_REFUSE, "row-security", "row security hides rows", "Run as owner.", "hidden"},
        {FINDING_NOTE, "children", "children are not touched", NULL, NULL},
    };
    return (Findings){.items = items, .count = 2, .size = 2, .refuse_count = 1};
}

Test(app_text, findings_have_severity_code_text_and_hint)
{
    Findings findings = two_findings();
    Terminal term = {.fd = 1};
    STRBUF_AUTO out = STRBUF_INIT;
    text_put_findings(&out, &findings, &term, 80);
    text_put_counts(&out, &findings);
    cr_expect(eq(str,
        "refused (row-security)\n  row security hides rows\n  hint: Run as owner.\n"
        "note (children)\n  children are not touched\n1 refusal, 0 warnings, 1 note",
        out.text));
}

/* ---- JSON ---- */

/* The object as a reader gets it. */
static json_t *
through_text(json_t *object)
{
    char *line = json_dumps(object, JSON_COMPACT);
    cr_assert(ne(ptr, line, NULL));
    cr_expect(eq(ptr, strchr(line, '\n'), NULL));
    json_t *read = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    cr_assert(ne(ptr, read, NULL), "%s", line);
    free(line);
    json_decref(object);
    return read;
}

/* A copy that the assertions may take. */
static char *
string_of(const json_t *value)
{
    static char copy[64];
    (void)snprintf(copy, sizeof(copy), "%s", json_string_value(value));
    return copy;
}

static bool
is_null(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return value != NULL && json_typeof(value) == JSON_NULL;
}

Test(app_json, progress_is_one_valid_line_whatever_the_numbers)
{
    Progress progress = {.share = NAN,
        .rows_per_s = INFINITY,
        .eta_s = -1,
        .hot_ratio = -1,
        .batch_ms = -1,
        .standby_count = 1};
    (void)snprintf(progress.standbys[0].name, sizeof(progress.standbys[0].name), "s\"\n\xff");
    progress.verdict.pause = true;
    progress.verdict.reason_code = SIGNAL_LAG;
    (void)snprintf(progress.verdict.reason, sizeof(progress.verdict.reason), "lag");
    progress.paused_us[SIGNAL_LAG] = 1500000;
    json_t *read = through_text(json_progress("orders", &progress));
    cr_expect(eq(str, "progress", string_of(json_object_get(read, "type"))));
    cr_expect(is_null(read, "done_ratio"));
    cr_expect(is_null(read, "rows_per_s"));
    cr_expect(is_null(read, "eta_s"));
    cr_expect(is_null(read, "hot_ratio"));
    cr_expect(eq(int, JSON_TRUE, json_typeof(json_object_get(read, "throttled"))));
    const json_t *throttled = json_object_get(read, "throttled_s");
    cr_expect(eq(dbl, 1.5, json_real_value(json_object_get(throttled, "lag"))));
    json_decref(read);
}

Test(app_json, error_and_findings_are_complete)
{
    Err err = ERR_INIT;
    (void)err_set(&err, ERR_REFUSED, "no");
    json_t *read = through_text(json_error(&err));
    cr_expect(eq(str, "refused", string_of(json_object_get(read, "class"))));
    cr_expect(is_null(read, "hint"));
    json_decref(read);

    Findings findings = two_findings();
    json_t *list = through_text(json_findings(&findings));
    cr_assert(eq(sz, 2, json_array_size(list)));
    const json_t *first = json_array_get(list, 0);
    cr_expect(eq(str, "refusal", string_of(json_object_get(first, "severity"))));
    cr_expect(eq(str, "hidden", string_of(json_object_get(first, "allow"))));
    json_decref(list);
}

/* ---- estimate ---- */

Test(app_plan, estimate_follows_the_measured_factors)
{
    Facts facts = {.table = {.rows = 1000000,
                       .blocks = 22000,
                       .total_bytes = 270000000,
                       .index_bytes = 100000000,
                       .index_count = 2}};
    Plan striped = {.facts = &facts, .stripes = 8, .vacuum = true};
    PlanEstimate estimate = plan_estimate(&striped);
    cr_expect(eq(i64, 170, estimate.row_bytes));
    cr_expect(eq(i64, 361000000, estimate.wal_bytes));
    cr_expect(eq(i64, 21250000, estimate.growth_bytes));
    striped.sync_trigger = true;
    cr_expect(eq(i64, 426000000, plan_estimate(&striped).wal_bytes));

    Plan plain = {.facts = &facts, .stripes = 1, .vacuum = true};
    estimate = plan_estimate(&plain);
    cr_expect(eq(i64, 620000000, estimate.wal_bytes));
    cr_expect(eq(i64, 270000000, estimate.growth_bytes));
}

Test(app_plan, estimate_without_statistics_counts_blocks)
{
    Facts facts = {.table = {.rows = -1, .blocks = 100, .total_bytes = 819200}};
    Plan plan = {.facts = &facts, .stripes = 1, .rows_per_block = 50};
    cr_expect(eq(i64, 5000, plan_estimate(&plan).rows));
    facts.table.blocks = 0;
    cr_expect(eq(i64, 0, plan_estimate(&plan).wal_bytes));
}
