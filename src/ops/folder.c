#include "ops/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static void
set_fault(FolderFacts *facts, const char *fault, const char *remedy)
{
    facts->fault = fault;
    facts->remedy = remedy;
}

static void
look_at_folder(const char *path, const struct stat *found, FolderFacts *facts, Arena *arena)
{
    facts->exists = true;
    if (S_ISLNK(found->st_mode)) {
        set_fault(facts, "is a symbolic link", "Write the path that it points to.");
    } else if (!S_ISDIR(found->st_mode)) {
        set_fault(facts, "is no folder", "Name a folder, or one that does not exist yet.");
    } else if (found->st_uid != geteuid()) {
        set_fault(facts, "belongs to another user of this host",
            "Run as that user, or name a folder of your own.");
    } else if ((found->st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        set_fault(facts, "may be written by others", arena_printf(arena, "chmod go-w %s", path));
    } else if (faccessat(AT_FDCWD, path, R_OK | W_OK | X_OK, AT_EACCESS) != 0) {
        set_fault(facts, "cannot be written", arena_printf(arena, "chmod u+rwx %s", path));
    }
}

/* It will be made there. */
static void
look_at_parent(const char *path, const char *parent, FolderFacts *facts, Arena *arena)
{
    struct stat found;
    if (stat(parent, &found) != 0 || !S_ISDIR(found.st_mode)) {
        set_fault(facts, "has no folder to be made in", arena_printf(arena, "mkdir -p %s", parent));
    } else if (faccessat(AT_FDCWD, parent, W_OK | X_OK, AT_EACCESS) != 0) {
        set_fault(facts, "cannot be made: the folder above may not be written",
            arena_printf(arena, "Make it as somebody who may: install -d -m 700 -o %u %s",
                (unsigned int)geteuid(), path));
    }
}

static const char *
folder_above(const char *path, Arena *arena)
{
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] == '/') {
        len--;
    }
    while (len > 0 && path[len - 1] != '/') {
        len--;
    }
    while (len > 0 && path[len - 1] == '/') {
        len--;
    }
    return len == 0 ? "/" : arena_strndup(arena, path, len);
}

static int64_t
free_bytes(const char *path)
{
    struct statvfs room;
    return statvfs(path, &room) == 0 ? (int64_t)room.f_bavail * (int64_t)room.f_frsize : -1;
}

const FolderFacts *
folder_look(const char *path, Arena *arena)
{
    FolderFacts *facts = arena_alloc(arena, sizeof(*facts));
    *facts = (FolderFacts){.free_bytes = -1};
    struct stat found;
    if (lstat(path, &found) == 0) {
        look_at_folder(path, &found, facts, arena);
        facts->free_bytes = free_bytes(path);
        return facts;
    }
    if (errno != ENOENT) {
        set_fault(facts, arena_printf(arena, "cannot be looked at: %s", strerrordesc_np(errno)),
            "Name a folder that this user may write.");
        return facts;
    }
    const char *parent = folder_above(path, arena);
    look_at_parent(path, parent, facts, arena);
    facts->free_bytes = free_bytes(parent);
    return facts;
}
