#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/findings.h"
#include "core/sql_index.h"

/* A copy into public.t of role mover, who may do everything unless the test says otherwise. */
typedef struct Case {
    Arena arena;
    JobSpec spec;
    Facts into;
    IndexBuild items[10];
    IndexPlan indexes;
    CopyPlan copy;
    Plan plan;
    Findings findings;
} Case;

static void
case_init(Case *c, IndexOrigin origin, int count)
{
    *c = (Case){.arena = ARENA_INIT, .indexes = {.origin = origin, .may_create = true}};
    c->into.table = (TableFacts){
        .schema = "public", .name = "t", .owner = "boss", .relkind = 'r', .owned_by_us = true};
    c->into.server.role = "mover";
    for (int i = 0; i < count; i++) {
        c->items[i] = (IndexBuild){
            .name = arena_printf(&c->arena, "i%d", i), .definition = "USING btree (a)"};
    }
    c->indexes.items = c->items;
    c->indexes.count = count;
    c->copy = (CopyPlan){.into = &c->into, .indexes = &c->indexes};
    c->plan = (Plan){.spec = &c->spec, .copy = &c->copy};
}

/* One finding of this severity, whose text or hint has `part`. */
static void
expect(Case *c, FindingSeverity severity, const char *code, const char *part)
{
    findings_add_indexes(&c->plan, &c->arena, &c->findings);
    const Finding *found = findings_find(&c->findings, code);
    cr_assert(found != NULL, "%s", code);
    cr_expect(eq(int, (int)severity, (int)found->severity));
    cr_expect(strstr(found->text, part) != NULL ||
                  (found->hint != NULL && strstr(found->hint, part) != NULL),
        "%s / %s", found->text, found->hint);
    arena_reset(&c->arena);
}

Test(findings_indexes, own_ones_that_are_dropped_are_named)
{
    Case c;
    case_init(&c, INDEXES_OF_TARGET, 10);
    expect(&c, FINDING_NOTE, "indexes-after",
        "10 indexes of \"public\".\"t\" are dropped when the job begins, and built again when the "
        "move is done: \"i0\", \"i1\", \"i2\", \"i3\", \"i4\", \"i5\", \"i6\", "
        "\"i7\" and 2 more");
    case_init(&c, INDEXES_OF_TARGET, 1);
    c.items[0].unique = true;
    expect(&c, FINDING_NOTE, "indexes-after", "what it refuses is found only at the end");
}

Test(findings_indexes, rights_that_building_needs_are_asked_for)
{
    Case c;
    case_init(&c, INDEXES_OF_SOURCE, 1);
    c.into.table.owned_by_us = false;
    expect(&c, FINDING_REFUSE, "index-rights", "GRANT \"boss\" TO \"mover\"");
    case_init(&c, INDEXES_OF_SOURCE, 1);
    c.indexes.may_create = false;
    expect(&c, FINDING_REFUSE, "index-rights", "GRANT CREATE ON SCHEMA \"public\" TO \"mover\"");
}

Test(findings_indexes, what_is_not_carried_has_its_reason)
{
    Case c;
    case_init(&c, INDEXES_OF_SOURCE, 1);
    c.items[0] = (IndexBuild){.from = "src_a", .why_not = "column \"a\" is not copied as it is"};
    expect(&c, FINDING_WARN, "index-not-carried",
        "index \"src_a\" of the source is not built on \"public\".\"t\": column \"a\" is not");
    case_init(&c, INDEXES_STAY, 1);
    expect(&c, FINDING_WARN, "indexes-stay", "has rows: its indexes stay");
}

Test(findings_indexes, job_that_has_begun_is_told_nothing_anew)
{
    Case c;
    case_init(&c, INDEXES_RECORDED, 2);
    c.into.table.owned_by_us = false;
    findings_add_indexes(&c.plan, &c.arena, &c.findings);
    cr_expect(eq(int, 0, c.findings.count));
    arena_reset(&c.arena);
}
