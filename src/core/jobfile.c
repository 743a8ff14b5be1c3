/*
 * jobfile.c - a tree of YAML into a JobSpec, driven by the table of keys.
 */
#include "core/jobfile.h"

#include <stdio.h>
#include <string.h>

#include "core/ident.h"
#include "core/jobfile_value.h"
#include "core/jobkeys.h"
#include "core/suggest.h"
#include "core/utf8.h"

#define JOB_NAME_MAX 40

/* Kinds of move that the file format knows and this version does not have. */
static const char *const other_kinds[] = {"copy", "purge"};

typedef struct FileReader {
    JobReader value;
    JobSpec *spec;
} FileReader;

static void *
field_of(JobSpec *spec, const JobKey *key)
{
    return (char *)spec + key->offset;
}

static bool
set_defaults(JobSpec *spec, Err *err)
{
    for (size_t i = 0; i < jobkeys_count(); i++) {
        const JobKey *key = jobkeys_at(i);
        int64_t value;
        if (key->fallback == NULL) {
            continue;
        }
        if (!jobkeys_parse(key, key->fallback, &value, err)) {
            return false;
        }
        jobkeys_store(key, value, spec);
    }
    return true;
}

static bool
read_number(const FileReader *r, const JobKey *key, const JobNode *node)
{
    const char *text;
    int64_t value;
    Err cause = ERR_INIT;
    if (!jobvalue_text(&r->value, node, key->path, &text)) {
        return false;
    }
    if (!jobkeys_parse(key, text, &value, &cause)) {
        return jobvalue_fail(&r->value, node, key->path, &cause);
    }
    jobkeys_store(key, value, r->spec);
    return true;
}

static bool
is_job_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    static const char permitted[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    size_t len = strlen(name);
    return len <= JOB_NAME_MAX && strspn(name, letters) > 0 && strspn(name, permitted) == len;
}

static bool
read_job_name(const FileReader *r, const JobKey *key, const JobNode *node)
{
    if (!jobvalue_text(&r->value, node, key->path, &r->spec->job)) {
        return false;
    }
    if (is_job_name(r->spec->job)) {
        return true;
    }
    char shown[48];
    utf8_shorten(shown, sizeof(shown), r->spec->job);
    (void)jobtext_error(
        r->value.text, node->place, r->value.err, "\"%s\" is not a name for a job", shown);
    return err_hint(r->value.err,
        "A job name begins with a letter a-z and has at most %d of a-z, 0-9, _ and -.",
        JOB_NAME_MAX);
}

static bool
read_table(const FileReader *r, const JobKey *key, const JobNode *node)
{
    const char *schema;
    const char *name;
    Err cause = ERR_INIT;
    if (!jobvalue_text(&r->value, node, key->path, &r->spec->table)) {
        return false;
    }
    r->spec->table_place = node->place;
    if (!ident_parse_qualified(r->spec->table, r->value.arena, &schema, &name, &cause)) {
        return jobvalue_fail(&r->value, node, key->path, &cause);
    }
    return true;
}

static bool
read_assignment(const FileReader *r, const JobNode *node, Assignment *assignment)
{
    Err cause = ERR_INIT;
    if (!ident_check(node->key->text, &cause)) {
        return jobvalue_fail(&r->value, node->key, "set", &cause);
    }
    assignment->column = node->key->text;
    assignment->place = node->key->place;
    const char *path = arena_printf(r->value.arena, "set.%s", node->key->text);
    return jobvalue_sql(&r->value, node, path, &assignment->expr);
}

static bool
read_assignments(const FileReader *r, const JobNode *node)
{
    if (node->kind != NODE_MAP || node->count == 0) {
        (void)jobtext_error(
            r->value.text, node->place, r->value.err, "set needs at least one column");
        return err_hint(r->value.err, "Write one line per column, indented: column: SQL.");
    }
    JobSpec *spec = r->spec;
    spec->set = arena_alloc(r->value.arena, (size_t)node->count * sizeof(*spec->set));
    for (const JobNode *member = node->first; member != NULL; member = member->next) {
        if (!read_assignment(r, member, &spec->set[spec->set_count])) {
            return false;
        }
        spec->set_count++;
    }
    return true;
}

/* The node of the list with this index; the node itself when it is a single name. */
static const JobNode *
item_at(const JobNode *node, int index)
{
    if (node->kind != NODE_LIST) {
        return node;
    }
    const JobNode *item = node->first;
    for (int i = 0; i < index; i++) {
        item = item->next;
    }
    return item;
}

static bool
read_risks(const FileReader *r, const JobKey *key, const JobNode *node)
{
    NameList *list = &r->spec->allow;
    if (!jobvalue_names(&r->value, node, key->path, list)) {
        return false;
    }
    for (int i = 0; i < list->count; i++) {
        int64_t unused;
        Err cause = ERR_INIT;
        if (!jobkeys_parse(key, list->names[i], &unused, &cause)) {
            return jobvalue_fail(&r->value, item_at(node, i), key->path, &cause);
        }
    }
    return true;
}

static bool
read_standbys(const FileReader *r, const JobKey *key, const JobNode *node)
{
    if (node->kind != NODE_LIST) {
        if (read_number(r, key, node)) {
            return true;
        }
        return err_hint(r->value.err, "Write auto, none, or a list of names: [name, ...].");
    }
    r->spec->throttle.standby_mode = STANDBYS_NAMED;
    return jobvalue_names(&r->value, node, key->path, &r->spec->throttle.standbys);
}

static bool read_section(const FileReader *r, const JobNode *map, const char *section);

static bool
read_key(const FileReader *r, const JobKey *key, const JobNode *node)
{
    switch (key->type) {
    case KEY_SECTION:
        return read_section(r, node, key->path);
    case KEY_JOB_NAME:
        return read_job_name(r, key, node);
    case KEY_TABLE:
        return read_table(r, key, node);
    case KEY_ASSIGNMENTS:
        return read_assignments(r, node);
    case KEY_SQL:
        return jobvalue_sql(&r->value, node, key->path, field_of(r->spec, key));
    case KEY_COLUMNS:
        r->spec->key_place = node->place;
        return jobvalue_names(&r->value, node, key->path, field_of(r->spec, key));
    case KEY_NAMES:
        return jobvalue_names(&r->value, node, key->path, field_of(r->spec, key));
    case KEY_RISKS:
        return read_risks(r, key, node);
    case KEY_STANDBYS:
        return read_standbys(r, key, node);
    case KEY_CHOICE:
    case KEY_COUNT:
    case KEY_DURATION:
    case KEY_SIZE:
        break;
    }
    return read_number(r, key, node);
}

static void
put_members(const char *section, StrBuf *out)
{
    for (size_t i = 0; i < jobkeys_count(); i++) {
        const JobKey *key = jobkeys_at(i);
        if (jobkeys_is_member(key, section)) {
            strbuf_printf(out, "%s%s", out->len == 0 ? "" : ", ", jobkeys_leaf(key));
        }
    }
}

static bool
fail_unknown(const FileReader *r, const JobNode *key, const char *section)
{
    char shown[80];
    utf8_shorten(shown, sizeof(shown), key->text);
    (void)jobtext_error(r->value.text, key->place, r->value.err, "unknown key \"%s\"%s%s", shown,
        section[0] == '\0' ? "" : " in ", section);
    const char *nearest = jobkeys_suggest(section, key->text);
    if (nearest != NULL) {
        return err_hint(r->value.err, "Did you mean %s?", nearest);
    }
    STRBUF_AUTO members = STRBUF_INIT;
    put_members(section, &members);
    return err_hint(r->value.err, "Known keys here: %s.", strbuf_text(&members));
}

static bool
read_section(const FileReader *r, const JobNode *map, const char *section)
{
    if (map->kind != NODE_MAP) {
        STRBUF_AUTO members = STRBUF_INIT;
        put_members(section, &members);
        (void)jobtext_error(r->value.text, map->place, r->value.err, "%s must be a mapping",
            section[0] == '\0' ? "a job file" : section);
        return err_hint(r->value.err, "Write key: value; keys here: %s.", strbuf_text(&members));
    }
    for (const JobNode *node = map->first; node != NULL; node = node->next) {
        const char *path = arena_printf(
            r->value.arena, "%s%s%s", section, section[0] == '\0' ? "" : ".", node->key->text);
        const JobKey *key = jobkeys_find(path);
        if (key == NULL || !jobkeys_is_member(key, section)) {
            return fail_unknown(r, node->key, section);
        }
        if (!read_key(r, key, node)) {
            return false;
        }
    }
    return true;
}

/* Said before any other key is looked at: the keys of other kinds would only be unknown. */
static bool
check_kind(const FileReader *r, const JobNode *root)
{
    bool has_backfill = jobtree_member(root, "backfill") != NULL;
    for (size_t i = 0; i < sizeof(other_kinds) / sizeof(other_kinds[0]); i++) {
        const JobNode *other = jobtree_member(root, other_kinds[i]);
        if (other == NULL) {
            continue;
        }
        if (has_backfill) {
            (void)jobtext_error(r->value.text, other->key->place, r->value.err,
                "a job has one kind, here it has two: backfill and %s", other_kinds[i]);
            return err_hint(r->value.err, "Remove %s: and its keys.", other_kinds[i]);
        }
        (void)jobtext_error(r->value.text, other->key->place, r->value.err,
            "this version cannot run jobs of the kind %s", other_kinds[i]);
        return err_hint(r->value.err, "It moves rows with backfill only.");
    }
    return true;
}

static bool
check_required(const FileReader *r, const JobNode *root)
{
    static const struct {
        const char *key;
        const char *hint;
    } required_keys[] = {
        {"job", "Add for instance: job: fill-orders."},
        {"backfill", "Add backfill: and the table whose columns are to be filled."},
        {"set", "Add set: and below it, indented, column: SQL."},
    };

    for (size_t i = 0; i < sizeof(required_keys) / sizeof(required_keys[0]); i++) {
        if (jobtree_member(root, required_keys[i].key) == NULL) {
            (void)jobtext_error(r->value.text, root->place, r->value.err, "key \"%s\" is missing",
                required_keys[i].key);
            return err_hint(r->value.err, "%s", required_keys[i].hint);
        }
    }
    return true;
}

/* The server ends a statement after yield_after: a longer aim could never be reached. */
static bool
check_batch_time(const FileReader *r, const JobNode *root)
{
    const JobNode *batch = jobtree_member(root, "batch");
    const JobNode *time = batch == NULL ? NULL : jobtree_member(batch, "time");
    if (time == NULL || r->spec->batch_time_us <= r->spec->throttle.yield_after_us) {
        return true;
    }
    (void)jobtext_error(
        r->value.text, time->place, r->value.err, "batch.time is longer than throttle.yield_after");
    return err_hint(r->value.err,
        "A batch is given up after throttle.yield_after; about a quarter of it is a good aim.");
}

/* A file saved on Windows may begin with a byte order mark, which is no part of the text. */
static JobText
without_mark(const char *file, const char *source, size_t len)
{
    bool has_mark = len >= 3 && memcmp(source, "\xEF\xBB\xBF", 3) == 0;
    size_t skip = has_mark ? 3 : 0;
    return (JobText){.file = file, .bytes = source + skip, .len = len - skip};
}

bool
jobfile_parse(
    const char *file, const char *source, size_t len, Arena *arena, JobSpec *spec, Err *err)
{
    JobText text = without_mark(file, source, len);
    if (!jobtext_check(&text, err)) {
        return false;
    }
    text.file = arena_strdup(arena, file);
    text.bytes = arena_strndup(arena, text.bytes, text.len);
    *spec = (JobSpec){.file = text.file, .source = text.bytes};

    FileReader r = {.value = {.text = &text, .arena = arena, .err = err}, .spec = spec};
    JobNode *root = NULL;
    if (!set_defaults(spec, err) || !jobtree_parse(&text, arena, &root, err)) {
        return false;
    }
    if (root->kind == NODE_MAP && !check_kind(&r, root)) {
        return false;
    }
    return read_section(&r, root, "") && check_required(&r, root) && check_batch_time(&r, root);
}

const char *
jobfile_written(const JobSpec *spec, const char *path, Arena *arena)
{
    JobText text = {.file = spec->file, .bytes = spec->source, .len = strlen(spec->source)};
    JobNode *root = NULL;
    Err ignored = ERR_INIT; /* it was parsed before */
    if (!jobtree_parse(&text, arena, &root, &ignored)) {
        return NULL;
    }
    const JobNode *node = root;
    for (const char *part = path; node != NULL && part != NULL;) {
        size_t len = strcspn(part, ".");
        const char *key = arena_strndup(arena, part, len);
        node = node->kind == NODE_MAP ? jobtree_member(node, key) : NULL;
        part = part[len] == '.' ? part + len + 1 : NULL;
    }
    return node != NULL && node->kind == NODE_SCALAR ? node->text : NULL;
}
