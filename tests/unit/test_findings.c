#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "unit/findings_job.h"

Test(findings, healthy_job_has_none)
{
    JOB(job);
    expect_none(&job);
    cr_expect(findings_find(&job.findings, "key") == NULL);
    arena_reset(&job.arena);
}

Test(findings, worst_come_first)
{
    JOB(job);
    job.facts.table.rows = -1;       /* note */
    job.columns[2].in_check = true;  /* warning */
    job.columns[2].generated = true; /* refusal */
    job.facts.table.rules = "r";     /* refusal, found earlier */
    job_collect(&job);
    cr_assert(eq(int, job.findings.count, 4));
    cr_expect(eq(int, job.findings.refuse_count, 2));
    static const char *const CODES[] = {"rules", "set-generated", "set-check", "not-analyzed"};
    for (int i = 0; i < 4; i++) {
        cr_expect(zero(int, strcmp(job.findings.items[i].code, CODES[i])));
    }
    arena_reset(&job.arena);
}

/* ---- server ---- */

Test(findings, server_that_cannot_be_written_is_refused)
{
    JOB(job);
    job.facts.server.version_num = 130012;
    expect_finding(&job, FINDING_REFUSE, "server-version", "PostgreSQL 13");
    job.facts.server.version_num = 140000;
    expect_none(&job);
    job.facts.server.in_recovery = true;
    expect_finding(&job, FINDING_REFUSE, "in-recovery", "primary");
    job.facts.server.in_recovery = false;
    job.facts.server.read_only = true;
    expect_finding(&job, FINDING_REFUSE, "read-only", "default_transaction_read_only");
    arena_reset(&job.arena);
}

Test(findings, schema_must_be_ours_or_creatable)
{
    JOB(job);
    job.facts.server.may_create_schema = false;
    expect_finding(&job, FINDING_REFUSE, "schema-privilege",
        "GRANT CREATE ON DATABASE \"shop\" TO \"mover\";");
    job.facts.server.has_schema = true;
    job.facts.server.schema_owner = "mallory";
    expect_finding(&job, FINDING_REFUSE, "schema-owner", "\"mallory\"");
    job.facts.server.schema_owner_trusted = true;
    expect_none(&job);
    arena_reset(&job.arena);
}

Test(findings, connections_for_workers_and_three_more_are_needed)
{
    JOB(job);
    job.spec.workers = 4;
    job.facts.server.connections_free = 7;
    expect_none(&job);
    job.facts.server.connections_free = 6;
    expect_finding(&job, FINDING_REFUSE, "connections", "6 connections are free, the job needs 7");
    job.spec.workers = 0;
    expect_none(&job);
    job.facts.server.connections_free = -2;
    expect_finding(&job, FINDING_REFUSE, "connections", "0 connections are free, the job needs 4");
    arena_reset(&job.arena);
}

Test(findings, standby_whose_lag_is_hidden_is_a_risk)
{
    JOB(job);
    job.facts.standby_count = 1;
    expect_none(&job);
    job.standbys[0].readable = false;
    expect_risk(&job, "blind-lag", "GRANT pg_monitor TO \"mover\";");

    job.spec.throttle.standby_mode = STANDBYS_NONE;
    expect_none(&job);
    job.spec.throttle.standby_mode = STANDBYS_NAMED;
    job.names[0] = "other";
    job.spec.throttle.standbys = (NameList){.names = job.names, .count = 1};
    expect_finding(&job, FINDING_WARN, "standby-missing", "\"other\"");
    cr_expect(findings_find(&job.findings, "blind-lag") == NULL);
    job.standbys[0].name = ""; /* even the name is hidden */
    expect_risk(&job, "blind-lag", "1 standby");
    job.facts.standby_count = 0;
    job.spec.throttle.standby_mode = STANDBYS_AUTO;
    job.facts.server.role_reads_stats = false;
    expect_finding(&job, FINDING_NOTE, "stats-hidden", "GRANT pg_monitor");
    arena_reset(&job.arena);
}

/* ---- table ---- */

Test(findings, only_logged_permanent_tables_are_accepted)
{
    JOB(job);
    static const struct {
        char relkind;
        const char *part;
    } KINDS[] = {{'v', "a view"}, {'m', "materialized"}, {'f', "foreign"}, {'p', "leaf"},
        {'S', "not a table"}};
    for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++) {
        job.facts.table.relkind = KINDS[i].relkind;
        expect_finding(&job, FINDING_REFUSE, "table-kind", KINDS[i].part);
    }
    job.facts.table.relkind = 'r';
    job.facts.table.persistence = 'u';
    expect_finding(&job, FINDING_REFUSE, "unlogged", "SET LOGGED");
    job.facts.table.persistence = 't';
    expect_finding(&job, FINDING_REFUSE, "temporary", "other sessions");
    arena_reset(&job.arena);
}

Test(findings, block_path_needs_heap_and_trigger)
{
    JOB(job);
    job.facts.table.access_method = "columnar";
    expect_none(&job);
    job.spec.path = PATH_BLOCK;
    expect_finding(&job, FINDING_REFUSE, "access-method", "columnar");
    job.facts.table.access_method = "heap";
    expect_none(&job);
    job.spec.sync = SYNC_NONE;
    expect_finding(&job, FINDING_REFUSE, "block-trigger", "path: key");
    arena_reset(&job.arena);
}

Test(findings, missing_privileges_come_with_the_grant)
{
    JOB(job);
    job.facts.table.may_use_schema = false;
    expect_finding(&job, FINDING_REFUSE, "privilege", "GRANT USAGE ON SCHEMA \"public\"");
    job.facts.table.may_use_schema = true;
    job.columns[2].may_update = false;
    expect_finding(&job, FINDING_REFUSE, "privilege",
        "GRANT UPDATE (\"amount\") ON \"public\".\"orders\" TO \"mover\";");
    job.columns[2].may_update = true;
    job.columns[0].may_select = false;
    expect_finding(&job, FINDING_REFUSE, "privilege", "GRANT SELECT (\"id\")");
    job.columns[0].may_select = true;
    job.columns[1].may_select = false;
    expect_none(&job);
    job.expr.sources = (int[]){2, 2};
    job.expr.source_count = 2;
    expect_finding(&job, FINDING_REFUSE, "privilege", "GRANT SELECT (\"amount_text\")");
    cr_expect(eq(int, job.findings.count, 1), "one missing privilege is one finding");
    job.columns[1].may_select = true;
    job.facts.table.may_select_system = false;
    expect_finding(&job, FINDING_REFUSE, "privilege",
        "GRANT SELECT (ctid, xmax) ON \"public\".\"orders\" TO \"mover\";");
    job.facts.table.may_select_system = true;
    job.facts.table.may_trigger = false;
    expect_finding(&job, FINDING_REFUSE, "privilege", "GRANT TRIGGER ON");
    arena_reset(&job.arena);
}

Test(findings, sync_trigger_and_vacuum_need_the_owner)
{
    JOB(job);
    job.facts.table.owned_by_us = false;
    job.facts.table.owner = "boss";
    job.facts.table.may_trigger = false;
    expect_finding(&job, FINDING_REFUSE, "owner", "GRANT \"boss\" TO \"mover\";");
    cr_expect(findings_find(&job.findings, "privilege") == NULL);
    job.spec.sync = SYNC_NONE;
    expect_none(&job);
    job.spec.vacuum = true;
    job.facts.table.may_vacuum = false;
    expect_finding(
        &job, FINDING_WARN, "vacuum-owner", "GRANT \"boss\" TO \"mover\"; or vacuum: off");
    job.facts.server.version_num = 170000;
    expect_finding(&job, FINDING_WARN, "vacuum-owner", "GRANT MAINTAIN ON \"public\".\"orders\"");
    job.facts.table.may_vacuum = true;
    job.facts.table.owned_by_us = true;
    job.facts.table.owner_is_trusted = false;
    expect_risk(&job, "untrusted-owner", "\"boss\"");
    arena_reset(&job.arena);
}

Test(findings, rows_that_are_hidden_or_rewritten_are_refused)
{
    JOB(job);
    job.facts.table.row_security_filters = true;
    expect_finding(&job, FINDING_REFUSE, "row-security", "BYPASSRLS");
    job.facts.table.row_security_filters = false;
    job.facts.table.rules = "r";
    expect_finding(&job, FINDING_REFUSE, "rules", "pg_rules");
    arena_reset(&job.arena);
}

Test(findings, inheritance_children_are_named)
{
    JOB(job);
    const char *children[] = {"public.a", "public.b"};
    job.facts.table.children = children;
    job.facts.table.child_count = 2;
    expect_caution(&job, "inheritance", "public.a, public.b");
    arena_reset(&job.arena);
}

Test(findings, reserved_column_names_are_refused)
{
    JOB(job);
    job.columns[3].name = "pghaul_moved";
    expect_finding(&job, FINDING_REFUSE, "reserved-name", "\"pghaul_moved\"");
    job.columns[3].name = "pghaul";
    expect_none(&job);
    arena_reset(&job.arena);
}

Test(findings, triggers_that_fire_on_our_update_are_named)
{
    JOB(job);
    job.facts.trigger_count = 1;
    expect_risk(&job, "user-triggers", "\"audit\"");
    job.triggers[0].fires_on_set = false;
    expect_none(&job);
    job.triggers[0].fires_on_set = true;
    job.triggers[0].enabled = false;
    expect_none(&job);
    job.triggers[0].enabled = true;
    job.triggers[0].is_ours = true;
    expect_none(&job);
    arena_reset(&job.arena);
}

Test(findings, trigger_after_the_sync_trigger_is_refused_by_bytes_of_its_name)
{
    JOB(job);
    job.facts.trigger_count = 1;
    job.triggers[0].name = "\xc3\xa9lan";
    expect_finding(&job, FINDING_REFUSE, "trigger-order", "RENAME TO");
    job.triggers[0].name = "zzzz_pghaul";
    job_collect(&job);
    cr_expect(findings_find(&job.findings, "trigger-order") == NULL);
    job.triggers[0].name = "zzzz_pghaul_999";
    expect_finding(&job, FINDING_REFUSE, "trigger-order", "RENAME TO");
    job.triggers[0].before = false;
    job_collect(&job);
    cr_expect(findings_find(&job.findings, "trigger-order") == NULL);
    job.triggers[0].before = true;
    job.spec.sync = SYNC_NONE;
    job_collect(&job);
    cr_expect(findings_find(&job.findings, "trigger-order") == NULL);
    arena_reset(&job.arena);
}

Test(findings, publications_are_named_and_all_tables_with_subscribers_is_a_risk)
{
    JOB(job);
    const char *publications[] = {"feed"};
    job.facts.publications = publications;
    job.facts.publication_count = 1;
    expect_caution(&job, "published", "\"feed\"");
    job.facts.publication_count = 0;
    job.facts.publication_for_all = true;
    expect_none(&job);
    job.facts.subscriber_count = 2;
    expect_risk(&job, "published", "2 active");
    arena_reset(&job.arena);
}

Test(findings, window_in_a_zone_that_the_server_has_not_is_refused)
{
    JOB(job);
    job.spec.window = (WindowSpec){.text = "01:00-05:00 Europe/Berlni", .zone = "Europe/Berlni"};
    job.facts.server.zone_unknown = true;
    expect_finding(&job, FINDING_REFUSE, "window-zone", "pg_timezone_names");
    job.facts.server.zone_near = "Europe/Berlin";
    expect_finding(&job, FINDING_REFUSE, "window-zone", "Did you mean Europe/Berlin?");
    arena_reset(&job.arena);
}
