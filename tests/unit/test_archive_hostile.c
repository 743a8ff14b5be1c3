/*
 * test_archive_hostile.c - units that nobody of us has written: heads with a right hash over wrong
 * contents, and zstd frames that are not what a head says.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <zstd.h>

#include "archive_case.h"
#include "base/mem.h"

#define HASH_BYTES 16

static void
put_le32(StrBuf *out, uint32_t number)
{
    for (int shift = 0; shift < 32; shift += 8) {
        strbuf_putc(out, (char)(unsigned char)(number >> shift));
    }
}

/* A head around any text, with the hash that it must have. */
static void
make_head(StrBuf *out, const char *json, size_t len)
{
    strbuf_clear(out);
    put_le32(out, ARCHIVE_MAGIC);
    put_le32(out, (uint32_t)(8 + len + HASH_BYTES));
    strbuf_puts(out, ARCHIVE_TAG);
    strbuf_put(out, json, len);
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(&hash, XXH3_128bits(out->text, out->len));
    strbuf_put(out, (const char *)hash.digest, HASH_BYTES);
}

static bool
parses(const char *json, size_t len, Err *err)
{
    STRBUF_AUTO head = STRBUF_INIT;
    make_head(&head, json, len);
    Arena arena = ARENA_INIT;
    ArchiveHeader header;
    *err = ERR_INIT;
    bool good = archive_head_parse(head.text, head.len, &arena, &header, err);
    arena_reset(&arena);
    return good;
}

static void
expect_refused(const char *json, const char *message)
{
    Err err;
    cr_assert(not(parses(json, strlen(json), &err)), "%s", json);
    cr_assert_str_eq(err.message, message, "%s", json);
    cr_assert(eq(int, (int)err.cls, (int)ERR_FATAL));
}

/* The JSON of a good head. */
static void
good_json(StrBuf *out)
{
    ArchiveEncoder *encoder = archive_encoder_new(1);
    ArchiveHeader header = archive_sample_header(1);
    ArchiveUnit unit;
    Err err = ERR_INIT;
    cr_assert(archive_encode(encoder, &header, "a\n", 2, &unit, &err));
    strbuf_clear(out);
    strbuf_put(
        out, unit.head + ARCHIVE_LEAD_BYTES, unit.head_len - ARCHIVE_LEAD_BYTES - HASH_BYTES);
    archive_encoder_free(encoder);
}

/* The good head with `from` replaced; it must be there. */
static void
expect_refused_with(const char *from, const char *to, const char *message)
{
    STRBUF_AUTO json = STRBUF_INIT;
    good_json(&json);
    const char *at = strstr(json.text, from);
    cr_assert(at != NULL, "%s in %s", from, json.text);
    STRBUF_AUTO changed = STRBUF_INIT;
    strbuf_put(&changed, json.text, (size_t)(at - json.text));
    strbuf_puts(&changed, to);
    strbuf_puts(&changed, at + strlen(from));
    expect_refused(changed.text, message);
}

Test(archive_hostile, the_helper_makes_heads_that_are_read)
{
    STRBUF_AUTO json = STRBUF_INIT;
    good_json(&json);
    Err err;
    cr_assert(parses(json.text, json.len, &err), "%s", err.message);
}

Test(archive_hostile, sizes_are_checked_before_anything_else)
{
    STRBUF_AUTO head = STRBUF_INIT;
    good_json(&head);
    STRBUF_AUTO json = STRBUF_INIT;
    strbuf_puts(&json, head.text);
    make_head(&head, json.text, json.len);
    cr_assert(eq(sz, archive_head_size(head.text), head.len));

    static const uint32_t sizes[] = {0, 1, 8, 23, ARCHIVE_HEAD_MAX - 7, 0x7FFFFFFF, 0xFFFFFFFF};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        STRBUF_AUTO lead = STRBUF_INIT;
        put_le32(&lead, ARCHIVE_MAGIC);
        put_le32(&lead, sizes[i]);
        strbuf_puts(&lead, ARCHIVE_TAG);
        cr_assert(eq(sz, archive_head_size(lead.text), 0), "%u", sizes[i]);
    }
    Arena arena = ARENA_INIT;
    ArchiveHeader header;
    for (size_t len = 0; len < head.len; len++) {
        char *exact = mem_new(len + 1); /* so that reading behind it is seen by the sanitizer */
        memcpy(exact, head.text, len);
        exact = mem_resize(exact, len, 1);
        Err err = ERR_INIT;
        cr_assert(not(archive_head_parse(exact, len, &arena, &header, &err)));
        free(exact);
    }
    arena_reset(&arena);
}

Test(archive_hostile, other_magics_and_tags_begin_no_unit)
{
    for (uint32_t magic = 0x184D2A50; magic <= 0x184D2A5F; magic++) {
        STRBUF_AUTO lead = STRBUF_INIT;
        put_le32(&lead, magic);
        put_le32(&lead, 1000);
        strbuf_puts(&lead, ARCHIVE_TAG);
        cr_assert(eq(sz, archive_head_size(lead.text), magic == ARCHIVE_MAGIC ? 1008 : 0));
        lead.text[15] = '2';
        cr_assert(eq(sz, archive_head_size(lead.text), 0));
    }
}

Test(archive_hostile, json_that_is_no_header)
{
    static const char no_object[] = "a unit's header is no JSON object";
    expect_refused("", no_object);
    expect_refused("{", no_object);
    expect_refused("[]", no_object);
    expect_refused("null", no_object);
    expect_refused("{\"a\":1,\"a\":1}", no_object);
    expect_refused("{\"a\":\"\\u0000\"}", no_object);
    expect_refused("{\"a\":\"\xff\"}", no_object);
    expect_refused("{\"a\":99999999999999999999999}", no_object);
    expect_refused("{} {}", no_object);
    expect_refused("{}x", no_object);
    expect_refused("{}", "format 0 of an archive; known is 1");
    expect_refused("{\"format\":1}", "\"unit\" of a unit's header is missing or wrong");
}

Test(archive_hostile, json_that_is_nested_without_end)
{
    static const char *const brackets[] = {"[", "{\"a\":"};
    for (size_t i = 0; i < 2; i++) {
        STRBUF_AUTO json = STRBUF_INIT;
        while (json.len < 900000) {
            strbuf_puts(&json, brackets[i]);
        }
        expect_refused(json.text, "a unit's header is no JSON object");
    }
}

Test(archive_hostile, zero_bytes_within_the_json)
{
    STRBUF_AUTO json = STRBUF_INIT;
    good_json(&json);
    strbuf_put(&json, "\0", 1);
    Err err;
    cr_assert(not(parses(json.text, json.len, &err)));
}

Test(archive_hostile, fields_of_another_type_or_beyond_their_limits)
{
    static const struct {
        const char *from, *to, *key;
    } changes[] = {
        {"\"unit\":\"rows\"", "\"unit\":\"row\"", "unit"},
        {"\"job\":\"audit-purge\"", "\"job\":1", "job"},
        {"\"job\":\"audit-purge\"", "\"job\":\"\"", "job"},
        {"\"job\":\"audit-purge\",", "", "job"},
        {"\"run\":12", "\"run\":-1", "run"},
        {"\"run\":12", "\"run\":12.0", "run"},
        {"\"run\":12", "\"run\":\"12\"", "run"},
        {"\"run\":12", "\"run\":null", "run"},
        {"\"worker\":1", "\"worker\":2147483648", "worker"},
        {"\"frame\":1", "\"frame\":4294967297", "frame"},
        {"\"rows\":1", "\"rows\":{\"a\":1}", "rows"},
        {"\"bytes\":", "\"bytes\":-", "bytes"},
        {"\"raw_hash\":\"", "\"raw_hash\":\"0", "raw_hash"},
        {"\"raw_hash\":\"", "\"raw_hash\":\"\",\"x\":\"", "raw_hash"},
        {"\"previous\":\"\"", "\"previous\":\"ABCDEFABCDEFABCDEFABCDEFABCDEFAB\"", "previous"},
        {"\"previous\":\"\"", "\"previous\":0", "previous"},
        {"\"before\":\"none\"", "\"before\":\"lost\"", "before"},
        {"\"before\":\"none\"", "\"before\":1", "before"},
        {"\"columns\":[", "\"columns\":[null,", "columns"},
        {"\"columns\":[", "\"columns\":[{\"name\":1,\"type\":\"a\"},", "columns"},
        {"\"columns\":[", "\"columns\":[{\"name\":\"\",\"type\":\"a\"},", "columns"},
        {"\"columns\":[", "\"columns\":{},\"x\":[", "columns"},
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        STRBUF_AUTO message = STRBUF_INIT;
        strbuf_printf(&message, "\"%s\" of a unit's header is missing or wrong", changes[i].key);
        expect_refused_with(changes[i].from, changes[i].to, message.text);
    }
    expect_refused_with("\"format\":1", "\"format\":2", "format 2 of an archive; known is 1");
}

/* ---- frames ---- */

/* A header that says of `frame` what is true, but for what a test changes. */
static ArchiveHeader
header_of(const char *rows, size_t len, int64_t count, const StrBuf *frame)
{
    ArchiveHeader header = archive_sample_header(count);
    header.raw_bytes = (int64_t)len;
    header.bytes = (int64_t)frame->len;
    XXH3_state_t *state = XXH3_createState();
    (void)XXH3_128bits_reset(state);
    (void)XXH3_128bits_update(state, rows, len);
    archive_hash_hex(state, header.raw_hash);
    (void)XXH3_128bits_reset(state);
    (void)XXH3_128bits_update(state, frame->text, frame->len);
    archive_hash_hex(state, header.hash);
    (void)XXH3_freeState(state);
    return header;
}

/* Compress with one parameter set; checksum on unless that is the parameter. */
static void
compress(StrBuf *frame, const char *rows, size_t len, ZSTD_cParameter parameter, int value)
{
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    (void)ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
    cr_assert(ZSTD_isError(ZSTD_CCtx_setParameter(zstd, parameter, value)) == 0);
    size_t bound = ZSTD_compressBound(len);
    char *bytes = mem_new(bound);
    size_t got = ZSTD_compress2(zstd, bytes, bound, rows, len);
    cr_assert(ZSTD_isError(got) == 0);
    strbuf_clear(frame);
    strbuf_put(frame, bytes, got);
    free(bytes);
    (void)ZSTD_freeCCtx(zstd);
}

static void
expect_frame_refused(const ArchiveHeader *header, const StrBuf *frame, const char *message)
{
    static const size_t steps[] = {1, 3, 65536};
    for (size_t i = 0; i < 3; i++) {
        Err err = ERR_INIT;
        STRBUF_AUTO out = STRBUF_INIT;
        cr_assert(not(archive_decode(header, frame->text, frame->len, steps[i], &out, &err)));
        cr_assert(strstr(err.message, message) == err.message, "%s", err.message);
        cr_assert(le(i64, (int64_t)out.len, header->raw_bytes));
    }
}

Test(archive_hostile, a_frame_is_exactly_what_its_header_says)
{
    static const char rows[] = "1\ta\n2\tb\n";
    STRBUF_AUTO frame = STRBUF_INIT;
    compress(&frame, rows, 8, ZSTD_c_compressionLevel, 1);
    ArchiveHeader good = header_of(rows, 8, 2, &frame);
    Err err = ERR_INIT;
    cr_assert(archive_decode(&good, frame.text, frame.len, 1, NULL, &err), "%s", err.message);

    ArchiveHeader header = good;
    header.raw_bytes = 7;
    expect_frame_refused(&header, &frame, "a frame holds more bytes than its header says");
    header.raw_bytes = INT64_MAX;
    expect_frame_refused(&header, &frame, "the hash of a frame's rows is wrong");
    header = good;
    header.rows = 1;
    expect_frame_refused(&header, &frame, "a frame has another number of rows");
    header.rows = 3;
    expect_frame_refused(&header, &frame, "a frame has another number of rows");
    header = good;
    header.hash[0] = header.hash[0] == '0' ? '1' : '0';
    expect_frame_refused(&header, &frame, "the hash of a frame is wrong");
    header = good;
    header.raw_hash[31] = header.raw_hash[31] == '0' ? '1' : '0';
    expect_frame_refused(&header, &frame, "the hash of a frame's rows is wrong");
    header = good;
    header.bytes++;
    expect_frame_refused(&header, &frame, "a frame is shorter than its header says");
}

Test(archive_hostile, a_row_without_its_end)
{
    STRBUF_AUTO frame = STRBUF_INIT;
    compress(&frame, "1\n2", 3, ZSTD_c_compressionLevel, 1);
    ArchiveHeader header = header_of("1\n2", 3, 1, &frame);
    expect_frame_refused(&header, &frame, "a frame has another number of rows");
}

Test(archive_hostile, bytes_behind_the_frame)
{
    static const char *const tails[] = {"x", "\x28\xb5\x2f\xfd", "\x50\x2a\x4d\x18"};
    for (size_t i = 0; i < 3; i++) {
        STRBUF_AUTO frame = STRBUF_INIT;
        compress(&frame, "1\n", 2, ZSTD_c_compressionLevel, 1);
        strbuf_puts(&frame, tails[i]);
        ArchiveHeader header = header_of("1\n", 2, 1, &frame);
        expect_frame_refused(&header, &frame, "bytes follow the end of a frame");
    }
}

Test(archive_hostile, a_second_frame_in_the_place_of_one)
{
    STRBUF_AUTO frame = STRBUF_INIT;
    compress(&frame, "1\n", 2, ZSTD_c_compressionLevel, 1);
    STRBUF_AUTO twice = STRBUF_INIT;
    strbuf_put(&twice, frame.text, frame.len);
    strbuf_put(&twice, frame.text, frame.len);
    ArchiveHeader header = header_of("1\n1\n", 4, 2, &twice);
    expect_frame_refused(&header, &twice, "bytes follow the end of a frame");
}

Test(archive_hostile, frames_without_size_or_checksum_and_other_frames)
{
    static const char wrong[] = "no zstd frame with size and checksum and without dictionary";
    STRBUF_AUTO frame = STRBUF_INIT;
    compress(&frame, "1\n", 2, ZSTD_c_checksumFlag, 0);
    ArchiveHeader header = header_of("1\n", 2, 1, &frame);
    expect_frame_refused(&header, &frame, wrong);

    compress(&frame, "1\n", 2, ZSTD_c_contentSizeFlag, 0);
    header = header_of("1\n", 2, 1, &frame);
    expect_frame_refused(&header, &frame, wrong);

    strbuf_clear(&frame);
    strbuf_put(&frame, "\x50\x2a\x4d\x18\x04\0\0\0abcd", 12);
    header = header_of("", 0, 0, &frame);
    expect_frame_refused(&header, &frame, wrong);
}

Test(archive_hostile, a_dictionary_is_refused_before_zstd_asks_for_it)
{
    STRBUF_AUTO frame = STRBUF_INIT;
    compress(&frame, "1\n", 2, ZSTD_c_compressionLevel, 1);
    for (int bits = 1; bits <= 3; bits++) {
        frame.text[4] = (char)((frame.text[4] & ~3) | bits);
        ArchiveHeader header = header_of("1\n", 2, 1, &frame);
        expect_frame_refused(&header, &frame, "no zstd frame with size and checksum");
    }
}

Test(archive_hostile, a_window_beyond_the_limit_is_not_allocated)
{
    size_t len = (size_t)40 << 20;
    char *rows = mem_new(len);
    memset(rows, 'a', len);
    rows[len - 1] = '\n';
    STRBUF_AUTO frame = STRBUF_INIT;
    compress(&frame, rows, len, ZSTD_c_windowLog, ARCHIVE_WINDOW_LOG + 2);
    ArchiveHeader header = header_of(rows, len, 1, &frame);
    expect_frame_refused(
        &header, &frame, "a frame cannot be decompressed: Frame requires too much");
    free(rows);
}

Test(archive_hostile, a_bomb_gives_no_more_than_its_header_says)
{
    size_t len = (size_t)64 << 20;
    char *rows = mem_new(len);
    STRBUF_AUTO frame = STRBUF_INIT;
    compress(&frame, rows, len, ZSTD_c_compressionLevel, 1);
    cr_assert(lt(sz, frame.len, 20000));
    ArchiveHeader header = header_of(rows, len, 0, &frame);
    header.raw_bytes = 1000000;
    expect_frame_refused(&header, &frame, "a frame holds more bytes than its header says");
    free(rows);
}
