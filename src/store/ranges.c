#include "store/ranges.h"

#include <stdio.h>
#include <string.h>

#include "pg/params.h"

enum {
    COL_NO,
    COL_EPOCH,
    COL_TOKEN,
    COL_LOW,
    COL_HIGH,
    COL_STRIPES,
    COL_STRIPE,
    COL_MARK,
    COL_VISITS
};

#define LEASE_COLUMNS                                                                              \
    "r.no, r.epoch, r.lease, r.low, r.high, r.stripes, r.stripe, r.watermark, r.visits"

static void
take_lease(const PgResult *result, int pass, Arena *arena, RangeLease *lease)
{
    *lease = (RangeLease){
        .no = result_int(result, 0, COL_NO),
        .epoch = result_int(result, 0, COL_EPOCH),
        .pass = pass,
        .low = result_dup(result, 0, COL_LOW, arena),
        .high = result_dup(result, 0, COL_HIGH, arena),
        .stripes = (int)result_int(result, 0, COL_STRIPES),
        .stripe = (int)result_int(result, 0, COL_STRIPE),
        .watermark = result_dup(result, 0, COL_MARK, arena),
        .visits = (int)result_int(result, 0, COL_VISITS),
    };
    (void)snprintf(lease->token, sizeof(lease->token), "%s", result_text(result, 0, COL_TOKEN));
}

/* ---- claim ---- */

/*
 * SKIP LOCKED: a row that is locked has a batch in flight.  RETURNING gives the row as it is after
 * waiting for nobody: the watermark is the last one that committed.  A session holds one range at
 * most, so one in the name of the session that asks has been lost by it (a batch of its worker's
 * old session committed late).
 */
static const char SQL_CLAIM[] =
    "WITH c AS MATERIALIZED (\n"
    "    SELECT r.no\n"
    "      FROM pghaul.ranges r\n"
    "     WHERE r.job = $1::pg_catalog.int8 AND r.pass = $2::pg_catalog.int4\n"
    "       AND r.state <> 'done'\n"
    "       AND (r.state = 'free'\n"
    "            OR r.state = 'partial' AND r.retry_at <= pg_catalog.clock_timestamp()\n"
    "            OR r.state = 'leased' AND NOT EXISTS (\n"
    "               SELECT FROM pg_catalog.pg_stat_get_activity(r.backend_pid) a\n"
    "                WHERE a.pid = r.backend_pid\n"
    "                  AND COALESCE(a.backend_start = r.backend_start, true))\n"
    "            OR r.state = 'leased' AND r.backend_pid = $5::pg_catalog.int4\n"
    "               AND r.backend_start = $6::pg_catalog.timestamptz\n"
    "            OR r.state = 'leased' AND EXISTS (\n"
    "               SELECT FROM pghaul.run u WHERE u.id = r.run AND u.heartbeat\n"
    "                   < pg_catalog.clock_timestamp() - $4 * '1 us'::pg_catalog.interval))\n"
    "     ORDER BY r.no\n"
    "     LIMIT 1\n"
    "       FOR NO KEY UPDATE SKIP LOCKED)\n"
    "UPDATE pghaul.ranges AS r\n"
    "   SET state = 'leased', epoch = r.epoch + 1, lease = pg_catalog.gen_random_uuid(),\n"
    "       run = $3::pg_catalog.int8, backend_pid = $5::pg_catalog.int4,\n"
    "       backend_start = $6::pg_catalog.timestamptz\n"
    "  FROM c\n"
    " WHERE r.job = $1::pg_catalog.int8 AND r.pass = $2::pg_catalog.int4 AND r.no = c.no\n"
    "RETURNING " LEASE_COLUMNS;

bool
ranges_claim(
    PgConn *conn, const RangeOwner *owner, Arena *arena, RangeLease *lease, bool *claimed, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, owner->job);
    params_int(&params, owner->pass);
    params_int(&params, owner->run);
    params_int(&params, owner->lease_us);
    params_int(&params, conn_backend_pid(conn));
    params_text(&params, conn_backend_start(conn));
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_CLAIM, &params, &result, err)) {
        return err_wrap(err, "claim a range");
    }
    *claimed = result_rows(result) == 1;
    if (*claimed) {
        take_lease(result, owner->pass, arena, lease);
    }
    return true;
}

/* ---- carve ---- */

static const char SQL_CARVE[] =
    "WITH j AS (\n"
    "    UPDATE pghaul.job AS j\n"
    "       SET frontier = $4::pg_catalog.text[], carved = $5::pg_catalog.bool,\n"
    "           next_no = j.next_no + 1\n"
    "     WHERE j.id = $1::pg_catalog.int8 AND j.pass = $2::pg_catalog.int4 AND NOT j.carved\n"
    "       AND j.frontier IS NOT DISTINCT FROM $3::pg_catalog.text[]\n"
    " RETURNING j.next_no - 1 AS no)\n"
    "INSERT INTO pghaul.ranges AS r (job, pass, no, low, high, est_rows, stripes, state, lease,\n"
    "                                run, backend_pid, backend_start)\n"
    "SELECT $1, $2, j.no, $11::pg_catalog.text[], $4, $6::pg_catalog.int8, $7::pg_catalog.int4, "
    "'leased',\n"
    "       pg_catalog.gen_random_uuid(), $8::pg_catalog.int8, $9::pg_catalog.int4,\n"
    "       $10::pg_catalog.timestamptz\n"
    "  FROM j\n"
    "RETURNING " LEASE_COLUMNS;

bool
ranges_carve(PgConn *conn, const RangeOwner *owner, const RangeCarve *carve, Arena *arena,
    RangeLease *lease, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, owner->job);
    params_int(&params, owner->pass);
    params_text(&params, carve->frontier);
    params_text(&params, carve->high);
    params_bool(&params, carve->last);
    params_int(&params, carve->est_rows);
    params_int(&params, carve->stripes);
    params_int(&params, owner->run);
    params_int(&params, conn_backend_pid(conn));
    params_text(&params, conn_backend_start(conn));
    params_text(&params, carve->low);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_CARVE, &params, &result, err)) {
        return err_wrap(err, "carve a range");
    }
    *lease = (RangeLease){.no = 0};
    if (result_rows(result) == 1) {
        take_lease(result, owner->pass, arena, lease);
    }
    return true;
}

/* ---- step over ---- */

static const char SQL_STEP_OVER[] =
    "WITH j AS (\n"
    "    UPDATE pghaul.job AS j\n"
    "       SET frontier = $4::pg_catalog.text[], next_no = j.next_no + $6::pg_catalog.int8,\n"
    "           carved = j.upper = $4\n"
    "     WHERE j.id = $1::pg_catalog.int8 AND j.pass = $2::pg_catalog.int4 AND NOT j.carved\n"
    "       AND j.frontier IS NOT DISTINCT FROM $3::pg_catalog.text[]\n"
    " RETURNING j.next_no - $6 AS no)\n"
    "INSERT INTO pghaul.ranges AS r (job, pass, no, low, high, est_rows, stripes, state, least)\n"
    "SELECT $1, $2, j.no + o.no - $5::pg_catalog.int8, o.low, o.high, o.est_rows, 1, 'done',\n"
    "       o.least\n"
    "  FROM j, pghaul.ranges AS o\n"
    " WHERE o.job = $1 AND o.pass = $2 - 1 AND o.no >= $5 AND o.no < $5 + $6";

bool
ranges_step_over(PgConn *conn, const RangeOwner *owner, const RangeSteps *steps, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, owner->job);
    params_int(&params, owner->pass);
    params_text(&params, steps->frontier);
    params_text(&params, steps->high);
    params_int(&params, steps->first_no);
    params_int(&params, steps->count);
    return query_with(conn, SQL_STEP_OVER, &params, NULL, err) || err_wrap(err, "step over ranges");
}

/* ---- ranges that are known beforehand ---- */

static const char SQL_INSERT[] =
    "INSERT INTO pghaul.ranges AS r (job, pass, no, low, high, est_rows, stripes, state)\n"
    "SELECT $1::pg_catalog.int8, $2::pg_catalog.int4, $3::pg_catalog.int8 + s.at - 1,\n"
    "       s.low::pg_catalog.text[], s.high::pg_catalog.text[], s.rows, 1, 'free'\n"
    "  FROM ROWS FROM (pg_catalog.unnest($4::pg_catalog.text[]),\n"
    "                  pg_catalog.unnest($5::pg_catalog.text[]),\n"
    "                  pg_catalog.unnest($6::pg_catalog.int8[]))\n"
    "       WITH ORDINALITY AS s(low, high, rows, at)";

bool
ranges_insert(PgConn *conn, int64_t job, int pass, const RangePage *page, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    params_int(&params, pass);
    params_int(&params, page->first_no);
    params_text(&params, page->lows);
    params_text(&params, page->highs);
    params_text(&params, page->rows);
    return query_with(conn, SQL_INSERT, &params, NULL, err) || err_wrap(err, "ranges");
}

/* ---- after a lost connection ---- */

/* $1 to $5 of the statements below. */
static void
put_lease(Params *params, const RangeOwner *owner, const RangeLease *lease)
{
    params_int(params, owner->job);
    params_int(params, lease->pass);
    params_int(params, lease->no);
    params_int(params, lease->epoch);
    params_text(params, lease->token);
}

static const char SQL_REREAD[] =
    "UPDATE pghaul.ranges AS r\n"
    "   SET backend_pid = $6::pg_catalog.int4, backend_start = $7::pg_catalog.timestamptz\n"
    " WHERE r.job = $1::pg_catalog.int8 AND r.pass = $2::pg_catalog.int4\n"
    "   AND r.no = $3::pg_catalog.int8 AND r.epoch = $4::pg_catalog.int8\n"
    "   AND r.lease = $5::pg_catalog.uuid AND r.state = 'leased'\n"
    "RETURNING " LEASE_COLUMNS;

bool
ranges_reread(PgConn *conn, const RangeOwner *owner, Arena *arena, RangeLease *lease,
    bool *still_ours, Err *err)
{
    Params params = PARAMS_INIT;
    put_lease(&params, owner, lease);
    params_int(&params, conn_backend_pid(conn));
    params_text(&params, conn_backend_start(conn));
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_REREAD, &params, &result, err)) {
        return err_wrap(err, "settle range %lld", (long long)lease->no);
    }
    *still_ours = result_rows(result) == 1;
    if (*still_ours) {
        take_lease(result, lease->pass, arena, lease);
    }
    return true;
}

static const char SQL_RELEASE[] =
    "UPDATE pghaul.ranges AS r SET state = 'free', lease = NULL\n"
    " WHERE r.job = $1::pg_catalog.int8 AND r.pass = $2::pg_catalog.int4\n"
    "   AND r.no = $3::pg_catalog.int8 AND r.epoch = $4::pg_catalog.int8\n"
    "   AND r.lease = $5::pg_catalog.uuid AND r.state = 'leased'";

bool
ranges_release(PgConn *conn, const RangeOwner *owner, const RangeLease *lease, Err *err)
{
    Params params = PARAMS_INIT;
    put_lease(&params, owner, lease);
    return query_with(conn, SQL_RELEASE, &params, NULL, err) ||
           err_wrap(err, "release range %lld", (long long)lease->no);
}

/* ---- a batch that only looked ---- */

static const char SQL_ADVANCE[] =
    "WITH r AS (\n"
    "    UPDATE pghaul.ranges AS r\n"
    "       SET watermark = CASE WHEN $8::pg_catalog.bool THEN NULL\n"
    "                       ELSE $7::pg_catalog.text[] END,\n"
    "           state = CASE WHEN $8 THEN 'done' ELSE r.state END,\n"
    "           lease = CASE WHEN $8 THEN NULL ELSE r.lease END,\n"
    "           rows = r.rows + $9::pg_catalog.int8, batches = r.batches + 1,\n"
    "           differing = r.differing + $10::pg_catalog.int8\n"
    "     WHERE r.job = $1::pg_catalog.int8 AND r.pass = $2::pg_catalog.int4\n"
    "       AND r.no = $3::pg_catalog.int8 AND r.epoch = $4::pg_catalog.int8\n"
    "       AND r.lease = $5::pg_catalog.uuid AND r.state = 'leased'\n"
    "       AND r.watermark IS NOT DISTINCT FROM $6::pg_catalog.text[]\n"
    " RETURNING r.job, r.pass),\n"
    "d AS (\n"
    "    INSERT INTO pghaul.difference AS d (job, pass, key)\n"
    "    SELECT r.job, r.pass, k.key::pg_catalog.text[]\n"
    "      FROM r, pg_catalog.unnest($11::pg_catalog.text[]) AS k(key)\n"
    "        ON CONFLICT (job, pass, key) DO NOTHING)\n"
    "SELECT FROM r";

bool
ranges_advance(PgConn *conn, const RangeOwner *owner, const RangeLease *lease,
    const RangeStep *step, bool *still_ours, Err *err)
{
    Params params = PARAMS_INIT;
    put_lease(&params, owner, lease);
    params_text(&params, lease->watermark);
    params_text(&params, step->watermark);
    params_bool(&params, step->done);
    params_int(&params, step->rows);
    params_int(&params, step->differing);
    params_text(&params, step->keys);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_ADVANCE, &params, &result, err)) {
        return err_wrap(err, "checkpoint");
    }
    *still_ours = result_rows(result) == 1;
    return true;
}

/* ---- totals ---- */

/* A range that is not done counts by its stripe, or by its rows: both steady and never too much. */
static const char SQL_TOTALS[] =
    "SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE r.state = 'done'),\n"
    "       COALESCE(pg_catalog.sum(r.rows), 0),\n"
    "       COALESCE(pg_catalog.sum(CASE WHEN r.state = 'done' THEN r.est_rows\n"
    "           ELSE GREATEST(r.est_rows * r.stripe / r.stripes,\n"
    "                         LEAST(r.rows, r.est_rows)) END), 0),\n"
    "       COALESCE(pg_catalog.sum(r.differing), 0), COALESCE(pg_catalog.sum(r.leftover), 0)\n"
    "  FROM pghaul.ranges r\n"
    " WHERE r.job = $1::pg_catalog.int8 AND r.pass = $2::pg_catalog.int4";

bool
ranges_totals(PgConn *conn, int64_t job, int pass, RangeTotals *totals, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    params_int(&params, pass);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_TOTALS, &params, &result, err)) {
        return err_wrap(err, "totals");
    }
    *totals = (RangeTotals){
        .ranges = result_int(result, 0, 0),
        .ranges_done = result_int(result, 0, 1),
        .rows = result_int(result, 0, 2),
        .est_done = result_int(result, 0, 3),
        .differing = result_int(result, 0, 4),
        .leftover = result_int(result, 0, 5),
    };
    return true;
}

static const char SQL_CONFLICTS[] =
    "SELECT COALESCE(pg_catalog.sum(r.skipped), 0), COALESCE(pg_catalog.sum(r.updated), 0)\n"
    "  FROM pghaul.ranges r WHERE r.job = $1::pg_catalog.int8";

bool
ranges_conflicts(PgConn *conn, int64_t job, int64_t *skipped, int64_t *updated, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_CONFLICTS, &params, &result, err)) {
        return err_wrap(err, "conflicts");
    }
    *skipped = result_int(result, 0, 0);
    *updated = result_int(result, 0, 1);
    return true;
}

static const char SQL_FORGET[] = "DELETE FROM pghaul.ranges AS r\n"
                                 " WHERE r.job = $1::pg_catalog.int8\n"
                                 "   AND r.pass < $2::pg_catalog.int4";

bool
ranges_forget(PgConn *conn, int64_t job, int before_pass, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    params_int(&params, before_pass);
    return query_with(conn, SQL_FORGET, &params, NULL, err) || err_wrap(err, "forget ranges");
}
