/*
 * test_plan_reverse.c - the plan of the way back: every column of the old table gets something, the
 * key goes where it came from, and the names are those of the time when it is used.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/plan_reverse.h"
#include "unit/copy_plan.h"

static const ReverseNames THEN = {.source = "orders", .into = "orders_old"};

typedef struct ReverseTest {
    CopyPlanJob job;
    IndexFacts key_index;
    Assignment back[2];
    Plan reverse;
    Arena arena;
} ReverseTest;

static void
reverse_init(ReverseTest *t, int back_count)
{
    *t = (ReverseTest){.arena = ARENA_INIT};
    copy_plan_init(&t->job);
    t->job.target_columns[2].base_type_name = "jsonb";
    t->key_index = (IndexFacts){.name = "orders_pkey"};
    t->job.source.indexes = &t->key_index;
    t->job.source.index_count = 1;
    t->job.arbiter.name = "archive_pkey";
    t->job.plan.key_index = "orders_pkey";
    t->job.copy.invertible = true;
    t->back[0] = (Assignment){.column = "amount", .expr = {.text = "cents / 100.0"}};
    t->back[1] = (Assignment){.column = "note", .expr = {.text = "note::varchar(10)"}};
    t->job.spec.reverse_map = t->back;
    t->job.spec.reverse_count = back_count;
    t->job.spec.where = (RawSql){.text = "id > 0"};
}

Test(plan_reverse, columns_come_back_as_they_went_or_as_reverse_map_says)
{
    ReverseTest t;
    reverse_init(&t, 2);
    cr_assert(plan_reverse(&t.job.plan, THEN, &t.arena, &t.reverse) == NULL);
    const CopyPlan *copy = t.reverse.copy;
    cr_assert(eq(int, 4, copy->map_count));
    cr_expect(copy->map[1].source == &t.job.target_columns[1], "region");
    cr_expect(copy->map[2].expr == &t.back[1].expr, "note");
    cr_expect(copy->map[3].expr == &t.back[0].expr, "amount");
    cr_expect(t.reverse.spec->where.text == NULL, "all that the new table has");
    arena_reset(&t.arena);
}

Test(plan_reverse, names_and_key_are_those_after_the_cutover)
{
    ReverseTest t;
    reverse_init(&t, 2);
    (void)plan_reverse(&t.job.plan, THEN, &t.arena, &t.reverse);
    cr_expect(zero(int, strcmp(t.reverse.facts->table.name, "orders")));
    cr_expect(eq(int, 1002, (int)t.reverse.facts->table.oid), "the target is it now");
    cr_expect(zero(int, strcmp(t.reverse.copy->into->table.name, "orders_old")));
    cr_expect(zero(int, strcmp(t.reverse.key[0].type_name, "int8")));
    cr_expect(t.reverse.copy->key[0] == &t.job.source_columns[0]);
    cr_expect(t.reverse.copy->arbiter == &t.key_index);
    cr_expect(zero(int, strcmp(t.reverse.fingerprint, "fedcba9876543210")));
    cr_expect(zero(int, strcmp(t.job.source.table.name, "orders")), "the plan stays as it is");
    cr_expect(zero(int, strcmp(t.job.target.table.name, "archive")));
    arena_reset(&t.arena);
}

Test(plan_reverse, column_that_nothing_leads_back_to_is_named)
{
    ReverseTest t;
    reverse_init(&t, 1);
    const ColumnFacts *left = plan_reverse(&t.job.plan, THEN, &t.arena, &t.reverse);
    cr_assert(left != NULL, "a value of another type does not come back by itself");
    cr_expect(zero(int, strcmp(left->name, "note")));
    arena_reset(&t.arena);
}

Test(plan_reverse, generated_columns_of_the_old_table_need_no_way_back)
{
    ReverseTest t;
    reverse_init(&t, 1);
    t.job.source_columns[2].generated = true;
    cr_assert(plan_reverse(&t.job.plan, THEN, &t.arena, &t.reverse) == NULL);
    cr_expect(eq(int, 3, t.reverse.copy->map_count));
    arena_reset(&t.arena);
}

Test(plan_reverse, fingerprints_lead_there_and_back)
{
    char once[17];
    char twice[17];
    plan_reverse_fingerprint("00ff12a95bcde384", once);
    plan_reverse_fingerprint(once, twice);
    cr_expect(zero(int, strcmp(twice, "00ff12a95bcde384")));
    cr_expect(ne(int, 0, strcmp(once, twice)));
}
