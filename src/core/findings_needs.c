/*
 * findings_needs.c - findings about rights that the expressions need beside those on the table.
 */
#include <string.h>

#include "core/findings_collector.h"

/* Several expressions may need the same; it is reported once. */
static bool
is_reported(const Collector *c, const char *grant)
{
    for (int i = 0; i < c->findings->count; i++) {
        const char *hint = c->findings->items[i].hint;
        if (hint != NULL && strstr(hint, grant) != NULL) {
            return true;
        }
    }
    return false;
}

static void
check_own(const Collector *c, const NeedFacts *need)
{
    const char *grant =
        arena_printf(c->arena, "GRANT %s ON %s TO %s;", need->privilege, need->object, c->role);
    if (!need->granted && !is_reported(c, grant)) {
        finding_add(c, FINDING_REFUSE, "privilege", grant, "role %s lacks %s on %s", c->role,
            need->privilege, need->object);
    }
}

/* The sync trigger of a backfill runs as whoever writes; that of a copy evaluates nothing. */
static void
check_writers(const Collector *c, const NeedFacts *need)
{
    if (!c->trigger || c->spec->kind == KIND_COPY || need->writer_count == 0) {
        return;
    }
    const char *grant = arena_printf(
        c->arena, "GRANT %s ON %s TO %s;", need->privilege, need->object, need->writers);
    if (is_reported(c, grant)) {
        return;
    }
    finding_risk(c, "writer-privilege", grant,
        "%d role%s that may write %s lack%s %s on %s: the sync trigger runs as the writer and "
        "would leave the columns NULL: %s%s",
        need->writer_count, need->writer_count == 1 ? "" : "s", c->table,
        need->writer_count == 1 ? "s" : "", need->privilege, need->object, need->writers,
        need->writer_count > NEED_WRITERS_NAMED ? " and others" : "");
}

static void
check_expression(const Collector *c, const ExprFacts *expr)
{
    for (int i = 0; i < expr->need_count; i++) {
        check_own(c, &expr->needs[i]);
        check_writers(c, &expr->needs[i]);
    }
}

void
findings_needs(const Collector *c)
{
    if (c->exprs == NULL) {
        return;
    }
    for (int i = 0; i < c->spec->set_count; i++) {
        check_expression(c, &c->exprs->set[i]);
    }
    if (c->exprs->where != NULL) {
        check_expression(c, c->exprs->where);
    }
}
