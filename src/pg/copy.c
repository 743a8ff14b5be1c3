/*
 * copy.c - relay rows between two sessions under one poll().
 *
 * An error of the target is not visible before the stream has ended: libpq shows no result while a
 * COPY IN is under way.  The server has then aborted its transaction long before and throws away
 * what still comes, so nobody waits for locks meanwhile.
 */
#include "pg/copy.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "pg/conn_libpq.h"
#include "pg/query.h"

/* How long the other side may take to end what has become useless. */
#define CLEANUP_US ((int64_t)5 * 1000000)

typedef struct Flow {
    const CopyStream *stream;
    CopyCount *count;
    int64_t deadline_us; /* moves on whenever rows do */
    StrBuf joined;       /* rows on their way into one piece */
    char *wide;          /* a row that is sent in pieces; of libpq, or NULL */
    int wide_bytes;
    int wide_sent;
    bool pending;   /* the socket of the target has not taken all of the last piece */
    bool exhausted; /* the source has no more rows now */
    bool ended;     /* nor ever */
} Flow;

/* ---- begin and end of either side ---- */

static bool
consume(PgConn *conn, const char *side, Err *err)
{
    if (PQconsumeInput(conn->pq) == 0) {
        (void)conn_error(conn, NULL, err);
        return err_wrap(err, "%s", side);
    }
    return true;
}

static bool
begin_copy(PgConn *conn, const char *sql, ExecStatusType wanted, int64_t deadline_us, Err *err)
{
    if (PQsendQuery(conn->pq, sql) == 0) {
        return conn_error(conn, NULL, err);
    }
    PGresult *result = NULL;
    if (!query_flush_all(conn, deadline_us, err) ||
        !query_next_result(conn, deadline_us, &result, err)) {
        return false;
    }
    ExecStatusType status = PQresultStatus(result);
    if (status != wanted) {
        (void)conn_error(conn, result, err);
    }
    PQclear(result);
    Err more = ERR_INIT;
    if (status != wanted && !query_collect(conn, deadline_us, NULL, &more)) {
        err->cls = more.cls == ERR_RECONNECT ? ERR_RECONNECT : err->cls;
    }
    return status == wanted;
}

/* The end of what was told to fail, or was through just before; false when the session is lost. */
static bool
collect_failed(PgConn *conn, const char *side, int64_t deadline_us, Err *err)
{
    Err expected = ERR_INIT;
    if (query_collect(conn, deadline_us, NULL, &expected) || expected.cls != ERR_RECONNECT) {
        return true;
    }
    *err = expected;
    return err_wrap(err, "%s", side);
}

/* Let the target forget what it has got. */
static bool
give_up_target(const CopyStream *stream, Err *err)
{
    if (PQputCopyEnd(stream->target->pq, "given up") != 1) {
        *err = ERR_INIT;
        (void)conn_error(stream->target, NULL, err);
        return err_wrap(err, "target");
    }
    return collect_failed(stream->target, "target", clock_mono_us() + CLEANUP_US, err);
}

/* Read away what the source has sent already, until it notices that it is cancelled. */
static bool
give_up_source(const CopyStream *stream, Err *err)
{
    PgConn *source = stream->source;
    int64_t deadline_us = clock_mono_us() + CLEANUP_US;
    conn_cancel(source);
    char *row = NULL;
    int bytes = 0;
    while ((bytes = PQgetCopyData(source->pq, &row, 1)) >= 0) {
        PQfreemem(row);
        row = NULL;
        Err lost = ERR_INIT;
        if (bytes == 0 && (!conn_wait_socket(source, false, deadline_us, &lost) ||
                              !consume(source, "source", &lost))) {
            *err = lost;
            return false;
        }
    }
    return collect_failed(source, "source", deadline_us, err);
}

/* ---- rows ---- */

static void
moved(Flow *flow)
{
    flow->deadline_us = clock_mono_us() + flow->stream->idle_us;
}

/* Sends one piece; `pending` tells whether another may follow. */
static bool
send_piece(Flow *flow, const char *bytes, size_t len, Err *err)
{
    PGconn *target = flow->stream->target->pq;
    if (PQputCopyData(target, bytes, (int)len) != 1) {
        return conn_error(flow->stream->target, NULL, err);
    }
    moved(flow);
    int rc = PQflush(target);
    flow->pending = rc == 1;
    return rc >= 0 || conn_error(flow->stream->target, NULL, err);
}

static bool
send_joined(Flow *flow, Err *err)
{
    bool ok = flow->joined.len == 0 ||
              send_piece(flow, strbuf_text(&flow->joined), flow->joined.len, err);
    strbuf_clear(&flow->joined);
    return ok;
}

static void
drop_wide(Flow *flow)
{
    PQfreemem(flow->wide);
    flow->wide = NULL;
}

static bool
send_wide(Flow *flow, Err *err)
{
    int left = flow->wide_bytes - flow->wide_sent;
    int len = left < COPY_PIECE_BYTES ? left : COPY_PIECE_BYTES;
    if (!send_piece(flow, flow->wide + flow->wide_sent, (size_t)len, err)) {
        return false;
    }
    flow->wide_sent += len;
    if (flow->wide_sent == flow->wide_bytes) {
        drop_wide(flow);
    }
    return true;
}

static void
take_row(Flow *flow, char *row, int bytes)
{
    flow->count->seen_rows++;
    flow->count->seen_bytes += bytes;
    if (bytes < COPY_PIECE_BYTES) {
        strbuf_put(&flow->joined, row, (size_t)bytes);
        PQfreemem(row);
        return;
    }
    flow->wide = row;
    flow->wide_bytes = bytes;
    flow->wide_sent = 0;
}

/* Rows that are here already, until a piece is full. */
static bool
gather(Flow *flow, Err *err)
{
    while (flow->joined.len < COPY_PIECE_BYTES && flow->wide == NULL) {
        char *row = NULL;
        int bytes = PQgetCopyData(flow->stream->source->pq, &row, 1);
        if (bytes == -2) {
            return conn_error(flow->stream->source, NULL, err);
        }
        flow->exhausted = bytes == 0;
        flow->ended = bytes == -1;
        if (bytes <= 0) {
            return true;
        }
        take_row(flow, row, bytes);
    }
    return true;
}

static bool
is_too_much(const Flow *flow)
{
    const CopyStream *stream = flow->stream;
    return stream->bytes_max > 0 && flow->count->seen_bytes > stream->bytes_max &&
           flow->count->seen_rows > 1;
}

/* All that can be done without waiting. */
static bool
advance(Flow *flow, Err *err)
{
    flow->exhausted = false;
    while (!flow->pending && !flow->exhausted && !flow->ended) {
        if (is_too_much(flow)) {
            return err_set(err, ERR_TIMEOUT, "a batch of more than %lld MiB is given up",
                (long long)(flow->stream->bytes_max >> 20));
        }
        if (flow->wide == NULL && !gather(flow, err)) {
            return err_wrap(err, "source");
        }
        bool sent = flow->joined.len > 0 ? send_joined(flow, err)
                    : flow->wide != NULL ? send_wide(flow, err)
                                         : true;
        if (!sent) {
            return err_wrap(err, "target");
        }
    }
    return true;
}

/* Wait for the side that is awaited; the target's words are read in any case, or it might wait for
 * us to do so. */
static bool
wait_sides(Flow *flow, Err *err)
{
    const CopyStream *stream = flow->stream;
    const char *awaited = flow->pending ? "target" : "source";
    int64_t left_us = flow->deadline_us - clock_mono_us();
    if (left_us <= 0) {
        (void)err_set(err, ERR_RECONNECT, "the server did not answer in time");
        return err_wrap(err, "%s", awaited);
    }
    struct pollfd fds[2] = {
        {.fd = flow->pending ? -1 : PQsocket(stream->source->pq), .events = POLLIN},
        {.fd = PQsocket(stream->target->pq),
            .events = (short)(flow->pending ? POLLIN | POLLOUT : POLLIN)},
    };
    int ms = conn_poll_ms(stream->source, left_us);
    int target_ms = conn_poll_ms(stream->target, left_us);
    int rc = poll(fds, 2, ms < target_ms ? ms : target_ms);
    if (rc < 0 && errno != EINTR) {
        return err_set(err, ERR_RECONNECT, "waiting for the servers failed");
    }
    if (rc > 0 && (flow->pending ? fds[1].revents & POLLOUT : fds[0].revents) != 0) {
        moved(flow);
    }
    if (!consume(stream->target, "target", err) ||
        (!flow->pending && !consume(stream->source, "source", err))) {
        return false;
    }
    rc = PQflush(stream->target->pq);
    flow->pending = rc == 1;
    return rc >= 0 || (conn_error(stream->target, NULL, err), err_wrap(err, "target"));
}

/* Until all rows are queued for the target; on failure what is left of both sides is not dealt
 * with. */
static bool
relay(Flow *flow, Err *err)
{
    moved(flow);
    for (;;) {
        if (!advance(flow, err)) {
            return false;
        }
        if (flow->ended && !flow->pending) {
            return true;
        }
        if (!wait_sides(flow, err)) {
            return false;
        }
    }
}

/* ---- the whole ---- */

/* The source has said all: how did it end? */
static bool
finish_source(const Flow *flow, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!query_collect(flow->stream->source, flow->deadline_us, &result, err)) {
        return err_wrap(err, "source");
    }
    flow->count->sent_rows = result_affected(result);
    return true;
}

static bool
finish_target(const Flow *flow, Err *err)
{
    PgConn *target = flow->stream->target;
    PGRESULT_AUTO *result = NULL;
    bool ended = PQputCopyEnd(target->pq, NULL) == 1 || conn_error(target, NULL, err);
    if (!ended || !query_collect(target, flow->deadline_us, &result, err)) {
        return err_wrap(err, "target");
    }
    flow->count->taken_rows = result_affected(result);
    return true;
}

static bool
run(Flow *flow, Err *err)
{
    const CopyStream *stream = flow->stream;
    bool relayed = relay(flow, err);
    moved(flow);
    if (relayed && finish_source(flow, err)) {
        return finish_target(flow, err);
    }
    /* A lost session is closed, and the other one with it; else both are ended properly. */
    if (err->cls != ERR_RECONNECT && (relayed || give_up_source(stream, err))) {
        (void)!give_up_target(stream, err);
    }
    return false;
}

bool
copy_stream(const CopyStream *stream, CopyCount *count, Err *err)
{
    conn_assert_owner(stream->source);
    conn_assert_owner(stream->target);
    *count = (CopyCount){.sent_rows = 0};
    int64_t deadline_us = clock_mono_us() + stream->idle_us;
    if (!begin_copy(stream->target, stream->target_sql, PGRES_COPY_IN, deadline_us, err)) {
        return err_wrap(err, "target");
    }
    if (!begin_copy(stream->source, stream->source_sql, PGRES_COPY_OUT, deadline_us, err)) {
        (void)err_wrap(err, "source");
        (void)!(err->cls == ERR_RECONNECT || give_up_target(stream, err));
        return false;
    }
    Flow flow = {.stream = stream, .count = count, .joined = STRBUF_INIT};
    bool ok = run(&flow, err);
    drop_wide(&flow);
    strbuf_free(&flow.joined);
    return ok;
}
