#include "engine/archiver.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "core/plan_children.h"
#include "core/sql_archive.h"
#include "core/sql_parts.h"
#include "engine/worker_session.h"
#include "pg/flush.h"

/* Others that begin a file at the same moment are few. */
#define FILE_ATTEMPTS 100

/* ---- rows ---- */

/* A one-dimensional array in binary: dimensions, no NULLs, type of the elements, their number,
 * lower bound; then length and value of each.  Source: array_recv() of the server. */
#define OID_OF_TID 27
#define OID_OF_XID 28

static void
put_uint32(StrBuf *out, uint32_t value)
{
    uint32_t bytes = htobe32(value);
    strbuf_put(out, (const char *)&bytes, sizeof(bytes));
}

static void
put_head(StrBuf *array, uint32_t type, int64_t count)
{
    const uint32_t head[] = {1, 0, type, (uint32_t)count, 1};
    for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i++) {
        put_uint32(array, head[i]);
    }
}

void
archive_rows_clear(ArchiveRowsRead *rows)
{
    strbuf_clear(&rows->text);
    strbuf_clear(&rows->tids);
    strbuf_clear(&rows->xids);
    rows->count = 0;
    rows->xid_count = 0;
    rows->malformed = false;
}

void
archive_rows_free(ArchiveRowsRead *rows)
{
    strbuf_free(&rows->text);
    strbuf_free(&rows->tids);
    strbuf_free(&rows->xids);
}

static bool
take_number(const char **at, const char *stop, uint32_t most, uint32_t *value)
{
    const char *c = *at;
    uint64_t number = 0;
    for (; c < stop && *c >= '0' && *c <= '9' && number <= most; c++) {
        number = number * 10 + (uint64_t)(*c - '0');
    }
    bool ok = c > *at && number <= most;
    *value = (uint32_t)number;
    *at = c;
    return ok;
}

static bool
take_char(const char **at, const char *stop, char wanted)
{
    bool ok = *at < stop && **at == wanted;
    *at += ok ? 1 : 0;
    return ok;
}

static void
add_version(ArchiveRowsRead *rows, uint32_t block, uint16_t offset, uint32_t xid)
{
    char element[10];
    uint32_t head[] = {htobe32(6), htobe32(block)};
    uint16_t low = htobe16(offset);
    memcpy(element, head, 8);
    memcpy(element + 8, &low, 2);
    strbuf_put(&rows->tids, element, sizeof(element));
    rows->count++;
    if (rows->xid_count == 0 || rows->last_xid != xid) {
        put_uint32(&rows->xids, 4);
        put_uint32(&rows->xids, xid);
        rows->xid_count++;
        rows->last_xid = xid;
    }
}

bool
archive_rows_add(ArchiveRowsRead *rows, const char *line, size_t len)
{
    const char *at = line;
    const char *stop = line + len;
    uint32_t block = 0;
    uint32_t offset = 0;
    uint32_t xid = 0;
    bool ok = take_char(&at, stop, '(') && take_number(&at, stop, UINT32_MAX, &block) &&
              take_char(&at, stop, ',') && take_number(&at, stop, UINT16_MAX, &offset) &&
              take_char(&at, stop, ')') && take_char(&at, stop, '\t') &&
              take_number(&at, stop, UINT32_MAX, &xid);
    /* A table may have no column that is archived. */
    ok = ok && (take_char(&at, stop, '\t') || (at < stop && *at == '\n'));
    if (!ok) {
        rows->malformed = true;
        return false;
    }
    add_version(rows, block, (uint16_t)offset, xid);
    strbuf_put(&rows->text, at, (size_t)(stop - at));
    return true;
}

void
archiver_join(Archiver *archiver)
{
    int64_t tids = 0;
    int64_t xids = 0;
    for (int i = 0; i < archiver->slot_count; i++) {
        tids += archiver->slots[i].rows.count;
        xids += archiver->slots[i].rows.xid_count;
    }
    strbuf_clear(&archiver->tids);
    strbuf_clear(&archiver->xids);
    put_head(&archiver->tids, OID_OF_TID, tids);
    put_head(&archiver->xids, OID_OF_XID, xids);
    for (int i = 0; i < archiver->slot_count; i++) {
        const ArchiveRowsRead *rows = &archiver->slots[i].rows;
        strbuf_put(&archiver->tids, strbuf_text(&rows->tids), rows->tids.len);
        strbuf_put(&archiver->xids, strbuf_text(&rows->xids), rows->xids.len);
    }
}

/* ---- the file ---- */

static const ArchiveColumn *
columns_of(const Facts *facts, Arena *arena, int *count)
{
    ArchiveColumn *columns = arena_alloc(arena, (size_t)facts->column_count * sizeof(*columns));
    *count = 0;
    for (int i = 0; i < facts->column_count; i++) {
        if (sql_archive_has(&facts->columns[i])) {
            columns[(*count)++] =
                (ArchiveColumn){.name = facts->columns[i].name, .type = facts->columns[i].type};
        }
    }
    return columns;
}

static const ArchiveColumn *
columns_of_child(const ChildTable *table, Arena *arena, int *count)
{
    ArchiveColumn *columns = arena_alloc(arena, (size_t)table->column_count * sizeof(*columns));
    *count = 0;
    for (int i = 0; i < table->column_count; i++) {
        if (!table->columns[i].generated) {
            columns[(*count)++] =
                (ArchiveColumn){.name = table->columns[i].name, .type = table->columns[i].type};
        }
    }
    return columns;
}

static ArchiveOrigin
origin_of_job(Worker *worker, Archiver *archiver)
{
    const EngineSetup *setup = &worker->engine->setup;
    const Facts *facts = setup->plan->facts;
    const ServerFacts *server = &facts->server;
    ArchiveOrigin origin = {
        .job = setup->plan->spec->job,
        .job_uuid = archiver->job_uuid,
        .run = setup->run,
        .worker = worker->index + 1,
        .database = server->database,
        .schema = facts->table.schema,
        .table = facts->table.name,
        .system_id = server->system_id,
        .timeline = server->timeline,
        .server_version = arena_printf(
            &archiver->arena, "%d.%d", server->version_num / 10000, server->version_num % 10000),
        /* of such a database nobody knows what its bytes mean */
        .encoding = strcmp(server->encoding, "SQL_ASCII") == 0 ? "SQL_ASCII" : "UTF8",
    };
    origin.columns = columns_of(facts, &archiver->arena, &origin.column_count);
    return origin;
}

static void
add_child(Archiver *archiver, const PurgePlan *purge, int node)
{
    const ChildTable *table = purge->children[node].table;
    ArchiveOrigin origin = archiver->slots[0].origin;
    origin.table_no = archiver->slot_count;
    origin.schema = table->schema;
    origin.table = table->name;
    origin.columns = columns_of_child(table, &archiver->arena, &origin.column_count);
    archiver->slots[archiver->slot_count++] = (ArchiveSlot){.node = node, .origin = origin};
}

Archiver *
archiver_of(Worker *worker)
{
    if (worker->archiver != NULL) {
        return worker->archiver;
    }
    const Plan *plan = worker->engine->setup.plan;
    Archiver *archiver = mem_new(sizeof(*archiver));
    archiver->arena = ARENA_INIT;
    archiver->folder = ARCHIVE_FOLDER_INIT;
    archiver->encoder = archive_encoder_new(plan->spec->archive.level);
    archiver->slots = arena_alloc(
        &archiver->arena, ((size_t)plan->purge->child_count + 1) * sizeof(*archiver->slots));
    archiver->slots[0] =
        (ArchiveSlot){.node = CHILD_OF_JOB, .origin = origin_of_job(worker, archiver)};
    archiver->slot_count = 1;
    for (int i = 0; i < plan->purge->child_count; i++) {
        if (plan->purge->children[i].deleted) {
            add_child(archiver, plan->purge, i);
        }
    }
    worker->archiver = archiver;
    return archiver;
}

static void
put_table_name(StrBuf *out, const ArchiveOrigin *origin)
{
    sql_put_ident(out, origin->schema);
    strbuf_putc(out, '.');
    sql_put_ident(out, origin->table);
}

/* Its row comes first: a file that nobody knows would be refused. */
static bool
record_file(Worker *worker, ArchiveSlot *slot, Err *err)
{
    Archiver *archiver = worker->archiver;
    const EngineSetup *setup = &worker->engine->setup;
    STRBUF_AUTO table = STRBUF_INIT;
    put_table_name(&table, &slot->origin);
    bool recorded = false;
    for (int i = 0; i < FILE_ATTEMPTS && !recorded; i++) {
        if (!archive_next_file(
                worker->conn, setup->job, &slot->origin.file_no, archiver->job_uuid, err)) {
            return false;
        }
        ArchiveFileRow row = {
            .job = setup->job,
            .no = slot->origin.file_no,
            .name = archive_name_format(&slot->origin, &archiver->arena),
            .table_name = strbuf_text(&table),
            .run = setup->run,
        };
        if (!archive_record_file(worker->conn, &row, &recorded, err)) {
            return false;
        }
    }
    return recorded || err_set(err, ERR_RETRY, "no number for an archive file could be had");
}

static bool
open_file(Worker *worker, ArchiveSlot *slot, Err *err)
{
    Archiver *archiver = worker->archiver;
    if (slot->writer != NULL) {
        return true;
    }
    if (slot->failed) {
        return err_set(err, ERR_FATAL, "the archive file was given up after an error");
    }
    const char *path = worker->engine->setup.plan->spec->archive.path;
    bool opened = archiver->folder.fd >= 0 || archive_folder_make(path, &archiver->folder, err);
    return opened && record_file(worker, slot, err) &&
           archive_create(&archiver->folder, &slot->origin, &slot->writer, err);
}

/* ---- frames ---- */

static bool
give_up_file(ArchiveSlot *slot)
{
    archive_abandon(slot->writer);
    slot->writer = NULL;
    slot->failed = true;
    return false;
}

static bool
append_frame(Worker *worker, ArchiveSlot *slot, Err *err)
{
    const ArchiveRowsRead *rows = &slot->rows;
    if (!open_file(worker, slot, err)) {
        return false;
    }
    ArchiveBatch batch = {
        .pass = worker->lease.pass,
        .range = worker->lease.no,
        .rows = rows->count,
        .text = strbuf_text(&rows->text),
        .len = rows->text.len,
        .before = archive_writer_frames(slot->writer) == 0 ? ARCHIVE_NONE : slot->last,
    };
    ArchivePlace place;
    if (!archive_append(slot->writer, worker->archiver->encoder, &batch, &place, err)) {
        (void)err_hint(err, "No row of it was deleted. Mend the cause and run again: that run "
                            "looks after the file and begins a new one.");
        return give_up_file(slot);
    }
    memcpy(slot->hash, place.hash, sizeof(slot->hash));
    slot->frame = (ArchiveFrameRow){
        .job = worker->engine->setup.job,
        .file = slot->origin.file_no,
        .no = place.no,
        .run = worker->engine->setup.run,
        .pass = batch.pass,
        .range = batch.range,
        .rows = batch.rows,
        .at = place.at,
        .bytes = place.bytes,
        .raw_bytes = place.raw_bytes,
        .hash = slot->hash,
    };
    slot->pending = true;
    return true;
}

bool
archiver_append(Worker *worker, Err *err)
{
    Archiver *archiver = worker->archiver;
    bool ok = true;
    archiver->deleted_by[0] = '\0';
    for (int i = 0; ok && i < archiver->slot_count; i++) {
        ok = archiver->slots[i].rows.count == 0 || append_frame(worker, &archiver->slots[i], err);
    }
    return ok;
}

static void
slot_committed(Worker *worker, ArchiveSlot *slot)
{
    slot->pending = false;
    slot->last = ARCHIVE_COMMITTED;
    (void)pthread_mutex_lock(&worker->lock);
    worker->counters.archived_bytes += slot->frame.bytes;
    worker->counters.archived_raw_bytes += slot->frame.raw_bytes;
    (void)pthread_mutex_unlock(&worker->lock);
}

static void
name_session(const Worker *worker, char *out, size_t size)
{
    (void)snprintf(
        out, size, "%d %s", conn_backend_pid(worker->conn), conn_backend_start(worker->conn));
}

void
archiver_deleted(Worker *worker)
{
    Archiver *archiver = worker->archiver;
    name_session(worker, archiver->deleted_by, sizeof(archiver->deleted_by));
}

bool
archiver_is_deleted(const Worker *worker)
{
    char session[sizeof(worker->archiver->deleted_by)];
    name_session(worker, session, sizeof(session));
    return strcmp(worker->archiver->deleted_by, session) == 0;
}

bool
archiver_confirm(Worker *worker, Err *err)
{
    Archiver *archiver = worker->archiver;
    if (!archiver_is_pending(archiver)) {
        return true;
    }
    if (!flush_wait(worker->conn, err)) {
        return false;
    }
    for (int i = 0; i < archiver->slot_count; i++) {
        if (archiver->slots[i].pending) {
            slot_committed(worker, &archiver->slots[i]);
        }
    }
    return true;
}

bool
archiver_is_pending(const Archiver *archiver)
{
    for (int i = 0; i < archiver->slot_count; i++) {
        if (archiver->slots[i].pending) {
            return true;
        }
    }
    return false;
}

static bool
decide_slot(Worker *worker, ArchiveSlot *slot, Err *err)
{
    bool committed = false;
    if (!slot->pending) {
        return true;
    }
    if (!archive_decide(worker->conn, &slot->frame, &committed, err) ||
        (committed && !flush_wait(worker->conn, err))) {
        return false;
    }
    if (committed) {
        slot_committed(worker, slot);
    }
    slot->pending = false;
    slot->last = committed ? ARCHIVE_COMMITTED : ARCHIVE_VOID;
    return true;
}

/* A server that took over may lack the last commits of the one before, and of those frames the file
 * says that their rows were deleted.  The next run asks the database about each of them. */
static void
leave_file(const Worker *worker, ArchiveSlot *slot)
{
    bool same = slot->origin.timeline == worker->timeline;
    slot->origin.timeline = worker->timeline;
    if (!same && slot->writer != NULL) {
        log_line(LOG_WARNING, worker->name,
            "archive file %d is left open, the next run closes it: another server took over",
            slot->origin.file_no);
        archive_abandon(slot->writer);
        slot->writer = NULL;
    }
}

bool
archiver_decide(Worker *worker, Err *err)
{
    Archiver *archiver = worker->archiver;
    bool ok = true;
    for (int i = 0; ok && i < archiver->slot_count; i++) {
        ok = decide_slot(worker, &archiver->slots[i], err);
        if (ok) {
            leave_file(worker, &archiver->slots[i]);
        }
    }
    return ok;
}

/* ---- the end ---- */

/* A session of its own accord: the worker may have lost its one, or never had a reason for it. */
static bool
close_file(Worker *worker, ArchiveSlot *slot, Err *err)
{
    bool usable = worker->conn != NULL && conn_is_idle(worker->conn);
    if (!usable) {
        worker_drop_session(worker);
    }
    if ((!usable && !worker_open_session(worker, err)) || !decide_slot(worker, slot, err)) {
        return false;
    }
    leave_file(worker, slot);
    if (slot->writer == NULL) {
        return true;
    }
    int64_t bytes = 0;
    ArchiveWriter *writer = slot->writer;
    slot->writer = NULL;
    const EngineSetup *setup = &worker->engine->setup;
    return archive_finish(writer, slot->last, &bytes, err) &&
           archive_close_file(worker->conn, setup->job, slot->origin.file_no, bytes, err) &&
           archive_count_run(worker->conn, setup->job, setup->run, err);
}

static void
end_slot(Worker *worker, ArchiveSlot *slot)
{
    Err err = ERR_INIT;
    if (slot->writer != NULL && !close_file(worker, slot, &err)) {
        log_line(LOG_WARNING, worker->name,
            "archive file %d is left open, the next run closes it: %s", slot->origin.file_no,
            err.message);
    }
    archive_abandon(slot->writer);
    archive_rows_free(&slot->rows);
}

void
archiver_end(Worker *worker)
{
    Archiver *archiver = worker->archiver;
    if (archiver == NULL) {
        return;
    }
    for (int i = 0; i < archiver->slot_count; i++) {
        end_slot(worker, &archiver->slots[i]);
    }
    archive_folder_close(&archiver->folder);
    archive_encoder_free(archiver->encoder);
    strbuf_free(&archiver->tids);
    strbuf_free(&archiver->xids);
    arena_reset(&archiver->arena);
    free(archiver);
    worker->archiver = NULL;
}
