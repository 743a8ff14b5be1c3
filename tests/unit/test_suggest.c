#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "core/suggest.h"

#define N64 "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"

Test(suggest, the_distance_counts_single_edits)
{
    cr_expect(eq(sz, suggest_distance("", ""), 0));
    cr_expect(eq(sz, suggest_distance("", "abc"), 3));
    cr_expect(eq(sz, suggest_distance("abc", ""), 3));
    cr_expect(eq(sz, suggest_distance("where", "where"), 0));
    cr_expect(eq(sz, suggest_distance("where", "wher"), 1));
    cr_expect(eq(sz, suggest_distance("where", "wheere"), 1));
    cr_expect(eq(sz, suggest_distance("where", "whare"), 1));
    cr_expect(eq(sz, suggest_distance("kitten", "sitting"), 3));
}

Test(suggest, swapped_neighbours_are_one_edit)
{
    cr_expect(eq(sz, suggest_distance("wehre", "where"), 1));
    cr_expect(eq(sz, suggest_distance("ba", "ab"), 1));
    cr_expect(eq(sz, suggest_distance("badc", "abcd"), 2));
}

Test(suggest, case_does_not_count)
{
    cr_expect(eq(sz, suggest_distance("WHERE", "where"), 0));
    cr_expect(eq(sz, suggest_distance("WEHRE", "where"), 1));
}

Test(suggest, very_long_words_are_far_from_everything)
{
    cr_expect(eq(sz, suggest_distance(N64, N64), 64));
    cr_expect(eq(sz, suggest_distance("n", N64), 64));
}

static const char *const WORDS[] = {"job", "key", "stable", "volatile", "stripes", "strict"};

static const char *
nearest(const char *word)
{
    return suggest_nearest(word, WORDS, sizeof(WORDS) / sizeof(WORDS[0]));
}

Test(suggest, the_nearest_word_is_found)
{
    cr_expect_str_eq(nearest("kye"), "key");
    cr_expect_str_eq(nearest("stabel"), "stable");
    cr_expect_str_eq(nearest("strip"), "stripes");
    cr_expect_str_eq(nearest("STRICT"), "strict");
}

Test(suggest, the_first_of_equally_near_words_is_taken)
{
    static const char *const TWINS[] = {"lag", "log"};
    cr_expect_str_eq(suggest_nearest("lg", TWINS, 2), "lag");
}

Test(suggest, nothing_is_suggested_for_a_word_that_is_far_from_all)
{
    cr_expect(nearest("") == NULL);
    cr_expect(nearest("x") == NULL);
    cr_expect(nearest("frobnicate") == NULL);
    cr_expect(nearest("jxx") == NULL);
    cr_expect(nearest(N64) == NULL);
    cr_expect(suggest_nearest("job", WORDS, 0) == NULL);
}
