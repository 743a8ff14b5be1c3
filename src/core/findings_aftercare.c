/*
 * findings_aftercare.c - what the VACUUM after a purge does to standbys.
 */
#include "core/findings_collector.h"

void
findings_aftercare(const Collector *c)
{
    int standbys = c->facts->standby_count;
    if (standbys == 0) {
        return;
    }
    if (!c->spec->keeps_tail && !c->facts->table.keeps_tail) {
        finding_add(c, FINDING_WARN, "tail-truncation",
            "vacuum_truncate: off prevents it while the job lasts. Our own VACUUM never does it.",
            "when the last rows of %s are gone, autovacuum cuts its empty end off under ACCESS "
            "EXCLUSIVE, which ends queries on %d standby%s",
            c->table, standbys, standbys == 1 ? "" : "s");
    }
    finding_add(c, FINDING_NOTE, "standby-conflicts",
        "hot_standby_feedback = on there prevents it; confl_snapshot in "
        "pg_stat_database_conflicts of a standby counts them.",
        "rows that are deleted and vacuumed end queries on %d standby%s that may still see them",
        standbys, standbys == 1 ? "" : "s");
}
