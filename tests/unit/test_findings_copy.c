/*
 * Each finding about a copy, over a healthy one of which one thing is spoilt.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/findings.h"
#include "core/jobkeys.h"
#include "unit/copy_job.h"

static const char *allowed[1];

/* A copy without any finding. */
#define COPY(name)                                                                                 \
    CopyJob name;                                                                                  \
    copy_init(&(name))

static void
copy_init(CopyJob *job)
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

static const Finding *
expect(CopyJob *job, FindingSeverity severity, const char *code, const char *part)
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

/* Refused, or a warning, less by one step when it is accepted by name. */
static void
expect_allowed(CopyJob *job, FindingSeverity severity, const char *code, const char *part)
{
    int64_t unused = 0;
    Err err = ERR_INIT;
    cr_expect(jobkeys_parse(jobkeys_find("allow"), code, &unused, &err), "%s", err.message);
    (void)expect(job, severity, code, part);
    allowed[0] = code;
    job->spec.allow.count = 1;
    (void)expect(job, severity - 1, code, part);
    job->spec.allow.count = 0;
}

static void
expect_no(CopyJob *job, const char *code)
{
    Findings findings = collect(job);
    const Finding *finding = findings_find(&findings, code);
    cr_expect(finding == NULL, "%s: %s", code, finding == NULL ? "" : finding->text);
}

static void
expect_nothing(CopyJob *job)
{
    Findings findings = collect(job);
    cr_expect(zero(int, findings.count), "%s: %s", findings.items[0].code, findings.items[0].text);
}

/* ---- the healthy ones ---- */

Test(findings_copy, a_healthy_copy_has_no_findings)
{
    COPY(job);
    expect_nothing(&job);
    copy_job_make_remote(&job);
    expect_nothing(&job);
    arena_reset(&job.arena);
}

Test(findings_copy, what_only_an_update_of_the_source_meets_is_no_finding)
{
    COPY(job);
    TriggerFacts trigger = {.name = "zzzz_z",
        .function = "public.audit",
        .before = true,
        .row = true,
        .on_update = true,
        .fires_on_set = true,
        .enabled = true};
    const char *publications[] = {"feed"};
    job.facts.triggers = &trigger;
    job.facts.trigger_count = 1;
    job.facts.publications = publications;
    job.facts.publication_count = 1;
    job.facts.table.has_rules = true;
    job.facts.table.may_update = false;
    job.facts.table.may_vacuum = false;
    job.facts.table.owner_is_trusted = false;
    job.spec.vacuum = true;
    expect_nothing(&job);
    arena_reset(&job.arena);
}

/* ---- source ---- */

Test(findings_copy, source_must_be_a_table_of_its_own)
{
    COPY(job);
    job.facts.table.relkind = 'p';
    (void)expect(&job, FINDING_REFUSE, "table-kind", "pg_partition_tree");
    job.facts.table.relkind = 'v';
    (void)expect(&job, FINDING_REFUSE, "table-kind", "a view");
    job.facts.table.relkind = 'r';
    job.facts.table.row_security_filters = true;
    (void)expect(&job, FINDING_REFUSE, "row-security", "hides rows of \"public\".\"orders\" from");
    arena_reset(&job.arena);
}

Test(findings_copy, unlogged_source_is_a_warning)
{
    COPY(job);
    job.facts.table.persistence = 'u';
    (void)expect(&job, FINDING_WARN, "unlogged", "keeps rows that are gone");
    arena_reset(&job.arena);
}

Test(findings_copy, change_log_needs_the_owner_of_the_source)
{
    COPY(job);
    job.facts.table.owned_by_us = false;
    job.facts.table.owner = "app";
    (void)expect(&job, FINDING_REFUSE, "owner", "the owner of \"public\".\"orders\"");
    job.spec.sync = SYNC_NONE;
    expect_no(&job, "owner");
    arena_reset(&job.arena);
}

Test(findings_copy, each_column_that_is_read_needs_select)
{
    COPY(job);
    for (int i = 0; i < 4; i++) {
        job.columns[i].may_select = false;
        (void)expect(&job, FINDING_REFUSE, "privilege",
            i == 0   ? "GRANT SELECT (\"id\") ON \"public\".\"orders\" TO \"mover\";"
            : i == 1 ? "GRANT SELECT (\"amount_text\") ON"
            : i == 2 ? "GRANT SELECT (\"note\") ON"
                     : "GRANT SELECT (\"created_at\") ON");
        job.columns[i].may_select = true;
    }
    job.facts.table.may_select_system = false;
    (void)expect(&job, FINDING_REFUSE, "privilege", "SELECT (ctid, xmax) ON \"public\".\"orders\"");
    job.spec.path = PATH_KEY;
    expect_nothing(&job);
    arena_reset(&job.arena);
}

Test(findings_copy, without_sync_the_gap_is_named)
{
    COPY(job);
    job.spec.sync = SYNC_NONE;
    expect_allowed(&job, FINDING_WARN, "append-only", "after a range was copied is not seen");
    job.spec.path = PATH_BLOCK;
    (void)expect(&job, FINDING_REFUSE, "block-trigger", "path: key");
    arena_reset(&job.arena);
}

/* ---- target ---- */

Test(findings_copy, a_table_cannot_be_copied_into_itself)
{
    COPY(job);
    job.into.table.oid = job.facts.table.oid;
    (void)expect(&job, FINDING_REFUSE, "target-is-source", "into:");
    copy_job_make_remote(&job);
    expect_no(&job, "target-is-source");
    arena_reset(&job.arena);
}

Test(findings_copy, target_must_be_a_table_that_lasts)
{
    static const struct {
        char relkind;
        char persistence;
        const char *code;
        const char *part;
    } CASES[] = {
        {'v', 'p', "target-kind", "a view"},
        {'m', 'p', "target-kind", "a materialized view"},
        {'f', 'p', "target-kind", "a foreign table"},
        {'r', 'u', "target-unlogged", "SET LOGGED"},
        {'r', 't', "target-temporary", "temporary"},
    };
    COPY(job);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        job.into.table.relkind = CASES[i].relkind;
        job.into.table.persistence = CASES[i].persistence;
        (void)expect(&job, FINDING_REFUSE, CASES[i].code, CASES[i].part);
    }
    job.into.table.relkind = 'p';
    job.into.table.persistence = 'p';
    (void)expect(&job, FINDING_NOTE, "target-partitioned", "default partition");
    arena_reset(&job.arena);
}

Test(findings_copy, target_must_be_empty_unless_conflicts_are_decided)
{
    COPY(job);
    job.into.table.has_rows = true;
    (void)expect(&job, FINDING_REFUSE, "target-not-empty", "on_conflict");
    job.spec.on_conflict = ON_CONFLICT_SKIP;
    expect_nothing(&job);
    job.spec.on_conflict = ON_CONFLICT_UPDATE;
    expect_nothing(&job);
    job.spec.on_conflict = ON_CONFLICT_ERROR;
    job.facts.stored.exists = true; /* its own rows */
    expect_nothing(&job);
    arena_reset(&job.arena);
}

Test(findings_copy, what_stands_between_insert_and_row_is_refused)
{
    COPY(job);
    job.into.table.has_rules = true;
    (void)expect(&job, FINDING_REFUSE, "rules", "an INSERT into something else");
    job.into.table.has_rules = false;
    job.into.table.row_security_filters = true;
    (void)expect(&job, FINDING_REFUSE, "row-security", "\"public\".\"orders_v2\"");
    arena_reset(&job.arena);
}

Test(findings_copy, target_that_foreign_keys_point_to_is_refused_while_it_is_synced)
{
    COPY(job);
    job.into.table.referenced_count = 2;
    job.into.table.referenced_by = "public.items";
    (void)expect(&job, FINDING_REFUSE, "target-referenced", "the first of public.items");
    job.spec.sync = SYNC_NONE;
    (void)expect(&job, FINDING_WARN, "target-referenced", "repair");
    arena_reset(&job.arena);
}

Test(findings_copy, triggers_of_the_target_that_fire_are_a_risk)
{
    COPY(job);
    TriggerFacts trigger = {
        .name = "audit", .function = "public.audit", .row = true, .on_insert = true};
    job.into.triggers = &trigger;
    job.into.trigger_count = 1;
    expect_nothing(&job); /* disabled */
    trigger.enabled = true;
    expect_allowed(&job, FINDING_REFUSE, "user-triggers", "\"audit\" of \"public\".\"orders_v2\"");
    trigger.on_insert = false;
    trigger.on_update = true;
    expect_nothing(&job);
    trigger.on_delete = true;
    (void)expect(&job, FINDING_REFUSE, "user-triggers", "public.audit");
    job.spec.sync = SYNC_NONE; /* nothing is deleted */
    expect_no(&job, "user-triggers");
    arena_reset(&job.arena);
}

Test(findings_copy, code_of_the_targets_owner_runs_in_our_session)
{
    COPY(job);
    job.into.table.owner_is_trusted = false;
    job.into.table.owner = "app";
    expect_allowed(&job, FINDING_REFUSE, "untrusted-owner",
        "\"public\".\"orders_v2\" belongs to role \"app\"");
    arena_reset(&job.arena);
}

Test(findings_copy, published_target_is_named)
{
    COPY(job);
    const char *publications[] = {"feed"};
    job.into.publications = publications;
    job.into.publication_count = 1;
    expect_allowed(
        &job, FINDING_WARN, "published", "\"public\".\"orders_v2\" is published by \"feed\"");
    arena_reset(&job.arena);
}

Test(findings_copy, indexes_are_built_by_the_owner_of_the_target)
{
    COPY(job);
    job.into.table.owned_by_us = false;
    job.into.table.owner = "app";
    expect_nothing(&job);
    job.spec.indexes = INDEXES_AFTER;
    (void)expect(&job, FINDING_REFUSE, "owner", "indexes: before");
    arena_reset(&job.arena);
}

Test(findings_copy, privileges_on_the_target_are_asked_for_with_the_grant)
{
    COPY(job);
    job.into.table.may_insert = job.into.table.may_select = job.into.table.may_update = false;
    expect_nothing(&job); /* the columns are granted */
    job.into_columns[0].may_insert = job.into_columns[3].may_insert = false;
    (void)expect(&job, FINDING_REFUSE, "privilege",
        "GRANT INSERT (\"id\", \"made_at\") ON \"public\".\"orders_v2\" TO \"mover\";");
    job.into.table.may_insert = true;
    job.into_columns[1].may_select = false;
    (void)expect(
        &job, FINDING_REFUSE, "privilege", "GRANT SELECT (\"amount\") ON \"public\".\"orders_v2\"");
    job.into.table.may_select = true;
    job.into_columns[2].may_update = false;
    expect_nothing(&job);
    job.spec.on_conflict = ON_CONFLICT_UPDATE;
    (void)expect(
        &job, FINDING_REFUSE, "privilege", "GRANT UPDATE (\"note\") ON \"public\".\"orders_v2\"");
    job.into.table.may_update = true;
    job.into.table.may_delete = false;
    (void)expect(&job, FINDING_REFUSE, "privilege",
        "GRANT DELETE ON \"public\".\"orders_v2\" TO \"mover\";");
    job.into.table.may_use_schema = false;
    (void)expect(
        &job, FINDING_REFUSE, "privilege", "GRANT USAGE ON SCHEMA \"public\" TO \"mover\";");
    arena_reset(&job.arena);
}

/* ---- map ---- */

Test(findings_copy, mapped_column_must_exist_and_take_a_value)
{
    COPY(job);
    job.map[0].column = "amuont";
    (void)expect(&job, FINDING_REFUSE, "map-column", "c.yaml:5:3: column \"amuont\"");
    (void)expect(&job, FINDING_REFUSE, "map-column", "Did you mean amount?");
    job.map[0].column = "amount";
    job.into_columns[1].generated = true;
    (void)expect(&job, FINDING_REFUSE, "map-generated", "\"amount\" of \"public\".\"orders_v2\"");
    arena_reset(&job.arena);
}

Test(findings_copy, reverse_map_is_of_columns_of_the_source)
{
    COPY(job);
    Assignment reverse[] = {{.column = "amount_tex", .place = {.line = 9, .column = 3}}};
    job.spec.reverse_map = reverse;
    job.spec.reverse_count = 1;
    (void)expect(&job, FINDING_REFUSE, "reverse-column", "Did you mean amount_text?");
    reverse[0].column = "note";
    expect_nothing(&job);
    job.columns[2].generated = true;
    (void)expect(&job, FINDING_REFUSE, "reverse-column", "is generated in \"public\".\"orders\"");
    arena_reset(&job.arena);
}

Test(findings_copy, column_that_gets_nothing_needs_a_default)
{
    COPY(job);
    job.into_columns[2].name = "origin";
    (void)expect(&job, FINDING_NOTE, "map-default",
        "\"public\".\"orders_v2\" that keep their default or "
        "NULL: origin");
    (void)expect(
        &job, FINDING_WARN, "source-column", "\"public\".\"orders\" that are not copied: note");
    job.into_columns[2].not_null = true;
    (void)expect(&job, FINDING_REFUSE, "map-missing", "\"origin\"");
    job.into_columns[2].has_default = true;
    expect_no(&job, "map-missing");
    job.into_columns[2].has_default = false;
    job.into_columns[2].identity = true;
    expect_no(&job, "map-missing");
    arena_reset(&job.arena);
}

Test(findings_copy, column_that_an_expression_reads_is_not_left_out)
{
    COPY(job);
    int sources[] = {2, 3};
    job.set[0].sources = sources;
    job.set[0].source_count = 2;
    job.into_columns[2].name = "origin";
    expect_no(&job, "source-column");
    arena_reset(&job.arena);
}

Test(findings_copy, generated_columns_are_left_to_the_server)
{
    COPY(job);
    job.into_columns[2].generated = true;
    (void)expect(&job, FINDING_WARN, "source-column", "note");
    expect_no(&job, "map-default");
    job.columns[2].generated = true;
    expect_nothing(&job);
    arena_reset(&job.arena);
}

Test(findings_copy, identity_column_keeps_its_counter)
{
    COPY(job);
    job.into_columns[0].identity = true;
    (void)expect(&job, FINDING_NOTE, "map-identity", "its counter stays behind");
    arena_reset(&job.arena);
}

Test(findings_copy, expressions_are_judged_by_the_columns_of_the_target)
{
    COPY(job);
    job.set[0].lossy = true;
    expect_allowed(&job, FINDING_REFUSE, "lossy", "numeric(10,2)");
    job.set[0].lossy = false;
    job.set[0].immutable = false;
    expect_allowed(&job, FINDING_REFUSE, "stable", "\"amount\"");
    job.set[0].is_volatile = true;
    expect_allowed(&job, FINDING_REFUSE, "volatile", "\"amount\"");
    job.set[0] = (ExprFacts){.refusal = "c.yaml:5:11: no such function"};
    (void)expect(&job, FINDING_REFUSE, "expression", "no such function");
    arena_reset(&job.arena);
}

Test(findings_copy, generated_column_of_the_source_may_be_read)
{
    COPY(job);
    job.set[0].generated_source = "amount_text";
    expect_nothing(&job);
    arena_reset(&job.arena);
}

Test(findings_copy, same_name_with_another_type_is_judged_too)
{
    COPY(job);
    job.into_columns[2].type = "character(3)";
    job.as_is[2].lossy = true;
    expect_allowed(&job, FINDING_REFUSE, "lossy", "\"note\" is text in the source");
    job.as_is[2] = (ExprFacts){.refusal = "column \"note\" is of type integer but .. text"};
    (void)expect(&job, FINDING_REFUSE, "map-type", "Convert it in map:");
    arena_reset(&job.arena);
}

Test(findings_copy, writers_need_no_rights_of_the_expressions)
{
    COPY(job);
    NeedFacts need = {.privilege = "EXECUTE",
        .object = "FUNCTION app.f(text)",
        .granted = true,
        .writers = "app",
        .writer_count = 1};
    job.set[0].needs = &need;
    job.set[0].need_count = 1;
    expect_nothing(&job);
    need.granted = false;
    (void)expect(&job, FINDING_REFUSE, "privilege", "GRANT EXECUTE ON FUNCTION app.f(text)");
    arena_reset(&job.arena);
}

Test(findings_copy, constraints_that_the_source_does_not_promise_are_named)
{
    COPY(job);
    job.into_columns[1].in_check = true;
    (void)expect(&job, FINDING_WARN, "target-constraint", "\"amount\" (check constraint)");
    job.into_columns[1].in_check = false;
    job.into_columns[2].not_null = true;
    (void)expect(&job, FINDING_WARN, "target-constraint", "\"note\" (NOT NULL)");
    job.columns[2].not_null = true;
    expect_nothing(&job);
    job.into_columns[3].in_unique = true;
    (void)expect(&job, FINDING_WARN, "target-constraint", "\"made_at\" (unique index)");
    job.into_columns[3].in_foreign_key = true;
    (void)expect(&job, FINDING_WARN, "target-constraint", "\"made_at\" (foreign key)");
    arena_reset(&job.arena);
}

Test(findings_copy, rows_of_the_target_are_found_by_the_key_of_the_source)
{
    COPY(job);
    job.into.index_count = 0;
    (void)expect(&job, FINDING_REFUSE, "target-key",
        "CREATE UNIQUE INDEX ON \"public\".\"orders_v2\" (\"id\")");
    job.into.index_count = 1;
    job.into_columns[0].not_null = false;
    (void)expect(&job, FINDING_REFUSE, "target-key", "may be NULL in the target (\"id\")");
    (void)expect(&job, FINDING_REFUSE, "target-key", "Copy column \"id\" as it is");
    arena_reset(&job.arena);
}

/* ---- another server ---- */

Test(findings_copy, both_servers_are_looked_at)
{
    COPY(job);
    copy_job_make_remote(&job);
    job.facts.server.version_num = 130010;
    (void)expect(&job, FINDING_REFUSE, "server-version", "PostgreSQL 13");
    job.facts.server.version_num = 150020;
    job.into.server.in_recovery = true;
    (void)expect(&job, FINDING_REFUSE, "in-recovery", "primary");
    job.into.server.in_recovery = false;
    job.facts.server.may_create_schema = false;
    (void)expect(&job, FINDING_REFUSE, "schema-privilege", "GRANT CREATE ON DATABASE \"shop\"");
    job.spec.sync = SYNC_NONE; /* nothing is made there */
    expect_no(&job, "schema-privilege");
    job.into.server.may_create_schema = false;
    (void)expect(&job, FINDING_REFUSE, "schema-privilege", "GRANT CREATE ON DATABASE \"shop\"");
    arena_reset(&job.arena);
}

Test(findings_copy, standby_can_be_read_without_sync)
{
    COPY(job);
    copy_job_make_remote(&job);
    job.facts.server.in_recovery = true;
    job.facts.server.read_only = true;
    (void)expect(&job, FINDING_REFUSE, "from-standby", "sync: none");
    job.spec.sync = SYNC_NONE;
    expect_no(&job, "from-standby");
    expect_no(&job, "in-recovery");
    expect_no(&job, "read-only");
    arena_reset(&job.arena);
}

Test(findings_copy, what_the_way_to_another_server_loses_is_named)
{
    COPY(job);
    job.spec.path = PATH_BLOCK;
    expect_nothing(&job);
    copy_job_make_remote(&job);
    (void)expect(&job, FINDING_REFUSE, "block-remote", "path: key");
    job.spec.path = PATH_AUTO;
    job.into.server.encoding = "LATIN1";
    (void)expect(&job, FINDING_WARN, "encoding", "is in UTF8, the target's in LATIN1");
    job.columns[2].base_type_name = job.columns[2].type = "oid";
    (void)expect(
        &job, FINDING_WARN, "large-objects", "\"note\" of \"public\".\"orders\" is of type oid");
    arena_reset(&job.arena);
}

Test(findings_copy, leftovers_are_told_of_the_database_that_has_the_state)
{
    COPY(job);
    LeftoverFacts leftover = {.is_trigger = true, .name = "zzzz_pghaul_7", .drop = "DROP TRIGGER"};
    job.facts.leftovers = &leftover;
    job.facts.leftover_count = 1;
    (void)expect(&job, FINDING_REFUSE, "leftovers", "\"public\".\"orders\" still has");
    arena_reset(&job.arena);
}
