#include "app/archive_text.h"

#include "app/json.h"
#include "app/text.h"
#include "core/format.h"

static const char *const FATES[] = {
    [ARCHIVE_NONE] = "undecided", [ARCHIVE_COMMITTED] = "deleted", [ARCHIVE_VOID] = "void"};

static const char *const STATES[] = {[ARCHIVE_CLOSED] = "closed",
    [ARCHIVE_WHOLE] = "open",
    [ARCHIVE_TORN] = "torn",
    [ARCHIVE_DAMAGED] = "damaged"};

/* Frames whose rows were not deleted, or perhaps not. */
static void
put_others(StrBuf *line, const WalkedFile *file)
{
    if (file->frames[ARCHIVE_VOID] > 0) {
        strbuf_printf(line, "; %lld void", (long long)file->frames[ARCHIVE_VOID]);
    }
    if (file->frames[ARCHIVE_NONE] > 0) {
        strbuf_printf(line, "; %lld not decided", (long long)file->frames[ARCHIVE_NONE]);
    }
}

void
archive_put_file(StrBuf *out, const WalkedFile *file, int width)
{
    char rows[FORMAT_SIZE];
    char bytes[FORMAT_SIZE];
    text_put_safe(out, file->name->text);
    strbuf_printf(out, "  %s\n", STATES[file->state]);
    if (file->origin.job == NULL) {
        return;
    }
    STRBUF_AUTO line = STRBUF_INIT;
    strbuf_printf(&line, "%s.%s, run %lld: %s row%s in %lld frame%s, %s", file->origin.schema,
        file->origin.table, (long long)file->name->run,
        format_count(file->rows[ARCHIVE_COMMITTED], rows),
        file->rows[ARCHIVE_COMMITTED] == 1 ? "" : "s", (long long)file->frames[ARCHIVE_COMMITTED],
        file->frames[ARCHIVE_COMMITTED] == 1 ? "" : "s", format_bytes(file->bytes, bytes));
    if (file->bytes > 0) {
        strbuf_printf(&line, " (%.1f : 1)", (double)file->raw_bytes / (double)file->bytes);
    }
    put_others(&line, file);
    strbuf_printf(&line, "; %s to %s", file->first_at, file->last_at);
    text_put_wrapped(out, "    ", strbuf_text(&line), width);
}

json_t *
archive_file_json(const WalkedFile *file)
{
    const ArchiveOrigin *origin = &file->origin;
    json_t *object = json_object();
    json_put(object, "type", json_text("file"));
    json_put(object, "file", json_text(file->name->text));
    json_put(object, "job", json_text(file->name->job));
    json_put(object, "job_uuid", json_text(origin->job_uuid));
    json_put(object, "run", json_integer(file->name->run));
    json_put(object, "worker", json_integer(file->name->worker));
    json_put(object, "database", json_text(origin->database));
    json_put(object, "schema", json_text(origin->schema));
    json_put(object, "table", json_text(origin->table));
    json_put(object, "state", json_text(STATES[file->state]));
    json_put(object, "frames", json_integer(file->frames[ARCHIVE_COMMITTED]));
    json_put(object, "void_frames", json_integer(file->frames[ARCHIVE_VOID]));
    json_put(object, "undecided_frames", json_integer(file->frames[ARCHIVE_NONE]));
    json_put(object, "rows", json_integer(file->rows[ARCHIVE_COMMITTED]));
    json_put(object, "undecided_rows", json_integer(file->rows[ARCHIVE_NONE]));
    json_put(object, "bytes", json_integer(file->bytes));
    json_put(object, "raw_bytes", json_integer(file->raw_bytes));
    json_put(object, "first_at", json_text(file->first_at));
    json_put(object, "last_at", json_text(file->last_at));
    return object;
}

void
archive_put_frame(StrBuf *out, const WalkedFile *file, const WalkedFrame *frame)
{
    char bytes[FORMAT_SIZE];
    text_put_safe(out, file->name->text);
    strbuf_printf(out, " frame %d at %lld: %lld row%s, %s, %s\n", frame->no, (long long)frame->at,
        (long long)frame->rows, frame->rows == 1 ? "" : "s", format_bytes(frame->bytes, bytes),
        FATES[frame->fate]);
}

json_t *
archive_frame_json(const WalkedFile *file, const WalkedFrame *frame)
{
    json_t *object = json_object();
    json_put(object, "type", json_text("frame"));
    json_put(object, "file", json_text(file->name->text));
    json_put(object, "frame", json_integer(frame->no));
    json_put(object, "at", json_integer(frame->at));
    json_put(object, "rows", json_integer(frame->rows));
    json_put(object, "bytes", json_integer(frame->bytes));
    json_put(object, "raw_bytes", json_integer(frame->raw_bytes));
    json_put(object, "hash", json_text(frame->hash));
    json_put(object, "fate", json_text(FATES[frame->fate]));
    return object;
}

void
archive_put_remark(StrBuf *out, const WalkRemark *remark, int width)
{
    STRBUF_AUTO line = STRBUF_INIT;
    strbuf_puts(&line, remark->file);
    if (remark->at >= 0) {
        strbuf_printf(&line, " at %lld", (long long)remark->at);
    }
    strbuf_printf(&line, ": %s", remark->text);
    text_put_wrapped(
        out, remark->gravity == WALK_NOTE ? "note: " : "damage: ", strbuf_text(&line), width);
}

json_t *
archive_remark_json(const WalkRemark *remark)
{
    json_t *object = json_object();
    json_put(object, "type", json_text(remark->gravity == WALK_NOTE ? "note" : "damage"));
    json_put(object, "file", json_text(remark->file));
    json_put(object, "at", remark->at < 0 ? json_null() : json_integer(remark->at));
    json_put(object, "text", json_text(remark->text));
    return object;
}
