/*
 * suggest.h - "did you mean": the known word that is nearest to a misspelt one.
 */
#ifndef CORE_SUGGEST_H
#define CORE_SUGGEST_H

#include <stddef.h>

/*
 * Single-character edits (insert, delete, replace, swap of neighbours) between two words; case is
 * ignored.  Words longer than 63 bytes are as far apart as the longer one is long.
 *
 * Source:  optimal string alignment, a restricted Damerau-Levenshtein distance.
 */
size_t suggest_distance(const char *a, const char *b);

/*
 * The word of `words` nearest to `word`, the first of several that are equally near, or NULL when
 * none is so near that a misspelling is likely (one edit in three characters, at least one).
 */
const char *suggest_nearest(const char *word, const char *const *words, size_t count);

#endif
