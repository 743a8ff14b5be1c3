#include "core/jobspec_diff.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "core/format.h"
#include "core/ident.h"
#include "core/utf8.h"

/* Two values in one line of a message. */
#define SHOWN_SIZE 72

typedef struct Comparison {
    StrBuf *out;
    int count;
} Comparison;

/* ---- one key ---- */

static void
put_value(StrBuf *out, const char *value)
{
    char shown[SHOWN_SIZE];
    if (value == NULL) {
        strbuf_puts(out, "absent");
        return;
    }
    utf8_shorten(shown, sizeof(shown), value);
    const char *quote = strchr(shown, '"') == NULL ? "\"" : "'"; /* a quoted name, say */
    strbuf_printf(out, "%s%s%s", quote, shown, quote);
}

/* Where to begin to show two long values, so that their first difference is seen. */
static size_t
shown_from(const char *was, const char *is)
{
    size_t same = 0;
    while (was[same] != '\0' && was[same] == is[same]) {
        same++;
    }
    if (same < SHOWN_SIZE / 2) {
        return 0;
    }
    same -= SHOWN_SIZE / 4;
    while (same > 0 && ((unsigned char)was[same] & 0xc0U) == 0x80U) {
        same--; /* not in the middle of a character */
    }
    return same;
}

static void
report(Comparison *c, const char *section, const char *key, const char *was, const char *is)
{
    size_t from = was == NULL || is == NULL ? 0 : shown_from(was, is);
    const char *cut = from == 0 ? "" : "..., ";
    strbuf_printf(c->out, "%s%s%s was %s", c->count == 0 ? "" : "; ", section, key, cut);
    put_value(c->out, was == NULL ? NULL : was + from);
    strbuf_printf(c->out, ", is %s", cut);
    put_value(c->out, is == NULL ? NULL : is + from);
    c->count++;
}

static bool
is_same(const char *was, const char *is)
{
    return was == NULL || is == NULL ? was == is : strcmp(was, is) == 0;
}

static void
compare_texts(Comparison *c, const char *key, const char *was, const char *is)
{
    if (!is_same(was, is)) {
        report(c, "", key, was, is);
    }
}

/* ---- each kind of key ---- */

static bool
is_same_table(const char *was, const char *is)
{
    Arena arena = ARENA_INIT;
    Err err = ERR_INIT;
    const char *schemas[2] = {NULL, NULL};
    const char *names[2] = {NULL, NULL};
    bool same = ident_parse_qualified(was, &arena, &schemas[0], &names[0], &err) &&
                ident_parse_qualified(is, &arena, &schemas[1], &names[1], &err) &&
                strcmp(names[0], names[1]) == 0 &&
                (schemas[0] == NULL || schemas[1] == NULL || is_same(schemas[0], schemas[1]));
    arena_reset(&arena);
    return same;
}

/* `set:`, `map:` or `reverse_map:`. */
typedef struct Assignments {
    const Assignment *items;
    int count;
} Assignments;

static const Assignment *
find_assignment(const Assignments *list, const char *column)
{
    for (int i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].column, column) == 0) {
            return &list->items[i];
        }
    }
    return NULL;
}

static void
compare_assignments(Comparison *c, const char *key, const Assignments *was, const Assignments *is)
{
    char section[16];
    (void)snprintf(section, sizeof(section), "%s.", key);
    int before = c->count;
    bool same_order = was->count == is->count;
    for (int i = 0; i < was->count; i++) {
        const Assignment *old = &was->items[i];
        const Assignment *new = find_assignment(is, old->column);
        const char *text = new == NULL ? NULL : new->expr.text;
        if (!is_same(old->expr.text, text)) {
            report(c, section, old->column, old->expr.text, text);
        }
        same_order = same_order && strcmp(is->items[i].column, old->column) == 0;
    }
    for (int i = 0; i < is->count; i++) {
        if (find_assignment(was, is->items[i].column) == NULL) {
            report(c, section, is->items[i].column, NULL, is->items[i].expr.text);
        }
    }
    if (c->count == before && !same_order) {
        strbuf_printf(
            c->out, "%sthe columns of %s are in another order", c->count == 0 ? "" : "; ", key);
        c->count++;
    }
}

static void
compare_names(Comparison *c, const char *key, const NameList *was, const NameList *is)
{
    const NameList *lists[] = {was, is};
    const char *texts[2] = {NULL, NULL};
    STRBUF_AUTO was_text = STRBUF_INIT;
    STRBUF_AUTO is_text = STRBUF_INIT;
    StrBuf *buffers[] = {&was_text, &is_text};
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < lists[side]->count; i++) {
            strbuf_printf(buffers[side], "%s%s", i == 0 ? "" : ", ", lists[side]->names[i]);
        }
        texts[side] = lists[side]->count == 0 ? NULL : strbuf_text(buffers[side]);
    }
    compare_texts(c, key, texts[0], texts[1]);
}

/* Without the values: what libpq takes for a password cannot be known here. */
static void
compare_connections(Comparison *c, const char *key, const char *was, const char *is)
{
    if (!is_same(was, is)) {
        strbuf_printf(c->out, "%s%s is another connection string", c->count == 0 ? "" : "; ", key);
        c->count++;
    }
}

/* It stands in the function that records changes. */
static void
compare_log_bytes(Comparison *c, const JobSpec *was, const JobSpec *is)
{
    char texts[2][FORMAT_SIZE];
    if (is->kind == KIND_COPY && is->sync != SYNC_NONE &&
        was->limits.log_bytes != is->limits.log_bytes) {
        report(c, "limits.", "log_bytes", format_bytes(was->limits.log_bytes, texts[0]),
            format_bytes(is->limits.log_bytes, texts[1]));
    }
}

/* A copy always has one, a purge may. */
static void
compare_into(Comparison *c, const JobSpec *was, const JobSpec *is)
{
    bool both = was->into != NULL && is->into != NULL;
    if (both ? !is_same_table(was->into, is->into)
             : was->kind == is->kind && was->into != is->into) {
        report(c, "", "into", was->into, is->into);
    }
}

/* Of a purge and its way back.  What can be written otherwise tomorrow (level) does not count. */
static void
compare_archive(Comparison *c, const JobSpec *was, const JobSpec *is)
{
    static const char *const CHILDREN[] = {
        [CHILDREN_REFUSE] = "refuse", [CHILDREN_DELETE] = "delete"};
    char texts[2][24];
    compare_texts(c, "archive", was->archive.path, is->archive.path);
    compare_texts(c, "archive_table", was->archive_table, is->archive_table);
    compare_texts(c, "children", CHILDREN[was->children], CHILDREN[is->children]);
    (void)snprintf(texts[0], sizeof(texts[0]), "%lld", (long long)was->archive_run);
    (void)snprintf(texts[1], sizeof(texts[1]), "%lld", (long long)is->archive_run);
    compare_texts(c, "archive_run", was->archive_run == 0 ? NULL : texts[0],
        is->archive_run == 0 ? NULL : texts[1]);
}

int
jobspec_compare(StrBuf *out, const JobSpec *was, const JobSpec *is)
{
    static const char *const PATHS[] = {
        [PATH_AUTO] = "auto", [PATH_KEY] = "key", [PATH_BLOCK] = "block"};
    static const char *const SYNCS[] = {
        [SYNC_AUTO] = NULL, [SYNC_TRIGGER] = "trigger", [SYNC_NONE] = "none"};
    static const char *const INDEXES[] = {[INDEXES_BEFORE] = "before", [INDEXES_AFTER] = "after"};
    static const char *const CONFLICTS[] = {[ON_CONFLICT_ERROR] = "error",
        [ON_CONFLICT_SKIP] = "skip",
        [ON_CONFLICT_UPDATE] = "update"};
    Comparison c = {.out = out};
    const char *kind = jobspec_kind_name(is->kind);
    compare_texts(&c, "the kind", jobspec_kind_name(was->kind), kind);
    if (!is_same_table(was->table, is->table)) {
        report(&c, "", kind, was->table, is->table);
    }
    compare_into(&c, was, is);
    compare_connections(&c, "from", was->from, is->from);
    compare_connections(&c, "to", was->to, is->to);
    compare_assignments(&c, is->kind == KIND_COPY ? "map" : "set",
        &(Assignments){was->set, was->set_count}, &(Assignments){is->set, is->set_count});
    compare_assignments(&c, "reverse_map", &(Assignments){was->reverse_map, was->reverse_count},
        &(Assignments){is->reverse_map, is->reverse_count});
    compare_texts(&c, "where", was->where.text, is->where.text);
    compare_names(&c, "key", &was->key, &is->key);
    compare_texts(&c, "path", PATHS[was->path], PATHS[is->path]);
    compare_texts(&c, "sync", SYNCS[was->sync], SYNCS[is->sync]);
    compare_texts(&c, "on_conflict", CONFLICTS[was->on_conflict], CONFLICTS[is->on_conflict]);
    compare_log_bytes(&c, was, is);
    compare_archive(&c, was, is);
    compare_texts(&c, "indexes", INDEXES[was->indexes], INDEXES[is->indexes]);
    compare_names(&c, "search_path", &was->search_path, &is->search_path);
    return c.count;
}

/* ---- in words ---- */

const char *
jobspec_changed_text(const JobSpec *was, const JobSpec *is, Arena *arena)
{
    if (was == NULL) {
        return arena_printf(
            arena, "job %s was begun with something else than its job file says now", is->job);
    }
    STRBUF_AUTO changes = STRBUF_INIT;
    if (jobspec_compare(&changes, was, is) > 0) {
        return arena_printf(arena,
            "the job file of %s no longer says what the job was begun with: %s", is->job,
            strbuf_text(&changes));
    }
    return arena_printf(arena,
        "the table of job %s changed so that key, path or sync would no longer be those that the "
        "job was begun with",
        is->job);
}

const char *
jobspec_changed_hint(const JobSpec *is, Arena *arena)
{
    return arena_printf(arena,
        "Put it back as it was, or pghaul clean %s and begin anew, or give the job another name.",
        is->job);
}
