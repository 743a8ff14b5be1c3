#include "unit/findings_job.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/jobfile.h"

static ColumnFacts
column(int attnum, const char *name, const char *type)
{
    return (ColumnFacts){.attnum = attnum,
        .name = name,
        .type = type,
        .base_type = type,
        .base_type_name = type,
        .collation_deterministic = true,
        .may_update = true,
        .may_select = true};
}

static IndexFacts
unique_index(const char *name, int *attnums, int count)
{
    return (IndexFacts){.name = name,
        .unique = true,
        .valid = true,
        .ready = true,
        .immediate = true,
        .default_order = true,
        .attnums = attnums,
        .attnum_count = count};
}

void
job_init(Job *job)
{
    memset(job, 0, sizeof(*job));
    job->arena = ARENA_INIT;
    job->set[0] = (Assignment){.column = "amount", .place = {.line = 4, .column = 3}};
    job->spec = (JobSpec){.file = "j.yaml",
        .table = "orders",
        .set = job->set,
        .set_count = 1,
        .allow = {.names = job->allow},
        .key = {.names = job->names},
        .key_place = {.line = 6, .column = 6}};
    job->columns[0] = column(1, "id", "int8");
    job->columns[0].not_null = true;
    job->columns[0].indexed = true;
    job->columns[0].in_unique = true;
    job->columns[1] = column(2, "amount_text", "text");
    job->columns[2] = column(3, "amount", "numeric(10,2)");
    job->columns[3] = column(4, "code", "text");
    job->id_attnum[0] = 1;
    job->other_attnums[0] = 4;
    job->indexes[0] = unique_index("orders_pkey", job->id_attnum, 1);
    job->indexes[0].primary = true;
    job->indexes[1] = unique_index("orders_code", job->other_attnums, 1);
    job->triggers[0] = (TriggerFacts){.name = "audit",
        .function = "public.audit",
        .before = true,
        .row = true,
        .on_insert = true,
        .on_update = true,
        .fires_on_set = true,
        .enabled = true};
    job->standbys[0] = (StandbyFacts){.name = "s1", .state = "streaming", .readable = true};
    job->facts = (Facts){
        .server = {.version_num = 150020,
            .system_id = "1",
            .started = "2026-01-01",
            .database = "shop",
            .role = "mover",
            .role_reads_stats = true,
            .connections_free = 50,
            .may_create_schema = true,
            .may_create_temporary = true},
        .table = {.schema = "public",
            .name = "orders",
            .relkind = 'r',
            .persistence = 'p',
            .access_method = "heap",
            .owner = "mover",
            .owned_by_us = true,
            .owner_is_trusted = true,
            .rows = 1000,
            .may_select = true,
            .may_select_system = true,
            .may_update = true,
            .may_trigger = true,
            .may_vacuum = true,
            .may_use_schema = true},
        .columns = job->columns,
        .column_count = 4,
        .indexes = job->indexes,
        .index_count = 2,
        .triggers = job->triggers,
        .standbys = job->standbys,
    };
    job->expr = (ExprFacts){.result_type = "numeric", .immutable = true};
    job->where = (ExprFacts){.result_type = "boolean", .immutable = true};
    job->exprs = (ExprReport){.set = &job->expr};
}

void
job_collect(Job *job)
{
    job->findings = FINDINGS_INIT;
    findings_collect(&job->spec, &job->facts, &job->exprs, &job->arena, &job->findings);
}

void
expect_finding(Job *job, FindingSeverity severity, const char *code, const char *part)
{
    job_collect(job);
    const Finding *finding = findings_find(&job->findings, code);
    cr_assert(finding != NULL, "%s is missing", code);
    cr_expect(eq(int, finding->severity, severity), "%s: %s", code, finding->text);
    const char *hint = finding->hint == NULL ? "" : finding->hint;
    cr_expect(strstr(finding->text, part) != NULL || strstr(hint, part) != NULL,
        "%s: %s; %s; expected %s", code, finding->text, hint, part);
    int refusals = 0;
    for (int i = 0; i < job->findings.count; i++) {
        const Finding *other = &job->findings.items[i];
        refusals += other->severity == FINDING_REFUSE ? 1 : 0;
        cr_expect(other->severity != FINDING_REFUSE || other->hint != NULL,
            "refusal %s says not what helps", other->code);
    }
    cr_expect(eq(int, refusals, job->findings.refuse_count));
}

void
expect_none(Job *job)
{
    job_collect(job);
    cr_expect(zero(int, job->findings.count), "%s: %s", job->findings.items[0].code,
        job->findings.items[0].text);
}

void
job_allow(Job *job, const char *word)
{
    job->allow[0] = word;
    job->spec.allow.count = 1;
}

/* The word must also be one that a job file may have. */
static void
expect_permitted(Job *job, const char *word)
{
    const char *text =
        arena_printf(&job->arena, "job: j\nbackfill: t\nset:\n  a: b\nallow: [%s]\n", word);
    JobSpec spec;
    Err err = ERR_INIT;
    cr_expect(
        jobfile_parse("j.yaml", text, strlen(text), &job->arena, &spec, &err), "%s", err.message);
}

void
expect_caution(Job *job, const char *code, const char *part)
{
    expect_finding(job, FINDING_WARN, code, part);
    expect_permitted(job, code);
    job_allow(job, code);
    expect_finding(job, FINDING_NOTE, code, part);
    job->spec.allow.count = 0;
}

void
expect_risk(Job *job, const char *code, const char *part)
{
    expect_finding(job, FINDING_REFUSE, code, part);
    const Finding *finding = findings_find(&job->findings, code);
    cr_expect(zero(int, strcmp(finding->allow, code)));
    const char *accept = arena_printf(&job->arena, "allow: [%s]", code);
    cr_expect(strstr(finding->hint, accept) != NULL, "%s", finding->hint);
    expect_permitted(job, code);
    job_allow(job, code);
    expect_finding(job, FINDING_WARN, code, part);
    job->spec.allow.count = 0;
}
