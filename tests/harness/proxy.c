/*
 * proxy.c - the proxy's thread and its controls.
 *
 * The thread holds the lock except while it waits in poll(); a control changes the faults under
 * the lock and wakes the thread through an eventfd.  Only the thread touches links.
 */
#include "harness/proxy.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "harness/harness.h"
#include "harness/proxy_link.h"

#define PROXY_PORT  5432
#define MAX_LINKS   128
#define POLL_NAP_US 1000
#define BACKLOG     128

struct Proxy {
    /* Set at creation. */
    char *folder;
    char *server_socket_path;
    int listen_fd;
    int wake_fd;
    pthread_t thread;
    pthread_mutex_t lock;

    /* Under lock. */
    Arena arena;
    Faults faults;
    Link *links[MAX_LINKS];
    int link_count;
    int accepted_count;
    bool must_reset;
    bool must_stop;
};

static void
close_all(Proxy *proxy)
{
    for (int i = 0; i < proxy->link_count; i++) {
        link_close(proxy->links[i]);
    }
    proxy->link_count = 0;
}

static void
accept_clients(Proxy *proxy)
{
    for (;;) {
        int fd = accept4(proxy->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            return;
        }
        proxy->accepted_count++;
        if (proxy->faults.is_refusing || proxy->link_count == MAX_LINKS) {
            (void)close(fd);
            continue;
        }
        Link *link = link_open(fd, proxy->server_socket_path);
        if (link != NULL) {
            proxy->links[proxy->link_count++] = link;
        }
    }
}

static void
advance_links(Proxy *proxy)
{
    int64_t now_us = clock_mono_us();
    int kept = 0;
    for (int i = 0; i < proxy->link_count; i++) {
        if (link_advance(proxy->links[i], &proxy->faults, now_us)) {
            proxy->links[kept++] = proxy->links[i];
        } else {
            link_close(proxy->links[i]);
        }
    }
    proxy->link_count = kept;
}

/* Milliseconds for poll(): until the next delayed bytes are due, -1 for ever. */
static int
poll_timeout_ms(const Proxy *proxy, int64_t now_us)
{
    int64_t due_us = INT64_MAX;
    for (int i = 0; i < proxy->link_count; i++) {
        int64_t link_us = link_due_us(proxy->links[i], &proxy->faults);
        due_us = link_us > now_us && link_us < due_us ? link_us : due_us;
    }
    return due_us == INT64_MAX ? -1 : (int)((due_us - now_us) / 1000) + 1;
}

static void
wait_for_work(Proxy *proxy)
{
    struct pollfd polled[2 + 2 * MAX_LINKS];
    int64_t now_us = clock_mono_us();
    polled[0] = (struct pollfd){.fd = proxy->listen_fd, .events = POLLIN};
    polled[1] = (struct pollfd){.fd = proxy->wake_fd, .events = POLLIN};
    nfds_t count = 2;
    for (int i = 0; i < proxy->link_count; i++) {
        link_prepare(proxy->links[i], &proxy->faults, now_us, &polled[count], &polled[count + 1]);
        count += 2;
    }
    int timeout_ms = poll_timeout_ms(proxy, now_us);
    pthread_mutex_unlock(&proxy->lock);
    (void)poll(polled, count, timeout_ms);
    uint64_t wakes = 0;
    (void)!read(proxy->wake_fd, &wakes, sizeof(wakes));
    pthread_mutex_lock(&proxy->lock);
}

static void *
forward(void *arg)
{
    Proxy *proxy = arg;
    pthread_mutex_lock(&proxy->lock);
    while (!proxy->must_stop) {
        if (proxy->must_reset) {
            close_all(proxy);
            proxy->must_reset = false;
        }
        accept_clients(proxy);
        advance_links(proxy);
        wait_for_work(proxy);
    }
    close_all(proxy);
    pthread_mutex_unlock(&proxy->lock);
    return NULL;
}

static int
listen_on(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) {
        harness_fail("the path of a socket is too long: %s", path);
    }
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(fd, BACKLOG) != 0) {
        harness_fail("cannot listen on %s: errno %d", path, errno);
    }
    return fd;
}

Proxy *
proxy_start_to(const char *server_socket_path)
{
    Proxy *proxy = mem_new(sizeof(*proxy));
    proxy->folder = harness_scratch_new();
    proxy->server_socket_path = mem_strdup(server_socket_path);
    proxy->listen_fd =
        listen_on(arena_printf(&proxy->arena, "%s/.s.PGSQL.%d", proxy->folder, PROXY_PORT));
    proxy->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (proxy->wake_fd < 0 || pthread_mutex_init(&proxy->lock, NULL) != 0 ||
        pthread_create(&proxy->thread, NULL, forward, proxy) != 0) {
        harness_fail("cannot start the proxy");
    }
    return proxy;
}

Proxy *
proxy_start(PgCluster *cluster)
{
    return proxy_start_to(cluster_socket_path(cluster));
}

/* Unlock after a change and make the thread look at it. */
static void
unlock_and_wake(Proxy *proxy)
{
    pthread_mutex_unlock(&proxy->lock);
    uint64_t one = 1;
    (void)!write(proxy->wake_fd, &one, sizeof(one));
}

void
proxy_stop(Proxy *proxy)
{
    if (proxy == NULL) {
        return;
    }
    pthread_mutex_lock(&proxy->lock);
    proxy->must_stop = true;
    unlock_and_wake(proxy);
    pthread_join(proxy->thread, NULL);
    (void)close(proxy->listen_fd);
    (void)close(proxy->wake_fd);
    pthread_mutex_destroy(&proxy->lock);
    free(proxy->faults.cut_text);
    free(proxy->server_socket_path);
    harness_scratch_remove(proxy->folder);
    arena_reset(&proxy->arena);
    free(proxy);
}

const char *
proxy_uri(Proxy *proxy, const char *dbname)
{
    pthread_mutex_lock(&proxy->lock);
    const char *uri = arena_printf(&proxy->arena, "postgresql:///%s?host=%s&port=%d&user=postgres",
        dbname, proxy->folder, PROXY_PORT);
    pthread_mutex_unlock(&proxy->lock);
    return uri;
}

void
proxy_pass(Proxy *proxy)
{
    pthread_mutex_lock(&proxy->lock);
    free(proxy->faults.cut_text);
    proxy->faults = (Faults){.cut_count = proxy->faults.cut_count};
    unlock_and_wake(proxy);
}

void
proxy_stall(Proxy *proxy, ProxyDirection directions)
{
    pthread_mutex_lock(&proxy->lock);
    proxy->faults.stalled = (unsigned)directions;
    unlock_and_wake(proxy);
}

void
proxy_delay(Proxy *proxy, ProxyDirection directions, int64_t delay_us)
{
    pthread_mutex_lock(&proxy->lock);
    proxy->faults.up_delay_us = ((unsigned)directions & PROXY_TO_SERVER) != 0 ? delay_us : 0;
    proxy->faults.down_delay_us = ((unsigned)directions & PROXY_TO_CLIENT) != 0 ? delay_us : 0;
    unlock_and_wake(proxy);
}

void
proxy_refuse(Proxy *proxy)
{
    pthread_mutex_lock(&proxy->lock);
    proxy->faults.is_refusing = true;
    unlock_and_wake(proxy);
}

static bool
has_reset(Proxy *proxy)
{
    pthread_mutex_lock(&proxy->lock);
    bool done = !proxy->must_reset;
    pthread_mutex_unlock(&proxy->lock);
    return done;
}

int
proxy_reset(Proxy *proxy)
{
    pthread_mutex_lock(&proxy->lock);
    int count = proxy->link_count;
    proxy->must_reset = true;
    unlock_and_wake(proxy);
    while (!has_reset(proxy)) {
        harness_nap_us(POLL_NAP_US);
    }
    return count;
}

void
proxy_cut(Proxy *proxy, ProxyCut when, const char *text, int nth)
{
    pthread_mutex_lock(&proxy->lock);
    free(proxy->faults.cut_text);
    proxy->faults.cut_text = mem_strdup(text);
    proxy->faults.cut_when = when;
    proxy->faults.cut_countdown = nth;
    proxy->faults.cut_count = 0;
    unlock_and_wake(proxy);
}

static bool
has_cut(Proxy *proxy)
{
    pthread_mutex_lock(&proxy->lock);
    bool done = proxy->faults.cut_count > 0;
    pthread_mutex_unlock(&proxy->lock);
    return done;
}

bool
proxy_wait_cut(Proxy *proxy, int64_t timeout_us)
{
    int64_t deadline_us = clock_mono_us() + timeout_us;
    while (!has_cut(proxy)) {
        if (clock_mono_us() >= deadline_us) {
            return false;
        }
        harness_nap_us(POLL_NAP_US);
    }
    return true;
}

int
proxy_count_open(Proxy *proxy)
{
    pthread_mutex_lock(&proxy->lock);
    int count = proxy->link_count;
    pthread_mutex_unlock(&proxy->lock);
    return count;
}

int
proxy_count_accepted(Proxy *proxy)
{
    pthread_mutex_lock(&proxy->lock);
    int count = proxy->accepted_count;
    pthread_mutex_unlock(&proxy->lock);
    return count;
}
