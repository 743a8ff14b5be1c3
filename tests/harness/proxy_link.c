/*
 * proxy_link.c - forward bytes of one connection and know its messages.
 *
 * Client to server, bytes are queued message by message, since a cut happens between messages.
 * Server to client, only the ReadyForQuery messages are counted: each answers one Query or Sync
 * (or the startup packet), so the answer of any message is known to have come when the count
 * reaches that of the Sync after it.
 */
#include "harness/proxy_link.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "harness/harness.h"

#define QUEUE_LIMIT_BYTES ((size_t)1 << 20)
#define READ_BYTES        65536

struct Chunk {
    Chunk *next;
    int64_t due_us;
    size_t len;
    size_t sent;
    char bytes[];
};

static void
flow_push(Flow *flow, const char *bytes, size_t len, int64_t due_us)
{
    Chunk *chunk = mem_new(sizeof(*chunk) + len);
    memcpy(chunk->bytes, bytes, len);
    chunk->len = len;
    chunk->due_us = due_us;
    if (flow->last == NULL) {
        flow->first = chunk;
    } else {
        flow->last->next = chunk;
    }
    flow->last = chunk;
    flow->queued_bytes += len;
}

static void
flow_pop(Flow *flow)
{
    Chunk *chunk = flow->first;
    flow->first = chunk->next;
    if (flow->first == NULL) {
        flow->last = NULL;
    }
    flow->queued_bytes -= chunk->len;
    free(chunk);
}

static void
flow_drop_all(Flow *flow)
{
    while (flow->first != NULL) {
        flow_pop(flow);
    }
}

static bool
flow_can_read(const Flow *flow)
{
    return !flow->has_ended && flow->queued_bytes < QUEUE_LIMIT_BYTES;
}

static bool
flow_can_write(const Flow *flow, bool is_stalled, int64_t now_us)
{
    return !is_stalled && flow->first != NULL && flow->first->due_us <= now_us;
}

/* All that its source ever sent has been delivered. */
static bool
flow_is_over(const Flow *flow, bool is_stalled)
{
    return flow->has_ended && flow->first == NULL && !is_stalled;
}

/* A receiver that is gone makes the rest pointless; its own end of file tells the link. */
static void
flow_write(Flow *flow, int fd, bool is_stalled, int64_t now_us)
{
    while (flow_can_write(flow, is_stalled, now_us)) {
        Chunk *chunk = flow->first;
        ssize_t sent = send(fd, chunk->bytes + chunk->sent, chunk->len - chunk->sent, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN && errno != EINTR) {
                flow_drop_all(flow);
            }
            return;
        }
        chunk->sent += (size_t)sent;
        if (chunk->sent == chunk->len) {
            flow_pop(flow);
        }
    }
}

/* Bytes read, 0 when there are none now or ever again (has_ended tells). */
static size_t
flow_read(Flow *flow, int fd, char *bytes)
{
    if (!flow_can_read(flow)) {
        return 0;
    }
    ssize_t got = recv(fd, bytes, READ_BYTES, 0);
    if (got > 0) {
        return (size_t)got;
    }
    flow->has_ended = got == 0 || (errno != EAGAIN && errno != EINTR);
    return 0;
}

Link *
link_open(int client_fd, const char *server_socket_path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert(strlen(server_socket_path) < sizeof(address.sun_path));
    memcpy(address.sun_path, server_socket_path, strlen(server_socket_path));
    int server_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (server_fd < 0) {
        harness_fail("cannot make a socket: errno %d", errno);
    }
    if (connect(server_fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        (void)close(server_fd);
        (void)close(client_fd);
        return NULL;
    }
    Link *link = mem_new(sizeof(*link));
    link->client_fd = client_fd;
    link->server_fd = server_fd;
    return link;
}

void
link_close(Link *link)
{
    (void)close(link->client_fd);
    (void)close(link->server_fd);
    flow_drop_all(&link->up);
    flow_drop_all(&link->down);
    strbuf_free(&link->partial);
    free(link);
}

static bool
is_stalled(const Faults *faults, ProxyDirection direction)
{
    return (faults->stalled & (unsigned)direction) != 0;
}

/* A descriptor without anything to wait for is left out: its hang-up would spin the loop. */
static void
watch(struct pollfd *polled, int fd, bool reads, bool writes)
{
    polled->events = (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0));
    polled->fd = polled->events == 0 ? -1 : fd;
}

void
link_prepare(const Link *link, const Faults *faults, int64_t now_us, struct pollfd *client,
    struct pollfd *server)
{
    bool writes_up = flow_can_write(&link->up, is_stalled(faults, PROXY_TO_SERVER), now_us);
    bool writes_down = flow_can_write(&link->down, is_stalled(faults, PROXY_TO_CLIENT), now_us);
    watch(client, link->client_fd, flow_can_read(&link->up), writes_down);
    watch(server, link->server_fd, flow_can_read(&link->down), writes_up);
}

int64_t
link_due_us(const Link *link, const Faults *faults)
{
    int64_t due_us = INT64_MAX;
    if (link->up.first != NULL && !is_stalled(faults, PROXY_TO_SERVER)) {
        due_us = link->up.first->due_us;
    }
    if (link->down.first != NULL && !is_stalled(faults, PROXY_TO_CLIENT) &&
        link->down.first->due_us < due_us) {
        due_us = link->down.first->due_us;
    }
    return due_us;
}

static uint32_t
read_length(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Length of the first whole message in the buffer; 0 when it is not whole yet. */
static size_t
whole_message(const Link *link, const unsigned char *bytes, size_t len)
{
    size_t type_len = link->has_started ? 1 : 0;
    if (len < type_len + 4) {
        return 0;
    }
    size_t total = type_len + read_length(bytes + type_len);
    return len < total ? 0 : total;
}

static bool
meets_cut(Faults *faults, const char *message, size_t len)
{
    if (faults->cut_text == NULL ||
        memmem(message, len, faults->cut_text, strlen(faults->cut_text)) == NULL) {
        return false;
    }
    faults->cut_countdown--;
    return faults->cut_countdown == 0;
}

static void
disarm_cut(Faults *faults)
{
    free(faults->cut_text);
    faults->cut_text = NULL;
}

/* Queue one client message; from the one that meets a BEFORE cut on, nothing is queued. */
static void
forward_message(Link *link, Faults *faults, const char *message, size_t len, int64_t now_us)
{
    bool is_cut = meets_cut(faults, message, len);
    bool is_sync = !link->has_started || strchr("QSF", message[0]) != NULL;
    link->has_started = true;
    if (is_cut) {
        disarm_cut(faults);
        link->is_muted = true;
        flow_drop_all(&link->down);
        if (faults->cut_when == PROXY_CUT_BEFORE) {
            link->is_last_message = true;
        } else {
            link->cut_at_answer = link->syncs_sent + 1;
        }
    }
    if (!link->is_last_message) {
        link->syncs_sent += is_sync ? 1 : 0;
        flow_push(&link->up, message, len, now_us + faults->up_delay_us);
    }
}

static void
take_client_bytes(Link *link, Faults *faults, int64_t now_us)
{
    char bytes[READ_BYTES];
    size_t got = flow_read(&link->up, link->client_fd, bytes);
    if (got == 0) {
        return;
    }
    strbuf_put(&link->partial, bytes, got);
    size_t used = 0;
    for (;;) {
        const char *start = link->partial.text + used;
        size_t len = whole_message(link, (const unsigned char *)start, link->partial.len - used);
        if (len == 0) {
            break;
        }
        forward_message(link, faults, start, len, now_us);
        used += len;
    }
    link->partial.len -= used;
    memmove(link->partial.text, link->partial.text + used, link->partial.len);
}

/* Count the ReadyForQuery messages among the server's bytes. */
static void
count_answers(Link *link, const char *bytes, size_t len)
{
    while (len > 0) {
        size_t step = 0;
        if (link->header_len < sizeof(link->header)) {
            link->header[link->header_len++] = (unsigned char)*bytes;
            step = 1;
            if (link->header_len == sizeof(link->header)) {
                link->body_left = read_length(link->header + 1) - 4;
            }
        } else {
            step = len < link->body_left ? len : link->body_left;
            link->body_left -= step;
        }
        bytes += step;
        len -= step;
        if (link->header_len == sizeof(link->header) && link->body_left == 0) {
            link->answers_seen += link->header[0] == 'Z' ? 1 : 0;
            link->header_len = 0;
        }
    }
}

static void
take_server_bytes(Link *link, const Faults *faults, int64_t now_us)
{
    char bytes[READ_BYTES];
    size_t got = flow_read(&link->down, link->server_fd, bytes);
    count_answers(link, bytes, got);
    if (got > 0 && !link->is_muted) {
        flow_push(&link->down, bytes, got, now_us + faults->down_delay_us);
    }
}

/* The armed cut falls due: what must reach the server has, what must not return has come back. */
static bool
is_cut_due(const Link *link)
{
    if (link->is_last_message) {
        return link->up.first == NULL;
    }
    return link->cut_at_answer > 0 &&
           (link->answers_seen >= link->cut_at_answer || link->down.has_ended);
}

bool
link_advance(Link *link, Faults *faults, int64_t now_us)
{
    bool stalls_up = is_stalled(faults, PROXY_TO_SERVER);
    bool stalls_down = is_stalled(faults, PROXY_TO_CLIENT);
    take_client_bytes(link, faults, now_us);
    take_server_bytes(link, faults, now_us);
    flow_write(&link->up, link->server_fd, stalls_up, now_us);
    flow_write(&link->down, link->client_fd, stalls_down, now_us);
    if (is_cut_due(link)) {
        faults->cut_count++;
        return false;
    }
    return !flow_is_over(&link->up, stalls_up) && !flow_is_over(&link->down, stalls_down);
}
