#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/findings.h"

/*
 * A job without any finding, on hand-made facts; each test spoils one thing.
 *
 *   orders (id int8 PRIMARY KEY, amount_text text, amount numeric(10,2))
 */
typedef struct Job {
    Arena arena;
    JobSpec spec;
    Facts facts;
    Assignment set[1];
    ColumnFacts columns[4];
    IndexFacts indexes[2];
    TriggerFacts triggers[1];
    StandbyFacts standbys[1];
    int id_attnum[2];
    int other_attnums[2];
    ExprFacts expr;
    ExprFacts where;
    ExprReport exprs;
    const char *names[2];
    const char *allow[1];
    Findings findings;
} Job;

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

static void
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
            .database = "shop",
            .role = "mover",
            .role_reads_stats = true,
            .connections_free = 50,
            .may_create_schema = true},
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
            .may_update = true,
            .may_trigger = true,
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

static void
collect(Job *job)
{
    job->findings = FINDINGS_INIT;
    findings_collect(&job->spec, &job->facts, &job->exprs, &job->arena, &job->findings);
}

/* The finding must be there with this severity, and its text or hint must contain `part`. */
static void
expect_finding(Job *job, FindingSeverity severity, const char *code, const char *part)
{
    collect(job);
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

static void
expect_none(Job *job)
{
    collect(job);
    cr_expect(zero(int, job->findings.count), "%s: %s", job->findings.items[0].code,
        job->findings.items[0].text);
}

static void
allow(Job *job, const char *word)
{
    job->allow[0] = word;
    job->spec.allow.count = 1;
}

/* A risk is refused with the word to accept it by, and a warning once that word is there. */
static void
expect_risk(Job *job, const char *code, const char *part)
{
    expect_finding(job, FINDING_REFUSE, code, part);
    const Finding *finding = findings_find(&job->findings, code);
    cr_expect(zero(int, strcmp(finding->allow, code)));
    const char *accept = arena_printf(&job->arena, "allow: [%s]", code);
    cr_expect(strstr(finding->hint, accept) != NULL, "%s", finding->hint);
    allow(job, code);
    expect_finding(job, FINDING_WARN, code, part);
    job->spec.allow.count = 0;
}

#define JOB(name)                                                                                  \
    Job name;                                                                                      \
    job_init(&(name))

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
    job.facts.table.rows = -1;        /* note */
    job.columns[2].in_check = true;   /* warning */
    job.columns[2].generated = true;  /* refusal */
    job.facts.table.has_rules = true; /* refusal, found earlier */
    collect(&job);
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
    expect_finding(&job, FINDING_WARN, "vacuum-owner", "vacuum: off");
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
    job.facts.table.has_rules = true;
    expect_finding(&job, FINDING_REFUSE, "rules", "pg_rules");
    arena_reset(&job.arena);
}

Test(findings, inheritance_children_are_named)
{
    JOB(job);
    const char *children[] = {"public.a", "public.b"};
    job.facts.table.children = children;
    job.facts.table.child_count = 2;
    expect_finding(&job, FINDING_NOTE, "children", "public.a, public.b");
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
    expect_finding(&job, FINDING_WARN, "user-triggers", "\"audit\"");
    allow(&job, "user-triggers");
    expect_finding(&job, FINDING_NOTE, "user-triggers", "\"audit\"");
    job.spec.allow.count = 0;
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
    collect(&job);
    cr_expect(findings_find(&job.findings, "trigger-order") == NULL);
    job.triggers[0].name = "zzzz_pghaul_999";
    expect_finding(&job, FINDING_REFUSE, "trigger-order", "RENAME TO");
    job.triggers[0].before = false;
    collect(&job);
    cr_expect(findings_find(&job.findings, "trigger-order") == NULL);
    job.triggers[0].before = true;
    job.spec.sync = SYNC_NONE;
    collect(&job);
    cr_expect(findings_find(&job.findings, "trigger-order") == NULL);
    arena_reset(&job.arena);
}

Test(findings, publications_are_named_and_all_tables_with_subscribers_is_a_risk)
{
    JOB(job);
    const char *publications[] = {"feed"};
    job.facts.publications = publications;
    job.facts.publication_count = 1;
    expect_finding(&job, FINDING_WARN, "publication", "\"feed\"");
    job.facts.publication_count = 0;
    job.facts.publication_for_all = true;
    expect_none(&job);
    job.facts.subscriber_count = 2;
    expect_risk(&job, "published", "2 active");
    arena_reset(&job.arena);
}

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
    job.facts.table.has_rules = true;
    findings_collect(&job.spec, &job.facts, NULL, &job.arena, &job.findings);
    cr_expect(eq(int, job.findings.count, 1));
    arena_reset(&job.arena);
}
