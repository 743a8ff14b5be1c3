/*
 * peer.h - what has to be known of a server before two of them can be compared, and before one may
 * forget what the other has.
 */
#ifndef PG_PEER_H
#define PG_PEER_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "core/jobspec.h"
#include "pg/conn.h"

/* Which of these types the server has; items may be NULL: those are not asked for, and known. */
bool peer_known_types(PgConn *conn, const char *const *types, int count, bool *known, Err *err)
    __attribute__((warn_unused_result));

/* Versions of the libraries that sort text, as one text; NULL where the server cannot tell. */
bool peer_sort_versions(PgConn *conn, Arena *arena, const char **versions, Err *err)
    __attribute__((warn_unused_result));

typedef enum PeerDurable {
    PEER_DURABLE = 0,
    PEER_NOT_YET,    /* a standby has not flushed so far, or is not there */
    PEER_UNREADABLE, /* a standby is there, but its position is hidden from our role */
} PeerDurable;

/* Up to where the server's own log is safe on its disk. */
bool peer_flushed_to(PgConn *conn, char lsn[24], Err *err) __attribute__((warn_unused_result));

/* Is it safe on these standbys as well? */
bool peer_is_durable(PgConn *conn, const char *lsn, const NameList *standbys, PeerDurable *durable,
    Err *err) __attribute__((warn_unused_result));

#endif
