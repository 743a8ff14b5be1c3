-- Schema pghaul as version 1 made it; frozen: databases in the field have it.

CREATE SCHEMA pghaul;
REVOKE ALL ON SCHEMA pghaul FROM PUBLIC;
COMMENT ON SCHEMA pghaul IS 'state of pghaul; see pghaul help';
CREATE TABLE pghaul.meta (
    only_row pg_catalog.bool PRIMARY KEY DEFAULT true CHECK (only_row),
    version pg_catalog.int4 NOT NULL,
    installed pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now());
INSERT INTO pghaul.meta (version) VALUES (1);

CREATE TABLE pghaul.job (
    id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name pg_catalog.text NOT NULL,
    kind pg_catalog.text NOT NULL,
    table_name pg_catalog.text NOT NULL,
    spec pg_catalog.text NOT NULL,
    fingerprint pg_catalog.text NOT NULL,
    state pg_catalog.text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'ready', 'running',
        'paused', 'synced', 'cut_over', 'complete', 'stopped', 'failed')),
    reason pg_catalog.text,
    pass pg_catalog.int4 NOT NULL DEFAULT 0,
    pass_kind pg_catalog.text CHECK (pass_kind IN ('move', 'verify', 'repair')),
    frontier pg_catalog.text[],
    upper pg_catalog.text[],
    carved pg_catalog.bool NOT NULL DEFAULT false,
    next_no pg_catalog.int8 NOT NULL DEFAULT 1,
    est_rows pg_catalog.int8 NOT NULL DEFAULT 0,
    trigger_name pg_catalog.text,
    trigger_signature pg_catalog.text,
    filenode pg_catalog.int8,
    system_id pg_catalog.text NOT NULL,
    timeline pg_catalog.int8 NOT NULL,
    standbys pg_catalog.text[] NOT NULL DEFAULT '{}',
    vacuumed_rows pg_catalog.int8 NOT NULL DEFAULT 0,
    created pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
    started pg_catalog.timestamptz,
    finished pg_catalog.timestamptz,
    cleaned pg_catalog.timestamptz);
CREATE UNIQUE INDEX job_name ON pghaul.job (name) WHERE cleaned IS NULL;

CREATE TABLE pghaul.run (
    id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job pg_catalog.int8 NOT NULL REFERENCES pghaul.job ON DELETE CASCADE,
    host pg_catalog.text NOT NULL,
    pid pg_catalog.int4 NOT NULL,
    backend_pid pg_catalog.int4,
    backend_start pg_catalog.timestamptz,
    version pg_catalog.text NOT NULL,
    workers pg_catalog.int4 NOT NULL,
    started pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    heartbeat pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    reason pg_catalog.text,
    rows_per_s pg_catalog.float8,
    ended pg_catalog.timestamptz,
    exit_code pg_catalog.int4)
    WITH (fillfactor = 50);
CREATE INDEX run_job ON pghaul.run (job);

CREATE TABLE pghaul.ranges (
    job pg_catalog.int8 NOT NULL REFERENCES pghaul.job ON DELETE CASCADE,
    pass pg_catalog.int4 NOT NULL,
    no pg_catalog.int8 NOT NULL,
    low pg_catalog.text[],
    high pg_catalog.text[],
    est_rows pg_catalog.int8 NOT NULL,
    stripes pg_catalog.int4 NOT NULL CHECK (stripes BETWEEN 1 AND 16),
    stripe pg_catalog.int4 NOT NULL DEFAULT 0,
    watermark pg_catalog.text[],
    rows pg_catalog.int8 NOT NULL DEFAULT 0,
    batches pg_catalog.int8 NOT NULL DEFAULT 0,
    leftover pg_catalog.int8 NOT NULL DEFAULT 0,
    differing pg_catalog.int8 NOT NULL DEFAULT 0,
    visits pg_catalog.int4 NOT NULL DEFAULT 0,
    retry_at pg_catalog.timestamptz,
    state pg_catalog.text NOT NULL CHECK (state IN ('free', 'leased', 'partial', 'done')),
    epoch pg_catalog.int8 NOT NULL DEFAULT 1,
    lease pg_catalog.uuid,
    run pg_catalog.int8,
    backend_pid pg_catalog.int4,
    backend_start pg_catalog.timestamptz,
    PRIMARY KEY (job, pass, no))
    WITH (fillfactor = 50, autovacuum_vacuum_threshold = 1000);
CREATE INDEX ranges_open ON pghaul.ranges (job, pass, no) WHERE state <> 'done';

CREATE TABLE pghaul.sample (
    id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job pg_catalog.int8 NOT NULL REFERENCES pghaul.job ON DELETE CASCADE,
    run pg_catalog.int8 NOT NULL,
    at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    rows pg_catalog.int8 NOT NULL,
    rows_per_s pg_catalog.float8 NOT NULL,
    batch_ms pg_catalog.float8 NOT NULL,
    workers pg_catalog.int4 NOT NULL,
    lag_s pg_catalog.float8,
    throttled_s pg_catalog.float8 NOT NULL,
    hot_ratio pg_catalog.float8);
CREATE INDEX sample_job ON pghaul.sample (job, at);

CREATE TABLE pghaul.event (
    id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job pg_catalog.int8 NOT NULL REFERENCES pghaul.job ON DELETE CASCADE,
    run pg_catalog.int8,
    at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    who pg_catalog.text NOT NULL DEFAULT SESSION_USER,
    what pg_catalog.text NOT NULL,
    reason pg_catalog.text NOT NULL);
CREATE INDEX event_job ON pghaul.event (job, id);

CREATE FUNCTION pghaul.trigger_signature(pg_catalog.oid) RETURNS pg_catalog.text
LANGUAGE sql STABLE AS $pghaul$
    SELECT pg_catalog.string_agg(g.oid || ':' || g.xmin || ':'
               || g.tgenabled::pg_catalog.text
               || CASE WHEN n.nspname = 'pghaul' THEN ':' || p.xmin ELSE '' END,
               ',' ORDER BY g.oid)
      FROM pg_catalog.pg_trigger g
      JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid
      JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
     WHERE g.tgrelid = $1 AND NOT g.tgisinternal
$pghaul$;

CREATE VIEW pghaul.progress AS
SELECT j.id AS job, j.name, j.kind, j.table_name, j.state, j.reason, j.pass, j.pass_kind,
       r.ranges, r.ranges_done, r.rows, r.differing, r.leftover, r.est_done, j.est_rows,
       u.runs, u.rows_per_s, u.run_reason, j.carved, j.started, j.finished
  FROM pghaul.job j
  LEFT JOIN LATERAL (
       SELECT pg_catalog.count(*) AS ranges,
              pg_catalog.count(*) FILTER (WHERE state = 'done') AS ranges_done,
              COALESCE(pg_catalog.sum(rows), 0)::pg_catalog.int8 AS rows,
              COALESCE(pg_catalog.sum(differing), 0)::pg_catalog.int8 AS differing,
              COALESCE(pg_catalog.sum(leftover), 0)::pg_catalog.int8 AS leftover,
              COALESCE(pg_catalog.sum(CASE WHEN state = 'done' THEN est_rows
                  ELSE est_rows * stripe / stripes END), 0)::pg_catalog.int8 AS est_done
         FROM pghaul.ranges x WHERE x.job = j.id AND x.pass = j.pass) r ON true
  LEFT JOIN LATERAL (
       SELECT pg_catalog.count(*) AS runs, pg_catalog.sum(rows_per_s) AS rows_per_s,
              pg_catalog.max(reason) AS run_reason
         FROM pghaul.run x WHERE x.job = j.id AND x.ended IS NULL
          AND x.heartbeat > pg_catalog.clock_timestamp() - '30 s'::pg_catalog.interval) u
       ON true
 WHERE j.cleaned IS NULL;
