#include "app/restore.h"

#include <stdio.h>
#include <string.h>

#include "app/drive.h"
#include "app/json.h"
#include "base/log.h"
#include "core/ident.h"
#include "core/jobfile.h"
#include "ops/archive_walk.h"
#include "store/schema.h"

#define JOB_NAME_MAX 40

/* A table that the archive has rows of. */
typedef struct Tabled {
    const char *schema;
    const char *name;
    int no; /* 0 = of a job itself; children of it have higher ones */
} Tabled;

typedef struct Tables {
    App *app;
    Tabled *items;
    int count;
    int size;
    const char *job;       /* of the first file */
    const char *other_job; /* NULL = the files are of one */
    const char *damage;    /* the first that was met, or NULL */
} Tables;

/* ---- which tables ---- */

static bool
has_table(const Tables *tables, const ArchiveOrigin *origin)
{
    for (int i = 0; i < tables->count; i++) {
        if (strcmp(tables->items[i].schema, origin->schema) == 0 &&
            strcmp(tables->items[i].name, origin->table) == 0) {
            return true;
        }
    }
    return false;
}

/* In the order of their numbers: what is referred to comes first. */
static void
add_table(Tables *tables, const ArchiveOrigin *origin)
{
    Arena *arena = &tables->app->arena;
    if (tables->count == tables->size) {
        int size = tables->size == 0 ? 8 : 2 * tables->size;
        Tabled *items = arena_alloc(arena, (size_t)size * sizeof(*items));
        if (tables->count > 0) {
            memcpy(items, tables->items, (size_t)tables->count * sizeof(*items));
        }
        tables->items = items;
        tables->size = size;
    }
    int at = tables->count++;
    for (; at > 0 && tables->items[at - 1].no > origin->table_no; at--) {
        tables->items[at] = tables->items[at - 1];
    }
    tables->items[at] = (Tabled){
        .schema = arena_strdup(arena, origin->schema),
        .name = arena_strdup(arena, origin->table),
        .no = origin->table_no,
    };
}

static bool
take_file(void *ctx, const WalkedFile *file, Err *err)
{
    (void)err;
    Tables *tables = ctx;
    const ArchiveOrigin *origin = &file->origin;
    if (origin->job == NULL) {
        return true;
    }
    if (tables->job == NULL) {
        tables->job = arena_strdup(&tables->app->arena, origin->job);
    } else if (strcmp(tables->job, origin->job) != 0) {
        tables->other_job = arena_strdup(&tables->app->arena, origin->job);
    }
    if (!has_table(tables, origin)) {
        add_table(tables, origin);
    }
    return true;
}

static void
take_remark(void *ctx, const WalkRemark *remark)
{
    Tables *tables = ctx;
    if (remark->gravity == WALK_DAMAGE && tables->damage == NULL) {
        tables->damage = arena_printf(&tables->app->arena, "%s at %lld: %s", remark->file,
            (long long)remark->at, remark->text);
    }
}

static bool
check_tables(const Tables *tables, const char *path, Err *err)
{
    const Options *options = &tables->app->options;
    if (tables->count == 0 && tables->damage != NULL) {
        (void)err_set(err, ERR_REFUSED, "the archive is damaged: %s", tables->damage);
        return err_hint(err, "pghaul archive verify shows all of it.");
    }
    if (tables->count == 0) {
        char run[40] = "";
        if (options->run > 0) {
            (void)snprintf(run, sizeof(run), " of run %lld", (long long)options->run);
        }
        (void)err_set(err, ERR_USER, "%s has no deleted rows%s%s%s", path,
            options->table == NULL ? "" : " of table ",
            options->table == NULL ? "" : options->table, run);
        return err_hint(err, "pghaul archive list shows what there is.");
    }
    if (options->table == NULL && tables->other_job != NULL) {
        (void)err_set(err, ERR_USER, "%s has files of several jobs: %s and %s", path, tables->job,
            tables->other_job);
        return err_hint(err, "Name the table whose rows are to be restored: --table TABLE.");
    }
    if (tables->count > 1 && (options->table != NULL || options->into != NULL)) {
        (void)err_set(err, ERR_USER, "%s has rows of %d %stables", path, tables->count,
            options->table == NULL ? "" : "such ");
        return err_hint(err, "Name one of them: --table SCHEMA.TABLE.");
    }
    return true;
}

static bool
find_tables(App *app, const ArchiveFolder *folder, Tables *tables, Err *err)
{
    *tables = (Tables){.app = app};
    ArchiveWalk walk = {
        .folder = folder,
        .depth = ARCHIVE_HEADS,
        .choice = {.table = app->options.table, .run = app->options.run},
        .file = take_file,
        .remark = take_remark,
        .ctx = tables,
    };
    return archive_walk(&walk, err) && check_tables(tables, folder->path, err);
}

/* ---- the job of one table ---- */

/* "restore-audit-purge-t1-r12" */
static const char *
job_name(const Tables *tables, const Tabled *table)
{
    char end[40] = "";
    int len = 0;
    if (table->no > 0) {
        len = snprintf(end, sizeof(end), "-t%d", table->no);
    }
    if (tables->app->options.run > 0) {
        len += snprintf(
            end + len, sizeof(end) - (size_t)len, "-r%lld", (long long)tables->app->options.run);
    }
    int room = JOB_NAME_MAX - (int)strlen("restore-") - len;
    return arena_printf(&tables->app->arena, "restore-%.*s%s", room, tables->job, end);
}

/* A text of YAML in double quotes. */
static void
put_quoted(StrBuf *out, const char *text)
{
    strbuf_putc(out, '"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            strbuf_printf(out, "\\%c", c);
        } else if (c < ' ' || c == 0x7f) {
            strbuf_printf(out, "\\x%02x", c);
        } else {
            strbuf_putc(out, (char)c);
        }
    }
    strbuf_puts(out, "\"\n");
}

static bool
put_job_file(StrBuf *out, const Tables *tables, const Tabled *table, const char *path, Err *err)
{
    const Options *options = &tables->app->options;
    STRBUF_AUTO name = STRBUF_INIT;
    if (!quote_qualified(&name, table->schema, table->name, err)) {
        return err_wrap(err, "the archive's table");
    }
    strbuf_printf(out, "job: %s\nrestore: ", job_name(tables, table));
    put_quoted(out, options->into != NULL ? options->into : strbuf_text(&name));
    strbuf_puts(out, "archive: ");
    put_quoted(out, path);
    strbuf_puts(out, "archive_table: ");
    put_quoted(out, strbuf_text(&name));
    if (options->run > 0) {
        strbuf_printf(out, "archive_run: %lld\n", (long long)options->run);
    }
    return true;
}

/* Risks that the findings name are accepted in a job file. */
static void
show_job_file(App *app, const char *text)
{
    app_result(app, "job_file", json_text(text));
    if (!app->options.json) {
        (void)fprintf(
            stderr, "As a job file, to which allow: can be added, for pghaul run:\n%s", text);
    }
}

/* From here on it is a run like any other. */
static bool
run_table(
    const Tables *tables, const Tabled *table, const ArchiveFolder *folder, PgConn **conn, Err *err)
{
    App *app = tables->app;
    JobSpec spec;
    STRBUF_AUTO text = STRBUF_INIT;
    if (!put_job_file(&text, tables, table, folder->path, err) ||
        !jobfile_parse("archive restore", strbuf_text(&text), text.len, &app->arena, &spec, err)) {
        return false;
    }
    char *args[] = {arena_strdup(&app->arena, spec.job)};
    const Options given = app->options;
    app->options.verb = VERB_RUN;
    app->options.args = args;
    app->options.arg_count = 1;
    app_result(app, "job", json_text(spec.job));
    bool ok = run_spec(app, conn, NULL, &spec, err);
    app->options = given;
    if (!ok && json_object_get(app->result, "findings") != NULL) {
        show_job_file(app, strbuf_text(&text));
    }
    return ok;
}

bool
restore_archive(App *app, const ArchiveFolder *folder, Err *err)
{
    Tables tables;
    PGCONN_AUTO *conn = NULL;
    if (!find_tables(app, folder, &tables, err) || !app_connect(app, "catalog", &conn, err)) {
        return false;
    }
    for (int i = 0; i < tables.count; i++) {
        if (!run_table(&tables, &tables.items[i], folder, &conn, err)) {
            return false;
        }
    }
    return true;
}
