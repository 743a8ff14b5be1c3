/*
 * findings_purge.c - findings about a purge: what a DELETE needs, who else loses the rows, and
 * whether the place that keeps them can.
 */
#include <string.h>
#include <strings.h>

#include "core/castrules.h"
#include "core/findings_collector.h"
#include "core/format.h"
#include "core/sqlscan.h"

/* ---- privileges ---- */

/* For any column will do, and a column of the key is never set by mistake. */
static void
check_lock(const Collector *c)
{
    for (int i = 0; i < c->facts->column_count; i++) {
        if (c->facts->columns[i].may_update) {
            return;
        }
    }
    const char *why = NULL;
    const IndexFacts *key = findings_key_index(c->spec, c->facts, &why);
    if (key != NULL) {
        const ColumnFacts *column = facts_column_by_attnum(c->facts, key->attnums[0]);
        finding_add(c, FINDING_REFUSE, "privilege",
            arena_printf(c->arena, "GRANT UPDATE (%s) ON %s TO %s; one column is enough.",
                finding_ident(c, column->name), c->table, c->role),
            "role %s lacks UPDATE on every column of %s, without which the server locks no row",
            c->role, c->table);
    }
}

static void
check_privileges(const Collector *c)
{
    const TableFacts *table = &c->facts->table;
    bool reads_all = c->spec->archive.path != NULL || c->facts->into != NULL;
    if (table->relkind != 'r') {
        return;
    }
    if (!table->may_delete) {
        finding_add(c, FINDING_REFUSE, "privilege",
            arena_printf(c->arena, "GRANT DELETE ON %s TO %s;", c->table, c->role),
            "role %s lacks DELETE on %s", c->role, c->table);
    }
    if (reads_all && !table->may_select) {
        finding_add(c, FINDING_REFUSE, "privilege",
            arena_printf(c->arena, "GRANT SELECT ON %s TO %s;", c->table, c->role),
            "role %s lacks SELECT on %s, all of which is kept", c->role, c->table);
    }
    if (c->spec->keeps_tail && !table->owned_by_us) {
        const char *owner = finding_ident(c, table->owner);
        finding_add(c, FINDING_REFUSE, "owner",
            arena_printf(c->arena, "GRANT %s TO %s; or run as %s; or leave vacuum_truncate: out.",
                owner, c->role, owner),
            "vacuum_truncate: off needs the owner of %s, which is %s", c->table, owner);
    }
    check_lock(c);
}

/* ---- the time ---- */

static bool
reads_a_time(const Collector *c, const ExprFacts *where)
{
    static const char *const TIMES[] = {"date", "timestamp", "timestamptz", "time", "timetz"};
    for (int i = 0; i < where->source_count; i++) {
        const ColumnFacts *column = facts_column_by_attnum(c->facts, where->sources[i]);
        for (size_t k = 0; column != NULL && k < sizeof(TIMES) / sizeof(TIMES[0]); k++) {
            if (strcmp(column->base_type_name, TIMES[k]) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* 'today', ' Now ', 'tomorrow 12:00' */
static bool
is_time_constant(const SqlToken *token)
{
    static const char *const WORDS[] = {"now", "today", "tomorrow", "yesterday"};
    if (token->kind != SQL_TOKEN_STRING) {
        return false;
    }
    const char *at = token->text + strcspn(token->text, "'") + 1;
    at += strspn(at, " ");
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++) {
        size_t len = strlen(WORDS[i]);
        if (strncasecmp(at, WORDS[i], len) == 0 && strchr(" '", at[len]) != NULL) {
            return true;
        }
    }
    return false;
}

/* The server reads such a constant when it parses the text, which each session does at a time of
 * its own: past midnight rows would be read for the archive that the DELETE does not match. */
static void
check_time(const Collector *c)
{
    const char *sql = c->spec->where.text;
    if (sql == NULL || c->exprs == NULL || c->exprs->where == NULL ||
        !reads_a_time(c, c->exprs->where)) {
        return;
    }
    SqlToken token = sql_scan(sql);
    while (token.kind != SQL_TOKEN_END && !is_time_constant(&token)) {
        token = sql_scan(token.text + token.len);
    }
    if (token.kind != SQL_TOKEN_END) {
        finding_add(c, FINDING_REFUSE, "time-constant",
            "Write now() or CURRENT_DATE, which are one moment for the whole run.",
            "the constant %.*s in where: is another time in each session", (int)token.len,
            token.text);
    }
}

/* ---- subscribers ---- */

static void
check_publications(const Collector *c)
{
    const Facts *facts = c->facts;
    if (facts->publication_count == 0) {
        return;
    }
    const char *publication = finding_ident(c, facts->publications[0]);
    if (!facts->table.has_identity) {
        const char *why = NULL;
        const IndexFacts *key = findings_key_index(c->spec, facts, &why);
        finding_add(c, FINDING_REFUSE, "replica-identity",
            key == NULL ? "Give it a primary key."
                        : arena_printf(c->arena, "ALTER TABLE %s REPLICA IDENTITY USING INDEX %s;",
                              c->table, finding_ident(c, key->name)),
            "the server deletes no row of %s, which has no replica identity, while publication %s "
            "publishes deletes",
            c->table, publication);
        return;
    }
    finding_risk(c, "published",
        arena_printf(c->arena,
            "A publication WITH (publish = 'insert, update, truncate') leaves theirs alone: ALTER "
            "PUBLICATION %s SET (...).",
            publication),
        "%s is published with its deletes by %s%s: subscribers lose the rows as well", c->table,
        publication, facts->publication_count > 1 ? " and others" : "");
}

/* ---- files ---- */

/* Text is about as long as the row; zstd makes it shorter, but nobody knows by how much. */
static void
check_room(const Collector *c, const FolderFacts *folder)
{
    const TableFacts *table = &c->facts->table;
    double matching =
        c->exprs == NULL || c->exprs->where == NULL ? -1 : c->exprs->where->match_rows;
    if (matching <= 0 || table->rows <= 0 || folder->free_bytes < 0) {
        return;
    }
    double rows = matching < table->rows ? matching : table->rows;
    int64_t raw_bytes = (int64_t)(rows * facts_row_bytes(table));
    if (folder->free_bytes < raw_bytes) {
        char need[FORMAT_SIZE];
        char room[FORMAT_SIZE];
        finding_add(c, FINDING_WARN, "archive-room",
            "A run that finds no room there ends, and no row is lost. limits.rows makes runs "
            "smaller.",
            "the rows that match are about %s before compression, where %s has %s of room",
            format_bytes(raw_bytes, need), c->spec->archive.path,
            format_bytes(folder->free_bytes, room));
    }
}

static void
check_folder(const Collector *c)
{
    const FolderFacts *folder = c->facts->archive;
    const ArchiveSpec *archive = &c->spec->archive;
    if (folder == NULL) {
        return;
    }
    if (folder->fault != NULL) {
        finding_add(c, FINDING_REFUSE, "archive-folder", folder->remedy, "%s:%d:%d: archive: %s %s",
            c->spec->file, archive->place.line, archive->place.column, archive->path,
            folder->fault);
        return;
    }
    check_room(c, folder);
}

/* ---- another table ---- */

/* Assignments that keep every value, where the types are not the same. */
static bool
is_wider(const ColumnFacts *from, const ColumnFacts *to)
{
    static const char *const PAIRS[][2] = {
        {"int2", "int4"}, {"int2", "int8"}, {"int4", "int8"}, {"varchar", "text"}};
    for (size_t i = 0; i < sizeof(PAIRS) / sizeof(PAIRS[0]); i++) {
        if (strcmp(from->base_type_name, PAIRS[i][0]) == 0 &&
            strcmp(to->base_type_name, PAIRS[i][1]) == 0) {
            return true;
        }
    }
    return false;
}

static bool
keeps_values(const ColumnFacts *from, const ColumnFacts *to)
{
    CastType of_from = {.name = from->base_type_name, .modifier = from->base_type_mod};
    CastType of_to = {.name = to->base_type_name, .modifier = to->base_type_mod};
    bool same = strcmp(from->base_type, to->base_type) == 0;
    return (same || is_wider(from, to)) && !castrules_lossy(of_from, of_to) &&
           !castrules_narrower(of_from, of_to);
}

/* Each column of the table, in the target. */
static void
check_kept(const Collector *c, const Collector *target, const ColumnFacts *column)
{
    const ColumnFacts *kept = facts_column(target->facts, column->name);
    if (kept == NULL || kept->generated) {
        finding_add(target, FINDING_REFUSE, "into-columns",
            kept == NULL ? arena_printf(c->arena, "ALTER TABLE %s ADD COLUMN %s %s;", target->table,
                               finding_ident(c, column->name), column->type)
                         : "Make it an ordinary column there.",
            "column \"%s\" of %s %s %s", column->name, c->table,
            kept == NULL ? "is missing in" : "is generated in", target->table);
    } else if (!keeps_values(column, kept)) {
        finding_add(target, FINDING_REFUSE, "into-columns",
            arena_printf(c->arena, "ALTER TABLE %s ALTER COLUMN %s TYPE %s;", target->table,
                finding_ident(c, column->name), column->type),
            "column \"%s\" is %s in %s, which does not keep every %s", column->name, kept->type,
            target->table, column->type);
    } else if (kept->not_null && !column->not_null) {
        finding_add(target, FINDING_WARN, "into-not-null",
            arena_printf(c->arena, "ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL;", target->table,
                finding_ident(c, column->name)),
            "column \"%s\" of %s is NOT NULL: a row without a value there ends the run",
            column->name, target->table);
    }
}

/* What the target has beyond them. */
static void
check_beyond(const Collector *c, const Collector *target, const ColumnFacts *column)
{
    const ColumnFacts *same = facts_column(c->facts, column->name);
    if (same != NULL && !same->generated) {
        return;
    }
    if (column->not_null && !column->has_default && !column->identity && !column->generated) {
        finding_add(target, FINDING_REFUSE, "into-columns",
            arena_printf(c->arena, "ALTER TABLE %s ALTER COLUMN %s SET DEFAULT ...;", target->table,
                finding_ident(c, column->name)),
            "column \"%s\" of %s is NOT NULL without a default, and %s has no value for it",
            column->name, target->table, c->table);
    }
}

static void
check_target(const Collector *c, const Collector *target)
{
    const Facts *into = target->facts;
    findings_target_kind(target);
    findings_target(target);
    if (!into->table.may_insert) {
        finding_add(target, FINDING_REFUSE, "privilege",
            arena_printf(c->arena, "GRANT INSERT ON %s TO %s;", target->table, c->role),
            "role %s lacks INSERT on %s", c->role, target->table);
    }
    for (int i = 0; i < c->facts->column_count; i++) {
        if (!c->facts->columns[i].generated) {
            check_kept(c, target, &c->facts->columns[i]);
        }
    }
    for (int i = 0; i < into->column_count; i++) {
        check_beyond(c, target, &into->columns[i]);
    }
}

void
findings_purge(const Collector *c, const Collector *target)
{
    check_privileges(c);
    check_time(c);
    check_publications(c);
    check_folder(c);
    findings_aftercare(c);
    if (target != NULL && findings_two_tables(c, target)) {
        check_target(c, target);
    }
}
