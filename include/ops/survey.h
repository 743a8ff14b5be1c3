/*
 * survey.h - look at the server, judge the job, decide the plan.  Writes nothing.
 */
#ifndef OPS_SURVEY_H
#define OPS_SURVEY_H

#include "base/arena.h"
#include "base/err.h"
#include "core/findings.h"
#include "core/plan.h"
#include "pg/conn.h"

typedef struct Survey {
    Facts facts;
    ExprReport exprs;
    Findings findings;
    bool planned; /* false when a finding refuses the job; `plan` is then not filled */
    Plan plan;
} Survey;

/*
 * Read facts, check expressions, collect findings, build the plan.
 *
 * Shape:   `conn` is where the job's state lives: the database of the table, of a copy that of the
 *          target.  `source` is a session to the source of a copy; NULL = in the same database.
 * Errors:  ERR_USER for the job file (unknown table, bad expression); after a bad expression the
 *          findings about everything else are there.  ERR_REFUSED never: refusals are findings.
 * Owner:   everything in *survey lives in `arena` or borrows from *spec.
 */
bool survey_run(PgConn *conn, PgConn *source, const JobSpec *spec, Arena *arena, Survey *survey,
    Err *err) __attribute__((warn_unused_result));

#endif
