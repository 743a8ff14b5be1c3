/*
 * pgcluster.h - PostgreSQL servers of our own: a primary and, on request, a streaming standby.
 *
 * They live in a private scratch folder, listen on unix sockets in it only, and end with the
 * process that started them, even when that is killed.  The superuser is "postgres", without a
 * password; the folder is what keeps others out.
 *
 * A test run has one shared cluster with a standby, started by the suite's main() before the tests
 * and known to them by environment variables; each test makes a database of its own there.  A test
 * that crashes, promotes, pauses or reconfigures a server starts a private cluster.
 */
#ifndef HARNESS_PGCLUSTER_H
#define HARNESS_PGCLUSTER_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

/* application_name of the standby's receiver, as pg_stat_replication shows it. */
#define CLUSTER_STANDBY_NAME "standby1"

typedef struct PgCluster PgCluster;

typedef struct ClusterOptions {
    bool with_standby;
    const char *config; /* more lines for postgresql.conf of both servers, or NULL */
} ClusterOptions;

/* Start a private cluster and wait until it takes connections (and the standby streams). */
PgCluster *cluster_start(const ClusterOptions *options);

/* Stop it and remove its folder; NULL is fine. */
void cluster_stop(PgCluster *cluster);

/* The whole run's cluster, for main(): start, make known to the tests, and remove at the end. */
PgCluster *cluster_start_shared(void);
void cluster_stop_shared(PgCluster *cluster);

/* The shared cluster as seen by a test; returns owned: cluster_stop() leaves the servers alone. */
PgCluster *cluster_shared(void);

/* Wait until no other test of the suite makes roles of names that others make as well (they belong
 * to the whole cluster), and keep them from it until this test's end. */
void cluster_claim_roles(PgCluster *cluster);

/* Connection strings for `pghaul -d` and pg_open(); live as long as the cluster. */
const char *cluster_uri(PgCluster *cluster, const char *dbname);
const char *cluster_standby_uri(PgCluster *cluster, const char *dbname);
/* Both hosts, whichever takes writes: for a program that survives a failover. */
const char *cluster_any_uri(PgCluster *cluster, const char *dbname);

/* Folder of the sockets, port and path of the primary's socket. */
const char *cluster_socket_dir(const PgCluster *cluster);
int cluster_port(const PgCluster *cluster);
const char *cluster_socket_path(PgCluster *cluster);

/* Path of a program of the server's release, such as "pgbench"; lives as long as the cluster. */
const char *cluster_program(PgCluster *cluster, const char *name);

/* A fresh database from `template_name` (NULL: template1) and a name that no other test has. */
const char *cluster_create_database(PgCluster *cluster, const char *template_name);
void cluster_drop_database(PgCluster *cluster, const char *dbname);

/* The primary dies at once, as by a crash: no checkpoint, sessions are cut. */
void cluster_stop_immediate(PgCluster *cluster);
/* Start the primary after that; waits for the end of crash recovery. */
void cluster_restart(PgCluster *cluster);
/* An orderly restart. */
void cluster_restart_fast(PgCluster *cluster);

/* The standby likewise goes away and comes back. */
void cluster_stop_standby(PgCluster *cluster);
void cluster_restart_standby(PgCluster *cluster);

/* Make the standby a primary; waits until it takes writes.  The URIs keep naming the same servers:
 * from now on cluster_standby_uri() takes writes. */
void cluster_promote_standby(PgCluster *cluster);

/* Stop and resume the replay of WAL on the standby; it goes on receiving. */
void cluster_pause_replay(PgCluster *cluster);
void cluster_resume_replay(PgCluster *cluster);

/* Wait until the standby has replayed all that the primary has written until now. */
void cluster_wait_catch_up(PgCluster *cluster, int64_t timeout_us);

#endif
