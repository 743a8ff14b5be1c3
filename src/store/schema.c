/*
 * schema.c - the state that pghaul keeps, as SQL that runs in psql as it is.
 *
 * Every table is logged and has a primary key, so that a publication for all tables does not stop
 * writes to it.  low, high and watermark are text[] as the server prints keys under pinned
 * settings (on the block path {block number}); NULL is open.
 */
#include "store/schema.h"

#include "pg/query.h"

/* From the tables of the catalog: to_regclass() may answer from a cache that has not yet heard of
 * a schema which another session made while we waited for the lock. */
static const char SQL_EXISTS[] =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c\n"
    "                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    "                WHERE n.nspname = 'pghaul' AND c.relname = 'meta')";

/* Two first runs at once: one makes the schema, the other finds it. */
static const char SQL_LOCK[] = "SELECT pg_catalog.pg_advisory_xact_lock(7016877001)";

static const char SQL_META[] =
    "CREATE SCHEMA pghaul;\n"
    "REVOKE ALL ON SCHEMA pghaul FROM PUBLIC;\n"
    "COMMENT ON SCHEMA pghaul IS 'state of pghaul; see pghaul help';\n"

    "CREATE TABLE pghaul.meta (\n"
    "    only_row pg_catalog.bool PRIMARY KEY DEFAULT true CHECK (only_row),\n"
    "    version pg_catalog.int4 NOT NULL,\n"
    "    installed pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now());\n"
    "INSERT INTO pghaul.meta (version) VALUES (1);\n";

static const char SQL_JOB[] =
    "CREATE TABLE pghaul.job (\n"
    "    id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n"
    "    name pg_catalog.text NOT NULL,\n"
    "    kind pg_catalog.text NOT NULL,\n"
    "    table_name pg_catalog.text NOT NULL,\n"
    "    spec pg_catalog.text NOT NULL,\n"
    "    fingerprint pg_catalog.text NOT NULL,\n"
    "    state pg_catalog.text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'ready', 'running',\n"
    "        'paused', 'synced', 'cut_over', 'complete', 'stopped', 'failed')),\n"
    "    reason pg_catalog.text,\n"
    "    pass pg_catalog.int4 NOT NULL DEFAULT 0,\n"
    "    pass_kind pg_catalog.text CHECK (pass_kind IN ('move', 'verify', 'repair')),\n"
    "    frontier pg_catalog.text[],\n"
    "    upper pg_catalog.text[],\n"
    "    carved pg_catalog.bool NOT NULL DEFAULT false,\n"
    "    next_no pg_catalog.int8 NOT NULL DEFAULT 1,\n"
    "    est_rows pg_catalog.int8 NOT NULL DEFAULT 0,\n"
    "    trigger_name pg_catalog.text,\n"
    "    trigger_signature pg_catalog.text,\n"
    "    filenode pg_catalog.int8,\n"
    "    system_id pg_catalog.text NOT NULL,\n"
    "    timeline pg_catalog.int8 NOT NULL,\n"
    "    standbys pg_catalog.text[] NOT NULL DEFAULT '{}',\n"
    "    vacuumed_rows pg_catalog.int8 NOT NULL DEFAULT 0,\n"
    "    created pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),\n"
    "    started pg_catalog.timestamptz,\n"
    "    finished pg_catalog.timestamptz,\n"
    "    cleaned pg_catalog.timestamptz);\n"
    "CREATE UNIQUE INDEX job_name ON pghaul.job (name) WHERE cleaned IS NULL;\n";

static const char SQL_RUN[] =
    "CREATE TABLE pghaul.run (\n"
    "    id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n"
    "    job pg_catalog.int8 NOT NULL REFERENCES pghaul.job ON DELETE CASCADE,\n"
    "    host pg_catalog.text NOT NULL,\n"
    "    pid pg_catalog.int4 NOT NULL,\n"
    "    backend_pid pg_catalog.int4,\n"
    "    backend_start pg_catalog.timestamptz,\n"
    "    version pg_catalog.text NOT NULL,\n"
    "    workers pg_catalog.int4 NOT NULL,\n"
    "    started pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),\n"
    "    heartbeat pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),\n"
    "    reason pg_catalog.text,\n"
    "    rows_per_s pg_catalog.float8,\n"
    "    ended pg_catalog.timestamptz,\n"
    "    exit_code pg_catalog.int4)\n"
    "    WITH (fillfactor = 50);\n"
    "CREATE INDEX run_job ON pghaul.run (job);\n";

static const char SQL_RANGES[] =
    "CREATE TABLE pghaul.ranges (\n"
    "    job pg_catalog.int8 NOT NULL REFERENCES pghaul.job ON DELETE CASCADE,\n"
    "    pass pg_catalog.int4 NOT NULL,\n"
    "    no pg_catalog.int8 NOT NULL,\n"
    "    low pg_catalog.text[],\n"
    "    high pg_catalog.text[],\n"
    "    est_rows pg_catalog.int8 NOT NULL,\n"
    "    stripes pg_catalog.int4 NOT NULL CHECK (stripes BETWEEN 1 AND 16),\n"
    "    stripe pg_catalog.int4 NOT NULL DEFAULT 0,\n"
    "    watermark pg_catalog.text[],\n"
    "    rows pg_catalog.int8 NOT NULL DEFAULT 0,\n"
    "    batches pg_catalog.int8 NOT NULL DEFAULT 0,\n"
    "    leftover pg_catalog.int8 NOT NULL DEFAULT 0,\n"
    "    differing pg_catalog.int8 NOT NULL DEFAULT 0,\n"
    "    visits pg_catalog.int4 NOT NULL DEFAULT 0,\n"
    "    retry_at pg_catalog.timestamptz,\n"
    "    state pg_catalog.text NOT NULL CHECK (state IN ('free', 'leased', 'partial', 'done')),\n"
    "    epoch pg_catalog.int8 NOT NULL DEFAULT 1,\n"
    "    lease pg_catalog.uuid,\n"
    "    run pg_catalog.int8,\n"
    "    backend_pid pg_catalog.int4,\n"
    "    backend_start pg_catalog.timestamptz,\n"
    "    PRIMARY KEY (job, pass, no))\n"
    "    WITH (fillfactor = 50, autovacuum_vacuum_threshold = 1000);\n"
    "CREATE INDEX ranges_open ON pghaul.ranges (job, pass, no) WHERE state <> 'done';\n";

static const char SQL_SAMPLE[] =
    "CREATE TABLE pghaul.sample (\n"
    "    id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n"
    "    job pg_catalog.int8 NOT NULL REFERENCES pghaul.job ON DELETE CASCADE,\n"
    "    run pg_catalog.int8 NOT NULL,\n"
    "    at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),\n"
    "    rows pg_catalog.int8 NOT NULL,\n"
    "    rows_per_s pg_catalog.float8 NOT NULL,\n"
    "    batch_ms pg_catalog.float8 NOT NULL,\n"
    "    workers pg_catalog.int4 NOT NULL,\n"
    "    lag_s pg_catalog.float8,\n"
    "    throttled_s pg_catalog.float8 NOT NULL,\n"
    "    hot_ratio pg_catalog.float8);\n"
    "CREATE INDEX sample_job ON pghaul.sample (job, at);\n";

static const char SQL_EVENT[] =
    "CREATE TABLE pghaul.event (\n"
    "    id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n"
    "    job pg_catalog.int8 NOT NULL REFERENCES pghaul.job ON DELETE CASCADE,\n"
    "    run pg_catalog.int8,\n"
    "    at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),\n"
    "    who pg_catalog.text NOT NULL DEFAULT SESSION_USER,\n"
    "    what pg_catalog.text NOT NULL,\n"
    "    reason pg_catalog.text NOT NULL);\n"
    "CREATE INDEX event_job ON pghaul.event (job, id);\n";

/* Triggers of a table as one text: identity, state, and for ours the function's version.  A
 * trigger that was disabled and enabled again differs by its xmin. */
static const char SQL_SIGNATURE[] =
    "CREATE FUNCTION pghaul.trigger_signature(pg_catalog.oid) RETURNS pg_catalog.text\n"
    "LANGUAGE sql STABLE AS $pghaul$\n"
    "    SELECT pg_catalog.string_agg(g.oid || ':' || g.xmin || ':'\n"
    "               || g.tgenabled::pg_catalog.text\n"
    "               || CASE WHEN n.nspname = 'pghaul' THEN ':' || p.xmin ELSE '' END,\n"
    "               ',' ORDER BY g.oid)\n"
    "      FROM pg_catalog.pg_trigger g\n"
    "      JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid\n"
    "      JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace\n"
    "     WHERE g.tgrelid = $1 AND NOT g.tgisinternal\n"
    "$pghaul$;\n";

static const char SQL_PROGRESS[] =
    "CREATE VIEW pghaul.progress AS\n"
    "SELECT j.id AS job, j.name, j.kind, j.table_name, j.state, j.reason, j.pass, j.pass_kind,\n"
    "       r.ranges, r.ranges_done, r.rows, r.differing, r.leftover, r.est_done, j.est_rows,\n"
    "       u.runs, u.rows_per_s, u.run_reason, j.carved, j.started, j.finished\n"
    "  FROM pghaul.job j\n"
    "  LEFT JOIN LATERAL (\n"
    "       SELECT pg_catalog.count(*) AS ranges,\n"
    "              pg_catalog.count(*) FILTER (WHERE state = 'done') AS ranges_done,\n"
    "              COALESCE(pg_catalog.sum(rows), 0)::pg_catalog.int8 AS rows,\n"
    "              COALESCE(pg_catalog.sum(differing), 0)::pg_catalog.int8 AS differing,\n"
    "              COALESCE(pg_catalog.sum(leftover), 0)::pg_catalog.int8 AS leftover,\n"
    "              COALESCE(pg_catalog.sum(CASE WHEN state = 'done' THEN est_rows\n"
    "                  ELSE est_rows * stripe / stripes END), 0)::pg_catalog.int8 AS est_done\n"
    "         FROM pghaul.ranges x WHERE x.job = j.id AND x.pass = j.pass) r ON true\n"
    "  LEFT JOIN LATERAL (\n"
    "       SELECT pg_catalog.count(*) AS runs, pg_catalog.sum(rows_per_s) AS rows_per_s,\n"
    "              pg_catalog.max(reason) AS run_reason\n"
    "         FROM pghaul.run x WHERE x.job = j.id AND x.ended IS NULL\n"
    "          AND x.heartbeat > pg_catalog.clock_timestamp() - '30 s'::pg_catalog.interval) u\n"
    "       ON true\n"
    " WHERE j.cleaned IS NULL;\n";

static const char *const INSTALL[] = {
    SQL_META, SQL_JOB, SQL_RUN, SQL_RANGES, SQL_SAMPLE, SQL_EVENT, SQL_SIGNATURE, SQL_PROGRESS};

static const char SQL_VERSION[] =
    "SELECT m.version,\n"
    "       EXISTS (SELECT FROM pg_catalog.pg_class c\n"
    "                WHERE c.relnamespace = 'pghaul'::pg_catalog.regnamespace\n"
    "                  AND c.relrowsecurity AND pg_catalog.row_security_active(c.oid))\n"
    "  FROM pghaul.meta m";

bool
schema_exists(PgConn *conn, bool *exists, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!query_one(conn, SQL_EXISTS, 0, NULL, &result, err)) {
        return false;
    }
    *exists = result_bool(result, 0, 0);
    return true;
}

static bool
check_version(PgConn *conn, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!query_one(conn, SQL_VERSION, 0, NULL, &result, err)) {
        return err_wrap(err, "schema pghaul");
    }
    int64_t version = result_int(result, 0, 0);
    if (version != SCHEMA_VERSION) {
        (void)err_set(err, ERR_REFUSED, "schema pghaul has version %lld, this pghaul needs %d",
            (long long)version, SCHEMA_VERSION);
        return err_hint(err, "Use the pghaul that made it, or finish its jobs and clean --all.");
    }
    if (result_bool(result, 0, 1)) {
        (void)err_set(
            err, ERR_REFUSED, "row security hides rows of schema pghaul from the current role");
        return err_hint(err, "ALTER TABLE .. DISABLE ROW LEVEL SECURITY on the tables of schema "
                             "pghaul; an event trigger may have turned it on.");
    }
    return true;
}

static bool
install_once(PgConn *conn, Err *err)
{
    bool exists = false;
    if (!query_run(conn, SQL_LOCK, NULL, err) || !schema_exists(conn, &exists, err)) {
        return false;
    }
    for (size_t i = 0; !exists && i < sizeof(INSTALL) / sizeof(INSTALL[0]); i++) {
        if (!query_script(conn, INSTALL[i], err)) {
            return false;
        }
    }
    return true;
}

bool
schema_install(PgConn *conn, Err *err)
{
    bool exists = false;
    if (!schema_exists(conn, &exists, err)) {
        return false;
    }
    if (!exists) {
        if (!query_script(conn, "BEGIN", err)) {
            return false;
        }
        if (!install_once(conn, err)) {
            Err ignored = ERR_INIT; /* the failure before is the one to report */
            (void)!query_script(conn, "ROLLBACK", &ignored);
            return err_wrap(err, "install schema pghaul");
        }
        if (!query_script(conn, "COMMIT", err)) {
            return err_wrap(err, "install schema pghaul");
        }
    }
    return check_version(conn, err);
}

bool
schema_drop(PgConn *conn, Err *err)
{
    return query_script(conn, "DROP SCHEMA IF EXISTS pghaul CASCADE", err);
}
