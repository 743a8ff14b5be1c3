/*
 * findings_indexes.c - findings about `indexes: after`: what is dropped, built, and not carried.
 */
#include <string.h>

#include "base/strbuf.h"
#include "core/findings_collector.h"
#include "core/sql_index.h"

/* Indexes that one finding names. */
#define INDEXES_NAMED 8

/* "a, b and 3 more", of those that are built; *count of all of them. */
static const char *
names_of(const Collector *c, const IndexPlan *indexes, int *count, bool *unique)
{
    STRBUF_AUTO names = STRBUF_INIT;
    *count = 0;
    *unique = false;
    for (int i = 0; i < indexes->count; i++) {
        const IndexBuild *build = &indexes->items[i];
        if (build->why_not != NULL) {
            continue;
        }
        *unique = *unique || build->unique;
        if ((*count)++ < INDEXES_NAMED) {
            strbuf_printf(&names, "%s%s", *count == 1 ? "" : ", ", finding_ident(c, build->name));
        }
    }
    if (*count > INDEXES_NAMED) {
        strbuf_printf(&names, " and %d more", *count - INDEXES_NAMED);
    }
    return arena_strdup(c->arena, strbuf_text(&names));
}

/* To drop and to build takes the owner, and a place for the name. */
static void
check_rights(const Collector *c, const IndexPlan *indexes)
{
    const TableFacts *table = &c->facts->table;
    if (!table->owned_by_us) {
        finding_add(c, FINDING_REFUSE, "index-rights",
            arena_printf(c->arena, "GRANT %s TO %s; or leave the indexes: indexes: before.",
                finding_ident(c, table->owner), c->role),
            "role %s is not the owner of %s and cannot build its indexes", c->role, c->table);
    } else if (!indexes->may_create) {
        finding_add(c, FINDING_REFUSE, "index-rights",
            arena_printf(c->arena, "GRANT CREATE ON SCHEMA %s TO %s;",
                finding_ident(c, table->schema), c->role),
            "role %s cannot create indexes in schema %s", c->role, finding_ident(c, table->schema));
    }
}

static void
tell_built(const Collector *c, const IndexPlan *indexes)
{
    int count = 0;
    bool unique = false;
    const char *names = names_of(c, indexes, &count, &unique);
    if (count == 0) {
        return;
    }
    bool own = indexes->origin == INDEXES_OF_TARGET;
    finding_add(c, FINDING_NOTE, "indexes-after",
        unique ? "Until a unique one is built, equal rows are taken: what it refuses is "
                 "found only at the end."
               : NULL,
        "%d index%s of %s %s when the move is done%s: %s", count, count == 1 ? "" : "es", c->table,
        own ? (count == 1 ? "is dropped when the job begins, and built again"
                          : "are dropped when the job begins, and built again")
            : (count == 1 ? "is built, as the source's," : "are built, as the source's,"),
        c->facts->table.relkind == 'p' ? " on each partition" : "", names);
    check_rights(c, indexes);
}

void
findings_add_indexes(const Plan *plan, Arena *arena, Findings *findings)
{
    const IndexPlan *indexes = plan->copy->indexes;
    const Facts *into = plan->copy->into;
    Collector c = {.spec = plan->spec, .facts = into, .arena = arena, .findings = findings};
    c.role = finding_ident(&c, into->server.role);
    c.table = sql_index_qualified(into->table.schema, into->table.name, arena);
    if (indexes->origin == INDEXES_RECORDED) {
        return;
    }
    if (indexes->origin == INDEXES_STAY) {
        finding_caution(&c, "indexes-stay",
            "Drop what slows the copy by hand, or begin with an empty target.",
            "%s has rows: its indexes stay, and are written with each row", c.table);
        return;
    }
    tell_built(&c, indexes);
    for (int i = 0; i < indexes->count; i++) {
        if (indexes->items[i].why_not != NULL) {
            finding_caution(&c, "index-not-carried", "Create one that fits by hand.",
                "index %s of the source is not built on %s: %s",
                finding_ident(&c, indexes->items[i].from), c.table, indexes->items[i].why_not);
        }
    }
}
