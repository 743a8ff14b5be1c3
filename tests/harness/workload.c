/*
 * workload.c - the clients of the application.
 *
 * The operations of one transaction go up in the order of their keys, so that clients rarely
 * deadlock among themselves.  A change to a smaller key breaks that order; it is alone in its
 * transaction and waits for locks for a bounded time only.  Deadlocks that remain are told apart
 * by the backends that the server names.
 */
#include "harness/workload.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "harness/harness.h"
#include "harness/session.h"

#define MAX_STEPS        3
#define MAX_BACKENDS     4096
#define RECONNECT_NAP_US 20000
#define BOUNDED_WAIT     "SET LOCAL lock_timeout = '50ms'"
#define BEGIN_COMMITTED  "BEGIN ISOLATION LEVEL READ COMMITTED"
#define BEGIN_REPEATABLE "BEGIN ISOLATION LEVEL REPEATABLE READ"

/* What one transaction may do to a row; shares are in pick_op(). */
typedef enum WorkloadOp {
    OP_INSERT,
    OP_UPDATE,
    OP_DELETE,
    OP_KEY_UP,   /* to a greater key */
    OP_KEY_DOWN, /* to a smaller key */
    OP_LOCK,     /* SELECT FOR UPDATE and nothing else */
} WorkloadOp;

typedef struct Step {
    WorkloadOp op;
    int64_t key;
} Step;

typedef struct Client {
    /* Set at creation. */
    Workload *workload;
    pthread_t thread;

    /* Owner thread only, until it has ended. */
    PGconn *conn;
    Prng prng;
    WorkloadStats stats;
} Client;

struct Workload {
    /* Set at creation. */
    const WorkloadSpec *spec;
    char *sql_insert;
    char *sql_update;
    char *sql_delete;
    char *sql_key;
    char *sql_find;
    char *sql_lock;
    Client *clients;

    atomic_bool must_stop;
    atomic_llong committed;

    pthread_mutex_t lock;
    int backends[MAX_BACKENDS]; /* under lock: every backend that was ours */
    int backend_count;          /* under lock */
};

/* "WITH p AS (the new values)": computed once, written to the table and to the log alike, so that
 * the log does not depend on what triggers make of the row. */
static void
put_values(StrBuf *sql, const WorkloadSpec *spec)
{
    strbuf_puts(sql, "WITH p AS (SELECT ");
    for (int i = 0; i < spec->column_count; i++) {
        strbuf_printf(sql, "%s(%s) AS p%d", i == 0 ? "" : ", ", spec->columns[i].value_sql, i);
    }
    strbuf_puts(sql, " FROM (SELECT $2::bigint AS r) s), ");
}

/* The entry of the log; evaluated for the row that the statement before it has locked. */
static void
put_log_entry(StrBuf *sql, const WorkloadSpec *spec, const char *op_and_keys)
{
    strbuf_printf(
        sql, " INSERT INTO oracle.oplog SELECT nextval('oracle.seq'), %s, ARRAY[", op_and_keys);
    for (int i = 0; i < spec->column_count; i++) {
        strbuf_printf(sql, "%sp.p%d::text", i == 0 ? "" : ", ", i);
    }
    strbuf_puts(sql, "] FROM p, w");
}

static char *
insert_sql(const WorkloadSpec *spec)
{
    StrBuf sql = STRBUF_INIT;
    put_values(&sql, spec);
    strbuf_printf(&sql, "w AS (INSERT INTO %s (%s", spec->table, spec->key);
    for (int i = 0; i < spec->column_count; i++) {
        strbuf_printf(&sql, ", %s", spec->columns[i].name);
    }
    strbuf_printf(&sql, ") SELECT $1::bigint, p.* FROM p ON CONFLICT (%s) DO NOTHING RETURNING 1)",
        spec->key);
    put_log_entry(&sql, spec, "'I', NULL, $1::bigint");
    return sql.text;
}

static char *
update_sql(const WorkloadSpec *spec, bool changes_key)
{
    StrBuf sql = STRBUF_INIT;
    put_values(&sql, spec);
    strbuf_printf(&sql, "w AS (UPDATE %s AS t SET ", spec->table);
    if (changes_key) {
        strbuf_printf(&sql, "%s = $3::bigint, ", spec->key);
    }
    for (int i = 0; i < spec->column_count; i++) {
        strbuf_printf(&sql, "%s%s = p.p%d", i == 0 ? "" : ", ", spec->columns[i].name, i);
    }
    strbuf_printf(&sql, " FROM p WHERE t.%s = $1::bigint", spec->key);
    if (changes_key) { /* spares most of the failures on a key that is taken */
        strbuf_printf(&sql, " AND NOT EXISTS (SELECT 1 FROM %s x WHERE x.%s = $3::bigint)",
            spec->table, spec->key);
    }
    strbuf_puts(&sql, " RETURNING 1)");
    put_log_entry(
        &sql, spec, changes_key ? "'K', $1::bigint, $3::bigint" : "'U', $1::bigint, $1::bigint");
    return sql.text;
}

static void
build_statements(Workload *workload)
{
    const WorkloadSpec *spec = workload->spec;
    workload->sql_insert = insert_sql(spec);
    workload->sql_update = update_sql(spec, false);
    workload->sql_key = update_sql(spec, true);

    StrBuf delete_sql = STRBUF_INIT;
    strbuf_printf(&delete_sql,
        "WITH w AS (DELETE FROM %s WHERE %s = $1::bigint RETURNING 1)"
        " INSERT INTO oracle.oplog SELECT nextval('oracle.seq'), 'D', $1::bigint FROM w",
        spec->table, spec->key);
    workload->sql_delete = delete_sql.text;

    StrBuf find_sql = STRBUF_INIT;
    strbuf_printf(&find_sql,
        "SELECT %s FROM %s WHERE %s BETWEEN $1::bigint AND %" PRId64 " ORDER BY %s LIMIT 1",
        spec->key, spec->table, spec->key, spec->key_high, spec->key);
    workload->sql_find = find_sql.text;

    StrBuf lock_sql = STRBUF_INIT;
    strbuf_printf(
        &lock_sql, "SELECT 1 FROM %s WHERE %s = $1::bigint FOR UPDATE", spec->table, spec->key);
    workload->sql_lock = lock_sql.text;
}

static void
remember_backend(Workload *workload, int backend_pid)
{
    pthread_mutex_lock(&workload->lock);
    if (workload->backend_count == MAX_BACKENDS) {
        harness_fail("the workload has reconnected too often");
    }
    workload->backends[workload->backend_count++] = backend_pid;
    pthread_mutex_unlock(&workload->lock);
}

static bool
is_own_backend(Workload *workload, int backend_pid)
{
    pthread_mutex_lock(&workload->lock);
    bool is_own = false;
    for (int i = 0; i < workload->backend_count && !is_own; i++) {
        is_own = workload->backends[i] == backend_pid;
    }
    pthread_mutex_unlock(&workload->lock);
    return is_own;
}

/* The detail of a deadlock names the backends of the cycle: "Process 12 waits for ...; blocked by
 * process 34." */
static bool
involves_others(Workload *workload, const char *detail)
{
    for (const char *at = detail; at != NULL && (at = strcasestr(at, "process ")) != NULL; at++) {
        long backend_pid = strtol(at + strlen("process "), NULL, 10);
        if (backend_pid > 0 && !is_own_backend(workload, (int)backend_pid)) {
            return true;
        }
    }
    return false;
}

static bool
is_expected(const char *sqlstate)
{
    return strcmp(sqlstate, "40001") == 0 || strcmp(sqlstate, "23505") == 0 ||
           strcmp(sqlstate, "55P03") == 0;
}

static void
count_error(WorkloadStats *stats, const char *sqlstate, int64_t count)
{
    int kind = 0;
    while (kind < stats->error_kinds && strcmp(stats->errors[kind].sqlstate, sqlstate) != 0) {
        kind++;
    }
    if (kind == WORKLOAD_ERROR_KINDS) {
        harness_fail("the workload meets too many kinds of errors, the last is %s", sqlstate);
    }
    if (kind == stats->error_kinds) {
        (void)snprintf(
            stats->errors[kind].sqlstate, sizeof(stats->errors[kind].sqlstate), "%s", sqlstate);
        stats->error_kinds++;
    }
    stats->errors[kind].count += count;
}

static void
record_error(Client *client, const PGresult *result)
{
    if (PQstatus(client->conn) != CONNECTION_OK) {
        client->stats.lost_connections++;
        return;
    }
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    sqlstate = sqlstate == NULL ? "" : sqlstate;
    count_error(&client->stats, sqlstate, 1);
    bool is_strange = !is_expected(sqlstate);
    if (strcmp(sqlstate, "40P01") == 0) {
        const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
        is_strange = involves_others(client->workload, detail);
        client->stats.deadlocks_with_others += is_strange ? 1 : 0;
    }
    if (is_strange && client->stats.first_unexpected[0] == '\0') {
        (void)snprintf(client->stats.first_unexpected, sizeof(client->stats.first_unexpected), "%s",
            PQresultErrorMessage(result));
    }
}

/* Run one statement; rows affected or returned, -1 on an error, which has been recorded. */
static int64_t
run(Client *client, const char *sql, const int64_t *values, int count)
{
    if (PQstatus(client->conn) != CONNECTION_OK) {
        return -1; /* counted when it was lost */
    }
    char texts[3][24];
    const char *params[3] = {NULL, NULL, NULL};
    assert(count <= 3);
    for (int i = 0; i < count; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "%" PRId64, values[i]);
        params[i] = texts[i];
    }
    int64_t start_us = clock_mono_us();
    PGresult *result = PQexecParams(client->conn, sql, count, NULL, params, NULL, NULL, 0);
    int64_t taken_us = clock_mono_us() - start_us;
    if (taken_us > client->stats.longest_statement_us) {
        client->stats.longest_statement_us = taken_us;
    }
    int64_t rows = -1;
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        rows = strtoll(PQcmdTuples(result), NULL, 10);
    } else {
        record_error(client, result);
    }
    PQclear(result);
    return rows;
}

/* The first key at or after a random one; false when there is none or the connection is lost. */
static bool
find_key(Client *client, int64_t *key)
{
    const WorkloadSpec *spec = client->workload->spec;
    if (PQstatus(client->conn) != CONNECTION_OK) {
        return false;
    }
    char text[24];
    const char *params[1] = {text};
    (void)snprintf(
        text, sizeof(text), "%" PRId64, prng_between(&client->prng, spec->key_low, spec->key_high));
    PGresult *result =
        PQexecParams(client->conn, client->workload->sql_find, 1, NULL, params, NULL, NULL, 0);
    bool found = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1;
    if (found) {
        *key = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    } else if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        record_error(client, result);
    }
    PQclear(result);
    return found;
}

static WorkloadOp
pick_op(Client *client)
{
    int64_t dice = prng_between(&client->prng, 1, 100);
    if (client->workload->spec->keys_fixed) {
        return dice <= 90 ? OP_UPDATE : OP_LOCK;
    }
    if (dice <= 28) {
        return OP_INSERT;
    }
    if (dice <= 65) {
        return OP_UPDATE;
    }
    if (dice <= 80) {
        return OP_DELETE;
    }
    if (dice <= 88) {
        return OP_KEY_UP;
    }
    return dice <= 95 ? OP_KEY_DOWN : OP_LOCK;
}

/* Run one step; false when it failed and the transaction with it. */
static bool
run_step(Client *client, const Step *step)
{
    const Workload *workload = client->workload;
    const WorkloadSpec *spec = workload->spec;
    WorkloadStats *stats = &client->stats;
    int64_t values[3] = {step->key, (int64_t)(prng_next(&client->prng) >> 33), 0};
    int64_t rows = 0;
    int64_t *counter = NULL;
    switch (step->op) {
    case OP_INSERT:
        rows = run(client, workload->sql_insert, values, 2);
        counter = &stats->inserts;
        break;
    case OP_UPDATE:
        rows = run(client, workload->sql_update, values, 2);
        counter = &stats->updates;
        break;
    case OP_DELETE:
        rows = run(client, workload->sql_delete, values, 1);
        counter = &stats->deletes;
        break;
    case OP_KEY_UP:
    case OP_KEY_DOWN:
        values[2] = step->op == OP_KEY_UP ? prng_between(&client->prng, step->key, spec->key_high)
                                          : prng_between(&client->prng, spec->key_low, step->key);
        rows = run(client, workload->sql_key, values, 3);
        counter = &stats->key_changes;
        break;
    case OP_LOCK:
        rows = run(client, workload->sql_lock, values, 1);
        break;
    }
    if (counter != NULL && rows > 0) {
        *counter += rows;
    }
    if (rows > 0 && spec->hold_us > 0 && harness_chance(&client->prng, 20)) {
        harness_nap_us(prng_between(&client->prng, 0, spec->hold_us));
    }
    return rows >= 0;
}

static int
compare_steps(const void *left, const void *right)
{
    int64_t a = ((const Step *)left)->key;
    int64_t b = ((const Step *)right)->key;
    return (a > b) - (a < b);
}

/* The steps of one transaction, in the order of their keys: see the top of the file. */
static int
choose_steps(Client *client, Step steps[static MAX_STEPS])
{
    const WorkloadSpec *spec = client->workload->spec;
    int count = (int)prng_between(&client->prng, 1, MAX_STEPS);
    for (int i = 0; i < count; i++) {
        steps[i].op = pick_op(client);
        if (steps[i].op == OP_KEY_DOWN) {
            steps[0] = steps[i];
            count = 1;
            i = 0;
        }
        if (steps[i].op == OP_INSERT || !find_key(client, &steps[i].key)) {
            steps[i].key = prng_between(&client->prng, spec->key_low, spec->key_high);
        }
    }
    qsort(steps, (size_t)count, sizeof(steps[0]), compare_steps);
    for (int i = 0; i < count - 1; i++) {
        if (steps[i].op == OP_KEY_UP) { /* only the last may lock keys further up */
            steps[i].op = OP_UPDATE;
        }
    }
    return count;
}

static void
run_transaction(Client *client)
{
    Step steps[MAX_STEPS];
    int count = choose_steps(client, steps);
    bool ok = run(client, harness_chance(&client->prng, 10) ? BEGIN_REPEATABLE : BEGIN_COMMITTED,
                  NULL, 0) >= 0;
    if (ok && steps[0].op == OP_KEY_DOWN) {
        ok = run(client, BOUNDED_WAIT, NULL, 0) >= 0;
    }
    for (int i = 0; ok && i < count; i++) {
        ok = run_step(client, &steps[i]);
    }
    if (!ok || harness_chance(&client->prng, 8)) {
        (void)run(client, "ROLLBACK", NULL, 0);
        client->stats.rolled_back += ok ? 1 : 0;
    } else if (run(client, "COMMIT", NULL, 0) >= 0) {
        client->stats.committed++;
        atomic_fetch_add(&client->workload->committed, 1);
    }
}

static void
drop_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

/* Connect, again and again while the server is away; false when asked to stop meanwhile. */
static bool
ensure_connected(Client *client)
{
    if (client->conn != NULL && PQstatus(client->conn) == CONNECTION_OK) {
        return true;
    }
    while (!atomic_load(&client->workload->must_stop)) {
        PQfinish(client->conn);
        client->conn = PQconnectdb(client->workload->spec->uri);
        if (PQstatus(client->conn) == CONNECTION_OK) {
            (void)PQsetNoticeReceiver(client->conn, drop_notice, NULL);
            remember_backend(client->workload, PQbackendPID(client->conn));
            return true;
        }
        harness_nap_us(RECONNECT_NAP_US);
    }
    return false;
}

static void *
run_client(void *arg)
{
    Client *client = arg;
    const WorkloadSpec *spec = client->workload->spec;
    for (int64_t done = 0; spec->transactions == 0 || done < spec->transactions; done++) {
        if (atomic_load(&client->workload->must_stop) || !ensure_connected(client)) {
            break;
        }
        run_transaction(client);
        if (spec->think_us > 0) {
            harness_nap_us(spec->think_us);
        }
    }
    PQfinish(client->conn);
    return NULL;
}

Workload *
workload_start(const WorkloadSpec *spec)
{
    assert(spec->clients >= 1 && spec->key_low <= spec->key_high);
    Workload *workload = mem_new(sizeof(*workload));
    workload->spec = spec;
    build_statements(workload);
    if (pthread_mutex_init(&workload->lock, NULL) != 0) {
        harness_fail("cannot make a mutex");
    }
    uint64_t seed = spec->seed != 0 ? spec->seed : harness_seed();
    workload->clients = mem_new((size_t)spec->clients * sizeof(*workload->clients));
    for (int i = 0; i < spec->clients; i++) {
        Client *client = &workload->clients[i];
        client->workload = workload;
        client->prng.state = seed * 1000003 + (uint64_t)i;
        if (pthread_create(&client->thread, NULL, run_client, client) != 0) {
            harness_fail("cannot start a client of the workload");
        }
    }
    return workload;
}

int64_t
workload_committed(Workload *workload)
{
    return atomic_load(&workload->committed);
}

static void
merge_stats(WorkloadStats *sum, const WorkloadStats *part)
{
    sum->committed += part->committed;
    sum->rolled_back += part->rolled_back;
    sum->inserts += part->inserts;
    sum->updates += part->updates;
    sum->deletes += part->deletes;
    sum->key_changes += part->key_changes;
    sum->lost_connections += part->lost_connections;
    sum->deadlocks_with_others += part->deadlocks_with_others;
    if (part->longest_statement_us > sum->longest_statement_us) {
        sum->longest_statement_us = part->longest_statement_us;
    }
    for (int i = 0; i < part->error_kinds; i++) {
        count_error(sum, part->errors[i].sqlstate, part->errors[i].count);
    }
    if (sum->first_unexpected[0] == '\0') {
        memcpy(sum->first_unexpected, part->first_unexpected, sizeof(sum->first_unexpected));
    }
}

WorkloadStats
workload_finish(Workload *workload)
{
    if (workload->spec->transactions == 0) {
        atomic_store(&workload->must_stop, true);
    }
    WorkloadStats stats = {.committed = 0};
    for (int i = 0; i < workload->spec->clients; i++) {
        pthread_join(workload->clients[i].thread, NULL);
        merge_stats(&stats, &workload->clients[i].stats);
    }
    pthread_mutex_destroy(&workload->lock);
    free(workload->clients);
    free(workload->sql_insert);
    free(workload->sql_update);
    free(workload->sql_delete);
    free(workload->sql_key);
    free(workload->sql_find);
    free(workload->sql_lock);
    free(workload);
    return stats;
}

int64_t
workload_errors(const WorkloadStats *stats, const char *sqlstate)
{
    for (int i = 0; i < stats->error_kinds; i++) {
        if (strcmp(stats->errors[i].sqlstate, sqlstate) == 0) {
            return stats->errors[i].count;
        }
    }
    return 0;
}

int64_t
workload_unexpected_errors(const WorkloadStats *stats)
{
    int64_t count = stats->deadlocks_with_others;
    for (int i = 0; i < stats->error_kinds; i++) {
        const char *sqlstate = stats->errors[i].sqlstate;
        if (!is_expected(sqlstate) && strcmp(sqlstate, "40P01") != 0) {
            count += stats->errors[i].count;
        }
    }
    return count;
}
