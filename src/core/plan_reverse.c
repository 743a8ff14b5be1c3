#include "core/plan_reverse.h"

#include <assert.h>
#include <string.h>

#include "core/plan_copy.h"

/* Another one that nobody else has by chance, and the same for every version of the tables. */
void
plan_reverse_fingerprint(const char *fingerprint, char reversed[static 17])
{
    static const char DIGITS[] = "0123456789abcdef";
    for (int i = 0; i < 16; i++) {
        const char *digit = strchr(DIGITS, fingerprint[i]);
        assert(digit != NULL && *digit != '\0');
        reversed[i] = DIGITS[15 - (digit - DIGITS)];
    }
    reversed[16] = '\0';
}

/* Nothing of the source's table but its name, and it has no past of its own. */
static const Facts *
renamed(const Facts *facts, const char *name, const Facts *into, Arena *arena)
{
    Facts *copy = arena_alloc(arena, sizeof(*copy));
    *copy = *facts;
    copy->table.name = name;
    copy->into = into;
    return copy;
}

/* All rows that the new table has, whatever was copied at first. */
static const JobSpec *
reverse_spec(const Plan *plan, ReverseNames names, Arena *arena)
{
    JobSpec *spec = arena_alloc(arena, sizeof(*spec));
    *spec = *plan->spec;
    spec->table = names.source;
    spec->into = names.into;
    spec->set = plan->spec->reverse_map;
    spec->set_count = plan->spec->reverse_count;
    spec->reverse_map = NULL;
    spec->reverse_count = 0;
    spec->where = (RawSql){.text = NULL};
    spec->on_conflict = ON_CONFLICT_ERROR;
    return spec;
}

/* The column of the target that has the column of the source as it is. */
static const ColumnFacts *
way_back(const CopyPlan *copy, const ColumnFacts *old)
{
    for (int i = 0; i < copy->map_count; i++) {
        const MapColumn *map = &copy->map[i];
        if (map->source == old && copy_keeps_value(old, map->target)) {
            return map->target;
        }
    }
    return NULL;
}

static const ColumnFacts *
reverse_map(const Plan *plan, const JobSpec *spec, CopyPlan *reversed, Arena *arena)
{
    const Facts *old = plan->facts;
    reversed->map = arena_alloc(arena, ((size_t)old->column_count + 1) * sizeof(*reversed->map));
    ExprFacts *exprs = arena_alloc(arena, ((size_t)spec->set_count + 1) * sizeof(*exprs));
    const ColumnFacts *left = NULL;
    for (int i = 0; i < old->column_count; i++) {
        MapColumn map = {.target = &old->columns[i]};
        for (int s = 0; s < spec->set_count; s++) {
            if (strcmp(spec->set[s].column, map.target->name) == 0) {
                map.expr = &spec->set[s].expr;
                map.facts = &exprs[s];
            }
        }
        if (map.expr == NULL) {
            map.source = way_back(plan->copy, map.target);
        }
        bool leads = map.expr != NULL || map.source != NULL;
        if (!map.target->generated && leads) {
            reversed->map[reversed->map_count++] = map;
        }
        if (!map.target->generated && !leads && left == NULL) {
            left = map.target;
        }
    }
    return left;
}

static const IndexFacts *
key_index(const Plan *plan)
{
    for (int i = 0; i < plan->facts->index_count; i++) {
        if (strcmp(plan->facts->indexes[i].name, plan->key_index) == 0) {
            return &plan->facts->indexes[i];
        }
    }
    return NULL;
}

static void
reverse_key(const Plan *plan, Plan *reverse, CopyPlan *reversed)
{
    for (int i = 0; i < plan->key_count; i++) {
        const ColumnFacts *now = plan->copy->key[i];
        reverse->key[i] = (KeyColumn){
            .name = now->name, .type = now->base_type, .type_name = now->base_type_name};
        reversed->key[i] = facts_column(plan->facts, plan->key[i].name);
    }
    reverse->key_count = plan->key_count;
    reverse->key_index = plan->copy->arbiter->name;
    reversed->arbiter = key_index(plan);
}

const ColumnFacts *
plan_reverse(const Plan *plan, ReverseNames names, Arena *arena, Plan *reverse)
{
    assert(plan->copy != NULL && plan->copy->invertible);
    CopyPlan *reversed = arena_alloc(arena, sizeof(*reversed));
    *reversed = (CopyPlan){
        .into = renamed(plan->facts, names.into, NULL, arena),
        .invertible = true,
        .reversed = true,
    };
    const JobSpec *spec = reverse_spec(plan, names, arena);
    *reverse = (Plan){
        .spec = spec,
        .copy = reversed,
        .facts = renamed(plan->copy->into, names.source, reversed->into, arena),
        .path = PATH_KEY,
        .path_reason = "the change log has the keys",
        .stripes = 1,
        .stripes_reason = plan->stripes_reason,
        .sync_trigger = true,
        .workers = plan->workers,
        .range_size = plan->range_rows,
        .range_rows = plan->range_rows,
        .rows_per_block = plan->rows_per_block,
    };
    reverse_key(plan, reverse, reversed);
    plan_reverse_fingerprint(plan->fingerprint, reverse->fingerprint);
    return reverse_map(plan, spec, reversed, arena);
}
