/*
 * sql_grants.h - a role that may run one job and nothing else, as SQL.
 */
#ifndef CORE_SQL_GRANTS_H
#define CORE_SQL_GRANTS_H

#include "base/strbuf.h"
#include "core/facts.h"
#include "core/jobspec.h"

/* The role that the text creates. */
#define GRANTS_ROLE "pghaul_mover"

/*
 * Append the statements, each with its reason as a comment, for psql or any other client.
 *
 * Shape:   of a copy to another database in two parts, each to be run in its own database.
 *          The job need not be one that may start; facts and expressions are enough.  A login role
 *          without a password: how it authenticates is for pg_hba.conf.
 */
void sql_grants(StrBuf *out, const JobSpec *spec, const Facts *facts, const ExprReport *exprs);

#endif
