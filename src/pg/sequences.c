#include "pg/sequences.h"

#include "pg/params.h"

static const char SQL_SEQUENCES[] =
    "SELECT d.refobjsubid, pg_catalog.format('%I.%I', n.nspname, c.relname),\n"
    "       pg_catalog.pg_sequence_last_value(c.oid)\n"
    "  FROM pg_catalog.pg_depend d\n"
    "  JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind = 'S'\n"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    " WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass\n"
    "   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass\n"
    "   AND d.refobjid = $1::pg_catalog.oid AND d.deptype IN ('a', 'i')\n"
    " ORDER BY d.refobjsubid";

bool
sequences_read(
    PgConn *conn, uint32_t table_oid, Arena *arena, SequenceFacts **sequences, int *count, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, table_oid);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_SEQUENCES, &params, &result, err)) {
        return err_wrap(err, "look for sequences");
    }
    *count = result_rows(result);
    *sequences = arena_alloc(arena, (size_t)(*count + 1) * sizeof(**sequences));
    for (int i = 0; i < *count; i++) {
        (*sequences)[i] = (SequenceFacts){
            .attnum = (int)result_int(result, i, 0),
            .relation = result_dup(result, i, 1, arena),
            .last = result_dup(result, i, 2, arena),
        };
    }
    return true;
}

static const char SQL_ADVANCE[] =
    "SELECT pg_catalog.setval(q.seqrelid, CASE WHEN q.seqincrement > 0\n"
    "           THEN GREATEST(v.present, v.wanted) ELSE LEAST(v.present, v.wanted) END)\n"
    "  FROM pg_catalog.pg_sequence q,\n"
    "       LATERAL (SELECT pg_catalog.pg_sequence_last_value(q.seqrelid) AS present,\n"
    "                       $2::pg_catalog.int8 AS wanted) v\n"
    " WHERE q.seqrelid = $1::pg_catalog.regclass";

bool
sequence_advance(PgConn *conn, const char *relation, const char *last, Err *err)
{
    Params params = PARAMS_INIT;
    params_text(&params, relation);
    params_text(&params, last);
    return query_with(conn, SQL_ADVANCE, &params, NULL, err) ||
           err_wrap(err, "advance sequence %s", relation);
}
