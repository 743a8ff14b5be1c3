#include "ops/survey.h"

#include <stddef.h>

#include "pg/catalog.h"
#include "pg/exprcheck.h"

bool
survey_run(PgConn *conn, const JobSpec *spec, Arena *arena, Survey *survey, Err *err)
{
    *survey = (Survey){.findings = FINDINGS_INIT};
    if (!catalog_read(conn, spec, arena, &survey->facts, err) ||
        !exprcheck_run(conn, spec, &survey->facts, arena, &survey->exprs, err)) {
        return false;
    }
    findings_collect(spec, &survey->facts, &survey->exprs, arena, &survey->findings);
    if (survey->findings.refuse_count > 0) {
        return true;
    }
    const char *why = NULL;
    const IndexFacts *key = findings_key_index(spec, &survey->facts, &why);
    if (key == NULL) {
        return err_set(err, ERR_FATAL, "no key, and no finding says so: %s", why);
    }
    plan_build(spec, &survey->facts, survey->exprs.set, key, &survey->plan);
    survey->plan.where = survey->exprs.where;
    survey->planned = true;
    return true;
}
