/*
 * test_archive_frame.c - units of archive files, and the rows in them, as bytes in memory.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#include "archive_case.h"
#include "core/prng.h"

/* Encode, parse the head, decode the frame: the rows must come back. */
static void
expect_round_trip(int level, const char *rows, size_t len, int64_t count)
{
    ArchiveEncoder *encoder = archive_encoder_new(level);
    ArchiveHeader written = archive_sample_header(count);
    ArchiveUnit unit;
    Err err = ERR_INIT;
    cr_assert(archive_encode(encoder, &written, rows, len, &unit, &err), "%s", err.message);
    cr_assert(eq(sz, archive_head_size(unit.head), unit.head_len));

    Arena arena = ARENA_INIT;
    ArchiveHeader header;
    cr_assert(
        archive_head_parse(unit.head, unit.head_len, &arena, &header, &err), "%s", err.message);
    cr_assert(eq(i64, header.rows, count));
    cr_assert(eq(i64, header.raw_bytes, (int64_t)len));
    cr_assert(eq(i64, header.bytes, (int64_t)unit.frame_len));

    static const size_t steps[] = {1, 7, 4096, SIZE_MAX / 2};
    for (size_t i = unit.frame_len > 65536 ? 2 : 0; i < 4; i++) {
        STRBUF_AUTO out = STRBUF_INIT;
        cr_assert(archive_decode(&header, unit.frame, unit.frame_len, steps[i], &out, &err), "%s",
            err.message);
        cr_assert(eq(sz, out.len, len));
        cr_assert(memcmp(strbuf_text(&out), rows, len) == 0);
    }
    arena_reset(&arena);
    archive_encoder_free(encoder);
}

/* Rows of `width` bytes, of characters that zstd cannot make smaller when `noise`. */
static void
put_rows(StrBuf *out, int rows, int width, bool noise)
{
    Prng prng;
    prng_init(&prng, 1);
    for (int row = 0; row < rows; row++) {
        for (int i = 1; i < width; i++) {
            char c = 'x';
            if (noise) {
                c = (char)prng_between(&prng, ' ', '~');
            }
            strbuf_putc(out, c);
        }
        strbuf_putc(out, '\n');
    }
}

Test(archive_frame, gives_back_every_field_of_the_header)
{
    ArchiveEncoder *encoder = archive_encoder_new(1);
    ArchiveHeader written = archive_sample_header(1);
    written.frame_no = 9;
    written.before = ARCHIVE_VOID;
    memset(written.previous, 'a', ARCHIVE_HASH_SIZE - 1);
    ArchiveUnit unit;
    Err err = ERR_INIT;
    cr_assert(archive_encode(encoder, &written, "1\tx\n", 4, &unit, &err));
    Arena arena = ARENA_INIT;
    ArchiveHeader header;
    cr_assert(
        archive_head_parse(unit.head, unit.head_len, &arena, &header, &err), "%s", err.message);
    const ArchiveOrigin *origin = &header.origin;
    cr_assert_str_eq(origin->job, "audit-purge");
    cr_assert_str_eq(origin->job_uuid, "7b0c2a52-8f6e-4a35-9c1c-0f4f5a1d2e3f");
    cr_assert(eq(i64, origin->run, 12));
    cr_assert(eq(int, origin->worker, 1));
    cr_assert(eq(int, origin->file_no, 3));
    cr_assert(eq(int, origin->table_no, 0));
    cr_assert_str_eq(origin->database, "shop");
    cr_assert_str_eq(origin->schema, "public");
    cr_assert_str_eq(origin->table, "audit");
    cr_assert(eq(int, origin->column_count, 2));
    cr_assert_str_eq(origin->columns[1].name, "note \"é\"");
    cr_assert_str_eq(origin->columns[0].type, "bigint");
    cr_assert_str_eq(origin->system_id, "7312345678901234567");
    cr_assert(eq(i64, origin->timeline, 1));
    cr_assert_str_eq(origin->server_version, "15.4");
    cr_assert_str_eq(origin->encoding, "UTF8");
    cr_assert(eq(int, header.frame_no, 9));
    cr_assert(eq(int, (int)header.before, (int)ARCHIVE_VOID));
    cr_assert_str_eq(header.written_at, "2026-01-31 12:00:00.123Z");
    cr_assert(eq(int, header.pass, 2));
    cr_assert(eq(i64, header.range, 7));
    cr_assert(eq(i64, header.rows, 1));
    cr_assert(not(header.is_end));
    cr_assert_str_eq(header.previous, written.previous);
    cr_assert_str_eq(header.raw_hash, written.raw_hash);
    cr_assert_str_eq(header.hash, written.hash);
    cr_assert_str_eq(header.head_hash, written.head_hash);
    cr_assert(eq(i64, header.head_bytes, (int64_t)unit.head_len));
    arena_reset(&arena);
    archive_encoder_free(encoder);
}

Test(archive_frame, keeps_rows_of_every_size_and_kind)
{
    expect_round_trip(1, "", 0, 0);
    expect_round_trip(1, "\n", 1, 1);
    expect_round_trip(1, "\n\n\n", 3, 3);
    expect_round_trip(19, "1\t\\N\n2\tzwei\n", 12, 2);
    static const struct {
        int rows, width;
        bool noise;
    } shapes[] = {{1, 300000, true}, {1, 5000000, false}, {20000, 60, false}, {7000, 300, true}};
    for (size_t i = 0; i < 4; i++) {
        STRBUF_AUTO rows = STRBUF_INIT;
        put_rows(&rows, shapes[i].rows, shapes[i].width, shapes[i].noise);
        expect_round_trip(1, rows.text, rows.len, shapes[i].rows);
        expect_round_trip(3, rows.text, rows.len, shapes[i].rows);
    }
}

Test(archive_frame, keeps_its_own_window_limit_at_every_level)
{
    STRBUF_AUTO rows = STRBUF_INIT;
    put_rows(&rows, 9, 1 << 20, false); /* more than the largest window */
    static const int levels[] = {1, 3, 9, 15, 19};
    for (int i = 0; i < 5; i++) {
        expect_round_trip(levels[i], rows.text, rows.len, 9);
    }
}

Test(archive_frame, an_encoder_is_used_again)
{
    ArchiveEncoder *encoder = archive_encoder_new(1);
    Err err = ERR_INIT;
    STRBUF_AUTO large = STRBUF_INIT;
    put_rows(&large, 10, 100000, true);
    ArchiveUnit unit;
    ArchiveHeader header = archive_sample_header(10);
    cr_assert(archive_encode(encoder, &header, large.text, large.len, &unit, &err));
    cr_assert(archive_decode(&header, unit.frame, unit.frame_len, 4096, NULL, &err));
    header = archive_sample_header(1);
    cr_assert(archive_encode(encoder, &header, "a\n", 2, &unit, &err));
    cr_assert(archive_decode(&header, unit.frame, unit.frame_len, 4096, NULL, &err));
    header = archive_sample_header(0);
    header.is_end = true;
    cr_assert(archive_encode(encoder, &header, NULL, 0, &unit, &err));
    cr_assert(eq(sz, unit.frame_len, 0));
    archive_encoder_free(encoder);
}

Test(archive_frame, refuses_a_header_that_is_too_large_and_names_that_are_no_text)
{
    enum { COUNT = 1600 };
    char type[1000];
    memset(type, 't', sizeof(type) - 1);
    type[sizeof(type) - 1] = '\0';
    ArchiveColumn columns[COUNT];
    for (int i = 0; i < COUNT; i++) {
        columns[i] = (ArchiveColumn){"c", type};
    }
    ArchiveEncoder *encoder = archive_encoder_new(1);
    ArchiveHeader header = archive_sample_header(1);
    header.origin.columns = columns;
    header.origin.column_count = COUNT;
    ArchiveUnit unit;
    Err err = ERR_INIT;
    cr_assert(not(archive_encode(encoder, &header, "a\n", 2, &unit, &err)));
    cr_assert(strstr(err.message, "the header of an archive's frame would have ") != NULL);

    header = archive_sample_header(1);
    header.origin.table = "caf\xe9";
    err = ERR_INIT;
    cr_assert(not(archive_encode(encoder, &header, "a\n", 2, &unit, &err)));
    columns[0] = (ArchiveColumn){"\xff", "text"};
    header = archive_sample_header(1);
    header.origin.columns = columns;
    header.origin.column_count = 1;
    err = ERR_INIT;
    cr_assert(not(archive_encode(encoder, &header, "a\n", 2, &unit, &err)));
    archive_encoder_free(encoder);
}

Test(archive_frame, a_table_of_1600_columns_with_the_longest_names_fits)
{
    enum { COUNT = 1600 };
    ArchiveColumn columns[COUNT];
    char name[64];
    memset(name, '\1', sizeof(name) - 1); /* six characters each in JSON */
    name[sizeof(name) - 1] = '\0';
    for (int i = 0; i < COUNT; i++) {
        columns[i] = (ArchiveColumn){name, "\"a schema with a name of many words\".\"its type\""};
    }
    ArchiveEncoder *encoder = archive_encoder_new(1);
    ArchiveHeader header = archive_sample_header(1);
    header.origin.columns = columns;
    header.origin.column_count = COUNT;
    ArchiveUnit unit;
    Err err = ERR_INIT;
    cr_assert(archive_encode(encoder, &header, "a\n", 2, &unit, &err), "%s", err.message);
    Arena arena = ARENA_INIT;
    ArchiveHeader again;
    cr_assert(archive_head_parse(unit.head, unit.head_len, &arena, &again, &err));
    cr_assert(eq(int, again.origin.column_count, COUNT));
    cr_assert_str_eq(again.origin.columns[COUNT - 1].name, name);
    arena_reset(&arena);
    archive_encoder_free(encoder);
}

Test(archive_frame, units_follow_each_other_in_one_way_only)
{
    ArchiveHeader first = archive_sample_header(1);
    memset(first.head_hash, 'a', ARCHIVE_HASH_SIZE - 1);
    ArchiveHeader second = archive_sample_header(1);
    second.frame_no = 2;
    second.before = ARCHIVE_COMMITTED;
    memcpy(second.previous, first.head_hash, sizeof(second.previous));
    cr_assert(archive_follows(NULL, &first));
    cr_assert(archive_follows(&first, &second));
    cr_assert(not(archive_follows(NULL, &second)));
    cr_assert(not(archive_follows(&first, &first)));

    ArchiveHeader wrong = second;
    wrong.frame_no = 3;
    cr_assert(not(archive_follows(&first, &wrong)));
    wrong = second;
    wrong.before = ARCHIVE_NONE;
    cr_assert(not(archive_follows(&first, &wrong)));
    wrong = second;
    wrong.previous[0] = 'b';
    cr_assert(not(archive_follows(&first, &wrong)));
    wrong = second;
    wrong.origin.table = "other";
    cr_assert(not(archive_follows(&first, &wrong)));
    wrong = second;
    wrong.origin.column_count = 1;
    cr_assert(not(archive_follows(&first, &wrong)));
    wrong = second;
    static const ArchiveColumn other[] = {{"id", "bigint"}, {"note", "text"}};
    wrong.origin.columns = other;
    cr_assert(not(archive_follows(&first, &wrong)));
    first.is_end = true;
    cr_assert(not(archive_follows(&first, &second)));
}

Test(archive_frame, names_of_files_are_read_back_in_one_spelling)
{
    Arena arena = ARENA_INIT;
    ArchiveHeader header = archive_sample_header(1);
    const char *text = archive_name_format(&header.origin, &arena);
    cr_assert_str_eq(text, "audit-purge.r12.w1.t0.000003.zst");
    ArchiveName name;
    cr_assert(archive_name_parse(text, &arena, &name));
    cr_assert_str_eq(name.job, "audit-purge");
    cr_assert_str_eq(name.text, text);
    cr_assert(eq(i64, name.run, 12));
    cr_assert(eq(int, name.worker, 1));
    cr_assert(eq(int, name.table_no, 0));
    cr_assert(eq(int, name.file_no, 3));
    cr_assert(archive_name_parse("a.b.r1.w0.t2.1000000.zst", &arena, &name));
    cr_assert_str_eq(name.job, "a.b");
    static const char *const others[] = {"", ".zst", "a.zst", "a.r1.w1.t0.000003.zst.torn-12",
        ".r1.w1.t0.000003.zst", "a.r1.w1.t0.3.zst", "a.r01.w1.t0.000003.zst",
        "a.r1.w1.t0.000003.zst ", "a.r-1.w1.t0.000003.zst", "a.r1.w4294967297.t0.000003.zst",
        "a.r99999999999999999999.w1.t0.000003.zst", "a.r1.t0.w1.000003.zst", "a.r.w1.t0.000003.zst",
        "r1.w1.t0.000003.zst"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        cr_assert(not(archive_name_parse(others[i], &arena, &name)), "%s", others[i]);
    }
    arena_reset(&arena);
}
