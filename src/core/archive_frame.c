/*
 * archive_frame.c - heads of units, their encoding, and the names of archive files.
 *
 * One table of fields serves both directions, so what is written is what is read.
 */
#include "core/archive_frame.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/mem.h"
#include "base/strbuf.h"

#define HASH_BYTES sizeof(XXH128_canonical_t)
#define TAG_BYTES  (sizeof(ARCHIVE_TAG) - 1)
#define SKIP_BYTES 8 /* magic and size of a skippable frame */

static const char *const FATES[] = {"none", "committed", "void"};
#define FATE_COUNT (sizeof(FATES) / sizeof(FATES[0]))

typedef enum FieldType {
    FIELD_TEXT,
    FIELD_INT,
    FIELD_INT64,
    FIELD_HASH,
} FieldType;

typedef struct Field {
    const char *key;
    size_t offset;
    FieldType type;
    bool of_rows;  /* an end unit has no such field */
    bool nullable; /* a hash that may be "" */
} Field;

#define AT(member) offsetof(ArchiveHeader, member)

/* In the order in which people read it. */
static const Field FIELDS[] = {
    {"job", AT(origin.job), FIELD_TEXT, false, false},
    {"job_uuid", AT(origin.job_uuid), FIELD_TEXT, false, false},
    {"run", AT(origin.run), FIELD_INT64, false, false},
    {"worker", AT(origin.worker), FIELD_INT, false, false},
    {"file", AT(origin.file_no), FIELD_INT, false, false},
    {"frame", AT(frame_no), FIELD_INT, false, false},
    {"pass", AT(pass), FIELD_INT, true, false},
    {"range", AT(range), FIELD_INT64, true, false},
    {"rows", AT(rows), FIELD_INT64, true, false},
    {"raw_bytes", AT(raw_bytes), FIELD_INT64, true, false},
    {"raw_hash", AT(raw_hash), FIELD_HASH, true, false},
    {"bytes", AT(bytes), FIELD_INT64, true, false},
    {"hash", AT(hash), FIELD_HASH, true, false},
    {"previous", AT(previous), FIELD_HASH, false, true},
    {"database", AT(origin.database), FIELD_TEXT, false, false},
    {"schema", AT(origin.schema), FIELD_TEXT, false, false},
    {"table", AT(origin.table), FIELD_TEXT, false, false},
    {"table_no", AT(origin.table_no), FIELD_INT, false, false},
    {"encoding", AT(origin.encoding), FIELD_TEXT, false, false},
    {"system_id", AT(origin.system_id), FIELD_TEXT, false, false},
    {"timeline", AT(origin.timeline), FIELD_INT64, false, false},
    {"server_version", AT(origin.server_version), FIELD_TEXT, false, false},
    {"written", AT(written_at), FIELD_TEXT, false, false},
};
#define FIELD_COUNT (sizeof(FIELDS) / sizeof(FIELDS[0]))

/* Freed at the end of the block. */
static void
drop_json(json_t **json)
{
    json_decref(*json);
}

#define JSON_AUTO __attribute__((cleanup(drop_json))) json_t

/* The canonical form of a hash (big-endian), also as hex digits. */
static XXH128_canonical_t
put_hex(XXH128_hash_t hash, char hex[ARCHIVE_HASH_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, hash);
    for (size_t i = 0; i < HASH_BYTES; i++) {
        hex[2 * i] = digits[canonical.digest[i] >> 4];
        hex[2 * i + 1] = digits[canonical.digest[i] & 15];
    }
    hex[2 * HASH_BYTES] = '\0';
    return canonical;
}

static XXH128_canonical_t
hash_bytes(const char *bytes, size_t len, char hex[ARCHIVE_HASH_SIZE])
{
    return put_hex(XXH3_128bits(bytes, len), hex);
}

void
archive_hash_hex(const XXH3_state_t *state, char hex[ARCHIVE_HASH_SIZE])
{
    (void)put_hex(XXH3_128bits_digest(state), hex);
}

/* ---- to bytes ---- */

struct ArchiveEncoder {
    ZSTD_CCtx *zstd;
    StrBuf head;
    char *frame;
    size_t frame_size;
};

ArchiveEncoder *
archive_encoder_new(int level)
{
    ArchiveEncoder *encoder = mem_new(sizeof(*encoder));
    encoder->zstd = ZSTD_createCCtx();
    if (encoder->zstd == NULL ||
        ZSTD_isError(ZSTD_CCtx_setParameter(encoder->zstd, ZSTD_c_compressionLevel, level)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(encoder->zstd, ZSTD_c_checksumFlag, 1))) {
        (void)fputs("pghaul: zstd cannot be set up\n", stderr);
        abort(); /* out of memory, or another library than we were built for */
    }
    return encoder;
}

void
archive_encoder_free(ArchiveEncoder *encoder)
{
    if (encoder == NULL) {
        return;
    }
    (void)ZSTD_freeCCtx(encoder->zstd);
    strbuf_free(&encoder->head);
    free(encoder->frame);
    free(encoder);
}

static bool
compress(ArchiveEncoder *encoder, ArchiveHeader *header, const char *rows, size_t len, Err *err)
{
    size_t bound = ZSTD_compressBound(len);
    if (bound > encoder->frame_size) {
        free(encoder->frame); /* before, not by growing: what is in it need not be copied */
        encoder->frame = mem_resize(NULL, bound, 1);
        encoder->frame_size = bound;
    }
    size_t bytes = ZSTD_compress2(encoder->zstd, encoder->frame, encoder->frame_size, rows, len);
    if (ZSTD_isError(bytes)) {
        return err_set(err, ERR_FATAL, "rows cannot be compressed: %s", ZSTD_getErrorName(bytes));
    }
    (void)hash_bytes(rows, len, header->raw_hash);
    (void)hash_bytes(encoder->frame, bytes, header->hash);
    header->raw_bytes = (int64_t)len;
    header->bytes = (int64_t)bytes;
    return true;
}

static json_t *
field_value(const ArchiveHeader *header, const Field *field)
{
    const char *at = (const char *)header + field->offset;
    switch (field->type) {
    case FIELD_TEXT: {
        const char *text;
        memcpy(&text, at, sizeof(text));
        return json_string(text);
    }
    case FIELD_INT: {
        int number;
        memcpy(&number, at, sizeof(number));
        return json_integer(number);
    }
    case FIELD_INT64: {
        int64_t number;
        memcpy(&number, at, sizeof(number));
        return json_integer(number);
    }
    case FIELD_HASH:
        return json_string(at);
    }
    return NULL;
}

static json_t *
columns_value(const ArchiveOrigin *origin)
{
    json_t *columns = json_array();
    for (int i = 0; i < origin->column_count; i++) {
        const ArchiveColumn *column = &origin->columns[i];
        if (json_array_append_new(columns,
                json_pack("{s:s, s:s}", "name", column->name, "type", column->type)) != 0) {
            json_decref(columns);
            return NULL;
        }
    }
    return columns;
}

/* NULL when a text is no UTF-8. */
static char *
header_text(const ArchiveHeader *header)
{
    JSON_AUTO *json = json_object();
    int failed = json_object_set_new(json, "format", json_integer(ARCHIVE_FORMAT));
    failed |= json_object_set_new(json, "unit", json_string(header->is_end ? "end" : "rows"));
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (!header->is_end || !FIELDS[i].of_rows) {
            failed |= json_object_set_new(json, FIELDS[i].key, field_value(header, &FIELDS[i]));
        }
    }
    failed |= json_object_set_new(json, "columns", columns_value(&header->origin));
    failed |= json_object_set_new(json, "before", json_string(FATES[header->before]));
    return failed != 0 ? NULL : json_dumps(json, JSON_COMPACT);
}

static void
put_le32(StrBuf *out, uint32_t number)
{
    for (int shift = 0; shift < 32; shift += 8) {
        strbuf_putc(out, (char)(unsigned char)(number >> shift));
    }
}

static bool
build_head(StrBuf *out, ArchiveHeader *header, Err *err)
{
    char *text = header_text(header);
    if (text == NULL) {
        return err_set(err, ERR_FATAL, "a name in the header of an archive is no UTF-8");
    }
    size_t len = strlen(text);
    size_t content = TAG_BYTES + len + HASH_BYTES;
    strbuf_clear(out);
    if (SKIP_BYTES + content > ARCHIVE_HEAD_MAX) {
        free(text);
        return err_set(err, ERR_FATAL, "the header of an archive's frame would have %zu bytes",
            SKIP_BYTES + content);
    }
    put_le32(out, ARCHIVE_MAGIC);
    put_le32(out, (uint32_t)content);
    strbuf_put(out, ARCHIVE_TAG, TAG_BYTES);
    strbuf_put(out, text, len);
    free(text);
    XXH128_canonical_t hash = hash_bytes(out->text, out->len, header->head_hash);
    strbuf_put(out, (const char *)hash.digest, HASH_BYTES);
    header->head_bytes = (int64_t)out->len;
    return true;
}

bool
archive_encode(ArchiveEncoder *encoder, ArchiveHeader *header, const char *rows, size_t len,
    ArchiveUnit *unit, Err *err)
{
    assert(header->is_end == (rows == NULL));
    if (!header->is_end && !compress(encoder, header, rows, len, err)) {
        return false;
    }
    if (!build_head(&encoder->head, header, err)) {
        return false;
    }
    *unit = (ArchiveUnit){
        .head = encoder->head.text,
        .head_len = encoder->head.len,
        .frame = encoder->frame,
        .frame_len = header->is_end ? 0 : (size_t)header->bytes,
    };
    return true;
}

/* ---- from bytes ---- */

static uint32_t
get_le32(const char *bytes)
{
    uint32_t number = 0;
    for (int i = 3; i >= 0; i--) {
        number = number << 8 | (unsigned char)bytes[i];
    }
    return number;
}

size_t
archive_head_size(const char *lead)
{
    if (get_le32(lead) != ARCHIVE_MAGIC || memcmp(lead + SKIP_BYTES, ARCHIVE_TAG, TAG_BYTES) != 0) {
        return 0;
    }
    size_t size = SKIP_BYTES + (size_t)get_le32(lead + 4);
    bool fits = size >= ARCHIVE_LEAD_BYTES + HASH_BYTES && size <= ARCHIVE_HEAD_MAX;
    return fits ? size : 0;
}

static bool
is_hash(const char *text)
{
    return strlen(text) == 2 * HASH_BYTES && strspn(text, "0123456789abcdef") == 2 * HASH_BYTES;
}

static bool
store_text(char *at, const Field *field, const char *text, Arena *arena)
{
    if (field->type == FIELD_HASH) {
        if (!is_hash(text) && !(field->nullable && text[0] == '\0')) {
            return false;
        }
        memcpy(at, text, strlen(text) + 1);
        return true;
    }
    const char *copy = arena_strdup(arena, text);
    memcpy(at, &copy, sizeof(copy));
    return field->type == FIELD_TEXT && text[0] != '\0';
}

static bool
store_number(char *at, FieldType type, int64_t number)
{
    if (number < 0) {
        return false;
    }
    if (type == FIELD_INT64) {
        memcpy(at, &number, sizeof(number));
        return true;
    }
    int small = (int)number;
    memcpy(at, &small, sizeof(small));
    return type == FIELD_INT && number <= INT_MAX;
}

static bool
store_field(ArchiveHeader *header, const Field *field, const json_t *value, Arena *arena)
{
    char *at = (char *)header + field->offset;
    if (json_is_string(value)) {
        return store_text(at, field, json_string_value(value), arena);
    }
    return json_is_integer(value) && store_number(at, field->type, json_integer_value(value));
}

static bool
store_columns(ArchiveOrigin *origin, const json_t *list, Arena *arena)
{
    size_t count = json_array_size(list); /* 0 when it is no array */
    ArchiveColumn *columns = arena_alloc(arena, (count + 1) * sizeof(*columns));
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(item, "name"));
        const char *type = json_string_value(json_object_get(item, "type"));
        if (name == NULL || type == NULL || name[0] == '\0') {
            return false;
        }
        columns[i] = (ArchiveColumn){arena_strdup(arena, name), arena_strdup(arena, type)};
    }
    origin->columns = columns;
    origin->column_count = (int)count;
    return json_is_array(list);
}

static bool
store_fate(ArchiveHeader *header, const json_t *value)
{
    const char *text = json_string_value(value);
    for (size_t i = 0; text != NULL && i < FATE_COUNT; i++) {
        if (strcmp(text, FATES[i]) == 0) {
            header->before = (ArchiveFate)i;
            return true;
        }
    }
    return false;
}

static bool
refuse_field(const char *key, Err *err)
{
    return err_set(err, ERR_FATAL, "\"%s\" of a unit's header is missing or wrong", key);
}

static bool
parse_fields(const json_t *json, Arena *arena, ArchiveHeader *header, Err *err)
{
    json_int_t format = json_integer_value(json_object_get(json, "format"));
    if (format != ARCHIVE_FORMAT) {
        return err_set(err, ERR_FATAL, "format %" JSON_INTEGER_FORMAT " of an archive; known is %d",
            format, ARCHIVE_FORMAT);
    }
    const char *unit = json_string_value(json_object_get(json, "unit"));
    if (unit == NULL || (strcmp(unit, "rows") != 0 && strcmp(unit, "end") != 0)) {
        return refuse_field("unit", err);
    }
    header->is_end = strcmp(unit, "end") == 0;
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const Field *field = &FIELDS[i];
        if (header->is_end && field->of_rows) {
            continue;
        }
        if (!store_field(header, field, json_object_get(json, field->key), arena)) {
            return refuse_field(field->key, err);
        }
    }
    if (!store_columns(&header->origin, json_object_get(json, "columns"), arena)) {
        return refuse_field("columns", err);
    }
    return store_fate(header, json_object_get(json, "before")) || refuse_field("before", err);
}

bool
archive_head_parse(const char *bytes, size_t len, Arena *arena, ArchiveHeader *header, Err *err)
{
    *header = (ArchiveHeader){.head_bytes = (int64_t)len};
    if (len < ARCHIVE_LEAD_BYTES || archive_head_size(bytes) != len) {
        return err_set(err, ERR_FATAL, "no unit begins here");
    }
    size_t hashed = len - HASH_BYTES;
    XXH128_canonical_t hash = hash_bytes(bytes, hashed, header->head_hash);
    if (memcmp(hash.digest, bytes + hashed, HASH_BYTES) != 0) {
        return err_set(err, ERR_FATAL, "the hash of a unit's header is wrong");
    }
    JSON_AUTO *json = json_loadb(
        bytes + ARCHIVE_LEAD_BYTES, hashed - ARCHIVE_LEAD_BYTES, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(json)) {
        return err_set(err, ERR_FATAL, "a unit's header is no JSON object");
    }
    return parse_fields(json, arena, header, err);
}

/* ---- order ---- */

static bool
same_origin(const ArchiveOrigin *a, const ArchiveOrigin *b)
{
    bool same = a->run == b->run && a->worker == b->worker && a->file_no == b->file_no &&
                a->table_no == b->table_no && a->timeline == b->timeline &&
                a->column_count == b->column_count && strcmp(a->job, b->job) == 0 &&
                strcmp(a->job_uuid, b->job_uuid) == 0 && strcmp(a->database, b->database) == 0 &&
                strcmp(a->schema, b->schema) == 0 && strcmp(a->table, b->table) == 0 &&
                strcmp(a->system_id, b->system_id) == 0 && strcmp(a->encoding, b->encoding) == 0 &&
                strcmp(a->server_version, b->server_version) == 0;
    for (int i = 0; same && i < a->column_count; i++) {
        same = strcmp(a->columns[i].name, b->columns[i].name) == 0 &&
               strcmp(a->columns[i].type, b->columns[i].type) == 0;
    }
    return same;
}

bool
archive_follows(const ArchiveHeader *last, const ArchiveHeader *next)
{
    if (last == NULL) {
        return next->frame_no == 1 && next->previous[0] == '\0' && next->before == ARCHIVE_NONE;
    }
    return !last->is_end && next->frame_no == last->frame_no + 1 && next->before != ARCHIVE_NONE &&
           strcmp(next->previous, last->head_hash) == 0 &&
           same_origin(&last->origin, &next->origin);
}

/* ---- names ---- */

const char *
archive_name_format(const ArchiveOrigin *origin, Arena *arena)
{
    return arena_printf(arena, "%s.r%" PRId64 ".w%d.t%d.%06d.zst", origin->job, origin->run,
        origin->worker, origin->table_no, origin->file_no);
}

/* Cut the last ".<prefix><digits>" off `text` and give its number, or -1. */
static int64_t
cut_number(char *text, const char *prefix)
{
    char *dot = strrchr(text, '.');
    size_t skip = strlen(prefix);
    if (dot == NULL || strncmp(dot + 1, prefix, skip) != 0) {
        return -1;
    }
    const char *digits = dot + 1 + skip;
    size_t count = strspn(digits, "0123456789");
    if (count == 0 || count > 18 || digits[count] != '\0') {
        return -1;
    }
    *dot = '\0';
    return strtoll(digits, NULL, 10);
}

bool
archive_name_parse(const char *text, Arena *arena, ArchiveName *name)
{
    static const char suffix[] = ".zst";
    size_t len = strlen(text);
    if (len < sizeof(suffix) || strcmp(text + len - (sizeof(suffix) - 1), suffix) != 0) {
        return false;
    }
    char *job = arena_strndup(arena, text, len - (sizeof(suffix) - 1));
    int64_t file_no = cut_number(job, "");
    int64_t table_no = cut_number(job, "t");
    int64_t worker = cut_number(job, "w");
    int64_t run = cut_number(job, "r");
    ArchiveOrigin origin = {.job = job,
        .run = run,
        .worker = (int)worker,
        .table_no = (int)table_no,
        .file_no = (int)file_no};
    *name = (ArchiveName){
        arena_strdup(arena, text), job, run, origin.worker, origin.table_no, origin.file_no};
    /* One spelling only: leading zeros and numbers that do not fit come out differently. */
    return job[0] != '\0' && strcmp(archive_name_format(&origin, arena), text) == 0;
}
