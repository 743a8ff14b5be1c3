#include "core/waits.h"

#include <stddef.h>
#include <string.h>

#include "base/strbuf.h"
#include "core/ident.h"

/* ---- ours ---- */

#define OURS "pghaul/"

bool
waits_is_ours(const char *application, Arena *arena, const char **job)
{
    *job = NULL;
    if (strncmp(application, OURS, strlen(OURS)) != 0) {
        return false;
    }
    const char *name = application + strlen(OURS);
    const char *end = strchr(name, '/');
    if (end != NULL) {
        *job = arena_strndup(arena, name, (size_t)(end - name));
    }
    return true;
}

/* ---- remedies ---- */

Remedy
waits_remedy(const WaitSession *session)
{
    if (session->is_ours) {
        return session->job == NULL ? REMEDY_NONE : REMEDY_PAUSE;
    }
    if (session->gid != NULL) {
        return REMEDY_ROLLBACK;
    }
    bool idle = session->state != NULL && strncmp(session->state, "idle", 4) == 0;
    return idle ? REMEDY_TERMINATE : REMEDY_CANCEL;
}

const char *
waits_cancel_sql(const WaitSession *session, Arena *arena)
{
    return waits_remedy(session) == REMEDY_CANCEL
               ? arena_printf(arena, "SELECT pg_cancel_backend(%d);", session->pid)
               : NULL;
}

const char *
waits_terminate_sql(const WaitSession *session, Arena *arena)
{
    Remedy remedy = waits_remedy(session);
    return remedy == REMEDY_CANCEL || remedy == REMEDY_TERMINATE
               ? arena_printf(arena, "SELECT pg_terminate_backend(%d);", session->pid)
               : NULL;
}

const char *
waits_rollback_sql(const WaitSession *session, Arena *arena)
{
    if (waits_remedy(session) != REMEDY_ROLLBACK) {
        return NULL;
    }
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_puts(&sql, "ROLLBACK PREPARED ");
    quote_literal_append(&sql, session->gid);
    strbuf_putc(&sql, ';');
    return arena_strdup(arena, strbuf_text(&sql));
}

const char *
waits_command(const WaitSession *session, Arena *arena)
{
    return waits_remedy(session) == REMEDY_PAUSE
               ? arena_printf(arena, "pghaul pause %s", session->job)
               : NULL;
}

/* ---- modes ---- */

#define BIT(rank) (1U << (unsigned)(rank))

/* By rank from 1: the name, and the ranks that it excludes. */
static const struct {
    const char *name;
    unsigned excludes;
} MODES[] = {
    {"AccessShareLock", BIT(8)},
    {"RowShareLock", BIT(7) | BIT(8)},
    {"RowExclusiveLock", BIT(5) | BIT(6) | BIT(7) | BIT(8)},
    {"ShareUpdateExclusiveLock", BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8)},
    {"ShareLock", BIT(3) | BIT(4) | BIT(6) | BIT(7) | BIT(8)},
    {"ShareRowExclusiveLock", BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8)},
    {"ExclusiveLock", BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8)},
    {"AccessExclusiveLock", BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8)},
};
#define MODE_COUNT ((int)(sizeof(MODES) / sizeof(MODES[0])))

int
waits_mode_rank(const char *mode)
{
    for (int i = 0; i < MODE_COUNT; i++) {
        if (strcmp(mode, MODES[i].name) == 0) {
            return i + 1;
        }
    }
    return 0;
}

bool
waits_modes_conflict(const char *wanted, const char *held)
{
    int rank = waits_mode_rank(wanted);
    return rank > 0 && (MODES[rank - 1].excludes & BIT(waits_mode_rank(held))) != 0;
}
