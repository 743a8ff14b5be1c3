/*
 * proxy_link.h - one proxied connection: two queues of bytes and the faults that apply to them.
 *
 * Used by proxy.c only, under its lock; all descriptors are non-blocking.
 */
#ifndef HARNESS_PROXY_LINK_H
#define HARNESS_PROXY_LINK_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "harness/proxy.h"

typedef struct Chunk Chunk;

/* Bytes on their way in one direction. */
typedef struct Flow {
    Chunk *first;
    Chunk *last;
    size_t queued_bytes;
    bool has_ended; /* its source has closed */
} Flow;

/* The faults in force, for all links. */
typedef struct Faults {
    unsigned stalled;    /* of ProxyDirection */
    int64_t up_delay_us; /* client to server */
    int64_t down_delay_us;
    bool is_refusing;
    char *cut_text; /* armed cut; NULL: none */
    ProxyCut cut_when;
    int cut_countdown; /* matches still to come, this one included */
    int cut_count;     /* cuts done */
} Faults;

typedef struct Link {
    int client_fd;
    int server_fd;
    Flow up;
    Flow down;
    StrBuf partial;          /* client bytes that are not yet a whole message */
    bool has_started;        /* the startup packet, which has no type byte, is through */
    bool is_last_message;    /* of the client: cut as soon as what came before is delivered */
    bool is_muted;           /* nothing more for the client */
    int64_t syncs_sent;      /* messages that the server answers with ReadyForQuery */
    int64_t answers_seen;    /* ReadyForQuery of the server */
    int64_t cut_at_answer;   /* cut when so many are seen; 0: never */
    unsigned char header[5]; /* of the server's message that is coming in */
    size_t header_len;
    size_t body_left;
} Link;

/* A link between an accepted client and the server's socket; NULL when the server refuses. */
Link *link_open(int client_fd, const char *server_socket_path);
void link_close(Link *link);

/* What to wait for, with the faults in force. */
void link_prepare(const Link *link, const Faults *faults, int64_t now_us, struct pollfd *client,
    struct pollfd *server);

/* When a delayed chunk becomes due; INT64_MAX when none waits for its time. */
int64_t link_due_us(const Link *link, const Faults *faults);

/* Read and write what is possible; false when the link is finished and must be closed. */
bool link_advance(Link *link, Faults *faults, int64_t now_us);

#endif
