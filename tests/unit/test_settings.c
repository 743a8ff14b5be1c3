#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <regex.h>
#include <string.h>

#include "core/jobfile.h"
#include "core/jobkeys.h"
#include "core/settings.h"

static Arena arena;
static JobSpec spec;
static Err err;

static const char FILE_TEXT[] = "\xEF\xBB\xBFjob: j\nbackfill: t\nset: {a: b}\nworkers: 3\n"
                                "batch: {time: 30ms}\n";

static void
begin(void)
{
    err = ERR_INIT;
    cr_assert(jobfile_parse("j.yaml", FILE_TEXT, strlen(FILE_TEXT), &arena, &spec, &err));
}

static void
end(void)
{
    arena_reset(&arena);
}

TestSuite(settings, .init = begin, .fini = end);

static bool
put(const char *key, const char *value)
{
    err = ERR_INIT;
    return settings_put(&spec, key, value, &err);
}

Test(settings, values_go_where_the_job_file_would_put_them)
{
    cr_expect(put("workers", "7"));
    cr_expect(put("throttle.yield_after", "1s"));
    cr_expect(put("batch.time", "700ms"));
    cr_expect(put("on_error", "quarantine"));
    cr_expect(put("limits.rows", "5M"));
    Settings settings = settings_of_spec(&spec);
    cr_expect(eq(int, settings.workers, 7));
    cr_expect(eq(i64, settings.batch_time_us, 700000));
    cr_expect(eq(int, settings.on_error, ON_ERROR_QUARANTINE));
    cr_expect(eq(i64, settings.limits.rows, 5000000));
    cr_expect(eq(i64, settings.throttle.yield_after_us, 1000000));
}

Test(settings, a_copy_cannot_set_rows_aside)
{
    spec.kind = KIND_COPY;
    cr_expect(not(put("on_error", "quarantine")));
    cr_expect(eq(str, err.message, "on_error: a copy cannot set rows aside"));
    cr_expect(not(put("limits.quarantine", "5")));
    cr_expect(eq(str, err.message, "limits.quarantine is no setting of a copy"));
    cr_expect(put("on_error", "stop"));
    cr_expect(put("workers", "7"));
}

Test(settings, refused_values_change_nothing_and_say_what_is_permitted)
{
    cr_expect(not(put("workers", "65")));
    cr_expect(eq(str, err.hint, "Permitted: auto, 1..64."));
    cr_expect(not(put("batch.time", "201ms")));
    cr_expect(eq(str, err.message, "batch.time is longer than throttle.yield_after"));
    cr_expect(not(put("stripes", "4")));
    cr_expect(eq(str, err.message, "stripes cannot change while the job runs"));
    cr_expect(not(put("workrs", "4")));
    cr_expect(eq(str, err.hint, "Did you mean workers?"));
    cr_expect(eq(int, err.cls, ERR_USER));
    cr_expect(eq(int, spec.workers, 3));
    cr_expect(eq(int, spec.stripes, 0));
    cr_expect(eq(i64, spec.batch_time_us, 30000));
}

Test(settings, copy_takes_one_live_value)
{
    JobSpec old = spec;
    cr_expect(put("workers", "7"));
    cr_expect(put("batch.time", "40ms"));
    settings_copy(&spec, &old, "workers");
    settings_copy(&spec, &old, "no such key");
    cr_expect(eq(int, spec.workers, 3));
    cr_expect(eq(i64, spec.batch_time_us, 40000));
}

Test(settings, what_the_file_says_is_read_back_as_written)
{
    cr_expect(eq(str, (char *)(uintptr_t)jobfile_written(&spec, "workers", &arena), "3"));
    cr_expect(eq(str, (char *)(uintptr_t)jobfile_written(&spec, "batch.time", &arena), "30ms"));
    cr_expect(eq(ptr, (void *)(uintptr_t)jobfile_written(&spec, "batch.rows", &arena), NULL));
    cr_expect(eq(ptr, (void *)(uintptr_t)jobfile_written(&spec, "throttle.lag", &arena), NULL));
    cr_expect(eq(ptr, (void *)(uintptr_t)jobfile_written(&spec, "batch", &arena), NULL));
}

/* What the SQL function takes and what the run takes may differ in the range only. */
Test(settings, patterns_have_the_form_that_the_parser_takes)
{
    static const char *const TEXTS[] = {"auto", "stop", "quarantine", "none", "5", "5_000", "5_",
        "_5", "5k", "5M", "5s", "5ms", "5 s", "1h", "1d", "5MB", "1TB", "-5", "5.5s", "", "5s\n",
        "5mb", "0", "64kB", "10ms", "2s", "99999999999999999999"};
    for (size_t i = 0; i < jobkeys_count(); i++) {
        const JobKey *key = jobkeys_at(i);
        if (!key->live) {
            continue;
        }
        STRBUF_AUTO pattern = STRBUF_INIT;
        jobkeys_pattern(key, &pattern);
        regex_t regex;
        cr_assert(eq(int, 0, regcomp(&regex, strbuf_text(&pattern), REG_EXTENDED | REG_NOSUB)));
        for (size_t t = 0; t < sizeof(TEXTS) / sizeof(TEXTS[0]); t++) {
            int64_t value = 0;
            Err cause = ERR_INIT;
            bool taken = jobkeys_parse(key, TEXTS[t], &value, &cause);
            bool has_form = taken || strstr(cause.message, "out of range") != NULL ||
                            strstr(cause.message, "too large") != NULL;
            bool matches = regexec(&regex, TEXTS[t], 0, NULL, 0) == 0;
            cr_expect(eq(int, matches, has_form), "%s: \"%s\" and %s", key->path, TEXTS[t],
                strbuf_text(&pattern));
        }
        regfree(&regex);
    }
}
