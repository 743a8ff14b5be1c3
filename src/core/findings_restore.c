/*
 * findings_restore.c - findings about a restore: does the table take what the archive holds?
 */
#include <string.h>

#include "core/findings_collector.h"
#include "core/restore.h"

const ColumnFacts *
restore_column(const Facts *facts, const ArchiveColumn *column, const ColumnFacts **same_name)
{
    const ColumnFacts *found = facts_column(facts, column->name);
    *same_name = found;
    bool takes = found != NULL && !found->generated && strcmp(found->type, column->type) == 0;
    return takes ? found : NULL;
}

/* ---- the table ---- */

static void
check_kind(const Collector *c)
{
    const TableFacts *table = &c->facts->table;
    if (table->relkind != 'r' && table->relkind != 'p') {
        finding_add(c, FINDING_REFUSE, "table-kind",
            "Rows can be restored into an ordinary or a partitioned table.", "%s is %s", c->table,
            finding_kind_word(table->relkind));
    }
    if (table->persistence == 't') {
        finding_add(c, FINDING_REFUSE, "temporary", "Name a table that other sessions see.",
            "%s is a temporary table", c->table);
    } else if (table->persistence == 'u' ||
               (table->odd_leaf != NULL && table->odd_leaf_kind == 'r')) {
        const char *what = table->persistence == 'u' ? c->table : table->odd_leaf;
        finding_add(c, FINDING_REFUSE, "unlogged",
            arena_printf(c->arena, "ALTER TABLE %s SET LOGGED;", what),
            "%s is not logged: after a crash it is empty while the job says that rows were "
            "restored",
            what);
    } else if (table->odd_leaf != NULL) {
        finding_add(c, FINDING_REFUSE, "table-kind",
            arena_printf(
                c->arena, "ALTER TABLE %s DETACH PARTITION %s;", c->table, table->odd_leaf),
            "partition %s of %s is %s, where rows would not commit with the checkpoint",
            table->odd_leaf, c->table, finding_kind_word(table->odd_leaf_kind));
    }
    if (table->is_partition) {
        finding_add(c, FINDING_WARN, "target-partition", "Restore into its parent.",
            "%s is a partition of %s: a row outside of its bounds ends the run", c->table,
            table->parent);
    }
}

/* ---- columns ---- */

static void
check_column(const Collector *c, const ArchiveColumn *archived)
{
    const ColumnFacts *named = NULL;
    const ColumnFacts *column = restore_column(c->facts, archived, &named);
    if (named == NULL) {
        finding_add(c, FINDING_REFUSE, "archive-columns",
            "Add it to the table, or restore into another one (--into).",
            "%s has no column %s, which the archive has", c->table,
            finding_ident(c, archived->name));
    } else if (named->generated) {
        finding_add(c, FINDING_REFUSE, "archive-columns", "Restore into another table (--into).",
            "column %s of %s is generated, and the archive has values for it",
            finding_ident(c, archived->name), c->table);
    } else if (column == NULL) {
        finding_add(c, FINDING_REFUSE, "archive-columns",
            "Restore into a table whose column has that type (--into), and copy from there.",
            "column %s of %s has type %s, and the archive's has another one",
            finding_ident(c, archived->name), c->table, named->type);
    } else if (!column->may_insert) {
        finding_add(c, FINDING_REFUSE, "privilege",
            arena_printf(c->arena, "GRANT INSERT (%s) ON %s TO %s;", finding_ident(c, column->name),
                c->table, c->role),
            "role %s lacks INSERT on column %s of %s", c->role, finding_ident(c, column->name),
            c->table);
    }
}

static bool
is_archived(const RestoreFacts *restore, const ColumnFacts *column)
{
    for (int i = 0; i < restore->column_count; i++) {
        if (strcmp(restore->columns[i].name, column->name) == 0) {
            return true;
        }
    }
    return false;
}

static void
check_columns(const Collector *c)
{
    const RestoreFacts *restore = c->facts->restore;
    STRBUF_AUTO others = STRBUF_INIT;
    for (int i = 0; i < restore->column_count; i++) {
        check_column(c, &restore->columns[i]);
    }
    for (int i = 0; i < c->facts->column_count; i++) {
        const ColumnFacts *column = &c->facts->columns[i];
        if (!column->generated && !is_archived(restore, column)) {
            finding_put_name(&others, finding_ident(c, column->name));
        }
    }
    if (others.len > 0) {
        finding_add(c, FINDING_WARN, "archive-columns", "They get their defaults.",
            "columns of %s that the archive does not have: %s", c->table, strbuf_text(&others));
    }
}

/* ---- the files ---- */

static void
check_files(const Collector *c)
{
    const RestoreFacts *restore = c->facts->restore;
    if (restore->damages > 0) {
        finding_add(c, FINDING_REFUSE, "archive-damaged",
            "pghaul archive verify shows all of it. Put the file back as it was written, or "
            "restore other runs or tables (--run, --table).",
            "the archive is damaged, at %lld place%s; the first: %s", (long long)restore->damages,
            restore->damages == 1 ? "" : "s", restore->damage);
    }
    if (restore->other_table != NULL) {
        finding_add(c, FINDING_REFUSE, "archive-tables", "Name one of them with archive_table:.",
            "the archive has rows of several tables: %s and %s", restore->table,
            restore->other_table);
    } else if (restore->frames == 0 && restore->damages == 0 && !c->facts->stored.exists) {
        finding_add(c, FINDING_REFUSE, "archive-empty", "pghaul archive list shows what there is.",
            "%s has no deleted rows of that kind", c->spec->archive.path);
    }
    if (restore->undecided_frames > 0) {
        finding_add(c, FINDING_WARN, "archive-undecided",
            restore->known ? "The next run of the purge decides it."
                           : "The database that wrote them knows it.",
            "%lld frame%s with %lld rows %s left out: nothing says whether their rows were deleted",
            (long long)restore->undecided_frames, restore->undecided_frames == 1 ? "" : "s",
            (long long)restore->undecided_rows, restore->undecided_frames == 1 ? "is" : "are");
    }
    if (restore->torn != NULL) {
        finding_add(c, FINDING_WARN, "archive-undecided", "What is behind that place is left out.",
            "%s", restore->torn);
    }
    if (!restore->known && restore->frames > 0) {
        finding_add(c, FINDING_NOTE, "archive-foreign", NULL,
            "this database did not write the archive: which rows were deleted is taken from its "
            "files");
    }
}

void
findings_restore(const Collector *c)
{
    check_kind(c);
    check_columns(c);
    check_files(c);
}
