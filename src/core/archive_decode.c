/*
 * archive_decode.c - one zstd frame of an archive, in pieces: nothing of it is believed.
 *
 * The first five bytes are looked at here, since they decide what the rest may cost: zstd alone
 * would also take a skippable frame, a frame without its size or checksum, or one with a
 * dictionary.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/mem.h"
#include "core/archive_frame.h"

/* RFC 8878, 3.1.1: magic number, then the frame header descriptor. */
#define START_BYTES       5
#define HAS_CHECKSUM      0x04
#define HAS_DICTIONARY    0x03
#define HAS_CONTENT_SIZE  0xC0
#define HAS_SINGLE_WINDOW 0x20 /* then a content size is there, too */

struct ArchiveDecoder {
    ZSTD_DCtx *zstd;
    XXH3_state_t *hash;     /* of the frame's bytes */
    XXH3_state_t *raw_hash; /* of the rows */
    char *out;
    size_t out_size;
    /* of the frame under way: */
    const ArchiveHeader *header;
    ArchivePiece *piece;
    void *ctx;
    int64_t bytes;
    int64_t raw_bytes;
    int64_t rows;
    bool ended;  /* zstd has seen the end of the frame */
    bool in_row; /* the last byte was not the end of a row */
};

ArchiveDecoder *
archive_decoder_new(void)
{
    ArchiveDecoder *decoder = mem_new(sizeof(*decoder));
    decoder->zstd = ZSTD_createDCtx();
    decoder->hash = XXH3_createState();
    decoder->raw_hash = XXH3_createState();
    decoder->out_size = ZSTD_DStreamOutSize();
    decoder->out = mem_resize(NULL, decoder->out_size, 1);
    if (decoder->zstd == NULL || decoder->hash == NULL || decoder->raw_hash == NULL ||
        ZSTD_isError(
            ZSTD_DCtx_setParameter(decoder->zstd, ZSTD_d_windowLogMax, ARCHIVE_WINDOW_LOG))) {
        (void)fputs("pghaul: zstd cannot be set up\n", stderr);
        abort(); /* out of memory, or another library than we were built for */
    }
    return decoder;
}

void
archive_decoder_free(ArchiveDecoder *decoder)
{
    if (decoder == NULL) {
        return;
    }
    (void)ZSTD_freeDCtx(decoder->zstd);
    (void)XXH3_freeState(decoder->hash);
    (void)XXH3_freeState(decoder->raw_hash);
    free(decoder->out);
    free(decoder);
}

void
archive_decoder_begin(
    ArchiveDecoder *decoder, const ArchiveHeader *header, ArchivePiece *piece, void *ctx)
{
    (void)ZSTD_DCtx_reset(decoder->zstd, ZSTD_reset_session_only);
    (void)XXH3_128bits_reset(decoder->hash);
    (void)XXH3_128bits_reset(decoder->raw_hash);
    decoder->header = header;
    decoder->piece = piece;
    decoder->ctx = ctx;
    decoder->bytes = 0;
    decoder->raw_bytes = 0;
    decoder->rows = 0;
    decoder->ended = false;
    decoder->in_row = false;
}

static bool
start_is_ours(int64_t at, unsigned char byte)
{
    static const unsigned char magic[] = {0x28, 0xB5, 0x2F, 0xFD};
    if (at < START_BYTES - 1) {
        return byte == magic[at];
    }
    return (byte & HAS_CHECKSUM) != 0 && (byte & HAS_DICTIONARY) == 0 &&
           (byte & (HAS_CONTENT_SIZE | HAS_SINGLE_WINDOW)) != 0;
}

static void
count_rows(ArchiveDecoder *decoder, const char *bytes, size_t len)
{
    const char *end = bytes + len;
    for (const char *at = bytes; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++) {
        decoder->rows++;
    }
    decoder->in_row = end[-1] != '\n';
}

/* Take what zstd gave. */
static bool
take(ArchiveDecoder *decoder, size_t len, Err *err)
{
    if (len == 0) {
        return true;
    }
    decoder->raw_bytes += (int64_t)len;
    if (decoder->raw_bytes > decoder->header->raw_bytes) {
        return err_set(err, ERR_FATAL, "a frame holds more bytes than its header says");
    }
    (void)XXH3_128bits_update(decoder->raw_hash, decoder->out, len);
    count_rows(decoder, decoder->out, len);
    return decoder->piece == NULL || decoder->piece(decoder->ctx, decoder->out, len, err);
}

static bool
decompress(ArchiveDecoder *decoder, ZSTD_inBuffer *in, Err *err)
{
    bool filled = true; /* there may be more to come out, also without more to put in */
    while (!decoder->ended && (in->pos < in->size || filled)) {
        ZSTD_outBuffer out = {decoder->out, decoder->out_size, 0};
        size_t left = ZSTD_decompressStream(decoder->zstd, &out, in);
        if (ZSTD_isError(left)) {
            return err_set(
                err, ERR_FATAL, "a frame cannot be decompressed: %s", ZSTD_getErrorName(left));
        }
        decoder->ended = left == 0;
        filled = out.pos == out.size;
        if (!take(decoder, out.pos, err)) {
            return false;
        }
    }
    return true;
}

bool
archive_decoder_feed(ArchiveDecoder *decoder, const char *bytes, size_t len, Err *err)
{
    for (size_t i = 0; i < len && decoder->bytes + (int64_t)i < START_BYTES; i++) {
        if (!start_is_ours(decoder->bytes + (int64_t)i, (unsigned char)bytes[i])) {
            return err_set(err, ERR_FATAL,
                "no zstd frame with size and checksum and without dictionary follows a header");
        }
    }
    decoder->bytes += (int64_t)len;
    (void)XXH3_128bits_update(decoder->hash, bytes, len);
    ZSTD_inBuffer in = {bytes, len, 0};
    if (!decompress(decoder, &in, err)) {
        return false;
    }
    if (in.pos < in.size) {
        return err_set(err, ERR_FATAL, "bytes follow the end of a frame");
    }
    return true;
}

static bool
hash_is(const XXH3_state_t *state, const char *expected)
{
    char hex[ARCHIVE_HASH_SIZE];
    archive_hash_hex(state, hex);
    return strcmp(hex, expected) == 0;
}

bool
archive_decoder_end(ArchiveDecoder *decoder, Err *err)
{
    const ArchiveHeader *header = decoder->header;
    if (!decoder->ended || decoder->bytes != header->bytes) {
        return err_set(err, ERR_FATAL, "a frame is shorter than its header says");
    }
    if (!hash_is(decoder->hash, header->hash)) {
        return err_set(err, ERR_FATAL, "the hash of a frame is wrong");
    }
    if (decoder->raw_bytes != header->raw_bytes || !hash_is(decoder->raw_hash, header->raw_hash)) {
        return err_set(err, ERR_FATAL, "the hash of a frame's rows is wrong");
    }
    if (decoder->rows != header->rows || decoder->in_row) {
        return err_set(err, ERR_FATAL, "a frame has another number of rows than its header says");
    }
    return true;
}
