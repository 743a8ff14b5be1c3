/*
 * restore.h - `pghaul archive restore`: a job for each table of an archive, and their runs.
 */
#ifndef APP_RESTORE_H
#define APP_RESTORE_H

#include "app/app.h"
#include "engine/archive_file.h"

/*
 * Put the rows of the archive back, as the options say.
 *
 * Shape:   a table that is restored already is left alone, and said so.
 * Errors:  ERR_USER for an archive with nothing of what was asked for; of the runs.
 */
bool restore_archive(App *app, const ArchiveFolder *folder, Err *err)
    __attribute__((warn_unused_result));

#endif
