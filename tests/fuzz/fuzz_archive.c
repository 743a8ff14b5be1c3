/*
 * fuzz_archive.c - libFuzzer over the units of archive files: any bytes are a header and rows
 * within the limits, or an error.
 *
 * Hashes are put right before they are read, since no mutation would get past them.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "core/archive_frame.h"

#define HASH_BYTES sizeof(XXH128_canonical_t)

/* NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void
expect(bool truth)
{
    if (!truth) {
        abort();
    }
}

static void
mend_head(char *head, size_t len)
{
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(&hash, XXH3_128bits(head, len - HASH_BYTES));
    memcpy(head + len - HASH_BYTES, hash.digest, HASH_BYTES);
}

static void
expect_good_header(const ArchiveHeader *header)
{
    const ArchiveOrigin *origin = &header->origin;
    expect(origin->job[0] != '\0' && origin->job_uuid[0] != '\0' && origin->table[0] != '\0');
    expect(header->frame_no >= 0 && header->rows >= 0 && header->bytes >= 0);
    expect(header->raw_bytes >= 0 && header->before <= ARCHIVE_VOID);
    for (int i = 0; i < origin->column_count; i++) {
        expect(origin->columns[i].name[0] != '\0' && origin->columns[i].type != NULL);
    }
    expect(!archive_follows(header, header));
}

static bool
count_bytes(void *ctx, const char *bytes, size_t len, Err *err)
{
    (void)bytes;
    (void)err;
    *(int64_t *)ctx += (int64_t)len;
    return true;
}

/* `bytes` are decoded twice: at once, and one by one; both must say the same. */
static void
decode(ArchiveHeader *header, const char *bytes, size_t len)
{
    XXH3_state_t *state = XXH3_createState();
    (void)XXH3_128bits_reset(state);
    (void)XXH3_128bits_update(state, bytes, len);
    archive_hash_hex(state, header->hash);
    (void)XXH3_freeState(state);

    bool verdicts[2];
    ArchiveDecoder *decoder = archive_decoder_new();
    for (int i = 0; i < 2; i++) {
        size_t step = i == 0 ? len + 1 : 1;
        int64_t given = 0;
        Err err = ERR_INIT;
        archive_decoder_begin(decoder, header, count_bytes, &given);
        bool good = true;
        for (size_t at = 0; good && at < len; at += step) {
            good =
                archive_decoder_feed(decoder, bytes + at, len - at < step ? len - at : step, &err);
        }
        verdicts[i] = good && archive_decoder_end(decoder, &err);
        expect(given <= header->raw_bytes);
        expect(verdicts[i] == (err.cls == ERR_NONE));
        expect(!verdicts[i] || given == header->raw_bytes);
    }
    expect(verdicts[0] == verdicts[1]);
    archive_decoder_free(decoder);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char *file = mem_new(len);
    memcpy(file, bytes, len);
    Arena arena = ARENA_INIT;
    for (size_t at = 0; len - at >= ARCHIVE_LEAD_BYTES;) {
        size_t head = archive_head_size(file + at);
        ArchiveHeader header;
        Err err = ERR_INIT;
        if (head == 0 || head > len - at) {
            break;
        }
        mend_head(file + at, head);
        if (!archive_head_parse(file + at, head, &arena, &header, &err)) {
            expect(err.cls == ERR_FATAL);
            break;
        }
        expect_good_header(&header);
        at += head;
        size_t frame = (uint64_t)header.bytes < len - at ? (size_t)header.bytes : len - at;
        decode(&header, file + at, frame);
        at += frame;
    }
    arena_reset(&arena);
    free(file);
    return 0;
}
