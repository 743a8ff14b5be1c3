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

typedef struct FileReader {
    JobReader value;
    JobSpec *spec;
    bool has_kind; /* spec->kind is that of the file */
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
    const char **table = field_of(r->spec, key);
    if (!jobvalue_text(&r->value, node, key->path, table)) {
        return false;
    }
    Place *place = table == &r->spec->into ? &r->spec->into_place : &r->spec->table_place;
    *place = table == &r->spec->archive_table ? *place : node->place;
    if (!ident_parse_qualified(*table, r->value.arena, &schema, &name, &cause)) {
        return jobvalue_fail(&r->value, node, key->path, &cause);
    }
    return true;
}

static bool
read_assignment(const FileReader *r, const JobKey *key, const JobNode *node, Assignment *assignment)
{
    Err cause = ERR_INIT;
    if (!ident_check(node->key->text, &cause)) {
        return jobvalue_fail(&r->value, node->key, key->path, &cause);
    }
    assignment->column = node->key->text;
    assignment->place = node->key->place;
    const char *path = arena_printf(r->value.arena, "%s.%s", key->path, node->key->text);
    return jobvalue_sql(&r->value, node, path, &assignment->expr);
}

static bool
read_assignments(const FileReader *r, const JobKey *key, const JobNode *node)
{
    if (node->kind != NODE_MAP || node->count == 0) {
        (void)jobtext_error(
            r->value.text, node->place, r->value.err, "%s needs at least one column", key->path);
        return err_hint(r->value.err, "Write one line per column, indented: column: SQL.");
    }
    bool is_reverse = key->offset == offsetof(JobSpec, reverse_map);
    int *count = is_reverse ? &r->spec->reverse_count : &r->spec->set_count;
    Assignment *list = arena_alloc(r->value.arena, (size_t)node->count * sizeof(*list));
    *(is_reverse ? &r->spec->reverse_map : &r->spec->set) = list;
    for (const JobNode *member = node->first; member != NULL; member = member->next) {
        if (!read_assignment(r, key, member, &list[*count])) {
            return false;
        }
        (*count)++;
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

/* A folder.  A job is also run by its name, from any directory, and by cron: none is meant but one
 * that begins at the root. */
static bool
read_path(const FileReader *r, const JobKey *key, const JobNode *node)
{
    ArchiveSpec *archive = &r->spec->archive;
    archive->place = node->place;
    if (!jobvalue_text(&r->value, node, key->path, &archive->path)) {
        return false;
    }
    if (archive->path[0] == '/') {
        return true;
    }
    (void)jobtext_error(
        r->value.text, node->place, r->value.err, "%s must begin with /", key->path);
    return err_hint(
        r->value.err, "Write the whole path of the folder: a job may be run from any directory.");
}

/* A folder, or a mapping of it and how it is written. */
static bool
read_archive(const FileReader *r, const JobKey *key, const JobNode *node)
{
    if (node->kind != NODE_MAP) {
        return read_path(r, key, node);
    }
    if (!read_section(r, node, key->path)) {
        return false;
    }
    if (r->spec->archive.path != NULL) {
        return true;
    }
    (void)jobtext_error(r->value.text, node->place, r->value.err, "%s.path is missing", key->path);
    return err_hint(r->value.err, "Add path: and the folder of the files.");
}

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
    case KEY_CONNECTION:
        *(key->offset == offsetof(JobSpec, from) ? &r->spec->from_place : &r->spec->to_place) =
            node->place;
        return jobvalue_text(&r->value, node, key->path, field_of(r->spec, key));
    case KEY_ASSIGNMENTS:
        return read_assignments(r, key, node);
    case KEY_SQL:
        return jobvalue_sql(&r->value, node, key->path, field_of(r->spec, key));
    case KEY_PATH:
        return read_path(r, key, node);
    case KEY_ARCHIVE:
        return read_archive(r, key, node);
    case KEY_WINDOW:
        return jobvalue_window(&r->value, node, key->path, &r->spec->window);
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
put_members(const FileReader *r, const char *section, StrBuf *out)
{
    for (size_t i = 0; i < jobkeys_count(); i++) {
        const JobKey *key = jobkeys_at(i);
        bool belongs = !r->has_kind || jobkeys_belongs(key, r->spec->kind);
        if (belongs && jobkeys_is_member(key, section)) {
            strbuf_printf(out, "%s%s", out->len == 0 ? "" : ", ", jobkeys_leaf(key));
        }
    }
}

/* A key that jobs of another kind have. */
static bool
fail_kind(const FileReader *r, const JobKey *key, const JobNode *node)
{
    const char *kind = jobspec_kind_name(r->spec->kind);
    STRBUF_AUTO kinds = STRBUF_INIT;
    jobkeys_put_kinds(key, " or ", "", &kinds);
    (void)jobtext_error(r->value.text, node->key->place, r->value.err,
        "%s is a key of jobs of the kind %s, this one is a %s", key->path, strbuf_text(&kinds),
        kind);
    if (key->type == KEY_ASSIGNMENTS &&
        (r->spec->kind == KIND_BACKFILL || r->spec->kind == KIND_COPY)) {
        return err_hint(r->value.err, "The columns of a %s stand below %s:.", kind,
            r->spec->kind == KIND_COPY ? "map" : "set");
    }
    return err_hint(r->value.err, "Remove it.");
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
    put_members(r, section, &members);
    return err_hint(r->value.err, "Known keys here: %s.", strbuf_text(&members));
}

static bool
read_section(const FileReader *r, const JobNode *map, const char *section)
{
    if (map->kind != NODE_MAP) {
        STRBUF_AUTO members = STRBUF_INIT;
        put_members(r, section, &members);
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
        if (r->has_kind && !jobkeys_belongs(key, r->spec->kind)) {
            return fail_kind(r, key, node);
        }
        if (!read_key(r, key, node)) {
            return false;
        }
    }
    return true;
}

/* A password in a connection string.  Textual; what only libpq can see, pg refuses. */
static bool
has_password(const char *text)
{
    for (const char *at = strstr(text, "password"); at != NULL; at = strstr(at + 1, "password")) {
        const char *end = at + strlen("password");
        if (end[strspn(end, " \t\r\n")] == '=') {
            return true;
        }
    }
    const char *authority = strstr(text, "://");
    if (authority == NULL && strchr(text, '=') != NULL) {
        return false;
    }
    const char *colon = strchr(authority == NULL ? text : authority + 3, ':');
    return colon != NULL && colon[strcspn(colon, "@?")] == '@';
}

/* Said before anything else, since an excerpt of the file could show the password. */
static bool
check_connection(const FileReader *r, const JobNode *root, const char *path)
{
    const JobNode *node = jobtree_member(root, path);
    if (node == NULL || node->kind == NODE_LIST) {
        return true;
    }
    Err *err = r->value.err;
    if (node->kind == NODE_MAP) {
        (void)jobtext_error(
            r->value.text, node->place, err, "%s must be a single value, not a mapping", path);
        (void)err_hint(err, "Write a connection string: host=db1 dbname=shop.");
    } else if (has_password(node->text)) {
        (void)jobtext_error(r->value.text, node->place, err, "%s contains a password", path);
        (void)err_hint(err, "The job file is kept in the database: use PGPASSFILE, a service file "
                            "or PGPASSWORD.");
    } else {
        return true;
    }
    (void)snprintf(
        err->excerpt, sizeof(err->excerpt), "%s: ...\n%*s^", path, (int)strlen(path) + 2, "");
    return false;
}

/* Said before any other key is looked at: whether they are right depends on it. */
static bool
find_kind(FileReader *r, const JobNode *root)
{
    const char *found = NULL;
    for (int i = 0; i < JOB_KIND_COUNT; i++) {
        const char *kind = jobspec_kind_name((JobKind)i);
        const JobNode *node = jobtree_member(root, kind);
        if (node != NULL && found != NULL) {
            (void)jobtext_error(r->value.text, node->key->place, r->value.err,
                "a job has one kind, here it has two: %s and %s", found, kind);
            return err_hint(r->value.err, "Remove %s: and its keys.", kind);
        }
        if (node != NULL) {
            found = kind;
            r->spec->kind = (JobKind)i;
            r->has_kind = true;
        }
    }
    return true;
}

static bool
check_present(const FileReader *r, const JobNode *root, const char *key, const char *hint)
{
    if (jobtree_member(root, key) != NULL) {
        return true;
    }
    (void)jobtext_error(r->value.text, root->place, r->value.err, "key \"%s\" is missing", key);
    return err_hint(r->value.err, "%s", hint);
}

static bool
check_required(const FileReader *r, const JobNode *root)
{
    JobSpec *spec = r->spec;
    if (!check_present(r, root, "job", "Add for instance: job: fill-orders.")) {
        return false;
    }
    if (!r->has_kind) {
        (void)jobtext_error(r->value.text, root->place, r->value.err,
            "key \"backfill\", \"copy\" or \"purge\" is missing, which says the kind of the job");
        return err_hint(r->value.err, "Add one of them and the name of the table.");
    }
    if (spec->kind == KIND_BACKFILL) {
        return check_present(r, root, "set", "Add set: and below it, indented, column: SQL.");
    }
    if (spec->kind == KIND_PURGE) {
        return check_present(r, root, "where",
            "Add where: and SQL that says which rows go, for instance created_at < now() - "
            "interval '90 days'. To delete all of them, TRUNCATE is better.");
    }
    if (spec->kind == KIND_RESTORE) {
        return check_present(r, root, "archive", "Add archive: and its folder.");
    }
    if (spec->into == NULL && (spec->from != NULL || spec->to != NULL)) {
        spec->into = spec->table;
        spec->into_place = spec->table_place;
    }
    return spec->into != NULL ||
           check_present(r, root, "into", "Add into: and the table that the rows are copied into.");
}

/* What a copy cannot do with a key that it has. */
static bool
check_copy(const FileReader *r, const JobNode *root)
{
    if (r->spec->kind != KIND_COPY || r->spec->on_error != ON_ERROR_QUARANTINE) {
        return true;
    }
    (void)jobtext_error(r->value.text, jobtree_member(root, "on_error")->place, r->value.err,
        "on_error: only a backfill can set rows aside, this job is a copy");
    return err_hint(r->value.err, "Write on_error: stop, or leave out with where: what the target "
                                  "does not take.");
}

/* Rows that go into the table that keeps them stand in no file, and those of other tables have no
 * place in it. */
static bool
check_purge(const FileReader *r, const JobNode *root)
{
    const JobSpec *spec = r->spec;
    if (spec->kind != KIND_PURGE || spec->into == NULL ||
        (spec->archive.path == NULL && spec->children != CHILDREN_DELETE)) {
        return true;
    }
    bool in_files = spec->archive.path != NULL;
    const JobNode *other = jobtree_member(root, in_files ? "archive" : "children");
    (void)jobtext_error(r->value.text, other->key->place, r->value.err, "%s",
        in_files ? "archive and into exclude each other"
                 : "children: delete and into exclude each other");
    return err_hint(r->value.err, "%s",
        in_files
            ? "Keep the rows in files (archive:) or in a table (into:)."
            : "A table keeps rows of its own shape only; archive: keeps those of every table.");
}

/* A copy holds no row that the application wants: longer batches cost nobody anything.  Those of
 * an archive hold none while they read and write, which is most of their time. */
#define UNLOCKED_BATCH_TIME_US 100000

/* Between two databases a batch has fixed costs, of the network too; nobody waits for its rows. */
#define RELAY_BATCH_TIME_US 400000

/* The server ends a statement after yield_after: a longer aim could never be reached.  Not so where
 * rows pass through us: of such a batch only a part is one statement. */
static bool
settle_batch_time(const FileReader *r, const JobNode *root)
{
    JobSpec *spec = r->spec;
    const JobNode *batch = jobtree_member(root, "batch");
    const JobNode *time = batch == NULL ? NULL : jobtree_member(batch, "time");
    bool relays = spec->from != NULL || spec->to != NULL;
    if (time == NULL && relays) {
        spec->batch_time_us = RELAY_BATCH_TIME_US;
    } else if (time == NULL && (spec->kind == KIND_COPY || spec->archive.path != NULL)) {
        int64_t most_us = spec->throttle.yield_after_us / 2;
        spec->batch_time_us = most_us < UNLOCKED_BATCH_TIME_US ? most_us : UNLOCKED_BATCH_TIME_US;
    }
    if (time == NULL || relays || spec->archive.path != NULL ||
        spec->batch_time_us <= spec->throttle.yield_after_us) {
        return true;
    }
    (void)jobtext_error(
        r->value.text, time->place, r->value.err, "batch.time is longer than throttle.yield_after");
    return err_hint(r->value.err,
        "A batch is given up after throttle.yield_after; about a quarter of it is a good aim.");
}

/* Nobody reads the target of a copy yet, and of rows that are to go nobody minds if a crash brings
 * back the last: a batch need not wait for the disk.  That a frame of an
 * archive holds deleted rows must be on disk before the next one says so. */
static void
settle_commit(const FileReader *r, const JobNode *root)
{
    JobSpec *spec = r->spec;
    bool archives = spec->kind == KIND_PURGE && spec->archive.path != NULL;
    bool unless_given = spec->kind != KIND_BACKFILL && !archives;
    if (unless_given && jobtree_member(root, "synchronous_commit") == NULL) {
        spec->commit = COMMIT_OFF;
    } else if (archives && spec->commit == COMMIT_OFF) {
        spec->commit = COMMIT_LOCAL;
    }
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
    if (root->kind == NODE_MAP && !(check_connection(&r, root, "from") &&
                                      check_connection(&r, root, "to") && find_kind(&r, root))) {
        return false;
    }
    if (!(read_section(&r, root, "") && check_required(&r, root) && check_copy(&r, root) &&
            check_purge(&r, root))) {
        return false;
    }
    settle_commit(&r, root);
    return settle_batch_time(&r, root);
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
