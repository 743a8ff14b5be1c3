/*
 * session.c - the settings of a session, by what the session is for.
 *
 * Roles and databases may carry settings of their own (ALTER ROLE .. SET); every one that changes
 * the meaning or the manners of our statements is pinned right after connecting.  Batches do not
 * rely on this: what they need stands in the SET clause of their function or is SET LOCAL.
 */
#include <stdio.h>
#include <string.h>

#include "pg/conn_libpq.h"
#include "pg/query.h"

#define ALL_ROLES      0xfU
#define ROLE_BIT(role) (1U << (unsigned)(role))

typedef struct SessionSetting {
    unsigned roles; /* bits of ConnRole */
    const char *name;
    const char *value;
} SessionSetting;

static const SessionSetting SETTINGS[] = {
    /* names resolve to the system's own objects unless they are qualified */
    {ALL_ROLES, "search_path", "pg_catalog"},
    /* values travel as text: one spelling, whatever the role prefers */
    {ALL_ROLES, "DateStyle", "ISO, YMD"},
    {ALL_ROLES, "IntervalStyle", "postgres"},
    {ALL_ROLES, "TimeZone", "UTC"},
    {ALL_ROLES, "extra_float_digits", "3"},
    {ALL_ROLES, "bytea_output", "hex"},
    {ALL_ROLES, "standard_conforming_strings", "on"},
    /* each statement sees what committed before it began */
    {ALL_ROLES, "default_transaction_isolation", "read committed"},
    {ALL_ROLES, "default_transaction_read_only", "off"},
    {ALL_ROLES, "default_transaction_deferrable", "off"},
    /* rows hidden by a policy are an error, not fewer rows */
    {ALL_ROLES, "row_security", "off"},
    {ALL_ROLES, "jit", "off"},
    {ALL_ROLES, "max_parallel_workers_per_gather", "0"},
    {ALL_ROLES, "plan_cache_mode", "force_custom_plan"},
    /* a client that died must not leave a transaction open, or running */
    {ALL_ROLES, "client_connection_check_interval", "500"},
    {ALL_ROLES, "idle_in_transaction_session_timeout", "5000"},
    /* claims and checkpoints wait for each other for moments only */
    {ROLE_BIT(CONN_WORKER), "statement_timeout", "5000"},
    {ROLE_BIT(CONN_WORKER), "lock_timeout", "2000"},
    /* a synchronous standby that is gone must not hold them either (rows and checkpoint are lost
     * together, so nothing needs to wait for it) */
    {ROLE_BIT(CONN_WORKER), "synchronous_commit", "local"},
    {ROLE_BIT(CONN_MONITOR), "statement_timeout", "2000"},
    {ROLE_BIT(CONN_MONITOR), "lock_timeout", "500"},
    /* heartbeats and samples are worth no flush */
    {ROLE_BIT(CONN_MONITOR), "synchronous_commit", "off"},
    {ROLE_BIT(CONN_CATALOG), "statement_timeout", "30000"},
    {ROLE_BIT(CONN_CATALOG), "lock_timeout", "2000"},
    {ROLE_BIT(CONN_CATALOG), "synchronous_commit", "on"},
    {ROLE_BIT(CONN_VACUUM), "statement_timeout", "0"},
    /* Its lock stops neither readers nor writers while it waits, and an autovacuum, which is slower
     * and would hold it off for minutes, gives way after deadlock_timeout (1 s) */
    {ROLE_BIT(CONN_VACUUM), "lock_timeout", "1500"},
};
#define SETTING_COUNT ((int)(sizeof(SETTINGS) / sizeof(SETTINGS[0])))

/* A server that is too old for one of them shall be refused by the findings, in their words. */
static const char SQL_SET_CONFIG[] =
    "SELECT pg_catalog.count(pg_catalog.set_config(n, v, false))\n"
    "  FROM ROWS FROM (pg_catalog.unnest($1::text[]),\n"
    "                  pg_catalog.unnest($2::text[])) AS s(n, v)\n"
    " WHERE n <> 'client_connection_check_interval'\n"
    "    OR pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 140000";

static const char SQL_LABEL[] =
    "SELECT pg_catalog.set_config('application_name', 'pghaul/' || $1::pg_catalog.text, false)";

bool
conn_set_label(PgConn *conn, const char *label, Err *err)
{
    Statement set = {
        .sql = SQL_LABEL, .count = 1, .values = &label, .timeout_us = QUERY_TIMEOUT_US};
    return query_statement(conn, &set, NULL, err) || err_wrap(err, "name the session");
}

static const char SQL_BACKEND[] = "SELECT pg_catalog.pg_backend_pid(), a.backend_start::text\n"
                                  "  FROM pg_catalog.pg_stat_activity a\n"
                                  " WHERE a.pid = pg_catalog.pg_backend_pid()";

bool
session_pin(PgConn *conn, ConnRole role, int64_t timeout_us, Err *err)
{
    const char *names[SETTING_COUNT];
    const char *values[SETTING_COUNT];
    int count = 0;
    for (int i = 0; i < SETTING_COUNT; i++) {
        if ((SETTINGS[i].roles & ROLE_BIT(role)) != 0) {
            names[count] = SETTINGS[i].name;
            values[count] = SETTINGS[i].value;
            count++;
        }
    }

    Arena arena = ARENA_INIT;
    const char *params[] = {
        pg_array_format(names, count, &arena),
        pg_array_format(values, count, &arena),
    };
    PGRESULT_AUTO *result = NULL;
    Statement set = {.sql = SQL_SET_CONFIG, .count = 2, .values = params, .timeout_us = timeout_us};
    bool ok = query_statement(conn, &set, NULL, err) &&
              query_one(conn, SQL_BACKEND, 0, NULL, &result, err);
    arena_reset(&arena);
    if (!ok) {
        return err_wrap(err, "session settings");
    }
    conn->backend_pid = (int)result_int(result, 0, 0);
    (void)snprintf(
        conn->backend_start, sizeof(conn->backend_start), "%s", result_text(result, 0, 1));
    return true;
}
