/*
 * test_archive_store.c - files and frames as the database knows them, and who decides about a frame
 * whose fate is not known.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "harness/harness.h"
#include "integration/job_fixture.h"
#include "pg/query.h"
#include "store/archive.h"

#define TABLE                                                                                      \
    "CREATE TABLE t (id bigint PRIMARY KEY);"                                                      \
    "INSERT INTO t SELECT g FROM generate_series(1, 60) AS g;"
#define JOB "job: j\npurge: t\nwhere: id < 50\narchive: /nowhere\nthrottle: {standbys: none}\n"

/* Must succeed, and says which did not. */
#define OK(call) cr_assert(call, #call ": %s", err.message)

static ArchiveFrameRow
frame_of(const JobFixture *f, int no)
{
    return (ArchiveFrameRow){.job = f->job.id,
        .file = 1,
        .no = no,
        .run = f->run,
        .pass = 1,
        .range = 1,
        .rows = 49,
        .at = 100,
        .bytes = 10,
        .raw_bytes = 20,
        .hash = "hash"};
}

static void
open_file(JobFixture *f)
{
    Err err = ERR_INIT;
    char uuid[ARCHIVE_UUID_SIZE];
    int no = 0;
    bool recorded = false;
    job_fixture_open(f, TABLE, JOB);
    OK(archive_next_file(f->conn, f->job.id, &no, uuid, &err));
    cr_expect(eq(int, 1, no));
    ArchiveFileRow file = {
        .job = f->job.id, .no = no, .name = "j.zst", .table_name = "t", .run = f->run};
    OK(archive_record_file(f->conn, &file, &recorded, &err));
    cr_expect(recorded);
}

Test(archive_store, files_are_numbered_and_kept_when_the_job_is_cleaned)
{
    JobFixture f;
    Err err = ERR_INIT;
    open_file(&f);
    char uuid[ARCHIVE_UUID_SIZE];
    int no = 0;
    bool recorded = true;
    OK(archive_next_file(f.conn, f.job.id, &no, uuid, &err));
    cr_expect(eq(int, 2, no));
    ArchiveFileRow again = {
        .job = f.job.id, .no = 1, .name = "other", .table_name = "t", .run = f.run};
    OK(archive_record_file(f.conn, &again, &recorded, &err));
    cr_expect(not(recorded), "another run was faster");
    OK(archive_close_file(f.conn, f.job.id, 1, 1234, &err));
    OK(job_mark_cleaned(f.conn, f.job.id, &err));

    ArchiveFileList files;
    OK(archive_files(f.conn, "j", &f.arena, &files, &err));
    cr_assert(eq(int, 1, files.count));
    const ArchiveFileRow *row = &files.rows[0];
    cr_expect(row->closed && row->cleaned && row->bytes == 1234 && row->no == 1 &&
              row->run == f.run && row->job == f.job.id);
    cr_expect(eq(str, (char *)(uintptr_t)row->name, "j.zst"));
    cr_expect(eq(str, (char *)(uintptr_t)row->job_uuid, uuid));
    job_fixture_close(&f);
}

Test(archive_store, a_frame_that_nobody_committed_is_void)
{
    JobFixture f;
    Err err = ERR_INIT;
    open_file(&f);
    ArchiveFrameRow frame = frame_of(&f, 1);
    bool committed = true;
    for (int i = 0; i < 2; i++) {
        OK(archive_decide(f.conn, &frame, &committed, &err));
        cr_expect(not(committed));
    }
    ArchiveFrameList frames;
    OK(archive_frames(f.conn, f.job.id, 1, &f.arena, &frames, &err));
    cr_assert(eq(int, 1, frames.count));
    const ArchiveFrameRow *row = &frames.rows[0];
    cr_expect(row->no == 1 && !row->committed && row->rows == 49 && row->at == 100 &&
              row->bytes == 10 && row->raw_bytes == 20 && row->pass == 1 && row->range == 1);
    OK(archive_count_run(f.conn, f.job.id, f.run, &err));
    cr_expect(eq(i64, 0, pg_int(f.sql, "SELECT archived_bytes FROM pghaul.run")));
    job_fixture_close(&f);
}

/* The session of a run that was killed: it has inserted the frame, and its COMMIT is to come. */
static Session *
begin_zombie(JobFixture *f)
{
    Session *zombie = session_open(f->uri);
    pg_execf(session_conn(zombie),
        "BEGIN; INSERT INTO pghaul.archive_frame VALUES (%lld, 1, 1, 'committed', %lld, 1, 1, 49,"
        " 100, 10, 20, 'hash')",
        (long long)f->job.id, (long long)f->run);
    return zombie;
}

static void
expect_decided(const char *end, bool expected)
{
    JobFixture f;
    Err err = ERR_INIT;
    open_file(&f);
    Session *zombie = begin_zombie(&f);
    ArchiveFrameRow frame = frame_of(&f, 1);
    bool committed = !expected;
    OK(query_script(f.conn, "SET lock_timeout = 50", &err));
    cr_expect(not(archive_decide(f.conn, &frame, &committed, &err)), "not decided yet");
    cr_expect(eq(int, ERR_RETRY, (int)err.cls));
    pg_exec(session_conn(zombie), end);
    err = ERR_INIT;
    OK(archive_decide(f.conn, &frame, &committed, &err));
    cr_expect(committed == expected);
    OK(archive_count_run(f.conn, f.job.id, f.run, &err));
    cr_expect(eq(i64, expected ? 10 : 0, pg_int(f.sql, "SELECT archived_bytes FROM pghaul.run")));
    session_close(zombie);
    job_fixture_close(&f);
}

Test(archive_store, a_frame_that_is_about_to_be_committed_is_waited_for)
{
    expect_decided("COMMIT", true);
}

Test(archive_store, a_frame_whose_transaction_rolls_back_is_void)
{
    expect_decided("ROLLBACK", false);
}
