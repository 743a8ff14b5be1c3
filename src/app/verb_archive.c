/*
 * verb_archive.c - `pghaul archive list|verify|restore PATH`.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app.h"
#include "app/archive_text.h"
#include "app/json.h"
#include "app/restore.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/format.h"
#include "core/suggest.h"
#include "core/utf8.h"

#define REPORT_US ((int64_t)10 * 1000000)

static const char *const WORDS[] = {"list", "verify", "restore"};
#define WORD_COUNT (sizeof(WORDS) / sizeof(WORDS[0]))
enum { WORD_LIST = 0, WORD_VERIFY, WORD_RESTORE };

/* What list and verify count while they walk. */
typedef struct Tour {
    App *app;
    bool lists;
    int64_t files;
    int64_t frames;
    int64_t rows;       /* of frames that hold deleted rows, as far as is known */
    int64_t read_bytes; /* of frames */
    int64_t bytes;      /* of files */
    int64_t damages;
    int64_t unknown_files; /* that the database did not write */
    int64_t reported_us;
} Tour;

/* ---- callbacks ---- */

static bool
take_frame(void *ctx, const WalkedFile *file, const WalkedFrame *frame, Err *err)
{
    (void)err;
    Tour *tour = ctx;
    tour->frames++;
    tour->rows += frame->fate == ARCHIVE_COMMITTED ? frame->rows : 0;
    tour->read_bytes += frame->bytes;
    if (tour->lists && tour->app->options.verbose) {
        STRBUF_AUTO text = STRBUF_INIT;
        archive_put_frame(&text, file, frame);
        app_print(tour->app, strbuf_text(&text));
        if (tour->app->options.json) {
            json_print(archive_frame_json(file, frame));
        }
    }
    if (!tour->lists && clock_mono_us() - tour->reported_us > REPORT_US) {
        char bytes[FORMAT_SIZE];
        tour->reported_us = clock_mono_us();
        log_line(LOG_INFO, NULL, "verified %s in %lld frames, now in %s",
            format_bytes(tour->read_bytes, bytes), (long long)tour->frames, file->name->text);
    }
    return true;
}

static bool
take_file(void *ctx, const WalkedFile *file, Err *err)
{
    (void)err;
    Tour *tour = ctx;
    tour->files++;
    tour->bytes += file->bytes;
    tour->unknown_files += file->known ? 0 : 1;
    if (tour->lists) {
        STRBUF_AUTO text = STRBUF_INIT;
        archive_put_file(&text, file, term_text_width(&tour->app->out));
        app_print(tour->app, strbuf_text(&text));
    }
    if (tour->app->options.json) {
        json_print(archive_file_json(file));
    }
    return true;
}

static void
take_remark(void *ctx, const WalkRemark *remark)
{
    Tour *tour = ctx;
    tour->damages += remark->gravity == WALK_NOTE ? 0 : 1;
    if (tour->app->options.json) {
        json_print(archive_remark_json(remark));
        return;
    }
    STRBUF_AUTO text = STRBUF_INIT;
    archive_put_remark(&text, remark, term_text_width(&tour->app->out));
    app_print(tour->app, strbuf_text(&text));
}

/* ---- the sub-verbs ---- */

static void
put_total(const Tour *tour)
{
    char rows[FORMAT_SIZE];
    char bytes[FORMAT_SIZE];
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&text, "%lld file%s, %lld frame%s, %s deleted row%s, %s\n",
        (long long)tour->files, tour->files == 1 ? "" : "s", (long long)tour->frames,
        tour->frames == 1 ? "" : "s", format_count(tour->rows, rows), tour->rows == 1 ? "" : "s",
        format_bytes(tour->bytes, bytes));
    app_print(tour->app, strbuf_text(&text));
    app_result(tour->app, "files", json_integer(tour->files));
    app_result(tour->app, "frames", json_integer(tour->frames));
    app_result(tour->app, "rows", json_integer(tour->rows));
    app_result(tour->app, "bytes", json_integer(tour->bytes));
    app_result(tour->app, "damages", json_integer(tour->damages));
}

static bool
tour_files(Tour *tour, const ArchiveFolder *folder, PgConn *conn, Err *err)
{
    const Options *options = &tour->app->options;
    ArchiveWalk walk = {
        .folder = folder,
        .conn = conn,
        .depth = tour->lists ? ARCHIVE_HEADS : ARCHIVE_ROWS,
        .choice = {.table = options->table, .run = options->run},
        .frame = take_frame,
        .file = take_file,
        .remark = take_remark,
        .ctx = tour,
    };
    tour->reported_us = clock_mono_us();
    if (!archive_walk(&walk, err)) {
        return false;
    }
    put_total(tour);
    return true;
}

static bool
list(App *app, const ArchiveFolder *folder, Err *err)
{
    Tour tour = {.app = app, .lists = true};
    return tour_files(&tour, folder, NULL, err);
}

/* Is there any word about a database? */
static bool
names_database(const ConnTarget *target)
{
    static const char *const VARIABLES[] = {"PGSERVICE", "PGHOST", "PGPORT", "PGDATABASE"};
    bool named = target->dbname != NULL || target->host != NULL || target->port != NULL ||
                 target->user != NULL;
    for (size_t i = 0; i < sizeof(VARIABLES) / sizeof(VARIABLES[0]); i++) {
        const char *value = getenv(VARIABLES[i]); /* NOLINT(concurrency-mt-unsafe): no threads */
        named = named || (value != NULL && value[0] != '\0');
    }
    return named;
}

/* What the files were compared with. */
static void
tell_compared(const Tour *tour, PgConn *conn, const Err *unreached)
{
    App *app = tour->app;
    STRBUF_AUTO line = STRBUF_INIT;
    bool compared = conn != NULL && (tour->files == 0 || tour->unknown_files < tour->files);
    if (compared) {
        strbuf_puts(&line, "compared with what the database knows");
        if (tour->unknown_files > 0) {
            strbuf_printf(&line, ", but for %lld file%s that it did not write",
                (long long)tour->unknown_files, tour->unknown_files == 1 ? "" : "s");
        }
    } else if (conn != NULL) {
        strbuf_puts(&line, "verified by themselves alone: this database did not write them");
    } else if (unreached->cls != ERR_NONE) {
        strbuf_puts(&line, "verified by themselves alone: no connection to the database");
    } else if (conn == NULL) {
        strbuf_puts(&line, "verified by themselves alone; with -d also against the database");
    }
    if (line.len > 0) {
        strbuf_putc(&line, '\n');
        app_print(app, strbuf_text(&line));
    }
    app_result(app, "compared", json_boolean(compared));
}

static bool
verify(App *app, const ArchiveFolder *folder, Err *err)
{
    Tour tour = {.app = app};
    PGCONN_AUTO *conn = NULL;
    Err unreached = ERR_INIT;
    if (names_database(&app->options.target) && !app_connect(app, "catalog", &conn, &unreached)) {
        log_line(LOG_WARNING, NULL, "%s", unreached.message);
    }
    if (!tour_files(&tour, folder, conn, err)) {
        return false;
    }
    tell_compared(&tour, conn, &unreached);
    if (tour.damages > 0) {
        return err_set(err, ERR_DIFFERENCE,
            "the archive is damaged, or not what the database "
            "knows: %lld finding%s",
            (long long)tour.damages, tour.damages == 1 ? "" : "s");
    }
    if (unreached.cls != ERR_NONE) {
        *err = unreached;
        return false;
    }
    return true;
}

/* ---- the verb ---- */

static bool
find_word(const char *word, size_t *found, Err *err)
{
    for (*found = 0; *found < WORD_COUNT; (*found)++) {
        if (strcmp(word, WORDS[*found]) == 0) {
            return true;
        }
    }
    char shown[48];
    utf8_shorten(shown, sizeof(shown), word);
    (void)err_set(err, ERR_USER, "pghaul archive cannot \"%s\"", shown);
    const char *near = suggest_nearest(word, WORDS, WORD_COUNT);
    return near != NULL ? err_hint(err, "Did you mean %s?", near)
                        : err_hint(err, "Usage: pghaul archive list|verify|restore PATH");
}

/* Options of restore alone. */
static bool
check_options(const Options *options, size_t word, Err *err)
{
    bool works = options->yes || options->workers > 0 || options->max_runtime_us > 0 ||
                 options->into != NULL;
    if (word != WORD_RESTORE && works) {
        return err_set(err, ERR_USER, "--yes, --workers, --max-runtime and --into are for restore");
    }
    return true;
}

/* The whole path, as the job files of purges have it. */
static bool
open_folder(App *app, const char *path, ArchiveFolder *folder, Err *err)
{
    char shown[160];
    utf8_shorten(shown, sizeof(shown), path);
    char *real = realpath(path, NULL);
    if (real == NULL) {
        return err_set(err, ERR_USER, "cannot open %s: %s", shown, strerrordesc_np(errno));
    }
    const char *whole = arena_strdup(&app->arena, real);
    free(real);
    app_result(app, "path", json_text(whole));
    return archive_folder_open(whole, folder, err);
}

bool
verb_archive(App *app, Err *err)
{
    size_t word = 0;
    const Options *options = &app->options;
    ArchiveFolder folder = ARCHIVE_FOLDER_INIT;
    if (!find_word(options->args[0], &word, err) || !check_options(options, word, err) ||
        !open_folder(app, options->args[1], &folder, err)) {
        return false;
    }
    bool ok = word == WORD_LIST     ? list(app, &folder, err)
              : word == WORD_VERIFY ? verify(app, &folder, err)
                                    : restore_archive(app, &folder, err);
    archive_folder_close(&folder);
    return ok;
}
