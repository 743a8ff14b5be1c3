/*
 * archive_case.h - a purge with an archive over a table that an application keeps writing, and an
 * oracle: what remains and what is archived is all that ever was but what the application deleted.
 *
 * Keys are never used twice, so a key that is archived twice, or archived and still there, shows.
 */
#ifndef CLI_ARCHIVE_CASE_H
#define CLI_ARCHIVE_CASE_H

#include "harness/job.h"
#include "harness/session.h"

#define ARCHIVE_CLIENTS 2

typedef struct ArchiveCase {
    JobTest test;  /* folder, observer, runs */
    char *archive; /* path of the archive's folder */
    Session *clients[ARCHIVE_CLIENTS];
} ArchiveCase;

/* Table item (id, old, v), where `old` rows are to go; the job file has `more` lines of its own. */
void archive_case_open(ArchiveCase *c, PgCluster *cluster, const char *more);
void archive_case_close(ArchiveCase *c);
void archive_case_write_job(const ArchiveCase *c, const char *more);

/* So many old rows more. */
void archive_case_fill(ArchiveCase *c, int64_t rows);

/* Clients that insert, change, un-expire, delete, and change keys, each in its own transaction. */
void archive_case_start_clients(ArchiveCase *c);
void archive_case_stop_clients(ArchiveCase *c);

/*
 * Read the committed frames into table archived, by `zstd -dc`, and compare: nothing is lost or
 * doubled, and each version is the last one.  `all` tells that no old row may remain.
 */
void archive_case_check(ArchiveCase *c, bool all, const char *title);

/* Files that are not closed. */
int64_t archive_case_open_files(const ArchiveCase *c);

/* Path of a file of the archive, by its number; returns owned. */
char *archive_case_file(const ArchiveCase *c, int no);

#endif
