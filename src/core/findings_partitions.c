/*
 * findings_partitions.c - partitions that a purge would empty: there is a quicker way.
 */
#include "base/strbuf.h"
#include "core/findings_collector.h"

#define PARTITIONS_NAMED 6

void
findings_partitions(const Collector *c)
{
    const Facts *facts = c->facts;
    STRBUF_AUTO names = STRBUF_INIT;
    if (facts->whole_count == 0) {
        return;
    }
    for (int i = 0; i < facts->whole_count && i < PARTITIONS_NAMED; i++) {
        finding_put_name(&names, facts->whole[i].name);
    }
    bool more = facts->whole_count > PARTITIONS_NAMED;
    finding_add(c, FINDING_NOTE, "whole-partition",
        arena_printf(c->arena,
            "ALTER TABLE %s DETACH PARTITION %s CONCURRENTLY and DROP TABLE %s would do it at "
            "once (without CONCURRENTLY where there is a default partition).",
            facts->whole[0].parent, facts->whole[0].name, facts->whole[0].name),
        "every row of %s%s matches", strbuf_text(&names),
        more ? arena_printf(c->arena, " and %d more", facts->whole_count - PARTITIONS_NAMED) : "");
}
