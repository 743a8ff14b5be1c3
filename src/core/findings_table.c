/*
 * findings_table.c - findings about the table: kind, privileges, triggers, who else reads it.
 */
#include <string.h>

#include "base/strbuf.h"
#include "core/findings_collector.h"
#include "core/plan.h"

/* Variables of the generated functions begin with this; a column of such a name would hide them. */
#define RESERVED_PREFIX "pghaul_"

/* ---- kind ---- */

const char *
finding_kind_word(char relkind)
{
    switch (relkind) {
    case 'v':
        return "a view";
    case 'm':
        return "a materialized view";
    case 'f':
        return "a foreign table";
    case 'p':
        return "a partitioned table";
    default:
        return "not a table";
    }
}

static void
check_kind(const Collector *c)
{
    const TableFacts *table = &c->facts->table;
    if (table->relkind == 'p') {
        finding_add(c, FINDING_REFUSE, "table-kind",
            arena_printf(c->arena,
                "Name one of its leaf partitions: SELECT relid FROM pg_partition_tree('%s') "
                "WHERE isleaf;",
                c->table),
            "%s is a partitioned table and holds no rows itself", c->table);
    } else if (table->relkind != 'r') {
        finding_add(c, FINDING_REFUSE, "table-kind", "Name the table that holds the rows.",
            "%s is %s", c->table, finding_kind_word(table->relkind));
    }
    bool is_source = c->spec->kind == KIND_COPY;
    bool is_purged = c->spec->kind == KIND_PURGE; /* gone is gone, and archived rows are kept */
    if (table->persistence == 'u' && is_source) {
        finding_add(c, FINDING_WARN, "unlogged",
            "After a crash of its server remove the job and its rows with pghaul clean and "
            "TRUNCATE, and copy anew.",
            "%s is unlogged: after a crash it is empty, and the target keeps rows that are gone",
            c->table);
    } else if (table->persistence == 'u' && !is_purged) {
        finding_add(c, FINDING_REFUSE, "unlogged",
            arena_printf(c->arena, "ALTER TABLE %s SET LOGGED; rewrites it.", c->table),
            "%s is unlogged: after a crash it is empty while the job says that rows were moved",
            c->table);
    } else if (table->persistence == 't') {
        finding_add(c, FINDING_REFUSE, "temporary", "Name a table that other sessions see.",
            "%s is a temporary table", c->table);
    }
    if (table->relkind == 'r' && strcmp(table->access_method, "heap") != 0 &&
        c->spec->path == PATH_BLOCK) {
        finding_add(c, FINDING_REFUSE, "access-method", "Use path: key.",
            "%s uses access method %s, path: block needs heap", c->table, table->access_method);
    }
    if (table->rows < 0 && table->relkind == 'r') {
        finding_add(c, FINDING_NOTE, "not-analyzed",
            arena_printf(c->arena, "ANALYZE %s;", c->table),
            "%s was never analyzed; estimates of rows and time are guesses", c->table);
    }
}

static void
check_system(const Collector *c)
{
    if (c->facts->table.is_system) {
        finding_add(c, FINDING_REFUSE, "system-table", "Name a table of your own.",
            "%s is a table of the server or of pghaul itself", c->table);
    }
}

static void
check_children(const Collector *c)
{
    const TableFacts *table = &c->facts->table;
    if (table->child_count == 0) {
        return;
    }
    STRBUF_AUTO names = STRBUF_INIT;
    for (int i = 0; i < table->child_count; i++) {
        strbuf_printf(&names, "%s%s", i == 0 ? "" : ", ", table->children[i]);
    }
    finding_caution(c, "inheritance",
        "Each needs a job of its own; allow: [inheritance] says that you know.",
        "%s has inheritance children whose rows are not touched: %s", c->table,
        strbuf_text(&names));
}

/* ---- privileges and owners ---- */

static void
check_table_privilege(const Collector *c, bool has, const char *privilege)
{
    if (!has) {
        finding_add(c, FINDING_REFUSE, "privilege",
            arena_printf(c->arena, "GRANT %s ON %s TO %s;", privilege, c->table, c->role),
            "role %s lacks %s on %s", c->role, privilege, c->table);
    }
}

/* What the session changes runs code of its owner's. */
static void
check_untrusted_owner(const Collector *c)
{
    const TableFacts *table = &c->facts->table;
    if (!table->owner_is_trusted) {
        const char *owner = finding_ident(c, table->owner);
        finding_risk(c, "untrusted-owner", arena_printf(c->arena, "Run as %s.", owner),
            "%s belongs to role %s, whose triggers, checks and functions would run with the "
            "rights of superuser %s",
            c->table, owner, c->role);
    }
}

static void
check_owner(const Collector *c)
{
    const TableFacts *table = &c->facts->table;
    const char *owner = finding_ident(c, table->owner);
    if (c->trigger && !table->owned_by_us) {
        finding_add(c, FINDING_REFUSE, "owner",
            arena_printf(
                c->arena, "GRANT %s TO %s; or run as %s; or sync: none.", owner, c->role, owner),
            "the sync trigger needs the owner of %s, which is %s", c->table, owner);
    }
    if (!table->may_vacuum && c->spec->vacuum && c->spec->kind != KIND_COPY) {
        bool can_maintain = c->facts->server.version_num >= FACTS_FIRST_WITH_MAINTAIN;
        finding_add(c, FINDING_WARN, "vacuum-owner",
            can_maintain
                ? arena_printf(
                      c->arena, "GRANT MAINTAIN ON %s TO %s; or vacuum: off.", c->table, c->role)
                : arena_printf(c->arena, "GRANT %s TO %s; or vacuum: off.", owner, c->role),
            "role %s may not vacuum %s%s", c->role, c->table,
            c->spec->kind == KIND_PURGE ? ", by which the room of deleted rows is used again"
                                        : "; without that it grows more");
    }
}

static void
check_usage(const Collector *c)
{
    const TableFacts *table = &c->facts->table;
    if (!table->may_use_schema) {
        const char *schema = finding_ident(c, table->schema);
        finding_add(c, FINDING_REFUSE, "privilege",
            arena_printf(c->arena, "GRANT USAGE ON SCHEMA %s TO %s;", schema, c->role),
            "role %s lacks USAGE on schema %s", c->role, schema);
    }
}

static void
check_privileges(const Collector *c)
{
    const TableFacts *table = &c->facts->table;
    bool by_block = c->spec->kind == KIND_BACKFILL || c->spec->kind == KIND_PURGE ||
                    (c->trigger && c->spec->path != PATH_KEY && !facts_is_remote(c->facts));
    check_usage(c);
    if (table->relkind == 'r' && by_block) {
        check_table_privilege(c, table->may_select_system, "SELECT (ctid, xmax)");
    }
    if (c->trigger && table->owned_by_us) {
        /* An owner may have revoked it from himself. */
        check_table_privilege(c, table->may_trigger, "TRIGGER");
    }
    check_owner(c);
}

static void
check_row_security(const Collector *c)
{
    const TableFacts *table = &c->facts->table;
    if (table->row_security_filters) {
        finding_add(c, FINDING_REFUSE, "row-security",
            arena_printf(c->arena, "Run as %s, or: ALTER ROLE %s BYPASSRLS;",
                finding_ident(c, table->owner), c->role),
            "row security hides rows of %s from role %s", c->table, c->role);
    }
}

/* What the job does to the rows of the table. */
static const char *
word_of_write(const Collector *c)
{
    return c->is_target ? "an INSERT" : c->spec->kind == KIND_PURGE ? "a DELETE" : "an UPDATE";
}

static void
check_rules(const Collector *c)
{
    const TableFacts *table = &c->facts->table;
    if (table->rules != NULL) {
        finding_add(c, FINDING_REFUSE, "rules",
            arena_printf(c->arena,
                "Drop them: SELECT rulename, definition FROM pg_rules WHERE schemaname = '%s' "
                "AND tablename = '%s';",
                table->schema, table->name),
            "%s has rewrite rules, which would turn %s into something else: %s", c->table,
            word_of_write(c), table->rules);
    }
}

/* ---- triggers of others ---- */

static void
check_trigger_order(const Collector *c, const TriggerFacts *trigger)
{
    if (!trigger->before || !trigger->row || !(trigger->on_insert || trigger->on_update) ||
        strcmp(trigger->name, PLAN_TRIGGER_PREFIX) <= 0) {
        return;
    }
    finding_add(c, FINDING_REFUSE, "trigger-order",
        arena_printf(c->arena, "ALTER TRIGGER %s ON %s RENAME TO a_name_before_%s;",
            finding_ident(c, trigger->name), c->table, PLAN_TRIGGER_PREFIX),
        "trigger \"%s\" fires after the sync trigger and could change the columns that it read",
        trigger->name);
}

static void
check_trigger_fires(const Collector *c, const TriggerFacts *trigger)
{
    bool purges = c->spec->kind == KIND_PURGE;
    /* The change log is drained by DELETE and INSERT. */
    bool fires = c->is_target ? trigger->on_insert || (trigger->on_delete && c->trigger)
                 : purges     ? trigger->on_delete
                              : trigger->on_update && trigger->fires_on_set;
    if (!fires) {
        return;
    }
    const char *word = c->is_target || !purges ? "changes" : "deletes";
    finding_risk(c, "user-triggers",
        purges && !c->is_target && trigger->before && trigger->row
            ? "Make sure that it may run once for each row: where it returns NULL, the row stays "
              "and the run ends."
            : "Make sure that it may run once for each row, or give it a WHEN clause.",
        "trigger \"%s\" of %s (function %s) fires on each row%s that the job %s", trigger->name,
        trigger->table == NULL ? c->table : trigger->table, trigger->function,
        trigger->row ? "" : " or batch", word);
}

static void
check_triggers(const Collector *c)
{
    for (int i = 0; i < c->facts->trigger_count; i++) {
        const TriggerFacts *trigger = &c->facts->triggers[i];
        if (trigger->is_ours || !trigger->enabled) {
            continue;
        }
        check_trigger_fires(c, trigger);
        if (c->trigger && !c->is_target) {
            check_trigger_order(c, trigger);
        }
    }
}

/* ---- who else is at work ---- */

static void
check_wraparound(const Collector *c)
{
    const TableFacts *table = &c->facts->table;
    if (table->wraparound_vacuum_pid == 0 || !c->trigger || c->facts->stored.has_trigger) {
        return;
    }
    finding_add(c, FINDING_REFUSE, "wraparound-vacuum",
        arena_printf(c->arena,
            "Wait for it (pg_stat_progress_vacuum), or run VACUUM (FREEZE) %s; in a quiet hour "
            "before the job; or sync: none.",
            c->table),
        "an autovacuum to prevent wraparound (pid %d) is on %s: it gives way to nobody, so the "
        "sync trigger would wait for its end",
        table->wraparound_vacuum_pid, c->table);
}

/* ---- publications ---- */

/* The rows of a publication FOR ALL TABLES are also those of schema pghaul. */
static void
check_published_schema(const Collector *c)
{
    const Facts *facts = c->facts;
    if (facts->publication_for_all && facts->subscriber_count > 0) {
        finding_risk(c, "published",
            "Create schema pghaul with its tables on every subscriber first, or publish tables "
            "by name.",
            "a publication FOR ALL TABLES has %d active subscriber%s: the first row of schema "
            "pghaul would stop %s",
            facts->subscriber_count, facts->subscriber_count == 1 ? "" : "s",
            facts->subscriber_count == 1 ? "it" : "them");
    }
}

static void
check_publications(const Collector *c)
{
    const Facts *facts = c->facts;
    check_published_schema(c);
    if (c->spec->kind == KIND_PURGE && !c->is_target) {
        return; /* findings_purge() knows more about them */
    }
    for (int i = 0; i < facts->publication_count; i++) {
        finding_caution(c, "published",
            "Each changed row travels to the subscribers, watch their lag; allow: [published] "
            "says that you know.",
            "%s is published by %s", c->table, finding_ident(c, facts->publications[i]));
    }
}

static void
check_reserved_names(const Collector *c)
{
    for (int i = 0; i < c->facts->column_count; i++) {
        const char *name = c->facts->columns[i].name;
        if (strncmp(name, RESERVED_PREFIX, strlen(RESERVED_PREFIX)) == 0) {
            finding_add(c, FINDING_REFUSE, "reserved-name",
                "Names that begin with " RESERVED_PREFIX " are used by the generated functions; "
                "rename the column.",
                "column \"%s\" of %s has a reserved name", name, c->table);
        }
    }
    /* Of a copy the source is read beside the target, whose alias begins so. */
    const char *table = c->facts->table.name;
    if (c->facts->into != NULL && strncmp(table, RESERVED_PREFIX, strlen(RESERVED_PREFIX)) == 0) {
        finding_add(c, FINDING_REFUSE, "reserved-name",
            "Names that begin with " RESERVED_PREFIX
            " are used by the generated functions; rename the table.",
            "%s has a reserved name", c->table);
    }
}

void
findings_table(const Collector *c)
{
    check_system(c);
    check_kind(c);
    check_children(c);
    check_privileges(c);
    check_untrusted_owner(c);
    check_row_security(c);
    check_rules(c);
    check_triggers(c);
    check_wraparound(c);
    check_publications(c);
    check_reserved_names(c);
}

void
findings_source(const Collector *c)
{
    check_system(c);
    check_kind(c);
    check_children(c);
    check_privileges(c);
    check_row_security(c);
    check_wraparound(c);
    check_reserved_names(c);
    if (c->trigger && facts_is_remote(c->facts)) {
        check_published_schema(c); /* its own change log */
    }
}

void
findings_target(const Collector *c)
{
    check_system(c);
    check_usage(c);
    check_untrusted_owner(c);
    check_row_security(c);
    check_rules(c);
    check_triggers(c);
    check_publications(c);
    check_reserved_names(c);
}
