/*
 * folder.h - look at the folder of an archive before anything is written there.
 */
#ifndef OPS_FOLDER_H
#define OPS_FOLDER_H

#include "base/arena.h"
#include "core/facts.h"

/*
 * What would keep archive files from being written at `path` (absolute), and how much room there
 * is.  Makes nothing; by the time of the run it may be otherwise, and is judged again by what
 * writes.
 */
const FolderFacts *folder_look(const char *path, Arena *arena);

#endif
