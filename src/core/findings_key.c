/*
 * findings_key.c - the choice of the key: which unique index the ranges are walked by.
 *
 * Exactly once rests on the order of the key: every row has one place in it, no two share one, and
 * the order does not change under the run.
 */
#include <string.h>

#include "base/strbuf.h"
#include "core/findings_collector.h"

/* ---- one index ---- */

static const char *
index_flaw(const IndexFacts *index)
{
    if (!index->unique) {
        return "the index is not unique";
    }
    if (!index->valid || !index->ready) {
        return "the index is not valid";
    }
    if (!index->immediate) {
        return "the index belongs to a deferrable constraint";
    }
    if (index->partial) {
        return "the index is partial";
    }
    if (index->has_expressions) {
        return "the index has expressions";
    }
    if (!index->default_order) {
        return "the index is not in ascending order with the column's collation and the default "
               "operator class";
    }
    return NULL;
}

static const char *
column_flaw(const ColumnFacts *column)
{
    if (!column->not_null) {
        return "a column may be NULL";
    }
    if (column->is_float) {
        return "a column is a floating-point number";
    }
    if (!column->collation_deterministic) {
        return "a column has a nondeterministic collation";
    }
    return NULL;
}

const char *
findings_key_flaw(const Facts *facts, const IndexFacts *index, const ColumnFacts **column)
{
    *column = NULL;
    const char *flaw = index_flaw(index);
    for (int i = 0; flaw == NULL && i < index->attnum_count; i++) {
        *column = facts_column_by_attnum(facts, index->attnums[i]);
        flaw = *column == NULL ? "a column is unknown" : column_flaw(*column);
    }
    return flaw;
}

/* ---- the choice ---- */

typedef enum KeyMatch { KEY_OTHER = 0, KEY_REORDERED, KEY_SAME } KeyMatch;

static bool
index_has_attnum(const IndexFacts *index, int attnum)
{
    for (int i = 0; i < index->attnum_count; i++) {
        if (index->attnums[i] == attnum) {
            return true;
        }
    }
    return false;
}

static KeyMatch
key_match(const NameList *key, const Facts *facts, const IndexFacts *index)
{
    if (index->attnum_count != key->count) {
        return KEY_OTHER;
    }
    KeyMatch match = KEY_SAME;
    for (int i = 0; i < key->count; i++) {
        const ColumnFacts *column = facts_column(facts, key->names[i]);
        if (column == NULL || !index_has_attnum(index, column->attnum)) {
            return KEY_OTHER;
        }
        if (index->attnums[i] != column->attnum) {
            match = KEY_REORDERED;
        }
    }
    return match;
}

static const IndexFacts *
named_index(const JobSpec *spec, const Facts *facts, const char **why)
{
    const IndexFacts *flawed = NULL;
    *why = "no unique index has exactly these columns";
    for (int i = 0; i < facts->index_count; i++) {
        const IndexFacts *index = &facts->indexes[i];
        KeyMatch match = key_match(&spec->key, facts, index);
        const ColumnFacts *column = NULL;
        if (match == KEY_REORDERED && flawed == NULL && index_flaw(index) == NULL) {
            *why = "the unique index has these columns in another order";
        }
        if (match != KEY_SAME) {
            continue;
        }
        const char *flaw = findings_key_flaw(facts, index, &column);
        if (flaw == NULL) {
            *why = NULL;
            return index;
        }
        /* Of several flawed ones a unique index is what the user meant. */
        if (flawed == NULL || index->unique) {
            flawed = index;
            *why = flaw;
        }
    }
    return NULL;
}

static const IndexFacts *
primary_index(const Facts *facts, const char **why)
{
    for (int i = 0; i < facts->index_count; i++) {
        const IndexFacts *index = &facts->indexes[i];
        if (index->primary) {
            const ColumnFacts *column = NULL;
            *why = findings_key_flaw(facts, index, &column);
            return *why == NULL ? index : NULL;
        }
    }
    *why = "the table has no primary key";
    return NULL;
}

const IndexFacts *
findings_key_index(const JobSpec *spec, const Facts *facts, const char **why)
{
    *why = NULL;
    return spec->key.count > 0 ? named_index(spec, facts, why) : primary_index(facts, why);
}

/* ---- findings ---- */

static bool
check_key_columns(const Collector *c)
{
    const JobSpec *spec = c->spec;
    const Facts *facts = c->facts;
    bool exist = true;
    for (int i = 0; i < spec->key.count; i++) {
        const char *name = spec->key.names[i];
        if (facts_column(facts, name) != NULL) {
            continue;
        }
        const char *near = finding_suggest_column(c, facts, name);
        finding_add(c, FINDING_REFUSE, "key-column",
            near == NULL ? "The columns of key: are those of a unique index." : near,
            "%s:%d:%d: column \"%s\" of key: does not exist in %s", spec->file,
            spec->key_place.line, spec->key_place.column, name, c->table);
        exist = false;
    }
    return exist;
}

/* "Use key: [a, b]; " for a unique index that would do, "" when there is none. */
static const char *
usable_key(const Collector *c)
{
    const Facts *facts = c->facts;
    for (int i = 0; i < facts->index_count; i++) {
        const ColumnFacts *column = NULL;
        if (findings_key_flaw(facts, &facts->indexes[i], &column) != NULL) {
            continue;
        }
        STRBUF_AUTO names = STRBUF_INIT;
        for (int k = 0; k < facts->indexes[i].attnum_count; k++) {
            column = facts_column_by_attnum(facts, facts->indexes[i].attnums[k]);
            strbuf_printf(&names, "%s%s", k == 0 ? "" : ", ", column->name);
        }
        return arena_printf(c->arena, "Use key: [%s].", strbuf_text(&names));
    }
    return "Create a unique index on NOT NULL columns with CREATE UNIQUE INDEX CONCURRENTLY and "
           "name its columns in key:.";
}

static void
check_key_collation(const Collector *c, const IndexFacts *index)
{
    for (int i = 0; i < index->attnum_count; i++) {
        const ColumnFacts *column = facts_column_by_attnum(c->facts, index->attnums[i]);
        if (column->collation_version_drift) {
            finding_risk(c, "collation-drift",
                arena_printf(c->arena,
                    "REINDEX INDEX CONCURRENTLY %s.%s; then refresh the version of the collation.",
                    finding_ident(c, c->facts->table.schema), finding_ident(c, index->name)),
                "the collation of key column \"%s\" changed its version since index %s was made: "
                "rows may be missed",
                column->name, finding_ident(c, index->name));
        }
    }
}

void
findings_key(const Collector *c)
{
    if (c->facts->table.relkind != 'r' || !check_key_columns(c)) {
        return;
    }
    const char *why = NULL;
    const IndexFacts *index = findings_key_index(c->spec, c->facts, &why);
    if (index == NULL) {
        finding_add(
            c, FINDING_REFUSE, "key", usable_key(c), "%s has no usable key: %s", c->table, why);
        return;
    }
    check_key_collation(c, index);
    for (int i = 0; i < index->attnum_count; i++) {
        finding_check_select(c, facts_column_by_attnum(c->facts, index->attnums[i]));
    }
}
