/*
 * walkterm.h - what a condition that EXPLAIN prints says about single columns.
 *
 * Pure.  The server prints every operator in parentheses of its own, so the text comes apart
 * without knowing precedences.  What is not recognised is left out: nobody may conclude anything
 * from a term that is missing.
 */
#ifndef CORE_WALKTERM_H
#define CORE_WALKTERM_H

#include <stdbool.h>

#include "core/facts.h"

typedef enum WalkOperator {
    WALK_LESS = 0,
    WALK_LESS_EQUAL,
    WALK_EQUAL, /* one value, not = ANY (..) */
    WALK_ANY,   /* another comparison that is never true for NULL */
} WalkOperator;

/* `column operator something`, turned round where the column stands behind the operator. */
typedef struct WalkTerm {
    const ColumnFacts *column;
    WalkOperator comparison;
    bool bare;  /* the column without a cast */
    bool plain; /* the other side mentions no column, subquery or collation */
} WalkTerm;

/* Terms that are looked at. */
#define WALK_TERMS_MAX 16

/*
 * Take a condition apart: "((a < 5) AND (b = 'x'::text))" has two terms.
 *
 * Shape:   returns how many terms were recognised; *whole (may be NULL) is true when there is one
 *          and it is all of the condition.
 */
int walkterm_parse(
    const Facts *facts, const char *condition, WalkTerm terms[WALK_TERMS_MAX], bool *whole);

#endif
