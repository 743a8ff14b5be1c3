/*
 * schema_tables.c - the state that pghaul keeps, as SQL that runs in psql as it is.
 *
 * Every table is logged and has a primary key, so that a publication for all tables does not stop
 * writes to it.  low, high, watermark and key are text[] as the server prints keys under pinned
 * settings (on the block path {block number}); NULL is open.
 */
#include "store/schema_parts.h"

#define TEXT_OF_(number)    #number
#define TEXT_OF(number)     TEXT_OF_(number)
#define SCHEMA_VERSION_TEXT TEXT_OF(SCHEMA_VERSION)

static const char SQL_META[] =
    "CREATE SCHEMA pghaul;\n"
    "REVOKE ALL ON SCHEMA pghaul FROM PUBLIC;\n"
    "COMMENT ON SCHEMA pghaul IS 'state of pghaul; see pghaul help';\n"

    "CREATE TABLE pghaul.meta (\n"
    "    only_row pg_catalog.bool PRIMARY KEY DEFAULT true CHECK (only_row),\n"
    "    version pg_catalog.int4 NOT NULL,\n"
    "    installed pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now());\n"
    "INSERT INTO pghaul.meta (version) VALUES (" SCHEMA_VERSION_TEXT ");\n";

/* The source and its server, where it is another one; what the target was when the job began. */
#define SQL_JOB_OF_COPY                                                                            \
    "    into_name pg_catalog.text,\n"                                                             \
    "    into_oid pg_catalog.oid,\n"                                                               \
    "    into_used pg_catalog.int2[],\n"                                                           \
    "    into_key pg_catalog.int2[],\n"                                                            \
    "    into_signature pg_catalog.text[],\n"                                                      \
    "    source_system_id pg_catalog.text,\n"                                                      \
    "    source_timeline pg_catalog.int8,\n"                                                       \
    "    source_started pg_catalog.timestamptz"

/* Of a purge: what now() means in its predicate until the pass ends; what vacuum_truncate was of
 * the table for which the job has turned it off; and the name by which its archive knows the job.
 */
#define SQL_JOB_OF_PURGE                                                                           \
    "    pinned pg_catalog.timestamptz,\n"                                                         \
    "    tail_oid pg_catalog.oid,\n"                                                               \
    "    tail_options pg_catalog.text[],\n"                                                        \
    "    uuid pg_catalog.uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid()"

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
    "    last_pass_kind pg_catalog.text,\n"
    "    frontier pg_catalog.text[],\n"
    "    upper pg_catalog.text[],\n"
    "    carved pg_catalog.bool NOT NULL DEFAULT false,\n"
    "    next_no pg_catalog.int8 NOT NULL DEFAULT 1,\n"
    "    est_rows pg_catalog.int8 NOT NULL DEFAULT 0,\n"
    "    trigger_name pg_catalog.text,\n"
    "    table_oid pg_catalog.oid,\n"
    "    used_columns pg_catalog.int2[],\n"
    "    key_columns pg_catalog.int2[],\n"
    "    set_columns pg_catalog.int2[],\n"
    "    signature pg_catalog.text[],\n"
    "    filenode pg_catalog.int8,\n"
    "    system_id pg_catalog.text NOT NULL,\n"
    "    timeline pg_catalog.int8 NOT NULL,\n"
    "    standbys pg_catalog.text[] NOT NULL DEFAULT '{}',\n"
    "    repair pg_catalog.bool NOT NULL DEFAULT false,\n"
    "    vacuumed_rows pg_catalog.int8 NOT NULL DEFAULT 0,\n" SQL_JOB_OF_COPY ",\n" SQL_JOB_OF_PURGE
    ",\n"
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
    "    rows pg_catalog.int8 NOT NULL DEFAULT 0,\n"
    "    last_batch pg_catalog.timestamptz,\n"
    "    backlog_rows pg_catalog.int8,\n"
    "    backlog_s pg_catalog.float8,\n"
    "    stop_requested pg_catalog.timestamptz,\n"
    "    stop_by pg_catalog.text,\n"
    "    workers_option pg_catalog.int4,\n"
    "    archived_bytes pg_catalog.int8,\n"
    "    freed_bytes pg_catalog.int8,\n"
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
    "    skipped pg_catalog.int8 NOT NULL DEFAULT 0,\n"
    "    updated pg_catalog.int8 NOT NULL DEFAULT 0,\n"
    "    visits pg_catalog.int4 NOT NULL DEFAULT 0,\n"
    "    least pg_catalog.text,\n"
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
    "    hot_ratio pg_catalog.float8,\n"
    "    backlog_rows pg_catalog.int8,\n"
    "    backlog_s pg_catalog.float8);\n"
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

/* What was changed while the job ran, over what its file says; one row for each key. */
#define SQL_SETTING                                                                                \
    "CREATE TABLE pghaul.setting (\n"                                                              \
    "    job pg_catalog.int8 NOT NULL REFERENCES pghaul.job ON DELETE CASCADE,\n"                  \
    "    key pg_catalog.text NOT NULL,\n"                                                          \
    "    value pg_catalog.text NOT NULL,\n"                                                        \
    "    who pg_catalog.text NOT NULL DEFAULT SESSION_USER,\n"                                     \
    "    at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),\n"               \
    "    PRIMARY KEY (job, key));\n"

/* Rows that the server refused.  Those that are set aside are left out of every pass. */
#define SQL_QUARANTINE                                                                             \
    "CREATE TABLE pghaul.quarantine (\n"                                                           \
    "    job pg_catalog.int8 NOT NULL REFERENCES pghaul.job ON DELETE CASCADE,\n"                  \
    "    key pg_catalog.text[] NOT NULL,\n"                                                        \
    "    set_aside pg_catalog.bool NOT NULL,\n"                                                    \
    "    pass pg_catalog.int4 NOT NULL,\n"                                                         \
    "    sqlstate pg_catalog.text NOT NULL,\n"                                                     \
    "    message pg_catalog.text NOT NULL,\n"                                                      \
    "    attempts pg_catalog.int4 NOT NULL DEFAULT 1,\n"                                           \
    "    at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),\n"               \
    "    PRIMARY KEY (job, key));\n"

/* Keys of some rows that a verify pass found to differ. */
#define SQL_DIFFERENCE                                                                             \
    "CREATE TABLE pghaul.difference (\n"                                                           \
    "    job pg_catalog.int8 NOT NULL REFERENCES pghaul.job ON DELETE CASCADE,\n"                  \
    "    pass pg_catalog.int4 NOT NULL,\n"                                                         \
    "    key pg_catalog.text[] NOT NULL,\n"                                                        \
    "    at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),\n"               \
    "    PRIMARY KEY (job, pass, key));\n"

/* What set_state() and set() compare with; filled from the tables of the program. */
#define SQL_RULES                                                                                  \
    "CREATE TABLE pghaul.transition (\n"                                                           \
    "    from_state pg_catalog.text NOT NULL,\n"                                                   \
    "    to_state pg_catalog.text NOT NULL,\n"                                                     \
    "    PRIMARY KEY (from_state, to_state));\n"                                                   \
    "CREATE TABLE pghaul.setting_key (\n"                                                          \
    "    key pg_catalog.text PRIMARY KEY,\n"                                                       \
    "    permitted pg_catalog.text NOT NULL,\n"                                                    \
    "    pattern pg_catalog.text NOT NULL);\n"

/* Of a copy: shares of the keys by their hash modulo `slices`; whoever has the lease drains the
 * change log for them, nobody else. */
#define SQL_SLICE                                                                                  \
    "CREATE TABLE pghaul.slice (\n"                                                                \
    "    job pg_catalog.int8 NOT NULL REFERENCES pghaul.job ON DELETE CASCADE,\n"                  \
    "    no pg_catalog.int4 NOT NULL,\n"                                                           \
    "    slices pg_catalog.int4 NOT NULL,\n"                                                       \
    "    epoch pg_catalog.int8 NOT NULL DEFAULT 1,\n"                                              \
    "    lease pg_catalog.uuid,\n"                                                                 \
    "    run pg_catalog.int8,\n"                                                                   \
    "    backend_pid pg_catalog.int4,\n"                                                           \
    "    backend_start pg_catalog.timestamptz,\n"                                                  \
    "    entries pg_catalog.int8 NOT NULL DEFAULT 0,\n"                                            \
    "    written pg_catalog.int8 NOT NULL DEFAULT 0,\n"                                            \
    "    deleted pg_catalog.int8 NOT NULL DEFAULT 0,\n"                                            \
    "    batches pg_catalog.int8 NOT NULL DEFAULT 0,\n"                                            \
    "    drained pg_catalog.timestamptz,\n"                                                        \
    "    PRIMARY KEY (job, no))\n"                                                                 \
    "    WITH (fillfactor = 50);\n"

/* Of a copy: secondary indexes that are built after the bulk, in order; the first one that is not
 * built belongs to the session that builds it. */
#define SQL_INDEX_BUILD                                                                            \
    "CREATE TABLE pghaul.index_build (\n"                                                          \
    "    job pg_catalog.int8 NOT NULL REFERENCES pghaul.job ON DELETE CASCADE,\n"                  \
    "    no pg_catalog.int4 NOT NULL,\n"                                                           \
    "    table_name pg_catalog.text NOT NULL,\n"                                                   \
    "    name pg_catalog.text NOT NULL,\n"                                                         \
    "    is_unique pg_catalog.bool NOT NULL,\n"                                                    \
    "    definition pg_catalog.text NOT NULL,\n"                                                   \
    "    tablespace pg_catalog.text,\n"                                                            \
    "    comment pg_catalog.text,\n"                                                               \
    "    dropped pg_catalog.bool NOT NULL DEFAULT false,\n"                                        \
    "    run pg_catalog.int8,\n"                                                                   \
    "    backend_pid pg_catalog.int4,\n"                                                           \
    "    backend_start pg_catalog.timestamptz,\n"                                                  \
    "    built pg_catalog.timestamptz,\n"                                                          \
    "    PRIMARY KEY (job, no));\n"

/* Of a cutover: what is done in the swap, in order, the statements that take it back, and what is
 * left to do after either, in the reverse order; `done` when nothing is. */
#define SQL_CARRY                                                                                  \
    "CREATE TABLE pghaul.carry (\n"                                                                \
    "    job pg_catalog.int8 NOT NULL REFERENCES pghaul.job ON DELETE CASCADE,\n"                  \
    "    no pg_catalog.int4 NOT NULL,\n"                                                           \
    "    what pg_catalog.text NOT NULL,\n"                                                         \
    "    undo pg_catalog.text,\n"                                                                  \
    "    later pg_catalog.text,\n"                                                                 \
    "    undo_later pg_catalog.text,\n"                                                            \
    "    done pg_catalog.timestamptz,\n"                                                           \
    "    PRIMARY KEY (job, no));\n"

/* Of a purge with an archive: its files, each written by one worker of one run, and their frames.
 * A frame is of rows that were deleted, or void: then they were not, and are in a later one. */
#define SQL_ARCHIVE                                                                                \
    "CREATE TABLE pghaul.archive_file (\n"                                                         \
    "    job pg_catalog.int8 NOT NULL REFERENCES pghaul.job ON DELETE CASCADE,\n"                  \
    "    no pg_catalog.int4 NOT NULL,\n"                                                           \
    "    name pg_catalog.text NOT NULL,\n"                                                         \
    "    table_name pg_catalog.text NOT NULL,\n"                                                   \
    "    run pg_catalog.int8 NOT NULL,\n"                                                          \
    "    opened pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),\n"           \
    "    closed pg_catalog.timestamptz,\n"                                                         \
    "    bytes pg_catalog.int8,\n"                                                                 \
    "    PRIMARY KEY (job, no));\n"                                                                \
    "CREATE TABLE pghaul.archive_frame (\n"                                                        \
    "    job pg_catalog.int8 NOT NULL,\n"                                                          \
    "    file pg_catalog.int4 NOT NULL,\n"                                                         \
    "    no pg_catalog.int4 NOT NULL,\n"                                                           \
    "    fate pg_catalog.text NOT NULL CHECK (fate IN ('committed', 'void')),\n"                   \
    "    run pg_catalog.int8 NOT NULL,\n"                                                          \
    "    pass pg_catalog.int4 NOT NULL,\n"                                                         \
    "    range pg_catalog.int8 NOT NULL,\n"                                                        \
    "    rows pg_catalog.int8 NOT NULL,\n"                                                         \
    "    at pg_catalog.int8 NOT NULL,\n"                                                           \
    "    bytes pg_catalog.int8 NOT NULL,\n"                                                        \
    "    raw_bytes pg_catalog.int8 NOT NULL,\n"                                                    \
    "    hash pg_catalog.text NOT NULL,\n"                                                         \
    "    PRIMARY KEY (job, file, no),\n"                                                           \
    "    FOREIGN KEY (job, file) REFERENCES pghaul.archive_file ON DELETE CASCADE);\n"

static const char SQL_ADDED_4[] = SQL_ARCHIVE;
static const char SQL_ADDED_3[] = SQL_SLICE SQL_INDEX_BUILD SQL_CARRY;
static const char SQL_ADDED_2[] = SQL_SETTING SQL_RULES SQL_QUARANTINE SQL_DIFFERENCE;

const char *const schema_tables[] = {SQL_META, SQL_JOB, SQL_RUN, SQL_RANGES, SQL_SAMPLE, SQL_EVENT,
    SQL_ADDED_2, SQL_ADDED_3, SQL_ADDED_4, NULL};

/* ---- upgrades ---- */

static const char SQL_TO_2[] =
    "ALTER TABLE pghaul.job ADD COLUMN last_pass_kind pg_catalog.text,\n"
    "    DROP COLUMN trigger_signature, ADD COLUMN table_oid pg_catalog.oid,\n"
    "    ADD COLUMN used_columns pg_catalog.int2[], ADD COLUMN key_columns pg_catalog.int2[],\n"
    "    ADD COLUMN set_columns pg_catalog.int2[],\n"
    "    ADD COLUMN signature pg_catalog.text[],\n"
    "    ADD COLUMN repair pg_catalog.bool NOT NULL DEFAULT false;\n"
    "ALTER TABLE pghaul.run ADD COLUMN rows pg_catalog.int8 NOT NULL DEFAULT 0,\n"
    "    ADD COLUMN last_batch pg_catalog.timestamptz,\n"
    "    ADD COLUMN stop_requested pg_catalog.timestamptz,\n"
    "    ADD COLUMN stop_by pg_catalog.text,\n"
    "    ADD COLUMN workers_option pg_catalog.int4;\n" SQL_SETTING SQL_RULES SQL_QUARANTINE
        SQL_DIFFERENCE;

static const char SQL_TO_3[] =
    "ALTER TABLE pghaul.job ADD COLUMN into_name pg_catalog.text,\n"
    "    ADD COLUMN into_oid pg_catalog.oid, ADD COLUMN into_used pg_catalog.int2[],\n"
    "    ADD COLUMN into_key pg_catalog.int2[], ADD COLUMN into_signature pg_catalog.text[],\n"
    "    ADD COLUMN source_system_id pg_catalog.text,\n"
    "    ADD COLUMN source_timeline pg_catalog.int8,\n"
    "    ADD COLUMN source_started pg_catalog.timestamptz;\n"
    "ALTER TABLE pghaul.run ADD COLUMN backlog_rows pg_catalog.int8,\n"
    "    ADD COLUMN backlog_s pg_catalog.float8;\n"
    "ALTER TABLE pghaul.sample ADD COLUMN backlog_rows pg_catalog.int8,\n"
    "    ADD COLUMN backlog_s pg_catalog.float8;\n"
    "ALTER TABLE pghaul.ranges ADD COLUMN skipped pg_catalog.int8 NOT NULL DEFAULT 0,\n"
    "    ADD COLUMN updated pg_catalog.int8 NOT NULL DEFAULT 0;\n" SQL_SLICE SQL_INDEX_BUILD
        SQL_CARRY;

static const char SQL_TO_4[] =
    "ALTER TABLE pghaul.job ADD COLUMN pinned pg_catalog.timestamptz,\n"
    "    ADD COLUMN tail_oid pg_catalog.oid, ADD COLUMN tail_options pg_catalog.text[],\n"
    "    ADD COLUMN uuid pg_catalog.uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid();\n"
    "ALTER TABLE pghaul.ranges ADD COLUMN least pg_catalog.text;\n"
    "ALTER TABLE pghaul.run ADD COLUMN archived_bytes pg_catalog.int8,\n"
    "    ADD COLUMN freed_bytes pg_catalog.int8;\n" SQL_ARCHIVE;

const char *const schema_upgrades[SCHEMA_VERSION - 1] = {SQL_TO_2, SQL_TO_3, SQL_TO_4};
