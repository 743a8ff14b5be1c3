/*
 * proxy.h - a man in the middle between a client and the server's unix socket: loses, delays and
 * cuts connections on command.
 *
 * It knows where the messages of the protocol begin and end, so that it can cut a connection
 * exactly between a COMMIT and its answer.  One thread of the test does the forwarding.
 */
#ifndef HARNESS_PROXY_H
#define HARNESS_PROXY_H

#include <stdbool.h>
#include <stdint.h>

#include "harness/pgcluster.h"

typedef struct Proxy Proxy;

typedef enum ProxyDirection {
    PROXY_TO_SERVER = 1,
    PROXY_TO_CLIENT = 2,
    PROXY_BOTH = 3,
} ProxyDirection;

typedef enum ProxyCut {
    PROXY_CUT_BEFORE, /* the server never gets the message */
    PROXY_CUT_AFTER,  /* the server has answered it, the client never gets the answer */
} ProxyCut;

/* Start a proxy in front of a cluster's primary, or of any socket; passes everything at first. */
Proxy *proxy_start(PgCluster *cluster);
Proxy *proxy_start_to(const char *server_socket_path);

/* Cut all connections and end the thread; NULL is fine. */
void proxy_stop(Proxy *proxy);

/* Connection string that goes through the proxy; lives as long as the proxy. */
const char *proxy_uri(Proxy *proxy, const char *dbname);

/* End every fault but keep the connections: what was stalled is delivered. */
void proxy_pass(Proxy *proxy);

/* Forward nothing in these directions, not even the end of a connection, as a network that lost
 * its route; new connections are accepted and hang. */
void proxy_stall(Proxy *proxy, ProxyDirection directions);

/* Forward everything so much later. */
void proxy_delay(Proxy *proxy, ProxyDirection directions, int64_t delay_us);

/* Cut new connections at once; the present ones live on. */
void proxy_refuse(Proxy *proxy);

/* Cut all present connections; returns how many there were. */
int proxy_reset(Proxy *proxy);

/*
 * Arm one cut: at the nth (from 1) client message from now on that contains `text`.
 *
 * Shape:   a message is a Query, Parse, Bind, ... of the protocol; only the connection that sent
 *          it is cut, later ones pass.  COPY FROM STDIN only in a simple Query.
 */
void proxy_cut(Proxy *proxy, ProxyCut when, const char *text, int nth);

/* True when the armed cut has happened within the time. */
bool proxy_wait_cut(Proxy *proxy, int64_t timeout_us);

/* How many connections there are now, and how many there have been. */
int proxy_count_open(Proxy *proxy);
int proxy_count_accepted(Proxy *proxy);

#endif
