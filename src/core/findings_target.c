/*
 * findings_target.c - findings about the target of a copy as a table: what stands between its rows
 * and the way in which changed rows are replaced there, by DELETE and INSERT.
 */
#include <string.h>

#include "core/findings_collector.h"
#include "core/plan_copy.h"

/* ---- kind ---- */

static void
check_kind(const Collector *c)
{
    const TableFacts *table = &c->facts->table;
    if (table->relkind == 'p') {
        finding_add(c, FINDING_NOTE, "target-partitioned",
            "Create the partitions first, or a default partition.",
            "%s is partitioned: a row that no partition takes ends the run", c->table);
    } else if (table->relkind != 'r') {
        finding_add(c, FINDING_REFUSE, "target-kind",
            "Rows can go into an ordinary or a partitioned table.", "%s is %s", c->table,
            finding_kind_word(table->relkind));
    }
    if (table->persistence == 'u') {
        finding_add(c, FINDING_REFUSE, "target-unlogged",
            arena_printf(c->arena, "ALTER TABLE %s SET LOGGED;", c->table),
            "%s is unlogged: after a crash it is empty while the job says that rows are there",
            c->table);
    } else if (table->persistence == 't') {
        finding_add(c, FINDING_REFUSE, "target-temporary", "Name a table that other sessions see.",
            "%s is a temporary table", c->table);
    }
}

static void
check_leaves(const Collector *c)
{
    const TableFacts *table = &c->facts->table;
    if (table->odd_leaf != NULL && table->odd_leaf_kind == 'r') {
        finding_add(c, FINDING_REFUSE, "target-unlogged",
            arena_printf(c->arena, "ALTER TABLE %s SET LOGGED;", table->odd_leaf),
            "partition %s of %s is not logged: after a crash it is empty while the job says that "
            "rows are there",
            table->odd_leaf, c->table);
    } else if (table->odd_leaf != NULL) {
        finding_add(c, FINDING_REFUSE, "target-kind",
            arena_printf(
                c->arena, "ALTER TABLE %s DETACH PARTITION %s;", c->table, table->odd_leaf),
            "partition %s of %s is %s, where rows would not commit with the checkpoint",
            table->odd_leaf, c->table, finding_kind_word(table->odd_leaf_kind));
    }
}

void
findings_target_kind(const Collector *target)
{
    check_kind(target);
    check_leaves(target);
}

/* Partitions and children: rows go to the first, and neither come from the second. */
static void
check_family(const Collector *c)
{
    const TableFacts *table = &c->facts->table;
    if (table->is_partition) {
        finding_add(c, FINDING_WARN, "target-partition", "Leave other rows out by where:.",
            "%s is a partition of %s: a row outside of its bounds ends the run", c->table,
            table->parent);
    }
    if (table->child_count > 0) {
        finding_add(c, FINDING_REFUSE, "target-inheritance",
            "Copy into a table without children, or into a partitioned one.",
            "%s has inheritance children: what replaces changed rows would delete from them as "
            "well: %s%s",
            c->table, table->children[0], table->child_count > 1 ? " and others" : "");
    }
}

static void
check_rows(const Collector *source, const Collector *c)
{
    bool begun = source->facts->stored.exists || c->facts->stored.exists;
    if (c->facts->table.has_rows && !begun && c->spec->on_conflict == ON_CONFLICT_ERROR) {
        finding_add(c, FINDING_REFUSE, "target-not-empty",
            "Empty it, or say what becomes of rows that are there: on_conflict: skip or update.",
            "%s is not empty", c->table);
    }
}

/* ---- foreign keys ---- */

/* The drain replaces a row by DELETE and INSERT. */
static void
check_referenced(const Collector *c)
{
    const TableFacts *table = &c->facts->table;
    if (table->referenced_count > 0) {
        finding_add(c, c->trigger ? FINDING_REFUSE : FINDING_WARN, "target-referenced",
            c->trigger ? "Create them after the job, or use sync: none."
                       : "A repair would fail on rows that are referenced.",
            "%d foreign key%s point%s to %s, the first of %s: rows that the "
            "application changes are replaced there by DELETE and INSERT",
            table->referenced_count, table->referenced_count == 1 ? "" : "s",
            table->referenced_count == 1 ? "s" : "", c->table, table->referenced_by);
    }
}

static void
check_indexes_after(const Collector *c)
{
    const TableFacts *table = &c->facts->table;
    if (c->spec->indexes == INDEXES_AFTER && !table->owned_by_us) {
        const char *owner = finding_ident(c, table->owner);
        finding_add(c, FINDING_REFUSE, "owner",
            arena_printf(c->arena, "GRANT %s TO %s; or run as %s; or indexes: before.", owner,
                c->role, owner),
            "indexes: after needs the owner of %s, which is %s", c->table, owner);
    }
}

/* A row that is there holds on to its parent, which the application still knows by the source. */
static void
check_foreign_keys(const Collector *c)
{
    const TableFacts *table = &c->facts->table;
    STRBUF_AUTO names = STRBUF_INIT;
    for (int i = 0; i < table->foreign_key_count; i++) {
        finding_put_name(&names, table->foreign_keys[i]);
    }
    if (names.len > 0) {
        finding_add(c, FINDING_WARN, "target-foreign-key",
            "Create them when the job is done; pghaul cutover makes those of the source on the "
            "target.",
            "each batch locks the rows that foreign keys of %s point to, and while a copied row is "
            "there the application cannot delete them, or deletes it along: %s",
            c->table, strbuf_text(&names));
    }
}

void
findings_into(const Collector *source, const Collector *target)
{
    findings_target_kind(target);
    check_family(target);
    check_rows(source, target);
    check_referenced(target);
    if (!facts_is_remote(source->facts)) {
        check_foreign_keys(target);
    }
    check_indexes_after(target);
}

/* ---- indexes ---- */

static void
check_walk(const Collector *c, const CopyKey *copied, int key_count)
{
    if (copied->arbiter == NULL || copied->walk != NULL || !(c->trigger || c->spec->verify)) {
        return;
    }
    STRBUF_AUTO names = STRBUF_INIT;
    for (int i = 0; i < key_count; i++) {
        finding_put_name(&names, finding_ident(c, copied->column[i]->name));
    }
    finding_risk(c, "target-scan",
        arena_printf(c->arena, "CREATE INDEX ON %s (%s);", c->table, strbuf_text(&names)),
        "no index of %s begins with the key (%s): each batch of drain and verify would read all of "
        "it",
        c->table, strbuf_text(&names));
}

/* The server tells of such a conflict when statement or transaction end, too late to go around the
 * row; and the drain takes rows one by one in the order in which they were written. */
static void
check_deferrable(const Collector *c)
{
    STRBUF_AUTO names = STRBUF_INIT;
    for (int i = 0; c->trigger && i < c->facts->index_count; i++) {
        if (!c->facts->indexes[i].immediate) {
            finding_put_name(&names, finding_ident(c, c->facts->indexes[i].name));
        }
    }
    if (names.len > 0) {
        finding_risk(c, "target-deferrable",
            "Drop them until the job is done, or make them NOT DEFERRABLE.",
            "deferrable constraints of %s: a value that the application hands from one row to "
            "another, or swaps, ends the run: %s",
            c->table, strbuf_text(&names));
    }
}

void
findings_into_indexes(const Collector *target, const CopyKey *copied, int key_count)
{
    check_walk(target, copied, key_count);
    check_deferrable(target);
}
