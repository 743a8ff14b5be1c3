/*
 * archive_steps.c - a program that writes or settles an archive file, to be run under faults.
 *
 *   archive_steps append FOLDER FRAMES    one file; "frame N" is printed once it is on disk, and
 *                                         "closed" at the end
 *   archive_steps settle FOLDER NAME      "settled" at the end
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "engine/archive_file.h"
#include "engine/archive_scan.h"

static const ArchiveColumn COLUMNS[] = {{"id", "bigint"}};

static const ArchiveOrigin ORIGIN = {
    .job = "audit-purge",
    .job_uuid = "7b0c2a52-8f6e-4a35-9c1c-0f4f5a1d2e3f",
    .run = 1,
    .file_no = 1,
    .database = "shop",
    .schema = "public",
    .table = "audit",
    .columns = COLUMNS,
    .column_count = 1,
    .system_id = "7312345678901234567",
    .timeline = 1,
    .server_version = "15.4",
    .encoding = "UTF8",
};

static void
say(const char *text)
{
    (void)printf("%s\n", text);
    (void)fflush(stdout);
}

static bool
append_frames(ArchiveWriter *writer, int frames, Err *err)
{
    ArchiveEncoder *encoder = archive_encoder_new(1);
    STRBUF_AUTO text = STRBUF_INIT;
    bool good = true;
    for (int no = 1; good && no <= frames; no++) {
        strbuf_printf(&text, "%d\n", no);
        ArchiveBatch batch = {.pass = 1,
            .range = 1,
            .rows = no,
            .text = text.text,
            .len = text.len,
            .before = no == 1 ? ARCHIVE_NONE : ARCHIVE_COMMITTED};
        ArchivePlace place;
        good = archive_append(writer, encoder, &batch, &place, err);
        if (good) {
            char line[32];
            (void)snprintf(line, sizeof(line), "frame %d", no);
            say(line);
        }
    }
    archive_encoder_free(encoder);
    return good;
}

static bool
append_file(const char *path, int frames, Err *err)
{
    ArchiveFolder folder;
    ArchiveWriter *writer = NULL;
    if (!archive_folder_make(path, &folder, err) ||
        !archive_create(&folder, &ORIGIN, &writer, err)) {
        return false;
    }
    if (!append_frames(writer, frames, err)) {
        Err again = ERR_INIT; /* a writer that failed takes nothing more */
        int64_t bytes;
        if (archive_finish(writer, ARCHIVE_COMMITTED, &bytes, &again)) {
            say("a failed writer was finished");
        }
        return false;
    }
    int64_t bytes;
    if (!archive_finish(writer, ARCHIVE_COMMITTED, &bytes, err)) {
        return false;
    }
    say("closed");
    return true;
}

static bool
settle_file(const char *path, const char *name, Err *err)
{
    ArchiveFolder folder;
    ArchiveReader *reader;
    Arena arena = ARENA_INIT;
    int64_t bytes;
    const char *torn;
    if (!archive_folder_make(path, &folder, err) ||
        !archive_reader_open(&folder, name, &reader, err) ||
        !archive_scan(reader, ARCHIVE_BYTES, NULL, NULL, err)) {
        return false;
    }
    ArchiveState state = archive_verdict(reader)->state;
    if (state != ARCHIVE_CLOSED &&
        !archive_settle(reader, ARCHIVE_VOID, &arena, &bytes, &torn, err)) {
        return false;
    }
    say("settled");
    return true;
}

int
main(int argc, char **argv)
{
    if (argc != 4) {
        return 2;
    }
    Err err = ERR_INIT;
    bool good = strcmp(argv[1], "append") == 0
                    ? append_file(argv[2], (int)strtol(argv[3], NULL, 10), &err)
                    : settle_file(argv[2], argv[3], &err);
    if (!good) {
        (void)fprintf(stderr, "%s\n", err.message);
    }
    return good ? 0 : 1;
}
