/*
 * pgcluster.c - start, crash, promote and stop PostgreSQL servers.
 *
 * Layout of the folder: `primary/` and `standby/` (data directories), `*.log`, and both sockets,
 * told apart by the port.  The run's template, made once by initdb, saves a private cluster most
 * of its start.  Servers get SIGQUIT from the kernel when we die: they end without a checkpoint.
 */
#include "harness/pgcluster.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "harness/harness.h"
#include "harness/proc.h"
#include "harness/session.h"

#define DEFAULT_PG_BIN  "/usr/lib/postgresql/15/bin"
#define POLL_NAP_US     5000
#define START_LIMIT_US  SECONDS_US(120)
#define PRIMARY_PORT    5432
#define STANDBY_PORT    5433
#define ENV_ROOT        "PGHAUL_TEST_ROOT"
#define ENV_SHARED      "PGHAUL_TEST_CLUSTER"
#define TEMPLATE_FOLDER "template"

typedef struct Server {
    const char *name; /* of its folder: primary, standby */
    int port;
    Proc *postmaster; /* NULL when it does not run, or runs for another process */
} Server;

struct PgCluster {
    Arena arena;
    char *folder;
    char *root;     /* of a shared cluster in the process that started it, else NULL */
    bool is_shared; /* seen by a test: the servers are not ours */
    Server primary;
    Server standby; /* port 0: there is none */
    int database_count;
};

/* fsync is off since no test survives the machine; mmap since /dev/shm may be small. */
static const char CONFIG[] = "listen_addresses = ''\n"
                             "unix_socket_permissions = 0700\n"
                             "max_connections = 100\n"
                             "max_prepared_transactions = 10\n"
                             "shared_buffers = 128MB\n"
                             "dynamic_shared_memory_type = mmap\n"
                             "fsync = off\n"
                             "wal_level = replica\n"
                             "max_wal_senders = 5\n"
                             "wal_keep_size = 512MB\n"
                             "wal_receiver_status_interval = 1s\n"
                             "wal_retrieve_retry_interval = 100ms\n"
                             "hot_standby = on\n"
                             "timezone = 'UTC'\n"
                             "log_timezone = 'UTC'\n"
                             "lc_messages = 'C'\n"
                             "log_line_prefix = '%m [%p] %a '\n";

static const char *const SERVER_ENV[] = {"LC_ALL=C.UTF-8", "TZ=UTC", NULL};

const char *
cluster_program(PgCluster *cluster, const char *name)
{
    return arena_printf(&cluster->arena, "%s/%s", harness_env("PG_BIN", DEFAULT_PG_BIN), name);
}

static void
run_tool(const char *const *argv)
{
    proc_run(&(ProcSpec){.argv = argv, .env = SERVER_ENV, .cwd = "/", .as_server_user = true},
        START_LIMIT_US);
}

static const char *
server_folder(PgCluster *cluster, const Server *server)
{
    return arena_printf(&cluster->arena, "%s/%s", cluster->folder, server->name);
}

static const char *
server_log(PgCluster *cluster, const Server *server)
{
    return arena_printf(&cluster->arena, "%s/%s.log", cluster->folder, server->name);
}

static const char *
server_uri(PgCluster *cluster, const Server *server, const char *dbname)
{
    if (server->port == 0) {
        harness_fail("this cluster has no standby");
    }
    return arena_printf(&cluster->arena, "postgresql:///%s?host=%s&port=%d&user=postgres", dbname,
        cluster->folder, server->port);
}

static void
make_data_folder(PgCluster *cluster, const char *folder)
{
    const char *root = harness_env(ENV_ROOT, NULL);
    const char *template_folder =
        root == NULL ? NULL : arena_printf(&cluster->arena, "%s/" TEMPLATE_FOLDER, root);
    if (template_folder != NULL && access(template_folder, F_OK) == 0) {
        const char *argv[] = {"/bin/cp", "-a", template_folder, folder, NULL};
        run_tool(argv);
        return;
    }
    const char *argv[] = {cluster_program(cluster, "initdb"), "--no-sync", "--auth=trust",
        "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "-D", folder, NULL};
    run_tool(argv);
}

static void
write_config(PgCluster *cluster, const Server *server, const char *more)
{
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_puts(&text, CONFIG);
    strbuf_printf(
        &text, "unix_socket_directories = '%s'\nport = %d\n", cluster->folder, server->port);
    if (server == &cluster->standby) {
        strbuf_printf(&text,
            "primary_conninfo = 'host=%s port=%d user=postgres application_name=%s'\n",
            cluster->folder, cluster->primary.port, CLUSTER_STANDBY_NAME);
    }
    strbuf_printf(&text, "%s\n", more == NULL ? "" : more);
    const char *folder = server_folder(cluster, server);
    harness_write_file(arena_printf(&cluster->arena, "%s/postgresql.conf", folder), text.text);
}

static void
fail_with_log(PgCluster *cluster, const Server *server, const char *what)
{
    char *log = harness_read_file(server_log(cluster, server));
    size_t len = strlen(log);
    harness_fail(
        "%s %s; its log ends with:\n%s", server->name, what, len > 3000 ? log + len - 3000 : log);
}

/* A server that is starting up refuses connections; one that died never takes them. */
static void
wait_until_up(PgCluster *cluster, Server *server)
{
    const char *uri = server_uri(cluster, server, "postgres");
    int64_t deadline_us = clock_mono_us() + START_LIMIT_US;
    while (PQping(uri) != PQPING_OK) {
        if (proc_wait(server->postmaster, 0)) {
            fail_with_log(cluster, server, "ended while starting");
        }
        if (clock_mono_us() >= deadline_us) {
            fail_with_log(cluster, server, "did not start in time");
        }
        harness_nap_us(POLL_NAP_US);
    }
}

static void
start_server(PgCluster *cluster, Server *server)
{
    assert(server->postmaster == NULL);
    const char *folder = server_folder(cluster, server);
    const char *log = server_log(cluster, server);
    const char *argv[] = {cluster_program(cluster, "postgres"), "-D", folder, NULL};
    server->postmaster = proc_start(&(ProcSpec){
        .argv = argv,
        .env = SERVER_ENV,
        .cwd = "/",
        .out_path = log,
        .err_path = log,
        .as_server_user = true,
        .death_signal = SIGQUIT,
    });
    wait_until_up(cluster, server);
}

/* SIGINT is a fast shutdown, SIGQUIT an immediate one. */
static void
stop_server(PgCluster *cluster, Server *server, int signo)
{
    if (cluster->is_shared) {
        harness_fail("the shared cluster may not be stopped; start a private one");
    }
    if (server->postmaster == NULL) {
        return;
    }
    proc_signal(server->postmaster, signo);
    if (!proc_wait(server->postmaster, START_LIMIT_US)) {
        fail_with_log(cluster, server, "did not stop in time");
    }
    proc_free(server->postmaster);
    server->postmaster = NULL;
}

static void
make_standby(PgCluster *cluster, const char *config)
{
    const char *folder = server_folder(cluster, &cluster->standby);
    const char *source = arena_printf(
        &cluster->arena, "host=%s port=%d user=postgres", cluster->folder, PRIMARY_PORT);
    const char *argv[] = {cluster_program(cluster, "pg_basebackup"), "--no-sync", "-c", "fast",
        "-X", "stream", "-d", source, "-D", folder, NULL};
    run_tool(argv);
    write_config(cluster, &cluster->standby, config);
    harness_write_file(arena_printf(&cluster->arena, "%s/standby.signal", folder), "");
    start_server(cluster, &cluster->standby);
    PGconn *conn = pg_open(cluster_uri(cluster, "postgres"));
    pg_wait_true(conn,
        "SELECT count(*) = 1 FROM pg_catalog.pg_stat_replication WHERE state = 'streaming'",
        START_LIMIT_US);
    pg_close(conn);
}

static PgCluster *
new_cluster(char *folder, bool with_standby)
{
    PgCluster *cluster = mem_new(sizeof(*cluster));
    cluster->folder = folder;
    cluster->primary = (Server){.name = "primary", .port = PRIMARY_PORT};
    cluster->standby = (Server){.name = "standby", .port = with_standby ? STANDBY_PORT : 0};
    return cluster;
}

PgCluster *
cluster_start(const ClusterOptions *options)
{
    PgCluster *cluster = new_cluster(harness_scratch_new(), options->with_standby);
    make_data_folder(cluster, server_folder(cluster, &cluster->primary));
    write_config(cluster, &cluster->primary, options->config);
    start_server(cluster, &cluster->primary);
    if (options->with_standby) {
        make_standby(cluster, options->config);
    }
    return cluster;
}

void
cluster_stop(PgCluster *cluster)
{
    if (cluster == NULL) {
        return;
    }
    if (cluster->is_shared) {
        free(cluster->folder);
    } else {
        stop_server(cluster, &cluster->standby, SIGQUIT);
        stop_server(cluster, &cluster->primary, SIGQUIT);
        harness_scratch_remove(cluster->folder);
    }
    arena_reset(&cluster->arena);
    free(cluster);
}

/* Only main() calls this, before any thread exists. */
static void
publish(const char *name, const char *value)
{
    if (setenv(name, value, 1) != 0) { /* NOLINT(concurrency-mt-unsafe) */
        harness_fail("cannot set %s", name);
    }
}

PgCluster *
cluster_start_shared(void)
{
    char *root = harness_scratch_new();
    PgCluster *maker = new_cluster(mem_strdup(root), false);
    make_data_folder(maker, arena_printf(&maker->arena, "%s/" TEMPLATE_FOLDER, root));
    maker->is_shared = true; /* it never had servers */
    cluster_stop(maker);
    publish(ENV_ROOT, root);

    PgCluster *cluster = cluster_start(&(ClusterOptions){.with_standby = true});
    cluster->root = root;
    publish(ENV_SHARED, cluster->folder);
    return cluster;
}

void
cluster_stop_shared(PgCluster *cluster)
{
    char *root = cluster->root;
    cluster_stop(cluster);
    harness_scratch_remove(root);
}

PgCluster *
cluster_shared(void)
{
    const char *folder = harness_env(ENV_SHARED, NULL);
    if (folder == NULL) {
        harness_fail("there is no shared cluster: the suite's main() starts it");
    }
    PgCluster *cluster = new_cluster(mem_strdup(folder), true);
    cluster->is_shared = true;
    return cluster;
}

void
cluster_claim_roles(PgCluster *cluster)
{
    static PGconn *claim; /* closed by the process's end */
    claim = pg_open(cluster_uri(cluster, "postgres"));
    pg_wait_true(claim, "SELECT pg_try_advisory_lock(1)", 3 * HARNESS_TIMEOUT_US);
}

const char *
cluster_uri(PgCluster *cluster, const char *dbname)
{
    return server_uri(cluster, &cluster->primary, dbname);
}

const char *
cluster_standby_uri(PgCluster *cluster, const char *dbname)
{
    return server_uri(cluster, &cluster->standby, dbname);
}

const char *
cluster_any_uri(PgCluster *cluster, const char *dbname)
{
    return arena_printf(&cluster->arena,
        "postgresql:///%s?host=%s,%s&port=%d,%d&user=postgres&target_session_attrs=read-write",
        dbname, cluster->folder, cluster->folder, PRIMARY_PORT, STANDBY_PORT);
}

const char *
cluster_socket_dir(const PgCluster *cluster)
{
    return cluster->folder;
}

int
cluster_port(const PgCluster *cluster)
{
    return cluster->primary.port;
}

const char *
cluster_socket_path(PgCluster *cluster)
{
    return arena_printf(&cluster->arena, "%s/.s.PGSQL.%d", cluster->folder, cluster->primary.port);
}

const char *
cluster_create_database(PgCluster *cluster, const char *template_name)
{
    const char *dbname =
        arena_printf(&cluster->arena, "test_%d_%d", (int)getpid(), ++cluster->database_count);
    PGconn *conn = pg_open(cluster_uri(cluster, "postgres"));
    pg_execf(conn, "CREATE DATABASE %s TEMPLATE %s", dbname,
        template_name == NULL ? "template1" : template_name);
    pg_close(conn);
    return dbname;
}

void
cluster_drop_database(PgCluster *cluster, const char *dbname)
{
    PGconn *conn = pg_open(cluster_uri(cluster, "postgres"));
    pg_execf(conn, "DROP DATABASE %s WITH (FORCE)", dbname);
    pg_close(conn);
}

void
cluster_stop_immediate(PgCluster *cluster)
{
    stop_server(cluster, &cluster->primary, SIGQUIT);
}

void
cluster_restart(PgCluster *cluster)
{
    start_server(cluster, &cluster->primary);
}

void
cluster_restart_fast(PgCluster *cluster)
{
    stop_server(cluster, &cluster->primary, SIGINT);
    start_server(cluster, &cluster->primary);
}

void
cluster_stop_standby(PgCluster *cluster)
{
    stop_server(cluster, &cluster->standby, SIGQUIT);
}

void
cluster_restart_standby(PgCluster *cluster)
{
    start_server(cluster, &cluster->standby);
}

static void
ask_standby(PgCluster *cluster, const char *sql)
{
    PGconn *conn = pg_open(cluster_standby_uri(cluster, "postgres"));
    pg_exec(conn, sql);
    pg_close(conn);
}

static void
wait_standby(PgCluster *cluster, const char *sql, int64_t timeout_us)
{
    PGconn *conn = pg_open(cluster_standby_uri(cluster, "postgres"));
    pg_wait_true(conn, sql, timeout_us);
    pg_close(conn);
}

void
cluster_promote_standby(PgCluster *cluster)
{
    ask_standby(cluster, "SELECT pg_catalog.pg_promote()");
    wait_standby(cluster, "SELECT NOT pg_catalog.pg_is_in_recovery()", HARNESS_TIMEOUT_US);
}

void
cluster_pause_replay(PgCluster *cluster)
{
    ask_standby(cluster, "SELECT pg_catalog.pg_wal_replay_pause()");
    wait_standby(cluster, "SELECT pg_catalog.pg_get_wal_replay_pause_state() = 'paused'",
        HARNESS_TIMEOUT_US);
}

void
cluster_resume_replay(PgCluster *cluster)
{
    ask_standby(cluster, "SELECT pg_catalog.pg_wal_replay_resume()");
}

void
cluster_wait_catch_up(PgCluster *cluster, int64_t timeout_us)
{
    PGconn *conn = pg_open(cluster_uri(cluster, "postgres"));
    char *lsn = pg_text(conn, "SELECT pg_catalog.pg_current_wal_insert_lsn()");
    pg_close(conn);
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_printf(&sql, "SELECT pg_catalog.pg_last_wal_replay_lsn() >= '%s'", lsn);
    wait_standby(cluster, sql.text, timeout_us);
    free(lsn);
}
