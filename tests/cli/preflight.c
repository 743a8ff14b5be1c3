#include "cli/preflight.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "harness/session.h"

static const char *
text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "" : text;
}

/* A finding of that code and severity that says `help`. */
static bool
has_finding(const json_t *findings, const Situation *s, const char *severity)
{
    size_t i = 0;
    json_t *finding = NULL;
    json_array_foreach(findings, i, finding)
    {
        if (strcmp(text_of(finding, "code"), s->code) == 0 &&
            strcmp(text_of(finding, "severity"), severity) == 0 &&
            (cli_has(text_of(finding, "text"), s->help) ||
                cli_has(text_of(finding, "hint"), s->help))) {
            return true;
        }
    }
    return false;
}

static void
expect(const CliBase *base, const char *uri, const Situation *s, const char *severity)
{
    CliResult result = CLI("check", base->job_file, "-d", uri, "--json");
    json_t *object = json_loads(result.out, 0, NULL);
    bool found = has_finding(json_object_get(object, "findings"), s, severity);
    int code = strcmp(severity, "refusal") == 0 ? 4 : 0;
    cr_expect(found, "%s: no %s %s with \"%s\"\n%s%s", s->title, severity, s->code, s->help,
        result.out, result.err);
    cr_expect(
        eq(int, code, result.code), "%s, %s\n%s%s", s->title, severity, result.out, result.err);
    json_decref(object);
    cli_free(&result);
}

void
preflight_expect(const CliBase *base, const char *uri, const Situation *situation)
{
    expect(base, uri, situation, situation->severity == NULL ? "refusal" : situation->severity);
}

static void
write_job(const CliBase *base, const Situation *s, bool accept)
{
    STRBUF_AUTO job = STRBUF_INIT;
    strbuf_printf(&job, "job: test\n%s", s->job);
    if (strstr(s->job, "standbys") == NULL) {
        strbuf_puts(&job, "throttle: {standbys: none}\n");
    }
    if (accept) {
        strbuf_printf(&job, "allow: [%s]\n", s->code);
    }
    cli_base_write_job(base, strbuf_text(&job));
}

void
situation_check(const CliBase *base, const Situation *s)
{
    pg_exec(base->conn, "SET client_min_messages = error;"
                        "DROP SCHEMA public CASCADE; CREATE SCHEMA public;"
                        "DROP SCHEMA IF EXISTS pghaul CASCADE");
    pg_exec(base->conn, s->setup);
    write_job(base, s, false);
    preflight_expect(base, base->uri, s);
    if (s->is_risk) {
        char word[64];
        (void)snprintf(word, sizeof(word), "allow: [%s]", s->code);
        Situation accept = *s;
        accept.help = word;
        preflight_expect(base, base->uri, &accept);
        write_job(base, s, true);
        expect(base, base->uri, s, s->severity == NULL ? "warning" : "note");
    }
    if (s->teardown != NULL) {
        pg_exec(base->conn, s->teardown);
    }
}

void
situations_check(const Situation *situations, size_t count)
{
    CliBase base = cli_base_new(1);
    for (size_t i = 0; i < count; i++) {
        situation_check(&base, &situations[i]);
    }
    cli_base_free(&base);
}

const char *
preflight_uri_of(const CliBase *base, const char *role)
{
    static char uri[512];
    (void)snprintf(uri, sizeof(uri), "host=%s port=%d dbname=%s user=%s",
        cluster_socket_dir(base->cluster), cluster_port(base->cluster), base->dbname, role);
    return uri;
}
