/*
 * facts.c - look-ups in what the catalog said.
 */
#include "core/facts.h"

#include <stddef.h>
#include <string.h>

const ColumnFacts *
facts_column(const Facts *facts, const char *name)
{
    for (int i = 0; i < facts->column_count; i++) {
        if (strcmp(facts->columns[i].name, name) == 0) {
            return &facts->columns[i];
        }
    }
    return NULL;
}

const ColumnFacts *
facts_column_by_attnum(const Facts *facts, int attnum)
{
    for (int i = 0; i < facts->column_count; i++) {
        if (facts->columns[i].attnum == attnum) {
            return &facts->columns[i];
        }
    }
    return NULL;
}
