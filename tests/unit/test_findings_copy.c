/*
 * Each finding about a copy, over a healthy one of which one thing is spoilt.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "unit/copy_findings.h"

/* ---- the healthy ones ---- */

Test(findings_copy, a_healthy_copy_has_no_findings)
{
    COPY(job);
    copy_expect_nothing(&job);
    copy_job_make_remote(&job);
    copy_expect_nothing(&job);
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
    job.facts.table.rules = "r";
    job.facts.table.may_update = false;
    job.facts.table.may_vacuum = false;
    job.facts.table.owner_is_trusted = false;
    job.spec.vacuum = true;
    copy_expect_nothing(&job);
    arena_reset(&job.arena);
}

/* ---- source ---- */

Test(findings_copy, source_must_be_a_table_of_its_own)
{
    COPY(job);
    job.facts.table.relkind = 'p';
    (void)copy_expect(&job, FINDING_REFUSE, "table-kind", "pg_partition_tree");
    job.facts.table.relkind = 'v';
    (void)copy_expect(&job, FINDING_REFUSE, "table-kind", "a view");
    job.facts.table.relkind = 'r';
    job.facts.table.row_security_filters = true;
    (void)copy_expect(
        &job, FINDING_REFUSE, "row-security", "hides rows of \"public\".\"orders\" from");
    arena_reset(&job.arena);
}

Test(findings_copy, unlogged_source_is_a_warning)
{
    COPY(job);
    job.facts.table.persistence = 'u';
    (void)copy_expect(&job, FINDING_WARN, "unlogged", "keeps rows that are gone");
    arena_reset(&job.arena);
}

Test(findings_copy, change_log_needs_the_owner_of_the_source)
{
    COPY(job);
    job.facts.table.owned_by_us = false;
    job.facts.table.owner = "app";
    (void)copy_expect(&job, FINDING_REFUSE, "owner", "the owner of \"public\".\"orders\"");
    job.spec.sync = SYNC_NONE;
    copy_expect_no(&job, "owner");
    arena_reset(&job.arena);
}

Test(findings_copy, each_column_that_is_read_needs_select)
{
    COPY(job);
    for (int i = 0; i < 4; i++) {
        job.columns[i].may_select = false;
        (void)copy_expect(&job, FINDING_REFUSE, "privilege",
            i == 0   ? "GRANT SELECT (\"id\") ON \"public\".\"orders\" TO \"mover\";"
            : i == 1 ? "GRANT SELECT (\"amount_text\") ON"
            : i == 2 ? "GRANT SELECT (\"note\") ON"
                     : "GRANT SELECT (\"created_at\") ON");
        job.columns[i].may_select = true;
    }
    job.facts.table.may_select_system = false;
    (void)copy_expect(
        &job, FINDING_REFUSE, "privilege", "SELECT (ctid, xmax) ON \"public\".\"orders\"");
    job.spec.path = PATH_KEY;
    copy_expect_nothing(&job);
    arena_reset(&job.arena);
}

Test(findings_copy, without_sync_the_gap_is_named)
{
    COPY(job);
    job.spec.sync = SYNC_NONE;
    copy_expect_allowed(&job, FINDING_WARN, "append-only", "after a range was copied is not seen");
    job.spec.path = PATH_BLOCK;
    (void)copy_expect(&job, FINDING_REFUSE, "block-trigger", "path: key");
    arena_reset(&job.arena);
}

/* ---- target ---- */

Test(findings_copy, a_table_cannot_be_copied_into_itself)
{
    COPY(job);
    job.into.table.oid = job.facts.table.oid;
    (void)copy_expect(&job, FINDING_REFUSE, "target-is-source", "into:");
    copy_job_make_remote(&job);
    copy_expect_no(&job, "target-is-source");
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
        (void)copy_expect(&job, FINDING_REFUSE, CASES[i].code, CASES[i].part);
    }
    job.into.table.relkind = 'p';
    job.into.table.persistence = 'p';
    (void)copy_expect(&job, FINDING_NOTE, "target-partitioned", "default partition");
    arena_reset(&job.arena);
}

Test(findings_copy, target_must_be_empty_unless_conflicts_are_decided)
{
    COPY(job);
    job.into.table.has_rows = true;
    (void)copy_expect(&job, FINDING_REFUSE, "target-not-empty", "on_conflict");
    job.spec.on_conflict = ON_CONFLICT_SKIP;
    copy_expect_nothing(&job);
    job.spec.on_conflict = ON_CONFLICT_UPDATE;
    copy_expect_nothing(&job);
    job.spec.on_conflict = ON_CONFLICT_ERROR;
    job.facts.stored.exists = true; /* its own rows */
    copy_expect_nothing(&job);
    arena_reset(&job.arena);
}

Test(findings_copy, what_stands_between_insert_and_row_is_refused)
{
    COPY(job);
    job.into.table.rules = "r, \"S\"";
    (void)copy_expect(&job, FINDING_REFUSE, "rules", "an INSERT into something else: r, \"S\"");
    job.into.table.rules = NULL;
    job.into.table.row_security_filters = true;
    (void)copy_expect(&job, FINDING_REFUSE, "row-security", "\"public\".\"orders_v2\"");
    arena_reset(&job.arena);
}

Test(findings_copy, target_that_foreign_keys_point_to_is_refused_while_it_is_synced)
{
    COPY(job);
    job.into.table.referenced_count = 2;
    job.into.table.referenced_by = "public.items";
    (void)copy_expect(&job, FINDING_REFUSE, "target-referenced", "the first of public.items");
    job.spec.sync = SYNC_NONE;
    (void)copy_expect(&job, FINDING_WARN, "target-referenced", "repair");
    arena_reset(&job.arena);
}

Test(findings_copy, triggers_of_the_target_that_fire_are_a_risk)
{
    COPY(job);
    TriggerFacts trigger = {
        .name = "audit", .function = "public.audit", .row = true, .on_insert = true};
    job.into.triggers = &trigger;
    job.into.trigger_count = 1;
    copy_expect_nothing(&job); /* disabled */
    trigger.enabled = true;
    copy_expect_allowed(
        &job, FINDING_REFUSE, "user-triggers", "\"audit\" of \"public\".\"orders_v2\"");
    trigger.on_insert = false;
    trigger.on_update = true;
    copy_expect_nothing(&job);
    trigger.on_delete = true;
    (void)copy_expect(&job, FINDING_REFUSE, "user-triggers", "public.audit");
    job.spec.sync = SYNC_NONE; /* nothing is deleted */
    copy_expect_no(&job, "user-triggers");
    arena_reset(&job.arena);
}

Test(findings_copy, code_of_the_targets_owner_runs_in_our_session)
{
    COPY(job);
    job.into.table.owner_is_trusted = false;
    job.into.table.owner = "app";
    copy_expect_allowed(&job, FINDING_REFUSE, "untrusted-owner",
        "\"public\".\"orders_v2\" belongs to role \"app\"");
    arena_reset(&job.arena);
}

Test(findings_copy, published_target_is_named)
{
    COPY(job);
    const char *publications[] = {"feed"};
    job.into.publications = publications;
    job.into.publication_count = 1;
    copy_expect_allowed(
        &job, FINDING_WARN, "published", "\"public\".\"orders_v2\" is published by \"feed\"");
    arena_reset(&job.arena);
}

Test(findings_copy, indexes_are_built_by_the_owner_of_the_target)
{
    COPY(job);
    job.into.table.owned_by_us = false;
    job.into.table.owner = "app";
    copy_expect_nothing(&job);
    job.spec.indexes = INDEXES_AFTER;
    (void)copy_expect(&job, FINDING_REFUSE, "owner", "indexes: before");
    arena_reset(&job.arena);
}

Test(findings_copy, privileges_on_the_target_are_asked_for_with_the_grant)
{
    COPY(job);
    job.into.table.may_insert = job.into.table.may_select = job.into.table.may_update = false;
    copy_expect_nothing(&job); /* the columns are granted */
    job.into_columns[0].may_insert = job.into_columns[3].may_insert = false;
    (void)copy_expect(&job, FINDING_REFUSE, "privilege",
        "GRANT INSERT (\"id\", \"made_at\") ON \"public\".\"orders_v2\" TO \"mover\";");
    job.into.table.may_insert = true;
    job.into_columns[1].may_select = false;
    (void)copy_expect(
        &job, FINDING_REFUSE, "privilege", "GRANT SELECT (\"amount\") ON \"public\".\"orders_v2\"");
    job.into.table.may_select = true;
    job.into_columns[2].may_update = false;
    copy_expect_nothing(&job);
    job.spec.on_conflict = ON_CONFLICT_UPDATE;
    (void)copy_expect(
        &job, FINDING_REFUSE, "privilege", "GRANT UPDATE (\"note\") ON \"public\".\"orders_v2\"");
    job.into.table.may_update = true;
    job.into.table.may_delete = false;
    (void)copy_expect(&job, FINDING_REFUSE, "privilege",
        "GRANT DELETE ON \"public\".\"orders_v2\" TO \"mover\";");
    job.into.table.may_use_schema = false;
    (void)copy_expect(
        &job, FINDING_REFUSE, "privilege", "GRANT USAGE ON SCHEMA \"public\" TO \"mover\";");
    arena_reset(&job.arena);
}

/* ---- map ---- */

Test(findings_copy, mapped_column_must_exist_and_take_a_value)
{
    COPY(job);
    job.map[0].column = "amuont";
    (void)copy_expect(&job, FINDING_REFUSE, "map-column", "c.yaml:5:3: column \"amuont\"");
    (void)copy_expect(&job, FINDING_REFUSE, "map-column", "Did you mean amount?");
    job.map[0].column = "amount";
    job.into_columns[1].generated = true;
    (void)copy_expect(
        &job, FINDING_REFUSE, "map-generated", "\"amount\" of \"public\".\"orders_v2\"");
    arena_reset(&job.arena);
}

Test(findings_copy, reverse_map_is_of_columns_of_the_source)
{
    COPY(job);
    Assignment reverse[] = {{.column = "amount_tex", .place = {.line = 9, .column = 3}}};
    job.spec.reverse_map = reverse;
    job.spec.reverse_count = 1;
    (void)copy_expect(&job, FINDING_REFUSE, "reverse-column", "Did you mean amount_text?");
    reverse[0].column = "note";
    copy_expect_nothing(&job);
    job.columns[2].generated = true;
    (void)copy_expect(
        &job, FINDING_REFUSE, "reverse-column", "is generated in \"public\".\"orders\"");
    arena_reset(&job.arena);
}

Test(findings_copy, column_that_gets_nothing_needs_a_default)
{
    COPY(job);
    job.into_columns[2].name = "origin";
    (void)copy_expect(&job, FINDING_NOTE, "map-default",
        "\"public\".\"orders_v2\" that keep their default or "
        "NULL: origin");
    (void)copy_expect(
        &job, FINDING_WARN, "source-column", "\"public\".\"orders\" that are not copied: note");
    job.into_columns[2].not_null = true;
    (void)copy_expect(&job, FINDING_REFUSE, "map-missing", "\"origin\"");
    job.into_columns[2].has_default = true;
    copy_expect_no(&job, "map-missing");
    job.into_columns[2].has_default = false;
    job.into_columns[2].identity = true;
    copy_expect_no(&job, "map-missing");
    arena_reset(&job.arena);
}

Test(findings_copy, column_that_an_expression_reads_is_not_left_out)
{
    COPY(job);
    int sources[] = {2, 3};
    job.set[0].sources = sources;
    job.set[0].source_count = 2;
    job.into_columns[2].name = "origin";
    copy_expect_no(&job, "source-column");
    arena_reset(&job.arena);
}

Test(findings_copy, generated_columns_are_left_to_the_server)
{
    COPY(job);
    job.into_columns[2].generated = true;
    (void)copy_expect(&job, FINDING_WARN, "source-column", "note");
    copy_expect_no(&job, "map-default");
    job.columns[2].generated = true;
    copy_expect_nothing(&job);
    arena_reset(&job.arena);
}

Test(findings_copy, identity_column_keeps_its_counter)
{
    COPY(job);
    job.into_columns[0].identity = true;
    (void)copy_expect(&job, FINDING_NOTE, "map-identity", "its counter stays behind");
    arena_reset(&job.arena);
}

Test(findings_copy, expressions_are_judged_by_the_columns_of_the_target)
{
    COPY(job);
    job.set[0].lossy = true;
    copy_expect_allowed(&job, FINDING_REFUSE, "lossy", "numeric(10,2)");
    job.set[0].lossy = false;
    job.set[0].immutable = false;
    copy_expect_allowed(&job, FINDING_REFUSE, "stable", "\"amount\"");
    job.set[0].is_volatile = true;
    copy_expect_allowed(&job, FINDING_REFUSE, "volatile", "\"amount\"");
    job.set[0] = (ExprFacts){.refusal = "c.yaml:5:11: no such function"};
    (void)copy_expect(&job, FINDING_REFUSE, "expression", "no such function");
    arena_reset(&job.arena);
}

Test(findings_copy, generated_column_of_the_source_may_be_read)
{
    COPY(job);
    job.set[0].generated_source = "amount_text";
    copy_expect_nothing(&job);
    arena_reset(&job.arena);
}

Test(findings_copy, same_name_with_another_type_is_judged_too)
{
    COPY(job);
    job.into_columns[2].type = "character(3)";
    job.as_is[2].lossy = true;
    copy_expect_allowed(&job, FINDING_REFUSE, "lossy", "\"note\" is text in the source");
    job.as_is[2] = (ExprFacts){.refusal = "column \"note\" is of type integer but .. text"};
    (void)copy_expect(&job, FINDING_REFUSE, "map-type", "Convert it in map:");
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
    copy_expect_nothing(&job);
    need.granted = false;
    (void)copy_expect(&job, FINDING_REFUSE, "privilege", "GRANT EXECUTE ON FUNCTION app.f(text)");
    arena_reset(&job.arena);
}

Test(findings_copy, constraints_that_the_source_does_not_promise_are_named)
{
    COPY(job);
    job.into_columns[1].in_check = true;
    (void)copy_expect(&job, FINDING_WARN, "target-constraint", "\"amount\" (check constraint)");
    job.into_columns[1].in_check = false;
    job.into_columns[2].not_null = true;
    (void)copy_expect(&job, FINDING_WARN, "target-constraint", "\"note\" (NOT NULL)");
    job.columns[2].not_null = true;
    copy_expect_nothing(&job);
    job.into_columns[3].in_unique = true;
    (void)copy_expect(&job, FINDING_WARN, "target-constraint", "\"made_at\" (unique index)");
    job.into_columns[3].in_foreign_key = true;
    (void)copy_expect(&job, FINDING_WARN, "target-constraint", "\"made_at\" (foreign key)");
    arena_reset(&job.arena);
}

Test(findings_copy, rows_of_the_target_are_found_by_the_key_of_the_source)
{
    COPY(job);
    job.into.index_count = 0;
    (void)copy_expect(&job, FINDING_REFUSE, "target-key",
        "CREATE UNIQUE INDEX ON \"public\".\"orders_v2\" (\"id\")");
    job.into.index_count = 1;
    job.into_columns[0].not_null = false;
    (void)copy_expect(&job, FINDING_REFUSE, "target-key", "may be NULL in the target (\"id\")");
    (void)copy_expect(&job, FINDING_REFUSE, "target-key", "Copy column \"id\" as it is");
    arena_reset(&job.arena);
}

/* ---- another server ---- */

Test(findings_copy, both_servers_are_looked_at)
{
    COPY(job);
    copy_job_make_remote(&job);
    job.facts.server.version_num = 130010;
    (void)copy_expect(&job, FINDING_REFUSE, "server-version", "PostgreSQL 13");
    job.facts.server.version_num = 150020;
    job.into.server.in_recovery = true;
    (void)copy_expect(&job, FINDING_REFUSE, "in-recovery", "primary");
    job.into.server.in_recovery = false;
    job.facts.server.may_create_schema = false;
    (void)copy_expect(
        &job, FINDING_REFUSE, "schema-privilege", "GRANT CREATE ON DATABASE \"shop\"");
    job.spec.sync = SYNC_NONE; /* nothing is made there */
    copy_expect_no(&job, "schema-privilege");
    job.into.server.may_create_schema = false;
    (void)copy_expect(
        &job, FINDING_REFUSE, "schema-privilege", "GRANT CREATE ON DATABASE \"shop\"");
    arena_reset(&job.arena);
}

Test(findings_copy, standby_can_be_read_without_sync)
{
    COPY(job);
    copy_job_make_remote(&job);
    job.facts.server.in_recovery = true;
    job.facts.server.read_only = true;
    (void)copy_expect(&job, FINDING_REFUSE, "from-standby", "sync: none");
    job.spec.sync = SYNC_NONE;
    copy_expect_no(&job, "from-standby");
    copy_expect_no(&job, "in-recovery");
    copy_expect_no(&job, "read-only");
    arena_reset(&job.arena);
}

Test(findings_copy, what_the_way_to_another_server_loses_is_named)
{
    COPY(job);
    job.spec.path = PATH_BLOCK;
    copy_expect_nothing(&job);
    copy_job_make_remote(&job);
    (void)copy_expect(&job, FINDING_REFUSE, "block-remote", "path: key");
    job.spec.path = PATH_AUTO;
    job.into.server.encoding = "LATIN1";
    (void)copy_expect(&job, FINDING_WARN, "encoding", "is in UTF8, the target's in LATIN1");
    job.columns[2].base_type_name = job.columns[2].type = "oid";
    (void)copy_expect(
        &job, FINDING_WARN, "large-objects", "\"note\" of \"public\".\"orders\" is of type oid");
    arena_reset(&job.arena);
}

Test(findings_copy, a_job_that_can_never_be_cut_over_is_told)
{
    COPY(job);
    job.into.table.schema = "archive";
    (void)copy_expect(&job, FINDING_NOTE, "no-cutover", "public and archive");
    (void)copy_expect(&job, FINDING_NOTE, "no-cutover", "SET SCHEMA \"public\";");
    job.into.table.schema = "public";
    job.facts.table.is_partition = true;
    (void)copy_expect(&job, FINDING_NOTE, "no-cutover", "is a partition");
    job.spec.sync = SYNC_NONE;
    (void)copy_expect(&job, FINDING_NOTE, "no-cutover", "sync: trigger");
    copy_job_make_remote(&job);
    copy_expect_no(&job, "no-cutover");
    arena_reset(&job.arena);
}

Test(findings_copy, triggers_of_copies_to_other_databases_are_a_note)
{
    COPY(job);
    copy_job_make_remote(&job);
    LeftoverFacts leftover = {.is_trigger = true,
        .elsewhere = true,
        .name = "zzzz_pghaul_7_0123456789abcdef",
        .drop = "DROP TRIGGER x;"};
    job.facts.leftovers = &leftover;
    job.facts.leftover_count = 1;
    (void)copy_expect(&job, FINDING_NOTE, "leftovers", "whose jobs are in other databases: zzzz");
    (void)copy_expect(&job, FINDING_NOTE, "leftovers", "DROP TRIGGER x;");
    job.facts.stored = (StoredJob){.exists = true, .fingerprint = "0123456789abcdef"};
    copy_expect_no(&job, "leftovers"); /* its own */
    arena_reset(&job.arena);
}

Test(findings_copy, leftovers_are_told_of_the_database_that_has_the_state)
{
    COPY(job);
    LeftoverFacts leftover = {.is_trigger = true, .name = "zzzz_pghaul_7", .drop = "DROP TRIGGER"};
    job.facts.leftovers = &leftover;
    job.facts.leftover_count = 1;
    (void)copy_expect(&job, FINDING_REFUSE, "leftovers", "\"public\".\"orders\" still has");
    leftover = (LeftoverFacts){.name = "pghaul.log_7_0123456789abcdef", .drop = "DROP TABLE"};
    copy_expect_no(&job, "leftovers"); /* those of the target are */
    job.into.leftovers = &leftover;
    job.into.leftover_count = 1;
    (void)copy_expect(&job, FINDING_WARN, "leftovers", "pghaul.log_7_0123456789abcdef");
    leftover.is_trigger = true;
    job.facts.leftover_count = 0;
    (void)copy_expect(&job, FINDING_REFUSE, "leftovers", "\"public\".\"orders_v2\" still has");
    arena_reset(&job.arena);
}
