/*
 * test_archive_file.c - archive files on disk: written, read, torn, damaged, settled.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive_case.h"
#include "harness/proc.h"

static void
expect_state(const ArchiveVerdict *verdict, ArchiveState state, int frames)
{
    cr_assert(eq(int, (int)verdict->state, (int)state), "%s", verdict->reason);
    cr_assert(eq(int, verdict->frames, frames));
}

Test(archive_file, a_finished_file_is_closed_at_every_depth)
{
    ARCHIVE_CASE(env);
    const char *name = archive_case_file(&env, 3, true);
    for (int depth = ARCHIVE_HEADS; depth <= ARCHIVE_ROWS; depth++) {
        ArchiveVerdict verdict = archive_case_scan(&env, name, (ArchiveDepth)depth);
        expect_state(&verdict, ARCHIVE_CLOSED, 3);
        cr_assert(eq(i64, verdict.whole_bytes, verdict.file_bytes));
    }
}

Test(archive_file, a_file_without_frames_is_closed_too)
{
    ARCHIVE_CASE(env);
    ArchiveVerdict verdict =
        archive_case_scan(&env, archive_case_file(&env, 0, true), ARCHIVE_ROWS);
    expect_state(&verdict, ARCHIVE_CLOSED, 0);
}

Test(archive_file, a_file_and_its_folder_are_for_us_alone)
{
    ARCHIVE_CASE(env);
    const char *name = archive_case_file(&env, 1, true);
    struct stat status;
    cr_assert(fstatat(env.folder.fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0);
    cr_assert(eq(u32, status.st_mode, S_IFREG | 0600));
    cr_assert(fstat(env.folder.fd, &status) == 0);
    cr_assert(eq(u32, status.st_mode, S_IFDIR | 0700));
}

Test(archive_file, an_existing_name_is_never_written_to)
{
    ARCHIVE_CASE(env);
    const char *name = archive_case_file(&env, 1, true);
    ArchiveWriter *writer;
    Err err = ERR_INIT;
    cr_assert(not(archive_create(&env.folder, &env.origin, &writer, &err)));
    cr_assert(eq(ptr, writer, NULL));
    cr_assert(strstr(err.message, "File exists") != NULL);
    cr_assert(eq(int, unlinkat(env.folder.fd, name, 0), 0));
    cr_assert(eq(int, symlinkat("elsewhere", env.folder.fd, name), 0));
    err = ERR_INIT;
    cr_assert(not(archive_create(&env.folder, &env.origin, &writer, &err)));
    cr_assert(eq(int, faccessat(env.folder.fd, "elsewhere", F_OK, 0), -1));
}

Test(archive_file, links_and_other_things_are_not_read)
{
    ARCHIVE_CASE(env);
    const char *name = archive_case_file(&env, 1, true);
    cr_assert(eq(int, symlinkat(name, env.folder.fd, "link.zst"), 0));
    cr_assert(eq(int, mkfifoat(env.folder.fd, "fifo.zst", 0600), 0));
    cr_assert(eq(int, mkdirat(env.folder.fd, "folder.zst", 0700), 0));
    static const char *const names[] = {"link.zst", "fifo.zst", "folder.zst"};
    for (int i = 0; i < 3; i++) {
        ArchiveReader *reader;
        Err err = ERR_INIT;
        cr_assert(not(archive_reader_open(&env.folder, names[i], &reader, &err)));
        cr_assert(eq(int, (int)err.cls, (int)ERR_FATAL));
    }
    ArchiveReader *reader;
    Err err = ERR_INIT;
    cr_assert(not(archive_reader_open(&env.folder, "none.zst", &reader, &err)));
    cr_assert(eq(int, (int)err.cls, (int)ERR_USER));
}

static void
expect_folder_refused(const char *path, const char *message)
{
    ArchiveFolder folder;
    Err err = ERR_INIT;
    cr_assert(not(archive_folder_make(path, &folder, &err)));
    cr_assert(strstr(err.message, message) != NULL, "%s", err.message);
    cr_assert(eq(int, (int)err.cls, (int)ERR_REFUSED));
    cr_assert(eq(int, folder.fd, -1));
}

Test(archive_file, a_folder_that_is_not_ours_alone_is_refused)
{
    ARCHIVE_CASE(env);
    Arena *arena = &env.arena;
    const char *link = arena_printf(arena, "%s/link", env.scratch);
    cr_assert(eq(int, symlink(env.path, link), 0));
    expect_folder_refused(link, "is a link, or no folder");
    expect_folder_refused(arena_printf(arena, "%s//", link), "is a link, or no folder");
    (void)archive_case_file(&env, 1, true);
    expect_folder_refused(arena_printf(arena, "%s/audit-purge.r12.w1.t0.000003.zst", env.path),
        "is a link, or no folder");
    static const mode_t modes[] = {0770, 0720, 0702, 0777, 01777};
    for (int i = 0; i < 5; i++) {
        cr_assert(eq(int, chmod(env.path, modes[i]), 0));
        expect_folder_refused(env.path, "others may write to archive folder");
    }
    cr_assert(eq(int, chmod(env.path, 0755), 0));
    ArchiveFolder folder;
    Err err = ERR_INIT;
    cr_assert(archive_folder_make(arena_printf(arena, "%s/", env.path), &folder, &err));
    archive_folder_close(&folder);
    ServerUser user = server_user();
    if (user.is_other) { /* only root can give a folder away */
        cr_assert(eq(int, chown(env.path, user.uid, user.gid), 0));
        expect_folder_refused(env.path, "belongs to another user");
        cr_assert(archive_folder_open(env.path, &folder, &err)); /* but it may be read */
        archive_folder_close(&folder);
    }
    cr_assert(not(archive_folder_open("/nonexistent/folder", &folder, &err)));
    cr_assert(eq(int, (int)err.cls, (int)ERR_USER));
}

Test(archive_file, lists_archive_files_in_their_order)
{
    ARCHIVE_CASE(env);
    env.origin.file_no = 10;
    (void)archive_case_file(&env, 1, true);
    env.origin.file_no = 9;
    (void)archive_case_file(&env, 1, true);
    env.origin.job = "another";
    (void)archive_case_file(&env, 1, true);
    archive_case_store(&env, "audit-purge.r12.w1.t0.000009.zst.torn-7", "x", 1);
    ArchiveName *names;
    int count;
    Err err = ERR_INIT;
    cr_assert(archive_folder_list(&env.folder, NULL, &env.arena, &names, &count, &err));
    cr_assert(eq(int, count, 3));
    cr_assert_str_eq(names[0].text, "another.r12.w1.t0.000009.zst");
    cr_assert_str_eq(names[1].text, "audit-purge.r12.w1.t0.000009.zst");
    cr_assert_str_eq(names[2].text, "audit-purge.r12.w1.t0.000010.zst");
    for (int i = 0; i < 2; i++) { /* a second look begins at the begin */
        cr_assert(archive_folder_list(&env.folder, "another", &env.arena, &names, &count, &err));
        cr_assert(eq(int, count, 1));
    }
    cr_assert(archive_folder_list(&env.folder, "other", &env.arena, &names, &count, &err));
    cr_assert(eq(int, count, 0));
}

static bool
collect(void *ctx, const char *bytes, size_t len, Err *err)
{
    (void)err;
    strbuf_put(ctx, bytes, len);
    return true;
}

Test(archive_file, a_frame_is_found_again_at_its_place)
{
    ARCHIVE_CASE(env);
    ArchiveWriter *writer;
    Err err = ERR_INIT;
    cr_assert(archive_create(&env.folder, &env.origin, &writer, &err));
    ArchivePlace places[4];
    STRBUF_AUTO text = STRBUF_INIT;
    for (int no = 1; no <= 4; no++) {
        ArchiveBatch batch = archive_case_batch(no * 1000, &text);
        batch.before = no == 1 ? ARCHIVE_NONE : ARCHIVE_VOID;
        cr_assert(archive_append(writer, env.encoder, &batch, &places[no - 1], &err));
        cr_assert(eq(i64, places[no - 1].raw_bytes, (int64_t)text.len));
        cr_assert(eq(i64, archive_writer_bytes(writer), places[no - 1].at + places[no - 1].bytes));
        cr_assert(eq(int, archive_writer_frames(writer), no));
    }
    const char *name = arena_strdup(&env.arena, archive_writer_name(writer));
    int64_t bytes;
    cr_assert(archive_finish(writer, ARCHIVE_COMMITTED, &bytes, &err));

    ArchiveReader *reader;
    cr_assert(archive_reader_open(&env.folder, name, &reader, &err));
    for (int no = 4; no >= 1; no--) {
        ArchiveEntry entry;
        cr_assert(archive_entry_at(reader, places[no - 1].at, &env.arena, &entry, &err));
        cr_assert(eq(int, entry.header.frame_no, no));
        cr_assert(eq(i64, entry.bytes, places[no - 1].bytes));
        cr_assert_str_eq(entry.header.raw_hash, places[no - 1].hash);
        STRBUF_AUTO rows = STRBUF_INIT;
        cr_assert(archive_read_rows(reader, &entry, collect, &rows, &err), "%s", err.message);
        (void)archive_case_batch(no * 1000, &text);
        cr_assert_str_eq(rows.text, text.text);
    }
    ArchiveEntry entry;
    static const int64_t nowhere[] = {-1, 1, INT64_MAX, INT64_MIN};
    for (int i = 0; i < 4; i++) {
        err = ERR_INIT;
        cr_assert(not(archive_entry_at(reader, nowhere[i], &env.arena, &entry, &err)));
    }
    archive_reader_close(reader);
    ArchiveVerdict verdict = archive_case_scan(&env, name, ARCHIVE_ROWS);
    expect_state(&verdict, ARCHIVE_CLOSED, 4);
    cr_assert(eq(i64, verdict.file_bytes, bytes));
}

static bool
refuse_piece(void *ctx, const char *bytes, size_t len, Err *err)
{
    (void)bytes;
    (void)len;
    (*(int *)ctx)++;
    return err_set(err, ERR_POISON, "not wanted");
}

Test(archive_file, rows_are_given_out_only_of_bytes_whose_hash_is_right)
{
    ARCHIVE_CASE(env);
    const char *name = archive_case_file(&env, 1, true);
    ArchiveReader *reader;
    Err err = ERR_INIT;
    cr_assert(archive_reader_open(&env.folder, name, &reader, &err));
    ArchiveEntry entry;
    cr_assert(archive_entry_at(reader, 0, &env.arena, &entry, &err));
    int calls = 0;
    cr_assert(not(archive_read_rows(reader, &entry, refuse_piece, &calls, &err)));
    cr_assert(eq(int, (int)err.cls, (int)ERR_POISON));
    cr_assert(eq(int, calls, 1));
    archive_reader_close(reader);

    STRBUF_AUTO bytes = STRBUF_INIT;
    archive_case_load(&env, name, &bytes);
    bytes.text[entry.bytes - 1] ^= 1;
    archive_case_store(&env, name, bytes.text, bytes.len);
    err = ERR_INIT;
    cr_assert(archive_reader_open(&env.folder, name, &reader, &err));
    cr_assert(not(archive_read_rows(reader, &entry, refuse_piece, &calls, &err)));
    cr_assert_str_eq(err.message, "the hash of a frame is wrong");
    cr_assert(eq(int, calls, 1));
    archive_reader_close(reader);
}

Test(archive_file, the_zstd_command_prints_the_plain_rows)
{
    ARCHIVE_CASE(env);
    const char *name = archive_case_file(&env, 3, true);
    STRBUF_AUTO expected = STRBUF_INIT;
    STRBUF_AUTO text = STRBUF_INIT;
    for (int no = 1; no <= 3; no++) {
        (void)archive_case_batch(no, &text);
        strbuf_puts(&expected, text.text);
    }
    const char *path = arena_printf(&env.arena, "%s/%s", env.path, name);
    const char *const argv[] = {"/usr/bin/zstd", "-dc", path, NULL};
    Proc *zstd = proc_start(&(ProcSpec){.argv = argv});
    cr_assert(eq(int, proc_finish(zstd, 60000000), 0));
    char *printed = proc_stdout(zstd);
    cr_assert_str_eq(printed, expected.text);
    free(printed);
    proc_free(zstd);
}
