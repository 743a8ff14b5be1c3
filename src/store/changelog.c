#include "store/changelog.h"

#include <stdio.h>

#include "base/strbuf.h"
#include "core/sql_log.h"
#include "pg/params.h"

/* ---- the log ---- */

bool
changelog_state(PgConn *conn, const Plan *plan, int64_t job, ChangelogState *state, Err *err)
{
    return changelog_state_above(conn, plan, job, 0, state, err);
}

bool
changelog_state_above(
    PgConn *conn, const Plan *plan, int64_t job, int64_t after, ChangelogState *state, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_log_state(&sql, plan, job);
    Params params = PARAMS_INIT;
    params_int(&params, after);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, strbuf_text(&sql), &params, &result, err)) {
        return err_wrap(err, "look at the change log");
    }
    *state = (ChangelogState){
        .overflowed = result_bool(result, 0, LOG_OVERFLOWED),
        .rows = result_int(result, 0, LOG_ROWS),
        .age_s = result_float(result, 0, LOG_AGE_S),
        .last_id = result_int(result, 0, LOG_LAST),
        .bytes = result_int(result, 0, LOG_BYTES),
    };
    return true;
}

bool
changelog_is_drained(
    PgConn *conn, const Plan *plan, int64_t job, const LogSpan *span, bool *drained, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_log_is_drained(&sql, plan, job);
    Params params = PARAMS_INIT;
    params_int(&params, span->after);
    params_int(&params, span->upto);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, strbuf_text(&sql), &params, &result, err)) {
        return err_wrap(err, "look at the change log");
    }
    *drained = result_bool(result, 0, 0);
    return true;
}

bool
changelog_next_key(PgConn *conn, const Plan *plan, const SlicePlace *place, Arena *arena,
    const char **key, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_log_next_key(&sql, plan, place->slice->job);
    Params params = PARAMS_INIT;
    params_int(&params, place->slice->no);
    params_int(&params, place->after);
    params_int(&params, place->slice->slices);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, strbuf_text(&sql), &params, &result, err)) {
        return err_wrap(err, "look at the change log");
    }
    *key = result_rows(result) == 0 ? NULL : result_dup(result, 0, 0, arena);
    return true;
}

/* ---- its table and sequence ---- */

static const char SQL_EXISTS[] =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c\n"
    "                WHERE c.relnamespace = 'pghaul'::pg_catalog.regnamespace\n"
    "                  AND 'pghaul.' || c.relname = $1::pg_catalog.text)";

typedef struct Object {
    void (*name)(StrBuf *out, const Plan *plan, int64_t job);
    void (*statement)(StrBuf *out, const Plan *plan, int64_t job);
} Object;

static bool
create(PgConn *conn, const Plan *plan, const Object *object, int64_t job, bool *created, Err *err)
{
    STRBUF_AUTO text = STRBUF_INIT;
    object->name(&text, plan, job);
    Params params = PARAMS_INIT;
    params_text(&params, strbuf_text(&text));
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_EXISTS, &params, &result, err)) {
        return err_wrap(err, "look for %s", strbuf_text(&text));
    }
    if (result_bool(result, 0, 0)) {
        return true;
    }
    *created = true;
    STRBUF_AUTO sql = STRBUF_INIT;
    object->statement(&sql, plan, job);
    return query_run(conn, strbuf_text(&sql), NULL, err) ||
           err_wrap(err, "create %s", strbuf_text(&text));
}

static bool
mark_overflowed(PgConn *conn, const Plan *plan, int64_t job, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_puts(&sql, "SELECT pg_catalog.nextval('");
    sql_log_overflow_name(&sql, plan, job);
    strbuf_puts(&sql, "')");
    return query_run(conn, strbuf_text(&sql), NULL, err);
}

bool
changelog_create(PgConn *conn, const Plan *plan, int64_t job, bool begun, Err *err)
{
    static const Object LOG = {sql_log_name, sql_log_table};
    static const Object SEQUENCE = {sql_log_overflow_name, sql_log_overflow};
    bool created = false;
    return create(conn, plan, &LOG, job, &created, err) &&
           create(conn, plan, &SEQUENCE, job, &created, err) &&
           (!created || !begun || mark_overflowed(conn, plan, job, err));
}

/* ---- slices ---- */

static const char SQL_PUT_SLICES[] =
    "INSERT INTO pghaul.slice AS s (job, no, slices)\n"
    "SELECT $1::pg_catalog.int8, g.no, $3::pg_catalog.int4\n"
    "  FROM pg_catalog.generate_series(0, $2::pg_catalog.int4 - 1) AS g(no)\n"
    "    ON CONFLICT (job, no) DO NOTHING";

static const char SQL_SLICES[] =
    "SELECT s.slices FROM pghaul.slice s WHERE s.job = $1::pg_catalog.int8 LIMIT 1";

/* The drain function goes around unique values that are taken, which the server does not do any
 * more once a constraint of the target is deferrable. */
static bool
refuse_deferrable(const Plan *plan, Err *err)
{
    (void)err_set(err, ERR_REFUSED,
        "the target has got a deferrable constraint since the job began; its changes cannot be "
        "drained into such a table");
    return err_hint(err,
        "ALTER TABLE .. DROP CONSTRAINT, then run again; or pghaul clean %s and begin anew.",
        plan->spec->job);
}

bool
changelog_put_slices(PgConn *conn, const Plan *plan, int64_t job, Err *err)
{
    Params put = PARAMS_INIT;
    params_int(&put, job);
    params_int(&put, LOG_SLICES);
    params_int(&put, sql_log_slices(plan));
    Params ask = PARAMS_INIT;
    params_int(&ask, job);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_PUT_SLICES, &put, NULL, err) ||
        !query_one_with(conn, SQL_SLICES, &ask, &result, err)) {
        return err_wrap(err, "make the slices of the change log");
    }
    bool goes_around = result_int(result, 0, 0) > 1 && !plan->copy->reversed;
    return !goes_around || sql_log_tells_conflicts(plan) || refuse_deferrable(plan, err);
}

/* SKIP LOCKED: the row is locked while a batch of its owner is in flight, whoever that is.  A
 * cutover is no run (0): behind a pooler its backend may outlive it, and nobody waits for that. */
static const char SQL_CLAIM[] =
    "WITH c AS MATERIALIZED (\n"
    "    SELECT s.no\n"
    "      FROM pghaul.slice s\n"
    "     WHERE s.job = $1::pg_catalog.int8 AND s.no <> ALL ($6::pg_catalog.int4[])\n"
    "       AND (s.lease IS NULL OR s.run = $2::pg_catalog.int8\n"
    "            OR NOT EXISTS (\n"
    "               SELECT FROM pg_catalog.pg_stat_get_activity(s.backend_pid) a\n"
    "                WHERE a.pid = s.backend_pid\n"
    "                  AND COALESCE(a.backend_start = s.backend_start, true))\n"
    "            OR NOT EXISTS (\n"
    "               SELECT FROM pghaul.run u WHERE u.id = s.run AND u.heartbeat\n"
    "                   >= pg_catalog.clock_timestamp() - $3 * '1 us'::pg_catalog.interval))\n"
    "     ORDER BY s.drained NULLS FIRST, s.no\n"
    "     LIMIT 1\n"
    "       FOR NO KEY UPDATE SKIP LOCKED)\n"
    "UPDATE pghaul.slice AS s\n"
    "   SET epoch = s.epoch + 1, lease = pg_catalog.gen_random_uuid(), run = $2,\n"
    "       backend_pid = $4::pg_catalog.int4, backend_start = $5::pg_catalog.timestamptz\n"
    "  FROM c\n"
    " WHERE s.job = $1 AND s.no = c.no\n"
    "RETURNING s.no, s.epoch, s.lease, s.slices";

/* Those of the set, as text of an int4[]. */
static void
put_numbers(StrBuf *out, const SliceSet *set)
{
    strbuf_putc(out, '{');
    for (int i = 0; i < set->count; i++) {
        strbuf_printf(out, "%s%d", i == 0 ? "" : ",", set->slices[i].no);
    }
    strbuf_putc(out, '}');
}

bool
changelog_claim(PgConn *conn, const RangeOwner *owner, SliceSet *set, bool *claimed, Err *err)
{
    STRBUF_AUTO numbers = STRBUF_INIT;
    put_numbers(&numbers, set);
    Params params = PARAMS_INIT;
    params_int(&params, owner->job);
    params_int(&params, owner->run);
    params_int(&params, owner->lease_us);
    params_int(&params, conn_backend_pid(conn));
    params_text(&params, conn_backend_start(conn));
    params_text(&params, strbuf_text(&numbers));
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_CLAIM, &params, &result, err)) {
        return err_wrap(err, "lease a slice of the change log");
    }
    *claimed = result_rows(result) == 1;
    if (*claimed) {
        SliceLease *lease = &set->slices[set->count++];
        *lease = (SliceLease){
            .job = owner->job,
            .no = (int)result_int(result, 0, 0),
            .slices = (int)result_int(result, 0, 3),
            .epoch = result_int(result, 0, 1),
        };
        (void)snprintf(lease->token, sizeof(lease->token), "%s", result_text(result, 0, 2));
    }
    return true;
}

static const char SQL_OTHERS[] =
    "SELECT pg_catalog.string_agg(DISTINCT 'pid ' || s.backend_pid, ', ')\n"
    "  FROM pghaul.slice s\n"
    " WHERE s.job = $1::pg_catalog.int8 AND s.no <> ALL ($2::pg_catalog.int4[])";

bool
changelog_others(
    PgConn *conn, int64_t job, const SliceSet *set, Arena *arena, const char **who, Err *err)
{
    STRBUF_AUTO numbers = STRBUF_INIT;
    put_numbers(&numbers, set);
    Params params = PARAMS_INIT;
    params_int(&params, job);
    params_text(&params, strbuf_text(&numbers));
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_OTHERS, &params, &result, err)) {
        return err_wrap(err, "look who drains the change log");
    }
    *who = result_dup(result, 0, 0, arena);
    return true;
}

static const char SQL_RELEASE[] = "UPDATE pghaul.slice AS s SET lease = NULL\n"
                                  " WHERE s.job = $1::pg_catalog.int8 AND s.no = "
                                  "$2::pg_catalog.int4\n"
                                  "   AND s.epoch = $3::pg_catalog.int8\n"
                                  "   AND s.lease = $4::pg_catalog.uuid";

/* $1 to $4. */
static void
put_lease(Params *params, const SliceLease *lease)
{
    params_int(params, lease->job);
    params_int(params, lease->no);
    params_int(params, lease->epoch);
    params_text(params, lease->token);
}

bool
changelog_release(PgConn *conn, const SliceLease *lease, Err *err)
{
    Params params = PARAMS_INIT;
    put_lease(&params, lease);
    return query_with(conn, SQL_RELEASE, &params, NULL, err) ||
           err_wrap(err, "release slice %d of the change log", lease->no);
}

static const char SQL_LOCK[] = "SELECT FROM pghaul.slice AS s\n"
                               " WHERE s.job = $1::pg_catalog.int8 AND s.no = $2::pg_catalog.int4\n"
                               "   AND s.epoch = $3::pg_catalog.int8\n"
                               "   AND s.lease = $4::pg_catalog.uuid\n"
                               "   FOR NO KEY UPDATE";

bool
changelog_lock_slice(PgConn *conn, const SliceLease *lease, bool *ours, Err *err)
{
    Params params = PARAMS_INIT;
    put_lease(&params, lease);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_LOCK, &params, &result, err)) {
        return err_wrap(err, "lock slice %d of the change log", lease->no);
    }
    *ours = result_rows(result) == 1;
    return true;
}

static const char SQL_COUNT[] =
    "UPDATE pghaul.slice AS s\n"
    "   SET entries = s.entries + $5::pg_catalog.int8, deleted = s.deleted + $6::pg_catalog.int8,\n"
    "       written = s.written + $7::pg_catalog.int8, batches = s.batches + 1,\n"
    "       drained = pg_catalog.clock_timestamp()\n"
    " WHERE s.job = $1::pg_catalog.int8 AND s.no = $2::pg_catalog.int4\n"
    "   AND s.epoch = $3::pg_catalog.int8 AND s.lease = $4::pg_catalog.uuid";

bool
changelog_count(PgConn *conn, const SliceLease *lease, const SliceCount *count, Err *err)
{
    Params params = PARAMS_INIT;
    put_lease(&params, lease);
    params_int(&params, count->entries);
    params_int(&params, count->deleted);
    params_int(&params, count->written);
    return query_with(conn, SQL_COUNT, &params, NULL, err) ||
           err_wrap(err, "count drained changes");
}

static const char SQL_DRAINED[] = "SELECT COALESCE(pg_catalog.sum(s.entries), 0)\n"
                                  "  FROM pghaul.slice s WHERE s.job = $1::pg_catalog.int8";

bool
changelog_drained(PgConn *conn, int64_t job, int64_t *entries, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, job);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_DRAINED, &params, &result, err)) {
        return err_wrap(err, "count drained changes");
    }
    *entries = result_int(result, 0, 0);
    return true;
}
