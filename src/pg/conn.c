/*
 * conn.c - open, close, cancel; waiting on the socket; errors of libpq as our errors.
 */
#include "pg/conn.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pg/conn_libpq.h"
#include "pg/sqlstate.h"

#define MAX_PARAMS  16
#define TLS_POLL_MS 20

/* Parameters that every session gets; the caller's own come after them and win.  The keepalive
 * values end a half-open connection after about 25 s; libpq's default waits for hours. */
static const char *const FIXED_PARAMS[][2] = {
    {"client_encoding", "UTF8"},
    {"fallback_application_name", "pghaul"},
    {"keepalives", "1"},
    {"keepalives_idle", "10"},
    {"keepalives_interval", "5"},
    {"keepalives_count", "3"},
    {"tcp_user_timeout", "15000"},
};

typedef struct ParamList {
    const char *keys[MAX_PARAMS + 1];
    const char *values[MAX_PARAMS + 1];
    int count;
} ParamList;

static void
param_add(ParamList *list, const char *key, const char *value)
{
    if (value == NULL) {
        return;
    }
    assert(list->count < MAX_PARAMS);
    list->keys[list->count] = key;
    list->values[list->count] = value;
    list->count++;
    list->keys[list->count] = NULL;
    list->values[list->count] = NULL;
}

void
conn_assert_owner(const PgConn *conn)
{
    assert(pthread_equal(conn->owner, pthread_self()));
    (void)conn;
}

/* The library for TLS may have taken off the socket what libpq has not read yet: then look again
 * soon, whether the socket says so or not. */
int
conn_poll_ms(const PgConn *conn, int64_t left_us)
{
    int64_t left_ms = left_us / 1000 + 1;
    return PQsslInUse(conn->pq) != 0 && left_ms > TLS_POLL_MS ? TLS_POLL_MS : (int)left_ms;
}

bool
conn_wait_socket(PgConn *conn, bool also_write, int64_t deadline_us, Err *err)
{
    for (;;) {
        int64_t left_us = deadline_us - clock_mono_us();
        if (left_us <= 0) {
            return err_set(err, ERR_RECONNECT, "the server did not answer in time");
        }
        struct pollfd fd = {
            .fd = PQsocket(conn->pq),
            .events = (short)(also_write ? POLLIN | POLLOUT : POLLIN),
        };
        if (fd.fd < 0) {
            return err_set(err, ERR_RECONNECT, "the connection is closed");
        }
        int rc = poll(&fd, 1, conn_poll_ms(conn, left_us));
        if (rc > 0 || (rc == 0 && PQsslInUse(conn->pq) != 0)) {
            return true;
        }
        if (rc < 0 && errno != EINTR) {
            return err_set(err, ERR_RECONNECT, "waiting for the server failed");
        }
    }
}

/* What may be said of a failure that the server gave no SQLSTATE for, first match first.  libpq's
 * own text is not passed on: it collects what went before, such as an error about a row, and
 * quotes parts of a URI. */
static const char *
known_words(const char *message)
{
    static const char *const WORDS[] = {"terminating connection due to administrator command",
        "terminating connection because of crash of another server process",
        "terminating connection due to idle-in-transaction timeout",
        "the database system is shutting down", "the database system is starting up",
        "Connection refused", "Connection reset by peer", "Connection timed out", "Broken pipe",
        "No such file or directory", "timeout expired", "could not translate host name",
        "no password supplied", "server closed the connection unexpectedly", "SSL"};
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++) {
        if (strstr(message, WORDS[i]) != NULL) {
            return WORDS[i];
        }
    }
    return NULL;
}

static void
copy_field(char *out, size_t size, const PGresult *result, int field)
{
    const char *text = PQresultErrorField(result, field);
    (void)snprintf(out, size, "%s", text == NULL ? "" : text);
}

static const char *
field_of(const PGresult *result, int field)
{
    const char *text = PQresultErrorField(result, field);
    return text == NULL ? "" : text;
}

/* The state, its name, and which constraint or column it is about. */
static void
set_without_words(const PGresult *result, const char *state, ErrClass cls, bool by_server, Err *err)
{
    const char *constraint = field_of(result, PG_DIAG_CONSTRAINT_NAME);
    const char *column = field_of(result, PG_DIAG_COLUMN_NAME);
    bool is_constraint = constraint[0] != '\0';
    const char *object = !by_server ? "" : is_constraint ? constraint : column;
    const char *what = object[0] == '\0' ? "" : is_constraint ? ", constraint " : ", column ";
    (void)err_set(err, cls, "SQLSTATE %s (%s)%s%s", state, sqlstate_name(state), what, object);
}

static void
set_from_result(const PgConn *conn, const PGresult *result, const char *state, Err *err)
{
    ErrClass cls = sqlstate_class(state);
    if (PQstatus(conn->pq) == CONNECTION_BAD) {
        cls = ERR_RECONNECT;
    }
    ErrorOrigin origin = {
        .sqlstate = state,
        .function = field_of(result, PG_DIAG_SOURCE_FUNCTION),
        .inner_query = field_of(result, PG_DIAG_INTERNAL_QUERY),
        .context = field_of(result, PG_DIAG_CONTEXT),
    };
    bool rows_flow = conn->role == CONN_WORKER || conn->role == CONN_VACUUM;
    if (rows_flow && sqlstate_may_quote_row(&origin)) {
        set_without_words(result, state, cls, !sqlstate_is_raised(&origin), err);
        return;
    }
    /* DETAIL is left out: it quotes row values. */
    (void)err_set(err, cls, "%s", field_of(result, PG_DIAG_MESSAGE_PRIMARY));
    copy_field(err->hint, sizeof(err->hint), result, PG_DIAG_MESSAGE_HINT);
}

bool
conn_error(PgConn *conn, const PGresult *result, Err *err)
{
    const char *state = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (state == NULL) {
        const char *words = known_words(PQerrorMessage(conn->pq));
        return err_set(err, ERR_RECONNECT, "connection lost%s%s", words == NULL ? "" : ": ",
            words == NULL ? "" : words);
    }
    set_from_result(conn, result, state, err);
    copy_field(err->sqlstate, sizeof(err->sqlstate), result, PG_DIAG_SQLSTATE);
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    if (position != NULL) {
        err->position = (int)strtol(position, NULL, 10);
    }
    return false;
}

/* The words of a server that refuses a session; "" when they quote a URI that was meant for -d. */
static void
refusal_words(char *out, size_t size, const char *fatal)
{
    const char *words = fatal + strspn(fatal, " ");
    size_t len = strcspn(words, "\n");
    (void)snprintf(out, size, "%.*s", (int)len, words);
    if (strstr(out, "://") != NULL) {
        out[0] = '\0';
    }
}

/* A failure before the session exists: the server's own words, or known ones. */
static bool
connect_error(PgConn *conn, Err *err)
{
    const char *message = PQerrorMessage(conn->pq);
    const char *fatal = strstr(message, "FATAL:");
    char line[256];
    if (fatal != NULL) {
        refusal_words(line, sizeof(line), fatal + strlen("FATAL:"));
        bool slots = strstr(line, "connection slots") != NULL ||
                     strstr(line, "too many clients") != NULL ||
                     strstr(line, "too many connections") != NULL;
        bool starting =
            strstr(line, "starting up") != NULL || strstr(line, "shutting down") != NULL ||
            strstr(line, "not yet accepting") != NULL || strstr(line, "recovery mode") != NULL;
        ErrClass cls = slots ? ERR_SLOTS : starting ? ERR_RECONNECT : ERR_CONNECT;
        return err_set(
            err, cls, "the server refused the connection%s%s", line[0] == '\0' ? "" : ": ", line);
    }
    const char *words = known_words(message);
    if (words != NULL) {
        const char *host = PQhost(conn->pq); /* of a socket a folder, which holds no secret */
        bool socket = host != NULL && host[0] == '/';
        (void)err_set(err, ERR_CONNECT, "cannot connect to the server%s%s%s%s: %s",
            socket ? " in " : "", socket ? host : "", socket ? ", port " : "",
            socket ? PQport(conn->pq) : "", words);
        return err_hint(err, "Check -d, -h, -p, -U and the PG* environment.");
    }
    (void)err_set(err, ERR_CONNECT, "cannot connect to the server");
    return err_hint(err, "Try the same settings with psql; its message says more.");
}

static bool
connect_poll(PgConn *conn, int64_t deadline_us, Err *err)
{
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    while (state != PGRES_POLLING_OK) {
        if (state == PGRES_POLLING_FAILED) {
            return connect_error(conn, err);
        }
        int64_t left_us = deadline_us - clock_mono_us();
        if (left_us <= 0) {
            return err_set(err, ERR_CONNECT, "cannot connect to the server: timeout expired");
        }
        struct pollfd fd = {
            .fd = PQsocket(conn->pq),
            .events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT,
        };
        int rc = poll(&fd, 1, (int)(left_us / 1000) + 1);
        if (rc < 0 && errno != EINTR) {
            return err_set(err, ERR_CONNECT, "cannot connect to the server: poll failed");
        }
        if (rc > 0) {
            state = PQconnectPoll(conn->pq);
        }
    }
    return true;
}

/* Notices of the server (a VACUUM that could not lock) are for psql; libpq would print them. */
static void
drop_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

static bool
connect_start(PgConn *conn, const ConnTarget *target, const char *label, Err *err)
{
    char application[64];
    (void)snprintf(application, sizeof(application), "pghaul/%s", label);

    ParamList list = {.count = 0};
    for (size_t i = 0; i < sizeof(FIXED_PARAMS) / sizeof(FIXED_PARAMS[0]); i++) {
        param_add(&list, FIXED_PARAMS[i][0], FIXED_PARAMS[i][1]);
    }
    param_add(&list, "dbname", target->dbname);
    param_add(&list, "host", target->host);
    param_add(&list, "port", target->port);
    param_add(&list, "user", target->user);
    param_add(&list, "application_name", application);

    conn->pq = PQconnectStartParams(list.keys, list.values, 1);
    if (conn->pq == NULL) {
        return err_set(err, ERR_CONNECT, "out of memory while connecting");
    }
    if (PQstatus(conn->pq) == CONNECTION_BAD) {
        return connect_error(conn, err);
    }
    (void)PQsetNoticeReceiver(conn->pq, drop_notice, NULL);
    return true;
}

static void
describe(PgConn *conn)
{
    const char *host = PQhost(conn->pq);
    (void)snprintf(conn->describe, sizeof(conn->describe), "host=%s port=%s dbname=%s user=%s",
        host == NULL ? "" : host, PQport(conn->pq), PQdb(conn->pq), PQuser(conn->pq));
}

bool
conn_open(const ConnTarget *target, ConnRole role, const char *label, int64_t timeout_us,
    PgConn **out, Err *err)
{
    int64_t deadline_us = clock_mono_us() + timeout_us;
    PgConn *conn = mem_new(sizeof(*conn));
    conn->owner = pthread_self();
    conn->role = role;
    int rc = pthread_mutex_init(&conn->cancel_lock, NULL);
    assert(rc == 0);
    (void)rc;

    if (!connect_start(conn, target, label, err) || !connect_poll(conn, deadline_us, err)) {
        conn_close(conn);
        return false;
    }
    if (PQsetnonblocking(conn->pq, 1) != 0) {
        conn_close(conn);
        return err_set(err, ERR_CONNECT, "cannot make the connection non-blocking");
    }
    conn->cancel = PQgetCancel(conn->pq);
    describe(conn);
    if (!session_pin(conn, role, deadline_us - clock_mono_us(), err)) {
        conn_close(conn);
        return false;
    }
    *out = conn;
    return true;
}

void
conn_close(PgConn *conn)
{
    if (conn == NULL) {
        return;
    }
    conn_assert_owner(conn);
    (void)pthread_mutex_lock(&conn->cancel_lock);
    if (conn->cancel != NULL) {
        PQfreeCancel(conn->cancel);
        conn->cancel = NULL;
    }
    (void)pthread_mutex_unlock(&conn->cancel_lock);
    PQfinish(conn->pq);
    (void)pthread_mutex_destroy(&conn->cancel_lock);
    free(conn);
}

void
conn_cancel(PgConn *conn)
{
    char message[128];
    (void)pthread_mutex_lock(&conn->cancel_lock);
    if (conn->cancel != NULL) {
        /* A request that fails is not worth a word: the batch ends by its statement_timeout. */
        (void)PQcancel(conn->cancel, message, sizeof(message));
    }
    (void)pthread_mutex_unlock(&conn->cancel_lock);
}

bool
conn_is_standby(const PgConn *conn)
{
    const char *value = PQparameterStatus(conn->pq, "in_hot_standby");
    return value != NULL && strcmp(value, "on") == 0;
}

int
conn_backend_pid(const PgConn *conn)
{
    return conn->backend_pid;
}

const char *
conn_backend_start(const PgConn *conn)
{
    return conn->backend_start;
}

bool
conn_is_idle(const PgConn *conn)
{
    return PQstatus(conn->pq) == CONNECTION_OK && PQtransactionStatus(conn->pq) == PQTRANS_IDLE;
}

const char *
conn_describe(const PgConn *conn)
{
    return conn->describe;
}

int
conn_library_version(void)
{
    return PQlibVersion();
}
