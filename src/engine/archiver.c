#include "engine/archiver.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "core/sql_archive.h"
#include "core/sql_parts.h"
#include "engine/worker_session.h"

/* Others that begin a file at the same moment are few. */
#define FILE_ATTEMPTS 100

/* ---- rows ---- */

/* A one-dimensional array in binary: dimensions, no NULLs, type of the elements, their number,
 * lower bound; then length and value of each.  Source: array_recv() of the server. */
#define ARRAY_HEAD_BYTES 20
#define OID_OF_TID       27
#define OID_OF_XID       28

static void
put_uint32(StrBuf *out, uint32_t value)
{
    uint32_t bytes = htobe32(value);
    strbuf_put(out, (const char *)&bytes, sizeof(bytes));
}

static void
reserve_head(StrBuf *array)
{
    static const char ZERO[ARRAY_HEAD_BYTES] = {0};
    strbuf_clear(array);
    strbuf_put(array, ZERO, sizeof(ZERO));
}

static void
write_head(StrBuf *array, uint32_t type, int64_t count)
{
    const uint32_t head[] = {1, 0, type, (uint32_t)count, 1};
    uint32_t bytes[ARRAY_HEAD_BYTES / 4];
    for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i++) {
        bytes[i] = htobe32(head[i]);
    }
    memcpy(array->text, bytes, sizeof(bytes));
}

void
archive_rows_clear(ArchiveRowsRead *rows)
{
    strbuf_clear(&rows->text);
    reserve_head(&rows->tids);
    reserve_head(&rows->xids);
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
archive_rows_finish(ArchiveRowsRead *rows)
{
    write_head(&rows->tids, OID_OF_TID, rows->count);
    write_head(&rows->xids, OID_OF_XID, rows->xid_count);
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

Archiver *
archiver_of(Worker *worker)
{
    if (worker->archiver != NULL) {
        return worker->archiver;
    }
    const EngineSetup *setup = &worker->engine->setup;
    const Facts *facts = setup->plan->facts;
    const ServerFacts *server = &facts->server;
    Archiver *archiver = mem_new(sizeof(*archiver));
    archiver->arena = ARENA_INIT;
    archiver->folder = ARCHIVE_FOLDER_INIT;
    archiver->encoder = archive_encoder_new(setup->plan->spec->archive.level);
    archiver->origin = (ArchiveOrigin){
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
    archiver->origin.columns = columns_of(facts, &archiver->arena, &archiver->origin.column_count);
    archive_rows_clear(&archiver->rows);
    worker->archiver = archiver;
    return archiver;
}

/* Its row comes first: a file that nobody knows would be refused. */
static bool
record_file(Worker *worker, Err *err)
{
    Archiver *archiver = worker->archiver;
    const EngineSetup *setup = &worker->engine->setup;
    STRBUF_AUTO table = STRBUF_INIT;
    sql_put_table(&table, setup->plan);
    bool recorded = false;
    for (int i = 0; i < FILE_ATTEMPTS && !recorded; i++) {
        if (!archive_next_file(
                worker->conn, setup->job, &archiver->origin.file_no, archiver->job_uuid, err)) {
            return false;
        }
        ArchiveFileRow row = {
            .job = setup->job,
            .no = archiver->origin.file_no,
            .name = archive_name_format(&archiver->origin, &archiver->arena),
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
open_file(Worker *worker, Err *err)
{
    Archiver *archiver = worker->archiver;
    if (archiver->writer != NULL) {
        return true;
    }
    if (archiver->failed) {
        return err_set(err, ERR_FATAL, "the archive file was given up after an error");
    }
    const char *path = worker->engine->setup.plan->spec->archive.path;
    bool opened = archiver->folder.fd >= 0 || archive_folder_make(path, &archiver->folder, err);
    return opened && record_file(worker, err) &&
           archive_create(&archiver->folder, &archiver->origin, &archiver->writer, err);
}

/* ---- frames ---- */

static bool
give_up_file(Archiver *archiver)
{
    archive_abandon(archiver->writer);
    archiver->writer = NULL;
    archiver->failed = true;
    return false;
}

bool
archiver_append(Worker *worker, Err *err)
{
    Archiver *archiver = worker->archiver;
    const ArchiveRowsRead *rows = &archiver->rows;
    if (!open_file(worker, err)) {
        return false;
    }
    ArchiveBatch batch = {
        .pass = worker->lease.pass,
        .range = worker->lease.no,
        .rows = rows->count,
        .text = strbuf_text(&rows->text),
        .len = rows->text.len,
        .before = archive_writer_frames(archiver->writer) == 0 ? ARCHIVE_NONE : archiver->last,
    };
    ArchivePlace place;
    if (!archive_append(archiver->writer, archiver->encoder, &batch, &place, err)) {
        (void)err_hint(err, "No row of it was deleted. Mend the cause and run again: that run "
                            "looks after the file and begins a new one.");
        return give_up_file(archiver);
    }
    memcpy(archiver->hash, place.hash, sizeof(archiver->hash));
    archiver->frame = (ArchiveFrameRow){
        .job = worker->engine->setup.job,
        .file = archiver->origin.file_no,
        .no = place.no,
        .run = worker->engine->setup.run,
        .pass = batch.pass,
        .range = batch.range,
        .rows = batch.rows,
        .at = place.at,
        .bytes = place.bytes,
        .raw_bytes = place.raw_bytes,
        .hash = archiver->hash,
    };
    archiver->pending = true;
    return true;
}

void
archiver_committed(Worker *worker)
{
    Archiver *archiver = worker->archiver;
    archiver->pending = false;
    archiver->last = ARCHIVE_COMMITTED;
    (void)pthread_mutex_lock(&worker->lock);
    worker->counters.archived_bytes += archiver->frame.bytes;
    worker->counters.archived_raw_bytes += archiver->frame.raw_bytes;
    (void)pthread_mutex_unlock(&worker->lock);
}

bool
archiver_decide(Worker *worker, Err *err)
{
    Archiver *archiver = worker->archiver;
    if (!archiver->pending) {
        return true;
    }
    bool committed = false;
    if (!archive_decide(worker->conn, &archiver->frame, &committed, err)) {
        return false;
    }
    if (committed) {
        archiver_committed(worker);
    }
    archiver->pending = false;
    archiver->last = committed ? ARCHIVE_COMMITTED : ARCHIVE_VOID;
    return true;
}

/* ---- the end ---- */

/* A session of its own accord: the worker may have lost its one, or never had a reason for it. */
static bool
close_file(Worker *worker, Err *err)
{
    Archiver *archiver = worker->archiver;
    bool usable = worker->conn != NULL && conn_is_idle(worker->conn);
    if (!usable) {
        worker_drop_session(worker);
    }
    if ((!usable && !worker_open_session(worker, err)) || !archiver_decide(worker, err)) {
        return false;
    }
    int64_t bytes = 0;
    ArchiveWriter *writer = archiver->writer;
    archiver->writer = NULL;
    const EngineSetup *setup = &worker->engine->setup;
    return archive_finish(writer, archiver->last, &bytes, err) &&
           archive_close_file(worker->conn, setup->job, archiver->origin.file_no, bytes, err) &&
           archive_count_run(worker->conn, setup->job, setup->run, err);
}

void
archiver_end(Worker *worker)
{
    Archiver *archiver = worker->archiver;
    if (archiver == NULL) {
        return;
    }
    Err err = ERR_INIT;
    if (archiver->writer != NULL && !close_file(worker, &err)) {
        log_line(LOG_WARNING, worker->name,
            "archive file %d is left open, the next run closes "
            "it: %s",
            archiver->origin.file_no, err.message);
    }
    archive_abandon(archiver->writer);
    archive_folder_close(&archiver->folder);
    archive_encoder_free(archiver->encoder);
    archive_rows_free(&archiver->rows);
    arena_reset(&archiver->arena);
    free(archiver);
    worker->archiver = NULL;
}
