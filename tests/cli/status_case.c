#include "cli/status_case.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "cli/cli.h"
#include "harness/harness.h"

#define POLL_NAP_US 50000

/* How far apart two answers a moment apart may be. */
#define NEAR_S     5.0
#define NEAR_RATIO 0.5

json_t *
status_read(const JobTest *test, const char *option)
{
    CliResult result = CLI("status", JOB_NAME, "-d", test->uri, "--json", option);
    cr_assert(eq(int, result.code, 0), "%s", result.err);
    json_t *object = json_loads(result.out, 0, NULL);
    cr_assert(ne(ptr, object, NULL), "%s", result.out);
    cli_free(&result);
    return object;
}

static const char *
text_of(const json_t *status, const char *name)
{
    const char *text = json_string_value(json_object_get(status, name));
    return text == NULL ? "" : text;
}

json_t *
status_wait_health(const JobTest *test, const char *health)
{
    pg_wait_true(
        test->conn, "SELECT to_regclass('pghaul.progress') IS NOT NULL", HARNESS_TIMEOUT_US);
    pg_wait_true(test->conn, "SELECT EXISTS (SELECT FROM pghaul.job WHERE cleaned IS NULL)",
        HARNESS_TIMEOUT_US);
    int64_t deadline_us = clock_mono_us() + HARNESS_TIMEOUT_US;
    for (;;) {
        json_t *status = status_read(test, NULL);
        if (strcmp(text_of(status, "health"), health) == 0) {
            return status;
        }
        if (clock_mono_us() > deadline_us) {
            harness_fail("health is %s (%s), not %s", text_of(status, "health"),
                text_of(status, "health_reason"), health);
        }
        json_decref(status);
        harness_nap_us(POLL_NAP_US);
    }
}

int64_t
status_int(const json_t *status, const char *name)
{
    return json_integer_value(json_object_get(status, name));
}

void
status_expect_text(const json_t *status, const char *name, const char *part)
{
    cr_expect(cli_has(text_of(status, name), part), "%s should contain \"%s\": %s", name, part,
        text_of(status, name));
}

void
status_expect_holder(const json_t *status, const Session *holder, const char *what)
{
    char pid[32];
    (void)snprintf(pid, sizeof(pid), "pid %d", session_backend_pid(holder));
    status_expect_text(status, "held_by", pid);
    status_expect_text(status, "held_by", what);
}

void
status_expect_output(const JobTest *test, const char *option, const char *part)
{
    CliResult result = CLI("status", JOB_NAME, "-d", test->uri, option);
    cr_expect(eq(int, result.code, 0), "%s", result.err);
    /* Lines are wrapped at blanks; the words count. */
    STRBUF_AUTO flat = STRBUF_INIT;
    for (const char *at = result.out; *at != '\0'; at++) {
        bool breaks = strncmp(at, "\n           ", 12) == 0;
        strbuf_put(&flat, breaks ? " " : at, 1);
        at += breaks ? 11 : 0;
    }
    cr_expect(cli_has(strbuf_text(&flat), part), "should contain \"%s\":\n%s", part, result.out);
    cli_free(&result);
}

/* ---- the view ---- */

static bool
is_near(const char *name, double a, double b)
{
    size_t len = strlen(name);
    bool age = len > 2 && strcmp(name + len - 2, "_s") == 0;
    double limit = age ? NEAR_S + fabs(a) * NEAR_RATIO : 1e-9;
    return fabs(a - b) <= limit;
}

static void
expect_same(const char *name, const json_t *said, const json_t *seen)
{
    bool same = json_is_number(said) && json_is_number(seen)
                    ? is_near(name, json_number_value(said), json_number_value(seen))
                    : json_equal(said, seen) == 1;
    char *a = json_dumps(said, JSON_ENCODE_ANY);
    char *b = json_dumps(seen, JSON_ENCODE_ANY);
    cr_expect(same, "%s: status says %s, the view %s", name, a, b);
    free(a);
    free(b);
}

void
status_expect_as_view(const JobTest *test)
{
    json_t *said = status_read(test, NULL);
    char *text = pg_text(test->conn, "SELECT to_json(p) FROM pghaul.progress p");
    json_t *seen = json_loads(text, 0, NULL);
    static const char *const OTHER[] = {"kind", "table_name", "created", "started", "finished"};
    size_t others = 0;
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(seen, name, value)
    {
        bool other = false;
        for (size_t i = 0; i < sizeof(OTHER) / sizeof(OTHER[0]); i++) {
            other = other || strcmp(name, OTHER[i]) == 0;
        }
        others += other;
        if (!other) {
            json_t *member = json_object_get(said, name);
            cr_expect(ne(ptr, member, NULL), "status has no %s", name);
            expect_same(name, member, value);
        }
    }
    cr_expect(eq(sz, others, sizeof(OTHER) / sizeof(OTHER[0])));
    cr_expect(eq(sz, json_object_size(seen), 33));
    json_decref(seen);
    json_decref(said);
    free(text);
}
