#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "base/err.h"

Test(err, is_set_once_and_wrapped_outwards)
{
    Err err = ERR_INIT;
    cr_assert(not(err_set(&err, ERR_RETRY, "deadlock on %s", "t")));
    cr_assert(not(err_wrap(&err, "apply")));
    cr_assert(not(err_wrap(&err, "batch %d", 912)));
    cr_assert(eq(str, err.message, "deadlock on t"));
    cr_assert(eq(str, err.context, "batch 912: apply"));
}

Test(err, keeps_the_outermost_words_when_the_context_is_full)
{
    Err err = ERR_INIT;
    (void)err_set(&err, ERR_FATAL, "x");
    for (int i = 0; i < 100; i++) {
        (void)err_wrap(&err, "step %d", i);
    }
    cr_assert(eq(int, strncmp(err.context, "step 99: step 98: ", 18), 0));
    cr_assert(lt(sz, strlen(err.context), sizeof(err.context)));
}

Test(err, remembers_where_it_was_set)
{
    Err err = ERR_INIT;
    (void)err_set(&err, ERR_FATAL, "x");
    cr_assert(eq(int, err.line, __LINE__ - 1));
    cr_assert(ne(ptr, strstr(err.file, "test_base_err.c"), NULL));
    (void)err_wrap(&err, "outside");
    (void)err_hint(&err, "try %d", 2);
    cr_assert(eq(int, err.line, __LINE__ - 5));
    cr_assert(eq(str, err.hint, "try 2"));
}

Test(err, a_long_message_is_cut_and_terminated)
{
    char text[2000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    Err err = ERR_INIT;
    (void)err_set(&err, ERR_FATAL, "%s", text);
    (void)err_hint(&err, "%s", text);
    (void)err_wrap(&err, "%s", text);
    cr_assert(eq(sz, strlen(err.message), sizeof(err.message) - 1));
    cr_assert(eq(sz, strlen(err.hint), sizeof(err.hint) - 1));
    cr_assert(lt(sz, strlen(err.context), sizeof(err.context)));
}

Test(err, exit_codes_are_those_of_the_command_line)
{
    static const struct {
        ErrClass cls;
        int exit_code;
    } CASES[] = {
        {ERR_NONE, 0},
        {ERR_FATAL, 1},
        {ERR_RETRY, 1},
        {ERR_DRIFT, 1},
        {ERR_USER, 2},
        {ERR_CONNECT, 3},
        {ERR_REFUSED, 4},
        {ERR_DIFFERENCE, 6},
        {ERR_STOPPED, 7},
        {ERR_BUSY, 8},
        {ERR_LIMIT, 9},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        Err err = {.cls = CASES[i].cls};
        cr_assert(eq(int, err_exit_code(&err), CASES[i].exit_code));
    }
}
