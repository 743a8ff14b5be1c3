#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "unit/findings_job.h"

/* ---- key ---- */

Test(findings, key_is_the_primary_key_or_the_named_unique_index)
{
    JOB(job);
    const char *why = NULL;
    cr_expect(findings_key_index(&job.spec, &job.facts, &why) == &job.indexes[0]);
    job.names[0] = "code";
    job.spec.key.count = 1;
    job.columns[3].not_null = true;
    cr_expect(findings_key_index(&job.spec, &job.facts, &why) == &job.indexes[1]);
    cr_expect(why == NULL);
    arena_reset(&job.arena);
}

Test(findings, unusable_keys_are_refused_with_the_reason)
{
    JOB(job);
    bool *const spoil[] = {&job.indexes[0].valid, &job.indexes[0].ready, &job.indexes[0].immediate,
        &job.indexes[0].default_order, &job.columns[0].not_null,
        &job.columns[0].collation_deterministic};
    static const char *const WHY[] = {
        "not valid", "not valid", "deferrable", "ascending", "may be NULL", "nondeterministic"};
    for (size_t i = 0; i < sizeof(spoil) / sizeof(spoil[0]); i++) {
        *spoil[i] = false;
        expect_finding(&job, FINDING_REFUSE, "key", WHY[i]);
        *spoil[i] = true;
    }
    bool *const taint[] = {
        &job.indexes[0].partial, &job.indexes[0].has_expressions, &job.columns[0].is_float};
    static const char *const TAINT_WHY[] = {"partial", "expressions", "floating-point"};
    for (size_t i = 0; i < sizeof(taint) / sizeof(taint[0]); i++) {
        *taint[i] = true;
        expect_finding(&job, FINDING_REFUSE, "key", TAINT_WHY[i]);
        *taint[i] = false;
    }
    expect_none(&job);
    arena_reset(&job.arena);
}

Test(findings, table_without_primary_key_is_told_which_index_would_do)
{
    JOB(job);
    job.indexes[0].primary = false;
    expect_finding(&job, FINDING_REFUSE, "key", "no primary key");
    expect_finding(&job, FINDING_REFUSE, "key", "Use key: [id].");
    job.facts.index_count = 0;
    expect_finding(&job, FINDING_REFUSE, "key", "CREATE UNIQUE INDEX CONCURRENTLY");
    arena_reset(&job.arena);
}

Test(findings, named_key_must_match_a_unique_index)
{
    JOB(job);
    job.names[0] = "code";
    job.spec.key.count = 1;
    expect_finding(&job, FINDING_REFUSE, "key", "may be NULL");
    job.columns[3].not_null = true;
    job.indexes[1].unique = false;
    expect_finding(&job, FINDING_REFUSE, "key", "not unique");
    job.names[0] = "amount_text";
    expect_finding(&job, FINDING_REFUSE, "key", "exactly these columns");
    job.indexes[1].unique = true;
    job.other_attnums[0] = 4;
    job.other_attnums[1] = 1;
    job.indexes[1].attnum_count = 2;
    job.names[0] = "id";
    job.names[1] = "code";
    job.spec.key.count = 2;
    expect_finding(&job, FINDING_REFUSE, "key", "another order");
    job.names[1] = "cod";
    expect_finding(&job, FINDING_REFUSE, "key-column", "Did you mean code?");
    expect_finding(&job, FINDING_REFUSE, "key-column", "j.yaml:6:6: ");
    arena_reset(&job.arena);
}

Test(findings, key_under_a_changed_collation_is_a_risk)
{
    JOB(job);
    job.columns[0].collation_version_drift = true;
    expect_risk(&job, "collation-drift", "REINDEX INDEX CONCURRENTLY \"public\".\"orders_pkey\"");
    arena_reset(&job.arena);
}

/* ---- SET columns ---- */

Test(findings, missing_set_column_gets_a_suggestion)
{
    JOB(job);
    job.set[0].column = "amuont";
    expect_finding(&job, FINDING_REFUSE, "set-column", "j.yaml:4:3: column \"amuont\"");
    expect_finding(&job, FINDING_REFUSE, "set-column", "Did you mean amount?");
    job.set[0].column = "net_price";
    expect_finding(&job, FINDING_REFUSE, "set-column", "ADD COLUMN \"net_price\"");
    arena_reset(&job.arena);
}

Test(findings, columns_that_cannot_be_set_are_refused)
{
    JOB(job);
    job.columns[2].generated = true;
    expect_finding(&job, FINDING_REFUSE, "set-generated", "amount");
    job.columns[2].generated = false;
    job.columns[2].identity = true;
    expect_finding(&job, FINDING_REFUSE, "set-identity", "DROP IDENTITY");
    job.columns[2].identity = false;
    job.set[0].column = "id";
    expect_finding(&job, FINDING_REFUSE, "set-key", "\"id\"");
    arena_reset(&job.arena);
}

Test(findings, constraints_and_indexes_of_set_columns_are_said)
{
    JOB(job);
    job.columns[2].in_check = true;
    expect_finding(&job, FINDING_WARN, "set-check", "check constraint: writes of the application");
    job.columns[2].in_check = false;
    job.columns[2].not_null = true;
    expect_finding(&job, FINDING_WARN, "set-check", "NOT NULL");
    job.columns[2].not_null = false;
    job.columns[2].indexed = true;
    expect_finding(&job, FINDING_NOTE, "set-indexed", "stripes");
    job.columns[2].indexed = false;
    job.columns[2].in_foreign_key = true;
    expect_finding(&job, FINDING_WARN, "set-unique", "foreign key");
    job.columns[2].in_unique = true;
    job.spec.strict = true;
    expect_finding(&job, FINDING_REFUSE, "set-unique", "strict: false");
    arena_reset(&job.arena);
}

/* ---- expressions ---- */

Test(findings, unaccepted_risks_of_expressions_are_refused)
{
    JOB(job);
    job.expr.immutable = false;
    expect_risk(&job, "stable", "not immutable");
    job.expr.is_volatile = true;
    expect_risk(&job, "volatile", "volatile");
    cr_expect(findings_find(&job.findings, "stable") == NULL);
    job.expr = (ExprFacts){.result_type = "numeric", .immutable = true, .lossy = true};
    expect_risk(&job, "lossy", "numeric and loses something as numeric(10,2)");
    arena_reset(&job.arena);
}

Test(findings, generated_source_is_refused_only_with_the_trigger)
{
    JOB(job);
    job.expr.generated_source = "twice";
    expect_finding(&job, FINDING_REFUSE, "generated-source", "\"twice\"");
    job.spec.sync = SYNC_NONE;
    expect_none(&job);
    arena_reset(&job.arena);
}

Test(findings, self_reference_allows_neither_trigger_nor_block_path)
{
    JOB(job);
    job.expr.self_referring = true;
    cr_expect(not(findings_wants_trigger(&job.spec, &job.exprs)));
    expect_none(&job);
    job.spec.sync = SYNC_TRIGGER;
    expect_finding(&job, FINDING_REFUSE, "self-trigger", "sync: none");
    job.spec.sync = SYNC_NONE;
    job.spec.path = PATH_BLOCK;
    expect_finding(&job, FINDING_REFUSE, "self-block", "path: key");
    arena_reset(&job.arena);
}

Test(findings, where_may_not_mention_a_set_column)
{
    JOB(job);
    job.exprs.where = &job.where;
    expect_none(&job);
    job.where.self_referring = true;
    expect_finding(&job, FINDING_REFUSE, "where-set", "Leave it out");
    job.where.self_referring = false;
    job.where.immutable = false;
    expect_risk(&job, "stable", "where:");
    arena_reset(&job.arena);
}

Test(findings, unchecked_expressions_leave_the_other_findings)
{
    JOB(job);
    job.facts.table.rules = "r";
    findings_collect(&job.spec, &job.facts, NULL, &job.arena, &job.findings);
    cr_expect(eq(int, job.findings.count, 1));
    arena_reset(&job.arena);
}
