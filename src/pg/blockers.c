/*
 * blockers.c - pg_locks, pg_blocking_pids(), pg_stat_activity and pg_prepared_xacts as one picture.
 *
 * pg_locks, names and roles can be read by everybody; state, times and queries of other roles'
 * sessions need pg_read_all_stats.  The views are not read at one instant, so a blocker may be
 * gone.
 */
#include "pg/blockers.h"

#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "core/format.h"
#include "core/sqlmask.h"
#include "pg/params.h"

/*
 * A session that waits for a row waits for the holder's transaction, and holds the lock of the
 * tuple meanwhile: that tells the table.  A VACUUM has a snapshot that nobody minds.  An
 * autovacuum worker has no role, and only superusers may end it.
 */
static const char SQL_SESSIONS[] =
    "WITH me AS (\n"
    "    SELECT d.oid, r.rolsuper, pg_catalog.quote_ident(r.rolname) AS role,\n"
    "           pg_catalog.pg_has_role(r.oid, 'pg_signal_backend', 'USAGE') AS signals\n"
    "      FROM pg_catalog.pg_database d, pg_catalog.pg_roles r\n"
    "     WHERE d.datname = pg_catalog.current_database() AND r.rolname = current_user),\n"
    "l AS MATERIALIZED (\n"
    "    SELECT x.* FROM pg_catalog.pg_locks x WHERE x.pid <> pg_catalog.pg_backend_pid()),\n"
    "w AS MATERIALIZED (\n"
    "    SELECT l.*, pg_catalog.pg_blocking_pids(l.pid) AS blockers FROM l WHERE NOT l.granted),\n"
    "t AS (\n"
    "    SELECT l.pid, pg_catalog.array_agg(l.mode)\n"
    "               FILTER (WHERE l.granted AND l.locktype = 'relation') AS modes\n"
    "      FROM l, me WHERE l.relation = $1::pg_catalog.oid AND l.database = me.oid\n"
    "     GROUP BY l.pid)\n"
    "SELECT a.pid, a.application_name, a.usename, COALESCE(pg_catalog.host(a.client_addr),\n"
    "           CASE a.client_port WHEN -1 THEN 'local' END),\n"
    "       a.datname, a.backend_type, a.state,\n"
    "       CASE WHEN a.datid = me.oid THEN a.query END,\n"
    "       a.query = '<insufficient privilege>',\n"
    "       CASE WHEN u.rolsuper OR a.usesysid IS NULL THEN me.rolsuper\n"
    "            ELSE me.signals OR pg_catalog.pg_has_role(a.usesysid, 'USAGE') END,\n"
    "       a.datid = me.oid,\n"
    "       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.xact_start),\n"
    "       o.old, w.pid IS NOT NULL,\n"
    "       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - w.waitstart),\n"
    "       w.locktype, w.mode,\n"
    "       CASE WHEN r.database IN (0, me.oid)\n"
    "            THEN r.relation::pg_catalog.regclass::pg_catalog.text\n"
    "            WHEN r.relation IS NOT NULL THEN 'a table of another database' END,\n"
    "       w.blockers, t.pid IS NOT NULL, t.modes, me.role\n"
    "  FROM pg_catalog.pg_stat_activity a\n"
    " CROSS JOIN me\n"
    "  LEFT JOIN pg_catalog.pg_roles u ON u.oid = a.usesysid\n"
    "  LEFT JOIN w ON w.pid = a.pid\n"
    "  LEFT JOIN t ON t.pid = a.pid\n"
    "  LEFT JOIN LATERAL (\n"
    "    SELECT l.database, l.relation FROM l\n"
    "     WHERE l.pid = w.pid AND CASE w.locktype WHEN 'transactionid' THEN l.locktype = 'tuple'\n"
    "                                  ELSE NOT l.granted END\n"
    "     LIMIT 1) r ON true\n"
    " CROSS JOIN LATERAL (\n"
    "    SELECT COALESCE(a.datid = me.oid AND a.usesysid IS NOT NULL\n"
    "           AND (a.backend_xid IS NOT NULL OR a.backend_xmin IS NOT NULL)\n"
    "           AND a.xact_start < pg_catalog.clock_timestamp()\n"
    "               - $2 * '1 s'::pg_catalog.interval\n"
    "           AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_vacuum v\n"
    "                            WHERE v.pid = a.pid), false) AS old) o\n"
    " WHERE a.pid <> pg_catalog.pg_backend_pid()\n"
    "   AND (w.pid IS NOT NULL OR t.pid IS NOT NULL OR o.old\n"
    "        OR a.pid IN (SELECT pg_catalog.unnest(w.blockers) FROM w))\n"
    " ORDER BY w.waitstart, a.xact_start, a.pid";

/*
 * Each with those that may wait for it: a row for each, NULL where there is none.  Its locks are
 * known by the virtual transaction, which a crash changes, that holds the lock of its own xid.
 */
static const char SQL_PREPARED[] =
    "WITH l AS MATERIALIZED (SELECT * FROM pg_catalog.pg_locks),\n"
    "h AS (\n"
    "    SELECT p.*, d.oid AS datid, l.locktype, l.database AS db, l.relation, l.mode,\n"
    "           (l.locktype, l.database, l.relation, l.page, l.tuple, l.virtualxid,\n"
    "            l.transactionid, l.classid, l.objid, l.objsubid) AS tag\n"
    "      FROM pg_catalog.pg_prepared_xacts p\n"
    "      JOIN pg_catalog.pg_database d ON d.datname = p.database\n"
    "      LEFT JOIN l x ON x.pid IS NULL AND x.transactionid = p.transaction\n"
    "      LEFT JOIN l ON l.pid IS NULL AND l.virtualtransaction = x.virtualtransaction)\n"
    "SELECT h.gid, h.owner, h.database, h.database = pg_catalog.current_database(),\n"
    "       h.database = pg_catalog.current_database() AND (h.owner = current_user\n"
    "           OR (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = "
    "current_user)),\n"
    "       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - h.prepared),\n"
    "       h.locktype = 'relation' AND h.db = h.datid AND h.relation = $1::pg_catalog.oid,\n"
    "       h.mode, w.pid, w.mode\n"
    "  FROM h\n"
    "  LEFT JOIN l w ON NOT w.granted\n"
    "   AND (w.locktype, w.database, w.relation, w.page, w.tuple, w.virtualxid,\n"
    "        w.transactionid, w.classid, w.objid, w.objsubid) IS NOT DISTINCT FROM h.tag\n"
    " ORDER BY h.prepared, h.gid";

typedef struct WaitReader {
    const WaitQuestion *question;
    Arena *arena;
    WaitSession *sessions;
    int count;
    WaitEdge *edges;
    int edge_count;
    Waits *waits;
} WaitReader;

/* ---- sessions ---- */

static const char *
dup_masked(const PgResult *result, int row, int column, Arena *arena)
{
    STRBUF_AUTO masked = STRBUF_INIT;
    sql_mask(&masked, result_text(result, row, column));
    return masked.len == 0 ? NULL : arena_strdup(arena, strbuf_text(&masked));
}

static double
age_s(const PgResult *result, int row, int column)
{
    double age = result_is_null(result, row, column) ? -1 : result_float(result, row, column);
    return age > -1 && age < 0 ? 0 : age; /* the clock was read before */
}

/* What it waits for, in words. */
static const char *
object_of(const WaitSession *session, const char *relation, Arena *arena)
{
    const char *type = session->lock_type;
    bool row = strcmp(type, "tuple") == 0 || strcmp(type, "transactionid") == 0;
    if (relation != NULL) {
        return row ? arena_printf(arena, "a row of %s", relation) : relation;
    }
    if (row || strcmp(type, "virtualxid") == 0 || strcmp(type, "spectoken") == 0) {
        return "the end of a transaction";
    }
    return strcmp(type, "advisory") == 0 ? "an advisory lock" : type;
}

static bool
take_blockers(WaitSession *session, const char *text, Arena *arena, Err *err)
{
    const char **items = NULL;
    int count = 0;
    if (!pg_array_parse(text, arena, &items, &count, err)) {
        return false;
    }
    int *pids = arena_alloc(arena, (size_t)count * sizeof(*pids));
    for (int i = 0; i < count; i++) {
        int pid = (int)strtol(items[i], NULL, 10);
        bool twice = false; /* the server names a parallel leader for each of its workers */
        for (int j = 0; j < session->blocked_by_count; j++) {
            twice = twice || pids[j] == pid;
        }
        if (!twice) {
            pids[session->blocked_by_count++] = pid;
        }
    }
    session->blocked_by = pids;
    return true;
}

static void
raise_table_mode(WaitSession *session, const char *mode)
{
    const char *old = session->table_mode;
    if (old == NULL || waits_mode_rank(mode) > waits_mode_rank(old)) {
        session->table_mode = mode;
    }
}

static bool
take_table_modes(WaitSession *session, const char *text, Arena *arena, Err *err)
{
    const char **modes = NULL;
    int count = 0;
    if (!pg_array_parse(text, arena, &modes, &count, err)) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        raise_table_mode(session, modes[i]);
    }
    return true;
}

static bool
take_session(const PgResult *result, int row, Arena *arena, WaitSession *session, Err *err)
{
    *session = (WaitSession){
        .pid = (int)result_int(result, row, 0),
        .application = arena_strdup(arena, result_text(result, row, 1)),
        .role = result_dup(result, row, 2, arena),
        .client = result_dup(result, row, 3, arena),
        .database = result_dup(result, row, 4, arena),
        .kind = result_dup(result, row, 5, arena),
        .state = result_dup(result, row, 6, arena),
        .is_hidden = result_bool(result, row, 8),
        .may_end = result_bool(result, row, 9),
        .is_here = result_bool(result, row, 10),
        .transaction_age_s = age_s(result, row, 11),
        .is_old = result_bool(result, row, 12),
        .waits = result_bool(result, row, 13),
        .lock_type = result_dup(result, row, 15, arena),
        .lock_mode = result_dup(result, row, 16, arena),
        .touches_table = result_bool(result, row, 19),
    };
    session->is_ours = waits_is_ours(session->application, arena, &session->job);
    session->is_autovacuum =
        session->kind != NULL && strcmp(session->kind, "autovacuum worker") == 0;
    session->is_wraparound = session->is_autovacuum &&
                             strstr(result_text(result, row, 7), "(to prevent wraparound)") != NULL;
    if (!session->is_hidden) {
        session->query = dup_masked(result, row, 7, arena);
    }
    if (session->waits) {
        double wait_s = age_s(result, row, 14);
        session->wait_s = wait_s < 0 ? 0 : wait_s; /* it begins at this moment */
        session->lock_object = object_of(session, result_dup(result, row, 17, arena), arena);
    }
    return (!session->waits || take_blockers(session, result_text(result, row, 18), arena, err)) &&
           (result_is_null(result, row, 20) ||
               take_table_modes(session, result_text(result, row, 20), arena, err));
}

static bool
take_sessions(WaitReader *reader, const PgResult *result, Err *err)
{
    for (int i = 0; i < result_rows(result); i++) {
        WaitSession *session = &reader->sessions[reader->count++];
        if (!take_session(result, i, reader->arena, session, err)) {
            return false;
        }
        reader->waits->hides = reader->waits->hides || session->is_hidden;
        reader->waits->role = result_dup(result, i, 21, reader->arena);
    }
    return true;
}

/* ---- prepared transactions ---- */

static int
index_of_pid(const WaitReader *reader, int pid)
{
    for (int i = 0; i < reader->count; i++) {
        if (reader->sessions[i].pid == pid && pid != 0) {
            return i;
        }
    }
    return -1;
}

/* It may hold several locks in modes that are in the way. */
static void
add_edge(WaitReader *reader, int waiter, int blocker)
{
    for (int i = reader->edge_count - 1; i >= 0 && reader->edges[i].blocker == blocker; i--) {
        if (reader->edges[i].waiter == waiter) {
            return;
        }
    }
    reader->edges[reader->edge_count++] = (WaitEdge){.waiter = waiter, .blocker = blocker};
}

static bool
is_blocked_by_prepared(const WaitSession *session)
{
    for (int i = 0; i < session->blocked_by_count; i++) {
        if (session->blocked_by[i] == 0) {
            return true;
        }
    }
    return false;
}

/* The server says only that a prepared transaction is in the way: 0; here is which. */
static void
take_prepared_row(WaitReader *reader, const PgResult *result, int row, int node)
{
    WaitSession *prepared = &reader->sessions[node];
    const char *held = result_dup(result, row, 7, reader->arena);
    if (result_bool(result, row, 6)) {
        prepared->touches_table = true;
        raise_table_mode(prepared, held);
    }
    int waiter = index_of_pid(reader, (int)result_int(result, row, 8));
    if (waiter >= 0 && is_blocked_by_prepared(&reader->sessions[waiter]) &&
        waits_modes_conflict(result_text(result, row, 9), held)) {
        add_edge(reader, waiter, node);
    }
}

static void
take_prepared(WaitReader *reader, const PgResult *result)
{
    for (int i = 0; i < result_rows(result); i++) {
        const char *gid = result_dup(result, i, 0, reader->arena);
        int last = reader->count - 1;
        if (last < 0 || reader->sessions[last].gid == NULL ||
            strcmp(reader->sessions[last].gid, gid) != 0) {
            bool here = result_bool(result, i, 3);
            reader->sessions[reader->count++] = (WaitSession){
                .gid = gid,
                .application = "",
                .role = result_dup(result, i, 1, reader->arena),
                .database = result_dup(result, i, 2, reader->arena),
                .is_here = here,
                .may_end = result_bool(result, i, 4),
                .transaction_age_s = age_s(result, i, 5),
                .is_old = here && result_float(result, i, 5) > reader->question->old_s,
            };
        }
        take_prepared_row(reader, result, i, reader->count - 1);
    }
}

/* ---- the picture ---- */

static void
link_sessions(WaitReader *reader)
{
    for (int i = 0; i < reader->count; i++) {
        const WaitSession *session = &reader->sessions[i];
        for (int j = 0; j < session->blocked_by_count; j++) {
            int blocker = index_of_pid(reader, session->blocked_by[j]);
            if (blocker >= 0) {
                reader->edges[reader->edge_count++] = (WaitEdge){.waiter = i, .blocker = blocker};
            }
        }
    }
}

static bool
assemble(WaitReader *reader, const PgResult *sessions, const PgResult *prepared, Err *err)
{
    size_t nodes = (size_t)result_rows(sessions) + (size_t)result_rows(prepared);
    reader->sessions = arena_alloc(reader->arena, nodes * sizeof(*reader->sessions));
    if (!take_sessions(reader, sessions, err)) {
        return false;
    }
    size_t edges = (size_t)result_rows(prepared);
    for (int i = 0; i < reader->count; i++) {
        edges += (size_t)reader->sessions[i].blocked_by_count;
    }
    reader->edges = arena_alloc(reader->arena, edges * sizeof(*reader->edges));
    take_prepared(reader, prepared);
    link_sessions(reader);
    reader->waits->sessions = reader->sessions;
    reader->waits->graph = (WaitGraph){
        .node_count = reader->count, .edges = reader->edges, .edge_count = reader->edge_count};
    return true;
}

bool
probe_waits(PgConn *conn, const WaitQuestion *question, Arena *arena, Waits *waits, Err *err)
{
    *waits = (Waits){.sessions = NULL};
    WaitReader reader = {.question = question, .arena = arena, .waits = waits};
    Params table = PARAMS_INIT;
    Params both = PARAMS_INIT;
    params_int(&table, question->table_oid);
    params_int(&both, question->table_oid);
    params_int(&both, question->old_s);
    PGRESULT_AUTO *sessions = NULL;
    PGRESULT_AUTO *prepared = NULL;
    /* Sessions first: one that waits now waits still when it is asked for whom. */
    bool ok = query_with(conn, SQL_SESSIONS, &both, &sessions, err) &&
              query_with(conn, SQL_PREPARED, &table, &prepared, err) &&
              assemble(&reader, sessions, prepared, err);
    return ok || err_wrap(err, "who waits for whom");
}

/* ---- holders of a table ---- */

/* Does our next DDL rather wait for `a` than for `b`? */
static bool
is_longer_holder(const WaitSession *a, const WaitSession *b)
{
    if (b == NULL) {
        return true;
    }
    bool a_stops = waits_modes_conflict("ShareRowExclusiveLock", a->table_mode);
    bool b_stops = waits_modes_conflict("ShareRowExclusiveLock", b->table_mode);
    return a_stops != b_stops ? a_stops : a->transaction_age_s > b->transaction_age_s;
}

static const char *
describe_holder(const WaitSession *holder, Arena *arena)
{
    char age[FORMAT_SIZE];
    STRBUF_AUTO text = STRBUF_INIT;
    if (holder->gid != NULL) {
        strbuf_printf(&text, "prepared transaction %s", holder->gid);
    } else {
        strbuf_printf(&text, "pid %d", holder->pid);
    }
    if (holder->is_autovacuum) {
        strbuf_printf(
            &text, " (autovacuum%s)", holder->is_wraparound ? " to prevent wraparound" : "");
    } else if (holder->application[0] != '\0') {
        strbuf_printf(&text, " (%s)", holder->application);
    }
    if (holder->state != NULL && strcmp(holder->state, "active") != 0) {
        strbuf_printf(&text, ", %s", holder->state);
    }
    if (holder->transaction_age_s >= 0) {
        strbuf_printf(&text, ", open for %s",
            format_duration((int64_t)(holder->transaction_age_s * 1e6), age));
    }
    strbuf_printf(&text, ", %s", holder->table_mode);
    return arena_strdup(arena, strbuf_text(&text));
}

bool
probe_table_holders(PgConn *conn, uint32_t table_oid, Arena *arena, const char **text, Err *err)
{
    Waits waits;
    WaitQuestion question = {.table_oid = table_oid};
    const WaitSession *longest = NULL;
    *text = NULL;
    if (!probe_waits(conn, &question, arena, &waits, err)) {
        return false;
    }
    for (int i = 0; i < waits.graph.node_count; i++) {
        const WaitSession *session = &waits.sessions[i];
        if (session->table_mode != NULL && !session->is_ours &&
            is_longer_holder(session, longest)) {
            longest = session;
        }
    }
    if (longest != NULL) {
        *text = describe_holder(longest, arena);
    }
    return true;
}
