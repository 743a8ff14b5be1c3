#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/jobkeys.h"
#include "core/jobspec.h"

static bool
is_number(const JobKey *key)
{
    return key->type == KEY_COUNT || key->type == KEY_DURATION || key->type == KEY_SIZE;
}

Test(jobfile_keys, every_number_has_a_range_and_every_bound_is_permitted)
{
    for (size_t i = 0; i < jobkeys_count(); i++) {
        const JobKey *key = jobkeys_at(i);
        if (!is_number(key)) {
            continue;
        }
        int64_t min;
        int64_t max;
        Err err = ERR_INIT;
        cr_expect(jobkeys_parse(key, key->min, &min, &err), "%s", key->path);
        cr_expect(jobkeys_parse(key, key->max, &max, &err), "%s", key->path);
        cr_expect(lt(i64, min, max), "%s", key->path);
        cr_expect(key->size == sizeof(int64_t) || max <= INT32_MAX, "%s", key->path);
    }
}

Test(jobfile_keys, every_default_and_example_is_permitted)
{
    for (size_t i = 0; i < jobkeys_count(); i++) {
        const JobKey *key = jobkeys_at(i);
        bool is_scalar = is_number(key) || key->type == KEY_CHOICE;
        int64_t value;
        Err err = ERR_INIT;
        if (key->fallback != NULL) {
            cr_expect(jobkeys_parse(key, key->fallback, &value, &err), "%s", key->path);
        } else if (is_scalar) {
            cr_expect(jobkeys_parse(key, key->example, &value, &err), "%s", key->path);
        }
    }
}

Test(jobfile_keys, every_key_has_text_and_says_what_holds_without_it)
{
    for (size_t i = 0; i < jobkeys_count(); i++) {
        const JobKey *key = jobkeys_at(i);
        cr_assert(key->text != NULL && key->text[0] != '\0', "%s", key->path);
        cr_expect(key->text[strlen(key->text) - 1] != '.', "%s", key->path);
        cr_expect(key->type == KEY_SECTION || (key->fallback == NULL) != (key->absent == NULL),
            "%s", key->path);
        cr_expect(jobkeys_find(key->path) == key, "%s", key->path);
    }
}

Test(jobfile_keys, every_risk_has_text)
{
    const JobKey *allow = jobkeys_find("allow");
    cr_assert(allow != NULL);
    int count = 0;
    for (const KeyWord *risk = allow->words; risk->word != NULL; risk++) {
        cr_expect(risk->text != NULL, "%s", risk->word);
        count++;
    }
    cr_expect(lt(int, 0, count));
}

Test(jobfile_keys, unknown_paths_are_not_found)
{
    cr_expect(jobkeys_find("") == NULL);
    cr_expect(jobkeys_find("lag") == NULL);
    cr_expect(jobkeys_find("throttle.") == NULL);
    cr_expect(jobkeys_find("throttle.lag ") == NULL);
}

Test(jobfile_keys, suggestions_stay_in_the_section_unless_the_word_is_exact)
{
    cr_expect_str_eq(jobkeys_suggest("", "throtle"), "throttle");
    cr_expect_str_eq(jobkeys_suggest("throttle", "lag_byte"), "throttle.lag_bytes");
    cr_expect_str_eq(jobkeys_suggest("", "lag"), "throttle.lag");
    cr_expect_str_eq(jobkeys_suggest("limits", "time"), "batch.time");
    cr_expect_str_eq(jobkeys_suggest("limits", "workers"), "workers");
    cr_expect(jobkeys_suggest("", "lagg") == NULL);
    cr_expect(jobkeys_suggest("", "") == NULL);
}

Test(jobfile_keys, a_value_is_a_word_or_a_number_in_the_range)
{
    const JobKey *workers = jobkeys_find("workers");
    int64_t value = -1;
    Err err = ERR_INIT;
    cr_expect(jobkeys_parse(workers, "auto", &value, &err));
    cr_expect(eq(i64, value, 0));
    cr_expect(jobkeys_parse(workers, "64", &value, &err));
    cr_expect(eq(i64, value, 64));
    cr_expect(not(jobkeys_parse(workers, "Auto", &value, &err)));
    cr_expect_str_eq(err.message, "\"Auto\" is not a count");
    err = ERR_INIT;
    cr_expect(not(jobkeys_parse(workers, "65", &value, &err)));
    cr_expect_str_eq(err.hint, "Permitted: auto, 1..64.");
}

Test(jobfile_keys, the_reference_is_at_most_100_wide_and_names_every_key)
{
    STRBUF_AUTO help = STRBUF_INIT;
    jobkeys_help(&help, 100);
    const char *line = strbuf_text(&help);
    while (*line != '\0') {
        size_t len = strcspn(line, "\n");
        cr_expect(le(sz, len, 100), "%.*s", (int)len, line);
        cr_expect(len == 0 || line[len - 1] != ' ', "%.*s", (int)len, line);
        cr_assert(line[len] == '\n');
        line += len + 1;
    }
    for (size_t i = 0; i < jobkeys_count(); i++) {
        STRBUF_AUTO row = STRBUF_INIT;
        strbuf_printf(&row, "\n%s ", jobkeys_at(i)->path);
        cr_expect(strstr(strbuf_text(&help), strbuf_text(&row)) != NULL, "%s", row.text);
    }
}

Test(jobfile_keys, the_reference_keeps_to_the_width_of_a_narrow_terminal)
{
    static const int WIDTHS[] = {40, 80, 99};
    for (size_t i = 0; i < sizeof(WIDTHS) / sizeof(WIDTHS[0]); i++) {
        STRBUF_AUTO help = STRBUF_INIT;
        jobkeys_help(&help, WIDTHS[i]);
        for (const char *line = help.text; *line != '\0'; line += strcspn(line, "\n") + 1) {
            cr_expect(le(sz, strcspn(line, "\n"), (size_t)WIDTHS[i]), "%s", line);
        }
    }
}

/* The column of `word` in the line of the reference that begins with `name`. */
static size_t
column_of(const char *help, const char *name, const char *word)
{
    STRBUF_AUTO start = STRBUF_INIT;
    strbuf_printf(&start, "\n%s ", name);
    const char *line = strstr(help, strbuf_text(&start));
    cr_assert(line != NULL, "%s", name);
    const char *at = strstr(line, word);
    cr_assert(at != NULL && strcspn(line + 1, "\n") > (size_t)(at - line), "%s", name);
    return (size_t)(at - line);
}

Test(jobfile_keys, the_columns_of_the_reference_are_aligned)
{
    STRBUF_AUTO out = STRBUF_INIT;
    strbuf_putc(&out, '\n');
    jobkeys_help(&out, 100);
    const char *help = strbuf_text(&out);
    size_t fallback = column_of(help, "key", "default");
    cr_expect(eq(sz, column_of(help, "lease", "30s"), fallback));
    cr_expect(eq(sz, column_of(help, "throttle.standbys", "auto  "), fallback));
    cr_expect(eq(sz, column_of(help, "limits.rows", "no limit"), fallback));
    size_t text = column_of(help, "key", "meaning");
    cr_expect(eq(sz, column_of(help, "lease", "after"), text));
    cr_expect(eq(sz, column_of(help, "batch", "the size"), text));
}
