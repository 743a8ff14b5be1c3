#include "archive_case.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/harness.h"

static const ArchiveColumn COLUMNS[] = {{"id", "bigint"}, {"note \"é\"", "text"}};

static ArchiveOrigin
sample_origin(void)
{
    return (ArchiveOrigin){
        .job = "audit-purge",
        .job_uuid = "7b0c2a52-8f6e-4a35-9c1c-0f4f5a1d2e3f",
        .run = 12,
        .worker = 1,
        .file_no = 3,
        .database = "shop",
        .schema = "public",
        .table = "audit",
        .columns = COLUMNS,
        .column_count = 2,
        .system_id = "7312345678901234567",
        .timeline = 1,
        .server_version = "15.4",
        .encoding = "UTF8",
    };
}

ArchiveHeader
archive_sample_header(int64_t rows)
{
    return (ArchiveHeader){
        .origin = sample_origin(),
        .frame_no = 1,
        .written_at = "2026-01-31 12:00:00.123Z",
        .pass = 2,
        .range = 7,
        .rows = rows,
    };
}

static bool
collect(void *ctx, const char *bytes, size_t len, Err *err)
{
    (void)err;
    strbuf_put(ctx, bytes, len);
    return true;
}

bool
archive_decode(
    const ArchiveHeader *header, const char *frame, size_t len, size_t step, StrBuf *out, Err *err)
{
    ArchiveDecoder *decoder = archive_decoder_new();
    archive_decoder_begin(decoder, header, out == NULL ? NULL : collect, out);
    bool good = true;
    for (size_t at = 0; good && at < len; at += step) {
        good = archive_decoder_feed(decoder, frame + at, len - at < step ? len - at : step, err);
    }
    good = good && archive_decoder_end(decoder, err);
    archive_decoder_free(decoder);
    return good;
}

void
archive_case_init(ArchiveCase *env)
{
    *env = (ArchiveCase){.arena = ARENA_INIT, .origin = sample_origin()};
    env->scratch = harness_scratch_new();
    env->path = arena_printf(&env->arena, "%s/archive", env->scratch);
    env->encoder = archive_encoder_new(1);
    Err err = ERR_INIT;
    cr_assert(archive_folder_make(env->path, &env->folder, &err), "%s", err.message);
}

void
archive_case_free(ArchiveCase *env)
{
    archive_encoder_free(env->encoder);
    archive_folder_close(&env->folder);
    harness_scratch_remove(env->scratch);
    arena_reset(&env->arena);
}

ArchiveBatch
archive_case_batch(int no, StrBuf *text)
{
    strbuf_clear(text);
    for (int i = 1; i <= no; i++) {
        strbuf_printf(text, "%d\tnote %d\n", i, i);
    }
    return (ArchiveBatch){.pass = 1,
        .range = 10 + no,
        .rows = no,
        .text = strbuf_text(text),
        .len = text->len,
        .before = no == 1 ? ARCHIVE_NONE : ARCHIVE_COMMITTED};
}

const char *
archive_case_file(ArchiveCase *env, int frames, bool closed)
{
    Err err = ERR_INIT;
    ArchiveWriter *writer;
    cr_assert(archive_create(&env->folder, &env->origin, &writer, &err), "%s", err.message);
    const char *name = arena_strdup(&env->arena, archive_writer_name(writer));
    STRBUF_AUTO text = STRBUF_INIT;
    for (int no = 1; no <= frames; no++) {
        ArchiveBatch batch = archive_case_batch(no, &text);
        ArchivePlace place;
        cr_assert(archive_append(writer, env->encoder, &batch, &place, &err), "%s", err.message);
        cr_assert(eq(int, place.no, no));
    }
    int64_t bytes;
    if (closed) {
        cr_assert(
            archive_finish(writer, frames == 0 ? ARCHIVE_NONE : ARCHIVE_COMMITTED, &bytes, &err),
            "%s", err.message);
    } else {
        archive_abandon(writer);
    }
    return name;
}

void
archive_case_load(const ArchiveCase *env, const char *name, StrBuf *bytes)
{
    strbuf_clear(bytes);
    int fd = openat(env->folder.fd, name, O_RDONLY | O_CLOEXEC);
    char piece[4096];
    ssize_t len;
    while ((len = read(fd, piece, sizeof(piece))) > 0) {
        strbuf_put(bytes, piece, (size_t)len);
    }
    cr_assert(len == 0);
    (void)close(fd);
}

void
archive_case_store(const ArchiveCase *env, const char *name, const char *bytes, size_t len)
{
    int fd = openat(env->folder.fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert(write(fd, bytes, len) == (ssize_t)len);
    (void)close(fd);
}

ArchiveVerdict
archive_case_scan(const ArchiveCase *env, const char *name, ArchiveDepth depth)
{
    Err err = ERR_INIT;
    ArchiveReader *reader;
    cr_assert(archive_reader_open(&env->folder, name, &reader, &err), "%s", err.message);
    cr_assert(archive_scan(reader, depth, NULL, NULL, &err), "%s", err.message);
    ArchiveVerdict verdict = *archive_verdict(reader);
    archive_reader_close(reader);
    return verdict;
}

bool
archive_case_settle(ArchiveCase *env, const char *name, ArchiveFate last, int64_t *bytes,
    const char **torn, Err *err)
{
    ArchiveReader *reader;
    cr_assert(archive_reader_open(&env->folder, name, &reader, err), "%s", err->message);
    cr_assert(archive_scan(reader, ARCHIVE_BYTES, NULL, NULL, err), "%s", err->message);
    bool settled = archive_settle(reader, last, &env->arena, bytes, torn, err);
    archive_reader_close(reader);
    return settled;
}
