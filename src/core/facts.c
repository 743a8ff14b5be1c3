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

const Facts *
facts_here(const Facts *facts)
{
    return facts->into == NULL ? facts : facts->into;
}

/* A copy of a server's files has its identifier too, a standby even its database. */
bool
facts_is_remote(const Facts *facts)
{
    const ServerFacts *source = &facts->server;
    const ServerFacts *target = &facts_here(facts)->server;
    return strcmp(source->system_id, target->system_id) != 0 ||
           strcmp(source->started, target->started) != 0 ||
           strcmp(source->database, target->database) != 0;
}

double
facts_row_bytes(const TableFacts *table)
{
    double rows = table->full_rows > table->rows ? table->full_rows : table->rows;
    return rows < 1 ? -1 : (double)(table->total_bytes - table->index_bytes) / rows;
}
