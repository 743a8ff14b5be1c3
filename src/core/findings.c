/*
 * findings.c - the list of findings, and those about the server and its standbys.
 */
#include "core/findings.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "core/findings_collector.h"
#include "core/ident.h"
#include "core/suggest.h"

/* The oldest server that the mover is tested with. */
#define OLDEST_VERSION_NUM 140000

/* ---- the list ---- */

static void
append(Findings *findings, Arena *arena, Finding finding)
{
    if (findings->count == findings->size) {
        int size = findings->size == 0 ? 16 : findings->size * 2;
        Finding *items = arena_alloc(arena, (size_t)size * sizeof(*items));
        if (findings->count > 0) {
            memcpy(items, findings->items, (size_t)findings->count * sizeof(*items));
        }
        findings->items = items;
        findings->size = size;
    }
    /* Worst first, and within one severity as they come. */
    int at = findings->count;
    while (at > 0 && findings->items[at - 1].severity < finding.severity) {
        findings->items[at] = findings->items[at - 1];
        at--;
    }
    findings->items[at] = finding;
    findings->count++;
    findings->refuse_count += finding.severity == FINDING_REFUSE ? 1 : 0;
}

static const char *
format_text(Arena *arena, const char *fmt, va_list args)
{
    char text[1024]; /* longer than any sentence with three names of 63 characters */
    (void)vsnprintf(text, sizeof(text), fmt, args);
    return arena_strdup(arena, text);
}

void
finding_add(const Collector *c, FindingSeverity severity, const char *code, const char *hint,
    const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const char *text = format_text(c->arena, fmt, args);
    va_end(args);
    append(c->findings, c->arena,
        (Finding){.severity = severity, .code = code, .text = text, .hint = hint});
}

void
finding_risk(const Collector *c, const char *code, const char *hint, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const char *text = format_text(c->arena, fmt, args);
    va_end(args);

    bool allowed = jobspec_allows(c->spec, code);
    if (!allowed) {
        hint = arena_printf(c->arena, "%s%sTo accept this: allow: [%s].", hint == NULL ? "" : hint,
            hint == NULL ? "" : " ", code);
    }
    append(c->findings, c->arena,
        (Finding){.severity = allowed ? FINDING_WARN : FINDING_REFUSE,
            .code = code,
            .text = text,
            .hint = hint,
            .allow = code});
}

void
finding_caution(const Collector *c, const char *code, const char *hint, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const char *text = format_text(c->arena, fmt, args);
    va_end(args);

    bool allowed = jobspec_allows(c->spec, code);
    append(c->findings, c->arena,
        (Finding){.severity = allowed ? FINDING_NOTE : FINDING_WARN,
            .code = code,
            .text = text,
            .hint = allowed ? NULL : hint,
            .allow = code});
}

const char *
finding_ident(const Collector *c, const char *name)
{
    STRBUF_AUTO buf = STRBUF_INIT;
    Err err = ERR_INIT;
    bool quoted = quote_ident(&buf, name, &err);
    assert(quoted); /* the server's own names have passed its checks */
    (void)quoted;
    return arena_strdup(c->arena, strbuf_text(&buf));
}

void
finding_put_name(StrBuf *list, const char *name)
{
    strbuf_printf(list, "%s%s", list->len == 0 ? "" : ", ", name);
}

const char *
finding_suggest_column(const Collector *c, const Facts *facts, const char *name)
{
    const char **names = arena_alloc(c->arena, ((size_t)facts->column_count + 1) * sizeof(*names));
    for (int i = 0; i < facts->column_count; i++) {
        names[i] = facts->columns[i].name;
    }
    const char *near = suggest_nearest(name, names, (size_t)facts->column_count);
    return near == NULL ? NULL : arena_printf(c->arena, "Did you mean %s?", near);
}

void
finding_check_select(const Collector *c, const ColumnFacts *column)
{
    if (column->may_select) {
        return;
    }
    const char *grant = arena_printf(c->arena, "GRANT SELECT (%s) ON %s TO %s;",
        finding_ident(c, column->name), c->table, c->role);
    for (int i = 0; i < c->findings->count; i++) {
        const char *hint = c->findings->items[i].hint;
        if (hint != NULL && strcmp(hint, grant) == 0) {
            return; /* key, SET columns and expressions may name the same column */
        }
    }
    finding_add(c, FINDING_REFUSE, "privilege", grant,
        "role %s lacks SELECT on column \"%s\" of %s", c->role, column->name, c->table);
}

const Finding *
findings_find(const Findings *findings, const char *code)
{
    for (int i = 0; i < findings->count; i++) {
        if (strcmp(findings->items[i].code, code) == 0) {
            return &findings->items[i];
        }
    }
    return NULL;
}

bool
findings_wants_trigger(const JobSpec *spec, const ExprReport *exprs)
{
    if (spec->kind == KIND_PURGE || spec->kind == KIND_RESTORE) {
        return false;
    }
    if (spec->sync != SYNC_AUTO) {
        return spec->sync == SYNC_TRIGGER;
    }
    /* A trigger would apply an expression that builds on its own result again at each write. */
    for (int i = 0; exprs != NULL && i < spec->set_count; i++) {
        if (exprs->set[i].self_referring) {
            return false;
        }
    }
    return true;
}

/* ---- the server ---- */

static void
check_schema(const Collector *c)
{
    const ServerFacts *server = &c->facts->server;
    if (!server->has_schema && !server->may_create_schema) {
        finding_add(c, FINDING_REFUSE, "schema-privilege",
            arena_printf(c->arena, "GRANT CREATE ON DATABASE %s TO %s;",
                finding_ident(c, server->database), c->role),
            "role %s may not create schema pghaul, which holds the progress of jobs", c->role);
    }
    if (!server->may_create_temporary &&
        (c->spec->kind == KIND_BACKFILL || c->spec->kind == KIND_PURGE)) {
        finding_add(c, FINDING_REFUSE, "privilege",
            arena_printf(c->arena, "GRANT TEMPORARY ON DATABASE %s TO %s;",
                finding_ident(c, server->database), c->role),
            "role %s may not create temporary tables, on an empty one of which the expressions are "
            "tried",
            c->role);
    }
    if (server->has_schema && !server->schema_owner_trusted) {
        finding_add(c, FINDING_REFUSE, "schema-owner",
            arena_printf(c->arena, "ALTER SCHEMA pghaul OWNER TO %s; or run as %s.", c->role,
                finding_ident(c, server->schema_owner)),
            "schema pghaul belongs to role %s, whose functions would run as %s",
            finding_ident(c, server->schema_owner), c->role);
    }
    if (server->strange_count > 0) {
        finding_add(c, FINDING_REFUSE, "schema-object",
            arena_printf(c->arena,
                "See what it is, then drop it, or: ALTER %s OWNER TO %s; or run as a role that is "
                "a member of its owner.",
                server->strange, c->role),
            "%d object%s of schema pghaul %s to others than %s trusts, first %s of %s, whose code "
            "would run as %s",
            server->strange_count, server->strange_count == 1 ? "" : "s",
            server->strange_count == 1 ? "belongs" : "belong", c->role, server->strange,
            finding_ident(c, server->strange_owner), c->role);
    }
}

static void
check_connections(const Collector *c)
{
    int workers = c->spec->workers > 0 ? c->spec->workers : 1;
    int needed = workers + FINDINGS_EXTRA_CONNECTIONS;
    int available = c->facts->server.connections_free;
    if (available >= needed) {
        return;
    }
    finding_add(c, FINDING_REFUSE, "connections",
        c->spec->workers > 1 ? "Lower workers: or close other sessions."
                             : "Close other sessions or raise max_connections.",
        "%d connections are free, the job needs %d", available < 0 ? 0 : available, needed);
}

static bool
standby_is_expected(const ThrottleSpec *throttle, const char *name)
{
    if (throttle->standby_mode != STANDBYS_NAMED) {
        return throttle->standby_mode == STANDBYS_AUTO;
    }
    for (int i = 0; i < throttle->standbys.count; i++) {
        if (strcmp(throttle->standbys.names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static const StandbyFacts *
find_standby(const Facts *facts, const char *name)
{
    for (int i = 0; i < facts->standby_count; i++) {
        if (strcmp(facts->standbys[i].name, name) == 0) {
            return &facts->standbys[i];
        }
    }
    return NULL;
}

static void
check_standbys(const Collector *c)
{
    const ThrottleSpec *throttle = &c->spec->throttle;
    const Facts *facts = c->facts;
    const char *grant = arena_printf(c->arena, "GRANT pg_monitor TO %s;", c->role);

    int hidden = 0;
    for (int i = 0; i < facts->standby_count; i++) {
        const StandbyFacts *standby = &facts->standbys[i];
        /* Without the right to read them not even the names are visible. */
        bool expected = standby->name[0] == '\0' ? throttle->standby_mode != STANDBYS_NONE
                                                 : standby_is_expected(throttle, standby->name);
        hidden += expected && !standby->readable ? 1 : 0;
    }
    if (hidden > 0) {
        finding_risk(c, "blind-lag", grant,
            "role %s cannot read the lag of %d standby%s of this server", c->role, hidden,
            hidden == 1 ? "" : "s");
        return;
    }
    for (int i = 0; throttle->standby_mode == STANDBYS_NAMED && i < throttle->standbys.count; i++) {
        const char *name = throttle->standbys.names[i];
        if (find_standby(facts, name) == NULL) {
            finding_add(c, FINDING_WARN, "standby-missing",
                "The job pauses until it is back; names are those of application_name in "
                "pg_stat_replication.",
                "standby \"%s\" does not stream from this server", name);
        }
    }
    if (!facts->server.role_reads_stats) {
        finding_add(c, FINDING_NOTE, "stats-hidden", grant,
            "role %s does not see what other sessions do; signals that need it are off", c->role);
    }
}

static void
check_version(const Collector *c)
{
    const ServerFacts *server = &c->facts->server;
    if (server->version_num < OLDEST_VERSION_NUM) {
        finding_add(c, FINDING_REFUSE, "server-version", "PostgreSQL 14 or later is needed.",
            "the server is PostgreSQL %d", server->version_num / 10000);
    }
}

static void
check_writable(const Collector *c)
{
    const ServerFacts *server = &c->facts->server;
    if (server->in_recovery) {
        finding_add(c, FINDING_REFUSE, "in-recovery",
            "Connect to the primary, for instance with target_session_attrs=read-write.",
            "the server is a standby");
    } else if (server->read_only) {
        finding_add(c, FINDING_REFUSE, "read-only",
            "Find out who set default_transaction_read_only and why: a full disk, a switch-over?",
            "transactions of role %s are read-only by default", c->role);
    }
}

/* One that the server takes for POSIX text it would read, as hours from Greenwich with a sign that
 * nobody expects; so only names that it lists will do. */
static void
check_window(const Collector *c)
{
    const ServerFacts *server = &c->facts->server;
    if (!server->zone_unknown) {
        return;
    }
    finding_add(c, FINDING_REFUSE, "window-zone",
        server->zone_near != NULL ? arena_printf(c->arena, "Did you mean %s?", server->zone_near)
                                  : "SELECT name FROM pg_timezone_names lists those it knows.",
        "%s:%d:%d: the server does not know the time zone %s of schedule.window", c->spec->file,
        c->spec->window.place.line, c->spec->window.place.column, c->spec->window.zone);
}

void
findings_server(const Collector *c)
{
    check_version(c);
    check_writable(c);
    check_schema(c);
    check_connections(c);
    check_standbys(c);
    check_window(c);
}

/* Without a change log nothing is made there. */
void
findings_source_server(const Collector *c)
{
    check_version(c);
    if (c->trigger && c->facts->server.in_recovery) {
        finding_add(c, FINDING_REFUSE, "from-standby",
            "Use sync: none, or point from: to the primary.",
            "the server of the source is a standby, on which no change log can be kept");
    } else if (c->trigger) {
        check_writable(c);
        check_schema(c);
    }
    check_connections(c);
}

/* ---- all ---- */

static void
name_table(Collector *c)
{
    c->role = finding_ident(c, c->facts->server.role);
    c->table = arena_printf(c->arena, "%s.%s", finding_ident(c, c->facts->table.schema),
        finding_ident(c, c->facts->table.name));
}

static Collector
collector_of_target(const Collector *c)
{
    Collector target = *c;
    target.facts = c->facts->into;
    target.is_target = true;
    name_table(&target);
    return target;
}

static void
collect_copy(const Collector *c)
{
    Collector target = collector_of_target(c);
    findings_server(&target); /* where the job's state is */
    if (facts_is_remote(c->facts)) {
        findings_source_server(c);
    }
    findings_source(c);
    findings_target(&target);
    findings_key(c);
    findings_copy(c, &target);
    findings_expressions(c);
    findings_needs(c);
    findings_past(c);
    findings_past(&target);
}

static void
collect_purge(const Collector *c)
{
    findings_server(c);
    findings_table(c);
    findings_key(c);
    if (c->facts->into == NULL) {
        findings_purge(c, NULL);
    } else {
        Collector target = collector_of_target(c);
        findings_purge(c, &target);
    }
    findings_children(c);
    findings_partitions(c);
    findings_expressions(c);
    findings_needs(c);
    findings_past(c);
}

void
findings_collect(const JobSpec *spec, const Facts *facts, const ExprReport *exprs, Arena *arena,
    Findings *findings)
{
    Collector c = {
        .spec = spec, .facts = facts, .exprs = exprs, .arena = arena, .findings = findings};
    name_table(&c);
    c.trigger = findings_wants_trigger(spec, exprs);

    if (spec->kind == KIND_COPY) {
        collect_copy(&c);
        return;
    }
    if (spec->kind == KIND_PURGE) {
        collect_purge(&c);
        return;
    }
    if (spec->kind == KIND_RESTORE) {
        c.is_target = true;
        findings_server(&c);
        findings_target(&c);
        findings_restore(&c);
        findings_past(&c);
        return;
    }
    findings_server(&c);
    findings_table(&c);
    findings_key(&c);
    findings_columns(&c);
    findings_expressions(&c);
    findings_needs(&c);
    findings_past(&c);
}
