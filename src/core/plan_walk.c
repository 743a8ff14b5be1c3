/*
 * plan_walk.c - where a purge begins and what it looks at.
 *
 * A walk need not be by a unique key: rows are found by the predicate, and the key's columns behind
 * those of the index make one order of all rows.  But a column that is NULL has no place in the
 * order of rows, so only columns count of which no row that matches can be without a value.  And
 * rows with the same values in the index are read and sorted together, by each batch that ends
 * among them: those must be few.
 */
#include "core/plan_walk.h"

#include <string.h>

#include "base/strbuf.h"
#include "core/format.h"

/* Rows that share a value of the index: on average, and of the commonest. */
#define TIES_MAX    2000
#define LONGEST_MAX 20000

/* What is taken of an index, and why not more. */
typedef struct Prefix {
    const ColumnFacts *columns[PLAN_KEY_COLUMNS_MAX];
    int count;
    const ColumnFacts *blamed; /* the column behind them, if it would not do */
    const char *flaw;          /* what is wrong with it */
} Prefix;

static const WalkFacts NOT_ASKED = {.column_count = 0};

static const WalkFacts *
walk_of(const Plan *plan)
{
    return plan->facts->walk == NULL ? &NOT_ASKED : plan->facts->walk;
}

/* ---- columns ---- */

static bool
is_strict(const WalkFacts *walk, int attnum)
{
    for (int i = 0; i < walk->strict_count; i++) {
        if (walk->strict[i] == attnum) {
            return true;
        }
    }
    return false;
}

/* NULL when rows that match can be walked by it.  The operators of types from elsewhere are found
 * by search_path, which may not lead to those of the index. */
static const char *
column_flaw(const WalkFacts *walk, const ColumnFacts *column)
{
    if (!column->not_null && !is_strict(walk, column->attnum)) {
        return "may be NULL in rows that match";
    }
    if (strchr(column->base_type, '.') != NULL && column->label_count == 0) {
        return "has a type that is not the server's own";
    }
    if (column->is_float) {
        return "is a floating-point number";
    }
    if (!column->collation_deterministic) {
        return "has a nondeterministic collation";
    }
    return column->collation_version_drift ? "has a collation of another version than its index"
                                           : NULL;
}

static bool
is_identity(const Plan *plan, const char *name)
{
    for (int i = 0; i < plan->identity_count; i++) {
        if (strcmp(plan->identity[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Columns of the key that are behind those of the prefix. */
static int
identity_left(const Plan *plan, const Prefix *prefix)
{
    int left = plan->identity_count;
    for (int i = 0; i < prefix->count; i++) {
        left -= is_identity(plan, prefix->columns[i]->name) ? 1 : 0;
    }
    return left;
}

static bool
prefix_add(const Plan *plan, const ColumnFacts *column, Prefix *prefix)
{
    prefix->blamed = column;
    prefix->flaw = column == NULL ? "is an expression" : column_flaw(walk_of(plan), column);
    if (prefix->flaw != NULL || prefix->count == PLAN_KEY_COLUMNS_MAX) {
        return false;
    }
    prefix->columns[prefix->count++] = column;
    if (prefix->count + identity_left(plan, prefix) > PLAN_KEY_COLUMNS_MAX) {
        prefix->count--;
        return false;
    }
    return true;
}

/* ---- the key of the walk ---- */

static void
walk_by_key(Plan *plan, PurgePlan *purge)
{
    purge->served = false;
    purge->walk_index = NULL;
    plan->key_count = plan->identity_count;
    memcpy(plan->key, plan->identity, sizeof(plan->key));
}

static void
walk_by_index(Plan *plan, PurgePlan *purge, const char *index, const Prefix *prefix)
{
    int count = 0;
    for (; count < prefix->count; count++) {
        const ColumnFacts *column = prefix->columns[count];
        plan->key[count] = (KeyColumn){
            .name = column->name, .type = column->base_type, .type_name = column->base_type_name};
    }
    for (int i = 0; i < plan->identity_count; i++) {
        bool taken = false;
        for (int k = 0; k < prefix->count; k++) {
            taken = taken || strcmp(plan->identity[i].name, prefix->columns[k]->name) == 0;
        }
        if (!taken) {
            plan->key[count++] = plan->identity[i];
        }
    }
    plan->key_count = count;
    purge->served = true;
    purge->walk_index = index;
}

/* ---- the planner's index ---- */

static Prefix
take_prefix(const Plan *plan, const WalkFacts *walk)
{
    Prefix prefix = {.count = 0};
    for (int i = 0; i < walk->column_count && walk->columns[i].in_order; i++) {
        if (!prefix_add(
                plan, facts_column_by_attnum(plan->facts, walk->columns[i].attnum), &prefix)) {
            break;
        }
    }
    return prefix;
}

/* Why the rows that share the values of the prefix may be too many; NULL when they are not. */
static const char *
tie_flaw(const Plan *plan, const WalkFacts *walk, const Prefix *prefix, Arena *arena)
{
    const WalkColumn *finest = NULL;
    const char *name = NULL;
    for (int i = 0; i < prefix->count; i++) {
        const WalkColumn *column = &walk->columns[i];
        bool known = !column->fixed && column->ties >= 0;
        if (known && (finest == NULL || column->ties < finest->ties)) {
            finest = column;
        }
        name = column->fixed ? name : prefix->columns[i]->name;
    }
    if (identity_left(plan, prefix) == 0 ||
        (finest != NULL && finest->ties <= TIES_MAX && finest->longest <= LONGEST_MAX)) {
        return NULL;
    }
    if (name == NULL) {
        return "all rows that match have the same values in it";
    }
    if (finest == NULL) {
        return arena_printf(arena, "there are no statistics about its column %s (ANALYZE)", name);
    }
    char rows[FORMAT_SIZE];
    double most = finest->ties > TIES_MAX ? finest->ties : finest->longest;
    return arena_printf(arena, "about %s rows have the same value in its column %s",
        format_count((int64_t)most, rows), name);
}

/* NULL when the index serves; *hinted when another index over the same columns would. */
static const char *
index_flaw(
    const Plan *plan, const WalkFacts *walk, const Prefix *prefix, Arena *arena, bool *hinted)
{
    *hinted = false;
    if (strcmp(walk->method, "btree") != 0) {
        return arena_printf(arena, "it is of type %s, which has no order", walk->method);
    }
    if (walk->has_expressions) {
        return "it is over an expression";
    }
    if (prefix->count == 0) {
        return prefix->flaw == NULL
                   ? "it does not sort as its first column does"
                   : arena_printf(arena, "its column %s %s",
                         prefix->blamed == NULL ? "" : prefix->blamed->name, prefix->flaw);
    }
    if (!walk->narrowed && !walk->holds_all) {
        return "nothing is looked up by its first column";
    }
    *hinted = true;
    return tie_flaw(plan, walk, prefix, arena);
}

/* ", id": the columns of the key that the index would need behind its own. */
static const char *
longer_index(const Plan *plan, const Prefix *prefix, Arena *arena)
{
    STRBUF_AUTO columns = STRBUF_INIT;
    for (int i = 0; i < prefix->count; i++) {
        strbuf_printf(&columns, "%s%s", i == 0 ? "" : ", ", prefix->columns[i]->name);
    }
    for (int i = 0; i < plan->identity_count; i++) {
        bool taken = false;
        for (int k = 0; k < prefix->count; k++) {
            taken = taken || strcmp(plan->identity[i].name, prefix->columns[k]->name) == 0;
        }
        if (!taken) {
            strbuf_printf(&columns, "%s%s", columns.len == 0 ? "" : ", ", plan->identity[i].name);
        }
    }
    return arena_printf(arena,
        "An index on (%s) would let each run begin where rows match, and look at nothing else.",
        strbuf_text(&columns));
}

/* The column of the predicate that an index would begin with. */
static Prefix
wished_prefix(const Plan *plan, const WalkFacts *walk)
{
    Prefix prefix = {.count = 0};
    int attnum = walk->least != 0 ? walk->least : walk->strict_count == 1 ? walk->strict[0] : 0;
    const ColumnFacts *column = facts_column_by_attnum(plan->facts, attnum);
    if (column != NULL) {
        (void)prefix_add(plan, column, &prefix);
    }
    return prefix;
}

static void
explain_key(
    const Plan *plan, PurgePlan *purge, const char *reason, const Prefix *wish, Arena *arena)
{
    purge->walk_reason = reason;
    if (wish->count > 0) {
        purge->walk_hint = longer_index(plan, wish, arena);
    }
}

void
plan_walk_decide(Plan *plan, PurgePlan *purge, Arena *arena)
{
    const WalkFacts *walk = walk_of(plan);
    plan->identity_count = plan->key_count;
    memcpy(plan->identity, plan->key, sizeof(plan->identity));
    if (plan->spec->key.count > 0) {
        purge->walk_reason = "the job file names the key";
        return;
    }
    if (walk->refusal != NULL) {
        purge->walk_reason = arena_printf(
            arena, "the server refuses to plan the predicate (SQLSTATE %s)", walk->refusal);
        return;
    }
    if (walk->index == NULL) {
        Prefix wish = wished_prefix(plan, walk);
        explain_key(
            plan, purge, "no index serves the predicate, so every row is looked at", &wish, arena);
        return;
    }
    bool hinted = false;
    Prefix prefix = take_prefix(plan, walk);
    const char *flaw = index_flaw(plan, walk, &prefix, arena, &hinted);
    if (flaw != NULL) {
        explain_key(plan, purge,
            arena_printf(arena, "index %s serves the predicate, but %s", walk->index, flaw),
            hinted ? &prefix : &(Prefix){.count = 0}, arena);
        return;
    }
    walk_by_index(plan, purge, walk->index, &prefix);
    purge->walk_reason = "the index serves the predicate: only rows that match are looked at";
}

/* ---- what is remembered ---- */

/* Only then does a value that does not match say the same of all greater ones. */
static const ColumnFacts *
steady_column(const Plan *plan, const WalkFacts *walk)
{
    const ColumnFacts *column = facts_column_by_attnum(plan->facts, walk->least);
    bool steady = column != NULL && column->collation[0] == '\0' &&
                  strchr(column->base_type, '.') == NULL && plan->where->source_count == 1 &&
                  !plan->where->is_volatile;
    return steady ? column : NULL;
}

void
plan_walk_remember(const Plan *plan, PurgePlan *purge)
{
    const ColumnFacts *column = steady_column(plan, walk_of(plan));
    purge->least = NULL;
    purge->least_reason = NULL;
    if (purge->served) {
        return;
    }
    if (column == NULL) {
        purge->least_reason =
            "nothing: every run looks into all ranges, since the predicate is not "
            "of the form `column < expression without columns` over a number or "
            "time";
    } else if (!jobspec_allows(plan->spec, "append-only")) {
        purge->least_reason = "nothing: every run looks into all ranges; where new rows have the "
                              "greatest keys and no value becomes less, allow: [append-only] lets "
                              "it step over those in which no row can match yet";
    } else {
        purge->least = column;
        purge->least_reason = "the least value in each range, which is stepped over until the "
                              "predicate holds for that (allow: [append-only])";
    }
}

/* ---- walks of a job that has begun ---- */

bool
plan_walk_candidate(Plan *plan, PurgePlan *purge, int number, bool *possible)
{
    const Facts *facts = plan->facts;
    int at = 1;
    *possible = number == 0;
    if (number == 0) {
        walk_by_key(plan, purge);
        return true;
    }
    for (int i = 0; i < facts->index_count; i++) {
        const IndexFacts *index = &facts->indexes[i];
        int count =
            index->attnum_count < PLAN_KEY_COLUMNS_MAX ? index->attnum_count : PLAN_KEY_COLUMNS_MAX;
        if (number >= at + count) {
            at += count;
            continue;
        }
        Prefix prefix = {.count = 0};
        *possible = true;
        for (int k = 0; k <= number - at && *possible; k++) {
            *possible = prefix_add(plan, facts_column_by_attnum(facts, index->attnums[k]), &prefix);
        }
        if (*possible) {
            walk_by_index(plan, purge, index->name, &prefix);
        }
        return true;
    }
    return false;
}
