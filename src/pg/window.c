#include "pg/window.h"

#include <stdio.h>
#include <strings.h>

#include "core/suggest.h"
#include "pg/params.h"

/* Is m.at in the window?  $1 and $2 are its bounds in minutes, $3 the zone. */
#define SQL_IS_OPEN                                                                                \
    "(SELECT CASE WHEN $1::pg_catalog.int4 < $2::pg_catalog.int4\n"                                \
    "             THEN l.minute >= $1 AND l.minute < $2\n"                                         \
    "             ELSE l.minute >= $1 OR l.minute < $2 END\n"                                      \
    "   FROM (SELECT EXTRACT(hour FROM w.local) * 60 + EXTRACT(minute FROM w.local) AS minute\n"   \
    "           FROM (SELECT m.at AT TIME ZONE $3::pg_catalog.text AS local) w) l)"

/*
 * Whatever a zone does with its clock, it does it at a full minute: of those of the next three days
 * the first one that differs from now is the change.
 */
static const char SQL_ASK[] =
    "WITH now AS (\n"
    "    SELECT COALESCE($4::pg_catalog.timestamptz, pg_catalog.clock_timestamp()) AS at),\n"
    "m AS (\n"
    "    SELECT n.no, CASE n.no WHEN 0 THEN now.at ELSE pg_catalog.date_trunc('minute', now.at)\n"
    "               + n.no * '1 min'::pg_catalog.interval END AS at\n"
    "      FROM now, pg_catalog.generate_series(0, 3 * 24 * 60) AS n (no)),\n"
    "o AS (SELECT m.no, m.at, " SQL_IS_OPEN " AS is_open FROM m)\n"
    "SELECT f.is_open, EXTRACT(epoch FROM c.at - f.at),\n"
    "       pg_catalog.to_char(c.at AT TIME ZONE $3, 'YYYY-MM-DD HH24:MI')\n"
    "  FROM o f\n"
    "  LEFT JOIN LATERAL (SELECT o.at FROM o WHERE o.is_open <> f.is_open\n"
    "                      ORDER BY o.no LIMIT 1) c ON true\n"
    " WHERE f.no = 0";

static const char SQL_OPEN_NOW[] =
    "SELECT " SQL_IS_OPEN " FROM (SELECT pg_catalog.clock_timestamp() AS at) m";

static void
put_window(Params *params, const WindowSpec *window)
{
    params_int(params, window->begin_minute);
    params_int(params, window->end_minute);
    params_text(params, window->zone);
}

bool
window_ask(PgConn *conn, const WindowSpec *window, const char *at, WindowState *state, Err *err)
{
    Params params = PARAMS_INIT;
    put_window(&params, window);
    params_text(&params, at);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_ASK, &params, &result, err)) {
        return err_wrap(err, "schedule.window");
    }
    *state = (WindowState){
        .is_open = result_bool(result, 0, 0),
        .changes = !result_is_null(result, 0, 1),
        .change_s = result_float(result, 0, 1),
    };
    (void)snprintf(state->change_at, sizeof(state->change_at), "%s %s", result_text(result, 0, 2),
        window->zone);
    return true;
}

bool
window_is_open(PgConn *conn, const WindowSpec *window, bool *is_open, Err *err)
{
    Params params = PARAMS_INIT;
    put_window(&params, window);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_OPEN_NOW, &params, &result, err)) {
        return err_wrap(err, "schedule.window");
    }
    *is_open = result_bool(result, 0, 0);
    return true;
}

static const char SQL_ZONES[] = "SELECT z.name FROM pg_catalog.pg_timezone_names z ORDER BY z.name";

bool
window_find_zone(
    PgConn *conn, const WindowSpec *window, Arena *arena, ServerFacts *server, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (window->text == NULL) {
        return true;
    }
    if (!query_run(conn, SQL_ZONES, &result, err)) {
        return err_wrap(err, "time zones");
    }
    int count = result_rows(result);
    const char **names = arena_alloc(arena, ((size_t)count + 1) * sizeof(*names));
    for (int i = 0; i < count; i++) {
        names[i] = result_dup(result, i, 0, arena);
        if (strcasecmp(names[i], window->zone) == 0) {
            return true;
        }
    }
    server->zone_unknown = true;
    server->zone_near = suggest_nearest(window->zone, names, (size_t)count);
    return true;
}
