#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "ops/folder.h"

typedef struct TestPlace {
    Arena arena;
    char root[32];
} TestPlace;

static void
place_init(TestPlace *place)
{
    *place = (TestPlace){.root = "/tmp/pghaul-folder-XXXXXX"};
    cr_assert(ne(ptr, mkdtemp(place->root), NULL));
}

static void
place_clear(TestPlace *place)
{
    (void)rmdir(place->root);
    arena_reset(&place->arena);
}

static void
expect_fault(TestPlace *place, const char *path, const char *part)
{
    const FolderFacts *facts = folder_look(path, &place->arena);
    const char *fault = facts->fault == NULL ? "nothing" : facts->fault;
    cr_expect(strstr(fault, part) != NULL, "%s: %s, expected %s", path, fault, part);
    cr_expect(facts->fault == NULL || facts->remedy != NULL, "%s", fault);
}

Test(ops_folder, folder_of_ours_will_do_and_one_that_is_missing_can_be_made)
{
    TestPlace place;
    place_init(&place);
    expect_fault(&place, place.root, "nothing");
    const FolderFacts *facts = folder_look(place.root, &place.arena);
    cr_expect(facts->exists);
    cr_expect(lt(i64, 0, facts->free_bytes));
    const char *missing = arena_printf(&place.arena, "%s/new", place.root);
    expect_fault(&place, missing, "nothing");
    facts = folder_look(missing, &place.arena);
    cr_expect(not(facts->exists));
    cr_expect(lt(i64, 0, facts->free_bytes));
    cr_expect(lt(int, access(missing, F_OK), 0)); /* looking makes nothing */
    place_clear(&place);
}

Test(ops_folder, what_is_no_folder_of_ours_is_told)
{
    TestPlace place;
    place_init(&place);
    const char *link = arena_printf(&place.arena, "%s/link", place.root);
    const char *file = arena_printf(&place.arena, "%s/file", place.root);
    cr_assert(zero(int, symlink("/tmp", link)));
    int fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    cr_assert(le(int, 0, fd));
    (void)close(fd);
    expect_fault(&place, link, "is a symbolic link");
    expect_fault(&place, file, "is no folder");
    expect_fault(&place, arena_printf(&place.arena, "%s/a", file), "cannot be looked at");
    expect_fault(&place, arena_printf(&place.arena, "%s/a/b", place.root), "has no folder");
    cr_assert(zero(int, chmod(place.root, 0770)));
    expect_fault(&place, place.root, "may be written by others");
    cr_assert(zero(int, unlink(link)));
    cr_assert(zero(int, unlink(file)));
    place_clear(&place);
}

Test(ops_folder, folder_of_somebody_else_is_told)
{
    TestPlace place = {.arena = ARENA_INIT};
    expect_fault(&place, geteuid() == 0 ? "/tmp" : "/root",
        geteuid() == 0 ? "may be written by others" : "belongs to another user");
    arena_reset(&place.arena);
}
