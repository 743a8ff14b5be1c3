#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "unit/findings_job.h"

/* The healthy job as a purge: nothing is set, and a predicate is there. */
static void
purge_init(Job *job)
{
    job_init(job);
    job->spec.kind = KIND_PURGE;
    job->spec.set_count = 0;
    job->spec.where = (RawSql){.text = "id < 100"};
    job->exprs.where = &job->where;
    job->where.match_rows = 400;
    job->facts.table.may_delete = true;
    job->facts.table.has_identity = true;
    job->facts.table.total_bytes = 110000;
    job->facts.table.index_bytes = 10000;
}

#define PURGE(name)                                                                                \
    Job name;                                                                                      \
    purge_init(&(name))

Test(findings_purge, healthy_purge_has_none)
{
    PURGE(job);
    expect_none(&job);
    job.where.immutable = false; /* now() is the point of it */
    expect_none(&job);
    job.facts.table.persistence = 'u'; /* what is deleted is deleted, logged or not */
    expect_none(&job);
    arena_reset(&job.arena);
}

Test(findings_purge, predicate_that_chance_decides_is_a_risk)
{
    PURGE(job);
    job.where.immutable = false;
    job.where.is_volatile = true;
    expect_risk(&job, "volatile", "one moment for the whole run");
    arena_reset(&job.arena);
}

/* Read by COPY in one session and by a function in another, they are not one moment. */
Test(findings_purge, words_for_a_time_that_no_pass_can_hold_are_refused)
{
    static const char *const REFUSED[] = {"at < 'today'", "at < date ' Yesterday '",
        "at < now() AND at > 'now'::timestamptz", "at < 'TOMORROW 12:00'"};
    static const char *const TAKEN[] = {
        "at < 'nowhere'", "at < CURRENT_DATE -- 'today'", "at < \"today\"", "at < '2020-01-01'"};
    PURGE(job);
    int sources[] = {job.columns[0].attnum};
    job.where.sources = sources;
    job.where.source_count = 1;
    job.spec.where.text = REFUSED[0];
    expect_none(&job); /* of a column that is no time */
    job.columns[0].base_type_name = "timestamptz";
    for (int i = 0; i < 4; i++) {
        job.spec.where.text = REFUSED[i];
        expect_finding(&job, FINDING_REFUSE, "time-constant", "CURRENT_DATE");
        job.spec.where.text = TAKEN[i];
        expect_none(&job);
    }
    arena_reset(&job.arena);
}

Test(findings_purge, each_missing_privilege_has_its_grant)
{
    PURGE(job);
    job.facts.table.may_delete = false;
    expect_finding(
        &job, FINDING_REFUSE, "privilege", "GRANT DELETE ON \"public\".\"orders\" TO \"mover\";");
    job.facts.table.may_delete = true;
    job.facts.table.may_select = false;
    expect_none(&job); /* key and predicate are columns that it may read */
    job.spec.archive.path = "/a";
    expect_finding(
        &job, FINDING_REFUSE, "privilege", "GRANT SELECT ON \"public\".\"orders\" TO \"mover\";");
    job.spec.archive.path = NULL;
    job.facts.table.may_select_system = false;
    expect_finding(&job, FINDING_REFUSE, "privilege", "SELECT (ctid, xmax)");
    job.facts.table.may_select_system = true;
    job.facts.server.may_create_temporary = false;
    expect_finding(&job, FINDING_REFUSE, "privilege", "GRANT TEMPORARY");
    arena_reset(&job.arena);
}

Test(findings_purge, without_update_on_any_column_no_row_can_be_locked)
{
    PURGE(job);
    for (int i = 0; i < 3; i++) {
        job.columns[i].may_update = false;
        expect_none(&job);
    }
    job.columns[3].may_update = false;
    expect_finding(&job, FINDING_REFUSE, "privilege",
        "GRANT UPDATE (\"id\") ON \"public\".\"orders\" TO \"mover\";");
    arena_reset(&job.arena);
}

Test(findings_purge, owner_is_needed_for_the_tail_and_asked_for_to_vacuum)
{
    PURGE(job);
    job.facts.table.owned_by_us = false;
    job.facts.table.owner = "app";
    expect_none(&job);
    job.spec.keeps_tail = true;
    expect_finding(&job, FINDING_REFUSE, "owner", "GRANT \"app\" TO \"mover\";");
    job.spec.keeps_tail = false;
    job.spec.vacuum = true;
    job.facts.table.may_vacuum = false;
    expect_finding(&job, FINDING_WARN, "vacuum-owner", "used again");
    arena_reset(&job.arena);
}

Test(findings_purge, triggers_count_when_they_fire_on_delete)
{
    PURGE(job);
    job.facts.trigger_count = 1;
    expect_none(&job); /* it fires on INSERT and UPDATE */
    job.triggers[0].on_delete = true;
    expect_risk(&job, "user-triggers", "where it returns NULL");
    job.triggers[0].before = false;
    expect_risk(&job, "user-triggers", "that the job deletes");
    job.triggers[0].enabled = false;
    expect_none(&job);
    arena_reset(&job.arena);
}

Test(findings_purge, rules_row_security_and_children_are_judged_as_for_a_delete)
{
    PURGE(job);
    job.facts.table.rules = "log_it";
    expect_finding(&job, FINDING_REFUSE, "rules", "turn a DELETE into");
    job.facts.table.rules = NULL;
    job.facts.table.row_security_filters = true;
    expect_finding(&job, FINDING_REFUSE, "row-security", "BYPASSRLS");
    job.facts.table.row_security_filters = false;
    const char *children[] = {"public.orders_2019"};
    job.facts.table.children = children;
    job.facts.table.child_count = 1;
    expect_caution(&job, "inheritance", "public.orders_2019");
    arena_reset(&job.arena);
}

Test(findings_purge, table_must_hold_rows_of_its_own)
{
    static const struct {
        char relkind;
        const char *part;
    } KINDS[] = {{'p', "leaf partitions"}, {'v', "a view"}, {'f', "a foreign table"},
        {'m', "a materialized view"}};
    PURGE(job);
    for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++) {
        job.facts.table.relkind = KINDS[i].relkind;
        expect_finding(&job, FINDING_REFUSE, "table-kind", KINDS[i].part);
    }
    job.facts.table.relkind = 'r';
    job.facts.table.persistence = 't';
    expect_finding(&job, FINDING_REFUSE, "temporary", "temporary table");
    arena_reset(&job.arena);
}

Test(findings_purge, subscribers_that_lose_the_rows_are_a_risk)
{
    PURGE(job);
    const char *publications[] = {"feed", "other"};
    job.facts.publications = publications;
    job.facts.publication_count = 2;
    expect_risk(&job, "published", "\"feed\" and others: subscribers lose the rows");
    job.facts.table.has_identity = false;
    expect_finding(
        &job, FINDING_REFUSE, "replica-identity", "REPLICA IDENTITY USING INDEX \"orders_pkey\"");
    job.facts.publication_count = 0;
    expect_none(&job);
    arena_reset(&job.arena);
}

Test(findings_purge, folder_of_the_archive_is_looked_at_before_the_first_run)
{
    PURGE(job);
    FolderFacts folder = {.exists = true, .free_bytes = 1000000};
    job.spec.archive = (ArchiveSpec){.path = "/a", .place = {.line = 4, .column = 10}};
    job.facts.archive = &folder;
    expect_none(&job);
    folder.fault = "is a symbolic link";
    folder.remedy = "Write the path that it points to.";
    expect_finding(
        &job, FINDING_REFUSE, "archive-folder", "j.yaml:4:10: archive: /a is a symbolic link");
    folder.fault = NULL;
    folder.free_bytes = 39999; /* 400 of 1000 rows that are 100,000 bytes */
    expect_finding(&job, FINDING_WARN, "archive-room", "39.1 kB");
    folder.free_bytes = 40000;
    expect_none(&job);
    folder.free_bytes = 0;
    job.where.match_rows = -1;
    expect_none(&job);
    arena_reset(&job.arena);
}

/* ---- another table ---- */

typedef struct Kept {
    Job job;
    Job target;
} Kept;

static void
kept_init(Kept *kept)
{
    purge_init(&kept->job);
    purge_init(&kept->target);
    for (int i = 0; i < 4; i++) {
        kept->job.columns[i].base_type_mod = -1;
        kept->target.columns[i].base_type_mod = -1;
    }
    kept->target.facts.table.name = "old_orders";
    kept->target.facts.table.oid = 2;
    kept->target.facts.table.may_insert = true;
    kept->job.facts.table.oid = 1;
    kept->job.facts.into = &kept->target.facts;
    kept->job.spec.into = "old_orders";
}

Test(findings_purge, table_of_the_same_columns_keeps_the_rows)
{
    Kept kept;
    kept_init(&kept);
    expect_none(&kept.job);
    kept.target.facts.table.relkind = 'p';
    expect_finding(&kept.job, FINDING_NOTE, "target-partitioned", "ends the run");
    kept.target.facts.table.relkind = 'r';
    kept.target.facts.table.persistence = 'u';
    expect_finding(&kept.job, FINDING_REFUSE, "target-unlogged", "SET LOGGED");
    kept.target.facts.table.persistence = 'p';
    kept.target.facts.table.may_insert = false;
    expect_finding(&kept.job, FINDING_REFUSE, "privilege", "GRANT INSERT");
    kept.target.facts.table.may_insert = true;
    kept.target.facts.table.oid = 1;
    expect_finding(&kept.job, FINDING_REFUSE, "target-is-source", "source and target");
    arena_reset(&kept.job.arena);
}

Test(findings_purge, every_column_needs_a_place_that_keeps_its_values)
{
    Kept kept;
    kept_init(&kept);
    Job *job = &kept.job;
    ColumnFacts *column = &kept.target.columns[2];
    column->name = "sum";
    expect_finding(job, FINDING_REFUSE, "into-columns", "ADD COLUMN \"amount\" numeric(10,2);");
    column->name = "amount";
    column->generated = true;
    expect_finding(job, FINDING_REFUSE, "into-columns", "is generated in");
    column->generated = false;
    column->base_type = "integer";
    column->base_type_name = "int4";
    expect_finding(job, FINDING_REFUSE, "into-columns", "does not keep every numeric(10,2)");
    job->columns[2].base_type_name = "int2";
    job->columns[2].base_type = "smallint";
    expect_none(job);
    column->base_type_name = "text";
    expect_finding(job, FINDING_REFUSE, "into-columns", "TYPE numeric(10,2)");
    arena_reset(&job->arena);
}

Test(findings_purge, columns_that_must_have_a_value_get_one)
{
    Kept kept;
    kept_init(&kept);
    Job *job = &kept.job;
    kept.target.columns[2].not_null = true;
    expect_finding(job, FINDING_WARN, "into-not-null", "DROP NOT NULL");
    job->facts.column_count = 2;
    expect_finding(job, FINDING_REFUSE, "into-columns", "has no value for it");
    kept.target.columns[2].has_default = true;
    expect_none(job);
    arena_reset(&job->arena);
}

Test(findings_purge, vacuum_after_it_is_told_of_where_there_are_standbys)
{
    PURGE(job);
    job.facts.standby_count = 1;
    expect_finding(&job, FINDING_WARN, "tail-truncation", "ends queries on 1 standby");
    expect_finding(&job, FINDING_NOTE, "standby-conflicts", "pg_stat_database_conflicts");
    job.spec.keeps_tail = true;
    job_collect(&job);
    cr_expect(findings_find(&job.findings, "tail-truncation") == NULL);
    job.spec.keeps_tail = false;
    job.facts.table.keeps_tail = true; /* somebody has done it already */
    job_collect(&job);
    cr_expect(findings_find(&job.findings, "tail-truncation") == NULL);
    cr_expect(findings_find(&job.findings, "standby-conflicts") != NULL);
    arena_reset(&job.arena);
}
