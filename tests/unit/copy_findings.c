#include "unit/copy_findings.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/jobkeys.h"

static const char *allowed[1];

void
copy_findings_init(CopyJob *job)
{
    copy_job_init(job);
    job->spec.allow.names = allowed;
    job->into_columns[2].not_null = false;
    job->into.table.may_delete = true;
}

static Findings
collect(CopyJob *job)
{
    Findings findings = FINDINGS_INIT;
    findings_collect(&job->spec, &job->facts, &job->exprs, &job->arena, &findings);
    return findings;
}

const Finding *
copy_expect(CopyJob *job, FindingSeverity severity, const char *code, const char *part)
{
    Findings findings = collect(job);
    const Finding *finding = findings_find(&findings, code);
    cr_assert(finding != NULL, "%s is missing", code);
    cr_expect(eq(int, finding->severity, severity), "%s: %s", code, finding->text);
    const char *hint = finding->hint == NULL ? "" : finding->hint;
    cr_expect(strstr(finding->text, part) != NULL || strstr(hint, part) != NULL,
        "%s: %s; %s; expected %s", code, finding->text, hint, part);
    cr_expect(severity != FINDING_REFUSE || finding->hint != NULL, "%s says not what helps", code);
    return finding;
}

void
copy_expect_allowed(CopyJob *job, FindingSeverity severity, const char *code, const char *part)
{
    int64_t unused = 0;
    Err err = ERR_INIT;
    cr_expect(jobkeys_parse(jobkeys_find("allow"), code, &unused, &err), "%s", err.message);
    (void)copy_expect(job, severity, code, part);
    allowed[0] = code;
    job->spec.allow.count = 1;
    (void)copy_expect(job, severity - 1, code, part);
    job->spec.allow.count = 0;
}

void
copy_expect_no(CopyJob *job, const char *code)
{
    Findings findings = collect(job);
    const Finding *finding = findings_find(&findings, code);
    cr_expect(finding == NULL, "%s: %s", code, finding == NULL ? "" : finding->text);
}

void
copy_expect_nothing(CopyJob *job)
{
    Findings findings = collect(job);
    cr_expect(zero(int, findings.count), "%s: %s", findings.items[0].code, findings.items[0].text);
}
