/*
 * archive_case.h - a folder for archive files, and small files in it, for tests of their format.
 *
 *   audit (id int8, note text): frame N holds N rows, "1\tnote 1\n" and so on
 */
#ifndef UNIT_ARCHIVE_CASE_H
#define UNIT_ARCHIVE_CASE_H

#include "base/strbuf.h"
#include "engine/archive_file.h"
#include "engine/archive_scan.h"

typedef struct ArchiveCase {
    Arena arena;
    char *scratch;
    char *path; /* of the folder, in scratch */
    ArchiveFolder folder;
    ArchiveOrigin origin;
    ArchiveEncoder *encoder;
} ArchiveCase;

/* A header of frame 1 of such a file, with that many rows announced. */
ArchiveHeader archive_sample_header(int64_t rows);

/* Decode the unit's frame against a header (which may lie), `step` bytes at a time; the rows go to
 * *out unless that is NULL. */
bool archive_decode(
    const ArchiveHeader *header, const char *frame, size_t len, size_t step, StrBuf *out, Err *err);

void archive_case_init(ArchiveCase *env);
void archive_case_free(ArchiveCase *env);

/* A new file with so many frames, all committed; closed when `closed`.  Its name; borrowed. */
const char *archive_case_file(ArchiveCase *env, int frames, bool closed);

/* The batch of frame `no`; its text is put into *text. */
ArchiveBatch archive_case_batch(int no, StrBuf *text);

/* The bytes of a file in the folder, and a file made of bytes. */
void archive_case_load(const ArchiveCase *env, const char *name, StrBuf *bytes);
void archive_case_store(const ArchiveCase *env, const char *name, const char *bytes, size_t len);

/* What a scan says; fails the test on an error. */
ArchiveVerdict archive_case_scan(const ArchiveCase *env, const char *name, ArchiveDepth depth);

/* Settle the file with the fate of the last frame; false with *err set.  Fails the test when it
 * cannot be read. */
bool archive_case_settle(ArchiveCase *env, const char *name, ArchiveFate last, int64_t *bytes,
    const char **torn, Err *err);

#define ARCHIVE_CASE(name)                                                                         \
    __attribute__((cleanup(archive_case_free))) ArchiveCase name;                                  \
    archive_case_init(&(name))

#endif
