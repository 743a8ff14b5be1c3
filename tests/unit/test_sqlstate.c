#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "pg/sqlstate.h"

typedef struct Case {
    const char *sqlstate;
    ErrClass cls;
} Case;

static void
expect_classes(const Case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cr_expect(
            eq(int, sqlstate_class(cases[i].sqlstate), cases[i].cls), "%s", cases[i].sqlstate);
    }
}
#define EXPECT(cases) expect_classes(cases, sizeof(cases) / sizeof((cases)[0]))

Test(sqlstate, what_may_succeed_when_tried_again)
{
    static const Case CASES[] = {{"40001", ERR_RETRY}, {"40P01", ERR_RETRY}, {"55P03", ERR_RETRY},
        {"55006", ERR_RETRY}, {"57014", ERR_TIMEOUT}};
    EXPECT(CASES);
}

Test(sqlstate, what_leaves_the_outcome_of_a_commit_unknown)
{
    static const Case CASES[] = {{"", ERR_RECONNECT}, {"08006", ERR_RECONNECT},
        {"08003", ERR_RECONNECT}, {"57P01", ERR_RECONNECT}, {"57P02", ERR_RECONNECT},
        {"57P03", ERR_RECONNECT}, {"25P03", ERR_RECONNECT}, {"40003", ERR_RECONNECT}};
    EXPECT(CASES);
}

Test(sqlstate, what_a_person_must_clear)
{
    static const Case CASES[] = {{"53300", ERR_SLOTS}, {"53100", ERR_RESOURCE},
        {"53200", ERR_RESOURCE}, {"58030", ERR_RESOURCE}, {"25006", ERR_RESOURCE}};
    EXPECT(CASES);
}

Test(sqlstate, what_one_row_is_to_blame_for)
{
    static const Case CASES[] = {{"22P02", ERR_POISON}, {"22012", ERR_POISON},
        {"23505", ERR_POISON}, {"23502", ERR_POISON}, {"23514", ERR_POISON}, {"P0001", ERR_POISON},
        {"21000", ERR_POISON}, {"54000", ERR_POISON}, {"XX001", ERR_CORRUPT},
        {"XX002", ERR_CORRUPT}};
    EXPECT(CASES);
}

Test(sqlstate, our_own_guards_are_drift)
{
    static const Case CASES[] = {
        {SQLSTATE_DRIFT_TABLE, ERR_DRIFT}, {SQLSTATE_DRIFT_FILE, ERR_DRIFT}};
    EXPECT(CASES);
}

Test(sqlstate, anything_else_ends_the_run)
{
    static const Case CASES[] = {{"42P01", ERR_FATAL}, {"42501", ERR_FATAL}, {"XX000", ERR_FATAL},
        {"P0002", ERR_FATAL}, {"PH009", ERR_FATAL}, {"99999", ERR_FATAL}, {"5", ERR_FATAL}};
    EXPECT(CASES);
}
