/*
 * archive_folder.c - the folder of an archive: whose it is, and which files are there.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "engine/archive_file.h"

/* Without the slashes at its end, which would make open() follow a link; owned. */
static char *
bare_path(const char *path)
{
    char *bare = mem_strdup(path);
    for (size_t len = strlen(bare); len > 1 && bare[len - 1] == '/'; len--) {
        bare[len - 1] = '\0';
    }
    return bare;
}

static bool
open_folder(const char *path, ArchiveFolder *folder, Err *err)
{
    *folder = (ArchiveFolder){.path = path};
    char *bare = bare_path(path);
    folder->fd = open(bare, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    free(bare);
    if (folder->fd >= 0) {
        return true;
    }
    if (errno == ENOTDIR || errno == ELOOP) {
        return err_set(err, ERR_REFUSED, "archive folder %s is a link, or no folder", path);
    }
    return err_set(err, errno == ENOENT ? ERR_USER : ERR_FATAL, "cannot open archive folder %s: %s",
        path, strerrordesc_np(errno));
}

bool
archive_folder_open(const char *path, ArchiveFolder *folder, Err *err)
{
    return open_folder(path, folder, err);
}

/* A name that is new is only kept by its parent's fsync(). */
static bool
sync_parent(const ArchiveFolder *folder, Err *err)
{
    int parent = openat(folder->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = parent >= 0 && fsync(parent) == 0;
    if (!synced) {
        (void)err_set(err, ERR_FATAL, "cannot sync the parent of archive folder %s: %s",
            folder->path, strerrordesc_np(errno));
    }
    if (parent >= 0) {
        (void)close(parent);
    }
    return synced;
}

static bool
check_owner(const ArchiveFolder *folder, Err *err)
{
    struct stat status;
    if (fstat(folder->fd, &status) != 0) {
        return err_set(err, ERR_FATAL, "cannot look at archive folder %s: %s", folder->path,
            strerrordesc_np(errno));
    }
    if (status.st_uid != geteuid()) {
        (void)err_set(err, ERR_REFUSED, "archive folder %s belongs to another user", folder->path);
        return err_hint(err, "Rows of the database are written there: name a folder of the user "
                             "that runs pghaul.");
    }
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        (void)err_set(err, ERR_REFUSED, "others may write to archive folder %s", folder->path);
        return err_hint(err, "chmod go-w %s", folder->path);
    }
    return true;
}

bool
archive_folder_make(const char *path, ArchiveFolder *folder, Err *err)
{
    *folder = ARCHIVE_FOLDER_INIT;
    bool made = mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST) {
        return err_set(
            err, ERR_FATAL, "cannot make archive folder %s: %s", path, strerrordesc_np(errno));
    }
    if (!open_folder(path, folder, err)) {
        return false;
    }
    if (check_owner(folder, err) && (!made || sync_parent(folder, err))) {
        return true;
    }
    archive_folder_close(folder);
    return false;
}

void
archive_folder_close(ArchiveFolder *folder)
{
    if (folder->fd >= 0) {
        (void)close(folder->fd);
    }
    *folder = ARCHIVE_FOLDER_INIT;
}

/* ---- listing ---- */

static int
compare_numbers(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int
compare_names(const void *left, const void *right)
{
    const ArchiveName *a = left;
    const ArchiveName *b = right;
    int order = strcmp(a->job, b->job);
    order = order != 0 ? order : compare_numbers(a->file_no, b->file_no);
    return order != 0 ? order : strcmp(a->text, b->text);
}

typedef struct NameList {
    ArchiveName *names; /* owned */
    int count;
    int size;
} NameList;

static void
add_name(NameList *list, const ArchiveName *name)
{
    if (list->count == list->size) {
        list->size = list->size == 0 ? 64 : list->size * 2;
        list->names = mem_resize(list->names, (size_t)list->size, sizeof(*list->names));
    }
    list->names[list->count++] = *name;
}

static bool
read_names(DIR *dir, const char *job, Arena *arena, NameList *list)
{
    for (;;) {
        errno = 0;
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): of a stream that is ours alone */
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            return errno == 0;
        }
        ArchiveName name;
        if (archive_name_parse(entry->d_name, arena, &name) &&
            (job == NULL || strcmp(name.job, job) == 0)) {
            add_name(list, &name);
        }
    }
}

bool
archive_folder_list(const ArchiveFolder *folder, const char *job, Arena *arena, ArchiveName **names,
    int *count, Err *err)
{
    /* A descriptor of its own: the place in the folder belongs to it. */
    int fd = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    NameList list = {.names = NULL};
    bool done = dir != NULL && read_names(dir, job, arena, &list);
    if (!done) {
        (void)err_set(err, ERR_FATAL, "cannot list archive folder %s: %s", folder->path,
            strerrordesc_np(errno));
    }
    if (dir != NULL) {
        (void)closedir(dir);
    } else if (fd >= 0) {
        (void)close(fd);
    }
    *names = arena_alloc(arena, (size_t)list.count * sizeof(**names));
    *count = list.count;
    if (list.count > 0) {
        memcpy(*names, list.names, (size_t)list.count * sizeof(**names));
        qsort(*names, (size_t)list.count, sizeof(**names), compare_names);
    }
    free(list.names);
    return done;
}
