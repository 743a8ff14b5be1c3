/*
 * findings_copy.c - findings about a copy: its target, its map, and what goes with both tables.
 */
#include <string.h>

#include "core/castrules.h"
#include "core/findings_collector.h"
#include "core/plan_copy.h"

/* Both sides; `source` reports about the source's table, `target` about the target's. */
typedef struct Copy {
    const Collector *source;
    const Collector *target;
    const Facts *from;
    const Facts *into;
    bool remote;
} Copy;

static MapColumn
map_of(const Copy *copy, const ColumnFacts *target)
{
    return copy_map_column(copy->source->spec, copy->from, copy->source->exprs, target);
}

/* True when the job writes the column: it is named in `map:`, or the source has one of its name. */
static bool
is_written(const Copy *copy, const ColumnFacts *target)
{
    MapColumn map = map_of(copy, target);
    return !target->generated && (map.source != NULL || map.expr != NULL);
}

/* ---- the map ---- */

static void
check_assigned(const Copy *copy, const Assignment *assignment)
{
    const Collector *c = copy->target;
    const ColumnFacts *column = facts_column(copy->into, assignment->column);
    if (column == NULL) {
        const char *near = finding_suggest_column(c, copy->into, assignment->column);
        finding_add(c, FINDING_REFUSE, "map-column",
            near != NULL ? near : "The columns of map: are those of the target.",
            "%s:%d:%d: column \"%s\" does not exist in %s", c->spec->file, assignment->place.line,
            assignment->place.column, assignment->column, c->table);
    } else if (column->generated) {
        finding_add(c, FINDING_REFUSE, "map-generated", "The server computes it; leave it out.",
            "column \"%s\" of %s is generated", column->name, c->table);
    }
}

static void
check_reverse(const Copy *copy, const Assignment *assignment)
{
    const Collector *c = copy->source;
    const ColumnFacts *column = facts_column(copy->from, assignment->column);
    if (column == NULL || column->generated) {
        const char *near = finding_suggest_column(c, copy->from, assignment->column);
        finding_add(c, FINDING_REFUSE, "reverse-column",
            near != NULL && column == NULL
                ? near
                : "The columns of reverse_map: are those of the source that are not generated.",
            "%s:%d:%d: column \"%s\" %s %s", c->spec->file, assignment->place.line,
            assignment->place.column, assignment->column,
            column == NULL ? "does not exist in" : "is generated in", c->table);
    }
}

/* Columns of the target into which nothing is written. */
static void
check_defaults(const Copy *copy)
{
    const Collector *c = copy->target;
    STRBUF_AUTO names = STRBUF_INIT;
    for (int i = 0; i < copy->into->column_count; i++) {
        const ColumnFacts *column = &copy->into->columns[i];
        if (column->generated || is_written(copy, column)) {
            continue;
        }
        if (column->not_null && !column->has_default && !column->identity) {
            finding_add(c, FINDING_REFUSE, "map-missing",
                "Give it a value in map:, or the column a default.",
                "column \"%s\" of %s is NOT NULL without a default, and nothing is copied into it",
                column->name, c->table);
        } else {
            finding_put_name(&names, column->name);
        }
    }
    if (names.len > 0) {
        finding_add(c, FINDING_NOTE, "map-default", NULL,
            "columns of %s that keep their default or NULL: %s", c->table, strbuf_text(&names));
    }
}

static void
check_identity(const Copy *copy)
{
    const Collector *c = copy->target;
    for (int i = 0; i < copy->into->column_count; i++) {
        const ColumnFacts *column = &copy->into->columns[i];
        if (column->identity && is_written(copy, column)) {
            finding_add(c, FINDING_NOTE, "map-identity",
                "pghaul cutover sets it; without a cutover use setval().",
                "column \"%s\" of %s is an identity column: it gets the values of the source, its "
                "counter stays behind them",
                column->name, c->table);
        }
    }
}

static bool
reads_column(const ExprFacts *expr, int attnum)
{
    for (int i = 0; i < expr->source_count; i++) {
        if (expr->sources[i] == attnum) {
            return true;
        }
    }
    return false;
}

static bool
goes_somewhere(const Copy *copy, const ColumnFacts *source)
{
    const Collector *c = copy->source;
    for (int i = 0; i < c->spec->set_count; i++) {
        if (reads_column(&c->exprs->set[i], source->attnum)) {
            return true;
        }
    }
    for (int i = 0; i < copy->into->column_count; i++) {
        if (!copy->into->columns[i].generated &&
            map_of(copy, &copy->into->columns[i]).source == source) {
            return true;
        }
    }
    return false;
}

static void
check_left_out(const Copy *copy)
{
    const Collector *c = copy->source;
    STRBUF_AUTO names = STRBUF_INIT;
    for (int i = 0; c->exprs != NULL && i < copy->from->column_count; i++) {
        const ColumnFacts *column = &copy->from->columns[i];
        if (!column->generated && !goes_somewhere(copy, column)) {
            finding_put_name(&names, column->name);
        }
    }
    if (names.len > 0) {
        finding_add(c, FINDING_WARN, "source-column",
            "Add a column to the target, or name it in map:, if its values are needed.",
            "columns of %s that are not copied: %s", c->table, strbuf_text(&names));
    }
}

/* Columns that take the source's column of their name; those of `map:` are checked elsewhere. */
static void
check_as_is(const Copy *copy)
{
    const Collector *c = copy->target;
    for (int i = 0; c->exprs != NULL && c->exprs->as_is != NULL && i < copy->into->column_count;
         i++) {
        const ColumnFacts *column = &copy->into->columns[i];
        const ExprFacts *expr = &c->exprs->as_is[i];
        if (jobspec_sets(c->spec, column->name) || !is_written(copy, column)) {
            continue;
        }
        if (expr->refusal != NULL) {
            finding_add(c, FINDING_REFUSE, "map-type",
                expr->refusal_hint != NULL ? expr->refusal_hint : "Convert it in map:.", "%s",
                expr->refusal);
        } else if (expr->lossy) {
            finding_risk(c, "lossy",
                arena_printf(c->arena, "Round or cut it yourself in map:: %s: (...)::%s.",
                    column->name, column->type),
                "column \"%s\" is %s in the source and loses something as %s", column->name,
                map_of(copy, column).source->type, column->type);
        }
    }
}

static void
check_map(const Copy *copy)
{
    const JobSpec *spec = copy->source->spec;
    for (int i = 0; i < spec->set_count; i++) {
        check_assigned(copy, &spec->set[i]);
    }
    for (int i = 0; i < spec->reverse_count; i++) {
        check_reverse(copy, &spec->reverse_map[i]);
    }
    check_defaults(copy);
    check_identity(copy);
    check_left_out(copy);
    check_as_is(copy);
}

/* ---- what rows must satisfy at the target ---- */

static bool
has_attnum(const IndexFacts *index, int attnum)
{
    for (int i = 0; index != NULL && i < index->attnum_count; i++) {
        if (index->attnums[i] == attnum) {
            return true;
        }
    }
    return false;
}

static CastType
cast_type(const ColumnFacts *column)
{
    return (CastType){.name = column->base_type_name, .modifier = column->base_type_mod};
}

/* A label of the source's enum type that the target's lacks, or NULL. */
static const char *
lacking_label(const ColumnFacts *from, const ColumnFacts *to)
{
    for (int i = 0; i < from->label_count && to->label_count > 0; i++) {
        bool found = false;
        for (int k = 0; k < to->label_count && !found; k++) {
            found = strcmp(from->labels[i], to->labels[k]) == 0;
        }
        if (!found) {
            return from->labels[i];
        }
    }
    return NULL;
}

/* What a value of the column has to satisfy that the source does not promise, or NULL. */
static const char *
constraint_of(const Copy *copy, const IndexFacts *arbiter, const ColumnFacts *column)
{
    const ColumnFacts *source = map_of(copy, column).source;
    const char *label = source == NULL ? NULL : lacking_label(source, column);
    if (column->in_check) {
        return "check constraint";
    }
    if (column->in_foreign_key) {
        return "foreign key";
    }
    if (column->in_unique && !has_attnum(arbiter, column->attnum)) {
        return "unique index";
    }
    if (label != NULL) {
        return arena_printf(copy->target->arena, "%s without \"%s\"", column->type, label);
    }
    if (source != NULL && castrules_narrower(cast_type(source), cast_type(column))) {
        return column->type;
    }
    return column->not_null && (source == NULL || !source->not_null) ? "NOT NULL" : NULL;
}

static void
check_constraints(const Copy *copy, const IndexFacts *arbiter)
{
    const Collector *c = copy->target;
    STRBUF_AUTO names = STRBUF_INIT;
    for (int i = 0; i < copy->into->column_count; i++) {
        const ColumnFacts *column = &copy->into->columns[i];
        const char *what = constraint_of(copy, arbiter, column);
        if (what != NULL && is_written(copy, column)) {
            finding_put_name(
                &names, arena_printf(c->arena, "%s (%s)", finding_ident(c, column->name), what));
        }
    }
    if (names.len > 0) {
        finding_add(c, FINDING_WARN, "target-constraint",
            "Make sure that every row of the source satisfies them, or leave rows out by where:.",
            "a row that %s does not take ends the run: %s", c->table, strbuf_text(&names));
    }
}

/* ---- the key ---- */

static const char *
key_hint(const Copy *copy, const IndexFacts *key, const CopyKey *copied)
{
    const Collector *c = copy->target;
    if (copied->source != NULL) {
        return arena_printf(c->arena,
            "Copy column \"%s\" as it is, with its type, into a NOT NULL column, or choose another "
            "key:.",
            copied->source->name);
    }
    STRBUF_AUTO names = STRBUF_INIT;
    for (int i = 0; i < key->attnum_count; i++) {
        finding_put_name(&names, finding_ident(c, copied->column[i]->name));
    }
    return arena_printf(c->arena,
        "CREATE UNIQUE INDEX ON %s (%s); of a partitioned table with the columns of the partition "
        "key added.",
        c->table, strbuf_text(&names));
}

/* The index that tells rows of the target apart, or NULL. */
static const IndexFacts *
check_target_key(const Copy *copy)
{
    const Collector *c = copy->target;
    char relkind = copy->into->table.relkind;
    const char *why = NULL;
    const IndexFacts *key = findings_key_index(c->spec, copy->from, &why);
    if (key == NULL || (relkind != 'r' && relkind != 'p')) {
        return NULL;
    }
    CopyKey copied = copy_find_key(c->spec, copy->from, c->exprs, key);
    if (copied.why != NULL) {
        finding_add(c, FINDING_REFUSE, "target-key", key_hint(copy, key, &copied),
            "rows of %s cannot be found by the key of %s: %s%s%s%s", c->table, copy->source->table,
            copied.why, copied.source == NULL ? "" : " (\"",
            copied.source == NULL ? "" : copied.source->name, copied.source == NULL ? "" : "\")");
    }
    findings_into_indexes(c, &copied, key->attnum_count);
    return copied.arbiter;
}

/* ---- privileges ---- */

/* One GRANT for all written columns of the target that lack it. */
static void
check_written(
    const Copy *copy, bool of_table, const char *privilege, bool (*has)(const ColumnFacts *column))
{
    const Collector *c = copy->target;
    STRBUF_AUTO names = STRBUF_INIT;
    for (int i = 0; !of_table && i < copy->into->column_count; i++) {
        const ColumnFacts *column = &copy->into->columns[i];
        if (is_written(copy, column) && !has(column)) {
            finding_put_name(&names, finding_ident(c, column->name));
        }
    }
    if (names.len > 0) {
        finding_add(c, FINDING_REFUSE, "privilege",
            arena_printf(c->arena, "GRANT %s (%s) ON %s TO %s;", privilege, strbuf_text(&names),
                c->table, c->role),
            "role %s lacks %s on columns of %s: %s", c->role, privilege, c->table,
            strbuf_text(&names));
    }
}

static bool
may_insert(const ColumnFacts *column)
{
    return column->may_insert;
}

static bool
may_select(const ColumnFacts *column)
{
    return column->may_select;
}

static bool
may_update(const ColumnFacts *column)
{
    return column->may_update;
}

static void
check_privileges(const Copy *copy)
{
    const Collector *c = copy->target;
    const TableFacts *table = &copy->into->table;
    check_written(copy, table->may_insert, "INSERT", may_insert);
    check_written(copy, table->may_select, "SELECT", may_select);
    check_written(copy, table->may_update || c->spec->on_conflict != ON_CONFLICT_UPDATE, "UPDATE",
        may_update);
    if (c->trigger && !table->may_delete) {
        finding_add(c, FINDING_REFUSE, "privilege",
            arena_printf(c->arena, "GRANT DELETE ON %s TO %s;", c->table, c->role),
            "role %s lacks DELETE on %s, by which changed rows are replaced", c->role, c->table);
    }
    for (int i = 0; i < copy->into->column_count; i++) {
        const ColumnFacts *column = &copy->into->columns[i];
        if (is_written(copy, column) && map_of(copy, column).source != NULL) {
            finding_check_select(copy->source, map_of(copy, column).source);
        }
    }
}

/* ---- both ---- */

static void
check_unsynced(const Copy *copy)
{
    const Collector *c = copy->source;
    if (!c->trigger) {
        finding_caution(c, "append-only",
            "Use sync: trigger, or stop the writers; allow: [append-only] says that rows are only "
            "added, at the end of the key, or that nobody writes.",
            "sync: none: what the application changes in %s after a range was copied is not seen",
            c->table);
    }
}

/* What a cutover would be refused for, whatever is done until then; the names change places. */
static void
check_cutover(const Copy *copy)
{
    const Collector *c = copy->source;
    const TableFacts *from = &copy->from->table;
    const TableFacts *into = &copy->into->table;
    const char *why = NULL;
    const char *hint = NULL;
    if (!c->trigger) {
        why = "it needs the change log of sync: trigger";
    } else if (strcmp(from->schema, into->schema) != 0) {
        why = arena_printf(
            c->arena, "the tables are in two schemas, %s and %s", from->schema, into->schema);
        hint = arena_printf(c->arena, "ALTER TABLE %s SET SCHEMA %s; before the job begins.",
            copy->target->table, finding_ident(c, from->schema));
    } else if (from->is_partition) {
        why = "the source is a partition, and the target would not be";
    }
    if (why != NULL) {
        finding_add(
            c, FINDING_NOTE, "no-cutover", hint, "pghaul cutover will not be possible: %s", why);
    }
}

static void
check_remote(const Copy *copy)
{
    const Collector *c = copy->source;
    const char *encoding = copy->from->server.encoding;
    const char *target_encoding = copy->into->server.encoding;
    if (c->spec->path == PATH_BLOCK) {
        finding_add(c, FINDING_REFUSE, "block-remote", "Use path: key.",
            "path: block is not there for a copy to another database");
    }
    if (encoding != NULL && target_encoding != NULL && strcmp(encoding, target_encoding) != 0) {
        finding_add(c, FINDING_WARN, "encoding",
            "Convert such text in map:, or leave its rows out by where:.",
            "the source's database is in %s, the target's in %s: text without an equivalent ends "
            "the run",
            encoding, target_encoding);
    }
    for (int i = 0; i < copy->into->column_count; i++) {
        const ColumnFacts *source = map_of(copy, &copy->into->columns[i]).source;
        bool is_oid = source != NULL && (strcmp(source->base_type_name, "oid") == 0 ||
                                            strcmp(source->base_type_name, "lo") == 0);
        if (is_oid && is_written(copy, &copy->into->columns[i])) {
            finding_add(c, FINDING_WARN, "large-objects",
                "Copy them with lo_export() and lo_import(), if they are large objects.",
                "column \"%s\" of %s is of type %s: the number is copied, no object behind it",
                source->name, c->table, source->type);
        }
    }
}

static bool
is_above(const TableFacts *above, const TableFacts *table)
{
    for (int i = 0; i < table->ancestor_count; i++) {
        if (table->ancestors[i] == above->oid) {
            return true;
        }
    }
    return false;
}

bool
findings_two_tables(const Collector *source, const Collector *target)
{
    const TableFacts *from = &source->facts->table;
    const TableFacts *into = &target->facts->table;
    if (facts_is_remote(source->facts)) {
        return true;
    }
    if (from->oid == into->oid) {
        finding_add(target, FINDING_REFUSE, "target-is-source", "Name another table in into:.",
            "%s is source and target", target->table);
        return false;
    }
    if (is_above(into, from) || is_above(from, into)) {
        finding_add(target, FINDING_REFUSE, "target-is-source", "Name another table in into:.",
            "one of %s and %s is a partition or a child of the other: what is written to one is "
            "read from both",
            source->table, target->table);
        return false;
    }
    return true;
}

void
findings_copy(const Collector *source, const Collector *target)
{
    Copy copy = {.source = source,
        .target = target,
        .from = source->facts,
        .into = target->facts,
        .remote = facts_is_remote(source->facts)};
    if (!findings_two_tables(source, target)) {
        return;
    }
    findings_into(source, target);
    check_map(&copy);
    check_constraints(&copy, check_target_key(&copy));
    check_privileges(&copy);
    check_unsynced(&copy);
    if (copy.remote) {
        check_remote(&copy);
    } else {
        check_cutover(&copy);
    }
}
