#include "core/jobkeys.h"

#include <assert.h>
#include <string.h>

#include "core/jobspec.h"
#include "core/suggest.h"
#include "core/units.h"
#include "core/utf8.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const KeyWord auto_number[] = {{"auto", 0, NULL}, {NULL, 0, NULL}};
static const KeyWord bool_words[] = {{"true", 1, NULL}, {"false", 0, NULL}, {NULL, 0, NULL}};
static const KeyWord path_words[] = {
    {"auto", PATH_AUTO, NULL},
    {"key", PATH_KEY, NULL},
    {"block", PATH_BLOCK, NULL},
    {NULL, 0, NULL},
};
static const KeyWord sync_words[] = {
    {"trigger", SYNC_TRIGGER, NULL},
    {"none", SYNC_NONE, NULL},
    {NULL, 0, NULL},
};
static const KeyWord verify_words[] = {{"auto", 1, NULL}, {"none", 0, NULL}, {NULL, 0, NULL}};
static const KeyWord vacuum_words[] = {{"auto", 1, NULL}, {"off", 0, NULL}, {NULL, 0, NULL}};
static const KeyWord error_words[] = {
    {"stop", ON_ERROR_STOP, NULL},
    {"quarantine", ON_ERROR_QUARANTINE, NULL},
    {NULL, 0, NULL},
};
static const KeyWord conflict_words[] = {
    {"error", ON_CONFLICT_ERROR, NULL},
    {"skip", ON_CONFLICT_SKIP, NULL},
    {"update", ON_CONFLICT_UPDATE, NULL},
    {NULL, 0, NULL},
};
static const KeyWord index_words[] = {
    {"before", INDEXES_BEFORE, NULL},
    {"after", INDEXES_AFTER, NULL},
    {NULL, 0, NULL},
};
static const KeyWord children_words[] = {
    {"refuse", CHILDREN_REFUSE, NULL},
    {"delete", CHILDREN_DELETE, NULL},
    {NULL, 0, NULL},
};
static const KeyWord tail_words[] = {{"on", 0, NULL}, {"off", 1, NULL}, {NULL, 0, NULL}};
static const KeyWord commit_words[] = {
    {"local", COMMIT_LOCAL, NULL},
    {"off", COMMIT_OFF, NULL},
    {"on", COMMIT_ON, NULL},
    {NULL, 0, NULL},
};
static const KeyWord standby_words[] = {
    {"auto", STANDBYS_AUTO, NULL},
    {"none", STANDBYS_NONE, NULL},
    {NULL, 0, NULL},
};
static const KeyWord risk_words[] = {
    {"stable", 0, "an expression may give another value on another day or in another session"},
    {"volatile", 0, "an expression gives another value each time it is evaluated"},
    {"lossy", 0, "the assignment to the column may round, cut or overflow"},
    {"user-triggers", 0, "triggers of the table fire for every row that is moved"},
    {"blind-lag", 0, "the lag of a standby cannot be read and is not waited for"},
    {"published", 0, "subscribers of a publication receive every change"},
    {"inheritance", 0, "rows of inheritance children are left as they are"},
    {"untrusted-owner", 0,
        "code of a lesser role, who owns the table, runs in a superuser's session"},
    {"writer-privilege", 0,
        "writes of roles without the rights of the expression leave the columns NULL"},
    {"append-only", 0,
        "rows that the application changes behind a copy without sync, or in ranges where a purge "
        "found none that could be old yet, are not seen"},
    {"collation-drift", 0, "the key's collation is of another version than its index"},
    {"target-scan", 0, "each batch of drain and verify reads the whole target"},
    {"target-deferrable", 0, "a unique value that changes hands may end the run"},
    {"no-rollback", 0, "a cutover has no way back, since nothing says what the old columns become"},
    {"children", 0, "a row to be deleted that another table refers to ends the run"},
    {"cascade", 0, "rows of other tables go with those they refer to (ON DELETE CASCADE)"},
    {"set-null", 0, "rows of other tables lose their reference (ON DELETE SET NULL or DEFAULT)"},
    {"child-index", 0, "rows that refer to those to be deleted are found without an index"},
    {NULL, 0, NULL},
};

#define FIELD(member)  .offset = offsetof(JobSpec, member)
#define OF_BACKFILL    .kinds = JOBKEY_IN(KIND_BACKFILL)
#define OF_COPY        .kinds = JOBKEY_IN(KIND_COPY)
#define OF_PURGE       .kinds = JOBKEY_IN(KIND_PURGE)
#define OF_RESTORE     .kinds = JOBKEY_IN(KIND_RESTORE)
#define OF_WALKS       .kinds = (JOBKEY_IN(KIND_BACKFILL) | JOBKEY_IN(KIND_COPY))
#define NUMBER(member) FIELD(member), .size = sizeof(((const JobSpec *)NULL)->member)

static const JobKey keys[] = {
    {"job", KEY_JOB_NAME, .absent = "required", FIELD(job),
        .text = "name of the job, unique in the database"},
    {"backfill", KEY_TABLE, .absent = "required", OF_BACKFILL, FIELD(table),
        .text = "the table whose columns are filled"},
    {"copy", KEY_TABLE, .absent = "required", OF_COPY, FIELD(table),
        .text = "the table whose rows are copied"},
    {"purge", KEY_TABLE, .absent = "required", OF_PURGE, FIELD(table),
        .text = "the table whose rows are deleted"},
    {"restore", KEY_TABLE, .absent = "required", OF_RESTORE, FIELD(table),
        .text =
            "the table that archived rows are put into; pghaul archive restore makes such jobs"},
    {"into", KEY_TABLE, .absent = "see text", .kinds = JOBKEY_IN(KIND_COPY) | JOBKEY_IN(KIND_PURGE),
        FIELD(into),
        .text = "of a copy the table that they are copied into; with from or to the source's name, "
                "if not set; of a purge the table that keeps them, none if not set"},
    {"archive", KEY_ARCHIVE, .absent = "none", .example = "/var/lib/pghaul/archive",
        .kinds = JOBKEY_IN(KIND_PURGE) | JOBKEY_IN(KIND_RESTORE), FIELD(archive),
        .text = "files that keep the rows, on the host of pghaul: their folder, or {path, level}"},
    {"archive.path", KEY_PATH, .absent = "none", .example = "/var/lib/pghaul/archive",
        .kinds = JOBKEY_IN(KIND_PURGE) | JOBKEY_IN(KIND_RESTORE), FIELD(archive.path),
        .text = "that folder, from the root on; only its owner may write into it"},
    {"archive.level", KEY_COUNT, .min = "1", .max = "19", .fallback = "1", OF_PURGE,
        NUMBER(archive.level), .text = "of zstd's compression; 1 is the fastest"},
    {"archive_run", KEY_COUNT, .min = "1", .max = "1_000_000M", .absent = "all runs",
        .example = "12", OF_RESTORE, NUMBER(archive_run),
        .text = "the run whose rows are restored"},
    {"archive_table", KEY_TABLE, .absent = "the only one", .example = "public.old_orders",
        OF_RESTORE, FIELD(archive_table),
        .text = "the table of the archive whose rows are restored"},
    {"children", KEY_CHOICE, .words = children_words, .fallback = "refuse", OF_PURGE,
        NUMBER(children),
        .text = "rows of other tables that refer to those: refuse the job where there are such "
                "tables, or delete (and archive) these rows too"},
    {"set", KEY_ASSIGNMENTS, .absent = "required", OF_BACKFILL, FIELD(set),
        .text = "the columns to fill, each with SQL over the same row"},
    {"map", KEY_ASSIGNMENTS, .absent = "same names", OF_COPY,
        .example = "{new_column: 'old_column::numeric'}", FIELD(set),
        .text = "columns of the target, each with SQL over the source's row; those not named take "
                "the source's column of their name"},
    {"reverse_map", KEY_ASSIGNMENTS, .absent = "map inverted", OF_COPY,
        .example = "{old_column: 'new_column::text'}", FIELD(reverse_map),
        .text = "columns of the source, each with SQL over the target's row, for the way back "
                "after a cutover"},
    {"where", KEY_SQL, .absent = "all rows", .example = "created_at >= '2020-01-01'",
        .kinds = JOBKEY_IN(KIND_BACKFILL) | JOBKEY_IN(KIND_COPY) | JOBKEY_IN(KIND_PURGE),
        FIELD(where),
        .text = "which rows to move; of a backfill it must not mention a column of set; a purge "
                "must have it, and its now() is the start of the pass"},
    {"from", KEY_CONNECTION, .absent = "as -d says", OF_COPY,
        .example = "host=db1.example.com dbname=shop", FIELD(from),
        .text = "connection string of the source's database, without a password"},
    {"to", KEY_CONNECTION, .absent = "as -d says", OF_COPY,
        .example = "host=db2.example.com dbname=shop", FIELD(to),
        .text = "connection string of the target's database, without a password"},
    {"key", KEY_COLUMNS, .absent = "primary key", .example = "[id]",
        .kinds = JOBKEY_IN(KIND_BACKFILL) | JOBKEY_IN(KIND_COPY) | JOBKEY_IN(KIND_PURGE),
        FIELD(key),
        .text = "columns of a unique index, all NOT NULL, in whose order the table is walked"},
    {"path", KEY_CHOICE, .words = path_words, .fallback = "auto", OF_WALKS, NUMBER(path),
        .text = "walk by key or by heap block; auto lets the plan choose"},
    {"stripes", KEY_COUNT, .words = auto_number, .min = "1", .max = "16", .fallback = "auto",
        OF_BACKFILL, NUMBER(stripes),
        .text = "passes over each range, so that updates stay on their page (HOT)"},
    {"workers", KEY_COUNT, .words = auto_number, .min = "1", .max = "64", .fallback = "auto",
        NUMBER(workers), .live = true, .text = "connections that move rows at the same time"},
    {"batch", KEY_SECTION, .text = "the size of one transaction"},
    {"batch.time", KEY_DURATION, .min = "1ms", .max = "10s", .fallback = "25ms",
        NUMBER(batch_time_us), .live = true,
        .text =
            "how long one batch should take; a copy's and with archive 100ms, between databases "
            "400ms"},
    {"batch.rows", KEY_COUNT, .words = auto_number, .min = "1", .max = "1_000_000",
        .fallback = "auto", NUMBER(batch_rows), .live = true,
        .text = "rows of a batch; auto follows batch.time"},
    {"sync", KEY_CHOICE, .words = sync_words, .absent = "see text", .example = "trigger", OF_WALKS,
        NUMBER(sync),
        .text = "keep rows right that the application writes during the run; if not set: trigger, "
                "unless an expression of a backfill reads its own column"},
    {"on_conflict", KEY_CHOICE, .words = conflict_words, .fallback = "error", OF_COPY,
        NUMBER(on_conflict),
        .text = "a row whose key the target has already ends the run, or is left as it is there, "
                "or is made as in the source"},
    {"indexes", KEY_CHOICE, .words = index_words, .fallback = "before", OF_COPY, NUMBER(indexes),
        .text = "the target's secondary indexes are there from the start, or are built after the "
                "move"},
    {"strict", KEY_CHOICE, .words = bool_words, .fallback = "false", OF_BACKFILL, NUMBER(strict),
        .text = "never wait for a row lock while holding another"},
    {"verify", KEY_CHOICE, .words = verify_words, .fallback = "auto", OF_WALKS, NUMBER(verify),
        .text = "compare all rows after the move"},
    {"vacuum", KEY_CHOICE, .words = vacuum_words, .fallback = "auto",
        .kinds = JOBKEY_IN(KIND_BACKFILL) | JOBKEY_IN(KIND_PURGE), NUMBER(vacuum),
        .text = "vacuum the table now and then during the move, and after a purge"},
    {"vacuum_truncate", KEY_CHOICE, .words = tail_words, .fallback = "on", OF_PURGE,
        NUMBER(keeps_tail),
        .text = "off: until clean no VACUUM gives empty pages at the table's end back, for which "
                "it would lock the table"},
    {"on_error", KEY_CHOICE, .words = error_words, .fallback = "stop", OF_WALKS, NUMBER(on_error),
        .live = true,
        .text =
            "a row that the server refuses ends the run, or (of a backfill) is set aside with its "
            "key and the server's message"},
    {"allow", KEY_RISKS, .words = risk_words, .absent = "none", .example = "[stable]", FIELD(allow),
        .text = "risks that are accepted, by name"},
    {"search_path", KEY_NAMES, .absent = "table's schema", .example = "[public]",
        FIELD(search_path), .text = "schemas in which the SQL of this file finds its names"},
    {"lease", KEY_DURATION, .min = "5s", .max = "1h", .fallback = "30s", NUMBER(lease_us),
        .text = "after this time without a sign of life the ranges of a run are free"},
    {"synchronous_commit", KEY_CHOICE, .words = commit_words, .fallback = "local", NUMBER(commit),
        .text = "of batches; if not set: off, but local of a backfill and with archive, which has "
                "it at "
                "least; every choice is safe, since rows and checkpoint are lost together"},
    {"throttle", KEY_SECTION, .text = "when to slow down or pause"},
    {"throttle.yield_after", KEY_DURATION, .min = "10ms", .max = "10s", .fallback = "200ms",
        NUMBER(throttle.yield_after_us), .live = true,
        .text = "longest time that the application may wait for a lock of ours"},
    {"throttle.lag", KEY_DURATION, .min = "10ms", .max = "1d", .fallback = "2s",
        NUMBER(throttle.lag_us), .live = true,
        .text = "pause while a standby is further behind in time"},
    {"throttle.lag_bytes", KEY_SIZE, .min = "64kB", .max = "1024TB", .fallback = "256MB",
        NUMBER(throttle.lag_bytes), .live = true,
        .text = "pause while a standby is further behind in WAL"},
    {"throttle.standbys", KEY_STANDBYS, .words = standby_words, .fallback = "auto",
        NUMBER(throttle.standby_mode),
        .text = "standbys that must keep up, by application_name; "
                "auto: those that stream at the first run"},
    {"throttle.lock_waiters", KEY_COUNT, .min = "1", .max = "1000", .fallback = "5",
        NUMBER(throttle.lock_waiters), .live = true,
        .text = "pause while this many sessions wait for locks on the table"},
    {"schedule", KEY_SECTION, .text = "when runs may work"},
    {"schedule.window", KEY_WINDOW, .absent = "always", .example = "01:00-05:00 Europe/Berlin",
        FIELD(window), .text = "from when to when, by the server's clock in that time zone"},
    {"limits", KEY_SECTION, .text = "when to end the run; it can be continued later"},
    {"limits.runtime", KEY_DURATION, .min = "1s", .max = "365d", .absent = "no limit",
        .example = "8h", NUMBER(limits.runtime_us), .live = true,
        .text = "longest time of one run"},
    {"limits.rows", KEY_COUNT, .min = "1", .max = "1_000_000M", .absent = "no limit",
        .example = "50M", NUMBER(limits.rows), .live = true,
        .text = "most rows that one run changes; a purge then ends with 7, any other with 9"},
    {"limits.quarantine", KEY_COUNT, .min = "1", .max = "1M", .fallback = "100", OF_BACKFILL,
        NUMBER(limits.quarantine), .live = true,
        .text = "most rows of the job that may be set aside"},
    {"limits.log_bytes", KEY_SIZE, .min = "1MB", .max = "1024TB", .fallback = "10GB", OF_COPY,
        NUMBER(limits.log_bytes),
        .text = "largest change log; writes beyond it are not recorded, and the run ends"},
};

size_t
jobkeys_count(void)
{
    return COUNT_OF(keys);
}

const JobKey *
jobkeys_at(size_t index)
{
    assert(index < COUNT_OF(keys));
    return &keys[index];
}

const JobKey *
jobkeys_find(const char *path)
{
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        if (strcmp(keys[i].path, path) == 0) {
            return &keys[i];
        }
    }
    return NULL;
}

const char *
jobkeys_leaf(const JobKey *key)
{
    const char *dot = strchr(key->path, '.');
    return dot == NULL ? key->path : dot + 1;
}

bool
jobkeys_is_member(const JobKey *key, const char *section)
{
    size_t len = strlen(section);
    if (len == 0) {
        return strchr(key->path, '.') == NULL;
    }
    return strncmp(key->path, section, len) == 0 && key->path[len] == '.';
}

bool
jobkeys_belongs(const JobKey *key, JobKind kind)
{
    return key->kinds == 0 || (key->kinds & JOBKEY_IN(kind)) != 0;
}

void
jobkeys_put_kinds(const JobKey *key, const char *separator, const char *end, StrBuf *out)
{
    const char *between = "";
    for (int kind = 0; key->kinds != 0 && kind < JOB_KIND_COUNT; kind++) {
        if (jobkeys_belongs(key, (JobKind)kind)) {
            strbuf_printf(out, "%s%s", between, jobspec_kind_name((JobKind)kind));
            between = separator;
        }
    }
    strbuf_puts(out, key->kinds == 0 ? "" : end);
}

const char *
jobkeys_suggest(const char *section, const char *leaf)
{
    const char *leaves[COUNT_OF(keys)];
    const char *full_paths[COUNT_OF(keys)];
    size_t count = 0;
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        if (jobkeys_is_member(&keys[i], section)) {
            leaves[count] = jobkeys_leaf(&keys[i]);
            full_paths[count] = keys[i].path;
            count++;
        }
    }
    const char *nearest = suggest_nearest(leaf, leaves, count);
    for (size_t i = 0; i < count; i++) {
        if (nearest == leaves[i]) {
            return full_paths[i];
        }
    }
    for (size_t i = 0; i < COUNT_OF(keys); i++) { /* right word, wrong section */
        if (suggest_distance(jobkeys_leaf(&keys[i]), leaf) == 0) {
            return keys[i].path;
        }
    }
    return NULL;
}

static UnitKind
unit_of(const JobKey *key)
{
    if (key->type == KEY_DURATION) {
        return UNIT_DURATION;
    }
    return key->type == KEY_SIZE ? UNIT_SIZE : UNIT_COUNT;
}

static bool
is_number(const JobKey *key)
{
    return key->type == KEY_COUNT || key->type == KEY_DURATION || key->type == KEY_SIZE;
}

/* A bound of the table, which is right by construction; a test reads them all. */
static int64_t
bound(const JobKey *key, const char *text)
{
    Err err = ERR_INIT;
    int64_t value = 0;
    bool is_right = units_parse(unit_of(key), text, &value, &err);
    assert(is_right);
    return is_right ? value : 0;
}

static void
put_words(const JobKey *key, StrBuf *out)
{
    for (const KeyWord *word = key->words; word != NULL && word->word != NULL; word++) {
        strbuf_printf(out, "%s%s", word == key->words ? "" : ", ", word->word);
    }
}

static bool
fail_choice(const JobKey *key, const char *text, Err *err)
{
    const char *words[32];
    size_t count = 0;
    assert(key->words != NULL);
    for (; key->words[count].word != NULL; count++) {
        assert(count < COUNT_OF(words));
        words[count] = key->words[count].word;
    }
    STRBUF_AUTO permitted = STRBUF_INIT;
    put_words(key, &permitted);
    char shown[48];
    utf8_shorten(shown, sizeof(shown), text);
    (void)err_set(err, ERR_USER, "\"%s\" is not one of %s", shown, strbuf_text(&permitted));
    const char *nearest = suggest_nearest(text, words, count);
    return nearest == NULL ? false : err_hint(err, "Did you mean %s?", nearest);
}

static bool
hint_values(const JobKey *key, Err *err)
{
    STRBUF_AUTO values = STRBUF_INIT;
    jobkeys_values(key, &values);
    return err_hint(err, "Permitted: %s.", strbuf_text(&values));
}

static bool
fail_range(const JobKey *key, const char *text, Err *err)
{
    char shown[48];
    utf8_shorten(shown, sizeof(shown), text);
    (void)err_set(err, ERR_USER, "\"%s\" is out of range", shown);
    return hint_values(key, err);
}

bool
jobkeys_parse(const JobKey *key, const char *text, int64_t *value, Err *err)
{
    for (const KeyWord *word = key->words; word != NULL && word->word != NULL; word++) {
        if (strcmp(word->word, text) == 0) {
            *value = word->value;
            return true;
        }
    }
    if (!is_number(key)) {
        return fail_choice(key, text, err);
    }
    if (!units_parse(unit_of(key), text, value, err)) {
        return key->words == NULL ? false : hint_values(key, err); /* the words are not numbers */
    }
    if (*value < bound(key, key->min) || *value > bound(key, key->max)) {
        return fail_range(key, text, err);
    }
    return true;
}

/* Numbers, enums and bools of the JobSpec differ in width only; the table knows it. */
void
jobkeys_store(const JobKey *key, int64_t value, JobSpec *spec)
{
    int narrow = (int)value;
    bool truth = value != 0;
    void *field = (char *)spec + key->offset;
    if (key->size == sizeof(value)) {
        memcpy(field, &value, sizeof(value));
    } else if (key->size == sizeof(narrow)) {
        memcpy(field, &narrow, sizeof(narrow));
    } else {
        assert(key->size == sizeof(truth));
        memcpy(field, &truth, sizeof(truth));
    }
}

void
jobkeys_pattern(const JobKey *key, StrBuf *out)
{
    strbuf_puts(out, "^(");
    for (const KeyWord *word = key->words; word != NULL && word->word != NULL; word++) {
        strbuf_printf(out, "%s%s", word == key->words ? "" : "|", word->word);
    }
    if (is_number(key)) {
        strbuf_puts(out, key->words == NULL ? "" : "|");
        units_put_pattern(unit_of(key), out);
    }
    strbuf_puts(out, ")$");
}

void
jobkeys_values(const JobKey *key, StrBuf *out)
{
    switch (key->type) {
    case KEY_SECTION:
        break;
    case KEY_JOB_NAME:
        strbuf_puts(out, "[a-z][a-z0-9_-]{0,39}");
        break;
    case KEY_TABLE:
        strbuf_puts(out, "table, schema.table");
        break;
    case KEY_CONNECTION:
        strbuf_puts(out, "key=value ..., URI");
        break;
    case KEY_ASSIGNMENTS:
        strbuf_puts(out, "{column: SQL, ...}");
        break;
    case KEY_SQL:
        strbuf_puts(out, "SQL");
        break;
    case KEY_PATH:
        strbuf_puts(out, "/folder");
        break;
    case KEY_ARCHIVE:
        strbuf_puts(out, "/folder, {path, level}");
        break;
    case KEY_WINDOW:
        strbuf_puts(out, "HH:MM-HH:MM zone");
        break;
    case KEY_COLUMNS:
    case KEY_NAMES:
    case KEY_RISKS:
        strbuf_puts(out, "name, [name, ...]");
        break;
    case KEY_STANDBYS:
        put_words(key, out);
        strbuf_puts(out, ", [name, ...]");
        break;
    case KEY_CHOICE:
        put_words(key, out);
        break;
    case KEY_COUNT:
    case KEY_DURATION:
    case KEY_SIZE:
        put_words(key, out);
        strbuf_printf(out, "%s%s..%s", key->words == NULL ? "" : ", ", key->min, key->max);
        break;
    }
}
