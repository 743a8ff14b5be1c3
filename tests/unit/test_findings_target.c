/*
 * Findings about the target of a copy as a table, each over a healthy copy that is spoilt.
 */
#include <criterion/criterion.h>

#include "unit/copy_findings.h"

Test(findings_copy, source_and_target_must_not_be_of_one_family)
{
    COPY(job);
    uint32_t above[] = {7, 16500};
    job.facts.table.ancestors = above;
    job.facts.table.ancestor_count = 2;
    (void)copy_expect(&job, FINDING_REFUSE, "target-is-source", "is a partition or a child");
    copy_job_make_remote(&job);
    copy_expect_no(&job, "target-is-source");
    arena_reset(&job.arena);

    COPY(other);
    uint32_t parent[] = {other.facts.table.oid};
    other.into.table.ancestors = parent;
    other.into.table.ancestor_count = 1;
    (void)copy_expect(&other, FINDING_REFUSE, "target-is-source", "is a partition or a child");
    arena_reset(&other.arena);
}

Test(findings_copy, tables_of_the_server_are_left_alone)
{
    COPY(job);
    job.into.table.is_system = true;
    (void)copy_expect(&job, FINDING_REFUSE, "system-table", "\"public\".\"orders_v2\"");
    job.into.table.is_system = false;
    job.facts.table.is_system = true;
    (void)copy_expect(&job, FINDING_REFUSE, "system-table", "\"public\".\"orders\"");
    arena_reset(&job.arena);
}

Test(findings_copy, partitions_and_children_of_the_target_are_looked_at)
{
    COPY(job);
    const char *children[] = {"public.older", "public.oldest"};
    job.into.table.odd_leaf = "public.p1";
    job.into.table.odd_leaf_kind = 'r';
    (void)copy_expect(&job, FINDING_REFUSE, "target-unlogged", "ALTER TABLE public.p1 SET LOGGED;");
    job.into.table.odd_leaf_kind = 'f';
    (void)copy_expect(&job, FINDING_REFUSE, "target-kind",
        "public.p1 of \"public\".\"orders_v2\" is a "
        "foreign table");
    job.into.table.odd_leaf = NULL;
    job.into.table.is_partition = true;
    job.into.table.parent = "public.all_orders";
    (void)copy_expect(&job, FINDING_WARN, "target-partition", "a partition of public.all_orders");
    job.into.table.is_partition = false;
    job.into.table.children = children;
    job.into.table.child_count = 2;
    (void)copy_expect(&job, FINDING_REFUSE, "target-inheritance", "public.older and others");
    arena_reset(&job.arena);
}

Test(findings_copy, foreign_keys_of_the_target_bind_the_application)
{
    COPY(job);
    const char *keys[] = {"a_fk to public.a", "b_fk to public.b"};
    job.into.table.foreign_keys = keys;
    job.into.table.foreign_key_count = 2;
    (void)copy_expect(
        &job, FINDING_WARN, "target-foreign-key", "a_fk to public.a, b_fk to public.b");
    copy_job_make_remote(&job); /* the application is not there yet */
    copy_expect_no(&job, "target-foreign-key");
    arena_reset(&job.arena);
}

Test(findings_copy, triggers_of_partitions_are_named_with_them)
{
    COPY(job);
    TriggerFacts trigger = {.name = "audit",
        .table = "public.p1",
        .function = "public.audit",
        .row = true,
        .on_insert = true,
        .enabled = true};
    job.into.triggers = &trigger;
    job.into.trigger_count = 1;
    (void)copy_expect(&job, FINDING_REFUSE, "user-triggers", "\"audit\" of public.p1 (");
    arena_reset(&job.arena);
}

Test(findings_copy, target_that_cannot_be_walked_by_the_key_is_a_risk)
{
    COPY(job);
    int walk[] = {1, 4};
    job.into_attnums[0] = 4; /* (made_at, id), partitioned by made_at */
    job.into_attnums[1] = 1;
    job.into_indexes[0].attnum_count = 2;
    job.into_columns[3].not_null = true;
    job.partition_attnums[0] = 4;
    job.into.table.partition_attnum_count = 1;
    copy_expect_allowed(&job, FINDING_REFUSE, "target-scan",
        "no index of \"public\".\"orders_v2\" begins with the key (\"id\")");
    (void)copy_expect(
        &job, FINDING_REFUSE, "target-scan", "CREATE INDEX ON \"public\".\"orders_v2\" (\"id\");");
    job.into_indexes[1] = job.into_indexes[0];
    job.into_indexes[1].unique = job.into_indexes[1].primary = false;
    job.into_indexes[1].attnums = walk;
    job.into.index_count = 2;
    copy_expect_no(&job, "target-scan");
    job.into_indexes[1].partial = true;
    (void)copy_expect(&job, FINDING_REFUSE, "target-scan", "id");
    job.spec.sync = SYNC_NONE;
    (void)copy_expect(&job, FINDING_REFUSE, "target-scan", "verify");
    job.spec.verify = false;
    copy_expect_no(&job, "target-scan");
    arena_reset(&job.arena);
}

Test(findings_copy, deferrable_constraints_of_the_target_are_a_risk_while_it_is_synced)
{
    COPY(job);
    int note[] = {3};
    job.into_indexes[1] = job.into_indexes[0];
    job.into_indexes[1].name = "by_note";
    job.into_indexes[1].attnums = note;
    job.into_indexes[1].primary = job.into_indexes[1].immediate = false;
    job.into.index_count = 2;
    copy_expect_allowed(
        &job, FINDING_REFUSE, "target-deferrable", "swaps, ends the run: \"by_note\"");
    job.spec.sync = SYNC_NONE;
    copy_expect_no(&job, "target-deferrable");
    arena_reset(&job.arena);
}

Test(findings_copy, narrower_types_and_lacking_labels_are_named)
{
    COPY(job);
    const char *here[] = {"new", "sent", "lost"};
    const char *there[] = {"sent", "new"};
    job.into_columns[2].type = "character varying(9)";
    job.into_columns[2].base_type_name = "varchar";
    job.into_columns[2].base_type_mod = 13;
    (void)copy_expect(&job, FINDING_WARN, "target-constraint", "\"note\" (character varying(9))");
    job.columns[2].base_type_name = "varchar";
    job.columns[2].base_type_mod = 12;
    copy_expect_no(&job, "target-constraint");
    job.into_columns[2].type = "state";
    job.columns[2].labels = here;
    job.columns[2].label_count = 3;
    job.into_columns[2].labels = there;
    job.into_columns[2].label_count = 2;
    (void)copy_expect(&job, FINDING_WARN, "target-constraint", "\"note\" (state without \"lost\")");
    job.columns[2].label_count = 2;
    copy_expect_no(&job, "target-constraint");
    arena_reset(&job.arena);
}
