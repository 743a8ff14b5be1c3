#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

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

static bool
may_quote(const char *sqlstate, const char *function, const char *inner, const char *context)
{
    ErrorOrigin origin = {
        .sqlstate = sqlstate, .function = function, .inner_query = inner, .context = context};
    return sqlstate_may_quote_row(&origin);
}

Test(sqlstate, conditions_that_quote_values_are_not_trusted)
{
    static const char *const QUOTING[] = {"22P02", "22012", "23505", "23514", "21000", "54000",
        "P0001", "P0004", "XX000", "XX001", "0A000", "44000", "38000", "99999", ""};
    static const char *const PLAIN[] = {"08006", "25006", "28P01", "3D000", "40001", "40P01",
        "42703", "42501", "53100", "55P03", "57014", "58030", "PH001"};
    for (size_t i = 0; i < sizeof(QUOTING) / sizeof(QUOTING[0]); i++) {
        cr_expect(may_quote(QUOTING[i], "f", "", ""), "%s", QUOTING[i]);
    }
    for (size_t i = 0; i < sizeof(PLAIN) / sizeof(PLAIN[0]); i++) {
        cr_expect(not(may_quote(PLAIN[i], "f", "", "")), "%s", PLAIN[i]);
    }
}

Test(sqlstate, words_of_a_users_function_are_not_trusted_whatever_their_state)
{
    cr_expect(may_quote("42501", "exec_stmt_raise", "", ""));
    cr_expect(may_quote("40001", "PLy_output", "", ""));
    cr_expect(not(may_quote(SQLSTATE_DRIFT_TABLE, "exec_stmt_raise", "", "")));
    cr_expect(not(may_quote("40P01", "DeadLockReport", "", "")));
}

Test(sqlstate, a_statement_that_a_users_function_put_together_is_not_trusted)
{
    static const char OURS[] = "PL/pgSQL function pghaul.move_1(integer) line 7 at SQL statement";
    static const char USERS[] = "PL/pgSQL function f(text) line 2 at EXECUTE\n"
                                "PL/pgSQL function pghaul.move_1(integer) line 7";
    cr_expect(may_quote("42601", "scanner_yyerror", "SELECT x y", USERS));
    cr_expect(may_quote("42703", "errorMissingColumn", "SELECT x y", ""));
    cr_expect(not(may_quote("42703", "errorMissingColumn", "SELECT x", OURS)));
    cr_expect(not(may_quote("42501", "aclcheck_error", "", USERS)));
}

Test(sqlstate, conditions_have_the_names_of_the_manual)
{
    cr_expect(eq(int, 0, strcmp("invalid_text_representation", sqlstate_name("22P02"))));
    cr_expect(eq(int, 0, strcmp("check_violation", sqlstate_name("23514"))));
    cr_expect(eq(int, 0, strcmp("raise_exception", sqlstate_name("P0001"))));
    cr_expect(eq(int, 0, strcmp("data_corrupted", sqlstate_name("XX001"))));
    cr_expect(eq(int, 0, strcmp("data_exception", sqlstate_name("22ZZZ"))));
    cr_expect(eq(int, 0, strcmp("unknown condition", sqlstate_name("ZZZZZ"))));
    cr_expect(eq(int, 0, strcmp("unknown condition", sqlstate_name(""))));
}
