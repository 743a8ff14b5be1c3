#include "engine/progress.h"

void
progress_take_totals(Progress *progress, const JobRow *job, const RangeTotals *totals)
{
    progress->pass = job->pass;
    progress->pass_kind = job->pass_kind;
    progress->rows = totals->rows;
    progress->est_rows = job->est_rows;
    progress->ranges = totals->ranges;
    progress->ranges_done = totals->ranges_done;
    progress->differing = totals->differing;
    progress->leftover = totals->leftover;
}
