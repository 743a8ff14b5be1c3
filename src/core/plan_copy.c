/*
 * plan_copy.c - the decisions of a copy: map, key of the target, arbiter, path, way back.
 */
#include "core/plan_copy.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "core/castrules.h"

/* Below it the heap is read in an order so far from the key's that each row is a page of its own.
 */
#define CORRELATION_FOR_KEY 0.5

/* ---- the map ---- */

MapColumn
copy_map_column(
    const JobSpec *spec, const Facts *facts, const ExprReport *exprs, const ColumnFacts *target)
{
    MapColumn map = {.target = target};
    for (int i = 0; i < spec->set_count; i++) {
        if (strcmp(spec->set[i].column, target->name) == 0) {
            map.expr = &spec->set[i].expr;
            map.facts = exprs == NULL ? NULL : &exprs->set[i];
            map.source = map.facts == NULL || map.facts->column == 0
                             ? NULL
                             : facts_column_by_attnum(facts, map.facts->column);
            return map;
        }
    }
    map.source = facts_column(facts, target->name);
    return map;
}

static void
decide_map(const ExprReport *exprs, const Plan *plan, CopyPlan *copy, Arena *arena)
{
    const Facts *into = copy->into;
    copy->map = arena_alloc(arena, ((size_t)into->column_count + 1) * sizeof(*copy->map));
    for (int i = 0; i < into->column_count; i++) {
        const ColumnFacts *target = &into->columns[i];
        MapColumn map = copy_map_column(plan->spec, plan->facts, exprs, target);
        if (!target->generated && (map.source != NULL || map.expr != NULL)) {
            copy->map[copy->map_count++] = map;
        }
    }
}

/* ---- types ---- */

/* Bytes of an integer type; 0 for others. */
static int
integer_width(const ColumnFacts *column)
{
    static const char *const INTEGERS[] = {"int2", "int4", "int8"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(column->base_type_name, INTEGERS[i]) == 0) {
            return 2 << i;
        }
    }
    return 0;
}

static bool
same_base_type(const ColumnFacts *a, const ColumnFacts *b)
{
    return strcmp(a->base_type, b->base_type) == 0;
}

static bool
loses(const ColumnFacts *from, const ColumnFacts *to)
{
    return castrules_lossy(
        (CastType){.name = from->base_type_name, .modifier = from->base_type_mod},
        (CastType){.name = to->base_type_name, .modifier = to->base_type_mod});
}

static bool
is_varying_text(const ColumnFacts *column)
{
    return strcmp(column->base_type_name, "text") == 0 ||
           strcmp(column->base_type_name, "varchar") == 0;
}

bool
copy_keeps_value(const ColumnFacts *from, const ColumnFacts *to)
{
    bool alike = same_base_type(from, to) || (integer_width(from) > 0 && integer_width(to) > 0) ||
                 (is_varying_text(from) && is_varying_text(to));
    return alike && !loses(from, to) && !loses(to, from);
}

/* ---- the key ---- */

/* What keeps a key column from standing for the source's, or NULL. */
static const char *
key_column_flaw(const ColumnFacts *source, const ColumnFacts *target)
{
    bool widened = integer_width(source) > 0 && integer_width(source) <= integer_width(target);
    if (!widened && (!same_base_type(source, target) || loses(source, target))) {
        return "a key column has another type in the target";
    }
    if (strcmp(source->collation, target->collation) != 0) {
        return "a key column has another collation in the target";
    }
    if (!target->not_null) {
        return "a key column may be NULL in the target";
    }
    return NULL;
}

/* Of several columns that take the key column the one that will do. */
static const ColumnFacts *
key_target(const JobSpec *spec, const Facts *facts, const ExprReport *exprs,
    const ColumnFacts *source, const char **flaw)
{
    const Facts *into = facts->into;
    const ColumnFacts *found = NULL;
    *flaw = "a key column does not go to the target as it is";
    for (int i = 0; i < into->column_count; i++) {
        const ColumnFacts *target = &into->columns[i];
        if (target->generated || copy_map_column(spec, facts, exprs, target).source != source) {
            continue;
        }
        const char *why = key_column_flaw(source, target);
        bool better = why == NULL && (*flaw != NULL || (target->in_unique && !found->in_unique));
        if (found == NULL || better) {
            found = target;
            *flaw = why;
        }
    }
    return found;
}

static bool
has_attnum(const int *attnums, int count, int attnum)
{
    for (int i = 0; i < count; i++) {
        if (attnums[i] == attnum) {
            return true;
        }
    }
    return false;
}

/* Unique over the key alone, or over the key and what chooses the partition. */
static bool
is_arbiter(const TableFacts *table, const IndexFacts *index, const int *key, int key_count)
{
    if (!index->unique || !index->valid || !index->ready || !index->immediate || index->partial ||
        index->has_expressions) {
        return false;
    }
    for (int i = 0; i < key_count; i++) {
        if (!has_attnum(index->attnums, index->attnum_count, key[i])) {
            return false;
        }
    }
    for (int i = 0; i < index->attnum_count; i++) {
        if (!has_attnum(key, key_count, index->attnums[i]) &&
            !has_attnum(
                table->partition_attnums, table->partition_attnum_count, index->attnums[i])) {
            return false;
        }
    }
    return true;
}

/* Can rows be read from it in the order of the key? */
static bool
walks(const IndexFacts *index, const int *key, int key_count)
{
    return index->valid && index->ready && !index->partial && !index->has_expressions &&
           index->default_order && index->attnum_count >= key_count &&
           memcmp(index->attnums, key, (size_t)key_count * sizeof(*key)) == 0;
}

/* One that begins with the key; the fewest columns, then the primary key. */
static int
arbiter_rank(const IndexFacts *index, const int *key, int key_count)
{
    return (walks(index, key, key_count) ? 100 : 0) - 2 * index->attnum_count +
           (index->primary ? 1 : 0);
}

static void
find_indexes(const Facts *into, CopyKey *copied, int key_count)
{
    int attnums[PLAN_KEY_COLUMNS_MAX];
    for (int i = 0; i < key_count; i++) {
        attnums[i] = copied->column[i]->attnum;
    }
    for (int i = 0; i < into->index_count; i++) {
        const IndexFacts *index = &into->indexes[i];
        int rank = arbiter_rank(index, attnums, key_count);
        if (is_arbiter(&into->table, index, attnums, key_count) &&
            (copied->arbiter == NULL || rank > arbiter_rank(copied->arbiter, attnums, key_count))) {
            copied->arbiter = index;
        }
        if (copied->walk == NULL && walks(index, attnums, key_count)) {
            copied->walk = index;
        }
    }
    if (copied->arbiter != NULL && walks(copied->arbiter, attnums, key_count)) {
        copied->walk = copied->arbiter;
    }
}

CopyKey
copy_find_key(
    const JobSpec *spec, const Facts *facts, const ExprReport *exprs, const IndexFacts *key)
{
    CopyKey copied = {.arbiter = NULL};
    assert(key->attnum_count <= PLAN_KEY_COLUMNS_MAX);
    for (int i = 0; i < key->attnum_count; i++) {
        copied.source = facts_column_by_attnum(facts, key->attnums[i]);
        copied.column[i] = key_target(spec, facts, exprs, copied.source, &copied.why);
        if (copied.why != NULL) {
            return copied;
        }
    }
    copied.source = NULL;
    find_indexes(facts->into, &copied, key->attnum_count);
    if (copied.arbiter == NULL) {
        copied.why = "the target has no unique index over exactly the key's columns";
    }
    return copied;
}

/* ---- the way back ---- */

/* A column of the source that no column of the target has as it is; NULL when all have. */
static const ColumnFacts *
find_irreversible(const Facts *facts, const CopyPlan *copy)
{
    for (int i = 0; i < facts->column_count; i++) {
        const ColumnFacts *source = &facts->columns[i];
        bool back = source->generated;
        for (int m = 0; m < copy->map_count && !back; m++) {
            back = copy->map[m].source == source && copy_keeps_value(source, copy->map[m].target);
        }
        if (!back) {
            return source;
        }
    }
    return NULL;
}

/* ---- the walk ---- */

static void
decide_path(Plan *plan)
{
    const Facts *facts = plan->facts;
    const ColumnFacts *first = facts_column(facts, plan->key[0].name);
    bool scattered = fabs(first->correlation) < CORRELATION_FOR_KEY;
    plan->path = PATH_KEY;
    if (plan->copy->remote) {
        plan->path_reason = "rows go to another database in ranges of keys";
    } else if (!plan->sync_trigger) {
        plan->path_reason = "without a change log rows could move between blocks unseen";
    } else if (strcmp(facts->table.access_method, "heap") != 0) {
        plan->path_reason = "the table cannot be scanned by ranges of blocks";
    } else if (plan->spec->path != PATH_AUTO) {
        plan->path = plan->spec->path;
        plan->path_reason = "the job file asks for it";
    } else if (scattered) {
        plan->path = PATH_BLOCK;
        plan->path_reason = "the rows do not lie in the order of the key, and the change log "
                            "has those that move";
    } else {
        plan->path_reason = "the rows lie in the order of the key";
    }
}

void
plan_decide_copy(Plan *plan, const ExprReport *exprs, const IndexFacts *key, Arena *arena)
{
    const JobSpec *spec = plan->spec;
    const Facts *facts = plan->facts;
    CopyPlan *copy = arena_alloc(arena, sizeof(*copy));
    *copy = (CopyPlan){.into = facts->into, .remote = facts_is_remote(facts)};
    decide_map(exprs, plan, copy, arena);
    CopyKey copied = copy_find_key(spec, facts, exprs, key);
    assert(copied.why == NULL);
    memcpy(copy->key, copied.column, sizeof(copy->key));
    copy->arbiter = copied.arbiter;
    copy->walk = copied.walk;
    copy->irreversible = spec->reverse_count > 0 ? NULL : find_irreversible(facts, copy);
    copy->invertible = copy->irreversible == NULL;

    plan->copy = copy;
    plan->trigger_skips_batches = false;
    plan->stripes = 1;
    plan->stripes_reason = "a copy leaves no dead versions behind";
    decide_path(plan);
}
